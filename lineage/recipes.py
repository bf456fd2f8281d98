"""What made a data product, as far as it is recorded: what it takes to make it again.

A product was registered by an operation, the operation belongs to a process, and of that it is
known how it was started, at which commit, in which environment. What the process read are the
inputs, with the version of each at that time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage import codec, fingerprint, whys
from lineage.core import SUCCESS
from lineage.errors import NodeNotFoundError, ReplayError

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping

    from lineage.codec import Row
    from lineage.view import View

_SIDES = ("read", "written")
_SHORTEST_ID = 4
_MOST_SAID = 200
_CALL = (
    "import importlib, json, sys; module, name, arguments = sys.argv[1:]; "
    "getattr(importlib.import_module(module), name)(**json.loads(arguments))"
)
_SLACK = timedelta(seconds=2)


class Input(NamedTuple):
    """A file that was read, its version then, and other files that were seen with that version."""

    path: str
    version: str | None
    others: tuple[str, ...] = ()


class Made(NamedTuple):
    """A product, or a file that was written, with the digest or the version of what it held."""

    name: str
    path: str
    content: str | None


@dataclass(frozen=True, slots=True)
class Code:
    """A repository whose code ran.

    Args:
        root: The folder of its working tree.
        commit: The commit; None where there was none.
        diff: What was changed in it, as git writes it; None for nothing, or if it is not known.
        reason: Why what was changed is not known.
        submodules: The path and the commit of each submodule that was checked out.
    """

    root: str
    commit: str | None
    diff: str | None = None
    reason: str | None = None
    submodules: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """How a process was started.

    Args:
        kind: `script`, `module`, `code`, `notebook`, `interactive`; or `function`, if what was
            typed was the call of a function that is written in a module.
        argv: The script, the module or the code, and the words behind it; of a function its module,
            its name, and its arguments as JSON.
        options: Options of the interpreter.
        cwd: The folder that it was started in.
        redacted: The names of words that were taken out, since they tell a secret.
        search: Where modules are looked for, besides.
        is_cut: Whether a word is not kept as it was: too many, too long, or no text.
    """

    kind: str
    argv: tuple[str, ...]
    options: tuple[str, ...] = ()
    cwd: str = ""
    redacted: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    is_cut: bool = False

    def words(self, executable: str) -> list[str]:
        """Give the whole command, for an interpreter.

        >>> Command("module", ("jobs.daily", "--fast")).words("python")
        ['python', '-m', 'jobs.daily', '--fast']
        """
        flag = {"module": ["-m"], "code": ["-c"], "function": ["-c", _CALL]}.get(self.kind, [])
        if self.kind == "notebook":
            return [executable, "-m", "lineage", "run", *self.argv]
        return [executable, *self.options, *flag, *self.argv]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What it takes to make something again.

    Args:
        target: What was asked for.
        process_key: The process that made it.
        command: How that was started; None if it is not known.
        codes: The repositories of its code, that of the program first.
        environment: The content of its environment; empty if it is not known.
        inputs: What it read that it had not written before.
        made: What it made that is compared.
        written: All files that it wrote.
        folders: Those that it read as a whole; the files in them are among the inputs.
        failure: How a run ended that was asked for, if it did not come to its end.
        new_folders: Those that were not there before it made them.
        left_out: How many files more, at least, it has `read` or `written` than are listed here;
            None where nobody counted them.
    """

    target: str
    process_key: str
    command: Command | None
    codes: tuple[Code, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    environment_id: str | None = None
    inputs: tuple[Input, ...] = ()
    made: tuple[Made, ...] = ()
    written: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    failure: str | None = None
    new_folders: tuple[str, ...] = ()
    left_out: Mapping[str, int | None] = field(default_factory=dict)


def recipe_of(view: View, target: str) -> Recipe:
    """Find what made a product, or what a run has made.

    Args:
        view: What is known.
        target: A product by its name, `NAME@VERSION`, its id or path; or a run by its id, the start
            of one, or its name, then the last of that name.

    Raises:
        NodeNotFoundError: There is no such product and no such run.
        ReplayError: It is not recorded what made it.
    """
    run = _run_of(view, target)
    rows = _products(view, target, run)
    failure = None if run is None or _is_product(view, target) else _failure(run)
    operation_ids = [row["operation_id"] for row in rows if row["operation_id"]]
    if not operation_ids and run is not None:
        steps = whys.known_of(view).steps_of_run(run["run_id"])
        operation_ids = [step["operation_id"] for step in steps]
    if not operation_ids:
        raise ReplayError(
            f"cannot replay {target!r}: {f'{failure}, and ' if failure else ''}no operation that "
            "made it is recorded; name a product that was registered in a run, or a run in which "
            "something was tracked"
        )
    key = operation_ids[-1].rpartition("-")[0]
    process = view.processes.get(key, {})
    operations = _operations(view, key, process)
    own = {row["run_id"] for row in operations}
    rivals = [row for row in view.processes.values() if _is_alike(row, process)]
    runs = [row for row in view.runs.values() if row["run_id"] in own or _is_of(row, key, rivals)]
    read, written = _files(runs, operations)
    new, left_out = _new_folders(runs), _left_out(runs)
    read = {path: each for path, each in read.items() if not is_within(path, new)}
    made = [Made(f"{r['name']}@{r['version']}", r["path"], r["content"]) for r in rows if r["path"]]
    if not made:
        mine = written if run is None else _files([run], [])[1] or written
        made = [Made(path, path, version) for path, version in mine.items()]
    registered = _registered(operations)
    read = {path: each for path, each in read.items() if each != registered.get(path, "")}
    read |= {each.path: each.content for each in made if _was_there(each, written, process)}
    folders = _folders(read)
    read = {path: each for path, each in read.items() if path not in folders}
    places = _places(view.runs.values())
    return Recipe(
        target,
        key,
        _called(operations, operation_ids[-1], _command(process)),
        tuple(_codes(view, process)),
        *_environment(view, process),
        tuple(Input(path, each, places.get(each or "", ())) for path, each in read.items()),
        tuple(made),
        tuple(written),
        tuple(path for path in folders if "*" not in path),
        failure,
        new,
        left_out,
    )


def read_in(view: View) -> dict[str, str | None]:
    """Give all files that a store knows to have been read, with the version of each if known.

    Those that were opened and nothing more are among them; folders stand for the files in them, and
    what was written before is left out.
    """
    runs = view.runs.values()
    operations = view.columns(("timestamp", "inputs", "outputs")).to_pylist()
    read, written = _files(runs, sorted(operations, key=lambda row: row["timestamp"]))
    for row in runs:
        for each in (codec.from_json(row.get("coverage")) or {}).get("files") or ():
            if each["mode"] == "r" and each["path"] not in written:
                read.setdefault(each["path"], None)
    folders = _folders(read)
    return {path: version for path, version in read.items() if path not in folders}


def _folders(paths: Collection[str]) -> list[str]:
    """Give those of some paths that stand for others of them."""
    return [path for path in paths if any(_is_part(each, path) for each in paths)]


def is_within(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is that of one of some folders, or of something in one.

    >>> is_within("/a/out/b.csv", ["/a/out"]), is_within("/a/outer", ["/a/out"])
    (True, False)
    """
    return any(path == each or path.startswith(f"{each}{os.sep}") for each in folders)


def _is_part(path: str, whole: str) -> bool:
    """Whether a file is one of those that a folder or a pattern means."""
    if path.startswith(f"{whole}{os.sep}"):
        return True
    return path != whole and "*" in whole and fnmatchcase(path, whole)


def _run_of(view: View, target: str) -> Row | None:
    """Find a run by its id, the start of its id, or its name; the last one of a name."""
    if target in view.runs:
        return view.runs[target]
    rows = list(view.runs.values())
    found = [row for row in rows if row.get("name") == target]
    if not found and len(target) >= _SHORTEST_ID:
        found = [row for row in rows if row["run_id"].startswith(target)]
    return max(found, key=lambda row: row["timestamp"]) if found else None


def _products(view: View, target: str, run: Row | None) -> list[Row]:
    """Give the registrations that are meant: of a product the last one, of a run all."""
    rows = view.products
    if run is not None and not _is_product(view, target):
        last = {row["product_id"]: row for row in rows if row["run_id"] == run["run_id"]}
        return list(last.values())
    try:
        found = whys.product(view, target, None)
    except NodeNotFoundError:
        if run is None:
            raise
        return []
    mine = [row for row in rows if row["product_id"] == found["product_id"]]
    return [max(mine, key=lambda row: row["timestamp"])]


def _is_product(view: View, target: str) -> bool:
    return any(row["name"] == target for row in view.products)


def _failure(run: Row) -> str | None:
    """Say how a run ended; None if it came to its end."""
    if run["status"] == SUCCESS:
        return None
    if run["ended_at"] is None:
        return "the run did not come to its end: it was killed, or is still running"
    return f"the run failed then, with {': '.join(filter(None, _error(run)))}"


def _error(run: Row) -> tuple[str, str]:
    said = (run["error_info"] or "").strip().partition("\n")[0]
    return run["error_type"] or "an error", said[:_MOST_SAID]


def _is_alike(row: Row, other: Row) -> bool:
    """Whether two rows are of processes of the same number on the same host."""
    return bool(other) and all(row.get(each) == other.get(each) for each in ("host", "process_id"))


def _is_of(run: Row, key: str, rivals: list[Row]) -> bool:
    """Whether a run was in a process, of which it may be that nothing but runs is known.

    A number is given again: in a container each program may have the same.
    """
    # A process is told of when its first run has begun.
    before = [row for row in rivals if run["timestamp"] >= row["started_at"] - _SLACK]
    if not before or not _is_alike(run, before[0]):
        return False
    return bool(max(before, key=lambda row: row["started_at"])["process_key"] == key)


def _registered(operations: Iterable[Row]) -> dict[str, str | None]:
    """Give the files that were registered as products, with the version of each at that time."""
    found: dict[str, str | None] = {}
    for row in operations:
        own = {ref["location"] for ref in row["outputs"] or () if ref["source_type"] == "product"}
        found |= {path: version for path, version in _local(row["inputs"]) if path in own}
    return found


def _was_there(made: Made, written: Container[str], process: Row) -> bool:
    """Whether a product is a file that was there already, and may have been registered only."""
    if made.path in written or not process:
        return False
    try:
        changed = os.lstat(made.path).st_ctime
    except (OSError, ValueError):
        return False
    return bool(changed < process["started_at"].timestamp())


def _operations(view: View, key: str, process: Row) -> list[Row]:
    """Read the operations of a process, in the order in which they began."""
    import pyarrow.compute as pc

    names = (
        *("operation_id", "timestamp", "duration_ms", "inputs", "outputs", "run_id", "thread_id"),
        *("parameters", "code_module", "code_name", "code_file"),
    )
    started = process.get("started_at")
    table = view.columns(names, start=None if started is None else started - _SLACK)
    mine = table.filter(pc.starts_with(table["operation_id"], f"{key}-"))
    rows: list[Row] = mine.select(list(names)).to_pylist()
    return sorted(rows, key=lambda row: row["timestamp"])


def _files(
    runs: Iterable[Row], operations: Iterable[Row]
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Give the files that were read and not written before, and those that were written."""
    read: dict[str, str | None] = {}
    written: dict[str, str | None] = {}
    for row in sorted(runs, key=lambda row: row["timestamp"]):
        files = codec.from_json(row.get("files")) or {}
        for path, version in (files.get("read") or {}).items():
            if path not in written:
                read.setdefault(path, version)
        written |= files.get("written") or {}
    for row in operations:
        for path, version in _local(row["inputs"]):
            if path not in written:
                read.setdefault(path, version)
        written |= dict(_local(row["outputs"]))
    return read, written


def _new_folders(runs: Iterable[Row]) -> tuple[str, ...]:
    found = (codec.from_json(row.get("files")) or {} for row in runs)
    return tuple(dict.fromkeys(path for each in found for path in each.get("folders") or ()))


def _left_out(runs: Iterable[Row]) -> dict[str, int | None]:
    """Give how many files runs have not listed, at least: one run may be within another."""
    left: dict[str, int | None] = {}
    for row in runs:
        told = (codec.from_json(row.get("files")) or {}).get("left_out") or {}
        for side in filter(told.__contains__, _SIDES):
            count, known = told[side], left.get(side, 0)
            left[side] = None if count is None or known is None else max(count, known)
    return left


def _places(runs: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    """Give the files that runs have seen, by their content."""
    found: dict[str, dict[str, None]] = {}
    for row in runs:
        files = codec.from_json(row.get("files")) or {}
        for side in _SIDES:
            for path, version in (files.get(side) or {}).items():
                if fingerprint.is_content(version):
                    found.setdefault(version, {})[path] = None
    return {version: tuple(paths) for version, paths in found.items()}


def _local(refs: Iterable[Row] | None) -> Iterator[tuple[str, str | None]]:
    for ref in refs or ():
        location = ref["location"] or ""
        if ref["source_type"] == "file" and os.path.isabs(location):
            yield location, ref["version"] or None


def _command(process: Row) -> Command | None:
    found = codec.from_json(process.get("command")) or {}
    if not found.get("kind"):
        return None
    return Command(
        found["kind"],
        tuple(found.get("argv") or ()),
        tuple(found.get("options") or ()),
        found.get("cwd") or "",
        tuple(found.get("redacted") or ()),
        is_cut=bool(found.get("is_cut")),
    )


def _called(operations: list[Row], operation_id: str, command: Command | None) -> Command | None:
    """Give the call of a function, where a command tells of no program and the call can be made.

    It is the outermost tracked call that the product was made in: of a function in a module, with
    arguments that are kept as they were.
    """
    if command is None or command.kind != "interactive":
        return command
    own = next((row for row in operations if row["operation_id"] == operation_id), None)
    around = [row for row in operations if own is not None and _is_within(own, row)]
    call: Row = around[0] if around else {"code_name": "", "parameters": None}
    arguments = codec.from_json(call["parameters"])
    if not (call["code_name"] or "").isidentifier() or not all(map(_is_plain, arguments.values())):
        return command
    depth = call["code_module"].count(".") + 1
    folder = os.path.normpath(os.path.join(call["code_file"], *[os.pardir] * depth))
    argv = (call["code_module"], call["code_name"], codec.to_json(arguments))
    return replace(command, kind="function", argv=argv, options=(), search=(folder,))


def _is_within(inner: Row, outer: Row) -> bool:
    """Whether an operation ran while another one did, in the same thread."""
    if outer is inner or not (outer["code_file"] and outer["duration_ms"]):
        return False
    end = outer["timestamp"] + timedelta(milliseconds=outer["duration_ms"])
    is_during = outer["timestamp"] <= inner["timestamp"] <= end
    return is_during and bool(outer["thread_id"] == inner["thread_id"])


def _is_plain(value: Any) -> bool:
    """Whether an argument is kept as it was; a text in angle brackets stands for something else."""
    if isinstance(value, str):
        return not (value.startswith("<") and value.endswith(">")) and "…" not in value
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float))


def _codes(view: View, process: Row) -> Iterator[Code]:
    for each in codec.from_json(process.get("repositories")) or ():
        diff = each.get("diff") or {}
        changed = each.get("changed_count")
        text, reason = None, None
        if changed is None:
            reason = "whether something was changed in it is not recorded"
        elif changed:
            # Another process may have kept the same text, where it was all that was changed.
            text = None if diff.get("reason") else view.content(diff.get("content_id"))
            reason = None if text is not None else diff.get("reason") or "the changes are not kept"
        if each.get("commit_later"):
            reason = f"it moved to commit {each['commit_later'][:8]} while the program ran"
        parts = [(part["path"], part["commit"]) for part in each.get("submodules") or ()]
        if not all(commit for _, commit in parts):
            reason = reason or "the commit of a submodule is not recorded"
        yield Code(each["root"], each.get("commit"), text, reason, tuple(parts))


def _environment(view: View, process: Row) -> tuple[Mapping[str, Any], str | None]:
    name = process.get("environment_id")
    row = view.environments.get(name or "", {})
    return codec.from_json(row.get("content")) or {}, name
