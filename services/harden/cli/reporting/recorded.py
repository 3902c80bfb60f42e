"""Reads the parts of a report from the log of a run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from harden import codec
from harden.bus.ports import Bus
from harden.cli.reporting.schema import BestResponse, Exchange, Matrix, Round, SideRun, SuitePart
from harden.domain.game import Split
from harden.domain.round import (
    BestResponseFinished,
    CrossPlayFinished,
    Policies,
    Rates,
    RoundFinished,
    RunFinished,
    SideRunFinished,
)
from harden.domain.step import StepFinished
from harden.local import examples
from harden.topics import ROUNDS, STEPS, by_name
from harden.trainer.core import results
from harden.trainer.experiment import Experiment, run_id_of
from harden.worlds import registry

MEASURES = (
    results.ATTACK_SUCCESS,
    results.ATTACK_ANY,
    *results.SAMPLED_MEASURES.values(),
    results.REFUSAL,
    results.ACCURACY,
)
MAX_RECORDS = 2000


@dataclass(frozen=True, slots=True)
class Recorded:
    """The newest record of each id. The default is a run without records."""

    rounds: tuple[Round, ...] = ()
    best_response: Mapping[str, BestResponse] = field(default_factory=dict)
    side_run: SideRun | None = None
    matrix: Matrix | None = None
    ending: RunFinished | None = None  # None: it has not ended, or was killed
    examples: tuple[Exchange, ...] = ()
    suites: Mapping[str, SuitePart] = field(default_factory=dict)  # those of the world, in its order
    split: str = Split.FINAL


def read_run(bus: Bus, experiment: Experiment) -> Recorded:
    """Everything a report shows of the experiment's run, as far as it has come."""
    # One row of each: only names and titles are needed.
    suites = {
        suite.name: SuitePart(title=suite.title, is_headline=suite.is_headline)
        for suite in registry.load(experiment.world).suites(experiment.evaluation.split, 1)
    }
    recorded = of_facts(_facts(bus, run_id_of(experiment)), tuple(examples.pick(bus, experiment)))
    return replace(recorded, suites=suites, split=experiment.evaluation.split)


def of_facts(facts: Iterable[Any], shown: tuple[Exchange, ...] = ()) -> Recorded:
    """`facts` in the order of the log: of two records with the same id the later one counts."""
    newest = list({fact.record_id: fact for fact in facts}.values())
    steps = [one for one in newest if isinstance(one, StepFinished) and not one.side_run]
    rounds = sorted((one for one in newest if isinstance(one, RoundFinished)), key=lambda one: one.round)
    return Recorded(
        rounds=tuple(_round(one, [step for step in steps if step.round == one.round]) for one in rounds),
        best_response=next((_best_response(one) for one in newest if isinstance(one, BestResponseFinished)), {}),
        side_run=next((_side_run(one) for one in newest if isinstance(one, SideRunFinished)), None),
        matrix=next((_matrix(one) for one in newest if isinstance(one, CrossPlayFinished)), None),
        ending=next((one for one in newest if isinstance(one, RunFinished)), None),
        examples=shown,
    )


def _facts(bus: Bus, run_id: str) -> Iterator[Any]:
    reader = bus.log_reader([STEPS.name, ROUNDS.name], client_id="cli.report")
    try:
        while not reader.caught_up():
            for message in reader.poll(0.2, MAX_RECORDS):
                if message.key == run_id.encode():
                    yield codec.from_message(by_name(message.topic), message).fact
    finally:
        reader.close()


def _round(one: RoundFinished, steps: Iterable[StepFinished]) -> Round:
    swaps = one.swaps
    content = {
        "round": one.round,
        **_rates(one.rates),
        "attacks": _outcomes(one.rates),
        "undecided": {measure: _by_suite(one.rates, beside) for measure, beside in results.UNDECIDED_MEASURES.items()},
        "attacker": {name: value for name, value in asdict(one.attacker).items() if value is not None},
        "policies": _policies(one.policies),
        "rolled_back": one.rejected is not None,
        "monitor": {"breaches": list(one.breaches)},
        "bouts": {**asdict(one.bouts), "dropped": dict(sorted(one.bouts.dropped.items()))},
        "swaps": {
            "count": swaps.count,
            "refused": swaps.refused,
            "requests": swaps.requests,
            "failed": swaps.failed,
            "publish_to_served_ms": {"p50": swaps.publish_to_served_p50_ms, "max": swaps.publish_to_served_max_ms},
            "latency_ms": {"steady_p99": swaps.steady_p99_ms, "during_swap_p99": swaps.during_swap_p99_ms},
        },
        "steps": [_step(step) for step in steps],
        "families": {family: asdict(figures) for family, figures in one.families.items()},
        "evaluation_seconds": one.evaluation_seconds,
    }
    if one.rejected is not None:
        measured = {measure: by_suite for measure, by_suite in _rates(one.rejected.rates).items() if by_suite}
        content["rejected"] = {**measured, "policies": _policies(one.rejected.policies)}
    return Round.model_validate(content)


def _step(step: StepFinished) -> dict[str, Any]:
    named = ("reward_mean", "success", "zero_variance_share", "kl", "entropy", "grad_norm", "importance_ess", "lag_max")
    return {
        "role": step.role.value,
        "step": step.step,
        "algorithm": step.algorithm,
        **{name: getattr(step, name) for name in (*named, "seconds")},
    }


def _best_response(one: BestResponseFinished) -> dict[str, BestResponse]:
    return {
        attack.goals: BestResponse.model_validate(
            {
                "before": attack.before.to_json(),
                "after": attack.after.to_json(),
                f"best_of_{one.best_of}": attack.best.to_json(),
                "steps": one.steps,
                "families": attack.effective_families,
                "on_goal": attack.on_goal.to_json(),
            }
        )
        for attack in one.attacks
    }


def _side_run(one: SideRunFinished) -> SideRun:
    return SideRun.model_validate(
        {
            "refusal_ordinary": one.refusal.to_json(),
            "accuracy_ordinary": one.accuracy.to_json(),
            "rolled_back": bool(one.breaches),
            "breaches": list(one.breaches),
            "steps": one.steps,
            "bouts": asdict(one.bouts),
        }
    )


def _matrix(one: CrossPlayFinished) -> Matrix:
    rows = [[rate.to_json() for rate in row] for row in one.attack_success]
    return Matrix.model_validate({"attackers": one.attackers, "defenders": one.defenders, "attack_success": rows})


def _rates(rates: Rates) -> dict[str, dict[str, dict[str, int | float]]]:
    return {m: _by_suite(rates, m) for m in MEASURES}


def _by_suite(rates: Rates, measure: str) -> dict[str, dict[str, int | float]]:
    return {suite: rate.to_json() for suite, rate in rates.get(measure, {}).items()}


def _outcomes(rates: Rates) -> dict[str, dict[str, Any]]:
    """By suite, then by outcome; none of a run that was recorded before there were outcomes."""
    names = [measure.removeprefix("attack_") for measure in results.OUTCOME_MEASURES]
    suites = rates.get(results.OUTCOME_MEASURES[0], {})
    return {suite: {name: rates[f"attack_{name}"][suite].to_json() for name in names} for suite in suites}


def _policies(policies: Policies) -> dict[str, str]:
    return {role.value: digest for role, digest in policies.items()}
