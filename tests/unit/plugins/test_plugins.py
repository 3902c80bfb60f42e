"""Entry points: what is found, and what somebody is told who asks for what is not there."""

import sys
from pathlib import Path

import pytest

from harden import plugins
from harden.domain.errors import SetupError

GROUP = "harden.judges"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a distribution with one entry point importable, as an installer would leave it."""

    def install(distribution: str, name: str, value: str) -> None:
        home = tmp_path / distribution
        info = home / f"{distribution}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {value}\n")
        (home / f"{distribution}.py").write_text("LENIENT = object()\n")
        monkeypatch.syspath_prepend(str(home))

    yield install
    for module in [name for name in sys.modules if name.startswith("foreign")]:
        del sys.modules[module]


def test_a_distribution_beside_ours_adds_a_plug_in(install) -> None:
    install("foreign_one", "lenient_for_test", "foreign_one:LENIENT")
    assert "lenient_for_test" in plugins.names(GROUP)
    assert plugins.load(GROUP, "lenient_for_test") is sys.modules["foreign_one"].LENIENT


def test_naming_what_is_installed_imports_nothing(install) -> None:
    install("foreign_two", "broken_for_test", "foreign_two:NOWHERE")
    assert "broken_for_test" in plugins.names(GROUP)
    assert "foreign_two" not in sys.modules


def test_a_missing_one_is_refused_with_the_names_there_are(install) -> None:
    install("foreign_three", "here_for_test", "foreign_three:LENIENT")
    with pytest.raises(SetupError, match=r"no judge 'elsewhere'; installed are .*here_for_test"):
        plugins.load(GROUP, "elsewhere")


def test_one_that_cannot_be_loaded_says_where_it_was_to_come_from(install) -> None:
    install("foreign_four", "lost_for_test", "foreign_four:NOWHERE")
    with pytest.raises(SetupError, match=r"'lost_for_test' \(foreign_four:NOWHERE\) cannot be loaded"):
        plugins.load(GROUP, "lost_for_test")


def test_two_distributions_that_claim_one_name_are_refused_by_name(install) -> None:
    install("foreign_five", "twice_for_test", "foreign_five:LENIENT")
    install("foreign_six", "twice_for_test", "foreign_six:LENIENT")
    with pytest.raises(SetupError, match="provided twice, by foreign_five and foreign_six"):
        plugins.load(GROUP, "twice_for_test")
