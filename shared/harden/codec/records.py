"""What the trainer records of steps, rounds and runs <-> its messages. `write_x` and `read_x` as in harden.codec.common."""

from collections.abc import Iterable
from typing import Any

from harden.codec.enums import ROLE
from harden.domain.rate import Rate
from harden.domain.round import (
    AdaptiveAttack,
    AttackerFigures,
    BestResponseFinished,
    BoutAccount,
    CrossPlayFinished,
    FamilyFigures,
    Policies,
    Rates,
    Rejected,
    RoundFinished,
    RunFinished,
    SideRunFinished,
    SwapAccount,
)
from harden.domain.step import StepFinished
from harden.round.v1 import round_pb2
from harden.step.v1 import step_pb2

_STEP_FIGURES = ("reward_mean", "success", "zero_variance_share", "kl", "entropy", "grad_norm", "importance_ess")
_ATTACKER_RATES = ("success_before", "success_after", "loose_success_before", "loose_success_after", "strict")
_ATTACKER_NUMBERS = ("effective_families", "unique_successes")
_SWAP_COUNTS = ("count", "refused", "requests", "failed")
_SWAP_TIMES = ("publish_to_served_p50_ms", "publish_to_served_max_ms", "steady_p99_ms", "during_swap_p99_ms")
_BOUT_COUNTS = ("scheduled", "trained", "dead_lettered", "expired")


def write_step(into: step_pb2.StepFinished, fact: StepFinished) -> None:
    into.run_id = fact.run_id
    into.role = ROLE.number[fact.role]
    into.round = fact.round
    into.step = fact.step
    into.algorithm = fact.algorithm
    into.side_run = fact.side_run
    into.skipped = fact.skipped
    _write_present(into, fact, _STEP_FIGURES)
    into.lag_max = fact.lag_max
    into.figures.update(fact.figures)
    into.trained = fact.trained
    into.dropped.update(fact.dropped)
    into.seconds = fact.seconds


def read_step(message: step_pb2.StepFinished) -> StepFinished:
    return StepFinished(
        run_id=message.run_id,
        role=ROLE.member[message.role],
        round=message.round,
        step=message.step,
        algorithm=message.algorithm,
        trained=message.trained,
        seconds=message.seconds,
        dropped=dict(message.dropped),
        side_run=message.side_run,
        skipped=message.skipped,
        lag_max=message.lag_max,
        figures=dict(message.figures),
        **_present(message, _STEP_FIGURES),
    )


def write_round(into: round_pb2.RoundFinished, fact: RoundFinished) -> None:
    into.run_id = fact.run_id
    into.round = fact.round
    _write_rates(into.rates, fact.rates)
    into.attacker.SetInParent()
    for name in _ATTACKER_RATES:
        rate = getattr(fact.attacker, name)
        if rate is not None:
            _write_rate(getattr(into.attacker, name), rate)
    _write_present(into.attacker, fact.attacker, _ATTACKER_NUMBERS)
    for family, figures in fact.families.items():
        into.families.add(family=family, attempts=figures.attempts, successes=figures.successes)
    _write_policies(into.policies, fact.policies)
    _write_bouts(into.bouts, fact.bouts)
    into.swaps.SetInParent()
    for name in _SWAP_COUNTS:
        setattr(into.swaps, name, getattr(fact.swaps, name))
    _write_present(into.swaps, fact.swaps, _SWAP_TIMES)
    into.breaches.extend(fact.breaches)
    if fact.rejected is not None:
        into.rejected.SetInParent()
        _write_rates(into.rejected.rates, fact.rejected.rates)
        _write_policies(into.rejected.policies, fact.rejected.policies)
    into.evaluation_seconds = fact.evaluation_seconds


def read_round(message: round_pb2.RoundFinished) -> RoundFinished:
    rates = {name: _read_rate(rate) for name, rate in _present(message.attacker, _ATTACKER_RATES).items()}
    numbers = _present(message.attacker, _ATTACKER_NUMBERS)
    rejected = Rejected(_read_rates(message.rejected.rates), _read_policies(message.rejected.policies))
    return RoundFinished(
        run_id=message.run_id,
        round=message.round,
        rates=_read_rates(message.rates),
        attacker=AttackerFigures(**{**rates, **numbers}),
        families={one.family: FamilyFigures(one.attempts, one.successes) for one in message.families},
        policies=_read_policies(message.policies),
        bouts=_read_bouts(message.bouts),
        swaps=SwapAccount(
            **{name: getattr(message.swaps, name) for name in _SWAP_COUNTS}, **_present(message.swaps, _SWAP_TIMES)
        ),
        breaches=tuple(message.breaches),
        rejected=rejected if message.HasField("rejected") else None,
        evaluation_seconds=message.evaluation_seconds,
    )


