"""A canary in every place: no byte of what is kept, said or drawn may hold it."""

from __future__ import annotations

import asyncio
import io
import logging
from contextlib import suppress

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import lineage
from lineage import DataSource, redact
from lineage.cli import app
from lineage.parameters import Captor
from tests.test_redact import LEAKS

CANARY = "canary"
PLAIN = "sparrow-canary-17"
"""A secret that no pattern knows by its look."""


class Login:
    def __init__(self, base_path):
        self.base_path = base_path


class Tables(lineage.TrackedRepository):
    dataset_name = "tables"
    base_path = "s3://me:canary@bucket/x"
    lineage_key = ("table", "api_token")

    def save(self, frame, table, api_token):
        return None

    def load(self, table, api_token):
        return pd.DataFrame({"password=canary": [1]})


@lineage.track_lineage
def take(*args, **options):
    return None


@lineage.track_lineage
def fail(password, note):
    raise ValueError(f"no {password!r} for me, not even {note}")


@lineage.track_lineage("read")
def read(path, password=None):
    raise OSError(f"cannot read {path} with {password}")


@lineage.track_lineage("write", output_sources=["path"])
def write(frame, path, secret):
    return None


@lineage.track_lineage
def steps(token):
    yield 1
    raise RuntimeError(f"{token} refused")


@lineage.track_lineage
async def late(token, url):
    raise RuntimeError(f"{token} refused at {url}")


def plant_in_calls(tmp_path):
    for text in LEAKS:
        take(text, [text], {"note": text}, note=text)
        with suppress(OSError):
            read(text)
    take({("db", "password"): PLAIN, "x": PLAIN}, [("password", PLAIN), ["token", PLAIN]])
    take(("Authorization", PLAIN), [{"name": "pwd", "value": PLAIN}, ["x", "--password", PLAIN]])
    take(["curl", "-u", "me:canary", "x"], {"tokens": [PLAIN, {"a": PLAIN}]}, {b"pwd": PLAIN})
    take(options={"connection_string": PLAIN, "about": f"the {PLAIN} is here"}, other=PLAIN)
    with suppress(ValueError):
        fail(PLAIN, f"{PLAIN}{'.' * 20}")
    with suppress(ValueError):
        fail(PLAIN, "." * 990 + PLAIN)  # the limit would cut it in two
    path = tmp_path / f"{PLAIN}.csv"
    path.write_text("x\n")
    with suppress(OSError):
        read(str(path), PLAIN)
    frame = pd.DataFrame({"x": [1], "https://me:canary@host": [2]})
    write(frame, str(path), PLAIN)
    write(frame, f"https://host/{PLAIN}?key=canary", PLAIN)
    with suppress(RuntimeError):
        list(steps(PLAIN))
    with suppress(RuntimeError):
        asyncio.run(late(PLAIN, f"https://host/{PLAIN}"))
    tables = Tables()
    tables.save(frame, "t", PLAIN)
    take(tables.load("t", PLAIN), frame)


def plant_by_hand(tracker):
    source = DataSource(
        *("table", f"{PLAIN}/x", f"db://{PLAIN}"),
        metadata={"token": CANARY, "n": PLAIN},
        version=PLAIN,
        schema_info={"note": "password=canary"},
    )
    operation = tracker.start_operation("read", {"password": PLAIN}, {"where": f"at {PLAIN}"})
    tracker.add_input(operation, source)
    tracker.add_output(operation, source)
    tracker.complete_operation(operation, error_info=f"{PLAIN} failed")
    with suppress(ValueError), lineage.track(f"run {PLAIN}", token=PLAIN, about=PLAIN) as run:
        with run.operation("write", outputs=[f"table:y/{PLAIN}"], secret=PLAIN):
            pass
        with suppress(ValueError), run.operation("read", secret=PLAIN):
            raise ValueError(PLAIN)
        run.register_data_product("p", "1", {"token": CANARY})
        raise ValueError(f"{PLAIN} and token=canary")


def plant_in_a_store(store):
    source = DataSource("table", "//me:canary@h/x", "me:canary@h:54", metadata={"pwd": CANARY})
    operation = lineage.DataOperation.create(
        "write", inputs=[source], outputs=[source], parameters={"password": CANARY}
    )
    operation.error_info = "token=canary"
    operation.execution_context = {"url": "//me:canary@h"}
    store.save_operation(operation)
    node = lineage.LineageNode(node_id=source.node_id, data_source=source)
    store.save_node(node)


