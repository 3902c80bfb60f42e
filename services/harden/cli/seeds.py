"""harden seeds: the plain requests that the game starts from."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, Parameter

from harden import codec
from harden.bus.ports import Bus
from harden.cli import output
from harden.cli.log_access import Where, open_log, read_all
from harden.domain import ids
from harden.domain.errors import SetupError
from harden.domain.events import Event, EventMeta
from harden.domain.game import World
from harden.domain.seed import Seed
from harden.topics import SEEDS
from harden.worlds import registry

app = App(name="seeds", help="Seeds: the plain requests that the game starts from.")
SERVICE = "cli"


@app.command
def submit(world: Annotated[str, Parameter(help="Name of the world.")], *, where: Where | None = None) -> None:
    """Puts every seed of a world onto the seeds topic. Repeating it is harmless: a seed's id derives from its text."""
    source = registry.load(world)
    with open_log(where) as log:
        if not log.is_live:
            raise SetupError("the run is over, so no trainer would read the seeds; give --kafka or --run of a running ring")
        number = submit_seeds(log.bus, source)
    print(f"{number} seeds of the world {world} are on {SEEDS.name}")


@app.command(name="list")
def list_seeds(*, where: Where | None = None, json: Annotated[bool, Parameter(help="Answer in JSON.")] = False) -> None:
    """How many seeds of each source and category there are."""
    with open_log(where) as log:
        facts = [codec.from_message(SEEDS, message).fact for message in read_all(log, [SEEDS.name])]
    newest = {fact.seed_id: fact for fact in facts if isinstance(fact, Seed)}
    counts = Counter((seed.source, seed.label.value, seed.category) for seed in newest.values())
    rows = [(*key, count) for key, count in sorted(counts.items())]
    if json:
        output.as_json([dict(zip(("source", "label", "category", "count"), row, strict=True)) for row in rows])
        return
    output.table(("source", "label", "category", "seeds"), rows)


def submit_seeds(bus: Bus, world: World) -> int:
    """Returns the number of seeds, when all are acknowledged."""
    return _submit(bus, world.seeds())


def _submit(bus: Bus, seeds: Sequence[Seed]) -> int:
    now = time.time()
    messages = [
        codec.to_message(SEEDS, Event(EventMeta(ids.root(SEEDS.name, seed.seed_id), now, SERVICE), seed)) for seed in seeds
    ]
    producer = bus.producer(client_id=SERVICE)
    try:
        producer.send(messages)
    finally:
        producer.close()
    return len(messages)
