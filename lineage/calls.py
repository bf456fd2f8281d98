"""One tracked call from its start to its end: what every generated wrapper calls into.

`begin` looks at the arguments before the function runs; `end` or `fail` at the outcome after.
None of them raises what is its own fault, and none keeps an argument, a result or a frame.
"""

from __future__ import annotations

import time
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage import codec, files, fingerprint, links
from lineage.core import DataSource, OperationType
from lineage.links import Ref
from lineage.parameters import MOST_ITEMS, PLAIN, Captor, frame_form
from lineage.redact import REDACTED, is_secret_name
from lineage.stores.records import SITE, Definition
from lineage.tracker import Current, LineageTracker, TrackerSettings, current, scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_time_ns, _clock = time.time_ns, time.perf_counter_ns
_MEMORY = "memory"
_MOST_DEFINITIONS = 1000
# What `Ref(...)` does, without the frame of Python code that a named tuple's `__new__` is.
_new_ref = tuple.__new__
SCALARS = PLAIN | {str, bytes}

_FILES = frozenset((OperationType.READ, OperationType.WRITE))


class Declared(NamedTuple):
    """A source that the user named: a parameter by its place, or a data source."""

    parameter: int | None
    source: DataSource | None


class Repository(NamedTuple):
    """What a method of a repository works on."""

    source: DataSource
    settings_name: str
    context: dict[str, Any]


class Site:
    """What is known of a tracked function before it is called.

    Args:
        function: The user's function.
        operation_type: What it does to data.
        names: The names of the values that the wrapper hands over, without `self`.
    """

    def __init__(
        self, function: Callable[..., Any], operation_type: OperationType, names: tuple[str, ...]
    ) -> None:
        module, name = links.module_name(function.__module__), function.__qualname__
        code = getattr(function, "__code__", None)
        self.function = function
        self.operation_type = operation_type
        self.names = names
        self.name = f"{module}.{name}"
        self.tracker: LineageTracker | None = None
        self.input_sources: tuple[Declared, ...] | None = None
        self.output_sources: tuple[Declared, ...] | None = None
        self.extract_inputs: Callable[..., Iterable[DataSource | str]] | None = None
        self.extract_outputs: Callable[..., Iterable[DataSource | str]] | None = None
        self.repository: Callable[[Any, Mapping[str, Any]], Repository] | None = None
        self.kinds: tuple[Any, ...] = ()
        self.context: dict[str, Any] = {"function": name, "module": module}
        if "." in name and not name.rpartition(".")[0].endswith("<locals>"):
            self.context["class"] = name.split(".")[-2]
        self._code = (module, name, code and code.co_filename, code and code.co_firstlineno)
        self.secrets = tuple(i for i, key in enumerate(names) if is_secret_name(key))
        self.made: dict[tuple[str, Any], Definition] = {}
        self._definitions: dict[str, Definition] = {}
        self.scalar_settings: TrackerSettings | None = None
        self.plain: Definition
        self.writes_only_frames: bool
        self.reads_only_frames: bool

    def definition(self, context: Mapping[str, Any]) -> Definition:
        """Give the definition of this code in a context; the same one for an equal context."""
        text = codec.to_json(self.context | dict(context) if context else self.context)
        known = self._definitions.get(text)
        if known is None:
            if len(self._definitions) >= _MOST_DEFINITIONS:
                self._definitions.clear()
            fields = [str(self.operation_type), *self._code, list(self.names), text]
            known = self._definitions[text] = Definition(SITE, fields)
        return known

    def settle(self) -> None:
        """Work out what never changes between calls, once the attributes are set."""
        self.plain = self.definition({})
        self.writes_only_frames = not (
            self.output_sources or self.extract_outputs or self.operation_type in _FILES
        )
        self.reads_only_frames = not (
            self.input_sources or self.extract_inputs or self.operation_type in _FILES
        )


class Call:
    """A call under way: `inside` is what its code is in, `outside` what the caller is in."""

    __slots__ = (
        *("count_in", "counts", "definition", "inputs", "inside", "number", "outputs"),
        *("outside", "parameters", "parent", "qualifier", "run", "start_ns", "started", "tracker"),
    )

    def __init__(
        self,
        site: Site,
        tracker: LineageTracker,
        identity: tuple[str, int],
        where: tuple[Current | None, str | None, Definition | None],
        parameters: Sequence[Any] = (),
    ) -> None:
        operation_id, self.number = identity
        self.outside, self.parent, self.run = where
        self.tracker = tracker
        self.inside: Current = (operation_id, self.run)
        self.definition: Definition = site.plain
        self.parameters = parameters
        self.inputs: Sequence[Ref] = ()
        self.outputs: Sequence[Ref] = ()
        self.qualifier = ""
        self.count_in: int | None = None
        self.counts = True
        self.start_ns = 0
        self.started = 0


