"""Where the files of a store are, for Spark: which parts count, and how Spark is to be told.

A folder that the driver sees is read as any other reader reads it: the manifest, and what of the
journal is in no part yet. Anywhere else Spark reads the manifest, by whatever it reaches the place
with; journals are on the hosts that write them, and what they hold is not in the answers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lineage.errors import StoreError
from lineage.stores.base import path_of, scheme_of
from lineage.stores.manifest import FOLDER, Manifest, decode_manifest
from lineage.stores.reading import StoreReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import SparkSession

    from lineage.stores.tails import Tail

_GLOB = re.compile(r"([\\\[\]{}*?])")
_ABSENT = ("PATH_NOT_FOUND", "FileNotFound", "FILE_NOT_EXIST")
_MANY_FILES = 10_000
_UNSEALED = (
    "operations that are not sealed yet are in the journals of the hosts that recorded them, and "
    "not in these answers; `lineage seal` on each host brings them in"
)


class Moment(NamedTuple):
    """A store as of one moment: its parts, what is in none of them, and what to know of that."""

    manifest: Manifest
    tails: list[Tail]
    problems: list[str]
    notice: str


class Place(Protocol):
    """A store's folder."""

    url: str

    def moment(self) -> Moment:
        """Read which parts count now, and what is in none of them."""

    def present(self, paths: Iterable[str]) -> set[str]:
        """Give those of some paths in the store where a file is."""


def place_of(session: SparkSession, url: str | Path) -> Place:
    """Find out how to read the store at a path or a URL.

    Raises:
        StoreError: There is no such folder.
    """
    text = str(url)
    if isinstance(url, Path) or scheme_of(text) in {"file", "parquet"}:
        # A bucket is asked about many files by a job; a folder is not worth one.
        session.conf.set("spark.sql.sources.parallelPartitionDiscovery.threshold", _MANY_FILES)
        return Folder(url if isinstance(url, Path) else path_of(text))
    return Elsewhere(session, text.rstrip("/"))


class Folder:
    """A folder that the driver sees; every worker has to see it under the same path."""

    def __init__(self, path: Path) -> None:
        path = path.absolute()
        if not path.is_dir():
            raise StoreError(
                f"no store at {path}: there is no such folder on the driver; check the path, or "
                "give the URL of a place that the driver and all workers reach"
            )
        self.url = f"file://{path}"
        self._path = path
        self._reader = StoreReader(path)

    def moment(self) -> Moment:
        """Read the manifest and the journal, as of one moment."""
        manifest, tails = self._reader.snapshot()
        return Moment(manifest, tails, list(self._reader.problems), "")

    def present(self, paths: Iterable[str]) -> set[str]:
        """Give those of some paths in the store where a file is."""
        return {path for path in paths if (self._path / path).exists()}


class Elsewhere:
    """A folder that Spark reaches: a bucket, HDFS."""

    def __init__(self, session: SparkSession, url: str) -> None:
        self.url = url
        self._session = session

    def moment(self) -> Moment:
        """Read the manifest.

        Raises:
            StoreError: There is none, or Spark cannot reach it.
            CorruptStoreError: It is damaged, or a newer version wrote it.
        """
        url = f"{self.url}/{FOLDER}/manifest.json"
        data = read_bytes(self._session, url)
        if data is None:
            raise StoreError(
                f"no store at {self.url}: {url} is missing; check the URL, or let `lineage seal` "
                "mend a store that has lost its manifest"
            )
        return Moment(decode_manifest(data, url), [], [], _UNSEALED)

    def present(self, paths: Iterable[str]) -> set[str]:
        """Give those of some paths in the store where a file is: lists their folders by Spark."""
        wanted = {path.rpartition("/")[::2]: path for path in paths}
        folders = {folder.partition("/")[0] for folder, _ in wanted}
        there = {file for folder in folders for file in self._files(folder)}
        return {path for key, path in wanted.items() if key in there}

    def _files(self, folder: str) -> list[tuple[str, str]]:
        from pyspark.errors import PySparkException

        read = self._session.read.format("binaryFile").option("recursiveFileLookup", "true")
        try:
            rows = read.load(literal(f"{self.url}/{folder}")).select("path").collect()
        except PySparkException as error:
            if is_absent(error):
                return []
            raise StoreError(f"Spark cannot list {self.url}/{folder}: {reason(error)}") from error
        found = [row[0].rpartition("/")[::2] for row in rows]
        return [(f"{folder}{path.rpartition(f'/{folder}')[2]}", name) for path, name in found]


def read_bytes(session: SparkSession, url: str) -> bytes | None:
    """Read a file by Spark; None when there is none.

    Raises:
        StoreError: Spark cannot reach it.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        rows = session.read.format("binaryFile").load(literal(url)).select("content").collect()
    except (PySparkException, Py4JError) as error:
        if is_absent(error):
            return None
        raise StoreError(
            f"Spark cannot read {url}: {reason(error)}; check the URL, the credentials, and that "
            "the session has the library for it (for s3a:// that is hadoop-aws)"
        ) from error
    return bytes(rows[0][0]) if rows else None


def literal(path: str) -> str:
    """Write a path so that Spark takes no character of it for a pattern."""
    return _GLOB.sub(r"\\\1", path)


def is_absent(error: Exception) -> bool:
    """Whether an error of Spark says that a file is not there."""
    return any(mark in str(error) for mark in _ABSENT)


def reason(error: Exception) -> str:
    """Give the line of an error of Spark that says most; it goes on for pages."""
    from lineage.redact import redact_text

    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    told = [line.removeprefix(": ") for line in lines if not line.startswith("An error occurred")]
    best = causes if told and "awaitResult" in told[0] else told
    return redact_text(best[0] if best else "no reason")[:400]
