from harden.rules import validate_pb2 as _validate_pb2
from harden.bout.v1 import bout_pb2 as _bout_pb2
from harden.common.v1 import completion_pb2 as _completion_pb2
from harden.common.v1 import conversation_pb2 as _conversation_pb2
from harden.common.v1 import meta_pb2 as _meta_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Attack(_message.Message):
    __slots__ = ("attack_id", "text", "conversation", "source", "family", "parent_attack_id", "completion")
    ATTACK_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    PARENT_ATTACK_ID_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    attack_id: str
    text: str
    conversation: _conversation_pb2.Conversation
    source: _bout_pb2.AttackSource
    family: str
    parent_attack_id: str
    completion: _completion_pb2.Completion
    def __init__(self, attack_id: _Optional[str] = ..., text: _Optional[str] = ..., conversation: _Optional[_Union[_conversation_pb2.Conversation, _Mapping]] = ..., source: _Optional[_Union[_bout_pb2.AttackSource, str]] = ..., family: _Optional[str] = ..., parent_attack_id: _Optional[str] = ..., completion: _Optional[_Union[_completion_pb2.Completion, _Mapping]] = ...) -> None: ...

class AttackedBout(_message.Message):
    __slots__ = ("bout", "attacks", "effort")
    BOUT_FIELD_NUMBER: _ClassVar[int]
    ATTACKS_FIELD_NUMBER: _ClassVar[int]
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    bout: _bout_pb2.Bout
    attacks: _containers.RepeatedCompositeFieldContainer[Attack]
    effort: _completion_pb2.SamplingEffort
    def __init__(self, bout: _Optional[_Union[_bout_pb2.Bout, _Mapping]] = ..., attacks: _Optional[_Iterable[_Union[Attack, _Mapping]]] = ..., effort: _Optional[_Union[_completion_pb2.SamplingEffort, _Mapping]] = ...) -> None: ...

class AttacksGenerated(_message.Message):
    __slots__ = ("meta", "attacked")
    META_FIELD_NUMBER: _ClassVar[int]
    ATTACKED_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    attacked: AttackedBout
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., attacked: _Optional[_Union[AttackedBout, _Mapping]] = ...) -> None: ...
