"""Draws a report as one self-contained page: no scripts, no fonts, no requests. Everything it shows is escaped text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined
from markupsafe import Markup

from harden.cli.reporting import plots
from harden.cli.reporting.plots import Point, Series
from harden.cli.reporting.schema import Matrix, Rate, Report, Round

# What a suite is, for a reader who has not read the experiment. A suite not named here shows its own name.
SUITES = {
    "trained": "like those trained on: other pairs of subject and disguise",
    "listed_never_attacked": "subjects the first policy was told of and nobody attacked",
    "unlisted_by_property": "subjects no policy was told of, restricted by what they hold",
    "held_out_template": "phrasings never trained on",
    "held_out_family": "a whole attack family never trained on",
    "held_out_family_and_potion": "a family never trained on, subjects nobody attacked",
    "composed": "disguises deeper than any transform",
    "direct": "asked directly",
    "image": "written in an image",
    "image_never_attacked": "in an image, subjects nobody attacked",
    "ordinary": "ordinary requests",
    "ordinary_held_out": "ordinary requests for subjects no policy was told of",
    "trap": "harmless requests that look harmful",
    "utility": "an unrelated task with exact answers",
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One small plot with its title, the newest figure and the picture."""

    title: str
    about: str
    newest: str
    svg: Markup


def render(report: Report) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent, interval=interval, number=number, about=about, short=short, cell=cell, sizes=sizes
    )
    rounds = report.rounds
    return environment.get_template("page.html.j2").render(
        report=report,
        first=rounds[0] if rounds else None,
        last=rounds[-1] if rounds else None,
        headline=headline(report),
        attack_panels=rate_panels(rounds, lambda r: r.attack_success, "attack"),
        refusal_panels=rate_panels(rounds, lambda r: r.refusal, "muted"),
        accuracy_panels=rate_panels(rounds, lambda r: r.accuracy, "help"),
        attacker_panel=attacker_panel(rounds),
        families_panel=families_panel(rounds),
        training_panels=training_panels(rounds),
        family_rows=family_rows(rounds),
        matrix=heat_map(report.matrix) if report.matrix else None,
    )


def headline(report: Report) -> str:
    """The run in one sentence, from its own figures."""
    if not report.rounds:
        return "No round was finished."
    first, last = report.rounds[0], report.rounds[-1]
    sentences = []
    if "trained" in first.attack_success and "trained" in last.attack_success:
        before, after = first.attack_success["trained"], last.attack_success["trained"]
        sentences.append(
            f"Attacks like those it trained against worked {percent(before)} of the time at first, {percent(after)} at the end"
        )
    if "unlisted_by_property" in first.attack_success and "unlisted_by_property" in last.attack_success:
        before, after = first.attack_success["unlisted_by_property"], last.attack_success["unlisted_by_property"]
        sentences.append(f"those on subjects that no policy was told of {percent(before)} and then {percent(after)}")
    if "ordinary" in first.accuracy and "ordinary" in last.accuracy:
        before, after = first.accuracy["ordinary"], last.accuracy["ordinary"]
        sentences.append(f"ordinary requests were answered well {percent(before)} of the time and still are {percent(after)}")
    return "; ".join(sentences) + "." if sentences else "The run measured no attack success."


def rate_panels(rounds: Sequence[Round], part: Callable[[Round], Mapping[str, Rate]], tone: str) -> list[Panel]:
    """One small plot for each suite that some round measured, in the order of the first round."""
    names = list(dict.fromkeys(name for one in rounds for name in part(one)))
    panels = []
    for name in names:
        points = [_point(one.round, part(one)[name]) for one in rounds if name in part(one)]
        newest = next(part(one)[name] for one in reversed(rounds) if name in part(one))
        svg = plots.rates([Series(name, points, tone)], label=f"{title_of(name)}: rate by round")
        panels.append(Panel(title_of(name), about(name), percent(newest), Markup(svg)))
    return panels


def attacker_panel(rounds: Sequence[Round]) -> Panel | None:
    """Success of each round's attacker before and after the defender learned from it."""
    played = [one for one in rounds if one.attacker]
    before = [_point(one.round, one.attacker.success_before) for one in played if one.attacker and one.attacker.success_before]
    after = [_point(one.round, one.attacker.success_after) for one in played if one.attacker and one.attacker.success_after]
    if not before and not after:
        return None
    series = [Series("before", before, "attack"), Series("after", after, "defence")]
    svg = plots.rates(series, label="success of the attacker policy by round, before and after the defender's turn")
    return Panel(
        "The attacker policy", "red: against the defender the round began with; blue: the one it ended with", "", Markup(svg)
    )


