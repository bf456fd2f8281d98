"""Apache Spark reads the folders of a store as they lie there."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

from lineage.core import DataOperation, DataSource
from lineage.settings import StoreSettings
from lineage.stores.parquet import LineageMetadataRepository

ROOT = Path(__file__).parents[1]
SAMPLES = Path(__file__).parent / "samples"
T0 = datetime(2026, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
OFF = StoreSettings(background_sealing=False)

pytestmark = pytest.mark.skipif(
    find_spec("pyspark") is None or shutil.which("java") is None,
    reason="needs Spark and Java: pip install --group spark, and a Java of 17 or newer",
)


@pytest.fixture(scope="module")
def ask():
    """Ask Spark, which runs in another process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.spark"],
        cwd=ROOT,
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )

    def answer(question, store):
        process.stdin.write(f"{question} {store}\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield answer
    process.communicate()


def operation(number, *, day=0):
    made = DataOperation.create(
        "transform",
        operation_id=f"op{number:05d}",
        timestamp=T0 + timedelta(days=day, microseconds=number),
        parameters={"number": number, "name": "größe"},
    )
    for name in ("a", "b"):
        made.inputs.append(DataSource("file", f"{name}{number % 7}", f"/data/{name}"))
    made.outputs.append(DataSource("file", f"out{number}", "/data/out"))
    return made


def test_spark_reads_what_we_do(ask, tmp_path):
    repository = LineageMetadataRepository(tmp_path, settings=OFF)
    for number in range(60):
        repository.save_operation(operation(number, day=number % 3))
        if number % 20 == 19:
            repository.seal()
    seen = ask("look", tmp_path)
    ours = repository.load_operations()
    assert seen["operations"] == sorted(
        [
            each.operation_id,
            str(each.operation_type),
            each.timestamp.replace(tzinfo=None).isoformat(),
            json.dumps(each.parameters, separators=(",", ":"), ensure_ascii=False, sort_keys=True),
        ]
        for each in ours
    )
    assert [row[:2] for row in seen["inputs"]] == sorted(
        [each.operation_id, source.node_id] for each in ours for source in each.inputs
    )
    assert seen["types"]["timestamp"] == "timestamp"
    assert seen["types"]["inputs"].startswith("array<struct<node_id:string,")


def test_spark_reads_old_parts_beside_new_ones(ask, tmp_path):
    for version in ("0.1", "0.2"):
        for part in (SAMPLES / version / "store").glob("lineage_operations/*/*.parquet"):
            place = tmp_path / part.parent.relative_to(SAMPLES / version / "store")
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(part, place / f"{version}-{part.name}")
    for file in tmp_path.glob("lineage_operations/date=__invalid__"):
        shutil.rmtree(file)
    seen = ask("look", tmp_path)
    assert len(seen["operations"]) > 2
    assert all(seen["types"][name] == "bigint" for name in ("process_id", "record_count_in"))


def test_spark_sees_each_sealed_operation_once_while_we_write(ask, tmp_path):
    repository = LineageMetadataRepository(tmp_path, settings=OFF)
    sealed, stop = [0], threading.Event()

    def write():
        while not stop.is_set():
            for number in range(sealed[0], sealed[0] + 10):
                repository.save_operation(operation(number, day=number % 2))
            repository.seal()
            sealed[0] += 10

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not sealed[0]:
            time.sleep(0.01)
        for _ in range(5):
            before = sealed[0]
            found = ask("ids", tmp_path)
            assert len(found) == len(set(found))
            assert {f"op{number:05d}" for number in range(before)} <= set(found)
    finally:
        stop.set()
        writer.join()
    assert len(ask("ids", tmp_path)) == sealed[0]


def test_a_part_that_is_there_twice_is_seen(ask, tmp_path):
    repository = LineageMetadataRepository(tmp_path, settings=OFF)
    repository.save_operation(operation(0))
    repository.seal()
    (part,) = tmp_path.glob("lineage_operations/*/*.parquet")
    shutil.copy(part, part.with_name("again.parquet"))
    assert ask("ids", tmp_path) == ["op00000"] * 2
