"""Publishes what the trainer did: records on the log, progress in the run directory, metrics, one log line per task."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from harden import metrics
from harden.domain.bout import Bout, Purpose
from harden.domain.step import StepFinished
from harden.domain.verdict import JudgedBout
from harden.statistics import Rate
from harden.trainer.algorithms.ports import StepTerms
from harden.trainer.core.history import About, StepKey
from harden.trainer.core.results import Measured, harmful_share
from harden.trainer.game.records import PublishRecord, best_response_finished, cross_play_finished, side_run_finished
from harden.trainer.game.rundir import Progress, RunDir
from harden.trainer.game.state import Game
from harden.trainer.learner.report import StepReport
from harden.trainer.publisher import Published

log = structlog.get_logger()


class Observer:
    def __init__(
        self,
        run_dir: RunDir,
        registry: CollectorRegistry,
        rounds: int,
        now: Callable[[], float],
        *,
        guarded_suite: str,
        algorithms: Mapping[str, str],  # names, by role and for the side run
        run_id: str,
        publish: PublishRecord,
    ) -> None:
        self._algorithms = algorithms
        self._run_id = run_id
        self._publish = publish
        self._guarded_suite = guarded_suite
        self._run_dir = run_dir
        self._rounds = rounds
        self._now = now
        self._progress = Progress("start", 0, rounds, 0, 0, 0, None, 0.0, "")
        self._scheduled = metrics.BOUTS_SCHEDULED.counter(registry)
        self._trained = metrics.BOUTS_TRAINED.counter(registry)
        self._evaluated = metrics.BOUTS_EVALUATED.counter(registry)
        self._dropped = metrics.BOUTS_DROPPED.counter(registry)
        self._expired = metrics.BOUTS_EXPIRED.counter(registry)
        self._num_expired: int | None = None  # of the whole run when last seen, which may be before a restart
        self._outstanding = metrics.BOUTS_OUTSTANDING.gauge(registry)
        self._lag = metrics.VERSION_LAG.histogram(registry)
        self._steps = metrics.STEPS.counter(registry)
        self._step_seconds = metrics.STEP_SECONDS.histogram(registry)
        self._round = metrics.ROUND.gauge(registry)
        self._rollbacks = metrics.ROLLBACKS.counter(registry)
        self._success = metrics.ATTACK_SUCCESS_RATE.gauge(registry)
        self._refusal = metrics.OVER_REFUSAL_RATE.gauge(registry)
        self._zero_variance = metrics.ZERO_VARIANCE_SHARE.gauge(registry)
        self._version = metrics.POLICY_VERSION.gauge(registry)

    def begins(self, about: About, done: float | None, game: Game) -> None:
        """`done`: share of the game, None where it has no end."""
        # What follows the last round is counted as part of it; a game without end has no last one.
        round_ = about.round if done is None else min(about.round, self._rounds)
        self._round.set(round_)
        self._note_expired(game.ledger.num_expired())
        self._progress = Progress(
            phase=about.phase,
            round=round_,
            rounds=self._rounds,
            step=about.step,
            steps=about.steps,
            in_flight=game.ledger.num_open(),
            attack_success=self._progress.attack_success,
            fraction_done=done,
            message=about.message,
        )
        self._run_dir.progress(self._progress)

    def waiting(self, num_missing: int) -> None:
        self._outstanding.set(num_missing)

    def scheduled(self, bouts: Sequence[Bout]) -> None:
        for purpose in Purpose:
            self._scheduled.labels(purpose=purpose.value).inc(sum(bout.purpose is purpose for bout in bouts))
        # `waiting` is first called when one of them has come back, which is too late if none does.
        self._outstanding.inc(len(bouts))

    def answered(self, judged: Sequence[JudgedBout]) -> None:
        """Bouts of an evaluation or measurement came back."""
        self._evaluated.inc(len(judged))

    def learned(
        self,
        key: StepKey,
        report: StepReport,
        learned: StepTerms,
        judged: Sequence[JudgedBout],
        game: Game,
    ) -> None:
        role = key.role.value
        self._trained.labels(role=role).inc(len(judged) - len(learned.dropped))
        for reason in learned.dropped.values():
            self._dropped.labels(reason=reason).inc()
        lags, success = learned.lags, harmful_share(judged)
        for lag in lags:
            self._lag.labels(role=role).observe(lag)
        self._steps.labels(role=role).inc()
        self._step_seconds.labels(role=role).observe(report.seconds)
        self._zero_variance.labels(role=role).set(report.figure("zero_variance_share"))
        figures = {
            "reward_mean": learned.figures.get("reward_mean"),
            "success": success,
            "zero_variance_share": report.figure("zero_variance_share"),
            "kl": report.figure("kl"),
            "entropy": report.figure("entropy"),
            "grad_norm": report.grad_norm if not report.skipped else 0.0,
            "importance_ess": report.figure("is_ess"),
            "lag_max": max(lags, default=0),
            "seconds": report.seconds,
        }
        rounded = {k: _rounded(v) for k, v in figures.items()}
        game.records.step(key.round, key.role, key.step, rounded)
        self._publish(self._step_finished(key, report, learned, len(judged), rounded))
        if success is not None:
            self._note_success(success)
        for note in report.notes:
            log.warning("setting_cannot_act", role=role, note=note)
        if report.skipped:
            log.warning("step_skipped", role=role, round=key.round, step=key.step, reason=report.skipped)
        log.info("learned", role=role, round=key.round, step=key.step, **rounded)

    def _step_finished(
        self, key: StepKey, report: StepReport, learned: StepTerms, num_judged: int, figures: Mapping[str, Any]
    ) -> StepFinished:
        of_terms = {f"{term}.{name}": value for term, by_name in report.terms.items() for name, value in by_name.items()}
        side_run = key.recipe if key.recipe != key.role.value else ""
        return StepFinished(
            run_id=self._run_id,
            role=key.role,
            round=key.round,
            step=key.step,
            algorithm=self._algorithms[key.recipe],
            trained=num_judged - len(learned.dropped),
            dropped=Counter(learned.dropped.values()),
            side_run=side_run,
            skipped=report.skipped,
            # A figure that is no number is left out: the wire takes none, and a step is not undone for want of one.
            figures={name: value for name, value in of_terms.items() if math.isfinite(value)},
            **{name: value for name, value in figures.items() if value is None or math.isfinite(value)},
        )

    def published(self, published: Published) -> None:
        policy = published.policy
        self._version.labels(slot=policy.slot, kind="published").set(policy.version)
        log.info("policy_published", slot=policy.slot, version=policy.version, digest=policy.digest)

    def measured(self, round_: int, when: str, measured: Measured) -> None:
        self._note_success(measured.success.rate)
        log.info("attacker_measured", round=round_, when=when, success=measured.success.rate)

    def evaluated(self, round_: int, rates: Mapping[str, Mapping[str, Rate]]) -> None:
        guarded = rates["refusal"].get(self._guarded_suite)
        if guarded is not None:
            self._refusal.set(guarded.rate)
        flat = {f"{measure}_{split}": round(rate.rate, 3) for measure, by in rates.items() for split, rate in by.items()}
        log.info("evaluated", round=round_, **flat)

    def judged(self, round_: int, breaches: Sequence[object]) -> None:
        for breach in breaches:
            self._rollbacks.labels(reason=getattr(breach, "rule", "limit")).inc()
        log.info("monitor", round=round_, breaches=[str(b) for b in breaches])

    def side_run_ended(self, name: str, record: Mapping[str, Any]) -> None:
        self._publish(side_run_finished(self._run_id, name, record))

    def best_response_ended(self, record: Mapping[str, Any]) -> None:
        self._publish(best_response_finished(self._run_id, record))

    def cross_play_ended(self, matrix: Mapping[str, Any]) -> None:
        self._publish(cross_play_finished(self._run_id, matrix))

    def _note_expired(self, num_expired: int) -> None:
        if self._num_expired is not None:
            self._expired.inc(max(0, num_expired - self._num_expired))
        self._num_expired = num_expired

    def _note_success(self, rate: float) -> None:
        self._success.set(rate)
        self._progress = Progress(**{**_fields(self._progress), "attack_success": rate})


def _fields(progress: Progress) -> dict[str, Any]:
    return {name: getattr(progress, name) for name in Progress.__dataclass_fields__}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
