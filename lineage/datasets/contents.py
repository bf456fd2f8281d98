"""The rows of content: which bytes are there, in which generation, and whether they may go.

A row is `putting` while the first version that wants the bytes puts them, `present` once a version
has them, and `deleting` once the garbage collector has said that it will delete them. Whoever wants
bytes locks their row; whoever meets `deleting` puts them again in a new generation, under another
key: so a collector that was held up deletes what is of no use to anyone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import insert, select, update

from lineage.datasets.place import nonce
from lineage.datasets.tables import contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection, Row

    from lineage.datasets.place import Place

State = Literal["putting", "present", "deleting"]


def lock(connection: Connection, place: Place, digests: Iterable[str]) -> dict[str, Row[Any]]:
    """Give the rows of these digests; nobody changes them until the transaction ends."""
    query = select(contents).where(
        contents.c.tenant == place.tenant, contents.c.sha256.in_(sorted(set(digests)))
    )
    rows = connection.execute(query.order_by(contents.c.sha256).with_for_update())
    return {row.sha256: row for row in rows}


def claim(connection: Connection, place: Place, sizes: Mapping[str, int]) -> dict[str, str]:
    """Say in which generation to put bytes, by their digest; an upload holds them from then on."""
    rows, generations = lock(connection, place, sizes), {}
    for sha256, size in sorted(sizes.items()):
        row = rows.get(sha256)
        if row is not None and row.state != "deleting":
            generations[sha256] = row.generation
            continue
        values = {"generation": nonce(), "state": "putting", "size": size}
        generations[sha256] = values["generation"]
        if row is None:
            statement: Any = insert(contents).values(tenant=place.tenant, sha256=sha256, **values)
        else:
            statement = update(contents).where(*_one(place, sha256)).values(values)
        connection.execute(statement)
    return generations


def mark(connection: Connection, place: Place, digests: Iterable[str], state: State) -> None:
    """Change the state of rows that are locked."""
    for sha256 in sorted(digests):
        connection.execute(update(contents).where(*_one(place, sha256)).values(state=state))


def _one(place: Place, sha256: str) -> tuple[Any, Any]:
    return contents.c.tenant == place.tenant, contents.c.sha256 == sha256
