"""What may be kept of a text, a name or a URL: secrets never reach a record.

A parameter whose name says that it is a secret is replaced whole. In any other text, the parts
that look like one are: the user part of a URL, what follows a secret's name, options of well-known
programs, bearer tokens, private keys, and the tokens that issuers mark by a prefix. What was once
seen to be a secret can be hidden wherever else it stands (`hide`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lineage import shapes

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "<redacted>"

_LONGEST_NAME = 100
_SHORTEST = 4
_SHORTEST_FOUND = 6


def is_secret_name(name: str) -> bool:
    """Tell whether a parameter, key or variable of this name holds a secret.

    >>> is_secret_name("db_password"), is_secret_name("passenger")
    (True, False)
    """
    return _is_secret(name) if len(name) <= _LONGEST_NAME else _is_secret(name[-_LONGEST_NAME:])


@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    return (
        shapes.SECRET_NAME.search(name) is not None and shapes.NO_SECRET_NAME.search(name) is None
    )


def redact_text(text: str, found: list[str] | None = None) -> str:
    """Replace what looks like a secret in a text.

    Args:
        text: Any text.
        found: Takes the secrets that were replaced, when given.

    >>> redact_text("postgresql://me:hunter2@db/prices")
    'postgresql://<redacted>@db/prices'
    >>> redact_text("login with password=hunter2 failed")
    'login with password=<redacted> failed'
    """
    # Cheap looks tell most texts innocent, so that the patterns run on few, and few of them.
    taken: list[str] = []
    text = _without_marked(text, taken)
    if "@" in text or "%2" in text:
        text = _without_users(text, taken)
    low = text.lower()
    for mark, pattern in shapes.SPOKEN:
        if mark in low:
            text = _hidden(pattern, text, taken)
    if any(map(low.__contains__, shapes.SIGNS)) and any(map(low.__contains__, shapes.NAME_MARKS)):
        text = _without_named(text, low, taken)
    if found is not None and taken:
        found += _bare(taken)
    return text


def hide(text: str, secrets: Iterable[str]) -> str:
    """Replace known secrets in a text, also where they are escaped; short ones as whole words.

    >>> hide("no entry for me with open sesame", ["open sesame"])
    'no entry for me with <redacted>'
    """
    for secret in sorted(secrets, key=len, reverse=True):
        for form in dict.fromkeys((secret, repr(secret)[1:-1], quote(secret, safe=""))):
            if not form or form not in text:
                continue
            if len(form) >= _SHORTEST:
                text = text.replace(form, REDACTED)
            else:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", REDACTED, text)
    return text


def redact_row(value: Any) -> Any:
    """Redact every text of a row, whose lists and dictionaries hold nothing else."""
    if type(value) is str:
        return redact_text(value)
    if type(value) is dict:
        return {key: redact_row(item) for key, item in value.items()}
    return type(value)(map(redact_row, value)) if type(value) in (list, tuple) else value


def _hidden(pattern: re.Pattern[str], text: str, taken: list[str]) -> str:
    def hidden(match: re.Match[str]) -> str:
        taken.append(match[0][len(match[1]) :])
        return match[1] + REDACTED

    return pattern.sub(hidden, text)


def _bare(taken: list[str]) -> list[str]:
    """Give secrets without their quotes, and passwords without their users, if long enough."""
    plain = [secret.strip("\\\"' ") for secret in taken]
    alone = [secret.partition(":")[2] for secret in plain]
    return [each for each in (*plain, *alone) if len(each) >= _SHORTEST_FOUND and each != REDACTED]


def _without_marked(text: str, taken: list[str]) -> str:
    for character, marks, patterns in shapes.MARKED:
        if character in text and any(map(text.__contains__, marks)):
            for mark, pattern in zip(marks, patterns, strict=True):
                if mark in text:
                    text = _hidden(pattern, text, taken)
    for character, look, pattern in shapes.RUNS:
        if character in text and look(text) is not None:
            text = _hidden(pattern, text, taken)
    return text


def _without_users(text: str, taken: list[str]) -> str:
    if "%2" in text:
        text = _hidden(shapes.ENCODED_URL, text, taken)
    if "@" in text and (":" in text or "%3" in text):
        for pattern in shapes.URLS:
            text = _hidden(pattern, text, taken)
    return text


def _without_named(text: str, low: str, taken: list[str]) -> str:
    """Hide what follows the name of a secret."""
    if "-" in text:
        text = _after(shapes.OPTION, text, taken)
    if "(" in text or "[" in text:
        text = _after(shapes.PAIR, text, taken)
    if "value" in low:
        text = _after(shapes.ENTRY, text, taken)
    if "</" in text:
        text = _after(shapes.ELEMENT, text, taken)
    return _after(shapes.NAMED, text, taken)


def _after(pattern: re.Pattern[str], text: str, taken: list[str]) -> str:
    pieces, kept, position = [], 0, 0
    while (match := pattern.search(text, position)) is not None:
        position = match.end()
        if not _names_secret(pattern, match):
            continue
        end = _end_of_value(pattern, match, text)
        if end > position:
            pieces += [text[kept:position], _in_quotes(text[position:end])]
            taken.append(text[position:end])
            kept = position = end
    return "".join([*pieces, text[kept:]]) if pieces else text


def _names_secret(pattern: re.Pattern[str], match: re.Match[str]) -> bool:
    name = match[1]
    if pattern is shapes.NAMED and match[2].isspace():
        return shapes.NAME_WITHOUT_SIGN.search(name) is not None
    return is_secret_name(name)


def _in_quotes(value: str) -> str:
    """Give what stands for a value: in its quotes, so that JSON stays JSON."""
    opening = shapes.OPENING.match(value)
    return f"{opening[0]}{REDACTED}{opening[0]}" if opening is not None else REDACTED


def _end_of_value(pattern: re.Pattern[str], match: re.Match[str], text: str) -> int:
    start = match.end()
    if text.startswith(REDACTED, start):
        return start + len(REDACTED)
    quoted = shapes.QUOTED.match(text, start)
    if quoted is not None:
        return quoted.end()
    if text[start : start + 1] in ("[", "{", "("):
        return _end_of_brackets(text, start)
    if pattern is shapes.ELEMENT:
        kind = shapes.TEXT
    elif pattern is shapes.OPTION:
        kind = shapes.WORD
    elif pattern is shapes.NAMED and shapes.HEADER.search(match[1]) and ":" in match[2]:
        kind = shapes.LINE
    else:
        kind = shapes.BARE
    value = kind.match(text, start)
    return start if value is None else value.end()


def _end_of_brackets(text: str, start: int) -> int:
    depth = 0
    for match in shapes.BRACKETS.finditer(text, start):
        if match[0] in "[({":
            depth += 1
        elif match[0] in "])}":
            depth -= 1
            if depth == 0:
                return match.end()
    return len(text)
