"""Text -> request. Strict: only what `language.render` can write is understood. Lenient: a human would understand.

A strict reading peels one phrase after the other: quote, wrappers, layers. What remains is a question; its words that vary
(names, letters, code words, operands) are replaced by their class, and the skeleton is looked up in the table of all
questions. The reading counts only when it renders to the very same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harden.worlds.arena.language import (
    ALPHABET,
    COPIED,
    FRAMES,
    INTENTS,
    LAYERS,
    LETTERED,
    MAX_WRAPPERS,
    NUM_DIGITS,
    NUM_SORTED,
    PRESENTATIONS,
    QUOTES,
    UTILITY,
    WRAPPERS,
    Cell,
    Goal,
    Request,
    encoded,
    render,
    slots,
    unshuffled,
)
from harden.worlds.arena.world import NAME_LENGTH, World, word_list

_NAME, _LETTER, _CODE, _LAND, _NUMBER, _COPY = "@name", "@letter", "@code", "@land", "@number", "@copy"
_LETTERS = frozenset(ALPHABET)


@dataclass(frozen=True, slots=True)
class _Form:
    """A kind of question without what wraps it. `places`: indices of its words that vary, by class, in order."""

    intent: str
    intent_template: int
    presentation: str = "plain"
    encoding_template: int = 0
    is_padded: bool = False
    places: Mapping[str, tuple[int, ...]] | None = None


class Reader:
    """Reads the texts of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._classes = {
            **dict.fromkeys(_LETTERS, _LETTER),
            **dict.fromkeys(world.by_name, _NAME),
            **dict.fromkeys(world.code_words, _CODE),
            **dict.fromkeys(world.facts, _LAND),
            **dict.fromkeys(world.copy_words, _COPY),
            **dict.fromkeys(map(str, range(NUM_DIGITS)), _NUMBER),
        }
        self._forms: dict[str, list[_Form]] = {}
        for form, words in _forms():
            skeleton = " ".join(word if word.startswith("@") else self._classes.get(word, word) for word in words)
            self._forms.setdefault(skeleton, []).append(form)

    def parse(self, text: str) -> Request | None:
        """The request that renders to exactly these words, or None."""
        words = text.split()
        quote = _unquote(words)
        if quote is None:
            return self._parse_wrapped(words)
        number, inner_words = quote
        inner = self._parse_wrapped(inner_words)
        if inner is None or inner.goal.intent != "brew":
            return None
        return replace(inner, goal=Goal("quote", inner.goal.subject), quote_template=number)

    def asks_leniently(self, text: str, goal: Goal) -> bool:
        """Whether a patient reader could take the text as this brewing request, grammar or not.

        The potion must be recoverable, no second potion may be, nothing else may be asked of it, and nothing may be quoted.
        Brewing need not be named: who only says a potion's name may well be told how to brew it.
        """
        if goal.intent != "brew":
            parsed = self.parse(text)
            return parsed is not None and parsed.goal == goal
        words = text.split()
        if '"' in words or _OTHER_INTENTS & set(words):
            return False
        return self._recoverable_names(words) == {goal.subject}

    def _parse_wrapped(self, words: list[str]) -> Request | None:
        rest, wrappers, templates = _peel(words, _WRAPPER_PHRASES, MAX_WRAPPERS)
        if len(set(wrappers)) < len(wrappers):
            return None
        if wrappers:
            return self._parse_layers(rest, words, wrappers, templates)
        for number, (before, after) in enumerate(_FRAME_ENDS):
            end = len(words) - len(after)
            if words[: len(before)] == before and words[end:] == after:
                request = self._parse_layers(words[len(before) : end], words, (), (number,))
                if request is not None:
                    return request
        return None

    def _parse_layers(
        self, words: list[str], whole: list[str], wrappers: tuple[str, ...], templates: tuple[int, ...]
    ) -> Request | None:
        rest, layers, layer_templates = _peel(words, _LAYER_PHRASES, len(LAYERS))
        if layers != tuple(layer for layer in LAYERS if layer in layers):
            return None
        classes = self._classes
        for form in self._forms.get(" ".join(classes.get(word, word) for word in rest), ()):
            if form.is_padded != ("padded" in layers) or (layers and form.presentation not in LETTERED):
                continue
            request = self._fill(form, rest, Cell(wrappers, form.presentation, layers))
            if request is None:
                continue
            request = replace(request, wrapper_templates=templates, layer_templates=layer_templates)
            if render(request).split() == whole:
                return request
        return None

    def _fill(self, form: _Form, words: Sequence[str], cell: Cell) -> Request | None:
        """Puts the words at the form's places into a request; None when they name no potion."""
        places = form.places or {}
        found = {kind: [words[n] for n in places[kind]] for kind in places}
        if form.intent in UTILITY:
            subject = " ".join(found[_UTILITY_CLASSES[form.intent]])
            return Request(Goal(form.intent, subject), cell, intent_template=form.intent_template)
        name = unshuffled("".join(found[_LETTER]), cell.layers) if form.presentation in LETTERED else found[_NAME][0]
        if name not in self.world.by_name:
            return None
        return Request(
            Goal(form.intent, name),
            cell,
            encoding_template=form.encoding_template,
            intent_template=form.intent_template,
            code=found[_CODE][0] if _CODE in found else "",
            noise="".join(found[_NUMBER]) if form.is_padded else "",
        )

    def _recoverable_names(self, words: Iterable[str]) -> set[str]:
        """Potions that are written out, or that the one-letter words spell in some order that this world uses."""
        words = list(words)
        names = {word for word in words if word in self.world.by_name}
        letters = "".join(word for word in words if word in _LETTERS)
        for start in range(len(letters) - NAME_LENGTH + 1):
            piece = letters[start : start + NAME_LENGTH]
            names |= {name for layers in _ORDERS if (name := unshuffled(piece, layers)) in self.world.by_name}
        return names


