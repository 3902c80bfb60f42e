import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.cli.log_access import Where, open_log
from harden.cli.report import read_kept, summary, write_report
from harden.cli.reporting import plots
from harden.cli.reporting.gather import as_json
from harden.cli.reporting.page import percent, render
from harden.cli.reporting.plots import Point, Series
from harden.cli.reporting.recorded import of_facts
from harden.cli.reporting.schema import Bouts, SuitePart
from harden.domain.errors import SetupError
from harden.domain.round import RunFinished
from harden.local.rundir import LocalRun
from tests.support import facts
from tests.unit.cli.builders import a_kept_run, a_rate, a_report, a_round


def test_a_report_holds_what_the_trainer_wrote_and_more_of_a_round_than_it_knows(tmp_path: Path) -> None:
    rounds = [a_round(0), a_round(1, train=4, evaluation_seconds=3.5)]
    report = json.loads(as_json(a_report(tmp_path / "run", rounds)))
    assert report["schema"] == "harden.report/2"
    assert report["ok"] is True
    assert report["seed"] == 7
    assert report["seconds"]["play"] == 12.5
    assert report["rounds"][1]["attack_success"]["trained"] == a_rate(4)
    assert report["rounds"][1]["evaluation_seconds"] == 3.5


def test_rounds_stand_in_the_order_of_their_numbers() -> None:
    assert [one.round for one in of_facts([facts.a_round(n) for n in (10, 2, 0)]).rounds] == [0, 2, 10]


def test_of_a_record_written_twice_the_newest_counts() -> None:
    """A trainer that was killed between the record and its checkpoint writes the record again."""
    seen = of_facts([facts.a_step(), facts.a_round(k=3), facts.a_step(), facts.a_round(k=5)])
    (one,) = seen.rounds
    assert one.attack_success["trained"].k == 5
    assert len(one.steps) == 1


def test_the_steps_of_a_side_run_belong_to_no_round() -> None:
    (one,) = of_facts([facts.a_step(), replace(facts.a_step(step=1), side_run="side_run"), facts.a_round()]).rounds
    assert [step.step for step in one.steps] == [0]


def test_a_round_that_was_rolled_back_keeps_what_it_had_come_to() -> None:
    content = of_facts([facts.a_rejected_round()]).rounds[0].model_dump()
    assert content["rolled_back"]
    assert content["rejected"]["refusal"]["ordinary"]["k"] == 4
    assert content["monitor"]["breaches"]


def test_a_run_that_ended_early_is_reported_as_failed_with_the_rounds_it_has(tmp_path: Path) -> None:
    report = a_report(tmp_path / "run", [a_round(0)], ending=None)
    assert not report.ok
    assert report.failed
    assert len(report.rounds) == 1
    assert "What went wrong" in render(report)


def test_a_report_needs_the_log_and_none_of_the_readings_in_the_directory(tmp_path: Path) -> None:
    """What a run in one process leaves behind is read as the log of any other."""
    told = [facts.a_step(), facts.a_round(), facts.a_side_run(), facts.a_cross_play(), RunFinished("run-0", 3, None, 12.5)]
    run = a_kept_run(tmp_path / "run", *told, replace(facts.a_round(k=8), run_id="another run"))
    made = write_report(run, read_kept(run))
    for reading in ("report.json", "report.html"):
        (run.root / reading).unlink()
    again = write_report(run, read_kept(run))
    assert again == made
    assert again.ok
    assert again.seed == 3
    assert again.rounds[0].attack_success["trained"].k == 3
    assert again.side_run is not None
    assert again.side_run.rolled_back
    assert again.matrix is not None
    # Readers of report.json rely on its keys.
    assert json.loads(as_json(again))["monitor_arm"]["refusal_ordinary"]["k"] == 7
    assert again.suites["ordinary"].title == "ordinary requests"
    assert json.loads((run.root / "report.json").read_text())["rounds"][0]["swaps"]["requests"] == 640


