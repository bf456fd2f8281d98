"""Tables and queries that pandas reads from and writes to a database.

A connection is only asked for what it holds: no statement of ours ever runs on it. Its address is
kept without user, password and options, and a query without what looks like a secret.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import xxhash

from lineage.capture import touched
from lineage.capture.noting import note
from lineage.capture.patches import disguised
from lineage.capture.tape import FILES, Location, Tape, Unknown, inside
from lineage.capture.transfers import WRITTEN, Call, names_of, noting, parts_of
from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_READERS = {"read_sql": "sql", "read_sql_query": "sql", "read_sql_table": "table_name"}
_KEPT = frozenset({"index_col", "columns", "parse_dates", "schema", "if_exists", "index"})
_MOST_TEXT = 4000
_UNKNOWN = "unknown"


def wrappers() -> Iterator[tuple[Any, str, Any]]:
    """Give what is replaced, as (class or module, name, wrapper)."""
    import pandas as pd
    from pandas.core.generic import NDFrame

    for name, text in _READERS.items():
        yield pd, name, _reader(getattr(pd, name), name, text)
    yield NDFrame, "to_sql", _writer(NDFrame.to_sql, "to_sql")


def table_at(connection: Any, table: str, schema: str | None = None) -> Location:
    """Give the location of a table of a database."""
    address = address_of(connection)
    name = f"{schema}.{table}" if schema else table
    return Location(redact_text(f"table:{address}#{name}"), address, _file_of(address))


def query_at(connection: Any, text: str) -> Location:
    """Give the location of what a query gives; equal texts on one database are one source."""
    address = address_of(connection)
    digest = xxhash.xxh3_64_hexdigest(" ".join(text.split()).encode("utf-8", "backslashreplace"))
    return Location(f"sql:{address}#{digest}", address, _file_of(address))


def address_of(connection: Any) -> str:
    """Give the address of the database of a connection, an engine or a URL, without who logs in.

    >>> address_of("postgresql+psycopg://me:hunter2@db:5432/prices?sslmode=require")
    'postgresql://db:5432/prices'
    """
    file = touched.database_of(connection)
    if file is not None:
        return f"sqlite:///{file}" if file else "sqlite://"
    if isinstance(connection, str):
        return _without_user(connection)
    bind = getattr(connection, "bind", None)  # a session
    engine = getattr(bind if bind is not None else connection, "engine", None)
    url = getattr(engine, "url", None)
    if url is not None:
        host = "" if url.host is None else url.host
        port = "" if url.port is None else f":{url.port}"
        return _absolute(f"{url.get_backend_name()}://{host}{port}/{url.database or ''}")
    info: Any = getattr(connection, "info", None)  # of psycopg, in either version
    host = getattr(info, "host", None)
    if isinstance(host, str):
        return redact_text(f"postgresql://{host}:{info.port}/{info.dbname}")
    return f"{type(connection).__module__.partition('.')[0]}://{_UNKNOWN}"


def _without_user(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    if not mark:
        return _UNKNOWN
    parts = urlsplit(f"//{rest}")
    place = parts.netloc.rpartition("@")[2]
    return _absolute(f"{scheme.partition('+')[0]}://{place}{parts.path}")


def _absolute(address: str) -> str:
    """Give the address with the whole path of a database that is a file."""
    scheme, _, path = address.partition(":///")
    if scheme in ("sqlite", "duckdb") and path and path != ":memory:":
        address = f"{scheme}:///{os.path.abspath(path)}"
    return redact_text(address)


def _file_of(address: str) -> tuple[str, ...]:
    scheme, _, path = address.partition(":///")
    return (path,) if scheme in ("sqlite", "duckdb") and path[:1] == os.sep else ()


def _reader(original: Any, name: str, text: str) -> Callable[..., Any]:
    names = names_of(original)
    parts = disguised(parts_of, original)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if (tape := noting(sys._getframe(1))) is None:
            return original(*args, **kwargs)
        busy, inside.busy = inside.busy, FILES
        try:
            result = original(*args, **kwargs)
        finally:
            inside.busy = busy
        given = _given(tape, Call(names, args, kwargs), text)
        if type(result).__name__ == "generator":
            return parts(result, name, given)
        note(tape, name, None, given, result)
        return result

    return disguised(wrapper, original)


def _writer(original: Any, name: str) -> Callable[..., Any]:
    names = names_of(original)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if (tape := noting(sys._getframe(1))) is None:
            return original(*args, **kwargs)
        busy, inside.busy = inside.busy, FILES
        try:
            result = original(*args, **kwargs)
        finally:
            inside.busy = busy
        call = Call(names, args, kwargs)
        given = _given(tape, call, "name")
        note(tape, name, call["self"], given, WRITTEN)
        return result

    return disguised(wrapper, original)


def _given(tape: Tape, call: Call, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give what is kept of a call: where the data are, the text of the query, some options."""
    busy, inside.busy = inside.busy, FILES
    try:
        asked, connection = call[text], call["con"]
        kept = {name: value for name in _KEPT if (value := call[name]) is not None}
        asked = asked if isinstance(asked, str) else str(asked)
        if text == "sql" and any(map(str.isspace, asked.strip())):
            query = redact_text(asked)[:_MOST_TEXT]
            return (query_at(connection, query), query), kept
        return (table_at(connection, asked, call["schema"]),), kept
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)
        return (Unknown(_UNKNOWN),), {}
    finally:
        inside.busy = busy
