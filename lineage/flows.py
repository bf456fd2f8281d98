"""What a call reads and writes, as references to data sources.

Frames, tables and arrays are known by their links; one that nothing tracked has made is named by
where it came in, one that a call returns by the function. Nothing of the user's is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineage import files, fingerprint, links
from lineage.core import DataSource, OperationType
from lineage.parameters import MOST_ITEMS, TEXT_CACHED, Captor, encoded_form, secret_texts
from lineage.redact import REDACTED, hide
from lineage.sites import MOST_DEFINITIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lineage.links import Made, Ref
    from lineage.sites import Call, Declared, Site
    from lineage.stores.records import Definition, Origin
    from lineage.tracker import LineageTracker

_MEMORY = "memory"
_CONTEXT = 6  # its place in the definition of a site
_ALONE = ("", 0)  # a frame that is the whole result

_Frame = tuple[str, Any, fingerprint.Description]
"""The name, the value and the description of a frame among the arguments; short-lived."""

Where = tuple["Site", "LineageTracker", "Origin", int, "list[Ref]"]
"""A call that its wrapper began by itself: the function, the tracker, the origin and the number of
the operation, and the frames that came in."""


def take(value: Any, place: int, where: Where) -> Any:
    """Give the plain form of an argument; the frames in it join the inputs of the call.

    Args:
        value: The argument; it is not kept.
        place: Which one it is.
        where: The call.

    Raises:
        HoldsSecretError: There is a secret in it.
    """
    kind = type(value)
    site, tracker, origin, number, inputs = where
    if kind is str:
        captor = tracker.captor
        known = captor.texts.get(value) if len(value) <= TEXT_CACHED else None
        return captor.innocent(value) if known is None else known
    describe = fingerprint.describer(kind)
    if describe is None:
        flat = tracker.captor.flat(value) if kind is dict else None
        return _take_all(value, place, where) if flat is None else flat
    try:
        found = describe(value)
    except Exception:  # noqa: BLE001 - subclasses of frames may raise anything
        found = fingerprint.UNKNOWN
    if tracker.settings.track_dataframes:
        made = links.find(value)
        if made is None:
            came = f"{origin.prefix}{number}", number
            made = _enter(site, site.names[place], value, came)
        inputs.append((made[0], made[1], links.schema(found[2]), found[0]))
    return encoded_form(kind, found)


def _take_all(value: Any, place: int, where: Where) -> Any:
    site, tracker, origin, number, inputs = where
    plain = tracker.captor.innocent(value)
    kind = type(value)
    is_collection = kind is list or kind is tuple or kind is dict
    if is_collection and tracker.settings.track_dataframes:
        for frame in _inner_frames(tracker.captor, site.names[place], value):
            inputs.append(_came(site, frame, (f"{origin.prefix}{number}", number)))
    return plain


def leave(where: Where) -> None:
    """Undo what `take` did, for a call that is begun anew under another id."""
    _, _, origin, number, inputs = where
    operation_id = f"{origin.prefix}{number}"
    if any(version == operation_id for _, version, _, _ in inputs):
        links.unlink(operation_id)


def _enter(site: Site, name: str, value: Any, origin: tuple[str | None, int]) -> Made:
    """Name a frame that nothing tracked has made by where it came in."""
    source = site.taken.get(name)
    if source is None:
        source = links.source("dataframe", f"{site.name}({name})", _MEMORY)
        if len(site.taken) < MOST_DEFINITIONS:
            site.taken[name] = source
    made = (source, *origin)
    links.link(value, made)
    return made


def give(result: Any, where: Where, operation_id: str) -> Ref | None:
    """Refer to a frame that a call returned, and link it; None if it is none, or not to be."""
    site, tracker, _, number, _ = where
    describe = fingerprint.describer(type(result))
    if describe is None or not tracker.settings.track_dataframes:
        return None
    try:
        found = describe(result)
    except Exception:  # noqa: BLE001 - subclasses of frames may raise anything
        found = fingerprint.UNKNOWN
    made = links.find(result)
    if made is None or made[2] <= number:  # or else an inner call has made it
        source = site.made.get(_ALONE) or _name_made(site, tracker.captor, _ALONE)
        links.link(result, made := (source, operation_id, number))
    return made[0], made[1], links.schema(found[2]), found[0]


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
            parameters.append(encoded_form(kind, found))
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
    call.definition = site.definition_of(hide(call.definition.fields[0][_CONTEXT], call.secrets))


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
    keeper = call.tracker.keeper
    context = keeper.bounded(keeper.wide_captor, place.context)
    call.definition = site.definition({"repository": context})
    if site.operation_type is OperationType.WRITE:
        call.outputs = [keeper.ref(place.source, version=call.inside[0])]
    else:
        call.inputs = [keeper.ref(place.source)]
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
        call.outputs = [(*call.outputs[0][:2], *counted[0][2:])]
    if not call.qualifier and site.operation_type is OperationType.READ and inputs:
        call.qualifier = f"[{inputs[0][0].fields[1][2]}]"


def frame_ref(site: Site, call: Call, frame: _Frame) -> Ref:
    """Refer to a frame; one that nothing tracked has made is named by where it came in."""
    return _came(site, frame, (call.inside[0], call.number))


def _came(site: Site, frame: _Frame, origin: tuple[str | None, int]) -> Ref:
    name, value, (rows, _, schema) = frame
    made = links.find(value) or _enter(site, name, value, origin)
    return made[0], made[1], links.schema(schema), rows


def _declared_input(
    site: Site,
    call: Call,
    declared: Declared,
    values: tuple[Any, ...],
    known: Mapping[int, Ref],
) -> Iterator[Ref]:
    if declared.source is not None:
        yield call.tracker.keeper.ref(declared.source)
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
        yield source, call.inside[0], None, count


def name_outputs(site: Site, call: Call, result: Any, values: tuple[Any, ...]) -> int | None:
    """Name what a call wrote, and link the frames that it returned; gives the records out."""
    declared = declared_outputs(site, call, values)
    if site.extract_outputs is not None:
        extracted = site.extract_outputs(site.function, *_arguments(site, values), result)
        declared += [_extracted(call, item, call.inside[0]) for item in extracted]
    is_write = site.operation_type is OperationType.WRITE
    if is_write and site.output_sources is None and site.repository is None:
        declared += _files(call, values)
    declared = written(call, declared)
    if call.secrets:
        declared = [links.hidden(ref, call.secrets) for ref in declared]
    if is_write:
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
    known = [rows for _, _, _, rows in refs if rows is not None]
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
    rows, _, schema = fingerprint.describe(value)
    version, place = call.inside[0], (call.qualifier, key)
    made = None if declared else links.find(value)
    if made is None or made[2] <= call.number:  # or else an inner call has made it
        if declared:
            made = (declared[0][0], declared[0][1] or version, call.number)
        else:
            source = site.made.get(place) or _name_made(site, call.tracker.captor, place)
            made = (source, version, call.number)
        links.link(value, made)
    return made[0], made[1], links.schema(schema), rows


def _name_made(site: Site, captor: Captor, place: tuple[str, Any]) -> Definition:
    qualifier, key = place
    name = f"{site.name}{qualifier}#{_label(captor, key)}"
    source = links.source("dataframe", name, _MEMORY)
    if len(site.made) < MOST_DEFINITIONS and type(key) in (int, str):
        site.made[place] = source
    return source


def declared_outputs(site: Site, call: Call, values: tuple[Any, ...]) -> list[Ref]:
    """Refer to what the user declared as written."""
    refs: list[Ref] = []
    for declared in site.output_sources or ():
        if declared.source is not None:
            refs.append(call.tracker.keeper.ref(declared.source, version=call.inside[0]))
        elif declared.parameter is not None and declared.parameter < len(values):
            value = values[declared.parameter]
            path = value if type(value) is str else files.path_of(value)
            if path is not None:
                refs.append(files.ref(path))
            else:
                name = f"{site.name}({site.names[declared.parameter]})"
                source = links.source("parameter", name, _MEMORY)
                refs.append((source, call.inside[0], None, None))
    return refs


def written(call: Call, refs: list[Ref]) -> list[Ref]:
    """Give what a call wrote with the content of the files among it."""
    most_bytes = call.tracker.settings.fingerprint_max_bytes
    return files.written(refs, most_bytes, call.inside[0]) if refs else refs


def _files(call: Call, values: Iterable[Any]) -> list[Ref]:
    return files.refs(values) if call.tracker.settings.track_files else []


def _extracted(call: Call, item: DataSource | str, version: str | None = None) -> Ref:
    return call.tracker.keeper.ref(DataSource.parse(item), version)


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
