"""harden judge: how far a judge can be believed."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from harden import plugins
from harden.cli import output
from harden.judge import agreement, labelled
from harden.judge.panels import member_of

app = App(name="judge", help="Judges: what answers the questions on attacks and responses.")
RATES = ("refused", "class", "precision", "recall")


@app.command(name="list")
def list_judges(*, json: Annotated[bool, Parameter(help="Answer in JSON.")] = False) -> None:
    """The judges that are installed."""
    names = plugins.names(plugins.JUDGES)
    if json:
        output.as_json(names)
        return
    print("\n".join(names))


@app.command(name="agreement")
def show_agreement(
    name: Annotated[str, Parameter(help="Name of a judge that answers `refusal` without settings.")] = "refusal_wording",
    *,
    rows: Annotated[
        Path | None,
        Parameter(help="Directory that pyrit was installed into, or that has XSTest's completions; else this environment."),
    ] = None,
    json: Annotated[bool, Parameter(help="Answer in JSON.")] = False,
) -> None:
    """How often a judge of refusals says what people said: on rows that rules are made with (`tune`) and on others (`test`)."""
    measured = agreement.measure(member_of(name, {}), labelled.find(rows))
    if json:
        output.as_json(measured)
        return
    print(f"{measured['judge']} {measured['version']} on {measured['source']}, licence {measured['licence']}\n")
    output.table(
        ("set", "split", "n", *RATES),
        [
            (table["set"], table["split"], table["n"], *(_percent(table[rate]) for rate in RATES))
            for table in measured["tables"]
        ],
    )
    for table in measured["tables"]:
        print(f"\n{table['set']}, {table['split']}: what people said / what the judge said")
        output.table(("people/judge", "answers"), list(table["counts"].items()))


def _percent(rate: list[Any]) -> str:
    """For example `97.5% [91.4, 99.3]`."""
    _, n, value, low, high = rate
    return f"{100 * value:.1f}% [{100 * low:.1f}, {100 * high:.1f}]" if n else "-"