def begin(site: Site, values: tuple[Any, ...], owner: Any = None) -> Call | None:
    """Begin a call: None when it is not to be tracked.

    Args:
        site: The function.
        values: Its arguments in the order of the site's names; they are not kept.
        owner: The instance, when the function is a method of a repository.
    """
    tracker = site.tracker or scope.tracker
    if tracker is None or not tracker.settings.allows(site.operation_type):
        return None
    try:
        outside = current.get()
        where = (outside, *(outside or tracker.outermost))
        call = Call(site, tracker, tracker.recorder.next_id(), where)
        frames = _parameters(site, call, values)
        # Where frames come in, the wrapper for scalars would only lose time.
        site.scalar_settings = None if frames else tracker.settings
        if site.repository is not None and not _enter_repository(site, call, values, owner):
            return None
        if site.reads_only_frames:
            if frames:
                call.inputs = refs = [_frame_ref(site, call, frame) for frame in frames]
                call.count_in = refs[0].rows if len(refs) == 1 else _sum(refs)
        else:
            _inputs(site, call, values, frames)
        call.start_ns = _time_ns()
        call.started = _clock()
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tracker.lose(problem)
        return None
    return call


def resume(
    site: Site,
    tracker: LineageTracker,
    identity: tuple[str, int],
    where: tuple[Current | None, str | None, Definition | None],
    parameters: Sequence[Any],
    times: tuple[int, int],
) -> Call:
    """Make a call of one that a wrapper began by itself, since its end is not a plain one."""
    call = Call(site, tracker, identity, where, parameters)
    call.start_ns, call.started = times
    return call


def end(site: Site, call: Call, result: Any, values: tuple[Any, ...] = ()) -> None:
    """Record that a call returned.

    Args:
        site: The function.
        call: The call.
        result: What it returned; it is not kept, and no iterator is advanced.
        values: The arguments again, where the site has use for them.
    """
    duration = _clock() - call.started
    try:
        kind = type(result)
        if site.writes_only_frames and _is_scalar(kind):
            count_out = None
        elif site.writes_only_frames and fingerprint.is_frame(kind):
            count_out = _output_frames(site, call, ((0, result),), ())
        else:
            count_out = _outputs(site, call, result, values)
        finish(call, duration, None, count_out)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        call.tracker.lose(problem)
    except BaseException as problem:
        call.tracker.lose(problem)
        raise


def fail(site: Site, call: Call, error: BaseException, values: tuple[Any, ...] = ()) -> None:
    """Record that a call raised; its declared outputs are kept, and make no edge."""
    duration = _clock() - call.started
    try:
        call.outputs = [*call.outputs, *_declared_outputs(site, call, values)]
        finish(call, duration, call.tracker.error_of(error), None)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        call.tracker.lose(problem)
    except BaseException as problem:
        call.tracker.lose(problem)
        raise


def _is_scalar(kind: type) -> bool:
    try:
        return kind in SCALARS
    except Exception:  # noqa: BLE001 - a metaclass may make its types unhashable, or raise
        return False


def finish(
    call: Call, duration_ns: int, error: tuple[str, str] | None, count_out: int | None
) -> None:
    """Write the record of a call."""
    identity = (call.inside[0], call.parent, get_ident(), call.start_ns, duration_ns, error)
    counts = (call.count_in, count_out) if call.counts else (None, None)
    record, where = call.tracker.recorder.record, (call.definition, call.run)
    outcome = (*identity, call.parameters, *counts)
    try:
        record(*where, call.inputs, call.outputs, outcome)
    except (OverflowError, TypeError, ValueError):  # an integer of more than 64 bits
        parameters = [call.tracker.captor.capture(value) for value in call.parameters]
        record(*where, call.inputs, call.outputs, (*identity, parameters, *counts))


def note_yield(site: Site, call: Call, item: Any) -> int:
    """Link a frame that a generator yields, and count the records: its rows, or one."""
    try:
        if not fingerprint.is_frame(type(item)):
            return 1
        ref = _made(site, call, "yield", item, ())
        if not any(known[:2] == ref[:2] for known in call.outputs):
            call.outputs = [*call.outputs, ref]
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        call.tracker.lose(problem)
        return 0
    return ref.rows or 0


_Frame = tuple[str, Any, fingerprint.Description]
"""The name, the value and the description of a frame among the arguments; short-lived."""


