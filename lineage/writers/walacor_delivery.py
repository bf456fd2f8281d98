"""Carry what waits in an outbox to a Walacor backend, each row once.

The backend gives a row its UID when it is stored, and there is no transaction. So before anything
is sent it is looked up: nodes by the id of their operation (`artifact_uid`), edges by their ends
and their number, and a run, which has no column for an id, by a status that only it has until its
UID is kept here. How far each segment has come is kept in the folder of the outbox.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lineage.codec import TABLES
from lineage.stores.durable import make_folder, write_durably
from lineage.stores.outbox import Mark
from lineage.writers.walacor_answers import BEGUN
from lineage.writers.walacor_client import RefusedError
from lineage.writers.walacor_schemas import EDGE, MOST_STATUS, NODE, PROJECT, RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from lineage.stores.outbox import Carried
    from lineage.writers.walacor_client import Row, WalacorClient

_TEXT = list(TABLES["contents"]).index("text")
_MOST_TOGETHER = 200
_MOST_KNOWN = 100_000


class WalacorSink:
    """The backend, as the outbox sees it.

    Args:
        folder: The folder of the outbox.
        client: The backend.
    """

    def __init__(self, folder: Path, client: WalacorClient) -> None:
        self._folder = folder
        self._state_path = folder / "walacor.json"
        self._refused_path = folder / "refused.jsonl"
        self._client = client
        self._uids: dict[str, str] = {}

    def marks(self, segments: Iterable[str]) -> Mapping[str, Mark]:
        """Say how far the backend has each of these segments."""
        known = self._state()["marks"]
        return {name: Mark(*known[name]) for name in segments if name in known}

    def accept(self, carried: Carried) -> bool:
        """Send what is not there yet, then keep the new mark."""
        with self._alone():
            state = self._state()
            if Mark(*state["marks"].get(carried.segment, (0, 0))) != carried.before:
                return False
            rows = carried.tables.get("contents", ())
            with self._client.session():
                self._send([json.loads(row[_TEXT]) for row in rows], state)
            state["marks"][carried.segment] = list(carried.after)
            self._keep(state)
            return True

    def finish(self, segments: Iterable[str]) -> None:
        """Forget the marks of segments that are gone."""
        with self._alone():
            state = self._state()
            for name in segments:
                state["marks"].pop(name, None)
            self._keep(state)

    def run_uid(self, run: str) -> str | None:
        """Give the UID of a run at the backend, once it is there."""
        known = self._state()["runs"].get(run)
        return None if known is None else str(known["uid"])

    def refused(self) -> list[Row]:
        """List what the backend would not take."""
        try:
            text = self._refused_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines()]

    def _send(self, records: list[Row], state: Row) -> None:
        if records:
            self._client.ensure_schemas()
        waiting: list[Row] = []
        for record in records:
            if record["what"] == "node":
                waiting.append(record)
                if len(waiting) >= _MOST_TOGETHER:
                    self._send_nodes(waiting, state)
                    waiting = []
                continue
            self._send_nodes(waiting, state)
            waiting = []
            if record["what"] == "run":
                self._begin(record, state)
            elif record["what"] == "end":
                self._set_status(record["run"], record["status"], state)
        self._send_nodes(waiting, state)

    # Runs

    def _begin(self, record: Row, state: Row) -> None:
        run = record["run"]
        token = (BEGUN + hashlib.sha256(run.encode()).hexdigest())[:MOST_STATUS]
        if run not in state["runs"]:
            project_uid = self._project(record)
            row = {"project_uid": project_uid, "pipeline_name": record["pipeline"]}
            uid = record["uid"] or self._once(RUN, row | {"status": token})
            if uid is None:
                return
            state["runs"][run] = {"uid": uid, "project_uid": project_uid}
            self._keep(state)  # from now on the row is found without its token
        self._set_status(run, "running", state, only_from=token)

    def _project(self, record: Row) -> str:
        about = record["project"]
        name = {"project_name": about["project_name"]}
        return self._oldest(PROJECT, name) or self._once(PROJECT, about, name) or ""

    def _once(self, etid: int, row: Row, identity: Row | None = None) -> str | None:
        """Store a row if none has its identity; gives its UID, None if it is refused."""
        found = self._oldest(etid, identity or row)
        if found is not None:
            return found
        try:
            return self._client.submit(etid, [row])[0]
        except RefusedError as error:
            self._put_aside(etid, row, error)
            return None

    def _oldest(self, etid: int, where: Row) -> str | None:
        rows = sorted(
            self._client.rows(etid, where), key=lambda row: (row["CreatedAt"], row["UID"])
        )
        return rows[0]["UID"] if rows else None

    def _set_status(
        self, run: str, status: str, state: Row, *, only_from: str | None = None
    ) -> None:
        known = state["runs"].get(run)
        if known is None:  # it was refused
            return
        for row in self._client.rows(RUN, {"UID": known["uid"]}):
            if row["status"] != status and only_from in (None, row["status"]):
                kept = {name: row[name] for name in ("UID", "project_uid", "pipeline_name")}
                self._client.submit(RUN, [kept | {"status": status}])

    # Nodes and edges

    def _send_nodes(self, records: list[Row], state: Row) -> None:
        known = [each for each in records if each["run"] in state["runs"]]
        for each in records:
            if each["run"] not in state["runs"]:
                self._put_aside(NODE, each, RefusedError("its run was refused"))
        if not known:
            return
        own = [each["node"] for each in known]
        self._look_up(own, again=True)
        before = {node for node in own if node in self._uids}
        fresh = [each for each in known if each["node"] not in before and "operation" in each]
        rows = [self._node(each, state["runs"][each["run"]]) for each in fresh]
        for row, uid in zip(rows, self._store(NODE, rows), strict=True):
            if uid is not None:
                self._uids[row["artifact_uid"]] = uid
        self._look_up({parent for each in known for parent in each["parents"]})
        self._send_edges(known, before)

    def _send_edges(self, records: list[Row], before: set[str]) -> None:
        wanted = Counter(
            (self._uids[parent], self._uids[each["node"]])
            for each in records
            for parent in each["parents"]
            if parent in self._uids and each["node"] in self._uids
        )
        children = [self._uids[node] for node in before]
        there = Counter(
            (row["parent_node_uid"], row["child_node_uid"])
            for row in self._client.rows_in(EDGE, "child_node_uid", children)
        )
        missing = (wanted - there).elements()
        edges = [{"parent_node_uid": one, "child_node_uid": other} for one, other in missing]
        self._store(EDGE, edges)

    def _look_up(self, ids: Iterable[str], *, again: bool = False) -> None:
        """Ask for the UIDs of nodes that are not known here, or of all."""
        if len(self._uids) > _MOST_KNOWN:
            self._uids.clear()
        asked = [each for each in ids if again or each not in self._uids]
        for row in sorted(
            self._client.rows_in(NODE, "artifact_uid", asked), key=lambda row: -row["CreatedAt"]
        ):
            self._uids[row["artifact_uid"]] = row["UID"]

    def _node(self, record: Row, run: Row) -> Row:
        return {
            "run_uid": run["uid"],
            "project_uid": run["project_uid"],
            "artifact_uid": record["node"],
            "operation": record["operation"],
            "shape": record["shape"],
            "params_json": record["params"],
        }

    def _store(self, etid: int, rows: list[Row]) -> list[str | None]:
        """Store rows together, or one by one if one of them is refused."""
        if not rows:
            return []
        try:
            return [*self._client.submit(etid, rows)]
        except RefusedError as error:
            if len(rows) == 1:
                self._put_aside(etid, rows[0], error)
                return [None]
            half = len(rows) // 2
            return self._store(etid, rows[:half]) + self._store(etid, rows[half:])

    def _put_aside(self, etid: int, row: Row, error: Exception) -> None:
        line = json.dumps({"ETId": etid, "reason": str(error), "row": row}, sort_keys=True)
        with self._refused_path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    # What is kept here

    def _state(self) -> Row:
        try:
            found: Row = json.loads(self._state_path.read_bytes())
        except FileNotFoundError:
            found = {"marks": {}, "runs": {}}
        return found

    def _keep(self, state: Row) -> None:
        write_durably(self._state_path, json.dumps(state, sort_keys=True).encode())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the outbox against other processes that deliver from it."""
        make_folder(self._folder)
        with (self._folder / "walacor.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def record(what: str, run: str, **fields: Any) -> Row:
    """Make what waits in the outbox: a row of `contents` whose text is JSON."""
    text = json.dumps({"what": what, "run": run, **fields}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"content_id": digest, "media": "walacor", "text": text, "size_bytes": len(text)}
