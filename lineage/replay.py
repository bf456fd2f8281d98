"""Run again what made a data product, and compare what comes out with what came out then.

The code is checked out at its commit into a folder of its own, with what was changed in it; the
inputs are brought as they were; the command runs there, as it was started. What cannot be told to
be as it was is a reason not to run at all, and each such reason is named.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

from lineage import environment, venvs
from lineage.aside import Kept, put_aside, state_of
from lineage.astray import read_as_it_is_now
from lineage.checkouts import has_commit
from lineage.codec import from_json
from lineage.comparing import ABSOLUTE, RELATIVE, Comparison, compare
from lineage.errors import ReplayError
from lineage.redact import REDACTED
from lineage.settings import REPLAY_VARIABLE
from lineage.workplace import (
    added_to,
    furnished,
    is_as_recorded,
    is_in_code,
    is_known,
    outside_of,
    writes_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lineage.recipes import Command, Made, Recipe
    from lineage.workplace import Workplace

_MOST_SAID = 2000
_MOST_READ = 1 << 20
_MOST_LISTED = 5
_WORKER = "--multiprocessing-fork"
_UNTOUCHED = Comparison("identical", "was there before, and is not made by it")
_NO_MATTER = ("lock_files", "format")


@dataclass(frozen=True, slots=True)
class Terms:
    """How to replay.

    Args:
        environment: `same`: only in the environment that is recorded; `current`: in this one,
            whatever it is; `build`: in a venv that is made as it was.
        is_in_place: Whether files outside of the program's own folders may be written, too; they
            are put back afterwards.
        keep: A folder to leave the place in that the program ran in; None for none.
        rtol: How far apart numbers may be, as a part of the old one.
        atol: And in all.
        timeout_s: After so many seconds the program is ended; None to wait.
    """

    environment: Literal["same", "current", "build"] = "same"
    is_in_place: bool = False
    keep: str | None = None
    rtol: float = RELATIVE
    atol: float = ABSOLUTE
    timeout_s: float | None = None


class Performance(NamedTuple):
    """What a program made when it ran again.

    `places` says where what it makes at a path is now; `aside` where what was at a path before is
    kept; `output` is what it said; `untouched` are the paths at which still is what was brought.
    """

    places: Mapping[str, str]
    aside: Mapping[str, str]
    output: str
    untouched: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it: for each product, how it compares with what it was."""

    target: str
    results: Mapping[str, Comparison]
    output: str = field(default="", repr=False)

    @property
    def is_same(self) -> bool:
        """Whether all that was made is as it was."""
        return bool(self.results) and all(each.is_same for each in self.results.values())


def obstacles(recipe: Recipe, terms: Terms | None = None) -> list[str]:
    """Say why something cannot be replayed; nothing if it can.

    Args:
        recipe: What made it.
        terms: How it is to be replayed.
    """
    terms = terms or Terms()
    found = [*_of_the_run(recipe), *_of_the_command(recipe.command), *_of_the_code(recipe)]
    if not recipe.made:
        found.append("nothing is known that it made: no product with a path, and no file")
    found += [*_of_the_inputs(recipe), *_of_what_is_not_listed(recipe)]
    outside = outside_of(recipe)
    if outside and not terms.is_in_place:
        found.append(
            f"it writes outside of its own folders: {_some(outside)}; allow that by --in-place: "
            "what is there is put aside, and put back"
        )
    return [*found, *_of_the_environment(recipe, terms.environment)]


def replay(recipe: Recipe, terms: Terms | None = None) -> Replay:
    """Run again what made a product, and compare.

    Args:
        recipe: What made it, as `recipes.recipe_of` finds it.
        terms: How.

    Raises:
        ReplayError: It cannot be replayed, or the program failed.
    """
    terms = terms or Terms()
    with performed(recipe, terms) as done:
        results = {
            made.name: _UNTOUCHED if made.path in done.untouched else _compared(made, done, terms)
            for made in recipe.made
        }
    return Replay(recipe.target, results, done.output)


