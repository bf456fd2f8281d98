"""Operations as lazy frames: what the analyses ask for, and how they say it.

The expressions are those of narwhals, so that DuckDB answers them on this machine and Spark on a
cluster. In such a frame times are whole microseconds since 1970 in UTC, as in the codec: no
engine's time zone has a say in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lineage.core import FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import narwhals as nw
    import pyarrow as pa

    Frame = nw.LazyFrame[Any]

ALL_LISTS = {"empty_as_null": False, "keep_nulls": False}
"""How lists are unfolded: an empty one gives no row. Without both DuckDB reads everything twice."""


class Read(Protocol):
    """Gives the operations as a frame; each frame is to be used once."""

    def __call__(self, columns: tuple[str, ...], start: datetime | None = None) -> Frame:
        """Read some columns of the operations that began from `start` on.

        Args:
            columns: Their names; `inputs.node_id` asks for lists of structs with at least that
                field.
            start: The earliest time, aware; all operations when None.
        """


def collected(frame: Frame) -> pa.Table:
    """Have a frame computed, and give its rows."""
    table: pa.Table = frame.collect("pyarrow").to_native()
    return table


def has_failed() -> nw.Expr:
    """Say of each operation whether it failed; what has no status did not."""
    import narwhals as nw

    return (nw.col("status") == FAILED).fill_null(False)  # noqa: FBT003 - it is the value


def how_many(condition: nw.Expr) -> nw.Expr:
    """Count the rows for which something is true."""
    import narwhals as nw

    return nw.when(condition).then(1).otherwise(0).sum().cast(nw.Int64)


def unfolded(frame: Frame, side: str, fields: Mapping[str, str]) -> Frame:
    """Give a row per reference of one side, the fields of it as columns of other names.

    Args:
        frame: Rows with the column `side`.
        side: `inputs` or `outputs`.
        fields: The name of each new column, and the field of the reference that it holds.
    """
    import narwhals as nw

    exploded = frame.explode(side, **ALL_LISTS)
    struct = nw.col(side).struct
    return exploded.with_columns(
        **{name: struct.field(field) for name, field in fields.items()}
    ).drop(side)