def _forms() -> list[tuple[_Form, list[str]]]:
    """Every question with its words, those that vary as their class."""
    made = []
    for presentation, pairs in PRESENTATIONS.items():
        for is_padded in (False, True) if presentation in LETTERED else (False,):
            letters = [f"{_LETTER} {_NUMBER}" if is_padded else _LETTER] * NAME_LENGTH
            filled = slots(letters, _NAME, _CODE)
            for number in range(len(pairs)):
                for intent, questions in INTENTS.items():
                    for n, question in enumerate(questions):
                        words = encoded(presentation, number, question, filled).split()
                        form = _Form(intent, n, presentation, number, is_padded, _places(words))
                        made.append((form, words))
    for task, questions in UTILITY.items():
        for count in _UTILITY_COUNTS[task]:
            operands = [_UTILITY_CLASSES[task]] * count
            for n, question in enumerate(questions):
                words = question.format(operands=" ".join(operands), left=operands[0], right=operands[-1]).split()
                made.append((_Form(task, n, places=_places(words)), words))
    return made


def _places(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for n, word in enumerate(words):
        if word.startswith("@"):
            found[word] = (*found.get(word, ()), n)
    return found


_Phrases = Mapping[str, Sequence[tuple[list[str], str, int]]]  # first word -> words, name, template


def _phrases(lists: Mapping[str, Sequence[str]]) -> _Phrases:
    table: dict[str, list[tuple[list[str], str, int]]] = {}
    for name, templates in lists.items():
        for number, template in enumerate(templates):
            words = template.split()
            table.setdefault(words[0], []).append((words, name, number))
    return table


def _peel(words: list[str], phrases: _Phrases, most: int) -> tuple[list[str], tuple[str, ...], tuple[int, ...]]:
    """The words behind the phrases that they begin with, and which phrases these are. No phrase begins another."""
    names: list[str] = []
    numbers: list[int] = []
    while words and len(names) < most:
        for phrase, name, number in phrases.get(words[0], ()):
            if words[: len(phrase)] == phrase:
                words = words[len(phrase) :]
                names.append(name)
                numbers.append(number)
                break
        else:
            break
    return words, tuple(names), tuple(numbers)


def _unquote(words: list[str]) -> tuple[int, list[str]] | None:
    if words.count('"') != 2:
        return None
    first = words.index('"')
    last = words.index('"', first + 1)
    number = _QUOTE_ENDS.get((" ".join(words[:first]), " ".join(words[last + 1 :])))
    return None if number is None else (number, words[first + 1 : last])


_WRAPPER_PHRASES, _LAYER_PHRASES = _phrases(WRAPPERS), _phrases(LAYERS)
_FRAME_ENDS = [(before.split(), after.split()) for before, after in (frame.split("{core}") for frame in FRAMES)]
_QUOTE_ENDS = {
    (before.strip(), after.strip()): number
    for number, (before, after) in enumerate(quote.split('" {request} "') for quote in QUOTES)
}
_UTILITY_CLASSES = {"fact": _LAND, "add": _NUMBER, "sort": _LETTER, "copy": _COPY, "backwards": _COPY}
_UTILITY_COUNTS = {"fact": (1,), "add": (2,), "sort": (NUM_SORTED,), "copy": COPIED, "backwards": COPIED}
_ORDERS = ((), ("reversed",), ("swapped",), ("reversed", "swapped"))
# What other intents ask with, and no brewing request does.
_OTHER_INTENTS = frozenset(
    word_list("who brewed found dangerous danger wrong bad cure heals helps drank called disguise hidden which can")
)
