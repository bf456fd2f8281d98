"""The session that questions are asked in: one of our own beside the user's, on the same cluster.

What a program has set for its own queries (a time zone, files that may be missing or damaged) would
change our answers, and ours would change its. Two sessions of one application share the executors
and nothing of that.
"""

from __future__ import annotations

import shutil
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OLDEST = (4, 0)
"""The oldest version of Spark that gives and takes Arrow tables by a public way."""

_CONNECT = "pyspark.sql.connect"
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",  # a sum that overflows wraps, as it does elsewhere here
    "spark.sql.caseSensitive": "true",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.mergeSchema": "false",
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
    "spark.sql.execution.arrow.pyspark.selfDestruct.enabled": "false",
}
_REMEDY = (
    "give a session of SparkSession.builder.getOrCreate(), or the URL of a master such as "
    "'local[*]' or 'spark://host:7077'"
)


def session_of(spark: SparkSession | str) -> SparkSession:
    """Give a session of our own beside the user's, or on the cluster of a master.

    Raises:
        ConfigError: It is no session, one of Spark Connect, one that was stopped, or too old.
        MissingDependencyError: PySpark or Java is missing.
    """
    try:
        import pyspark  # noqa: F401 - only to say what is missing
    except ImportError as error:
        raise MissingDependencyError(
            "asking a store by Spark needs PySpark; pip install 'track-lineage[spark]', and Java 17"
        ) from error
    return _beside(_started(spark) if isinstance(spark, str) else _checked(spark))


def _started(master: str) -> SparkSession:
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    home = environ.get("JAVA_HOME")
    if shutil.which("java") is None and not (home and (Path(home) / "bin" / "java").exists()):
        raise MissingDependencyError(
            "Spark needs Java, and there is neither `java` on the PATH nor JAVA_HOME; install "
            "Java 17 or newer (on Debian: default-jre-headless)"
        )
    try:
        return _checked(SparkSession.builder.master(master).appName("lineage").getOrCreate())
    except PySparkException as error:
        raise ConfigError(f"no session on {master!r}: {error}; {_REMEDY}") from error


def _checked(spark: Any) -> SparkSession:
    if type(spark).__module__.startswith(_CONNECT):
        raise ConfigError(
            "this is a session of Spark Connect, which gives no second session on its cluster; "
            + _REMEDY
        )
    from pyspark.sql import SparkSession

    if not isinstance(spark, SparkSession):
        raise ConfigError(f"cannot ask {type(spark).__name__!r} for a Spark session; {_REMEDY}")
    if spark.sparkContext._jsc is None or spark.sparkContext._jsc.sc().isStopped():
        raise ConfigError(f"this Spark session was stopped; {_REMEDY}")
    found = spark.version
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ConfigError(
            f"this is Spark {found}; the oldest that can be asked is {oldest}: "
            f"pip install 'pyspark>={oldest}', and a cluster of the same version"
        )
    return spark


def _beside(spark: SparkSession) -> SparkSession:
    own = spark.newSession()
    for name, value in spark.conf.getAll.items():
        if name.startswith(("fs.", "spark.hadoop.fs.")):  # credentials of buckets, set at run time
            own.conf.set(name, value)
    for name, value in _SETTINGS.items():
        own.conf.set(name, value)
    return own
