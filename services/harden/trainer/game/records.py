"""The figures of each round as the report wants them, gathered while the game is played."""

from collections.abc import Mapping, Sequence
from typing import Any

from harden.domain.bout import RecordedAttack, Role
from harden.domain.policy import PolicyRef
from harden.domain.seed import Seed
from harden.statistics import Rate
from harden.trainer.core.results import Measured
from harden.trainer.game.rundir import RunDir

Rates = Mapping[str, Mapping[str, Rate]]


class Records:
    """One record a round; plain JSON throughout, so that a checkpoint holds it as it is."""

    def __init__(self, run_dir: RunDir, rounds: dict[str, dict[str, Any]] | None = None) -> None:
        self._run_dir = run_dir
        self.rounds: dict[str, dict[str, Any]] = rounds or {}

    def of(self, round_: int) -> dict[str, Any]:
        return self.rounds.setdefault(
            str(round_), {"round": round_, "attacker": {}, "rolled_back": False, "steps": [], "families": {}}
        )

    def step(self, round_: int, role: Role, step: int, figures: Mapping[str, Any]) -> None:
        self.of(round_)["steps"].append({"role": role.value, "step": step, **figures})

    def attacker(self, round_: int, when: str, measured: Measured) -> None:
        """`before` also gives what describes the attacker itself: how diverse, how strict it is."""
        record = self.of(round_)
        record["attacker"][f"success_{when}"] = measured.success.to_json()
        record["attacker"][f"loose_success_{when}"] = measured.loose_success.to_json()
        if when == "before":
            record["attacker"] |= {
                "strict": measured.strict.to_json(),
                "effective_families": round(measured.effective_families, 3),
                "unique_successes": measured.unique_successes,
            }
            record["families"] = {family: dict(counts) for family, counts in measured.families.items()}

    def evaluation(self, round_: int, rates: Rates, policies: Mapping[Role, PolicyRef], seconds: float) -> None:
        record = self.of(round_)
        for measure, by_split in rates.items():
            record[measure] = {split: rate.to_json() for split, rate in by_split.items()}
        record["policies"] = {role.value: policy.digest for role, policy in policies.items()}
        record["evaluation_seconds"] = round(seconds, 3)

    def rolled_back(self, round_: int, breaches: Sequence[str], good_round: int) -> None:
        """What the round ended with is what the last good one ended with; what it had come to stands under `rejected`."""
        record, good = self.of(round_), self.of(good_round)
        figures = ("attack_success", "refusal", "accuracy", "policies")
        record["rejected"] = {key: record[key] for key in figures}
        record |= {key: good[key] for key in figures}
        record["policies"] = {**record["rejected"]["policies"], Role.DEFENDER.value: good["policies"][Role.DEFENDER.value]}
        record["rolled_back"] = True
        record["monitor"] = {"breaches": list(breaches)}

    def close(self, round_: int, bouts: Mapping[str, Any], swaps: Mapping[str, Any]) -> None:
        record = self.of(round_)
        record["bouts"], record["swaps"] = dict(bouts), dict(swaps)
        record.setdefault("monitor", {"breaches": []})
        self._run_dir.round(round_, record)


def attacks_to_json(attacks: Sequence[tuple[Seed, RecordedAttack]]) -> list[list[str]]:
    return [[seed.seed_id, attack.text, attack.family] for seed, attack in attacks]
