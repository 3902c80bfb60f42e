"""harden topics: the catalogue, compared with a broker's topics."""

from typing import Annotated

from cyclopts import App, Parameter

from harden.cli import output
from harden.cli.log_access import Where, open_log
from harden.topics import CATALOGUE

app = App(name="topics", help="The topics of the ring.")


@app.command(name="list")
def list_topics(*, json: Annotated[bool, Parameter(help="Answer in JSON.")] = False) -> None:
    """Every topic of the catalogue: its events, retention, writers and readers."""
    if json:
        output.as_json(
            [
                {
                    "name": topic.name,
                    "dead_letters": topic.dead,
                    "events": list(topic.events),
                    "key": topic.key,
                    "kind": topic.kind.value,
                    "num_partitions": topic.num_partitions,
                    "retention_ms": topic.retention_ms,
                    "max_message_bytes": topic.max_message_bytes,
                    "written_by": list(topic.written_by),
                    "read_by": list(topic.read_by),
                }
                for topic in CATALOGUE
            ]
        )
        return
    headers = ("topic", "kind", "key", "partitions", "written by", "read by")
    output.table(
        headers,
        [(t.name, t.kind.value, t.key, t.num_partitions, ", ".join(t.written_by), ", ".join(t.read_by)) for t in CATALOGUE],
    )


@app.command
def check(*, where: Where | None = None) -> None:
    """Whether the broker has every topic of the catalogue, with the catalogue's settings."""
    with open_log(where) as log:
        log.bus.check_topics()
    print(f"all {len(CATALOGUE)} topics are there and set as they should be")


@app.command
def create(*, where: Where | None = None) -> None:
    """Creates the catalogue's topics that the broker lacks. Existing topics stay unchanged; `check` checks them."""
    with open_log(where) as log:
        created = log.bus.create_topics()
    for name in created:
        print(f"created {name}")
    print(f"{len(created)} topics created")
