"""One sampled bout in, its verdicts out. Knows no broker, no clock, no environment."""

from collections.abc import Mapping

from harden.domain.errors import PoisonError
from harden.domain.judging import AttackCase, Case, ResponseCase
from harden.domain.response import SampledBout
from harden.domain.verdict import ContinuedBout, JudgedBout
from harden.judge.core import quorum
from harden.judge.counting import JudgeMetrics
from harden.judge.panel import Panel


class Judge:
    def __init__(self, panels: Mapping[str, Panel], metrics: JudgeMetrics) -> None:
        self._panels = panels
        self._metrics = metrics

    def handle(self, sampled: SampledBout) -> JudgedBout | ContinuedBout:
        """The bout with a verdict on every attack and every response; to be continued while it has turns left.

        A bout without responses is asked questions on its attacks alone. Raises PoisonError("unknown_panel") where the
        settings lack its panel, TransientError where too few members answer for a quorum.
        """
        panel = self._panels.get(sampled.bout.panel)
        if panel is None:
            raise PoisonError(
                "unknown_panel",
                f"bout {sampled.bout.bout_id} asks for the panel {sampled.bout.panel!r}; the judge's settings "
                f"(HARDEN_JUDGE__PANELS) have {', '.join(sorted(self._panels))}",
            )
        attacks: list[Case] = [AttackCase(sampled.bout.seed, attack) for attack in sampled.attacked.attacks]
        responses: list[Case] = [
            ResponseCase(sampled.bout.seed, attack, response) for attack, answers in sampled.exchanges() for response in answers
        ]
        ballots = panel.ask([*attacks, *responses])
        on_attacks, on_responses = ballots.of_cases[: len(attacks)], ballots.of_cases[len(attacks) :]
        attack_ids = [attack.attack_id for attack in sampled.attacked.attacks]
        response_ids = [response.response_id for response in sampled.responses]
        judged = JudgedBout(
            sampled,
            quorum.verdicts(attack_ids, on_attacks, panel.attack_questions, panel.quorum),
            quorum.verdicts(response_ids, on_responses, panel.response_questions, panel.quorum),
        )
        self._metrics.count(judged, ballots.abstentions)
        return ContinuedBout(judged) if judged.has_turns_left else judged
