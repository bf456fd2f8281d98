"""What can be shown of any text, and how wide it is: shared by all renderers."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from json import dumps

# Hundredths of an em for the characters 32 to 126: the wider of DejaVu Sans and Liberation Sans
# (which has Arial's widths), as Chromium measures them. Segoe UI, Roboto and Inter are narrower.
_TABLE = """
32 40 46 84 64 95 78 27 39 39 50 84 32 36 32 34 64 64 64 64 64 64 64 64
64 64 34 34 84 84 84 56 102 68 69 72 77 67 61 78 75 29 50 67 56 86 75 79
67 79 72 67 61 73 68 99 69 67 69 39 34 39 84 56 50 61 63 55 63 62 35 63
63 28 28 58 28 97 63 61 63 63 41 52 39 63 59 82 59 59 52 64 34 64 84
"""
_WIDTHS = tuple(map(int, _TABLE.split()))
_UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
# What steers the direction of text or has no look of its own, so that one name passes for another:
# UAX #9 (bidirectional text) and the invisible characters of UTS #39. The joiners of emoji and of
# Arabic and Indic scripts stay.
_HIDDEN = re.compile(
    "[\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_UNSEEN = re.compile(f"{_HIDDEN.pattern}|[\x7f-\x9f]")
_BREAKS = re.compile("[\t\n\r\x0b\x0c\x85\u2028\u2029]+")
ELLIPSIS = "\u2026"


def visible(text: str) -> str:
    r"""Replace what no XML document or font can show, keeping tabs and line breaks.

    A control character becomes its picture from the Unicode block Control Pictures; a lone
    surrogate or a non-character becomes the replacement character. What turns the direction of
    text or is invisible becomes its escape.

    >>> visible("a\x00b")
    'a␀b'
    >>> visible("a\u202etxt.csv")
    'a\\u202etxt.csv'
    """
    shown = _UNSHOWABLE.sub(lambda match: _picture(match[0]), text)
    return _HIDDEN.sub(lambda match: _escape(match[0]), shown)


def visible_json(document: str) -> str:
    r"""Escape what cannot be seen in the strings of a JSON document; its data stay the same.

    >>> visible_json('["a\u202eb"]')
    '["a\\u202eb"]'
    """
    return _UNSEEN.sub(lambda match: dumps(match[0])[1:-1], document)


def one_line(text: str) -> str:
    r"""Make text visible and put it on one line.

    >>> one_line("bars\nof 5 minutes")
    'bars of 5 minutes'
    """
    return visible(_BREAKS.sub(" ", text))


def text_width(text: str, size: float) -> float:
    """Estimate the width of one line in a sans-serif font of `size` pixels, rather too wide.

    >>> text_width("WWW", 10) > text_width("iii", 10)
    True
    """
    return sum(map(_character_width, text)) * size / 100


def is_measured(text: str) -> bool:
    """Tell whether all characters are in the table of widths, so that the estimate is sure."""
    return all(" " <= character <= "~" or character == ELLIPSIS for character in text)


def shortened(text: str, max_width: float, size: float) -> str:
    """Leave out the middle of a text wider than `max_width` pixels; both ends say the most.

    >>> shortened("a_very_long_name_of_a_table", 80, 10)
    'a_very…_table'
    """
    if len(text) <= max_width and text_width(text, size) <= max_width:
        return text
    room = (max_width * 100 / size - _character_width(ELLIPSIS)) / 2
    head = _fitting(text, room)
    return f"{text[:head]}{ELLIPSIS}{_tail(text[head:], room)}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _picture(character: str) -> str:
    code = ord(character)
    if code < 32:
        return chr(0x2400 + code)
    return "\u2421" if code == 127 else "\ufffd"


@lru_cache(maxsize=4096)
def _character_width(character: str) -> int:
    code = ord(character)
    if 32 <= code < 127:
        return _WIDTHS[code - 32]
    if character == ELLIPSIS:
        return 100
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 5  # no width of its own, but a thousand of them are not free
    return 105 if unicodedata.east_asian_width(character) in "WF" else 80


def _fitting(text: str, room: float) -> int:
    for count, character in enumerate(text):
        room -= _character_width(character)
        if room < 0:
            return count
    return len(text)


def _tail(text: str, room: float) -> str:
    # A text of a million characters costs no more than what is shown of it.
    end = text[: -1 - max(1, int(room)) : -1]
    kept = _fitting(end, room)
    return text[len(text) - kept :]
