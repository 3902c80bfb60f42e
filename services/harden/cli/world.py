"""harden world: the installed worlds, and samples of one."""

from typing import Annotated

from cyclopts import App, Parameter

from harden import plugins
from harden.cli import output
from harden.domain import ids
from harden.domain.errors import SetupError
from harden.domain.game import Split, World
from harden.worlds import registry

app = App(name="world", help="Worlds: the content of a game.")
# Rows that a suite is asked for when some are shown; it has at least one of every case.
SHOWN_ROWS = 300


@app.command(name="list")
def list_worlds(*, json: Annotated[bool, Parameter(help="Answer in JSON.")] = False) -> None:
    """The worlds that are installed, with their categories, suites and the checkpoints that ship with them."""
    worlds = [registry.load(name) for name in plugins.names(plugins.WORLDS)]
    if json:
        output.as_json([_described(world) for world in worlds])
        return
    for world in worlds:
        facts = _described(world)
        print(world.name)
        for name in ("attacked", "guarded", "shown", "suites", "policies", "judges"):
            print(f"  {name:9} {', '.join(facts[name])}")


@app.command
def sample(
    name: Annotated[str, Parameter(help="Name of the world.")] = registry.DEFAULT,
    *,
    suite: Annotated[str | None, Parameter(help="An evaluation suite. Without it: transformed training seeds.")] = None,
    category: Annotated[str | None, Parameter(help="Only training seeds of this category.")] = None,
    count: Annotated[int, Parameter(alias="-n", help="Number of requests.")] = 5,
    seed: Annotated[int, Parameter(help="Random seed.")] = 0,
    json: Annotated[bool, Parameter(help="Answer in JSON.")] = False,
) -> None:
    """Requests of a world as the game uses them."""
    if count < 1:
        raise SetupError(f"--count must be at least 1, not {count}")
    world = registry.load(name)
    rows = _of_suite(world, suite, count) if suite else _of_training(world, category, count, seed)
    if json:
        output.as_json(rows)
        return
    for row in rows:
        print(
            f"{row['category']}  [{output.printable(row['family'])}]\n"
            f"  seed    {output.printable(row['seed'])}\n  attack  {output.printable(row['attack'])}\n"
        )


def _described(world: World) -> dict[str, list[str]]:
    uses = {use.value: [c for c, u in world.categories.items() if u is use] for use in world.categories.values()}
    return {
        "name": [world.name],
        "attacked": [],
        "guarded": [],
        "shown": [],
        **uses,
        "suites": [suite.name for suite in world.suites(Split.FINAL, 1)],
        "policies": sorted(world.policies),
        "judges": sorted(world.judges),
    }


def _of_training(world: World, category: str | None, count: int, seed: int) -> list[dict[str, str]]:
    if category is not None and category not in world.categories:
        raise SetupError(f"there is no category {category!r}; there are {', '.join(sorted(world.categories))}")
    chosen = [one for one in world.seeds() if category in (None, one.category)]
    rows = []
    for i in range(count):
        number = ids.random_seed(ids.root(f"{world.name} sample", seed, i))
        one = chosen[number % len(chosen)]
        attack = world.transforms.apply(one, number)
        rows.append({"category": one.category, "seed": one.text, "attack": attack.text, "family": attack.family})
    return rows


def _of_suite(world: World, suite: str, count: int) -> list[dict[str, str]]:
    suites = {one.name: one for one in world.suites(Split.TUNE, SHOWN_ROWS)}
    if suite not in suites:
        raise SetupError(f"there is no suite {suite!r}; there are {', '.join(suites)}")
    rows = [
        {"category": case.seed.category, "seed": case.seed.text, "attack": attack.text, "family": attack.family}
        for case in suites[suite].cases
        for attack in case.attacks
    ]
    return rows[:: max(1, len(rows) // count)][:count]
