"""What may be kept of a text, a name or a URL: secrets never reach a record.

A parameter whose name says that it is a secret is replaced whole. In any other text, the parts
that look like one are: the user part of a URL, what follows a secret's name, options of well-known
programs, bearer tokens, private keys, and the tokens that issuers mark by a prefix. What was once
seen to be a secret can be hidden wherever else it stands (`hide`).
"""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lineage import shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    if any(pattern.fullmatch(name) for pattern in _more.names):
        return True
    return (
        shapes.SECRET_NAME.search(name) is not None and shapes.NO_SECRET_NAME.search(name) is None
    )


class _More:
    """What a user wants hidden beside what is known here."""

    names: tuple[re.Pattern[str], ...] = ()
    texts: tuple[re.Pattern[str], ...] = ()


_more = _More()


def hide_more(names: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
    """Take more for secret from now on, in the whole process.

    Args:
        names: Names of parameters, keys and variables whose values are secrets, in any case;
            `*` and `?` stand for any characters and for one.
        patterns: Regular expressions; whatever they match in any text is replaced.

    Raises:
        re.error: A pattern is none.
    """
    known = {pattern.pattern: pattern for pattern in _more.names}
    known |= {each: re.compile(each, re.IGNORECASE) for each in map(fnmatch.translate, names)}
    texts = {pattern.pattern: pattern for pattern in _more.texts}
    texts |= {each: re.compile(each) for each in patterns}
    _more.names, _more.texts = tuple(known.values()), tuple(texts.values())
    _is_secret.cache_clear()


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
    if _more.texts:
        text = _without_more(text, taken)
    text = _without_marked(text, taken)
    if "@" in text or "%2" in text:
        text = _without_users(text, taken)
    low = text.lower()
    for mark, pattern in shapes.SPOKEN:
        if mark in low:
            text = _hidden(pattern, text, taken)
    if any(map(low.__contains__, shapes.SIGNS)) and (
        _more.names or any(map(low.__contains__, shapes.NAME_MARKS))
    ):
        text = _without_named(text, low, taken)
    if found is not None and taken:
        found += _bare(taken)
    return text


def usable_patterns(patterns: list[str]) -> list[str]:
    """Give the patterns as they are.

    Raises:
        ValueError: One is no regular expression.
    """
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    return patterns


def kept(text: str, most: int) -> str:
    r"""Give what may be kept of a text: redacted, cut, and in UTF-8 whatever it was.

    >>> kept("//me:hunter2@host/path", 20), kept("caf\udce9", 20)
    ('//<redacted>@host/pa', 'caf\\udce9')
    """
    # Redact before the cut, or the half of a secret that is left would not be known as one.
    redacted = redact_text(text[: 4 * most])[:most]
    return redacted.encode("utf-8", "backslashreplace").decode()


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


def redact_words(words: Sequence[str], secrets: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Redact the words of a command; gives them, and the names of what was taken out.

    Args:
        words: The program, and what it was called with.
        secrets: Texts that are known to be secret, and how to call them.

    >>> redact_words(["sync.py", "--password", "hunter2", "--to=//me:x@host"], {})
    (['sync.py', '--password', '<redacted>', '--to=//<redacted>@host'], ['--password', '--to'])
    >>> redact_words(["sync.py", "open-sesame"], {"open-sesame": "DOOR_TOKEN"})
    (['sync.py', '<redacted>'], ['DOOR_TOKEN'])
    """
    clean: list[str] = []
    names: list[str] = []
    for place, word in enumerate(words):
        option = words[place - 1] if place else ""
        if option[:1] == "-" and is_secret_option(words[0], option, word):
            clean.append(REDACTED)
            names.append(option)
            continue
        plain = hide(word, secrets) if secrets else word
        names += [name for secret, name in secrets.items() if plain != word and secret in word]
        shown = redact_text(plain)
        if shown != plain:
            name, sign, _ = plain.partition("=")
            is_named = sign and shown.startswith(f"{name}=") and len(name) <= _LONGEST_NAME
            names.append(name if is_named else f"argv[{place}]")
        clean.append(shown)
    return clean, list(dict.fromkeys(names))


def is_secret_option(program: str, option: str, text: str) -> bool:
    """Tell whether the word behind an option of a program is a secret.

    >>> is_secret_option("curl", "-u", "me:hunter2"), is_secret_option("curl", "-o", "me:hunter2")
    (True, False)
    """
    if text[:1] == "-" or "=" in option:
        return False
    shown = redact_text(f"{program} {option} {text}")
    return shown.endswith(REDACTED) and text not in shown


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


def _without_more(text: str, taken: list[str]) -> str:
    def hidden(match: re.Match[str]) -> str:
        if not match[0]:
            return ""
        taken.append(match[0])
        return REDACTED

    for pattern in _more.texts:
        text = pattern.sub(hidden, text)
    return text


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
