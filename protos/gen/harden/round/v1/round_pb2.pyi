from harden.rules import validate_pb2 as _validate_pb2
from harden.bout.v1 import bout_pb2 as _bout_pb2
from harden.common.v1 import meta_pb2 as _meta_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Rate(_message.Message):
    __slots__ = ("k", "n", "rate", "low", "high")
    K_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    k: int
    n: int
    rate: float
    low: float
    high: float
    def __init__(self, k: _Optional[int] = ..., n: _Optional[int] = ..., rate: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class SuiteRate(_message.Message):
    __slots__ = ("measure", "suite", "rate")
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    measure: str
    suite: str
    rate: Rate
    def __init__(self, measure: _Optional[str] = ..., suite: _Optional[str] = ..., rate: _Optional[_Union[Rate, _Mapping]] = ...) -> None: ...

class AttackerFigures(_message.Message):
    __slots__ = ("success_before", "success_after", "loose_success_before", "loose_success_after", "strict", "effective_families", "unique_successes")
    SUCCESS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_AFTER_FIELD_NUMBER: _ClassVar[int]
    LOOSE_SUCCESS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    LOOSE_SUCCESS_AFTER_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_FAMILIES_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_SUCCESSES_FIELD_NUMBER: _ClassVar[int]
    success_before: Rate
    success_after: Rate
    loose_success_before: Rate
    loose_success_after: Rate
    strict: Rate
    effective_families: float
    unique_successes: int
    def __init__(self, success_before: _Optional[_Union[Rate, _Mapping]] = ..., success_after: _Optional[_Union[Rate, _Mapping]] = ..., loose_success_before: _Optional[_Union[Rate, _Mapping]] = ..., loose_success_after: _Optional[_Union[Rate, _Mapping]] = ..., strict: _Optional[_Union[Rate, _Mapping]] = ..., effective_families: _Optional[float] = ..., unique_successes: _Optional[int] = ...) -> None: ...

class FamilyFigures(_message.Message):
    __slots__ = ("family", "attempts", "successes")
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    SUCCESSES_FIELD_NUMBER: _ClassVar[int]
    family: str
    attempts: int
    successes: int
    def __init__(self, family: _Optional[str] = ..., attempts: _Optional[int] = ..., successes: _Optional[int] = ...) -> None: ...

class RolePolicy(_message.Message):
    __slots__ = ("role", "digest")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    role: _bout_pb2.Role
    digest: str
    def __init__(self, role: _Optional[_Union[_bout_pb2.Role, str]] = ..., digest: _Optional[str] = ...) -> None: ...

class BoutAccount(_message.Message):
    __slots__ = ("scheduled", "trained", "dropped", "dead_lettered", "expired")
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    TRAINED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    scheduled: int
    trained: int
    dropped: _containers.ScalarMap[str, int]
    dead_lettered: int
    expired: int
    def __init__(self, scheduled: _Optional[int] = ..., trained: _Optional[int] = ..., dropped: _Optional[_Mapping[str, int]] = ..., dead_lettered: _Optional[int] = ..., expired: _Optional[int] = ...) -> None: ...

class SwapAccount(_message.Message):
    __slots__ = ("count", "refused", "requests", "failed", "publish_to_served_p50_ms", "publish_to_served_max_ms", "steady_p99_ms", "during_swap_p99_ms")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TO_SERVED_P50_MS_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TO_SERVED_MAX_MS_FIELD_NUMBER: _ClassVar[int]
    STEADY_P99_MS_FIELD_NUMBER: _ClassVar[int]
    DURING_SWAP_P99_MS_FIELD_NUMBER: _ClassVar[int]
    count: int
    refused: int
    requests: int
    failed: int
    publish_to_served_p50_ms: float
    publish_to_served_max_ms: float
    steady_p99_ms: float
    during_swap_p99_ms: float
    def __init__(self, count: _Optional[int] = ..., refused: _Optional[int] = ..., requests: _Optional[int] = ..., failed: _Optional[int] = ..., publish_to_served_p50_ms: _Optional[float] = ..., publish_to_served_max_ms: _Optional[float] = ..., steady_p99_ms: _Optional[float] = ..., during_swap_p99_ms: _Optional[float] = ...) -> None: ...

class Rejected(_message.Message):
    __slots__ = ("rates", "policies")
    RATES_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    rates: _containers.RepeatedCompositeFieldContainer[SuiteRate]
    policies: _containers.RepeatedCompositeFieldContainer[RolePolicy]
    def __init__(self, rates: _Optional[_Iterable[_Union[SuiteRate, _Mapping]]] = ..., policies: _Optional[_Iterable[_Union[RolePolicy, _Mapping]]] = ...) -> None: ...

class RoundFinished(_message.Message):
    __slots__ = ("meta", "run_id", "round", "rates", "attacker", "families", "policies", "bouts", "swaps", "breaches", "rejected", "evaluation_seconds")
    META_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    RATES_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_FIELD_NUMBER: _ClassVar[int]
    FAMILIES_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    BOUTS_FIELD_NUMBER: _ClassVar[int]
    SWAPS_FIELD_NUMBER: _ClassVar[int]
    BREACHES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    run_id: str
    round: int
    rates: _containers.RepeatedCompositeFieldContainer[SuiteRate]
    attacker: AttackerFigures
    families: _containers.RepeatedCompositeFieldContainer[FamilyFigures]
    policies: _containers.RepeatedCompositeFieldContainer[RolePolicy]
    bouts: BoutAccount
    swaps: SwapAccount
    breaches: _containers.RepeatedScalarFieldContainer[str]
    rejected: Rejected
    evaluation_seconds: float
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., run_id: _Optional[str] = ..., round: _Optional[int] = ..., rates: _Optional[_Iterable[_Union[SuiteRate, _Mapping]]] = ..., attacker: _Optional[_Union[AttackerFigures, _Mapping]] = ..., families: _Optional[_Iterable[_Union[FamilyFigures, _Mapping]]] = ..., policies: _Optional[_Iterable[_Union[RolePolicy, _Mapping]]] = ..., bouts: _Optional[_Union[BoutAccount, _Mapping]] = ..., swaps: _Optional[_Union[SwapAccount, _Mapping]] = ..., breaches: _Optional[_Iterable[str]] = ..., rejected: _Optional[_Union[Rejected, _Mapping]] = ..., evaluation_seconds: _Optional[float] = ...) -> None: ...

