"""How a program was started: as a script, a module, a notebook; with which words.

Secrets among the words are replaced, and named: what ran can be run again by who has them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from lineage.redact import kept, redact_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_WORDS = 1000
_MOST_TEXT = 4096
_TAKE_ONE = frozenset({"-W", "-X", "--check-hash-based-pycs"})
_NOTEBOOKS = ("__vsc_ipynb_file__", "__session__")


def command(secrets: Mapping[str, str]) -> dict[str, Any]:
    """Give how this process was started, without secrets.

    Args:
        secrets: Texts that are known to be secret, and how to call them.

    Returns:
        `kind`: `script`, `module`, `code` (of `python -c`), `notebook` or `interactive`; `argv`:
        the script, module or notebook and the words behind it; `options` of the interpreter;
        `executable`; `cwd`; `redacted`: the names of what was taken out.
    """
    words = list(map(str, getattr(sys, "orig_argv", sys.argv)))
    options, kind, argv = parsed(words[1:], sys.argv)
    shell = _shell()
    if shell is not None:
        kind, argv = shell
    clean, names = redact_words(argv[:_MOST_WORDS], secrets)
    clean_options, more = redact_words(options[:_MOST_WORDS], secrets)
    return {
        "kind": kind,
        "argv": [kept(word, _MOST_TEXT) for word in clean],
        "options": [kept(word, _MOST_TEXT) for word in clean_options],
        "executable": _place(sys.executable or "", secrets),
        "cwd": _place(_cwd(), secrets),
        "redacted": sorted({*names, *more}),
    }


def parsed(words: Sequence[str], argv: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Take apart the words behind the interpreter: its options, the kind, and the words of that.

    >>> parsed(["-W", "error", "-m", "jobs.daily", "--day", "3"], [])
    (['-W', 'error'], 'module', ['jobs.daily', '--day', '3'])
    """
    options: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        at = _place_of(word, "mc")
        if at:
            kind = "module" if word[at] == "m" else "code"
            options += [word[:at]] if at > 1 else []
            attached = word[at + 1 :]
            return options, kind, [attached, *rest] if attached else rest
        options.append(word)
        if word in _TAKE_ONE and rest:
            options.append(rest.pop(0))
    if rest and rest[0] != "-":
        return options, "script", rest
    # The interpreter is within another program, or reads what somebody types.
    is_script = bool(argv and argv[0] and argv[0] != "-" and os.path.isfile(argv[0]))
    return options, ("script", "interactive")[not is_script], [*argv] if is_script else []


def _place_of(word: str, letters: str) -> int:
    """Give where in a word of short options one of some letters is; 0 if nowhere."""
    if word.startswith("--"):
        return 0
    for at, letter in enumerate(word[1:], 1):
        if letter in letters:
            return at
        if letter in "WX":  # what follows is theirs
            return 0
    return 0


def _shell() -> tuple[str, list[str]] | None:
    """Tell a notebook and a shell by the one that runs, where IPython is loaded."""
    ipython = sys.modules.get("IPython")
    try:
        shell = ipython.get_ipython() if ipython is not None else None
        if shell is None:
            return None
        if "ipykernel" not in sys.modules:
            return ("interactive", []) if "terminal" in type(shell).__module__ else None
        file = next((shell.user_ns[name] for name in _NOTEBOOKS if name in shell.user_ns), None)
        file = file or os.environ.get("JPY_SESSION_NAME")
        return "notebook", [file] if isinstance(file, str) else []
    except Exception:  # noqa: BLE001 - whatever a strange shell does
        return None


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _place(path: str, secrets: Mapping[str, str]) -> str | None:
    clean, _ = redact_words([path], secrets)
    return kept(clean[0], _MOST_TEXT) or None
