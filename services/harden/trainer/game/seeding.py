"""The seed pool: all seeds on the seeds topic."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Event as StopEvent

from harden import codec, plugins
from harden.bus.ports import Bus
from harden.domain.errors import PoisonError, SetupError
from harden.domain.seed import Seed
from harden.topics import SEEDS
from harden.trainer.experiment import Experiment
from harden.trainer.inbox import Stopped

POLL_S = 0.1


def categories_of(experiment: Experiment, attacked: Sequence[str]) -> frozenset[str]:
    """Every category of seeds the experiment draws from; `attacked` are those that the attacker is measured on."""
    chosen = [experiment.defender, experiment.attacker, *([experiment.side_run] if experiment.side_run else [])]
    drawn = [plugins.load(plugins.ALGORITHMS, one.algorithm).categories(one.settings) for one in chosen]
    return frozenset(attacked).union(*drawn)


def read_seeds(
    bus: Bus,
    experiment: Experiment,
    attacked: Sequence[str],
    *,
    timeout_s: float,
    stop: StopEvent,
    clock: Callable[[], float] = time.monotonic,
) -> Mapping[str, Sequence[Seed]]:
    """The seeds by category, in the order of their ids, once every category the experiment names has some.

    Raises SetupError where one is still missing after `timeout_s`.
    """
    needed = categories_of(experiment, attacked)
    seeds: dict[str, Seed] = {}
    deadline = clock() + timeout_s
    reader = bus.log_reader([SEEDS.name], client_id="trainer.seeds")
    try:
        while True:
            for message in reader.poll(POLL_S, 1000):
                try:
                    fact = codec.from_message(SEEDS, message).fact
                except PoisonError:
                    # `harden seeds submit` says at once when a seed is refused; a broken one harms no other.
                    continue
                assert isinstance(fact, Seed)
                seeds[fact.seed_id] = fact
            missing = needed - {seed.category for seed in seeds.values()}
            if not missing and reader.caught_up():
                return _by_category(seeds.values())
            if stop.is_set():
                raise Stopped
            if clock() > deadline:
                raise SetupError(
                    f"topic {SEEDS.name} has no seeds of {', '.join(sorted(missing))} after {timeout_s:.0f} s; "
                    f"submit some with `harden seeds submit {experiment.world}`"
                )
    finally:
        reader.close()


def _by_category(seeds: Iterable[Seed]) -> dict[str, list[Seed]]:
    by_category: dict[str, list[Seed]] = {}
    for seed in sorted(seeds, key=lambda seed: seed.seed_id):
        by_category.setdefault(seed.category, []).append(seed)
    return by_category
