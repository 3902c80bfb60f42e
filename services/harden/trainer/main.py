"""Trainer: owns the game. Schedules bouts, learns from their verdicts, publishes policies, measures, rolls back.

reads      harden.seeds.v1, harden.verdicts.v1, harden.served.v1, and the dead letters of what it scheduled
writes     harden.bouts.v1      BoutScheduled      key bout_id
           harden.policies.v1   PolicyPublished    key slot
           harden.steps.v1      StepFinished       key run_id
           harden.rounds.v1     RoundFinished and what follows the last round, RunFinished    key run_id
keeps      checkpoints in its run directory: weights, optimisers, RNG, finished tasks, ledger and offsets as one
slowed by  the bouts it waits for; it schedules only what it is about to learn from
survives   being killed at any time (goes on from the checkpoint, trains no bout twice), lost and repeated messages;
           a second trainer of the same run fences off the first
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event as StopEvent

from prometheus_client import CollectorRegistry

from harden import plugins
from harden.bus.ports import Bus
from harden.domain import ids
from harden.domain.bout import Role
from harden.domain.errors import SetupError
from harden.domain.game import Split, Suite, World, attacked
from harden.domain.seed import Seed
from harden.runtime.process import process, run_main
from harden.store.object_store import ObjectStore
from harden.store.policy_log import PolicyLog
from harden.store.ports import BlobStore
from harden.store.signing import Signer
from harden.trainer import experiment as experiments
from harden.trainer.algorithms.ports import Algorithm, Equipment
from harden.trainer.config import TrainerConfig, TrainerSettings
from harden.trainer.core import results
from harden.trainer.core.replay import ReplayPool
from harden.trainer.experiment import AlgorithmChoice, Experiment, run_id_of
from harden.trainer.game.checkpoint import Checkpoints
from harden.trainer.game.context import BEST_RESPONSE, SIDE_RUN, GameContext, Material
from harden.trainer.game.observing import Observer
from harden.trainer.game.player import Player, probe_examples
from harden.trainer.game.records import Record, Records
from harden.trainer.game.rundir import RunDir
from harden.trainer.game.seeding import read_seeds
from harden.trainer.game.state import Game
from harden.trainer.game.trainer import Trainer
from harden.trainer.inbox import Inbox, Stopped
from harden.trainer.learner.learner import Learner
from harden.trainer.learner.settings import LearnerSettings
from harden.trainer.publisher import Publisher
from harden.trainer.ring import SERVICE, Ring
from harden.worlds import registry


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The trainer's adapters and the process around it."""

    bus: Bus
    store: BlobStore
    signer: Signer
    registry: CollectorRegistry
    stop: StopEvent
    now: Callable[[], float] = time.time
    # Length of a log that is cut back to it when the run resumes; None where the broker keeps everything.
    log_bytes: Callable[[], int | None] = lambda: None


def build(settings: TrainerSettings, experiment: Experiment, around: Surroundings, on_ready: Callable[[], None]) -> Trainer:
    """The trainer at the point where its run directory says it is. Waits for seeds; `on_ready` is called when it has them."""
    world = registry.load(experiment.world)
    seeds = read_seeds(around.bus, experiment, attacked(world), timeout_s=settings.seeds_timeout_s, stop=around.stop)
    run_dir = RunDir(settings.run_dir)
    run_id = run_id_of(experiment)

    def publish(record: Record) -> None:  # the ring begins where the game's checkpoint says, and the game has records
        ring.publish(record)

    checkpoints = Checkpoints(settings.run_dir)
    own = checkpoints.take_over()
    game = Game(
        run_id=run_id,
        experiment=experiment.model_dump(mode="json"),
        players={role.value: _player(role, experiment, seeds, world) for role in Role},
        new_player=lambda name: _side_player(name, experiment, seeds, world),
        pool=ReplayPool(is_reserved=world.is_reserved),
        records=Records(run_dir, run_id, publish),
        remembered=own / "remembered",
    )
    offsets = game.restore(checkpoints)
    run_dir.write_text("experiment.yaml", experiments.dump(experiment))
    ring = Ring(around.bus, run_id=game.run_id, start=offsets, now=around.now)
    policy_log = PolicyLog(around.bus, around.store, around.signer, service=SERVICE, run_id=game.run_id, now=around.now)
    publisher = Publisher(policy_log, around.store, run_id=game.run_id, num_replicas=settings.replicas)
    publisher.swaps = game.swaps
    material = _material(experiment, world, seeds)
    on_ready()
    context = GameContext(
        experiment,
        game,
        material,
        _algorithms(experiment, world, around.store),
        ring,
        Inbox(ring, game.ledger, publisher, around.stop, around.now),
        publisher,
        Observer(
            run_dir,
            around.registry,
            experiment.schedule.rounds,
            around.now,
            guarded_suite=world.guarded_suite,
            algorithms={name: choice.algorithm for name, (_, choice) in _choices(experiment).items()},
            run_id=run_id,
            publish=publish,
        ),
    )
    schedule = plugins.load(plugins.SCHEDULES, experiment.schedule.name)(experiment.lengths)
    return Trainer(schedule, context, checkpoints, around.log_bytes)


