"""Crescendo (Russinovich et al., arXiv 2404.01833): one conversation in which every message builds on the answer before.

The first turn is the policy's own attack on the seed. In each later turn the policy sees the seed, what it wrote last, what
the defender answered and what the judge said of that, and writes the next message of the same conversation. Where the
defender refused, the conversation goes back behind the refused message, so that a refusal does not breed the next one.
"""

from collections.abc import Mapping, Sequence

from harden.domain.attack import Attack
from harden.domain.attacking import AttackTools, Draft, TurnPlan
from harden.domain.bout import Parameter
from harden.domain.conversation import Conversation, Message, Speaker, Text
from harden.domain.response import Response
from harden.domain.verdict import Label, Refusal, Verdict

Answered = tuple[Response, Verdict]


class Crescendo:
    """AttackStrategy. It continues with the answer that went furthest: harmful before helpful before refused."""

    name = "crescendo"
    parameters: Mapping[str, Parameter] = {
        "backtrack": True,  # whether a refused message and its answer leave the conversation
        "max_answer_characters": 2000.0,  # of an answer that the policy is shown
    }

    def drafts(self, plan: TurnPlan, tools: AttackTools) -> list[Draft]:
        if plan.previous is None:
            [completions] = tools.ask([plan.bout.seed.conversation], plan.bout.attack_plan.num_attacks)
            return [Draft(completion.text, completion=completion) for completion in completions]
        exchanges = [(attack, _furthest(answers)) for attack, _, answers in plan.previous.exchanges()]
        shown = int(float(plan.parameters["max_answer_characters"]))
        prompts = [_prompt(plan.bout.seed.conversation, attack, answered, shown) for attack, answered in exchanges]
        return [
            Draft(
                completion.text,
                parent_attack_id=attack.attack_id,
                completion=completion,
                prompt=prompt,
                earlier=_earlier(attack, answered, backtrack=bool(plan.parameters["backtrack"])),
            )
            for (attack, answered), prompt, [completion] in zip(exchanges, prompts, tools.ask(prompts), strict=True)
        ]


def _furthest(answers: Sequence[Answered]) -> Answered | None:
    """The first of the attacks whose answers went furthest; None where the defender was not asked."""
    return max(answers, key=lambda answered: _distance(answered[1]), default=None)


def _distance(verdict: Verdict) -> int:
    if verdict.response_harmful is Label.YES:
        return 3
    return {Refusal.NONE: 2, Refusal.PARTIAL: 1}.get(verdict.refusal, 0)


def _prompt(seed: Conversation, attack: Attack, answered: Answered | None, max_answer_characters: int) -> Conversation:
    """The policy's prompt: the seed, its last message, the answer to it and the verdict."""
    if answered is None:
        came = "no answer"
    else:
        response, verdict = answered
        labels = ", ".join(f"{a.question} {a.label if a.score is None else a.score}" for a in verdict.answers)
        came = f"answer: {response.completion.text[:max_answer_characters]}\nverdict: {labels or 'none'}"
    return Conversation((*seed.messages, _says(Speaker.ASSISTANT, attack.text), _says(Speaker.USER, came)))


def _earlier(attack: Attack, answered: Answered | None, *, backtrack: bool) -> tuple[Message, ...]:
    """The conversation that the next message continues: user and assistant in turn, ending with the assistant."""
    messages = attack.conversation.messages
    if answered is None or (backtrack and answered[1].refusal is Refusal.FULL):
        return messages[:-1]
    return (*messages, _says(Speaker.ASSISTANT, answered[0].completion.text))


def _says(speaker: Speaker, text: str) -> Message:
    return Message(speaker, (Text(text),))
