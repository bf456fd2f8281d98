"""Which data source a value in memory is: a weak registry of frames, tables and arrays.

A link dies with its object, keeps nothing alive and leaves no mark on it. A value that cannot be
weakly referenced (a list, a dictionary, a number) has no link.
"""

from __future__ import annotations

import os
import sys
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage import codec
from lineage.redact import hide, redact_text
from lineage.stores.records import SCHEMA, SOURCE, Definition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lineage.fingerprint import Schema

_INTERNED = 10_000
_sources: dict[tuple[str, str, str | None], Definition] = {}
_schemas: dict[str, Definition] = {}


class Ref(NamedTuple):
    """A data source as an operation met it: in a version, with a schema and a row count."""

    source: Definition
    version: str | None = None
    schema: Definition | None = None
    rows: int | None = None


Link = tuple["weakref.ref[Any]", Definition, str | None, int]
"""What is known of a living object: a weak reference to it, its source, its version, and the
number of the operation that made it."""

_links: dict[int, Link] = {}


def link(value: object, source: Definition, version: str | None, operation: int) -> None:
    """Say that a living object is a source in a version, if it takes weak references."""
    key = id(value)
    try:  # `suppress` would take longer than the link
        _links[key] = (weakref.ref(value, partial(_forget, key)), source, version, operation)
    except TypeError:
        return


def _forget(key: int, weak: weakref.ref[Any]) -> None:
    found = _links.get(key)
    if found is not None and found[0] is weak:
        del _links[key]


def find(value: object) -> Link | None:
    """Give the link of an object, if it has one."""
    found = _links.get(id(value))
    return found if found is not None and found[0]() is value else None


def source(
    source_type: str, source_id: str, location: str = "", *, metadata: str | None = None
) -> Definition:
    """Give the definition of a data source, redacted; the same one for the same arguments.

    Args:
        source_type: The kind, without a colon.
        source_id: The logical name.
        location: Where it is.
        metadata: JSON text of anything else.
    """
    node_id = f"{source_type}:{source_id}"
    key = (node_id, location, metadata)
    known = _sources.get(key)
    if known is None:
        if len(_sources) >= _INTERNED:
            _sources.clear()
        names = [clean(source_type), clean(source_id), clean(location)]
        fields = [f"{names[0]}:{names[1]}", *names]
        known = _sources[key] = Definition(SOURCE, time.time_ns(), fields, metadata)
    return known


def hidden(ref: Ref, secrets: Sequence[str]) -> Ref:
    """Give a reference whose names hold none of these secrets; the same one if they hold none."""
    _, fields, metadata = ref.source.fields
    names = [hide(name, secrets) for name in fields[1:]]
    kept = metadata and hide(metadata, secrets)
    version = ref.version and hide(ref.version, secrets)
    if names == fields[1:] and kept == metadata and version == ref.version:
        return ref
    return ref._replace(source=source(*names, metadata=kept), version=version)


def schema(found: Schema | None) -> Definition | None:
    """Give the definition of a schema."""
    if found is None:
        return None
    if found.definition is None:
        found.definition = schema_definition(found.schema_id, found.info)
    known: Definition | None = found.definition
    return known


def schema_definition(schema_id: str, info: dict[str, Any]) -> Definition:
    """Give the definition of a schema by its id."""
    known = _schemas.get(schema_id)
    if known is None:
        if len(_schemas) >= _INTERNED:
            _schemas.clear()
        text = codec.to_json(info)
        known = _schemas[schema_id] = Definition(SCHEMA, time.time_ns(), schema_id, text)
    return known


def module_name(module: str) -> str:
    """Give a module's name; that of a script is its file's, the same in whichever process.

    >>> module_name("json")
    'json'
    """
    if module not in ("__main__", "__mp_main__"):  # the second is a script in a spawned process
        return module
    main = sys.modules.get(module)
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    return os.path.splitext(os.path.basename(file))[0] if file else module


def clean(text: str) -> str:
    """Redact a text, and write what is no Unicode in escapes."""
    return redact_text(text).encode("utf-8", "backslashreplace").decode()
