"""The trainer's loop: take the next task of the game, do it, save everything, go on."""

import time
from collections.abc import Callable, Mapping, Sequence

from harden.domain.bout import Bout, RecordedAttack, Role
from harden.domain.completion import Sampling
from harden.domain.game import EvaluationCase, Suite
from harden.domain.policy import PolicyRef
from harden.domain.seed import Seed
from harden.domain.verdict import JudgedBout
from harden.statistics import Rate
from harden.trainer.algorithms.ports import Algorithm, BoutRequest, StepContext
from harden.trainer.checkpoint import Checkpoints
from harden.trainer.core import monitor, plan, results, schedule
from harden.trainer.core.ledger import End
from harden.trainer.core.schedule import EndArm, Evaluate, Learn, Matrix, MeasureAttacker, Monitor, Publish, StartArm, Task
from harden.trainer.experiment import Experiment
from harden.trainer.game import ATTACKER, DEFENDER, Game
from harden.trainer.inbox import Inbox
from harden.trainer.observing import Observer
from harden.trainer.player import Player
from harden.trainer.publisher import Published, Publisher
from harden.trainer.ring import Ring

SeedPool = Mapping[str, Sequence[Seed]]
Suites = Sequence[Suite]
# Rows per attacker and defender of the matrix.
MATRIX_ROWS = 88
ATTACKS = (results.ATTACK_SUCCESS,)