def write_side_run(into: round_pb2.SideRunFinished, fact: SideRunFinished) -> None:
    into.run_id = fact.run_id
    into.name = fact.name
    into.steps = fact.steps
    _write_rate(into.refusal, fact.refusal)
    _write_rate(into.accuracy, fact.accuracy)
    into.breaches.extend(fact.breaches)
    _write_bouts(into.bouts, fact.bouts)


def read_side_run(message: round_pb2.SideRunFinished) -> SideRunFinished:
    return SideRunFinished(
        run_id=message.run_id,
        name=message.name,
        steps=message.steps,
        refusal=_read_rate(message.refusal),
        accuracy=_read_rate(message.accuracy),
        breaches=tuple(message.breaches),
        bouts=_read_bouts(message.bouts),
    )


def write_best_response(into: round_pb2.BestResponseFinished, fact: BestResponseFinished) -> None:
    into.run_id = fact.run_id
    into.steps = fact.steps
    into.best_of = fact.best_of
    for one in fact.attacks:
        out = into.attacks.add(goals=one.goals, effective_families=one.effective_families)
        _write_rate(out.before, one.before)
        _write_rate(out.after, one.after)
        _write_rate(out.best, one.best)
        _write_rate(out.on_goal, one.on_goal)


def read_best_response(message: round_pb2.BestResponseFinished) -> BestResponseFinished:
    attacks = tuple(
        AdaptiveAttack(
            goals=one.goals,
            before=_read_rate(one.before),
            after=_read_rate(one.after),
            best=_read_rate(one.best),
            effective_families=one.effective_families,
            on_goal=_read_rate(one.on_goal),
        )
        for one in message.attacks
    )
    return BestResponseFinished(message.run_id, message.steps, message.best_of, attacks)


def write_cross_play(into: round_pb2.CrossPlayFinished, fact: CrossPlayFinished) -> None:
    into.run_id = fact.run_id
    into.attackers.extend(fact.attackers)
    into.defenders.extend(fact.defenders)
    for row in fact.attack_success:
        out = into.rows.add()
        for rate in row:
            _write_rate(out.attack_success.add(), rate)


def read_cross_play(message: round_pb2.CrossPlayFinished) -> CrossPlayFinished:
    return CrossPlayFinished(
        run_id=message.run_id,
        attackers=tuple(message.attackers),
        defenders=tuple(message.defenders),
        attack_success=tuple(tuple(_read_rate(rate) for rate in row.attack_success) for row in message.rows),
    )


def write_run(into: round_pb2.RunFinished, fact: RunFinished) -> None:
    into.run_id = fact.run_id
    into.seed = fact.seed
    if fact.failed is not None:
        into.failed = fact.failed
    into.play_seconds = fact.play_seconds


def read_run(message: round_pb2.RunFinished) -> RunFinished:
    failed = message.failed if message.HasField("failed") else None
    return RunFinished(run_id=message.run_id, seed=message.seed, failed=failed, play_seconds=message.play_seconds)


def _write_rate(into: round_pb2.Rate, rate: Rate) -> None:
    into.SetInParent()
    into.k, into.n = rate.k, rate.n
    into.rate, into.low, into.high = rate.rate, rate.low, rate.high


def _read_rate(message: round_pb2.Rate) -> Rate:
    return Rate(message.k, message.n, message.rate, message.low, message.high)


def _write_rates(into: Any, rates: Rates) -> None:
    for measure, by_suite in rates.items():
        for suite, rate in by_suite.items():
            _write_rate(into.add(measure=measure, suite=suite).rate, rate)


def _read_rates(messages: Iterable[round_pb2.SuiteRate]) -> Rates:
    rates: dict[str, dict[str, Rate]] = {}
    for message in messages:
        rates.setdefault(message.measure, {})[message.suite] = _read_rate(message.rate)
    return rates


def _write_policies(into: Any, policies: Policies) -> None:
    for role, digest in policies.items():
        into.add(role=ROLE.number[role], digest=digest)


def _read_policies(messages: Iterable[round_pb2.RolePolicy]) -> Policies:
    return {ROLE.member[message.role]: message.digest for message in messages}


def _write_bouts(into: round_pb2.BoutAccount, bouts: BoutAccount) -> None:
    into.SetInParent()
    for name in _BOUT_COUNTS:
        setattr(into, name, getattr(bouts, name))
    into.dropped.update(bouts.dropped)


def _read_bouts(message: round_pb2.BoutAccount) -> BoutAccount:
    return BoutAccount(dropped=dict(message.dropped), **{name: getattr(message, name) for name in _BOUT_COUNTS})


def _write_present(into: Any, owner: Any, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(owner, name)
        if value is not None:
            setattr(into, name, value)


def _present(message: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names if message.HasField(name)}
