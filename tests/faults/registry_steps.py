"""A process that forks others, which save versions and are killed, or overtaken, at a step of it.

A step is a change or sync of a file, a statement, or a commit of the database, before and after. It
reads a JSON object per line and answers with one. It opens no database itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import alembic.command  # noqa: F401 - loaded once, here, for all children
import psycopg  # noqa: F401
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine

from lineage.datasets import commits, garbage
from lineage.datasets.place import Place
from lineage.datasets.registry import Registry
from lineage.datasets.values import Draft
from lineage.errors import RegistryError

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = frozenset(("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link"))
SHARED = b"the same in every version"
OVERTAKEN_S = 0.3, 20.0
"""How long a step waits for the other in a transaction, whose locks it may want, and outside."""


def later() -> datetime:
    """Give a time when every lease of now has ended."""
    return datetime.now(UTC) + timedelta(days=2)


# --- what they do --------------------------------------------------------------------------------


def save(url: str, folder: str, number: int) -> str:
    """Save a version of two artefacts, one of which came in two parts; gives its id."""
    registry = Registry(url, folder)
    lease = registry.begin("own.txt")
    registry.append(lease.id, 0, [b"own of "])
    registry.append(lease.id, 7, [str(number).encode()])
    artefacts = {"own": registry.finish(lease.id), "shared": registry.stage("shared", [SHARED])}
    draft = Draft("data", str(number), artefacts=artefacts)
    return registry.commit("dataset", draft, idempotency_key=f"key {number}").id


def save_both_ways(url: str, folder: str, number: int) -> None:
    """Save what nobody has any more, by bytes and as an artefact of a version that is deleted."""
    registry = Registry(url, folder)
    with suppress(RegistryError):  # refused in clear words is right
        old = registry.commit(
            "dataset", Draft("old", str(number), artefacts=_alike(registry, number))
        )
        registry.delete("dataset", old.id)
        registry.commit("dataset", Draft("again", str(number), artefacts=old.artefacts))
    for each in registry.versions("dataset", name="again").items:
        registry.delete("dataset", each.id)
    with suppress(RegistryError):
        registry.commit("dataset", Draft("data", str(number), artefacts=_alike(registry, number)))


def _alike(registry: Registry, number: int) -> dict:
    """Stage what each of these versions has, and no other: whatever is deleted is garbage."""
    return {"alike": registry.stage("alike", [SHARED, str(number).encode()])}


# --- what is broken in the controls --------------------------------------------------------------


def _row_first(place, wanted):
    """Save the version, and put its bytes then."""
    claimed = place.write(lambda connection: commits._claim(connection, place, wanted))
    if not isinstance(claimed, list):
        return commits._Saved(claimed, [])
    saved = place.write(lambda connection: commits._save(connection, place, wanted, claimed))
    for each in claimed:
        place.objects.copy(each.source, each.target)
    return saved


def _hasty(place, now):
    """Delete what nobody has, without a word to those who commit."""
    unneeded = place.read(lambda connection: garbage._unneeded(connection, place))
    gone = [key for key in place.objects.keys(place.contents) if any(d in key for d in unneeded)]
    for key in gone:
        place.objects.delete(key)


NO_SWEEP = ("_sweep", lambda place: (0, 0))
BROKEN = {
    "": (),
    "version before bytes": ((commits, "_try", _row_first),),
    "no sweep": ((garbage, *NO_SWEEP),),
    "no mark": (("lineage.datasets.registry", "collect", _hasty),),
    "no generation": ((Place, "content", lambda self, sha256, _: f"{self.contents}aa/{sha256}.1"),),
}


def break_it(name: str) -> None:
    """Put the fault of a control in its place, in this process."""
    for where, what, fault in BROKEN[name]:
        module = sys.modules[where] if isinstance(where, str) else where
        patch.object(module, what, fault).start()


# --- steps ---------------------------------------------------------------------------------------


class Steps:
    """Calls something at the n-th step of one thread; what that does has no steps."""

    def __init__(self, number: int, folder: str, do) -> None:
        self.left, self.folder, self.do = number, folder, do
        self.thread = threading.get_ident()
        self.was_reached = self.is_inside = False

    def step(self, *_: object, **__: object) -> None:
        if threading.get_ident() != self.thread or self.was_reached:
            return
        if self.left == 0:
            self.was_reached = True
            self.do()
        self.left -= 1

    def inside(self, *, is_inside: bool) -> None:
        """Note whether the thread whose steps are counted is in a transaction."""
        if threading.get_ident() == self.thread:
            self.is_inside = is_inside

    def hook(self, name: str, arguments: tuple) -> None:
        if name == "open":
            path, _, flags = arguments
            is_ours = isinstance(path, (str, Path)) and str(path).startswith(self.folder)
            if is_ours and flags & WRITES:
                self.step()
        elif name in CHANGES and str(arguments[0]).startswith(self.folder):
            self.step()

    def watch(self) -> None:
        sys.addaudithook(self.hook)
        event.listen(Engine, "before_cursor_execute", self.step)
        event.listen(Engine, "begin", lambda _: self.inside(is_inside=True))
        event.listen(Engine, "rollback", lambda _: self.inside(is_inside=False))
        real_sync, do_commit = os.fsync, sqlalchemy.engine.default.DefaultDialect.do_commit

        def fsync(descriptor):
            self.step()
            return real_sync(descriptor)

        def commit(dialect, connection):
            self.step()
            do_commit(dialect, connection)
            self.inside(is_inside=False)
            self.step()

        os.fsync = fsync
        sqlalchemy.engine.default.DefaultDialect.do_commit = commit


def killed(order: dict, told) -> None:
    """Save and die at a step."""
    break_it(order["broken"])
    Registry(order["url"], order["folder"]).versions("dataset")
    die = lambda: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
    Steps(order["step"], order["folder"], die).watch()
    told({"id": save(order["url"], order["folder"], order["number"])})


def overtaken(order: dict, told) -> None:
    """Save, and have garbage collected at a step of that; or the other way round."""
    break_it(order["broken"])
    url, folder, number = order["url"], order["folder"], order["number"]
    registry = Registry(url, folder)
    old = registry.commit(
        "dataset", Draft("before", str(number), artefacts=_alike(registry, number))
    )
    registry.delete("dataset", old.id)
    when = later() if order["ends_leases"] else None

    def saves() -> None:
        save_both_ways(url, folder, number)

    def collects() -> None:
        Registry(url, folder).collect_garbage(when)

    walks, other = (saves, collects) if order["walks"] == "commit" else (collects, saves)
    thread = threading.Thread(target=other)

    def overtake() -> None:
        thread.start()
        thread.join(OVERTAKEN_S[not steps.is_inside])

    steps = Steps(order["step"], folder, overtake)
    steps.watch()
    walks()
    if steps.was_reached:
        thread.join()
    steps.was_reached, reached = True, steps.was_reached
    found = [problem.message for problem in registry.verify()]
    saved = [each.version for each in registry.versions("dataset", name="data", limit=1000).items]
    is_refused = reached and when is None and str(number) not in saved
    told({"reached": reached, "problems": found, "refused": is_refused})


JOBS = {"kill": killed, "overtake": overtaken}


def fork(order: dict) -> dict:
    """Do a job in a child; gives what it told, and how it ended."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            JOBS[order["what"]](order, lambda told: os.write(writes, json.dumps(told).encode()))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        told = pipe.read()
    status = os.waitpid(child, 0)[1]
    answer = json.loads(told) if told else {}
    died = os.WIFSIGNALED(status)
    return answer | {"died": died, "failed": not died and status != 0}


def main() -> None:
    """Answer each order."""
    for line in sys.stdin:
        print(json.dumps(fork(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
