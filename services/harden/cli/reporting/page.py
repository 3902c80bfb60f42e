"""Draws a report as one self-contained page: no scripts, no fonts, no requests. Everything it shows is escaped text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined
from markupsafe import Markup

from harden.cli.reporting import plots
from harden.cli.reporting.headline import figures, title_of
from harden.cli.reporting.plots import Point, Series
from harden.cli.reporting.schema import Matrix, Outcomes, Rate, Report, Round

# From the bottom of a bar: what a defender should give least first.
OUTCOMES = tuple(Outcomes.model_fields)


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
        percent=percent,
        interval=interval,
        number=number,
        short=short,
        cell=cell,
        sizes=sizes,
        measured=measured,
        rows_each=rows_each,
        suite_title=lambda name: title_of(report, name),
    )
    rounds = report.rounds
    return environment.get_template("page.html.j2").render(
        report=report,
        last=rounds[-1] if rounds else None,
        headline=headline(report),
        figures=figures(report),
        attack_panels=rate_panels(report, lambda r: r.attack_success, "attack"),
        outcome_panels=outcome_panels(report),
        outcomes=OUTCOMES,
        undecided_shares=undecided_shares(report),
        refusal_panels=rate_panels(report, lambda r: r.refusal, "muted"),
        accuracy_panels=rate_panels(report, lambda r: r.accuracy, "help"),
        attacker_panel=attacker_panel(rounds),
        families_panel=families_panel(rounds),
        training_panels=training_panels(rounds),
        family_rows=family_rows(rounds),
        matrix=heat_map(report.matrix) if report.matrix else None,
    )


def headline(report: Report) -> str:
    """The run in one sentence: of each measure the first figure. All of them stand below it."""
    if not report.rounds:
        return "No round was finished."
    of_each = {one.measure: one for one in reversed(figures(report))}
    changes = [f"{one.label}: {percent(one.before)} before, {percent(one.after)} after" for one in reversed(of_each.values())]
    return "; ".join(changes) + "." if changes else "The run measured no suite."


def rate_panels(report: Report, part: Callable[[Round], Mapping[str, Rate]], tone: str) -> list[Panel]:
    """One small plot for each suite that some round measured, in the order of the first round."""
    rounds = report.rounds
    names = list(dict.fromkeys(name for one in rounds for name in part(one)))
    panels = []
    for name in names:
        points = [_point(one.round, part(one)[name]) for one in rounds if name in part(one)]
        newest = next(part(one)[name] for one in reversed(rounds) if name in part(one))
        svg = plots.rates([Series(name, points, tone)], label=f"{title_of(report, name)}: rate by round")
        panels.append(Panel(title_of(report, name), "", percent(newest), Markup(svg)))
    return panels


def outcome_panels(report: Report) -> list[Panel]:
    """What the responses to each suite of attacks came to, a bar a round."""
    panels = []
    for name in dict.fromkeys(name for one in report.rounds for name in one.attacks):
        bars = [
            (str(one.round), [(outcome, getattr(one.attacks[name], outcome).rate) for outcome in OUTCOMES])
            for one in report.rounds
            if name in one.attacks
        ]
        svg = plots.stacked(bars, label=f"{title_of(report, name)}: outcomes by round")
        panels.append(Panel(title_of(report, name), "", "", Markup(svg)))
    return panels


def undecided_shares(report: Report) -> list[tuple[str, Rate]]:
    """Of the last round, where there are any."""
    if not report.rounds:
        return []
    undecided = report.rounds[-1].undecided
    measured = {"over-refusal": undecided.refusal, "benign compliance": undecided.accuracy}
    return [
        (f"{measure}, {title_of(report, suite)}", rate)
        for measure, by_suite in measured.items()
        for suite, rate in by_suite.items()
        if rate.k
    ]


def attacker_panel(rounds: Sequence[Round]) -> Panel | None:
    """ASR of each round's attacker before and after the defender was trained against it."""
    played = [one for one in rounds if one.attacker]
    before = [_point(one.round, one.attacker.success_before) for one in played if one.attacker and one.attacker.success_before]
    after = [_point(one.round, one.attacker.success_after) for one in played if one.attacker and one.attacker.success_after]
    if not before and not after:
        return None
    series = [Series("before", before, "attack"), Series("after", after, "defence")]
    svg = plots.rates(series, label="ASR of the attacker policy by round, before and after the defender's phase")
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
    return Panel("Effective families", "exp(entropy) of its successful attacks by family", f"{points[-1].y:.1f}", Markup(svg))


def training_panels(rounds: Sequence[Round]) -> list[Panel]:
    """Each role's curves over the steps of all rounds."""
    panels = []
    for role in dict.fromkeys(step.role for one in rounds for step in one.steps):
        steps = [step for one in rounds for step in one.steps if step.role == role]
        for field, title in (
            ("reward_mean", "reward"),
            ("success", "attack success in training"),
            ("zero_variance_share", "groups with equal rewards"),
            ("kl", "distance from the reference (KL)"),
        ):
            points = [Point(i, y) for i, step in enumerate(steps) if (y := getattr(step, field)) is not None]
            # A single point is no curve, and a constant shows nothing.
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
    """The number of rows behind the rates of a line: one number, or the fewest and the most where rounds differ."""
    counts = {rate.n for rate in rates if isinstance(rate, Rate)}
    return "–".join(str(n) for n in sorted({min(counts), max(counts)})) if counts else ""


def measured(rounds: Sequence[Round], measure: str) -> list[str]:
    """The suites that some round has this measure of, in the order of the first round."""
    return list(dict.fromkeys(name for one in rounds for name in getattr(one, measure)))


def rows_each(rounds: Sequence[Round], suite: str, reached: str, rows: str) -> str:
    """How many rows the suite has for each subject: one number, or the fewest and the most where rounds differ.

    `reached` and `rows`: the measures that count subjects and rows.
    """
    pairs = [(getattr(one, reached).get(suite), getattr(one, rows).get(suite)) for one in rounds]
    counts = {of.n / by.n for by, of in pairs if by and of and by.n}
    return "–".join(number(n) for n in sorted({min(counts), max(counts)})) if counts else ""


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