def _parameters(site: Site, call: Call, values: tuple[Any, ...]) -> list[_Frame]:
    captor = call.tracker.captor
    parameters: list[Any] = []
    call.parameters = parameters
    frames: list[_Frame] = []
    for value in values:
        kind = type(value)
        # Not `kind in PLAIN`: a type need not be hashable.
        if kind is int or kind is float or kind is bool or value is None:
            parameters.append(value)
        elif kind is str:
            parameters.append(captor.text(value))
        elif fingerprint.is_frame(kind):
            found = fingerprint.describe(value)
            frames.append((site.names[len(parameters)], value, found))
            parameters.append(frame_form(kind, found))
        else:
            if kind is list or kind is tuple or kind is dict:
                frames += _inner_frames(captor, site.names[len(parameters)], value)
            parameters.append(captor.capture(value))
    for index in site.secrets:
        parameters[index] = REDACTED
    return frames if call.tracker.settings.track_dataframes else []


def _inner_frames(captor: Captor, name: str, value: Any) -> Iterator[_Frame]:
    for key, item in _items(value):
        if fingerprint.is_frame(type(item)):
            yield f"{name}[{_label(captor, key)}]", item, fingerprint.describe(item)


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    """Give keys and items of a list, tuple or dictionary that is small enough to look through."""
    if len(value) > MOST_ITEMS:
        return ()
    return tuple(value.items()) if type(value) is dict else enumerate(value)


def _label(captor: Captor, key: Any) -> str:
    """Name a place in a collection, by what may be kept of its key."""
    return str(key) if type(key) is int else str(captor.capture(key))[:40]


def _enter_repository(site: Site, call: Call, values: tuple[Any, ...], owner: Any) -> bool:
    settings = call.tracker.settings
    if site.repository is None or not settings.track_repositories:
        return False
    place = site.repository(owner, dict(zip(site.names, values, strict=True)))
    wanted = settings.repository_settings.get(place.settings_name, {})
    if not wanted.get("track_all_operations", True):
        return False
    call.counts = bool(wanted.get("enable_volume_tracking", True))
    context = call.tracker.bounded(call.tracker.wide_captor, place.context)
    call.definition = site.definition({"repository": context})
    if site.operation_type is OperationType.WRITE:
        call.outputs = [call.tracker.ref(place.source, version=call.inside[0])]
    else:
        call.inputs = [call.tracker.ref(place.source)]
        call.qualifier = f"[{place.source.source_id}]"
    return True


def _inputs(site: Site, call: Call, values: tuple[Any, ...], frames: list[_Frame]) -> None:
    inputs = list(call.inputs)
    known = {id(frame[1]): _frame_ref(site, call, frame) for frame in frames}
    if site.input_sources is None:
        inputs += known.values()
        counted = list(known.values())
        if site.operation_type is OperationType.READ and site.repository is None:
            inputs += _files(call, values)
    else:
        counted = []
        for declared in site.input_sources:
            counted += _declared_input(site, call, declared, values, known)
        inputs += counted
    if site.extract_inputs is not None:
        extracted = site.extract_inputs(site.function, *_arguments(site, values))
        inputs += [_extracted(call, item) for item in extracted]
    call.count_in = _sum(counted)
    call.inputs = _distinct(inputs)
    if call.outputs and len(counted) == 1:  # a repository is written as its one frame is
        written = call.outputs[0]
        call.outputs = [written._replace(schema=counted[0].schema, rows=counted[0].rows)]
    if not call.qualifier and site.operation_type is OperationType.READ and inputs:
        call.qualifier = f"[{inputs[0].source.fields[1][2]}]"


def _frame_ref(site: Site, call: Call, frame: _Frame) -> Ref:
    """Refer to a frame; one that nothing tracked has made is named by where it came in."""
    name, value, (rows, _, schema) = frame
    found = links.find(value)
    if found is not None:
        return _new_ref(Ref, (found[1], found[2], links.schema(schema), rows))
    source, version = links.source("dataframe", f"{site.name}({name})", _MEMORY), call.inside[0]
    links.link(value, source, version, call.number)
    return _new_ref(Ref, (source, version, links.schema(schema), rows))


def _declared_input(
    site: Site,
    call: Call,
    declared: Declared,
    values: tuple[Any, ...],
    known: Mapping[int, Ref],
) -> Iterator[Ref]:
    if declared.source is not None:
        yield call.tracker.ref(declared.source)
        return
    index = declared.parameter or 0
    value = values[index]
    kind = type(value)
    is_collection = kind is list or kind is tuple or kind is dict
    inner = (
        [known[id(item)] for _, item in _items(value) if id(item) in known] if is_collection else ()
    )
    if id(value) in known:
        yield known[id(value)]
    elif (path := files.path_of(value)) is not None:
        yield files.ref(path)
    elif inner:
        yield from inner
    else:
        # Only declared, and unlinked: nothing can tell where such a value came from.
        name = f"{site.name}({site.names[index]})"
        source = links.source("parameter", name, _MEMORY, metadata='{"linked":false}')
        count = len(value) if is_collection or kind is set or kind is frozenset else None
        yield Ref(source, call.inside[0], None, count)


