"""A short game with fake learners on a bus that answers by itself, for tests of the trainer below the loop."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from prometheus_client import CollectorRegistry

from harden import plugins
from harden.bus.ports import Bus
from harden.domain.bout import RecordedAttack, Role
from harden.domain.conversation import Conversation
from harden.domain.game import EvaluationCase, Suite
from harden.domain.seed import SeedLabel
from harden.store.object_store import ObjectStore
from harden.store.policy_log import PolicyLog
from harden.store.signing import SIGNING_KEY_FILE, Signer, generate_keypair
from harden.threads import Stop
from harden.trainer import experiment as experiments
from harden.trainer.algorithms.ports import Algorithm, Equipment
from harden.trainer.core.replay import ReplayPool
from harden.trainer.experiment import AlgorithmChoice, Experiment, run_id_of
from harden.trainer.game.checkpoint import Checkpoints
from harden.trainer.game.context import SIDE_RUN, GameContext, Material
from harden.trainer.game.observing import Observer
from harden.trainer.game.player import Player
from harden.trainer.game.records import Record, Records
from harden.trainer.game.rundir import RunDir
from harden.trainer.game.schedules.ports import Schedule
from harden.trainer.game.state import Game
from harden.trainer.game.trainer import Trainer
from harden.trainer.inbox import Inbox
from harden.trainer.learner.learner import Learner
from harden.trainer.publisher import Publisher
from harden.trainer.ring import SERVICE, Ring
from harden.worlds.arena.bundle import Arena
from tests.support.answering import AnsweringBus
from tests.support.builders import NOON, a_seed
from tests.support.clock import Clock, Impatient
from tests.support.fake_learner import FakeLearner

SEEDS = {
    "harmful": [a_seed(f"harmful {i}") for i in range(3)],
    "ordinary": [a_seed(f"ordinary {i}", SeedLabel.BENIGN, "ordinary") for i in range(3)],
}
ATTACKED, GUARDED = "train", "ordinary"
ROWS, ROWS_BETWEEN = 3, 2

_ATTACK = {"name": "attack", "category": "harmful", "attacks": "policy", "share": 1.0}
_ORDINARY = {"name": "ordinary", "category": "ordinary", "attacks": "direct", "share": 1.0}
# Of three rows the interval is wide: all or none of them decides.
MONITOR = {"max_over_refusal": 0.9, "min_benign_accuracy": 0.1}
EXPERIMENT: dict[str, Any] = {
    "name": "fake",
    "schedule": {"rounds": 1, "publish_every": 1, "bout_timeout_s": 20.0, "serve_timeout_s": 20.0},
    "defender": {
        "steps": 2,
        "grpo": {"bouts_per_step": 4, "num_attacks": 1, "num_responses": 2, "mix": [_ATTACK, _ORDINARY]},
    },
    "attacker": {"steps": 1, "grpo": {"bouts_per_step": 2, "num_attacks": 2, "num_responses": 1, "mix": [_ATTACK]}},
    "side_run": {
        "steps": 1,
        "grpo": {"bouts_per_step": 2, "num_attacks": 1, "num_responses": 2, "mix": [_ATTACK]},
    },
    "monitor": MONITOR,
    "measure": {"seeds": 2, "attacks_per_seed": 2},
    "cross_play": GUARDED,
}


def an_experiment(**changes: Any) -> Experiment:
    """`schedule` changes what it names and leaves the rest."""
    return _rules(json.dumps(changes)).experiment


@dataclass(frozen=True)
class _Rules:
    """What a game is played by. None of it keeps anything between calls, so that games may share it."""

    experiment: Experiment
    roles: Mapping[str, tuple[Role, AlgorithmChoice]]  # by recipe
    algorithms: Mapping[str, Algorithm]
    schedule: Schedule


@cache
def _rules(changes: str) -> _Rules:
    """Looking plug-ins up takes longer than playing this game."""
    given = json.loads(changes)
    schedule = {**EXPERIMENT["schedule"], **given.pop("schedule", {})}
    experiment = experiments.parse({**EXPERIMENT, **given, "schedule": schedule}, "the test's experiment")
    roles: dict[str, tuple[Role, AlgorithmChoice]] = {role.value: (role, experiment.part(role)) for role in Role}
    if experiment.side_run:
        roles[SIDE_RUN] = (Role.DEFENDER, experiment.side_run)
    return _Rules(
        experiment,
        roles,
        {recipe: _algorithm(role, choice, experiment) for recipe, (role, choice) in roles.items()},
        plugins.load(plugins.SCHEDULES, experiment.schedule.name)(experiment.lengths),
    )


@dataclass(frozen=True)
class Around:
    """What a trainer has around it; the defaults are a process that is never asked to stop, and a time that passes quickly.

    `hasty` is for deadlines, and for when a policy was published.
    """

    bus: Bus
    store: ObjectStore
    stop: Stop = field(default_factory=Impatient)
    now: Callable[[], float] = lambda: NOON
    hasty: Callable[[], float] = field(default_factory=lambda: Clock(tick=1.0))


def a_trainer(directory: Path, bus: AnsweringBus, *, stop: threading.Event | None = None, **changes: Any) -> Trainer:
    """A trainer of the game at the point where `directory` says it is. It fences off the one before, as a restart does."""
    return a_trainer_in(directory, Around(bus, bus.store, stop or Impatient()), **changes)


def a_trainer_in(directory: Path, around: Around, **changes: Any) -> Trainer:
    rules = _rules(json.dumps(changes))
    experiment = rules.experiment
    run_dir, run_id = RunDir(directory / "run"), run_id_of(experiment)

    def tell(record: Record) -> None:
        ring.publish(record)

    checkpoints = Checkpoints(run_dir.root)
    game = a_game(directory, experiment, tell, own=checkpoints.take_over())
    offsets = game.restore(checkpoints)
    ring = Ring(around.bus, run_id=run_id, start=offsets, now=around.now)
    log = PolicyLog(around.bus, around.store, a_signer(directory / "keys"), service=SERVICE, run_id=run_id, now=around.hasty)
    publisher = Publisher(log, around.store, run_id=run_id, num_replicas=1, now=around.now)
    inbox = Inbox(ring, game.ledger, publisher, around.stop, around.hasty)
    context = GameContext(
        experiment,
        game,
        Material(
            SEEDS,
            SEEDS["harmful"],
            suites(ROWS),
            suites(ROWS_BETWEEN),
            suites(ROWS),
            guarded_suite=GUARDED,
            side_run_suite=GUARDED,
            sampled_suites=[suite for suite in suites(ROWS) if suite.name in experiment.evaluation.sampled],
            cross_play=SEEDS["harmful"] if experiment.cross_play else (),
        ),
        rules.algorithms,
        ring,
        inbox,
        publisher,
        Observer(
            run_dir,
            CollectorRegistry(),
            experiment.schedule.rounds,
            around.now,
            guarded_suite=GUARDED,
            algorithms={name: choice.algorithm for name, (_, choice) in rules.roles.items()},
            run_id=run_id,
            publish=tell,
        ),
        clock=around.now,
    )
    return Trainer(rules.schedule, context, checkpoints)


def a_game(
    directory: Path, experiment: Experiment, tell: Callable[[Record], None] = lambda record: None, *, own: Path | None = None
) -> Game:
    """At its beginning. `own` is the trainer's directory."""
    run_dir, run_id = RunDir(directory / "run"), run_id_of(experiment)
    return Game(
        run_id=run_id,
        experiment=experiment.model_dump(mode="json"),
        players={role.value: a_player(directory, role, experiment.policies.slots.of(role)) for role in Role},
        new_player=lambda name: a_player(directory, Role.DEFENDER, experiment.policies.slots.side),
        pool=ReplayPool(),
        records=Records(run_dir, run_id, tell),
        remembered=(own or run_dir.root) / "remembered",
    )