@contextmanager
def performed(recipe: Recipe, terms: Terms) -> Iterator[Performance]:
    """Run a program again; what it made is there as long as the block lasts.

    Raises:
        ReplayError: It cannot be replayed, or the program failed.
    """
    reasons = obstacles(recipe, terms)
    if reasons:
        listed = [f"- {reason}" for reason in reasons]
        raise ReplayError("\n".join([f"cannot replay {recipe.target!r}:", *listed]))
    with furnished(recipe, terms.keep) as place:
        paths, made = writes_of(recipe), [made.path for made in recipe.made]
        before = {path: state_of(place.below(path)) or "nothing" for path in made}
        spare = os.path.join(place.folder, "aside")
        with put_aside(paths, spare) as kept:
            output = _run(recipe, place, terms)
        astray = [path for path in paths if kept.new(path) is not None]
        _check_paths(astray, read_as_it_is_now(recipe, place), terms)
        untouched = {
            each for each in made if before[each] == state_of(place.below(each)) is not None
        }
        places = {path: _place_of(path, place, kept) for path in made}
        old = {path: kept.before(path) for path in made}
        yield Performance(places, old, output, frozenset(untouched))
        if not astray:  # nothing in it is the program's
            shutil.rmtree(spare, ignore_errors=True)


def _check_paths(written: list[str], read: list[str], terms: Terms) -> None:
    """Refuse what a program has done by paths that lead out of its place."""
    how = "by an absolute path in its code or its surroundings"
    if written and not terms.is_in_place:
        raise ReplayError(
            f"the program wrote {_some(written)} itself, {how}; what was there is put back. Allow "
            "that by --in-place"
        )
    if read:
        raise ReplayError(
            f"the program read {_some(read)} as it is now, {how}: it is not what it read then. "
            "Make it there what it was, or let the code name it by a relative path"
        )


def _place_of(path: str, place: Workplace, kept: Kept) -> str:
    """Give where what a program makes at a path is now."""
    here = place.below(path)
    return here if os.path.lexists(here) else kept.new(path) or here


def variable_of(name: str) -> str:
    """Name the environment variable that gives a secret which was taken out of a command.

    >>> variable_of("DOOR_TOKEN"), variable_of("--password"), variable_of("argv[2]")
    ('DOOR_TOKEN', 'LINEAGE_REPLAY_PASSWORD', 'LINEAGE_REPLAY_ARGV_2')
    """
    if re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        return name
    return f"LINEAGE_REPLAY_{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_').upper()}"


def filled(command: Command, values: Mapping[str, str]) -> Command:
    """Put secrets back into the words of a command.

    Args:
        command: The command.
        values: The secrets, by the names of variables.

    Raises:
        ReplayError: One is not among the values.
    """
    words = [
        _word(command, place, word, values) if REDACTED in word else word
        for place, word in enumerate(command.argv)
    ]
    return replace(command, argv=tuple(words), redacted=())


def _word(command: Command, place: int, word: str, values: Mapping[str, str]) -> str:
    before = command.argv[place - 1] if place else ""
    named = (before, word.partition("=")[0], f"argv[{place}]")
    own = [name for name in named if name in command.redacted]
    # What was a secret by its value is called as the variable that held it.
    names = own[:1] or [name for name in command.redacted if variable_of(name) == name]
    known = [values[variable_of(name)] for name in names if variable_of(name) in values]
    if not known:
        wanted = " or ".join(map(variable_of, names or command.redacted)) or "its value"
        raise ReplayError(f"a secret was taken out of {word!r}; set the variable {wanted}")
    return word.replace(REDACTED, known[0])


def _of_the_run(recipe: Recipe) -> Iterator[str]:
    if recipe.failure is not None:
        yield (
            f"{recipe.failure}; what it made is not whole: name a run that came to its end, or a "
            "product that it had registered by then"
        )


def _of_the_command(command: Command | None) -> Iterator[str]:
    if command is None:
        yield "how the program was started is not recorded"
    elif command.kind == "interactive" or not command.argv:
        yield "it was typed into a shell: there is no program to run again"
    elif _WORKER in command.argv:
        yield "it was a worker of another program; name a run or a product of that"
    elif command.is_cut:
        yield "its command is not kept whole: too many words, a long one, or one not in UTF-8"
    elif not os.path.isabs(command.cwd):
        yield "the folder that it was started in is not recorded"
    else:
        try:
            filled(command, os.environ)
        except ReplayError as error:
            yield str(error)


