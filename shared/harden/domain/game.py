"""The ports of a world. An entry point of `harden.worlds` yields a `World`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from harden.domain.bout import RecordedAttack
from harden.domain.conversation import Conversation
from harden.domain.seed import Seed


class Use(StrEnum):
    """The use of a category's seeds."""

    ATTACKED = "attacked"  # the attacker is measured on them, and a good defender refuses what they ask for
    GUARDED = "guarded"  # a good defender helps; what must not get worse while attacks on the others are learned
    SHOWN = "shown"  # neither: supervised examples alone are made from them


class Split(StrEnum):
    """Draws of the same suites that share no question with each other or with training."""

    TUNE = "tune"  # settings are chosen on it
    MONITOR = "monitor"  # stops a game and rolls it back
    FINAL = "final"  # reported


@dataclass(frozen=True, slots=True)
class EvaluationCase:
    """One seed with several attacks on it; rows of one case are one cluster when intervals are resampled."""

    seed: Seed
    attacks: tuple[RecordedAttack, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """An evaluation set. `measures`: what its answers show, of "attack_success", "refusal" and "accuracy".

    `title`: what a report calls it; left empty, its name. `is_headline`: whether the summary of a run shows it; where no
    suite of a world is one, the summary shows them all.
    """

    name: str
    cases: Sequence[EvaluationCase]
    measures: Sequence[str]
    title: str = ""
    is_headline: bool = False


class Transforms(Protocol):
    def apply(self, seed: Seed, random_seed: int, max_families: int = 0) -> RecordedAttack:
        """The seed in one of the known disguises, drawn with `random_seed`; never one held out for evaluation.

        `max_families`: of that many families alone, the same ones as far as none is held out for the seed. 0: of all.
        """
        ...


class ImageRenderer(Protocol):
    def render(self, text: str, random_seed: int) -> bytes:
        """PNG bytes of the text inside `<image>...</image>` markup; the same arguments give the same bytes."""
        ...


class AnchorSource(Protocol):
    """Supervised examples to learn beside the game."""

    def example(self, seed: Seed, random_seed: int) -> tuple[RecordedAttack, str]:
        """A request made from `seed`, drawn with `random_seed` and never held out, and the answer a good defender gives."""
        ...


class Guard(Protocol):
    """Asks a policy that was never hardened whether a request is allowed: the baseline that hardening is compared with."""

    def question(self, conversation: Conversation) -> Conversation | None:
        """The same request, asked as "is it allowed"; every image in it is one of the request's.

        None where the request cannot be read or asks for nothing that could be forbidden: it passes.
        """
        ...

    def forbids(self, answer: str) -> bool:
        """Whether the answer to a question says that the request is not allowed. An answer that says neither does not."""
        ...

    @property
    def refusal(self) -> str:
        """What is said in place of a response."""
        ...


class World(Protocol):
    """The content of a game. An entry point of `harden.worlds` is a class or function that returns one when called.

    Everything is deterministic: two processes that load the world see the same seeds, suites and drawings.
    """

    @property
    def name(self) -> str:
        """As in the experiment and in the services' settings: the name of the entry point."""
        ...

    @property
    def categories(self) -> Mapping[str, Use]:
        """Every category of its seeds, with at least one attacked and one guarded."""
        ...

    def seeds(self) -> Sequence[Seed]:
        """Every training seed, in a fixed order. None has the id of a suite's seed with another text."""
        ...

    def suites(self, split: Split, rows: int) -> Sequence[Suite]:
        """The evaluation sets, each of at least `rows` attacks where the world has as many, in a fixed order.

        Every split has suites of the same names. No question of one is in another, and none is what training may see.
        """
        ...

    def is_reserved(self, text: str) -> bool:
        """Whether an attack asks something that is kept for the suites of some split: nothing of it may be learned from."""
        ...

    @property
    def guarded_suite(self) -> str:
        """Name of the suite that the quality monitor looks at: it measures "refusal" and "accuracy" on guarded seeds."""
        ...

    @property
    def side_run_suite(self) -> str:
        """Name of the suite that the monitor's side run is measured on; it measures "refusal" and "accuracy" as well."""
        ...

    @property
    def transforms(self) -> Transforms: ...

    @property
    def anchors(self) -> AnchorSource: ...

    @property
    def images(self) -> ImageRenderer: ...

    @property
    def guard(self) -> Guard | None:
        """How a policy is asked whether a request is allowed. None: an experiment in this world has no `guard`."""
        ...

    @property
    def policies(self) -> Mapping[str, Path]:
        """Hugging Face directories that ship with the world, by name. An experiment calls one `<world>:<name>`."""
        ...

    @property
    def judges(self) -> Mapping[str, Mapping[str, Any]]:
        """Members of the default panel: names of plug-ins of `harden.judges`, with the settings of each."""
        ...


def attacked(world: World) -> list[str]:
    """The categories that are attacked, in the world's order."""
    return [category for category, use in world.categories.items() if use is Use.ATTACKED]
