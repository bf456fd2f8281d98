"""Free questions in SQL, answered by DuckDB over the files of a store and what is in no file yet.

See `lineage.relations` for what the connection that answers can read; it runs nothing but queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from lineage.codec import KEYS, TABLES
from lineage.errors import ConfigError, StoreError
from lineage.stores.base import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import pyarrow as pa

    from lineage.relations import Relations
    from lineage.view import View

_NEWEST = {
    "runs": "QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY ended_at NULLS LAST) = 1",
    "processes": "QUALIFY row_number() OVER (PARTITION BY process_key ORDER BY timestamp DESC) = 1",
    **{
        kind: "QUALIFY row_number() OVER "
        f"(PARTITION BY {', '.join(key)} ORDER BY timestamp DESC) = 1"
        for kind, key in KEYS.items()
    },
}
"""What leaves the newest of the rows about one thing."""


class Rows(Sequence[dict[str, Any]]):
    """The rows of an answer, each a dictionary that is made when it is looked at.

    Args:
        table: The rows.
        problems: What of the store could not be read: without any, the answer is whole.

    Attributes:
        problems: The same, as a list; it is shown with the answer.

    Examples:
        >>> import pyarrow as pa
        >>> rows = Rows(pa.table({"day": [1, 2]}))
        >>> len(rows), rows[1], list(rows[:1])
        (2, {'day': 2}, [{'day': 1}])
    """

    def __init__(self, table: pa.Table, problems: Sequence[str] = ()) -> None:
        self._table = table
        self.problems = list(problems)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self._table.column_names)

    def to_arrow(self) -> pa.Table:
        """Give the rows as an Arrow table."""
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """Give the rows as a pandas frame."""
        frame: pd.DataFrame = self._table.to_pandas()
        return frame

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Rows:
        if isinstance(index, slice):
            places = range(len(self))[index]
            if places.step == 1:
                return Rows(self._table.slice(places.start, len(places)), self.problems)
            return Rows(self._table.take(list(places)), self.problems)
        row: dict[str, Any] = self._table.slice(range(len(self))[index], 1).to_pylist()[0]
        return row

    def __repr__(self) -> str:
        names = ", ".join(self.columns)
        return f"<{len(self)} rows of {names}>{''.join(map(_not_whole, self.problems))}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the first rows as a table in a notebook."""
        from lineage.render.notebook import mimebundle
        from lineage.render.report import section_to_html, section_to_text

        content: dict[str, Any] = {"problems": self.problems} if self.problems else {}
        content["rows"] = self
        title = f"{len(self):,} rows"
        text, above = section_to_text(title, content), section_to_html(title, content)
        return mimebundle(text, None, above=above)


class Questions:
    """Answer queries over one view of a store.

    Args:
        view: What is read; files that are compacted away meanwhile make a query fail.
        relations: The same as relations of a connection.
    """

    def __init__(self, view: View, relations: Relations) -> None:
        self._view = view
        self._relations = relations
        self._known: set[str] = set()

    def ask(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Rows:
        """Answer one query; see `LineageQueryEngine.sql`."""
        import duckdb

        relations = self._relations
        with relations.lock:
            try:
                self._check(query)
                for kind in TABLES:
                    if kind in query.lower() and kind not in self._known:
                        self._define(kind)
                        self._known.add(kind)
                answer = relations.connection.sql(query, params=parameters or None)
                table = answer.to_arrow_table()
            except duckdb.Error as error:
                gone = relations.gone()
                if gone is not None:
                    raise StoreError(
                        f"{gone} is gone, compacted or cleaned up meanwhile; refresh the engine "
                        "and ask again"
                    ) from error
                raise ConfigError(
                    f"the query cannot be answered: {str(error).splitlines()[0]}; "
                    f"the tables are {', '.join(TABLES)}"
                ) from error
        return Rows(table, self._view.problems())

    def _check(self, query: str) -> None:
        statements = self._relations.connection.extract_statements(query)
        kinds = [statement.type.name for statement in statements]
        if kinds != ["SELECT"]:
            found = " and ".join(kinds) or "nothing"
            raise ConfigError(f"the query is {found}; it must be one SELECT")

    def _define(self, kind: str) -> None:
        """Make a kind a table of the connection: its files, and what is in none of them."""
        connection = self._relations.connection
        if kind == "nodes":
            connection.register(kind, self._view.merged.nodes.to_arrow())
            return
        if kind == "relationships":
            connection.register(kind, self._view.merged.edges)
            return
        query = self._relations.query(kind, EVERYTHING)
        if kind in _NEWEST:
            query = f"SELECT * FROM ({query}) {_NEWEST[kind]}"  # noqa: S608 - names of ours only
        connection.execute(f"CREATE TEMP VIEW {kind} AS {query}")


def _not_whole(problem: str) -> str:
    return f"\nnot whole: {problem}"
