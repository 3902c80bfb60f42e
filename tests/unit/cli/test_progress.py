import io
from dataclasses import replace

from harden.local.progress import LiveDisplay, PlainDisplay, TimeLeft, describe
from harden.trainer.game.rundir import Progress

STEP = Progress("defender", 1, 4, 3, 10, 12, 0.31, 0.2, "")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_says_phase_step_what_is_in_flight_and_attack_success() -> None:
    assert describe(STEP) == "round 1 of 4, the defender learns, step 3 of 10, 12 bouts in flight, attack success 31%"


def test_time_left_is_said_only_when_there_is_something_to_tell_from() -> None:
    left = TimeLeft()
    assert left.text(0.1, now=100.0) == ""
    assert left.text(0.11, now=101.0) == ""
    assert left.text(0.2, now=110.0) == "about 80 s left"
    assert left.text(0.2, now=140.0) == "about 5 min left"
    assert left.text(1.0, now=150.0) == ""


def test_plain_lines_come_with_every_phase_and_now_and_then_between() -> None:
    stream, clock = io.StringIO(), Clock()
    display = PlainDisplay(stream, clock)
    display.show(STEP)
    display.show(replace(STEP, step=4))
    assert len(stream.getvalue().splitlines()) == 1
    clock.now = 6.0
    display.show(replace(STEP, step=5))
    display.show(replace(STEP, phase="attacker", step=0))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert "step 5 of 10" in lines[1]
    assert "the attacker learns" in lines[2]
    assert "\x1b" not in stream.getvalue()


def test_a_message_cannot_be_taken_for_markup_on_a_terminal() -> None:
    stream = io.StringIO()
    with LiveDisplay(stream, Clock()) as display:
        display.say("[bold]as it is[/bold]")
    assert "[bold]as it is[/bold]" in stream.getvalue()
