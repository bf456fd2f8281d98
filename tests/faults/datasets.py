"""The fault campaigns of the registry: kills, races of committers, garbage against commits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from uuid import uuid4

import sqlalchemy

from lineage.datasets import garbage
from lineage.datasets.registry import Registry
from lineage.datasets.tables import contents, parts, uploads
from lineage.datasets.values import Draft
from lineage.errors import LineageError, VersionConflictError
from tests.faults.campaigns import ROOT, Figures
from tests.faults.registry_steps import NO_SWEEP, later, save

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMITTERS = 8
_MOST_STEPS = 1000


@contextmanager
def forker() -> Iterator[Any]:
    """Run the process that forks; yields a function that has an order carried out."""
    command = [sys.executable, "-W", "error", "-m", "tests.faults.registry_steps"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(order: dict[str, Any]) -> dict[str, Any]:
        print(json.dumps(order), file=process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        assert not answer["failed"], f"it failed by itself: {order}"
        return answer

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def kills(url: str, folder: str, *, broken: str = "", every: int = 1, first: int = 0) -> Figures:
    """Kill who saves a version at every step; the next try gives it, and nothing else is left."""
    figures = Figures()
    with forker() as ask:
        for step in range(first, _MOST_STEPS, every):
            order = {"what": "kill", "url": url, "folder": folder, "number": step, "step": step}
            answer = ask(order | {"broken": broken})
            figures.trials += answer["died"]
            figures.records += "id" in answer
            _look(url, folder, step, answer.get("id"), figures, broken)
            if not answer["died"]:
                break
    return _clean(figures)


def _clean(figures: Figures) -> Figures:
    """Leave out what did not go wrong."""
    figures.wrong = +figures.wrong
    return figures


def _look(
    url: str, folder: str, number: int, told: str | None, figures: Figures, broken: str
) -> None:
    registry = Registry(url, folder)
    there = _id_of(registry, number)
    figures.wrong["lost"] += told is not None and there != told
    figures.wrong["dangling"] += len(registry.verify())
    try:
        again = save(url, folder, number)
    except LineageError:
        again = ""
    figures.wrong["not converged"] += not again or again not in {there or again}
    with nullcontext() if broken != "no sweep" else patch.object(garbage, *NO_SWEEP):
        registry.collect_garbage(later())
    figures.wrong["dangling"] += len(registry.verify())
    figures.wrong["orphans"] += _orphans(registry)


def _id_of(registry: Registry, number: int) -> str | None:
    try:
        return registry.find("dataset", "data", str(number)).id
    except LineageError:
        return None


def _orphans(registry: Registry) -> int:
    """Count the objects and the rows that no version has."""
    place, wanted, after = registry._place, set(), None
    while True:
        page = registry.versions("dataset", after=after, limit=1000)
        wanted |= {a.sha256 for each in page.items for a in each.artefacts.values()}
        after = page.after
        if after is None:
            break
    keys = place.objects.keys(place.staging) + place.objects.keys(place.contents)
    objects = len(keys) - len(wanted)
    with place.database.reading() as connection:
        counts = [
            connection.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(table))
            for table in (uploads, parts, contents)
        ]
    return abs(objects) + sum(counts) - len(wanted)


def unconstrained(url: str, folder: str, tries: int) -> Figures:
    """Race for a version in a database whose tables would take it twice: a control."""
    registry = Registry(url, folder)
    registry.versions("dataset")
    drop = "ALTER TABLE registry_versions DROP CONSTRAINT registry_versions_once"
    with registry._place.database.writing() as connection:
        connection.execute(sqlalchemy.text(drop))
    figures = Figures()
    for _ in range(tries):
        found = races(url, folder, 2)
        figures.trials += found.trials
        figures.wrong += found.wrong
        if figures.wrong:
            break
    return figures


def races(url: str, folder: str, rounds: int, *, same_key: bool = False) -> Figures:
    """Have 8 save one version at once, each with bytes of its own or all with the same."""
    figures = Figures()
    registries, name = [Registry(url, folder) for _ in range(COMMITTERS)], f"raced {uuid4()}"
    registries[0].versions("dataset")
    with ThreadPoolExecutor(COMMITTERS) as pool:
        for number in range(rounds):
            start = threading.Barrier(COMMITTERS)
            key = f"{name} {number}" if same_key else None

            def commit(at: int, number: int = number, start: Any = start, key: Any = key) -> str:
                content = b"same" if same_key or number % 2 else str(at).encode()
                upload = registries[at].stage("x", [content])
                draft = Draft(name, str(number), artefacts={"x": upload})
                start.wait()
                try:
                    return registries[at].commit("dataset", draft, idempotency_key=key).id
                except VersionConflictError:
                    return ""

            answers = list(pool.map(commit, range(COMMITTERS)))
            figures.trials += COMMITTERS
            winners = [each for each in answers if each]
            figures.records += len(winners)
            if same_key:
                figures.wrong["different answers"] += len(set(answers)) != 1
            else:
                figures.wrong["more than one winner"] += len(winners) > 1
                figures.wrong["no winner"] += not winners
    figures.wrong["dangling"] += len(registries[0].verify())
    return _clean(figures)


WALKS = ("commit", "collection")
COLLECTION = {"walks": WALKS[1:]}
"""Where the controls go wrong."""


def overtakings(
    url: str,
    folder: str,
    *,
    broken: str = "",
    every: int = 1,
    first: int = 0,
    walks: tuple[str, ...] = WALKS,
) -> Figures:
    """Collect garbage at every step of a commit, and commit at every step of a collection."""
    figures, number = Figures(), 0
    with forker() as ask:
        for walk in walks:
            for ends_leases in (False, True):
                for step in range(first, _MOST_STEPS, every):
                    number += 1
                    order = {"what": "overtake", "url": url, "folder": folder, "number": number}
                    order |= {"step": step, "walks": walk, "ends_leases": ends_leases}
                    answer = ask(order | {"broken": broken})
                    figures.wrong["dangling"] += len(answer["problems"])
                    figures.wrong["refused"] += answer["refused"]
                    if not answer["reached"]:
                        break
                    figures.trials += 1
                    if answer["problems"]:  # what dangles would be counted again each time
                        return _clean(figures)
    return _clean(figures)
