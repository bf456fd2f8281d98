"""What a call reads and writes, as references to data sources.

Frames, tables and arrays are known by their links; one that nothing tracked has made is named by
where it came in, one that a call returns by the function. Nothing of the user's is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineage import files, fingerprint, links
from lineage.core import DataSource, OperationType
from lineage.links import Ref
from lineage.parameters import MOST_ITEMS, Captor, frame_form, secret_texts
from lineage.redact import REDACTED, hide
from lineage.sites import MOST_DEFINITIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lineage.sites import Call, Declared, Site
    from lineage.stores.records import Definition

_MEMORY = "memory"
# What `Ref(...)` does, without the frame of Python code that a named tuple's `__new__` is.
_new_ref = tuple.__new__

_Frame = tuple[str, Any, fingerprint.Description]
"""The name, the value and the description of a frame among the arguments; short-lived."""


def capture_parameters(site: Site, call: Call, values: tuple[Any, ...]) -> list[_Frame]:
    """Keep the arguments in the call, plain; gives the frames among them, also in containers."""
    captor = call.tracker.captor
    parameters: list[Any] = []
    call.parameters = parameters
    frames: list[_Frame] = []
    told: list[str] = []
    for value in values:
        kind = type(value)
        # Not `kind in PLAIN`: a type need not be hashable.
        if kind is int or kind is float or kind is bool or value is None:
            parameters.append(value)
        elif kind is str:
            parameters.append(captor.text(value, told))
        elif fingerprint.is_frame(kind):
            found = fingerprint.describe(value)
            frames.append((site.names[len(parameters)], value, found))
            parameters.append(frame_form(kind, found))
        else:
            if kind is list or kind is tuple or kind is dict:
                frames += _inner_frames(captor, site.names[len(parameters)], value)
            parameters.append(captor.capture(value, told))
    if site.secrets or told:
        _hide_parameters(site, call, values, told)
    return frames if call.tracker.settings.track_dataframes else []


def _hide_parameters(site: Site, call: Call, values: tuple[Any, ...], told: list[str]) -> None:
    """Keep no secret argument, and nowhere in the others what was told to be a secret."""
    for index in site.secrets:
        told += secret_texts(values[index])
    call.secrets = tuple(dict.fromkeys(told))
    hiding = call.tracker.captor.hiding(call.secrets)
    call.parameters = [
        REDACTED if index in site.secrets else hiding.capture(value)
        for index, value in enumerate(values)
    ]


def hide_sources(site: Site, call: Call) -> None:
    """Take the secrets of the call's parameters out of the names that it has given so far."""
    call.inputs = [links.hidden(ref, call.secrets) for ref in call.inputs]
    call.outputs = [links.hidden(ref, call.secrets) for ref in call.outputs]
    call.qualifier = hide(call.qualifier, call.secrets)
    call.definition = site.definition_of(hide(call.definition.fields[0][-1], call.secrets))


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


def enter_repository(site: Site, call: Call, values: tuple[Any, ...], owner: Any) -> bool:
    """Make the repository the call's input or output; False when it is not to be tracked."""
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


def name_inputs(site: Site, call: Call, values: tuple[Any, ...], frames: list[_Frame]) -> None:
    """Keep in the call what it reads, by its frames, its files and what the user declared."""
    inputs = list(call.inputs)
    known = {id(frame[1]): frame_ref(site, call, frame) for frame in frames}
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
    call.count_in = sum_rows(counted)
    call.inputs = _distinct(inputs)
    if call.outputs and len(counted) == 1:  # a repository is written as its one frame is
        written = call.outputs[0]
        call.outputs = [written._replace(schema=counted[0].schema, rows=counted[0].rows)]
    if not call.qualifier and site.operation_type is OperationType.READ and inputs:
        call.qualifier = f"[{inputs[0].source.fields[1][2]}]"


def frame_ref(site: Site, call: Call, frame: _Frame) -> Ref:
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


def name_outputs(site: Site, call: Call, result: Any, values: tuple[Any, ...]) -> int | None:
    """Name what a call wrote, and link the frames that it returned; gives the records out."""
    declared = declared_outputs(site, call, values)
    if site.extract_outputs is not None:
        extracted = site.extract_outputs(site.function, *_arguments(site, values), result)
        declared += [_extracted(call, item, call.inside[0]) for item in extracted]
    if call.secrets:
        declared = [links.hidden(ref, call.secrets) for ref in declared]
    if site.operation_type is OperationType.WRITE:
        if site.output_sources is None and site.repository is None:
            declared += _files(call, values)
        call.outputs = [*call.outputs, *declared]
        return call.count_in
    call.outputs = [*call.outputs, *declared]
    frames = tuple(_result_frames(result))
    if frames:
        return name_frames(site, call, frames, declared)
    kind = type(result)
    is_sized = kind is list or kind is dict or kind is set or kind is frozenset
    return len(result) if is_sized else None


def name_frames(
    site: Site, call: Call, frames: tuple[tuple[Any, Any], ...], declared: Sequence[Ref]
) -> int | None:
    """Keep in the call the frames that it returned, as (key, frame); gives the records out."""
    if not call.tracker.settings.track_dataframes:
        return None
    refs = [made_ref(site, call, key, value, declared) for key, value in frames]
    call.outputs = _distinct([*call.outputs, *refs])
    return sum_rows(refs)


def _distinct(refs: list[Ref]) -> list[Ref]:
    return refs if len(refs) < 2 else list(dict.fromkeys(refs))


def sum_rows(refs: list[Ref]) -> int | None:
    """Add up the known rows; None when none are known."""
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


def made_ref(site: Site, call: Call, key: Any, value: Any, declared: Sequence[Ref]) -> Ref:
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
    if len(site.made) < MOST_DEFINITIONS and type(key) in (int, str):
        site.made[call.qualifier, key] = source
    return source


def declared_outputs(site: Site, call: Call, values: tuple[Any, ...]) -> list[Ref]:
    """Refer to what the user declared as written."""
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
