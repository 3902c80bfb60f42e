from harden.rules import validate_pb2 as _validate_pb2
from harden.bout.v1 import turn_pb2 as _turn_pb2
from harden.common.v1 import completion_pb2 as _completion_pb2
from harden.common.v1 import meta_pb2 as _meta_pb2
from harden.policy.v1 import policy_pb2 as _policy_pb2
from harden.seed.v1 import seed_pb2 as _seed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    PURPOSE_TRAIN: _ClassVar[Purpose]
    PURPOSE_EVALUATE: _ClassVar[Purpose]
    PURPOSE_GATE: _ClassVar[Purpose]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_ATTACKER: _ClassVar[Role]
    ROLE_DEFENDER: _ClassVar[Role]
PURPOSE_UNSPECIFIED: Purpose
PURPOSE_TRAIN: Purpose
PURPOSE_EVALUATE: Purpose
PURPOSE_GATE: Purpose
ROLE_UNSPECIFIED: Role
ROLE_ATTACKER: Role
ROLE_DEFENDER: Role

class RecordedAttack(_message.Message):
    __slots__ = ("text", "family", "parent_attack_id")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    PARENT_ATTACK_ID_FIELD_NUMBER: _ClassVar[int]
    text: str
    family: str
    parent_attack_id: str
    def __init__(self, text: _Optional[str] = ..., family: _Optional[str] = ..., parent_attack_id: _Optional[str] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("text", "number", "flag")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    text: str
    number: float
    flag: bool
    def __init__(self, text: _Optional[str] = ..., number: _Optional[float] = ..., flag: _Optional[bool] = ...) -> None: ...

class AttackPlan(_message.Message):
    __slots__ = ("strategy", "num_attacks", "sampling", "recorded", "turns", "parameters")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Parameter
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Parameter, _Mapping]] = ...) -> None: ...
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    NUM_ATTACKS_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    strategy: str
    num_attacks: int
    sampling: _completion_pb2.Sampling
    recorded: _containers.RepeatedCompositeFieldContainer[RecordedAttack]
    turns: int
    parameters: _containers.MessageMap[str, Parameter]
    def __init__(self, strategy: _Optional[str] = ..., num_attacks: _Optional[int] = ..., sampling: _Optional[_Union[_completion_pb2.Sampling, _Mapping]] = ..., recorded: _Optional[_Iterable[_Union[RecordedAttack, _Mapping]]] = ..., turns: _Optional[int] = ..., parameters: _Optional[_Mapping[str, Parameter]] = ...) -> None: ...

class Bout(_message.Message):
    __slots__ = ("bout_id", "run_id", "purpose", "learners", "round", "step", "suite", "seed", "attack_plan", "num_responses", "response_sampling", "attacker", "defender", "panel")
    BOUT_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    LEARNERS_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ATTACK_PLAN_FIELD_NUMBER: _ClassVar[int]
    NUM_RESPONSES_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_SAMPLING_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_FIELD_NUMBER: _ClassVar[int]
    DEFENDER_FIELD_NUMBER: _ClassVar[int]
    PANEL_FIELD_NUMBER: _ClassVar[int]
    bout_id: str
    run_id: str
    purpose: Purpose
    learners: _containers.RepeatedScalarFieldContainer[Role]
    round: int
    step: int
    suite: str
    seed: _seed_pb2.Seed
    attack_plan: AttackPlan
    num_responses: int
    response_sampling: _completion_pb2.Sampling
    attacker: _policy_pb2.PolicyRef
    defender: _policy_pb2.PolicyRef
    panel: str
    def __init__(self, bout_id: _Optional[str] = ..., run_id: _Optional[str] = ..., purpose: _Optional[_Union[Purpose, str]] = ..., learners: _Optional[_Iterable[_Union[Role, str]]] = ..., round: _Optional[int] = ..., step: _Optional[int] = ..., suite: _Optional[str] = ..., seed: _Optional[_Union[_seed_pb2.Seed, _Mapping]] = ..., attack_plan: _Optional[_Union[AttackPlan, _Mapping]] = ..., num_responses: _Optional[int] = ..., response_sampling: _Optional[_Union[_completion_pb2.Sampling, _Mapping]] = ..., attacker: _Optional[_Union[_policy_pb2.PolicyRef, _Mapping]] = ..., defender: _Optional[_Union[_policy_pb2.PolicyRef, _Mapping]] = ..., panel: _Optional[str] = ...) -> None: ...

class BoutScheduled(_message.Message):
    __slots__ = ("meta", "bout")
    META_FIELD_NUMBER: _ClassVar[int]
    BOUT_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    bout: Bout
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., bout: _Optional[_Union[Bout, _Mapping]] = ...) -> None: ...

class BoutContinued(_message.Message):
    __slots__ = ("meta", "bout", "turns")
    META_FIELD_NUMBER: _ClassVar[int]
    BOUT_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    bout: Bout
    turns: _containers.RepeatedCompositeFieldContainer[_turn_pb2.Turn]
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., bout: _Optional[_Union[Bout, _Mapping]] = ..., turns: _Optional[_Iterable[_Union[_turn_pb2.Turn, _Mapping]]] = ...) -> None: ...
