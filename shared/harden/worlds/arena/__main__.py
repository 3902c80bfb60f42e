"""Trains the models of a world of potions from nothing, says how good they are, and leaves them in the Hugging Face layout.

python -m harden.worlds.arena OUT --world arena|arena_b|arena_c [--model base|seed_defender|attacker|all] [--base DIRECTORY]

`all` builds base, seed defender and attacker in this order, each in a directory of its own inside OUT; one that is there
already is left as it is, so that an interrupted build goes on where it was.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from harden.worlds.arena.world import WORLD_SEEDS

MODELS = ("base", "seed_defender", "attacker")
ALL = "all"
SECONDS_BETWEEN_LINES = 10.0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m harden.worlds.arena", description="Builds models of a world of potions.")
    parser.add_argument("out", type=Path, help="directory to put the checkpoint into; with --model all, the three of them")
    parser.add_argument("--world", choices=tuple(WORLD_SEEDS), default="arena", help="whose models")
    parser.add_argument(
        "--model", choices=(*MODELS, ALL), default="base", help="base knows everything; a game begins with the others"
    )
    parser.add_argument("--base", type=Path, help="base checkpoint that a seed defender is made from")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the training; the world's is its own")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch; 0 leaves it to torch")
    given = parser.parse_args(arguments)
    out: Path = given.out
    if given.model != ALL and _is_used(out):
        parser.error(f"{out} is there already and not empty; name another directory")
    if given.model == "seed_defender" and (given.base is None or not given.base.is_dir()):
        parser.error("a seed defender is made from a base checkpoint; give its directory with --base")
    # Imported here and below: it brings torch, which takes longer to load than refusing wrong arguments takes.
    from harden.worlds.arena import build

    if given.threads:
        build.use_threads(given.threads)
    if given.model != ALL:
        print(json.dumps(_build(given.world, given.model, out, given.base, given.seed), indent=2))
        return 0
    for model in MODELS:
        if _is_used(out / model):
            print(f"{model}: there already, left as it is", file=sys.stderr)
        else:
            print(json.dumps(_build(given.world, model, out / model, out / "base", given.seed), indent=2), flush=True)
    return 0


def _is_used(out: Path) -> bool:
    return out.exists() and (not out.is_dir() or any(out.iterdir()))


def _build(world: str, model: str, out: Path, base: Path, seed: int) -> dict[str, Any]:
    from harden.worlds.arena import build
    from harden.worlds.arena.lore import lore_of

    began = time.monotonic()
    last = 0.0

    def progress(phase: str, step: int, steps: int, loss: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES or step == steps:
            last = now
            line = f"{world} {model}, {phase}: step {step} of {steps}, loss {loss:.3f}, {now - began:.0f} s"
            print(line, file=sys.stderr, flush=True)

    lore = lore_of(world)
    match model:
        case "seed_defender":
            return build.build_seed_defender(lore, out, base_dir=base, seed=seed, progress=progress)
        case "attacker":
            return build.build_attacker(lore, out, seed=seed, progress=progress)
    return build.build_base(lore, out, seed=seed, progress=progress)


if __name__ == "__main__":
    sys.exit(main())
