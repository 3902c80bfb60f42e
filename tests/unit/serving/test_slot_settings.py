"""Which slots Triton serves is a setting, and its model repository is written from it."""

import sys
from pathlib import Path

import pytest

from harden.domain.errors import SetupError
from harden.domain.policy import SLOTS
from harden.triton import repository
from harden.triton.config import TritonConfig, TritonSettings


def test_the_repository_holds_a_model_for_every_slot_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDEN_TRITON__SLOTS", '["defender", "opponent_1", "opponent_2"]')
    monkeypatch.setattr(sys, "argv", ["repository", str(tmp_path)])
    repository.main()
    assert {path.name for path in tmp_path.iterdir()} == {"defender", "opponent_1", "opponent_2"}
    assert 'name: "opponent_2"' in (tmp_path / "opponent_2" / "config.pbtxt").read_text()


def test_without_a_setting_the_usual_slots_are_served() -> None:
    assert TritonSettings().slots == SLOTS


@pytest.mark.parametrize("slots", [[], ["defender", "defender"], ["Defender"], ["../defender"], ["a/b"], [""], ["a\n"]])
def test_names_that_no_directory_or_topic_key_could_bear_are_refused(slots: list[str]) -> None:
    with pytest.raises(SetupError, match="SLOTS"):
        TritonConfig.of(triton={"slots": slots})


def test_a_wrong_setting_ends_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARDEN_TRITON__SLOTS", '["no-hyphens"]')
    monkeypatch.setattr(sys, "argv", ["repository", str(tmp_path)])
    with pytest.raises(SystemExit):
        repository.main()
    assert "HARDEN_TRITON__SLOTS" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
