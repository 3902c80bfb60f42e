"""The figures of each round, gathered while the game is played and published when the round is over."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harden.domain.bout import RecordedAttack, Role
from harden.domain.policy import PolicyRef
from harden.domain.rate import Rate
from harden.domain.round import (
    AdaptiveAttack,
    AttackerFigures,
    BestResponseFinished,
    BoutAccount,
    CrossPlayFinished,
    FamilyFigures,
    Rates,
    Rejected,
    RoundFinished,
    RunFinished,
    SideRunFinished,
    SwapAccount,
)
from harden.domain.seed import Seed
from harden.domain.step import StepFinished
from harden.trainer.core.results import RECORDED_MEASURES, Measured, to_json
from harden.trainer.game.rundir import RunDir

Record = StepFinished | RoundFinished | SideRunFinished | BestResponseFinished | CrossPlayFinished | RunFinished
# Returns when the log has the record.
PublishRecord = Callable[[Record], None]
_ATTACKER_RATES = ("success_before", "success_after", "loose_success_before", "loose_success_after", "strict")


class Records:
    """One record a round; plain JSON throughout, so that a checkpoint holds it as it is.

    The published record is authoritative; a round's file in the run directory is a copy.
    """

    def __init__(self, run_dir: RunDir, run_id: str, publish: PublishRecord) -> None:
        self._run_dir = run_dir
        self._run_id = run_id
        self._publish = publish
        self.rounds: dict[str, dict[str, Any]] = {}

    def of(self, round_: int) -> dict[str, Any]:
        return self.rounds.setdefault(
            str(round_),
            {"round": round_, "attacker": {}, "rolled_back": False, "monitor": {"breaches": []}, "steps": [], "families": {}},
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
        record |= to_json(rates)
        record["policies"] = {role.value: policy.digest for role, policy in policies.items()}
        record["evaluation_seconds"] = round(seconds, 3)

    def checked(
        self, round_: int, attempt: int, breaches: Sequence[str], rates: Rates, policies: Mapping[Role, PolicyRef]
    ) -> None:
        """The monitor's decision on an attempt: rejected where a limit is broken. Of several rejected ones the last is kept."""
        record = self.of(round_)
        if not breaches:
            return
        record["rolled_back"] = True
        record["monitor"]["breaches"] += [f"attempt {attempt + 1}: {breach}" for breach in breaches]
        record["rejected"] = {
            **to_json(rates),
            "policies": {role.value: policy.digest for role, policy in policies.items()},
        }

    def close(self, round_: int, bouts: Mapping[str, Any], swaps: Mapping[str, Any]) -> None:
        record = self.of(round_)
        record["bouts"], record["swaps"] = dict(bouts), dict(swaps)
        self._publish(round_finished(self._run_id, record))
        self._run_dir.round(round_, record)

    def run_ended(self, seed: int, failed: str | None, play_seconds: float) -> None:
        self._publish(RunFinished(self._run_id, seed, failed, play_seconds))


def round_finished(run_id: str, record: Mapping[str, Any]) -> RoundFinished:
    swaps, attacker = record["swaps"], record["attacker"]
    return RoundFinished(
        run_id=run_id,
        round=record["round"],
        rates=_rates(record),
        attacker=AttackerFigures(
            **{name: Rate(**attacker[name]) for name in _ATTACKER_RATES if name in attacker},
            effective_families=attacker.get("effective_families"),
            unique_successes=attacker.get("unique_successes"),
        ),
        families={family: FamilyFigures(**counts) for family, counts in record["families"].items()},
        policies=_policies(record),
        bouts=BoutAccount(**record["bouts"]),
        swaps=SwapAccount(
            **{name: swaps[name] for name in ("count", "refused", "requests", "failed")},
            publish_to_served_p50_ms=swaps["publish_to_served_ms"]["p50"],
            publish_to_served_max_ms=swaps["publish_to_served_ms"]["max"],
            steady_p99_ms=swaps["latency_ms"]["steady_p99"],
            during_swap_p99_ms=swaps["latency_ms"]["during_swap_p99"],
        ),
        breaches=tuple(record["monitor"]["breaches"]),
        rejected=Rejected(_rates(record["rejected"]), _policies(record["rejected"])) if record["rolled_back"] else None,
        evaluation_seconds=record["evaluation_seconds"],
    )


def side_run_finished(run_id: str, name: str, record: Mapping[str, Any]) -> SideRunFinished:
    return SideRunFinished(
        run_id=run_id,
        name=name,
        steps=record["steps"],
        refusal=Rate(**record["refusal"]),
        accuracy=Rate(**record["accuracy"]),
        breaches=tuple(record["breaches"]),
        bouts=BoutAccount(**record["bouts"]),
    )


def best_response_finished(run_id: str, record: Mapping[str, Any]) -> BestResponseFinished:
    attacks = [
        AdaptiveAttack(
            goals=name,
            before=Rate(**one["before"]["success"]),
            after=Rate(**one["after"]["success"]),
            best=Rate(**one["after"]["best"]),
            effective_families=one["after"]["effective_families"],
            on_goal=Rate(**one["after"]["on_goal"]),
        )
        for name, one in record["attacks"].items()
    ]
    return BestResponseFinished(run_id, record["steps"], record["best_of"], tuple(attacks))


def cross_play_finished(run_id: str, matrix: Mapping[str, Any]) -> CrossPlayFinished:
    rows = tuple(tuple(Rate(**rate) for rate in row) for row in matrix["attack_success"])
    return CrossPlayFinished(run_id, tuple(matrix["attackers"]), tuple(matrix["defenders"]), rows)


def attacks_to_json(attacks: Sequence[tuple[Seed, RecordedAttack]]) -> list[list[str]]:
    return [[seed.seed_id, attack.text, attack.family] for seed, attack in attacks]


def _rates(record: Mapping[str, Any]) -> Rates:
    return {m: {suite: Rate(**rate) for suite, rate in record[m].items()} for m in RECORDED_MEASURES if m in record}


def _policies(record: Mapping[str, Any]) -> dict[Role, str]:
    return {Role(role): digest for role, digest in record["policies"].items()}
