"""Whether an answer has anything to do with its request, by the words that they share. Pure, and in English only.

It claims one thing: that the opening of an answer of some length shares no word of content with the request, not even a stem.
People name what they answer when they begin; further down a long text any two share some word by chance. That tells an answer
to another question, and says nothing of whether a related answer is of any use.
"""

import re

# Shorter answers are given no opinion: "paris" shares no word with the question for a capital.
MIN_ANSWER_WORDS = 24
# The same of `is_off_topic`. Below it an answer seldom has room to name its subject.
MIN_OFF_TOPIC_WORDS = 8
# Words of the answer that are its opening.
OPENING_WORDS = 60
# Of either text, in Latin letters. Below it the two may be in other languages or encoded, and need share nothing.
MIN_LATIN_SHARE = 0.8

_STEM_LETTERS = 6
_SHORTEST_STEM = 3
_SUFFIXES = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "s", "ly", "e", "y")
# Words that say nothing of what a text is about, those that merely ask, and those that fit any subject.
_EMPTY_WORDS = """
a about again all also am an and another any are as at be been being benefit benefits best both but by can classic
common concept concepts could create day describe detail detailed details did difference differences different do does
doing done down each easy effective else ever every example examples explain few first for from fun funny generate get
give good great had has have having he help helpful her here him his how i idea ideas if important improve in into is
it its just know let life like list long look made main make many may me might more most much must my name names need
new no nor not now of off on once one only or other our out over own people please process provide recommend
recommendations same say several shall share she short should show simple so some someone something specific step
steps such suggest tell than that the their them then there these they thing things this those time tips to too topic
topics unique up us use used using very want was way ways we were what when where which while who whom whose why will
with work works world would write you your
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())
# More of them. `is_off_topic` leaves out both lists by their stems: "created" says as little as "create".
_MORE_EMPTY_WORDS = "among between big famous high low old popular small"
_WORD = re.compile(r"[a-z]{3,}")
_LETTER = re.compile(r"[^\W\d_]")
_LATIN = re.compile(r"[A-Za-z]")


def is_unrelated(requests: tuple[str, ...], answer: str) -> bool:
    """True only where an answer of some length opens without a stem of any of the requests. False where nothing can be said."""
    words = answer.split()
    if len(words) < MIN_ANSWER_WORDS or not all(_is_latin(text) for text in (*requests, answer)):
        return False
    asked = set().union(*map(stems, requests))
    return bool(asked) and asked.isdisjoint(stems(" ".join(words[:OPENING_WORDS])))


def is_off_topic(requests: tuple[str, ...], answer: str) -> bool:
    """As `is_unrelated`, of answers from 8 words on, and no inflected form of a word that fits any subject counts as shared."""
    words = answer.split()
    if len(words) < MIN_OFF_TOPIC_WORDS or not all(_is_latin(text) for text in (*requests, answer)):
        return False
    asked = set().union(*map(stems, requests)) - _EMPTY_STEMS
    return bool(asked) and asked.isdisjoint(stems(" ".join(words[:OPENING_WORDS])))


def stems(text: str) -> frozenset[str]:
    """Of the words with content, cut so that "balance" and "balancing" are one."""
    return frozenset(_stem(word) for word in _WORD.findall(text.casefold()) if word not in _EMPTY)


def _stem(word: str) -> str:
    """Cut until nothing more comes off: "barleys" loses its plural and then what "barley" loses."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _SHORTEST_STEM:
            return _stem(word[: -len(suffix)])
    return word[:_STEM_LETTERS]


def _is_latin(text: str) -> bool:
    letters = len(_LETTER.findall(text))
    return letters > 0 and len(_LATIN.findall(text)) >= MIN_LATIN_SHARE * letters


_EMPTY_STEMS = frozenset(map(_stem, (*_EMPTY, *_MORE_EMPTY_WORDS.split())))