def _material(experiment: Experiment, world: World, seeds: Mapping[str, Sequence[Seed]]) -> Material:
    measured = experiment.evaluation
    suites = world.suites(measured.split, measured.rows)
    return Material(
        seeds,
        attacked=[seed for category in attacked(world) for seed in seeds[category]],
        suites=suites,
        suites_between=world.suites(measured.split, measured.rows_between or measured.rows),
        monitor_suites=_monitored(experiment, world),
        guarded_suite=world.guarded_suite,
        side_run_suite=world.side_run_suite,
        goals=_goals(experiment, suites),
        sampled_suites=_sampled(experiment, suites),
        cross_play=_seeds_of("cross_play", experiment.cross_play, suites) if experiment.cross_play else (),
    )


def _algorithms(experiment: Experiment, world: World, store: BlobStore) -> dict[str, Algorithm]:
    """The algorithm of each player, and of the side run where one is played."""
    sampling = experiment.sampling
    made: dict[str, Algorithm] = {}
    for name, (role, choice) in _choices(experiment).items():
        equipment = Equipment(
            role=role,
            attack_sampling=sampling.attack.sampling(),
            response_sampling=sampling.response.sampling(),
            max_version_lag=experiment.schedule.max_version_lag,
            anchors=world.anchors,
            images=world.images,
            store=store,
            is_reserved=world.is_reserved,
        )
        made[name] = plugins.load(plugins.ALGORITHMS, choice.algorithm)(choice.settings, equipment)
    return made


def _choices(experiment: Experiment) -> dict[str, tuple[Role, AlgorithmChoice]]:
    """By role, and for the side run where one is played."""
    chosen: dict[str, tuple[Role, AlgorithmChoice]] = {role.value: (role, experiment.part(role)) for role in Role}
    if experiment.side_run:
        chosen[SIDE_RUN] = (Role.DEFENDER, experiment.side_run)
    if experiment.best_response:
        chosen[BEST_RESPONSE] = (Role.ATTACKER, experiment.best_response)
    return chosen


def _side_player(name: str, experiment: Experiment, seeds: Mapping[str, Sequence[Seed]], world: World) -> Player:
    """A player of the same kind as its role's, with a learner and a slot of its own."""
    role, _ = _choices(experiment)[name]
    own = experiment.best_response.learner if name == BEST_RESPONSE and experiment.best_response else None
    return _player(role, experiment, seeds, world, name=name, slot=experiment.policies.slots.side, learner=own)


def _player(
    role: Role,
    experiment: Experiment,
    seeds: Mapping[str, Sequence[Seed]],
    world: World,
    *,
    name: str = "",
    slot: str = "",
    learner: LearnerSettings | None = None,
) -> Player:
    """`name`, `slot` and `learner` are the role's own unless given."""
    directory = registry.policy_directory(experiment.policy_source(role))
    random_seed = ids.random_seed(ids.child(run_id_of(experiment), name or role, 0))
    every_seed = [seed for category in sorted(seeds) for seed in seeds[category]]
    attacked_seeds = [seed for category in attacked(world) for seed in seeds[category]]
    return Player(
        role,
        slot or experiment.policies.slots.of(role),
        Learner(directory, learner or experiment.part(role).learner, random_seed),
        directory,
        probe_examples(role, attacked_seeds if role is Role.ATTACKER else every_seed, world.anchors),
    )


