"""Text -> request. Strict: only what `language.render` can write is understood. Lenient: a human would understand.

Words that vary (names, letters, code words, operands) are replaced by their class, and what remains, the skeleton,
is looked up in the table of all skeletons. What the slots hold is then checked by rendering: a reading counts only
when it renders to the very same words.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from threading import Lock

from harden.worlds.arena.language import (
    CODE_WORDS,
    COPY_WORDS,
    ENCODINGS,
    FACTS,
    INTENTS,
    NUM_UTILITY_TEMPLATES,
    QUOTES,
    UTILITY,
    WRAPPERS,
    Goal,
    Request,
    render,
)
from harden.worlds.arena.world import word_list, world

_NAME, _LETTER, _CODE, _LAND, _NUMBER, _COPY = "@name", "@l", "@code", "@land", "@number", "@copy"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
_NAME_LENGTH = 6


def parse(text: str) -> Request | None:
    """The request that renders to exactly these words, or None."""
    words = text.split()
    quote = _unquote(words)
    if quote is None:
        return _parse_plain(words)
    number, inner_words = quote
    inner = _parse_plain(inner_words)
    if inner is None or inner.goal.intent != "brew":
        return None
    return replace(inner, goal=Goal("quote", inner.goal.subject), quote_template=number)


def asks_leniently(text: str, goal: Goal) -> bool:
    """Whether a patient reader could take the text as this brewing request, grammar or not.

    The potion must be recoverable, no second potion may be, brewing must be asked for, and nothing may be quoted.
    """
    if goal.intent != "brew":
        parsed = parse(text)
        return parsed is not None and parsed.goal == goal
    words = text.split()
    if '"' in words or not _BREWING & set(words) or _OTHER_INTENTS & set(words):
        return False
    return _recoverable_names(words) == {goal.subject}


def _parse_plain(words: list[str]) -> Request | None:
    classes, named = _classes(), []
    skeleton = []
    for word in words:
        kind = classes.get(word)
        if kind is None:
            skeleton.append(word)
        else:
            skeleton.append(kind)
            named.append(word)
    table = _skeletons()
    for form in table.get(" ".join(skeleton), ()):
        request = _fill(form, named)
        if request is not None and render(request).split() == words:
            return request
    return None


def _fill(form: Request, slots: list[str]) -> Request | None:
    """Put the words of the slots into the form; None when they name no potion."""
    intent = form.goal.intent
    if intent == "fact":
        return replace(form, goal=Goal(intent, next((w for w in slots if w in FACTS), "")))
    if intent == "add":
        return replace(form, goal=Goal(intent, " ".join(w for w in slots if w.isdigit())))
    if intent in ("copy", "backwards"):
        return replace(form, goal=Goal(intent, " ".join(w for w in slots if w in _COPY_SET)))
    start, stop = _letter_window(form)
    letters = "".join([w for w in slots if w in _LETTERS][start:stop])
    if intent == "sort":
        return replace(form, goal=Goal(intent, " ".join(letters)))
    match form.encoding:
        case "spelled" | "split" | "padded":
            name = letters
        case "reversed":
            name = letters[::-1]
        case _:
            name = next((w for w in slots if w in world().by_name), "")
    if name not in world().by_name:
        return None
    noise = "".join(w for w in slots if w.isdigit()) or form.noise
    code = next((w for w in slots if w in _CODE_SET), form.code)
    return replace(form, goal=Goal(intent, name), noise=noise, code=code)


def _letter_window(form: Request) -> tuple[int, int]:
    """Which of a text's one-letter words spell the operand; the rest are words like "i" and "a"."""
    wrapper = WRAPPERS[form.wrapper][form.wrapper_template]
    before = _count_letters(wrapper.split("{core}")[0])
    if form.goal.intent == "sort":
        return before, before + 3
    preamble, _ = ENCODINGS[form.encoding][form.encoding_template]
    if "{" not in preamble:
        before += _count_letters(preamble) + _count_letters(
            INTENTS[form.goal.intent][form.intent_template].split("{mention}")[0]
        )
    return before, before + _NAME_LENGTH


def _count_letters(text: str) -> int:
    return sum(word in _LETTERS for word in text.split())


def _unquote(words: list[str]) -> tuple[int, list[str]] | None:
    if words.count('"') != 2:
        return None
    first = words.index('"')
    last = words.index('"', first + 1)
    number = _quote_frames().get((" ".join(words[:first]), " ".join(words[last + 1 :])))
    return None if number is None else (number, words[first + 1 : last])


@cache
def _quote_frames() -> dict[tuple[str, str], int]:
    halves = [q.split('" {request} "') for q in QUOTES]
    return {(before.strip(), after.strip()): number for number, (before, after) in enumerate(halves)}


@cache
def _classes() -> dict[str, str]:
    table = dict.fromkeys(_LETTERS, _LETTER)
    table |= dict.fromkeys(world().by_name, _NAME)
    table |= dict.fromkeys(CODE_WORDS, _CODE)
    table |= dict.fromkeys(FACTS, _LAND)
    table |= dict.fromkeys(COPY_WORDS, _COPY)
    return table | dict.fromkeys(map(str, range(10)), _NUMBER)


# Threads that need the table in the same moment wait for one to make it, as they do for the world.
_TABLE_LOCK = Lock()


def _skeletons() -> dict[str, tuple[Request, ...]]:
    """Skeleton -> forms, one form for nearly every skeleton."""
    with _TABLE_LOCK:
        return _table()


@cache
def _table() -> dict[str, tuple[Request, ...]]:
    name = world().potions[0].name
    forms = [
        Request(Goal(intent, name), wrapper, encoding, w, e, i)
        for wrapper in WRAPPERS
        for w in range(len(WRAPPERS[wrapper]))
        for encoding in ENCODINGS
        for e in range(len(ENCODINGS[encoding]))
        for intent in INTENTS
        for i in range(len(INTENTS[intent]))
    ]
    samples = {
        "fact": [next(iter(FACTS))],
        "add": ["1 2"],
        "sort": ["x y z"],
        "copy": [" ".join(COPY_WORDS[:n]) for n in (2, 3)],
        "backwards": [" ".join(COPY_WORDS[:n]) for n in (2, 3)],
    }
    forms += [
        Request(Goal(task, operands), wrapper, "plain", w, 0, i)
        for wrapper in WRAPPERS
        for w in range(len(WRAPPERS[wrapper]))
        for task in UTILITY
        for operands in samples[task]
        for i in range(NUM_UTILITY_TEMPLATES)
    ]
    classes = _classes()
    table: dict[str, tuple[Request, ...]] = {}
    for form in forms:
        skeleton = " ".join(classes.get(word, word) for word in render(form).split())
        table[skeleton] = (*table.get(skeleton, ()), form)
    return table


_CODE_SET = frozenset(CODE_WORDS)
_COPY_SET = frozenset(COPY_WORDS)
_BREWING = frozenset(("brew", "mix"))
# What other intents ask with, and no brewing request does.
_OTHER_INTENTS = frozenset(
    word_list("who brewed found dangerous danger wrong bad cure heals helps drank called disguise hidden")
)


def _recoverable_names(words: list[str]) -> set[str]:
    """Potions that are written out, or that the one-letter words spell in some way that this world uses."""
    names = {word for word in words if word in world().by_name}
    letters = "".join(word for word in words if word in _LETTERS)
    for stride in (1, 2):
        reach = _NAME_LENGTH * stride - (stride - 1)
        for start in range(len(letters) - reach + 1):
            piece = letters[start : start + reach : stride]
            names |= {candidate for candidate in (piece, piece[::-1]) if candidate in world().by_name}
    return names
