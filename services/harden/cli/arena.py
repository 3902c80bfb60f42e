"""harden arena: the synthetic world that the demo plays in, and the small models it begins with."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from harden.cli import output
from harden.domain import ids
from harden.domain.errors import SetupError
from harden.worlds.arena.adapters import ArenaSeeds, ArenaSuites, ArenaTransforms

app = App(name="arena", help="The synthetic world of the demo, and the small models it begins with.")


class BaseModel(StrEnum):
    """Which checkpoint to build."""

    BASE = "base"
    SEED_DEFENDER = "seed_defender"
    ATTACKER = "attacker"


@app.command
def sample(
    *,
    suite: Annotated[str | None, Parameter(help="An evaluation suite; else training seeds in disguises.")] = None,
    category: Annotated[str | None, Parameter(help="Only training seeds of this category, such as harmful or trap.")] = None,
    count: Annotated[int, Parameter(alias="-n", help="How many.")] = 5,
    seed: Annotated[int, Parameter(help="Which draw.")] = 0,
    json: Annotated[bool, Parameter(help="Answer in JSON.")] = False,
) -> None:
    """Requests of the arena as the game uses them. Nothing in them means anything outside of it."""
    if count < 1:
        raise SetupError(f"--count must be at least 1, not {count}")
    rows = _of_suite(suite, count) if suite else _of_training(category, count, seed)
    if json:
        output.as_json(rows)
        return
    for row in rows:
        print(f"{row['category']}  [{row['family']}]\n  seed    {row['seed']}\n  attack  {row['attack']}\n")


@app.command
def build_base(
    out: Annotated[Path, Parameter(help="Directory to put the checkpoint into.")],
    *,
    model: Annotated[BaseModel, Parameter(help="base knows everything; the others are what a game begins with.")] = (
        BaseModel.BASE
    ),
    base: Annotated[Path | None, Parameter(help="Base checkpoint that a seed defender is made from.")] = None,
    seed: Annotated[int, Parameter(help="Random seed.")] = 0,
) -> None:
    """Trains a checkpoint of the arena from nothing, says how good it is, and leaves it in the Hugging Face layout."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SetupError(f"{out} is there already and not empty; name another directory")
    if model is BaseModel.SEED_DEFENDER and (base is None or not base.is_dir()):
        raise SetupError("a seed defender is made from a base checkpoint; give its directory with --base")
    # Imported here: they bring torch, which takes longer to load than every other command takes to run.
    from harden.worlds.arena import build

    began, last = time.monotonic(), 0.0

    def progress(phase: str, step: int, steps: int, loss: float) -> None:
        nonlocal last
        if time.monotonic() - last >= 2.0 or step == steps:
            last = time.monotonic()
            output.note(f"{phase}: step {step} of {steps}, loss {loss:.3f}, {last - began:.0f} s")

    match model:
        case BaseModel.BASE:
            described = build.build_base(out, seed=seed, progress=progress)
        case BaseModel.SEED_DEFENDER:
            assert base is not None
            described = build.build_seed_defender(out, base_dir=base, seed=seed, progress=progress)
        case BaseModel.ATTACKER:
            described = build.build_attacker(out, seed=seed, progress=progress)
    output.as_json(described)


def _of_training(category: str | None, count: int, seed: int) -> list[dict[str, str]]:
    seeds = ArenaSeeds().seeds()
    categories = sorted({one.category for one in seeds})
    if category is not None and category not in categories:
        raise SetupError(f"there is no category {category!r}; there are {', '.join(categories)}")
    chosen = [one for one in seeds if category in (None, one.category)]
    transforms, rows = ArenaTransforms(), []
    for i in range(count):
        number = ids.random_seed(ids.root("arena sample", seed, i))
        one = chosen[number % len(chosen)]
        attack = transforms.apply(one, number)
        rows.append({"category": one.category, "seed": one.text, "attack": attack.text, "family": attack.family})
    return rows


def _of_suite(suite: str, count: int) -> list[dict[str, str]]:
    suites = ArenaSuites()
    if suite not in suites.suites():
        raise SetupError(f"there is no suite {suite!r}; there are {', '.join(suites.suites())}")
    cases = suites.cases(suite)
    rows = [
        {"category": case.seed.category, "seed": case.seed.text, "attack": attack.text, "family": attack.family}
        for case in cases
        for attack in case.attacks
    ]
    return rows[:: max(1, len(rows) // count)][:count]
