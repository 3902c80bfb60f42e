from harden.rules import validate_pb2 as _validate_pb2
from harden.common.v1 import conversation_pb2 as _conversation_pb2
from harden.common.v1 import meta_pb2 as _meta_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PolicyRef(_message.Message):
    __slots__ = ("slot", "version", "digest")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    slot: str
    version: int
    digest: str
    def __init__(self, slot: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ...) -> None: ...

class Lineage(_message.Message):
    __slots__ = ("run_id", "round", "step", "parent", "produced_by")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PRODUCED_BY_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    round: int
    step: int
    parent: str
    produced_by: str
    def __init__(self, run_id: _Optional[str] = ..., round: _Optional[int] = ..., step: _Optional[int] = ..., parent: _Optional[str] = ..., produced_by: _Optional[str] = ...) -> None: ...

class PolicyFile(_message.Message):
    __slots__ = ("path", "blob")
    PATH_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    path: str
    blob: _conversation_pb2.BlobRef
    def __init__(self, path: _Optional[str] = ..., blob: _Optional[_Union[_conversation_pb2.BlobRef, _Mapping]] = ...) -> None: ...

class ProbePrompt(_message.Message):
    __slots__ = ("conversation", "token_ids", "logprobs")
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    conversation: _conversation_pb2.Conversation
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    logprobs: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, conversation: _Optional[_Union[_conversation_pb2.Conversation, _Mapping]] = ..., token_ids: _Optional[_Iterable[int]] = ..., logprobs: _Optional[_Iterable[float]] = ...) -> None: ...

class Probe(_message.Message):
    __slots__ = ("prompts", "tolerance")
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    prompts: _containers.RepeatedCompositeFieldContainer[ProbePrompt]
    tolerance: float
    def __init__(self, prompts: _Optional[_Iterable[_Union[ProbePrompt, _Mapping]]] = ..., tolerance: _Optional[float] = ...) -> None: ...

class PolicyBase(_message.Message):
    __slots__ = ("digest", "manifest")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    manifest: _conversation_pb2.BlobRef
    def __init__(self, digest: _Optional[str] = ..., manifest: _Optional[_Union[_conversation_pb2.BlobRef, _Mapping]] = ...) -> None: ...

class PolicyManifest(_message.Message):
    __slots__ = ("files", "probe", "lineage", "base")
    FILES_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[PolicyFile]
    probe: Probe
    lineage: Lineage
    base: PolicyBase
    def __init__(self, files: _Optional[_Iterable[_Union[PolicyFile, _Mapping]]] = ..., probe: _Optional[_Union[Probe, _Mapping]] = ..., lineage: _Optional[_Union[Lineage, _Mapping]] = ..., base: _Optional[_Union[PolicyBase, _Mapping]] = ...) -> None: ...

class SignedManifest(_message.Message):
    __slots__ = ("payload", "key_id", "signature")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    key_id: str
    signature: bytes
    def __init__(self, payload: _Optional[bytes] = ..., key_id: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Publication(_message.Message):
    __slots__ = ("policy", "run_id", "reason", "published_at")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    policy: PolicyRef
    run_id: str
    reason: str
    published_at: float
    def __init__(self, policy: _Optional[_Union[PolicyRef, _Mapping]] = ..., run_id: _Optional[str] = ..., reason: _Optional[str] = ..., published_at: _Optional[float] = ...) -> None: ...

class Signature(_message.Message):
    __slots__ = ("key_id", "value")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    value: bytes
    def __init__(self, key_id: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class PolicyPublished(_message.Message):
    __slots__ = ("meta", "policy", "manifest", "lineage", "reason", "published_at", "run_id", "signature")
    META_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    policy: PolicyRef
    manifest: _conversation_pb2.BlobRef
    lineage: Lineage
    reason: str
    published_at: float
    run_id: str
    signature: Signature
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., policy: _Optional[_Union[PolicyRef, _Mapping]] = ..., manifest: _Optional[_Union[_conversation_pb2.BlobRef, _Mapping]] = ..., lineage: _Optional[_Union[Lineage, _Mapping]] = ..., reason: _Optional[str] = ..., published_at: _Optional[float] = ..., run_id: _Optional[str] = ..., signature: _Optional[_Union[Signature, _Mapping]] = ...) -> None: ...

class PolicyRetired(_message.Message):
    __slots__ = ("meta", "policy", "reason")
    META_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    policy: PolicyRef
    reason: str
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., policy: _Optional[_Union[PolicyRef, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class PolicyServed(_message.Message):
    __slots__ = ("meta", "policy", "replica", "served_at", "load_ms", "probe_max_error", "lease_until", "is_current")
    META_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    SERVED_AT_FIELD_NUMBER: _ClassVar[int]
    LOAD_MS_FIELD_NUMBER: _ClassVar[int]
    PROBE_MAX_ERROR_FIELD_NUMBER: _ClassVar[int]
    LEASE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    IS_CURRENT_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    policy: PolicyRef
    replica: str
    served_at: float
    load_ms: float
    probe_max_error: float
    lease_until: float
    is_current: bool
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., policy: _Optional[_Union[PolicyRef, _Mapping]] = ..., replica: _Optional[str] = ..., served_at: _Optional[float] = ..., load_ms: _Optional[float] = ..., probe_max_error: _Optional[float] = ..., lease_until: _Optional[float] = ..., is_current: _Optional[bool] = ...) -> None: ...

class PolicyRefused(_message.Message):
    __slots__ = ("meta", "policy", "replica", "reason", "detail", "still_serving", "refused_at")
    META_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    STILL_SERVING_FIELD_NUMBER: _ClassVar[int]
    REFUSED_AT_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    policy: PolicyRef
    replica: str
    reason: str
    detail: str
    still_serving: PolicyRef
    refused_at: float
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., policy: _Optional[_Union[PolicyRef, _Mapping]] = ..., replica: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., still_serving: _Optional[_Union[PolicyRef, _Mapping]] = ..., refused_at: _Optional[float] = ...) -> None: ...
