"""Rows as a database takes them, by the column: the same as one by one."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.codec import REF, TABLES
from lineage.stores import bulk
from lineage.stores.bulk import cells_of, copied, listed, values_of
from lineage.stores.cells import to_cells
from lineage.stores.loading import _statements
from lineage.stores.tables import empty_table, table_from_tuples

texts = st.none() | st.text(
    st.sampled_from("ab'\"\\\t\n\r\0\x1f,é🙂N(") | st.characters(codec="utf-8")
)
longs = st.none() | st.integers(-(1 << 63), (1 << 63) - 1)
WORDS = {
    "string": texts,
    "json": texts,
    "int32": st.none() | st.integers(-(1 << 31), (1 << 31) - 1),
    "int64": longs,
    "time": longs,
    "double": st.none() | st.floats(),
}
refs = st.tuples(*(WORDS[word] for word in REF.values()))
WORDS["refs"] = st.lists(refs, max_size=3)
kinds = st.sampled_from(sorted(TABLES))


def rows_of_kind(kind):
    return st.lists(st.tuples(*(WORDS[word] for word in TABLES[kind].values())), max_size=4)


def shown(cells):
    """Give columns as comparable lists."""
    columns = {
        name: column if isinstance(column, list) else values_of(column)
        for name, column in cells.items()
    }
    return {name: list(map(repr, column)) for name, column in columns.items()}


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_cells_by_the_column_are_those_one_by_one(data):
    kind = data.draw(kinds)
    rows = data.draw(rows_of_kind(kind))
    table = table_from_tuples(kind, rows)
    assert shown(cells_of(kind, table)) == shown(to_cells(kind, rows))
    cut = len(rows) // 2
    assert shown(cells_of(kind, table.slice(cut))) == shown(to_cells(kind, rows[cut:]))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_rows_for_mysql_by_the_column_are_those_one_by_one(data):
    kind = data.draw(kinds)
    rows = data.draw(rows_of_kind(kind))
    arrays = list(cells_of(kind, table_from_tuples(kind, rows)).values())
    if rows and not isinstance(arrays[0], list):
        (expected,) = _statements(list(to_cells(kind, rows).values()))
        assert floats_as_python_does(b",".join(listed(arrays, 2, 1 << 20)), rows) == expected
        assert len(list(listed(arrays, 2, 1 << 20))) == math.ceil(len(rows) / 2)
        assert len(list(listed(arrays, 99, 1))) == len(rows)


def floats_as_python_does(statement, rows):
    """Write the floats of rows as `repr` does; Arrow writes the same numbers in another way."""
    for value in {value for row in rows for value in row if isinstance(value, float)}:
        statement = statement.replace(f",{_arrow(value)},".encode(), f",{value!r},".encode())
    return statement


def _arrow(value):
    import pyarrow as pa

    return pa.array([value]).cast(pa.string())[0].as_py()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_rows_for_copy_are_read_back_as_they_were(data):
    kind = data.draw(kinds)
    rows = data.draw(rows_of_kind(kind))
    cells = cells_of(kind, table_from_tuples(kind, rows))
    if rows and not isinstance(next(iter(cells.values())), list):
        lines = copied(list(cells.values())).decode().split("\n")
        assert lines.pop() == ""
        found = [[_read(cell) for cell in line.split("\t")] for line in lines]
        columns = [[_said(value) for value in values_of(column)] for column in cells.values()]
        assert [[_said(cell) for cell in row] for row in found] == [
            list(row) for row in zip(*columns, strict=True)
        ]


def _read(cell):
    """Read a cell by the rules of PostgreSQL's manual, "COPY", "Text Format"."""
    if cell == "\\N":
        return None
    found, rest = "", iter(cell)
    for each in rest:
        found += {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}[next(rest)] if each == "\\" else each
    return found


def _said(value):
    if isinstance(value, str):
        try:
            return str(float(value))
        except ValueError:
            return value
    return value if value is None else str(float(value))


def test_a_table_of_no_rows_has_all_columns():
    cells = cells_of("operations", empty_table("operations"))
    assert list(cells) == [*TABLES["operations"], "exact"]
    assert copied(list(cells.values())) == b""
    assert list(listed(list(cells.values()), 10, 10)) == []


def test_without_its_escapes_a_text_ends_its_row(monkeypatch):
    """The negative control: what the texts above are there for."""
    rows = [tuple("a\tb\nc" if word == "string" else None for word in TABLES["runs"].values())]
    cells = cells_of("runs", table_from_tuples("runs", rows))
    assert copied(list(cells.values())).count(b"\n") == 1
    monkeypatch.setattr(bulk, "_COPIED", ())
    assert copied(list(cells.values())).count(b"\n") > 1
