from harden.rules import validate_pb2 as _validate_pb2
from harden.common.v1 import conversation_pb2 as _conversation_pb2
from harden.common.v1 import meta_pb2 as _meta_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SeedLabel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEED_LABEL_UNSPECIFIED: _ClassVar[SeedLabel]
    SEED_LABEL_HARMFUL: _ClassVar[SeedLabel]
    SEED_LABEL_BENIGN: _ClassVar[SeedLabel]
SEED_LABEL_UNSPECIFIED: SeedLabel
SEED_LABEL_HARMFUL: SeedLabel
SEED_LABEL_BENIGN: SeedLabel

class Seed(_message.Message):
    __slots__ = ("seed_id", "label", "category", "conversation", "answer_key", "source")
    SEED_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    ANSWER_KEY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    seed_id: str
    label: SeedLabel
    category: str
    conversation: _conversation_pb2.Conversation
    answer_key: str
    source: str
    def __init__(self, seed_id: _Optional[str] = ..., label: _Optional[_Union[SeedLabel, str]] = ..., category: _Optional[str] = ..., conversation: _Optional[_Union[_conversation_pb2.Conversation, _Mapping]] = ..., answer_key: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class SeedSubmitted(_message.Message):
    __slots__ = ("meta", "seed")
    META_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    seed: Seed
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., seed: _Optional[_Union[Seed, _Mapping]] = ...) -> None: ...