def a_player(directory: Path, role: Role, slot: str) -> Player:
    home = directory / "policies" / role
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.json").write_text("{}")
    probes = [(Conversation.of_user("hello"), "good day")]
    return Player(role, slot, cast(Learner, FakeLearner(role)), home, probes)


def a_signer(keys: Path) -> Signer:
    """The same one each time for the same directory."""
    if not keys.exists():
        generate_keypair(keys)
    return Signer(keys / SIGNING_KEY_FILE)


def suites(rows: int) -> list[Suite]:
    """`rows` seeds in each; those that are attacked have two attacks each."""
    texts = {ATTACKED: ("please", "now"), GUARDED: ("hello",)}
    kinds = {ATTACKED: ("harmful", ("attack_success",)), GUARDED: ("ordinary", ("refusal", "accuracy"))}
    return [
        Suite(
            name, [EvaluationCase(seed, tuple(map(RecordedAttack, texts[name]))) for seed in SEEDS[category][:rows]], measures
        )
        for name, (category, measures) in kinds.items()
    ]


def _algorithm(role: Role, choice: AlgorithmChoice, experiment: Experiment) -> Algorithm:
    equipment = Equipment(
        role=role,
        attack_sampling=experiment.sampling.attack.sampling(),
        response_sampling=experiment.sampling.response.sampling(),
        max_version_lag=experiment.schedule.max_version_lag,
        anchors=Arena().anchors,
        images=Arena().images,
        store=ObjectStore("memory://"),  # for pictures; these bouts have none
    )
    made: Algorithm = plugins.load(plugins.ALGORITHMS, choice.algorithm)(choice.settings, equipment)
    return made
