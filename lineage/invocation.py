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
        `executable`; `cwd`, in which it was started; `redacted`: the names of what was taken out;
        `is_cut`, where a word is not kept as it was for another reason.
    """
    words = list(map(str, getattr(sys, "orig_argv", sys.argv)))
    options, kind, argv = parsed(words[1:], sys.argv)
    shell = _shell()
    if shell is not None:
        kind, argv = shell
    clean, names = redact_words(argv[:_MOST_WORDS], secrets)
    clean_options, more = redact_words(options[:_MOST_WORDS], secrets)
    told: dict[str, Any] = {
        "kind": kind,
        "argv": [kept(word, _MOST_TEXT) for word in clean],
        "options": [kept(word, _MOST_TEXT) for word in clean_options],
        "executable": _place(sys.executable or "", secrets),
        "cwd": _place(_started_in, secrets),
        "redacted": sorted({*names, *more}),
    }
    return told | {"is_cut": True} if _is_cut(argv) or _is_cut(options) else told


def _is_cut(words: Sequence[str]) -> bool:
    """Whether words are too many, too long, or no text."""
    if len(words) > _MOST_WORDS or any(len(word) > _MOST_TEXT for word in words):
        return True
    return any("\udc80" <= letter <= "\udcff" for word in words for letter in word)


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
        here = os.getcwd()
    except OSError:  # it was removed
        here = ""
    _, kind, argv = parsed(getattr(sys, "orig_argv", [])[1:], [])
    main = getattr(sys.modules.get("__main__"), "__dict__", {}).get("__file__")
    return started_in(kind, argv[0] if argv else "", main if type(main) is str else "", here)


def started_in(kind: str, name: str, file: str, here: str) -> str:
    """Tell the folder that a program was started in, which may have gone to another one since.

    Args:
        kind: `script` or `module`.
        name: Its name in the command.
        file: Its file.
        here: The folder that it is in now.

    >>> started_in("script", "jobs/daily.py", "/home/me/jobs/daily.py", "/tmp")
    '/home/me'
    >>> started_in("module", "jobs.daily", "/home/me/jobs/daily.py", "/tmp")
    '/home/me'
    >>> started_in("script", "/home/me/daily.py", "/home/me/daily.py", "/tmp")
    '/tmp'
    """
    ends = [name]
    if kind == "module":
        path = name.replace(".", os.sep)
        ends = [f"{path}.py", os.path.join(path, "__main__.py")]
    for end in ends:
        if name and not os.path.isabs(end) and file.endswith(f"{os.sep}{end}"):
            return file.removesuffix(end).rstrip(os.sep) or os.sep
    return here


# Read once: by the time that a run ends the program may be elsewhere, and have no file any more.
_started_in = _cwd()


def _place(path: str, secrets: Mapping[str, str]) -> str | None:
    clean, _ = redact_words([path], secrets)
    return kept(clean[0], _MOST_TEXT) or None