def _outputs(site: Site, call: Call, result: Any, values: tuple[Any, ...]) -> int | None:
    """Name what a call wrote, and link the frames that it returned; gives the records out."""
    declared = _declared_outputs(site, call, values)
    if site.extract_outputs is not None:
        extracted = site.extract_outputs(site.function, *_arguments(site, values), result)
        declared += [_extracted(call, item, call.inside[0]) for item in extracted]
    if site.operation_type is OperationType.WRITE:
        if site.output_sources is None and site.repository is None:
            declared += _files(call, values)
        call.outputs = [*call.outputs, *declared]
        return call.count_in
    call.outputs = [*call.outputs, *declared]
    frames = tuple(_result_frames(result))
    if frames:
        return _output_frames(site, call, frames, declared)
    kind = type(result)
    is_sized = kind is list or kind is dict or kind is set or kind is frozenset
    return len(result) if is_sized else None


def _output_frames(
    site: Site, call: Call, frames: tuple[tuple[Any, Any], ...], declared: Sequence[Ref]
) -> int | None:
    if not call.tracker.settings.track_dataframes:
        return None
    refs = [_made(site, call, key, value, declared) for key, value in frames]
    call.outputs = _distinct([*call.outputs, *refs])
    return _sum(refs)


def _distinct(refs: list[Ref]) -> list[Ref]:
    return refs if len(refs) < 2 else list(dict.fromkeys(refs))


def _sum(refs: list[Ref]) -> int | None:
    known = [ref.rows for ref in refs if ref.rows is not None]
    return sum(known) if known else None


def _result_frames(result: Any) -> Iterator[tuple[Any, Any]]:
    kind = type(result)
    if fingerprint.is_frame(kind):
        yield 0, result
    elif kind is tuple or kind is list or kind is dict:
        for key, item in _items(result):
            if fingerprint.is_frame(type(item)):
                yield key, item


def _made(site: Site, call: Call, key: Any, value: Any, declared: Sequence[Ref]) -> Ref:
    """Refer to a frame that a call returned, and link it, unless an inner call already has."""
    rows, _, described = fingerprint.describe(value)
    schema = links.schema(described)
    version = call.inside[0]
    if declared:
        source, version = declared[0].source, declared[0].version or version
    else:
        found = links.find(value)
        if found is not None and found[3] > call.number:
            return Ref(found[1], found[2], schema, rows)
        source = site.made.get((call.qualifier, key)) or _name_made(site, call, key)
    links.link(value, source, version, call.number)
    return _new_ref(Ref, (source, version, schema, rows))


def _name_made(site: Site, call: Call, key: Any) -> Definition:
    name = f"{site.name}{call.qualifier}#{_label(call.tracker.captor, key)}"
    source = links.source("dataframe", name, _MEMORY)
    if len(site.made) < _MOST_DEFINITIONS and type(key) in (int, str):
        site.made[call.qualifier, key] = source
    return source


def _declared_outputs(site: Site, call: Call, values: tuple[Any, ...]) -> list[Ref]:
    refs: list[Ref] = []
    for declared in site.output_sources or ():
        if declared.source is not None:
            refs.append(call.tracker.ref(declared.source, version=call.inside[0]))
        elif declared.parameter is not None and declared.parameter < len(values):
            value = values[declared.parameter]
            path = value if type(value) is str else files.path_of(value)
            if path is not None:
                refs.append(files.ref(path))
            else:
                name = f"{site.name}({site.names[declared.parameter]})"
                refs.append(Ref(links.source("parameter", name, _MEMORY), call.inside[0]))
    return refs


def _files(call: Call, values: Iterable[Any]) -> list[Ref]:
    return files.refs(values) if call.tracker.settings.track_files else []


def _extracted(call: Call, item: DataSource | str, version: str | None = None) -> Ref:
    return call.tracker.ref(DataSource.parse(item), version)


def _arguments(site: Site, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give arguments back as positional ones and, all that have a name, as keyword ones too."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, kind, value in zip(site.names, site.kinds, values, strict=True):
        if kind == _VAR_POSITIONAL:
            positional += value
        elif kind == _VAR_KEYWORD:
            named |= value
        else:
            named[name] = value
            if kind != _KEYWORD_ONLY:
                positional.append(value)
    return tuple(positional), named


_VAR_POSITIONAL, _KEYWORD_ONLY, _VAR_KEYWORD = 2, 3, 4  # as in inspect.Parameter
