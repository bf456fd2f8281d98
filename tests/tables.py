"""Tables of operations as the analyses read them."""

import duckdb
import narwhals as nw
import pyarrow as pa

from lineage.codec import TABLES, to_micros


def reading(table):
    """Give the function by which analyses read a table; see `analysis.frames.Read`."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")

    def read(columns, start=None):
        names = dict.fromkeys(name.partition(".")[0] for name in columns)
        rows = table
        if start is not None:
            micros = table["timestamp"].cast(pa.int64()).to_pylist()
            rows = table.filter(pa.array([at >= to_micros(start) for at in micros], pa.bool_()))
        for at, field in enumerate(rows.schema):
            if TABLES["operations"][field.name] == "time":
                rows = rows.set_column(at, field.name, rows.column(at).cast(pa.int64()))
        return nw.from_native(connection.from_arrow(rows.select(list(names))))

    return read


def asking(table):
    """Give the function that has an analysis answer over a table."""
    return lambda analyse: analyse(reading(table))
