"""What the runbook tells a person to type exists."""

import re

import pytest

from harden.cli.main import run as harden
from harden.domain.policy import RefusalReason
from tests.deploy import deployed

TEXT = deployed.RUNBOOK.read_text(encoding="utf-8")
# `harden noun verb`, where it is a command to type: in backticks or at the beginning of a line of a block.
COMMANDS = sorted(set(re.findall(r"(?:`|^|-- )harden ((?:[a-z]+(?:-[a-z]+)* )?[a-z]+(?:-[a-z]+)*)", TEXT, re.MULTILINE)))


def test_the_runbook_names_commands() -> None:
    assert len(COMMANDS) > 5


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_runbook_is_one(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert harden([*command.split(), "--help"]) == 0, capsys.readouterr().err
    assert f"harden {command}" in capsys.readouterr().out


def test_every_file_of_the_repository_that_the_runbook_names_is_there() -> None:
    names = set(re.findall(r"(?<!exec )\bdeploy/[\w./-]+\w", TEXT))
    assert names
    for name in names:
        assert (deployed.ROOT / name).exists(), name


def test_every_reason_to_refuse_a_policy_that_the_runbook_explains_is_one() -> None:
    reasons = {value for name, value in vars(RefusalReason).items() if name.isupper()}
    entry = TEXT.split("### SwapRefused")[1].split("###")[0]
    look = entry.split("**Look:**")[1].split("**Do:**")[0]
    explained = set(re.findall(r"`([a-z]+_[a-z_]+)`", look)) - {"harden policy verify"}
    assert explained - reasons <= {name for name in explained if name.startswith("harden_")}
    assert len(explained & reasons) >= 10
