"""Plays schedules until one breaks something: `make simulate`. What is broken is printed with the shortest list of faults.

python -m tests.simulation.hunt workers --seeds 0:100000
python -m tests.simulation.hunt workers --again FILE        one that was kept, step for step
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from tests.simulation import ring, workers
from tests.simulation.faults import Fault, Played, from_json, shortened, to_json

# Seeds that a process plays between two reports.
CHUNK = 20
EVERY_S = 10.0


@dataclass(frozen=True)
class Tier:
    draw: Callable[[int], list[Fault]]
    play: Callable[[int, Sequence[Fault]], Played]


TIERS = {"ring": Tier(ring.draw, ring.play), "workers": Tier(workers.draw, workers.play)}


def first_broken(tier: str, seeds: range) -> int | None:
    """The first of the seeds whose schedule breaks something."""
    how = TIERS[tier]
    return next((seed for seed in seeds if how.play(seed, how.draw(seed)).broken), None)


def shortest(tier: str, seed: int) -> list[Fault]:
    """Faults that break something with this seed, none of them without need."""
    how = TIERS[tier]
    return shortened(how.draw(seed), lambda fewer: bool(how.play(seed, fewer).broken))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tier", choices=sorted(TIERS))
    parser.add_argument("--seeds", default="0:1000", metavar="FIRST:END", help="END is not played (default: %(default)s)")
    parser.add_argument("--again", type=Path, metavar="FILE", help="play the schedule of this file instead")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one for each core)")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on stdout")
    arguments = parser.parse_args(argv)
    _quiet()
    if arguments.again is not None:
        seed, faults = from_json(arguments.again.read_text())
        return _tell(arguments.tier, seed, faults)
    first, end = map(int, arguments.seeds.split(":"))
    began = time.monotonic()
    num_played, broken = _hunt(arguments.tier, range(first, end), arguments.jobs)
    seconds = time.monotonic() - began
    figures = {"tier": arguments.tier, "first": first, "end": end, "played": num_played, "broken": broken, "seconds": seconds}
    if arguments.json:
        print(json.dumps(figures))
    else:
        print(f"{num_played} schedules in {seconds:.0f} s ({60 * num_played / max(seconds, 1e-9):.0f} a minute)")
    if broken is None:
        return 0
    return _tell(arguments.tier, broken, shortest(arguments.tier, broken))


def _hunt(tier: str, seeds: range, jobs: int) -> tuple[int, int | None]:
    """How many were played, and the first that was found to break something."""
    chunks = [seeds[n : n + CHUNK] for n in range(0, len(seeds), CHUNK)]
    num_played, told = 0, time.monotonic()
    with multiprocessing.get_context("spawn").Pool(jobs, _quiet) as pool:
        for chunk, broken in pool.imap_unordered(_Chunks(tier), chunks):
            if broken is not None:
                return num_played + broken - chunk.start + 1, broken
            num_played += len(chunk)
            if time.monotonic() - told > EVERY_S:
                told = time.monotonic()
                print(f"{num_played} of {len(seeds)} schedules, nothing broken", file=sys.stderr, flush=True)
    return num_played, None


@dataclass(frozen=True)
class _Chunks:
    tier: str

    def __call__(self, seeds: range) -> tuple[range, int | None]:
        return seeds, first_broken(self.tier, seeds)


def _tell(tier: str, seed: int, faults: Sequence[Fault]) -> int:
    broken = TIERS[tier].play(seed, faults).broken
    print(f"seed {seed} of {tier} with {len(faults)} faults:", *(broken or ["nothing is broken"]), sep="\n  ", file=sys.stderr)
    print(to_json(seed, faults), end="", file=sys.stderr)
    return int(bool(broken))


def _quiet() -> None:
    """What the services log of faults is what was asked for."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


if __name__ == "__main__":
    sys.exit(main())