def _of_the_code(recipe: Recipe) -> Iterator[str]:
    script = _script_of(recipe.command)
    if script and recipe.codes and not is_in_code(recipe, script):
        yield f"the program {script} is in no git repository, so that nothing says what it was"
    if not recipe.codes:
        yield "its code is in no git repository, so that nothing says which code it was"
    for code in recipe.codes:
        if code.commit is None:
            yield f"{code.root} had no commit"
        elif code.reason is not None:
            yield f"the code in {code.root} was not as committed: {code.reason}"
        elif not has_commit(code.root, code.commit):
            yield f"there is no repository with the commit {code.commit[:8]} at {code.root}"
        for path, commit in code.submodules:
            root = os.path.join(code.root, path)
            if not has_commit(root, commit):
                yield f"there is no submodule with the commit {commit[:8]} at {root}"


def _script_of(command: Command | None) -> str | None:
    """Give the file of a program; None where it has none of its own, or is installed."""
    if command is None or command.kind not in ("script", "notebook") or not command.argv:
        return None
    name = command.argv[0]
    path = os.path.normpath(os.path.join(command.cwd, name))
    programs = os.path.dirname(sys.executable or os.curdir)
    is_installed = os.path.isfile(os.path.join(programs, os.path.basename(name)))
    is_its_own = os.path.isabs(path) and (not is_installed or path.endswith((".py", ".ipynb")))
    return path if is_its_own else None


def _of_the_inputs(recipe: Recipe) -> Iterator[str]:
    for each in recipe.inputs:
        path, version = each.path, each.version
        if version is None:
            yield f"which version of {path} it read is not recorded"
        elif not is_known(recipe, each):
            what = "has changed since" if os.path.exists(path) else "is gone"
            yield f"the input {path} {what}, and no other file is known that holds what it held"
    more = list(added_to(recipe))
    if more:
        yield f"in a folder that it reads as a whole there is {_some(more)} besides"


def _of_what_is_not_listed(recipe: Recipe) -> Iterator[str]:
    for side, count in recipe.left_out.items():
        number = "" if count is None else f", at least {count:,} more"
        yield (
            f"it has {side} more files than are recorded{number}: nothing says what they were; let "
            "it take a part of them in a run of its own"
        )


def _of_the_environment(recipe: Recipe, which: str) -> Iterator[str]:
    if which == "current":
        return
    if not recipe.environment:
        yield "its environment is not recorded; run it in this one by --environment current"
        return
    if which == "build":
        reason = venvs.obstacle(recipe.environment)
        if reason is not None:
            yield reason
        return
    differing = unlike(recipe.environment)
    if differing:
        yield (
            f"this environment is another one than {(recipe.environment_id or '')[:8]}: "
            f"{_some(differing)}; make that one by --environment build, or run it in this one by "
            "--environment current"
        )


def unlike(then: Mapping[str, Any]) -> list[str]:
    """Say in what this process's environment is not one that is recorded; lock files are code."""
    names = [str(name) for name, _ in then.get("variables") or ()]
    now = from_json(environment.capture(names).content)
    return unlike_each_other(then, now)


