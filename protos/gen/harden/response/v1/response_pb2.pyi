from harden.rules import validate_pb2 as _validate_pb2
from harden.attack.v1 import attack_pb2 as _attack_pb2
from harden.bout.v1 import turn_pb2 as _turn_pb2
from harden.common.v1 import completion_pb2 as _completion_pb2
from harden.common.v1 import meta_pb2 as _meta_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SampledBout(_message.Message):
    __slots__ = ("attacked", "responses", "stats")
    ATTACKED_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    attacked: _attack_pb2.AttackedBout
    responses: _containers.RepeatedCompositeFieldContainer[_turn_pb2.Response]
    stats: _completion_pb2.SamplingStats
    def __init__(self, attacked: _Optional[_Union[_attack_pb2.AttackedBout, _Mapping]] = ..., responses: _Optional[_Iterable[_Union[_turn_pb2.Response, _Mapping]]] = ..., stats: _Optional[_Union[_completion_pb2.SamplingStats, _Mapping]] = ...) -> None: ...

class ResponsesSampled(_message.Message):
    __slots__ = ("meta", "sampled")
    META_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    sampled: SampledBout
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., sampled: _Optional[_Union[SampledBout, _Mapping]] = ...) -> None: ...
