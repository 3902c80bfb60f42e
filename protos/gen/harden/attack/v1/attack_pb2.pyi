from harden.rules import validate_pb2 as _validate_pb2
from harden.bout.v1 import bout_pb2 as _bout_pb2
from harden.bout.v1 import turn_pb2 as _turn_pb2
from harden.common.v1 import completion_pb2 as _completion_pb2
from harden.common.v1 import meta_pb2 as _meta_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttackedBout(_message.Message):
    __slots__ = ("bout", "attacks", "stats", "previous")
    BOUT_FIELD_NUMBER: _ClassVar[int]
    ATTACKS_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    bout: _bout_pb2.Bout
    attacks: _containers.RepeatedCompositeFieldContainer[_turn_pb2.Attack]
    stats: _completion_pb2.SamplingStats
    previous: _containers.RepeatedCompositeFieldContainer[_turn_pb2.Turn]
    def __init__(self, bout: _Optional[_Union[_bout_pb2.Bout, _Mapping]] = ..., attacks: _Optional[_Iterable[_Union[_turn_pb2.Attack, _Mapping]]] = ..., stats: _Optional[_Union[_completion_pb2.SamplingStats, _Mapping]] = ..., previous: _Optional[_Iterable[_Union[_turn_pb2.Turn, _Mapping]]] = ...) -> None: ...

class AttacksGenerated(_message.Message):
    __slots__ = ("meta", "attacked")
    META_FIELD_NUMBER: _ClassVar[int]
    ATTACKED_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    attacked: AttackedBout
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., attacked: _Optional[_Union[AttackedBout, _Mapping]] = ...) -> None: ...
