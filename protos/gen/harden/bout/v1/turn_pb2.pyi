from harden.rules import validate_pb2 as _validate_pb2
from harden.common.v1 import completion_pb2 as _completion_pb2
from harden.common.v1 import conversation_pb2 as _conversation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Attack(_message.Message):
    __slots__ = ("attack_id", "text", "conversation", "strategy", "family", "parent_attack_id", "completion", "prompt")
    ATTACK_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    PARENT_ATTACK_ID_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    attack_id: str
    text: str
    conversation: _conversation_pb2.Conversation
    strategy: str
    family: str
    parent_attack_id: str
    completion: _completion_pb2.Completion
    prompt: _conversation_pb2.Conversation
    def __init__(self, attack_id: _Optional[str] = ..., text: _Optional[str] = ..., conversation: _Optional[_Union[_conversation_pb2.Conversation, _Mapping]] = ..., strategy: _Optional[str] = ..., family: _Optional[str] = ..., parent_attack_id: _Optional[str] = ..., completion: _Optional[_Union[_completion_pb2.Completion, _Mapping]] = ..., prompt: _Optional[_Union[_conversation_pb2.Conversation, _Mapping]] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("response_id", "attack_id", "completion")
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    ATTACK_ID_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    response_id: str
    attack_id: str
    completion: _completion_pb2.Completion
    def __init__(self, response_id: _Optional[str] = ..., attack_id: _Optional[str] = ..., completion: _Optional[_Union[_completion_pb2.Completion, _Mapping]] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("question", "label", "score", "why")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    question: str
    label: str
    score: float
    why: str
    def __init__(self, question: _Optional[str] = ..., label: _Optional[str] = ..., score: _Optional[float] = ..., why: _Optional[str] = ...) -> None: ...

class Ballot(_message.Message):
    __slots__ = ("member", "version", "answers")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    member: str
    version: str
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    def __init__(self, member: _Optional[str] = ..., version: _Optional[str] = ..., answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("answers", "ballots")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    BALLOTS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    ballots: _containers.RepeatedCompositeFieldContainer[Ballot]
    def __init__(self, answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ..., ballots: _Optional[_Iterable[_Union[Ballot, _Mapping]]] = ...) -> None: ...

class Turn(_message.Message):
    __slots__ = ("attacks", "attack_stats", "responses", "response_stats", "decisions", "attack_decisions", "response_decisions")
    ATTACKS_FIELD_NUMBER: _ClassVar[int]
    ATTACK_STATS_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_STATS_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    ATTACK_DECISIONS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_DECISIONS_FIELD_NUMBER: _ClassVar[int]
    attacks: _containers.RepeatedCompositeFieldContainer[Attack]
    attack_stats: _completion_pb2.SamplingStats
    responses: _containers.RepeatedCompositeFieldContainer[Response]
    response_stats: _completion_pb2.SamplingStats
    decisions: _containers.RepeatedCompositeFieldContainer[Decision]
    attack_decisions: _containers.RepeatedScalarFieldContainer[int]
    response_decisions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, attacks: _Optional[_Iterable[_Union[Attack, _Mapping]]] = ..., attack_stats: _Optional[_Union[_completion_pb2.SamplingStats, _Mapping]] = ..., responses: _Optional[_Iterable[_Union[Response, _Mapping]]] = ..., response_stats: _Optional[_Union[_completion_pb2.SamplingStats, _Mapping]] = ..., decisions: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ..., attack_decisions: _Optional[_Iterable[int]] = ..., response_decisions: _Optional[_Iterable[int]] = ...) -> None: ...
