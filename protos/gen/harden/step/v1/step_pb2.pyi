from harden.rules import validate_pb2 as _validate_pb2
from harden.bout.v1 import bout_pb2 as _bout_pb2
from harden.common.v1 import meta_pb2 as _meta_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StepFinished(_message.Message):
    __slots__ = ("meta", "run_id", "role", "round", "step", "algorithm", "side_run", "skipped", "reward_mean", "success", "zero_variance_share", "kl", "entropy", "grad_norm", "importance_ess", "lag_max", "figures", "trained", "dropped", "seconds")
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    META_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    SIDE_RUN_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    REWARD_MEAN_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ZERO_VARIANCE_SHARE_FIELD_NUMBER: _ClassVar[int]
    KL_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    GRAD_NORM_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCE_ESS_FIELD_NUMBER: _ClassVar[int]
    LAG_MAX_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    TRAINED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    run_id: str
    role: _bout_pb2.Role
    round: int
    step: int
    algorithm: str
    side_run: str
    skipped: str
    reward_mean: float
    success: float
    zero_variance_share: float
    kl: float
    entropy: float
    grad_norm: float
    importance_ess: float
    lag_max: int
    figures: _containers.ScalarMap[str, float]
    trained: int
    dropped: _containers.ScalarMap[str, int]
    seconds: float
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., run_id: _Optional[str] = ..., role: _Optional[_Union[_bout_pb2.Role, str]] = ..., round: _Optional[int] = ..., step: _Optional[int] = ..., algorithm: _Optional[str] = ..., side_run: _Optional[str] = ..., skipped: _Optional[str] = ..., reward_mean: _Optional[float] = ..., success: _Optional[float] = ..., zero_variance_share: _Optional[float] = ..., kl: _Optional[float] = ..., entropy: _Optional[float] = ..., grad_norm: _Optional[float] = ..., importance_ess: _Optional[float] = ..., lag_max: _Optional[int] = ..., figures: _Optional[_Mapping[str, float]] = ..., trained: _Optional[int] = ..., dropped: _Optional[_Mapping[str, int]] = ..., seconds: _Optional[float] = ...) -> None: ...
