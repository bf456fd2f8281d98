"""Write a sample of the store's present formats: sealed parts, a manifest, and an open journal.

    python -m tests.samples.make NAME

makes `tests/samples/NAME` with a store in which all kinds have rows, and `expected.json`, what its
readers gave when it was written. A sample is made before a format changes, and kept as it is:
`tests/test_samples.py` reads every one of them.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lineage
from lineage import codec
from lineage.core import ColumnEdge, DataOperation, DataSource
from lineage.stores.base import KINDS
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker

HERE = Path(__file__).parent


def use(tracker: LineageTracker, base: int) -> None:
    """Track calls and operations of every sort."""

    @lineage.track_lineage(tracker=tracker)
    def scaled(value: Any, factor: float = 2.5, label: str = "plain") -> Any:
        return value

    @lineage.track_lineage("write", input_sources=["file:in.csv"], tracker=tracker)
    def written(count: int) -> None:
        if count < 0:
            raise ValueError("no negative counts")

    scaled(base)
    scaled(float("nan"), label="Größe\n")
    scaled([1, {"deep": None}], factor=float("-inf"))
    written(base)
    with suppress(ValueError):
        written(-1)
    operation = tracker.start_operation("publish", {"number": base}, {"team": "a"})
    columns = {"columns": {"day": "date", "net": "double"}}
    orders = DataSource("file", "orders", "/data/orders.csv", columns, {"owner": "sales"}, "v1")
    tracker.add_input(operation, orders)
    tracker.add_input(operation, DataSource("api", "rates"))
    tracker.add_output(operation, DataSource("file", "net", "/data/net.csv", version=f"v{base}"))
    tracker.complete_operation(operation, 10, 7)


def column_edge(source_column: str) -> dict[str, Any]:
    """Give an edge from a column of a file."""
    edge = ColumnEdge("total", "orders", source_column, "direct", "AGGREGATION", operation="sum")
    return codec.column_edge_row(
        edge,
        output="file:net",
        source="file:orders",
        operation_id="by-hand",
        run_id="r1",
        at=datetime(2026, 11, 29, tzinfo=UTC),
    )


def read(repository: LineageMetadataRepository) -> dict[str, Any]:
    """Give the rows of all kinds, each in an order of its own, as JSON values."""
    rows = {}
    for kind in KINDS:
        found = [row for table in repository.scan(kind) for row in table.to_pylist()]
        plain = json.loads(json.dumps(found, default=codec.json_default))
        rows[kind] = sorted(plain, key=lambda row: json.dumps(row, sort_keys=True))
    return rows


def main(name: str) -> None:
    """Fill a store in two halves, one that is sealed and one that is not."""
    os.environ["LOGNAME"] = "user"
    socket.gethostname = lambda: "host"
    folder = HERE / name
    repository = LineageMetadataRepository(folder / "store", segment_bytes=8192)
    tracker = LineageTracker(repository)
    use(tracker, 1)
    repository.append(
        "runs", [{"run_id": "r1", "name": "nightly", "parameters": "{}", "timestamp": 0}]
    )
    process = {"process_key": "p1", "entry_point": "make.py", "commit_id": "0" * 40}
    process |= {"environment_id": "e1", "command": '{"argv":["make.py"]}'}
    repository.append("processes", [process | {"packages": '{"numpy":"2.3.4"}', "timestamp": 0}])
    repository.append("column_edges", [column_edge("price"), column_edge("amount")])
    told = {"environment_id": "e1", "interpreter": "CPython 3.12.4", "content": "{}"}
    repository.append("environments", [told | {"timestamp": 0}])
    made = {"product_id": "d1", "name": "net", "version": "1", "parents": '["product:orders"]'}
    repository.append("products", [made | {"size_bytes": 10, "timestamp": 0}])
    repository.append("contents", [{"content_id": "c1", "text": "--- a\n", "timestamp": 0}])
    repository.seal()
    use(tracker, 2)
    repository.append("column_edges", [column_edge(f"c{number}") for number in range(20)])
    repository.save_operation(
        DataOperation.create("read", operation_id="by-hand", inputs=[DataSource("file", "orders")])
    )
    text = json.dumps(read(LineageMetadataRepository(folder / "store")), indent=1, sort_keys=True)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")
    os._exit(0)  # its journal stays open, as that of a program that was killed


if __name__ == "__main__":
    # Under a name of its own, so that the sample says nothing of where it was made.
    module = {"__name__": "make", "__file__": __file__}
    exec(compile(Path(__file__).read_text(encoding="utf-8"), "make.py", "exec"), module)
    module["main"](sys.argv[1])
