"""The settings tree: where values come from and what is refused."""

from collections.abc import Mapping

import pytest
from pydantic import Field, ValidationError

from harden.config import KafkaSettings, Section, ServiceConfig, describe, refuse_unknown, setting_names
from harden.domain.errors import SetupError


class JudgeSection(Section):
    quorum: int = Field(2, ge=1, le=9)
    """How many must agree."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Member to weight."""
    deputy: KafkaSettings | None = None
    """A section that may be absent."""


class Config(ServiceConfig):
    judge: JudgeSection = JudgeSection()
    """The judge's own."""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    values = {
        "HARDEN_JUDGE__QUORUM": "3",
        "HARDEN_JUDGE__WEIGHTS": '{"oracle": 2}',
        "HARDEN_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
        "HARDEN_TRAINER__SOMETHING": "of another service",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def test_every_setting_has_a_usable_default() -> None:
    assert Config.of() == Config.of(kafka=KafkaSettings(), judge=JudgeSection())


def test_the_environment_is_read_by_section(environment: Mapping[str, str]) -> None:
    config = Config()
    assert (config.judge.quorum, config.judge.weights) == (3, {"oracle": 2.0})
    assert config.kafka == KafkaSettings(bootstrap_servers="kafka:9092")


def test_explicit_values_stand_alone(environment: Mapping[str, str]) -> None:
    config = Config.of(judge=JudgeSection(weights={"guard": 1.0}))
    assert (config.judge.quorum, config.kafka) == (2, KafkaSettings())


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Config.of().judge.quorum = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("HARDEN_JUDGE__QORUM", "HARDEN_JUDGE__QUORUM"),
        ("HARDEN_KAFKA__BOOTSTRAP", "HARDEN_KAFKA__BOOTSTRAP_SERVERS"),
        ("HARDEN_KAFAK__BOOTSTRAP_SERVERS", "HARDEN_KAFKA__BOOTSTRAP_SERVERS"),
        ("HARDEN_LOG_LEVEL", "HARDEN_LOG__LEVEL"),
        ("harden_log__levle", "HARDEN_LOG__LEVEL"),
        ("HARDEN_STOREURI", "HARDEN_STORE__URI"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(name: str, nearest: str) -> None:
    with pytest.raises(SetupError, match=f"unknown setting {name}; the nearest known one is {nearest}$"):
        refuse_unknown({name: "1"}, Config)


@pytest.mark.parametrize("name", ["HARDEN_TRAINER__ANYTHING", "HARDEN_JUDGE__WEIGHTS__ORACLE", "OTHER_NAME", "HARDENED"])
def test_names_of_others_are_left_alone(name: str) -> None:
    refuse_unknown({name: "1"}, Config)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("HARDEN_JUDGE__QUORUM", "0", "HARDEN_JUDGE__QUORUM: Input should be greater than or equal to 1, not '0'"),
        ("HARDEN_JUDGE__QUORUM", "many", "HARDEN_JUDGE__QUORUM: Input should be a valid integer"),
        ("HARDEN_KAFKA__BOOTSTRAP_SERVERS", "kafka", "HARDEN_KAFKA__BOOTSTRAP_SERVERS"),
        ("HARDEN_LOG__LEVEL", "loud", "HARDEN_LOG__LEVEL"),
        ("HARDEN_JUDGE__WEIGHTS", "{", "not JSON"),
    ],
)
def test_a_value_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SetupError) as caught:
        Config()
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_explicit_name_that_is_unknown_is_refused() -> None:
    with pytest.raises(SetupError, match="HARDEN_JUDGE__QORUM"):
        Config.of(judge={"qorum": 3})


def test_every_setting_says_what_it_means() -> None:
    paragraphs = list(describe(Config))
    leaves = [name for name, _ in setting_names(Config)]
    assert {paragraph.split(":")[0] for paragraph in paragraphs} <= set(leaves)
    for paragraph in paragraphs:
        title, _, meaning = paragraph.partition("\n")
        assert meaning.strip(), f"{title} has no docstring"