def test_the_summary_shows_the_headline_suites_under_the_worlds_titles(tmp_path: Path) -> None:
    suites = {"trained": SuitePart(title="as trained on", is_headline=True), "listed_never_attacked": SuitePart(title="unseen")}
    report = a_report(tmp_path / "run", [a_round(0), a_round(1, train=4)]).model_copy(update={"suites": suites})
    (line, _) = summary(report)
    assert line.split() == ["ASR,", "as", "trained", "on", "50.0%", "->", "2.0%", "(95%:", "0", "to", "7)"]
    page = render(report)
    assert "ASR, as trained on: 50% before, 2% after." in page
    assert "unseen" in page


def test_without_headline_suites_the_summary_shows_every_suite_by_name(tmp_path: Path) -> None:
    lines = summary(a_report(tmp_path / "run", [a_round(0), a_round(1)]))
    titles = [line.split("  ")[1] for line in lines[:-1]]
    assert titles == [
        "ASR, trained",
        "ASR, listed never attacked",
        "benign compliance, ordinary",
        "over-refusal rate, ordinary",
    ]


def test_a_kept_log_that_is_broken_says_so(tmp_path: Path) -> None:
    run = LocalRun(tmp_path)
    run.kept_log.write_bytes(b"\x05\xff\xff\xff\xff\xff")
    with pytest.raises(SetupError, match="cannot be read"), open_log(Where(run=run.root)):
        pass


def test_a_directory_that_is_not_there_says_how_to_make_a_run(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="harden demo --run-dir"):
        read_kept(LocalRun(tmp_path / "nowhere"))


