"""Operations made of rows by the thousand are those that `codec` makes one by one."""

import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.codec import REF, TABLES, operation_from_row
from lineage.stores.slots import operations_of_rows
from tests.test_objects import ROWS, SCHEMAS

NAMES = tuple(TABLES["operations"])


def as_tuple(row):
    sides = {
        side: [tuple(map(ref.get, REF)) for ref in row[side]] for side in ("inputs", "outputs")
    }
    return tuple((row | sides)[name] for name in NAMES)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROWS, max_size=6))
def test_any_rows_in_their_order(rows):
    expected = [operation_from_row(row, SCHEMAS) for row in rows]
    assert operations_of_rows(list(map(as_tuple, rows)), SCHEMAS) == expected


def test_references_that_are_not_there_are_no_references():
    row = dict.fromkeys(NAMES) | {"operation_type": "read", "timestamp": 0}
    (found,) = operations_of_rows([tuple(row.values())], {})
    assert (found.inputs, found.outputs) == ([], [])
    assert (found.parameters, found.status) == ({}, "success")


def test_rows_need_no_arrow():
    code = "import sys, lineage.stores.slots; print({'pyarrow', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