def _goals(experiment: Experiment, suites: Sequence[Suite]) -> dict[str, list[Seed]]:
    """The seeds of the suites that the best response is to attack, by the name of the set."""
    if experiment.best_response is None:
        return {}
    return {
        goals: [seed for name in names for seed in _seeds_of("best_response.goals", name, suites)]
        for goals, names in experiment.best_response.goals.items()
    }


def _monitored(experiment: Experiment, world: World) -> list[Suite]:
    """The suites that the monitor decides by, on rows of their own."""
    suites = world.suites(Split.MONITOR, experiment.evaluation.rows)
    others = [suite.name for suite in suites if results.REFUSAL in suite.measures and suite.name != world.guarded_suite]
    limited = experiment.monitor.max_over_refusal_on or {}
    for name in limited:
        if name == world.guarded_suite:
            raise SetupError(f"monitor.max_over_refusal_on: {name!r} is the guarded suite; its limit is max_over_refusal")
        if name not in others:
            raise SetupError(
                f"monitor.max_over_refusal_on: the world has no suite of benign requests {name!r}; it has {', '.join(others)}"
            )
    return [suite for suite in suites if suite.name == world.guarded_suite or suite.name in limited]


def _sampled(experiment: Experiment, suites: Sequence[Suite]) -> list[Suite]:
    """The suites of attacks that are also answered at temperature 1, in the order of the world."""
    wanted = experiment.evaluation.sampled
    attacks = [suite for suite in suites if results.ATTACK_SUCCESS in suite.measures]
    known = {suite.name for suite in attacks}
    for name in wanted:
        if name not in known:
            raise SetupError(
                f"evaluation.sampled: the world has no suite of attacks {name!r}; it has "
                f"{', '.join(suite.name for suite in attacks)}"
            )
    return [suite for suite in attacks if suite.name in wanted]


def _seeds_of(key: str, name: str, suites: Sequence[Suite]) -> list[Seed]:
    """The seeds of the suite that a key of the experiment names, each once."""
    suite = next((suite for suite in suites if suite.name == name), None)
    if suite is None:
        raise SetupError(f"{key}: the world has no suite {name!r}; it has {', '.join(suite.name for suite in suites)}")
    return list({case.seed.seed_id: case.seed for case in suite.cases}.values())


def play(settings: TrainerSettings, experiment: Experiment, around: Surroundings, on_ready: Callable[[], None]) -> None:
    """Plays the run to its end, or until asked to stop, and records how it ended, on the log and in `run.json`."""
    with closing(build(settings, experiment, around, on_ready)) as trainer:
        _play(trainer, RunDir(settings.run_dir), experiment, around)


def _play(trainer: Trainer, run_dir: RunDir, experiment: Experiment, around: Surroundings) -> None:
    try:
        trainer.run()
    except Stopped:
        return
    except SetupError as error:
        _end(trainer, experiment, run_dir, str(error))
        raise
    _end(trainer, experiment, run_dir, None)
    around.stop.set()


def _end(trainer: Trainer, experiment: Experiment, run_dir: RunDir, failed: str | None) -> None:
    game = trainer.context.game
    seconds = round(game.play_seconds, 3)
    run_dir.write("run.json", {"ok": failed is None, "seed": experiment.seed, "failed": failed, "play_seconds": seconds})
    game.records.run_ended(experiment.seed, failed, seconds)


def serve(config: TrainerConfig) -> None:
    experiment = experiments.load(config.trainer.experiment)
    if config.keys.signing_key_file is None:
        raise SetupError(
            "the trainer signs what it publishes; set HARDEN_KEYS__SIGNING_KEY_FILE (`harden policy keys DIR` makes one)"
        )
    signer = Signer(Path(config.keys.signing_key_file))
    with process(config, "trainer") as proc:
        proc.bus.check_topics()
        ready = StopEvent()
        proc.ready_when("waiting for seeds", ready.is_set)
        around = Surroundings(proc.bus, ObjectStore(config.store.uri), signer, proc.registry, proc.stop)
        play(config.trainer, experiment, around, ready.set)


def main() -> None:
    run_main(TrainerConfig, serve)


if __name__ == "__main__":
    main()