class Trainer:
    def __init__(
        self,
        experiment: Experiment,
        game: Game,
        *,
        seeds: SeedPool,
        attacked: Sequence[Seed],
        suites: Suites,
        suites_between: Suites,
        guarded_suite: str,
        side_run_suite: str,
        algorithms: Mapping[str, Algorithm],  # by role, and the arm's
        ring: Ring,
        inbox: Inbox,
        publisher: Publisher,
        checkpoints: Checkpoints,
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.game = game
        self._experiment = experiment
        self.tasks = schedule.tasks(experiment.lengths)
        self._seeds = seeds
        self._suites = suites
        self._suites_between = suites_between
        self._attacked = attacked
        self._guarded_suite = guarded_suite
        self._side_run_suite = side_run_suite
        self._algorithms = algorithms
        self._ring = ring
        self._inbox = inbox
        self._publisher = publisher
        self._checkpoints = checkpoints
        self._observer = observer
        self._clock = clock

    def run(self, until: int | None = None) -> None:
        """Plays what is left of the game, or what is left before task `until`.

        Raises Stopped where the process is asked to end; nothing done is lost by it.
        """
        end = len(self.tasks) if until is None else until
        while self.game.position < end:
            began = self._clock()
            task = self.tasks[self.game.position]
            self._observer.begins(task, self.game)
            self._play(task)
            self.game.position += 1
            self.game.play_seconds += self._clock() - began
            self.game.save(self._checkpoints, self._ring.offsets())

    def _play(self, task: Task) -> None:
        match task:
            case Publish():
                self._publish(task)
            case Learn():
                self._learn(task)
            case MeasureAttacker():
                self._measure(task)
            case Evaluate():
                self._evaluate(task)
            case Monitor():
                self._monitor(task)
            case StartArm():
                self._start_arm()
            case EndArm():
                self._end_arm()
            case Matrix():
                self._matrix()

    # Learning

    def _learn(self, task: Learn) -> None:
        """One step: schedule it and what may be in flight beside it, take what came back, learn, close the account."""
        self.schedule_ahead()
        judged = self._take(self.game.scheduled.pop(self.game.position))
        side = self.game.sides[task.role]
        context = StepContext(self.game.run_id, task.round, task.step, self._seeds, side.lag_of)
        learned = self._algorithms[_learner_of(task)].terms(judged, context)
        report = side.step(learned.terms)
        if report.skipped and not report.moved:
            learned = learned.without(judged, report.skipped)
        for bout in judged:
            reason = learned.dropped.get(bout.bout.bout_id)
            self.game.ledger.end(bout.bout.bout_id, End.DROPPED if reason else End.TRAINED, reason or "")
        self.game.pool.add(results.successes(judged))
        self._observer.learned(task, report, learned, judged, self.game)

    def schedule_ahead(self) -> None:
        """Puts the bouts of the step at the position, and of those that may be in flight beside it, on the ring."""
        for step in schedule.steps_ahead(self.tasks, self.game.position, self._experiment.schedule.in_flight_steps):
            self._schedule(step)

    def _schedule(self, task: Learn) -> None:
        index = self.tasks.index(task)
        if index in self.game.scheduled:
            return
        bouts = self._training_bouts(task)
        self.game.ledger.schedule([bout.bout_id for bout in bouts], task.round)
        self._ring.schedule(bouts)
        self._observer.scheduled(bouts)
        self.game.scheduled[index] = [bout.bout_id for bout in bouts]

    def _training_bouts(self, task: Learn) -> list[Bout]:
        moment = self._moment(task.round, task.step, _learner_of(task))
        return self._algorithms[_learner_of(task)].bouts(BoutRequest(moment, self._seeds, self.game.pool.sample))

    # Publishing

    def _publish(self, task: Publish) -> None:
        side = self.game.sides[task.role]
        published = side.publish(self._publisher, round_=task.round, reason=task.reason)
        if task.reason == "start":
            side.by_round[0] = published
            if task.role is DEFENDER:
                self.game.remember_defender("first", "first")
                self.game.remember_defender("good", "first")
                self._serve(side.publish_stable(self._publisher, self._experiment.policies.slots.stable))
        self._observer.published(published)
        if task.wait:
            self._serve(published)

    def _go_back(self, side: Player, to: Published, reason: str) -> Published:
        """Publishes an older policy again, under a new version, and waits until that is served."""
        published = side.go_back(self._publisher, to, reason)
        self._observer.published(published)
        self._serve(published)
        return published

    def _serve(self, published: Published) -> None:
        self._inbox.wait_until_served(published.policy, self._experiment.schedule.serve_timeout_s)

    # Measuring

    def _measure(self, task: MeasureAttacker) -> None:
        rng = self._moment(0, 0, "measure").rng("seeds")
        seeds = plan.draw({"attacked": self._attacked}, "attacked", self._experiment.measure.seeds, rng)
        bouts = plan.measuring_bouts(
            self._moment(task.round, 0, f"measure_{task.when}"),
            seeds,
            self._experiment.measure.attacks_per_seed,
            self._experiment.sampling.attack.sampling(),
            self._greedy(),
        )
        measured = results.measured(self._ask(bouts), self._experiment.seed)
        self.game.pool.add(measured.successes)
        self.game.records.attacker(task.round, task.when, measured)
        self._observer.measured(task, measured)
        if task.when == "before":
            per_seed = max(1, MATRIX_ROWS // len(seeds))
            self.game.attacks_by_round[task.round - 1] = _first_of_each_seed(measured.attacks, per_seed)
        if (task.round, task.when) == (1, "before"):
            # Before any hardening there is one attacker and one defender: before and after are the same.
            self.game.records.attacker(0, "before", measured)
            self.game.records.attacker(0, "after", measured)
            self._close_round(0)

    def _evaluate(self, task: Evaluate) -> None:
        began = self._clock()
        is_between = 0 < task.round < self._experiment.schedule.rounds
        suites = self._suites_between if is_between else self._suites
        rates = self._rates(self._moment(task.round, 0, "evaluate"), suites)
        self.game.records.evaluation(task.round, rates, self._policies(), self._clock() - began)
        self.game.sides[ATTACKER].by_round[task.round] = self._current(ATTACKER)
        self.game.sides[DEFENDER].by_round[task.round] = self._current(DEFENDER)
        self._observer.evaluated(task.round, rates)

    def _rates(self, moment: plan.Moment, suites: Suites) -> dict[str, dict[str, Rate]]:
        judged = self._ask(plan.evaluation_bouts(moment, suites, self._greedy()))
        return results.rates(judged, {s.name: s.measures for s in suites}, self._experiment.seed)

    # The monitor

    def _monitor(self, task: Monitor) -> None:
        breaches = monitor.breaches(self.game.records.of(task.round), self._experiment.monitor.limits(), self._guarded_suite)
        if breaches:
            good = self._roll_back()
            self.game.sides[DEFENDER].by_round[task.round] = good
            self.game.records.rolled_back(task.round, [str(b) for b in breaches], self.game.good_round)
        else:
            self.game.good_round = task.round
            self.game.remember_defender("good", f"round-{task.round}")
        self._observer.judged(task.round, breaches)
        self._close_round(task.round)

    def _roll_back(self) -> Published:
        """The defender of the last good round again: in the learner, on the topic, in Triton."""
        side = self.game.sides[DEFENDER]
        good = side.by_round[self.game.good_round]
        side.load(self.game.saved["good"].path)
        return self._go_back(side, good, "rollback")

    def _close_round(self, round_: int) -> None:
        self.game.records.close(round_, self.game.ledger.account(round_).to_json(), self._publisher.swaps.to_json())
        self._publisher.open_account()
        self.game.ledger.forget_before(round_)

    # The monitor's arm: what happens without benign prompts

    def _start_arm(self) -> None:
        side = self.game.sides[DEFENDER]
        side.load(self.game.saved["first"].path)
        self._go_back(side, side.by_round[0], "monitor_arm")

    def _end_arm(self) -> None:
        arm = self._experiment.schedule.rounds + 1
        suites = [suite for suite in self._suites if suite.name == self._side_run_suite]
        rates = self._rates(self._moment(arm, 0, "evaluate_arm"), suites)
        record = {measure: {split: rate.to_json() for split, rate in by.items()} for measure, by in rates.items()}
        breaches = monitor.breaches(record, self._experiment.monitor.limits(), self._side_run_suite)
        if breaches:
            self._roll_back()
        self._observer.arm_ended(
            {
                "refusal_ordinary": rates["refusal"][self._side_run_suite].to_json(),
                "accuracy_ordinary": rates["accuracy"][self._side_run_suite].to_json(),
                "rolled_back": bool(breaches),
                "breaches": [str(b) for b in breaches],
                "steps": self._experiment.lengths.arm_steps,
                "bouts": self.game.ledger.account(arm).to_json(),
            }
        )

    # The matrix

    def _matrix(self) -> None:
        side = self.game.sides[DEFENDER]
        final = self._current(DEFENDER)
        table: list[list[dict[str, int | float]]] = [[] for _ in self.game.attacks_by_round]
        for defender_round, published in sorted(side.by_round.items()):
            self._go_back(side, published, "matrix")
            suites = [Suite(str(r), self._cases(attacks), ATTACKS) for r, attacks in self.game.attacks_by_round.items()]
            rates = self._rates(self._moment(defender_round, 0, "matrix"), suites)
            for row, attacker_round in zip(table, self.game.attacks_by_round, strict=True):
                row.append(rates["attack_success"][str(attacker_round)].to_json())
        self._go_back(side, final, "matrix_end")
        self._observer.matrix_ended(
            {"attackers": list(self.game.attacks_by_round), "defenders": sorted(side.by_round), "attack_success": table}
        )

    def _cases(self, attacks: Sequence[Sequence[str]]) -> list[EvaluationCase]:
        by_id = {seed.seed_id: seed for seed in self._attacked}
        by_seed: dict[str, list[RecordedAttack]] = {}
        for seed_id, text, family in attacks:
            by_seed.setdefault(seed_id, []).append(RecordedAttack(text, family))
        return [EvaluationCase(by_id[seed_id], tuple(recorded)) for seed_id, recorded in by_seed.items()]

    # Asking the ring

    def _ask(self, bouts: Sequence[Bout]) -> list[JudgedBout]:
        """Bouts nobody learns from, there and back."""
        bout_ids = [bout.bout_id for bout in bouts]
        self._inbox.expect(bout_ids)
        self._ring.schedule(bouts)
        self._observer.scheduled(bouts)
        judged = self._take(bout_ids)
        self._observer.answered(judged)
        return judged

    def _take(self, bout_ids: Sequence[str]) -> list[JudgedBout]:
        return self._inbox.take(bout_ids, self._experiment.schedule.bout_timeout_s, self._observer.waiting)

    def _moment(self, round_: int, step: int, name: str) -> plan.Moment:
        return plan.Moment(self.game.run_id, round_, step, name, self._policies(), self._experiment.panel)

    def _policies(self) -> dict[Role, PolicyRef]:
        return {role: self._current(role).policy for role in Role}

    def _current(self, role: Role) -> Published:
        current = self.game.sides[role].current
        assert current is not None, "the schedule begins with publications"
        return current

    def _greedy(self) -> Sampling:
        return Sampling(self._experiment.sampling.response.max_tokens, temperature=0.0)


def _learner_of(task: Learn) -> str:
    """Whose recipe a step follows; steps of different ones have different bouts."""
    return schedule.ARM if task.arm else task.role.value


def _first_of_each_seed(attacks: Sequence[tuple[Seed, RecordedAttack]], per_seed: int) -> list[list[str]]:
    taken: dict[str, int] = {}
    chosen = []
    for seed, attack in attacks:
        if taken.get(seed.seed_id, 0) < per_seed:
            taken[seed.seed_id] = taken.get(seed.seed_id, 0) + 1
            chosen.append([seed.seed_id, attack.text, attack.family])
    return chosen
