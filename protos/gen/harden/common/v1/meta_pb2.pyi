from harden.rules import validate_pb2 as _validate_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class EventMeta(_message.Message):
    __slots__ = ("event_id", "occurred_at", "service", "parent_ids", "policy_digests")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PARENT_IDS_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    occurred_at: float
    service: str
    parent_ids: _containers.RepeatedScalarFieldContainer[str]
    policy_digests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, event_id: _Optional[str] = ..., occurred_at: _Optional[float] = ..., service: _Optional[str] = ..., parent_ids: _Optional[_Iterable[str]] = ..., policy_digests: _Optional[_Iterable[str]] = ...) -> None: ...
