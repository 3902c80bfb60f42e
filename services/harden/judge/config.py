"""Settings of the judge."""

from enum import StrEnum

from pydantic import Field

from harden.config import Section, ServiceConfig


class Member(StrEnum):
    ARENA_ORACLE = "arena_oracle"
    REFUSAL_WORDING = "refusal_wording"


class JudgeSettings(Section):
    panel: tuple[Member, ...] = Field((Member.ARENA_ORACLE, Member.REFUSAL_WORDING), min_length=1)
    """Who judges, as a JSON list. Every member is asked about every attack and response."""
    quorum: int = Field(1, ge=1, le=16)
    """Opinions a question needs; with fewer, or without a majority, it is unscoreable and nothing is learned from it."""
    max_in_flight: int = Field(32, ge=1, le=1024)
    """Bouts judged at once."""


class JudgeConfig(ServiceConfig):
    judge: JudgeSettings = JudgeSettings()
    """The judge itself."""