class SideRunFinished(_message.Message):
    __slots__ = ("meta", "run_id", "name", "steps", "refusal", "accuracy", "breaches", "bouts")
    META_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    BREACHES_FIELD_NUMBER: _ClassVar[int]
    BOUTS_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    run_id: str
    name: str
    steps: int
    refusal: Rate
    accuracy: Rate
    breaches: _containers.RepeatedScalarFieldContainer[str]
    bouts: BoutAccount
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., run_id: _Optional[str] = ..., name: _Optional[str] = ..., steps: _Optional[int] = ..., refusal: _Optional[_Union[Rate, _Mapping]] = ..., accuracy: _Optional[_Union[Rate, _Mapping]] = ..., breaches: _Optional[_Iterable[str]] = ..., bouts: _Optional[_Union[BoutAccount, _Mapping]] = ...) -> None: ...

class CrossPlayRow(_message.Message):
    __slots__ = ("attack_success",)
    ATTACK_SUCCESS_FIELD_NUMBER: _ClassVar[int]
    attack_success: _containers.RepeatedCompositeFieldContainer[Rate]
    def __init__(self, attack_success: _Optional[_Iterable[_Union[Rate, _Mapping]]] = ...) -> None: ...

class CrossPlayFinished(_message.Message):
    __slots__ = ("meta", "run_id", "attackers", "defenders", "rows")
    META_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ATTACKERS_FIELD_NUMBER: _ClassVar[int]
    DEFENDERS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    run_id: str
    attackers: _containers.RepeatedScalarFieldContainer[int]
    defenders: _containers.RepeatedScalarFieldContainer[int]
    rows: _containers.RepeatedCompositeFieldContainer[CrossPlayRow]
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., run_id: _Optional[str] = ..., attackers: _Optional[_Iterable[int]] = ..., defenders: _Optional[_Iterable[int]] = ..., rows: _Optional[_Iterable[_Union[CrossPlayRow, _Mapping]]] = ...) -> None: ...

class AdaptiveAttack(_message.Message):
    __slots__ = ("goals", "before", "after", "best", "effective_families", "on_goal")
    GOALS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_FAMILIES_FIELD_NUMBER: _ClassVar[int]
    ON_GOAL_FIELD_NUMBER: _ClassVar[int]
    goals: str
    before: Rate
    after: Rate
    best: Rate
    effective_families: float
    on_goal: Rate
    def __init__(self, goals: _Optional[str] = ..., before: _Optional[_Union[Rate, _Mapping]] = ..., after: _Optional[_Union[Rate, _Mapping]] = ..., best: _Optional[_Union[Rate, _Mapping]] = ..., effective_families: _Optional[float] = ..., on_goal: _Optional[_Union[Rate, _Mapping]] = ...) -> None: ...

class BestResponseFinished(_message.Message):
    __slots__ = ("meta", "run_id", "steps", "best_of", "attacks")
    META_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    BEST_OF_FIELD_NUMBER: _ClassVar[int]
    ATTACKS_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    run_id: str
    steps: int
    best_of: int
    attacks: _containers.RepeatedCompositeFieldContainer[AdaptiveAttack]
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., run_id: _Optional[str] = ..., steps: _Optional[int] = ..., best_of: _Optional[int] = ..., attacks: _Optional[_Iterable[_Union[AdaptiveAttack, _Mapping]]] = ...) -> None: ...

class RunFinished(_message.Message):
    __slots__ = ("meta", "run_id", "seed", "failed", "play_seconds")
    META_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    PLAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    run_id: str
    seed: int
    failed: str
    play_seconds: float
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., run_id: _Optional[str] = ..., seed: _Optional[int] = ..., failed: _Optional[str] = ..., play_seconds: _Optional[float] = ...) -> None: ...
