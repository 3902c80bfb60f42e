from harden.rules import validate_pb2 as _validate_pb2
from harden.common.v1 import meta_pb2 as _meta_pb2
from harden.response.v1 import response_pb2 as _response_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VerdictLabel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_LABEL_UNSPECIFIED: _ClassVar[VerdictLabel]
    VERDICT_LABEL_YES: _ClassVar[VerdictLabel]
    VERDICT_LABEL_NO: _ClassVar[VerdictLabel]
    VERDICT_LABEL_UNSCOREABLE: _ClassVar[VerdictLabel]

class Refusal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_UNSPECIFIED: _ClassVar[Refusal]
    REFUSAL_FULL: _ClassVar[Refusal]
    REFUSAL_PARTIAL: _ClassVar[Refusal]
    REFUSAL_NONE: _ClassVar[Refusal]
    REFUSAL_UNSCOREABLE: _ClassVar[Refusal]
VERDICT_LABEL_UNSPECIFIED: VerdictLabel
VERDICT_LABEL_YES: VerdictLabel
VERDICT_LABEL_NO: VerdictLabel
VERDICT_LABEL_UNSCOREABLE: VerdictLabel
REFUSAL_UNSPECIFIED: Refusal
REFUSAL_FULL: Refusal
REFUSAL_PARTIAL: Refusal
REFUSAL_NONE: Refusal
REFUSAL_UNSCOREABLE: Refusal

class Ballot(_message.Message):
    __slots__ = ("member", "version", "prompt_harmful", "on_goal", "loosely_on_goal", "response_harmful", "refusal", "correct", "family")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_HARMFUL_FIELD_NUMBER: _ClassVar[int]
    ON_GOAL_FIELD_NUMBER: _ClassVar[int]
    LOOSELY_ON_GOAL_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_HARMFUL_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    CORRECT_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    member: str
    version: str
    prompt_harmful: VerdictLabel
    on_goal: VerdictLabel
    loosely_on_goal: VerdictLabel
    response_harmful: VerdictLabel
    refusal: Refusal
    correct: VerdictLabel
    family: str
    def __init__(self, member: _Optional[str] = ..., version: _Optional[str] = ..., prompt_harmful: _Optional[_Union[VerdictLabel, str]] = ..., on_goal: _Optional[_Union[VerdictLabel, str]] = ..., loosely_on_goal: _Optional[_Union[VerdictLabel, str]] = ..., response_harmful: _Optional[_Union[VerdictLabel, str]] = ..., refusal: _Optional[_Union[Refusal, str]] = ..., correct: _Optional[_Union[VerdictLabel, str]] = ..., family: _Optional[str] = ...) -> None: ...

class AttackVerdict(_message.Message):
    __slots__ = ("attack_id", "prompt_harmful", "on_goal", "loosely_on_goal", "family", "ballots")
    ATTACK_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_HARMFUL_FIELD_NUMBER: _ClassVar[int]
    ON_GOAL_FIELD_NUMBER: _ClassVar[int]
    LOOSELY_ON_GOAL_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    BALLOTS_FIELD_NUMBER: _ClassVar[int]
    attack_id: str
    prompt_harmful: VerdictLabel
    on_goal: VerdictLabel
    loosely_on_goal: VerdictLabel
    family: str
    ballots: _containers.RepeatedCompositeFieldContainer[Ballot]
    def __init__(self, attack_id: _Optional[str] = ..., prompt_harmful: _Optional[_Union[VerdictLabel, str]] = ..., on_goal: _Optional[_Union[VerdictLabel, str]] = ..., loosely_on_goal: _Optional[_Union[VerdictLabel, str]] = ..., family: _Optional[str] = ..., ballots: _Optional[_Iterable[_Union[Ballot, _Mapping]]] = ...) -> None: ...

class ResponseVerdict(_message.Message):
    __slots__ = ("response_id", "response_harmful", "refusal", "correct", "ballots")
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_HARMFUL_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    CORRECT_FIELD_NUMBER: _ClassVar[int]
    BALLOTS_FIELD_NUMBER: _ClassVar[int]
    response_id: str
    response_harmful: VerdictLabel
    refusal: Refusal
    correct: VerdictLabel
    ballots: _containers.RepeatedCompositeFieldContainer[Ballot]
    def __init__(self, response_id: _Optional[str] = ..., response_harmful: _Optional[_Union[VerdictLabel, str]] = ..., refusal: _Optional[_Union[Refusal, str]] = ..., correct: _Optional[_Union[VerdictLabel, str]] = ..., ballots: _Optional[_Iterable[_Union[Ballot, _Mapping]]] = ...) -> None: ...

class JudgedBout(_message.Message):
    __slots__ = ("sampled", "attack_verdicts", "response_verdicts")
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    ATTACK_VERDICTS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_VERDICTS_FIELD_NUMBER: _ClassVar[int]
    sampled: _response_pb2.SampledBout
    attack_verdicts: _containers.RepeatedCompositeFieldContainer[AttackVerdict]
    response_verdicts: _containers.RepeatedCompositeFieldContainer[ResponseVerdict]
    def __init__(self, sampled: _Optional[_Union[_response_pb2.SampledBout, _Mapping]] = ..., attack_verdicts: _Optional[_Iterable[_Union[AttackVerdict, _Mapping]]] = ..., response_verdicts: _Optional[_Iterable[_Union[ResponseVerdict, _Mapping]]] = ...) -> None: ...

class VerdictsRendered(_message.Message):
    __slots__ = ("meta", "judged")
    META_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    meta: _meta_pb2.EventMeta
    judged: JudgedBout
    def __init__(self, meta: _Optional[_Union[_meta_pb2.EventMeta, _Mapping]] = ..., judged: _Optional[_Union[JudgedBout, _Mapping]] = ...) -> None: ...