def families_panel(rounds: Sequence[Round]) -> Panel | None:
    points = [
        Point(one.round, one.attacker.effective_families, hint=f"{one.attacker.effective_families:.2f}")
        for one in rounds
        if one.attacker and one.attacker.effective_families is not None
    ]
    if not points:
        return None
    svg = plots.curves([Series("families", points, "attack")], label="effective attack families by round", x_name="round")
    return Panel(
        "Effective families", "how many kinds of attack it spreads its successes over", f"{points[-1].y:.1f}", Markup(svg)
    )


def training_panels(rounds: Sequence[Round]) -> list[Panel]:
    """Each role's curves over all its steps, one after another across the rounds."""
    panels = []
    for role in dict.fromkeys(step.role for one in rounds for step in one.steps):
        steps = [step for one in rounds for step in one.steps if step.role == role]
        for field, title in (
            ("reward_mean", "reward"),
            ("success", "attack success in training"),
            ("zero_variance_share", "groups that teach nothing"),
            ("kl", "distance from the reference (KL)"),
        ):
            points = [Point(i, y) for i, step in enumerate(steps) if (y := getattr(step, field)) is not None]
            # A single point is no curve, and one that never moves says nothing.
            if len({p.y for p in points}) > 1:
                tone = "attack" if role == "attacker" else "defence"
                svg = plots.curves([Series(field, points, tone)], label=f"{role}: {title} by step")
                panels.append(Panel(f"{role}: {title}", "", f"{points[-1].y:.3g}", Markup(svg)))
    return panels


def family_rows(rounds: Sequence[Round]) -> list[tuple[str, list[str]]]:
    """Family by round: successes of attempts; the most tried family first."""
    totals: dict[str, int] = {}
    for one in rounds:
        for family, count in one.families.items():
            totals[family] = totals.get(family, 0) + count.attempts
    order = sorted(totals, key=lambda family: (-totals[family], family))
    return [
        (family, [f"{c.successes}/{c.attempts}" if (c := one.families.get(family)) else "" for one in rounds])
        for family in order
    ]


def heat_map(matrix: Matrix) -> list[tuple[str, list[tuple[float | None, str]]]]:
    """Rows of (attacker, cells); a cell is its share and its hint."""
    rows = []
    for attacker, row in zip(matrix.attackers, matrix.attack_success, strict=True):
        cells: list[tuple[float | None, str]] = []
        for value in row:
            if value is None:
                cells.append((None, ""))
            elif isinstance(value, Rate):
                cells.append((value.rate, f"{value.k} of {value.n}, {interval(value)}"))
            else:
                cells.append((value, ""))
        rows.append((str(attacker), cells))
    return rows


def _point(x: int, rate: Rate) -> Point:
    return Point(x, rate.rate, rate.low, rate.high, f"round {x}: {percent(rate)} ({rate.k} of {rate.n}; {interval(rate)})")


def title_of(name: str) -> str:
    return name.replace("_", " ")


def about(name: str) -> str:
    return SUITES.get(name, "")


def percent(rate: Rate | float | None) -> str:
    """Whole percents, but never a rounded 0% or 100% for something that happened or did not always happen."""
    if rate is None:
        return "–"
    value = 100 * (rate.rate if isinstance(rate, Rate) else rate)
    near_an_end = 0 < value < 1 or 99 < value < 100
    return f"{value:.1f}%" if near_an_end else f"{value:.0f}%"


def interval(rate: Rate | None) -> str:
    return "" if rate is None else f"{100 * rate.low:.0f}–{100 * rate.high:.0f}%"


def sizes(rates: Iterable[Rate | Undefined]) -> str:
    """How many rows stand behind the rates of a line: one number, or the fewest and the most where rounds differ."""
    counts = {rate.n for rate in rates if isinstance(rate, Rate)}
    return "–".join(str(n) for n in sorted({min(counts), max(counts)})) if counts else ""


def number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "–"
    text = f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}"
    return f"{text} {unit}".strip()


def short(digest: str) -> str:
    """Enough of a digest to tell it from its neighbours."""
    return digest.removeprefix("sha256:")[:10]


def cell(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}"
