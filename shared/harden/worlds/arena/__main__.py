"""Trains a checkpoint of the arena from nothing, says how good it is, and leaves it in the Hugging Face layout.

python -m harden.worlds.arena OUT [--model base|seed_defender|attacker] [--base DIRECTORY] [--seed N]
"""

import argparse
import json
import sys
import time
from pathlib import Path

BASE, SEED_DEFENDER, ATTACKER = MODELS = ("base", "seed_defender", "attacker")
SECONDS_BETWEEN_LINES = 2.0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m harden.worlds.arena", description="Builds a model of the arena.")
    parser.add_argument("out", type=Path, help="directory to put the checkpoint into")
    parser.add_argument("--model", choices=MODELS, default=BASE, help="base knows everything; a game begins with the others")
    parser.add_argument("--base", type=Path, help="base checkpoint that a seed defender is made from")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    given = parser.parse_args(arguments)
    out: Path = given.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        parser.error(f"{out} is there already and not empty; name another directory")
    if given.model == SEED_DEFENDER and (given.base is None or not given.base.is_dir()):
        parser.error("a seed defender is made from a base checkpoint; give its directory with --base")
    # Imported here: they bring torch, which takes longer to load than refusing wrong arguments takes.
    from harden.worlds.arena import build

    began, last = time.monotonic(), 0.0

    def progress(phase: str, step: int, steps: int, loss: float) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES or step == steps:
            last = time.monotonic()
            print(f"{phase}: step {step} of {steps}, loss {loss:.3f}, {last - began:.0f} s", file=sys.stderr, flush=True)

    match given.model:
        case "seed_defender":
            facts = build.build_seed_defender(out, base_dir=given.base, seed=given.seed, progress=progress)
        case "attacker":
            facts = build.build_attacker(out, seed=given.seed, progress=progress)
        case _:
            facts = build.build_base(out, seed=given.seed, progress=progress)
    print(json.dumps(facts, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
