"""Cross-play: every round's recorded attacks against every round's defender, in the slot of side games."""

from collections.abc import Sequence
from dataclasses import dataclass

from harden.domain.bout import RecordedAttack, Role
from harden.domain.game import EvaluationCase, Suite
from harden.domain.seed import Seed
from harden.trainer.core import results
from harden.trainer.core.history import About, Outcome
from harden.trainer.game.context import GameContext


@dataclass(frozen=True, slots=True)
class CrossPlay:
    round: int

    @property
    def key(self) -> str:
        return f"round-{self.round}/cross-play"

    @property
    def about(self) -> About:
        return About("cross_play", self.round, "every attacker against every defender")

    @property
    def cost(self) -> float:
        return 25.0

    def play(self, context: GameContext) -> Outcome:
        game = context.game
        player = game.players[Role.DEFENDER]
        suites = [
            Suite(str(round_), _cases(attacks, context.material.cross_play), (results.ATTACK_SUCCESS,))
            for round_, attacks in game.attacks_by_round.items()
        ]
        table: list[list[dict[str, int | float]]] = [[] for _ in suites]
        for defender_round, published in sorted(player.by_round.items()):
            policies = {**context.policies(), Role.DEFENDER: context.serve_aside(published, "cross_play").policy}
            rates = context.rates(context.batch(defender_round, 0, self.key, policies), suites)
            for row, suite in zip(table, suites, strict=True):
                row.append(rates[results.ATTACK_SUCCESS][suite.name].to_json())
        matrix = {
            "attackers": list(game.attacks_by_round),
            "defenders": sorted(player.by_round),
            "attack_success": table,
        }
        context.observer.cross_play_ended(matrix)
        return matrix


def _cases(attacks: Sequence[Sequence[str]], seeds: Sequence[Seed]) -> list[EvaluationCase]:
    by_id = {seed.seed_id: seed for seed in seeds}
    by_seed: dict[str, list[RecordedAttack]] = {}
    for seed_id, text, family in attacks:
        by_seed.setdefault(seed_id, []).append(RecordedAttack(text, family))
    return [EvaluationCase(by_id[seed_id], tuple(recorded)) for seed_id, recorded in by_seed.items()]
