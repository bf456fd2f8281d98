"""A Spark cluster on this host: a master and two workers, each a process of its own on loopback.

    python -m tests.spark

is another thing: what Spark reads of a store's folders without us. It answers each line
`look STORE` or `ids STORE` on its standard input with a line of JSON.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from tests.servers import free_port

MISSING = "needs Spark and Java: pip install --group spark, and a Java of 17 or newer"
MEMORY = "1g"
CORES = 4
"""More than there are, so that the applications of several test processes run beside each other."""

STARTED = []

LOOPBACK = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
SMALL = {
    "spark.cores.max": "4",
    "spark.executor.memory": "512m",
    "spark.driver.memory": "768m",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.files.minPartitionNum": "2",
}


def is_there():
    """Whether Spark and Java are on this machine."""
    return find_spec("pyspark") is not None and shutil.which("java") is not None


class Cluster:
    """A running master and its workers; `url` is where the master is."""

    def __init__(self, folder, *, workers=2, cores=CORES, memory=MEMORY):
        self.folder, self.processes = folder, []
        self.url = f"spark://127.0.0.1:{free_port()}"
        port = self.url.rpartition(":")[2]
        ends = ["--host", "127.0.0.1", "--webui-port", "0", "--port"]
        logs = [self._start("master", "master.Master", *ends, port)]
        rooms = ["--cores", str(cores), "--memory", memory, "--work-dir", str(folder / "work")]
        for number in range(workers):
            name = f"worker-{number}"
            logs.append(self._start(name, "worker.Worker", *ends, "0", *rooms, self.url))
        for log, told in zip(
            logs,
            ["I have been elected leader", *["Successfully registered"] * workers],
            strict=True,
        ):
            self._wait(log, told)

    def _start(self, name, program, *arguments):
        from pyspark.find_spark_home import _find_spark_home

        home = _find_spark_home()
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("SPARK_")},
            "SPARK_HOME": home,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.folder / "local"),
            "SPARK_DAEMON_MEMORY": "256m",
        }
        log = self.folder / f"{name}.log"
        with log.open("wb") as stream:
            command = [f"{home}/bin/spark-class", f"org.apache.spark.deploy.{program}", *arguments]
            self.processes.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                )
            )
        STARTED.append(self.processes[-1])
        return log

    def _wait(self, log, told, seconds=120):
        until = time.monotonic() + seconds
        while told not in log.read_text(errors="replace"):
            if time.monotonic() > until or any(each.poll() is not None for each in self.processes):
                text = log.read_text(errors="replace")
                self.stop()
                raise RuntimeError(f"the cluster did not start:\n{text}")
            time.sleep(0.1)

    def stop(self):
        stop([process.pid for process in self.processes])


def stop(pids):
    """End the processes of a cluster, which may be those of another test process."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)
    until = time.monotonic() + 20
    while any(map(lives, pids)) and time.monotonic() < until:
        time.sleep(0.1)
    for pid in filter(lives, pids):
        os.killpg(pid, signal.SIGKILL)
    for process in STARTED:
        process.poll()


def lives(pid):
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def shared(folder):
    """Give the URL of the one cluster of all test processes that know the folder.

    The first of them starts it, the last one stops it.
    """
    folder.mkdir(exist_ok=True)
    with known(folder) as cluster:
        if not cluster.get("users"):
            made = Cluster(folder)
            cluster |= {"url": made.url, "pids": [each.pid for each in made.processes], "users": 0}
        cluster["users"] += 1
        url = cluster["url"]
    try:
        yield url
    finally:
        with known(folder) as cluster:
            cluster["users"] -= 1
            if not cluster["users"]:
                stop(cluster["pids"])


@contextmanager
def known(folder):
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = folder / "cluster.json"
        cluster = json.loads(file.read_text()) if file.exists() else {}
        yield cluster
        file.write_text(json.dumps(cluster))


@contextmanager
def session(url, **settings):
    """Give a session on a cluster, for which no Python on the workers would work."""
    from pyspark.sql import SparkSession

    names = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": "/no/python/here"}
    before = {name: os.environ.get(name) for name in names}
    os.environ |= names
    builder = SparkSession.builder.master(url).appName("tests")
    spark = builder.config(map={**LOOPBACK, **SMALL, **settings}).getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    try:
        yield spark
    finally:
        spark.stop()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def operations(spark, store):
    folder = store / "lineage_operations"
    return spark.read.option("mergeSchema", "true").parquet(str(folder))


def look(spark, store):
    table = operations(spark, store)
    flat = table.selectExpr("operation_id", "explode(inputs) AS input")
    return {
        "types": {name: kind for name, kind in table.dtypes if name != "date"},
        "operations": sorted(
            [row.operation_id, row.operation_type, row.timestamp.isoformat(), row.parameters]
            for row in table.collect()
        ),
        "inputs": sorted(
            [row.operation_id, row.node_id, row.record_count]
            for row in flat.select("operation_id", "input.node_id", "input.record_count").collect()
        ),
    }


def ids(spark, store):
    return [row.operation_id for row in operations(spark, store).select("operation_id").collect()]


def main():
    from pyspark.sql import SparkSession

    settings = {**LOOPBACK, "spark.sql.session.timeZone": "UTC"}
    spark = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    for line in sys.stdin:
        question, store = line.split(maxsplit=1)
        answer = {"look": look, "ids": ids}[question](spark, Path(store.strip()))
        print(json.dumps(answer), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