def unlike_each_other(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in what two environments differ, apart from lock files."""
    found: list[str] = []
    for kind in sorted({*then, *now} - {*_NO_MATTER}):
        before, after = then.get(kind), now.get(kind)
        if before == after:
            continue
        if kind == "packages":
            found += _packages_unlike(before or (), after or ())
        else:
            found.append(f"{kind.replace('_', ' ')} {_brief(before)} then, {_brief(after)} now")
    return found


def _packages_unlike(before: Iterable[Any], after: Iterable[Any]) -> Iterator[str]:
    sides = [{each[0]: each[1:] for each in side} for side in (before, after)]
    for name in sorted({*sides[0], *sides[1]}):
        one, other = (side.get(name) for side in sides)
        if one != other:
            yield f"{name} {_version(one)} then, {_version(other)} now"


def _version(package: Any) -> str:
    if package is None:
        return "not there"
    return " ".join(map(str, package)) if len(package) > 1 else str(package[0])


def _brief(value: Any) -> str:
    text = str(value.get("name", value)) if isinstance(value, dict) else str(value)
    return text if len(text) <= _MOST_SAID // 10 else f"{text[: _MOST_SAID // 10]}…"


def _run(recipe: Recipe, place: Workplace, terms: Terms) -> str:
    """Run the program in its place; gives what it wrote to its outputs."""
    assert recipe.command is not None  # or else there was an obstacle
    command = filled(recipe.command, os.environ)
    python, told = sys.executable, {}
    if terms.environment == "build":
        folder = os.path.join(place.folder, "environment")
        name = recipe.environment_id or ""
        python = venvs.built(name, recipe.environment, folder, place.place_of)
        told = venvs.variables_of(recipe.environment)
    words = [python, *map(place.moved, command.words(python)[1:])]
    surroundings = _surroundings(recipe, place, told)
    said = os.path.join(place.folder, "output.txt")
    with open(said, "wb") as file:
        code = _ended(words, place.place_of(command.cwd), surroundings, file, terms.timeout_s)
    with open(said, "rb") as file:
        file.seek(max(0, os.path.getsize(said) - _MOST_READ))
        output = file.read().decode("utf-8", "replace")
    if code:
        raise ReplayError(
            f"the program ended with exit code {code}; it said:\n{output[-_MOST_SAID:]}"
        )
    return output


def _ended(
    words: list[str],
    cwd: str,
    surroundings: Mapping[str, str],
    output: IO[bytes],
    timeout_s: float | None,
) -> int:
    """Run a program to its end, and end what it has left running; gives its exit code."""
    try:
        process = subprocess.Popen(  # noqa: S603 - no shell; what runs was shown and agreed to
            words,
            cwd=cwd,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ReplayError(f"{words[0]} could not be started: {error.strerror}") from error
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired as error:
        raise ReplayError(f"the program did not end within {timeout_s:g} s") from error
    finally:
        # Nothing may write any more when what was there is put back.
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _surroundings(recipe: Recipe, place: Workplace, told: Mapping[str, str]) -> dict[str, str]:
    """Give the environment variables of a program, with paths as they are in its place."""
    found = {
        name: place.moved(value) if name == "PYTHONPATH" else value
        for name, value in os.environ.items()
        if not name.startswith("LINEAGE_")
    }
    found |= told
    # A program of the repository is that of the commit; one that is not in it is where it is.
    programs = [(each, place.moved(each)) for each in found.get("PATH", "").split(os.pathsep)]
    found["PATH"] = os.pathsep.join(new if os.path.isdir(new) else old for old, new in programs)
    # By the first name for any version of lineage; by the second whatever the program asks for.
    for name in ("LINEAGE_STORE", REPLAY_VARIABLE):
        found[name] = place.store
    own = map(place.place_of, recipe.command.search if recipe.command else ())
    search = [*own, *_sources(recipe, place), found.get("PYTHONPATH", "")]
    found["PYTHONPATH"] = os.pathsep.join(filter(None, search))
    return found


def _sources(recipe: Recipe, place: Workplace) -> Iterator[str]:
    """Yield where packages are that were installed as editable from a repository of the code."""
    for _, _, *rest in recipe.environment.get("packages") or ():
        origin = rest[0] if rest and isinstance(rest[0], dict) else {}
        root = str(origin.get("url", "")).removeprefix("file://")
        if origin.get("editable") and place.place_of(root) != root:
            for folder in (os.path.join(root, "src"), root):
                if os.path.isdir(folder):
                    yield place.place_of(folder)
    # Others are told of by a line in a .pth file alone.
    for folder in filter(os.path.isabs, sys.path):
        moved = place.moved(folder)
        if moved != folder:
            yield moved


def _compared(made: Made, done: Performance, terms: Terms) -> Comparison:
    new, aside = done.places[made.path], done.aside[made.path]
    if not os.path.exists(new):
        return Comparison("differs", "was not made")
    if is_as_recorded(new, made.content):
        return Comparison("identical", "identical in every byte")
    old = aside if is_as_recorded(aside, made.content) else made.path
    if not is_as_recorded(old, made.content):
        return Comparison(
            "differs",
            f"differs in its bytes; {made.path} no longer is what it was, so that its rows cannot "
            "be compared",
        )
    return compare(old, new, rtol=terms.rtol, atol=terms.atol)


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MOST_LISTED} more" if len(texts) > _MOST_LISTED else ""
    return ", ".join(texts[:_MOST_LISTED]) + more