def test_bouts_add_up_only_where_each_ended_in_one_state() -> None:
    assert Bouts(scheduled=10, trained=7, dropped={"stale": 2}, dead_lettered=1).accounted == 10
    assert Bouts(scheduled=10, trained=7).accounted == 7


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.external: list[str] = []
        self.open_tags: list[str] = []
        self.unclosed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.external += [f"{tag} {name}={value}" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in ("meta", "br", "img"):
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if not self.open_tags or self.open_tags.pop() != tag:
            self.unclosed.append(tag)


def test_the_page_needs_nothing_but_itself_and_is_well_formed(tmp_path: Path) -> None:
    page = render(a_report(tmp_path / "run", [a_round(0), a_round(1, train=4)]))
    links = _Links()
    links.feed(page)
    assert links.external == []
    assert "<script" not in page
    assert "@import" not in page
    assert "url(" not in page
    assert links.unclosed == []
    assert links.open_tags == []


def test_an_attack_is_text_on_the_page_and_hidden_until_opened(tmp_path: Path) -> None:
    attack = "</p><script>alert(1)</script> {{ 7*7 }} </details>"
    example = {
        "bout_id": "ab", "round": 0, "suite": "trained", "family": "x<y", "seed": "s",
        "attack": attack, "response": "r", "harmful": True, "refusal": "none",
    }  # fmt: skip
    page = render(a_report(tmp_path / "run", [a_round(0)], examples=[example]))
    assert attack not in page
    assert "&lt;script&gt;" in page
    assert "{{ 7*7 }}" in page
    opened = page[page.index("<details><summary>start") :]
    assert "&lt;script&gt;" in opened[: opened.index("</details>")]
    assert "<details open" not in page


def test_the_page_says_where_rounds_were_asked_differently_much(tmp_path: Path) -> None:
    fewer = {"ordinary": {"k": 45, "n": 90, "rate": 0.5, "low": 0.4, "high": 0.6}}
    page = render(a_report(tmp_path / "run", [a_round(0), a_round(1, accuracy=fewer), a_round(2)]))
    assert "<td>90–200</td></tr>" in page
    assert "<td>200</td></tr>" in page  # the other tables


def test_the_page_says_how_many_subjects_any_cell_reaches_and_of_how_many_rows_each(tmp_path: Path) -> None:
    # 200 rows of 40 subjects; the round between asked 80 of them.
    some = {"attack_any": {"trained": a_rate(30, 40)}}
    fewer = {"attack_success": {"trained": a_rate(8, 80)}, "attack_any": {"trained": a_rate(10, 40)}}
    page = render(a_report(tmp_path / "run", [a_round(0, **some), a_round(1, **fewer), a_round(2, **some)]))
    table = page[page.index("<th>subjects that any cell reaches</th>") :]
    row = table[table.index("<tr><td>trained</td>") : table.index("</tbody>")]
    assert re.findall(r"(\d+)%<small>", row) == ["75", "25", "75"]
    assert "<td>40</td><td>2–5</td></tr>" in row
    assert "temperature 1" not in page


def test_the_page_shows_rates_at_temperature_1_of_the_rounds_that_have_them(tmp_path: Path) -> None:
    drawn = {"attack_success_t1": {"trained": a_rate(60)}, "attack_any_t1": {"trained": a_rate(36, 40)}}
    page = render(a_report(tmp_path / "run", [a_round(0, **drawn), a_round(1)]))
    table = page[page.index("<th>attack success, temperature 1</th>") :]
    row = table[table.index("<tr><td>trained</td>") : table.index("</tbody>")]
    assert "30%<small>25–35%</small>" in row
    assert "<td>–</td><td>200</td></tr>" in row
    reached = table[table.index("<th>subjects that any cell reaches, temperature 1</th>") :]
    assert "<td>40</td><td>5</td></tr>" in reached[: reached.index("</tbody>")]


def test_a_report_of_a_log_has_what_any_cell_reaches_and_what_was_drawn_at_temperature_1() -> None:
    (one,) = of_facts([facts.a_round(k=3)]).rounds
    assert (one.attack_any["trained"].k, one.attack_any["trained"].n) == (2, 4)
    assert one.attack_success_t1["trained"].k == 4
    assert one.attack_any_t1["trained"].k == 3
    old = replace(facts.a_round(), rates={"attack_success": {"trained": facts.a_rate()}, "refusal": {}, "accuracy": {}})
    assert of_facts([old]).rounds[0].attack_any == {}


def test_the_page_shows_a_sum_that_does_not_add_up(tmp_path: Path) -> None:
    off = a_round(1, bouts={"scheduled": 10, "trained": 7, "dropped": {}, "dead_lettered": 0, "expired": 0})
    assert "<td>NO</td>" in render(a_report(tmp_path / "run", [a_round(0), off]))


def test_a_matrix_may_hold_rates_or_numbers(tmp_path: Path) -> None:
    matrix = {"attackers": [0, 1], "defenders": [0, 1], "attack_success": [[a_rate(150), 0.25], [None, 0.0]]}
    page = render(a_report(tmp_path / "run", [a_round(0)], matrix=matrix))
    assert ">75</td>" in page
    assert ">25</td>" in page
    assert "150 of 200" in page


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0%"), (0.004, "0.4%"), (0.5, "50%"), (0.999, "99.9%"), (1.0, "100%"), (None, "–")]
)
def test_a_percentage_is_never_rounded_to_never_or_always(value: float | None, text: str) -> None:
    assert percent(value) == text


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_a_plot_stays_inside_its_picture(rows: list[tuple[float, float, float]]) -> None:
    points = [Point(x, *(sorted(row)[i] for i in (1, 0, 2))) for x, row in enumerate(rows)]
    svg = plots.rates([Series("s", points)], label="l")
    for x, y in re.findall(r"([\d.-]+),([\d.-]+)", " ".join(re.findall(r'points="([^"]*)"', svg))):
        assert plots.LEFT - 0.1 <= float(x) <= plots.WIDTH
        assert 0 <= float(y) <= plots.HEIGHT


def test_higher_values_are_drawn_higher() -> None:
    svg = plots.curves([Series("s", [Point(0, 1.0), Point(1, 2.0)])], label="l")
    (first, second) = re.search(r'<polyline class="line attack" points="([^"]*)"', svg)[1].split()  # type: ignore[index]
    assert float(second.split(",")[1]) < float(first.split(",")[1])