def everything_said(folder, tracker):
    """Give every text that the package tells about what was recorded."""
    engine = lineage.LineageQueryEngine(tracker)
    shown = lineage.LineageVisualizer(engine)
    yield repr(list(tracker.operations.values())), repr(tracker.nodes)
    yield repr(tracker.last_error)
    yield str(tracker._repr_mimebundle_())
    runner = CliRunner()
    for command in (
        *(["log", "--json"], ["sources", "--json"], ["stats"], ["report"], ["doctor"]),
        *(
            ["graph", "-o", str(folder.parent / "g.html")],
            ["graph", "-o", str(folder.parent / "g.svg")],
        ),
        *(["export", "-o", str(folder.parent / "g.json")]),
        ["export", "--format", "csv", "-o", str(folder.parent / "o.txt")],
    ):
        yield runner.invoke(app, ["--store", str(folder), *command]).output
    yield str(shown)


def around(text, name=""):
    at = text.find(CANARY)
    return "" if at < 0 else f"{name}: …{text[max(0, at - 150) : at + 50]}…"


def bytes_of(folder):
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".csv":
            yield path, path.read_bytes()
            if path.suffix == ".parquet":
                yield path, repr(pq.read_table(path).to_pylist()).encode()


def found_in(tmp_path, capfd, *, sealed):
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger("lineage").addHandler(handler)
    folder = tmp_path / "store"
    store = lineage.LineageMetadataRepository(folder)
    tracker = lineage.LineageTracker(store)
    lineage.set_global_tracker(tracker)

    def callback(operation):
        raise ValueError("password=canary")

    try:
        tracker.subscribe("operation.completed", callback)
        take(1)
        tracker.recorder.notify = None
        plant_in_calls(tmp_path)
        plant_by_hand(tracker)
        plant_in_a_store(store)
        tracker.lose(OSError("cannot write to //me:canary@h"))
        if sealed:
            tracker.close()
        found = [around(str(where)) for where in everything_said(folder, tracker)]
        found += [around(data.decode("latin-1"), path.name) for path, data in bytes_of(tmp_path)]
    finally:
        lineage.set_global_tracker(None)
        logging.getLogger("lineage").removeHandler(handler)
        tracker.recorder.lost = 0
    told = capfd.readouterr()
    found += map(around, (log.getvalue(), told.out, told.err))
    found = list(filter(None, found))
    assert len(tracker.operations) > 2 * len(LEAKS)
    return found


@pytest.mark.parametrize("sealed", [False, True])
def test_no_secret_is_anywhere(tmp_path, capfd, sealed):
    assert found_in(tmp_path, capfd, sealed=sealed) == []


@pytest.mark.parametrize("part", ["look", "elsewhere"])
def test_secrets_would_be_seen(tmp_path, capfd, monkeypatch, part):
    if part == "look":
        monkeypatch.setattr(redact.shapes, "URLS", ())
    else:
        for module in (lineage.parameters, lineage.links, lineage.kept, lineage.flows):
            monkeypatch.setattr(module, "hide", lambda text, secrets: text)
    lineage.links._sources.clear()
    assert found_in(tmp_path, capfd, sealed=False)
    lineage.links._sources.clear()


def test_what_is_not_secret_is_kept(tmp_path):
    tracker = lineage.LineageTracker()
    lineage.set_global_tracker(tracker)
    values = (
        "monkey=3",
        ("key", "day"),
        ["user", "password"],
        {"name": "day", "value": "x"},
        [1, 2],
    )
    take(*values)
    take(("docker", "-p", "8080"), ["ssh", "-p", "22", "me@example.org"], password="")
    kept = [each.parameters["args"] for each in tracker.operations.values()]
    assert kept[0] == [list(each) if type(each) is tuple else each for each in values]
    assert kept[1] == [["docker", "-p", "8080"], ["ssh", "-p", "22", "me@example.org"]]
    assert Captor().capture(["password", "user"]) == ["password", "user"]  # columns, not a pair
