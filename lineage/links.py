"""Which data source a value in memory is: a weak registry of frames, tables and arrays.

A link dies with its object, keeps nothing alive and leaves no mark on it. A value that cannot be
weakly referenced (a list, a dictionary, a number) has no link.
"""

from __future__ import annotations

import os
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any

from lineage import codec
from lineage.redact import hide, redact_text
from lineage.stores.records import SCHEMA, SOURCE, Definition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lineage.fingerprint import Schema

_INTERNED = 10_000
_sources: dict[tuple[str, str, str | None], Definition] = {}
_schemas: dict[str, Definition] = {}


# A plain tuple: one with names takes 8 times as long to make, and 4 times to take apart.
Ref = tuple[Definition, str | None, Definition | None, int | None]
"""A data source as an operation met it: the source, its version, its schema, its row count."""

Made = tuple[Definition, str | None, int]
"""What a living object is: a source, in a version, and the number of the operation that made it
so."""


class Link(weakref.ref[Any]):
    """A weak reference that carries what is known of its object: one thing to make, not three."""

    __slots__ = ("key", "made")

    key: int
    made: Made


_links: dict[int, Link] = {}


def link(value: object, made: Made) -> None:
    """Say what a living object is, if it takes weak references."""
    key = id(value)
    known = _links.get(key)
    if known is None or known() is not value:
        try:  # `suppress` would take longer than the link
            known = Link(value, _forget)
        except TypeError:
            return
        known.key = key
    known.made = made
    _links[key] = known


def unlink(version: str) -> None:
    """Forget the links that were made in an operation."""
    for key, known in list(_links.items()):
        if known.made[1] == version:
            _links.pop(key, None)


def _forget(link: Link) -> None:
    if _links.get(link.key) is link:
        del _links[link.key]


def find(value: object) -> Made | None:
    """Give what an object is, if it is linked."""
    found = _links.get(id(value))
    return found.made if found is not None and found() is value else None


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
    _, fields, metadata = ref[0].fields
    names = [hide(name, secrets) for name in fields[1:]]
    kept = metadata and hide(metadata, secrets)
    version = ref[1] and hide(ref[1], secrets)
    if names == fields[1:] and kept == metadata and version == ref[1]:
        return ref
    return source(*names, metadata=kept), version, *ref[2:]


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
