"""The parts of a store as frames of Spark, each verified before it is used.

A row has a place: the number of its part in the manifest and its number in the part. Places order
rows as every other reader meets them, and a row is found again by its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
from msgspec.structs import replace

from lineage.codec import REF, TABLES, to_micros
from lineage.errors import CorruptStoreError, StoreError
from lineage.spark.places import is_absent, literal, reason
from lineage.stores.base import EVERYTHING
from lineage.stores.manifest import aside
from lineage.stores.tables import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from pyspark.sql import Column, DataFrame, SparkSession

    from lineage.spark.places import Place
    from lineage.stores.base import Filter
    from lineage.stores.manifest import Part

T = TypeVar("T")

VERIFIED_BYTES = 8 << 30
"""So many bytes of parts of one kind are compared with their digests when nobody says."""

ROW_BITS = 32
"""The bits of a place that are the row's number in its part."""

PLACE = "place"
_TRIES = 3
TYPES = {
    "string": "string",
    "json": "string",
    "int32": "int",
    "int64": "bigint",
    "double": "double",
    "time": "timestamp",
    "refs": f"array<struct<{','.join(f'{name}:{kind}' for name, kind in REF.items())}>>".replace(
        "int64", "bigint"
    ),
}


class Parts:
    """The parts of a store as of one moment.

    Args:
        session: What reads them.
        place: Where they are.
        verify: Whether to compare the bytes of each part with its digest before its first use.
            When None, where the parts of a kind have 8 GiB at most. The checksums of the pages
            that are read are compared in any case.

    Attributes:
        problems: What could not be read so far.
    """

    def __init__(self, session: SparkSession, place: Place, *, verify: bool | None = None) -> None:
        self.session = session
        self.moment = place.moment()
        self.problems = list(self.moment.problems)
        self._place = place
        self._verify = verify
        self._parts = dict(enumerate(self.moment.manifest.parts))
        self._verified: set[int] = set()
        self._frames: dict[tuple[int, ...], DataFrame] = {}

    def numbers(self, kind: str, where: Filter = EVERYTHING) -> list[int]:
        """Give the numbers of the whole parts of a kind that may have rows of a stretch of time."""
        from lineage.stores.parts import overlaps

        found = [
            number
            for number, part in self._parts.items()
            if part.kind == kind and overlaps(part, where)
        ]
        self._check(kind, found)
        return [number for number in found if number in self._parts]

    def rows(self, kind: str, where: Filter = EVERYTHING) -> int:
        """Say how many rows the parts of a kind have that may have some of a stretch of time."""
        return sum(self._parts[number].rows for number in self.numbers(kind, where))

    def notices(self) -> list[str]:
        """Say what is not in the parts, and that they were not verified."""
        if self._verify is None:
            kinds = {part.kind for part in self._parts.values() if not self._is_wanted(part.kind)}
            told = [
                f"the parts of {kind} are more than {VERIFIED_BYTES >> 30} GiB and were not"
                for kind in kinds
            ]
        else:
            told = [] if self._verify else ["the parts were not"]
        tail = " compared with their digests (verify=True does); the pages that were read were"
        return [*filter(None, [self.moment.notice]), *(text + tail for text in told)]

    def frame(
        self, kind: str, where: Filter = EVERYTHING, *, numbers: Sequence[int] | None = None
    ) -> DataFrame:
        """Give the matching rows of the parts, with their places.

        Args:
            kind: Their kind.
            where: Which of them; all columns are there, Spark reads those that are used.
            numbers: Only those of these parts.
        """
        chosen = tuple(self.numbers(kind, where) if numbers is None else numbers)
        frame = self._frames.get(chosen) if chosen else None
        if frame is None:
            frame = self._frames[chosen] = self._read(kind, chosen)
        return matching(frame, where)

    def run(self, build: Callable[[], DataFrame]) -> pa.Table:
        """Give the rows of a frame; see `tried`."""
        return self.tried(lambda: build().toArrow())

    def tried(self, work: Callable[[], T]) -> T:
        """Do what uses frames of the parts, again when some of these were moved meanwhile.

        Raises:
            StoreError: Parts are gone, or Spark failed.
            CorruptStoreError: A part is damaged; names it.
        """
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        for _ in range(_TRIES):
            try:
                return work()
            except (PySparkException, Py4JError) as error:
                if not is_absent(error):
                    raise self._failed(error) from error
                self._find_again()
        raise self._gone([])

    def _read(self, kind: str, numbers: Sequence[int]) -> DataFrame:
        from pyspark.sql import functions as fn

        if not numbers:
            schema = arrow_schema(kind).append(pa.field(PLACE, pa.int64()))
            nothing = [pa.nulls(0, field.type) for field in schema]  # PySpark wants a chunk each
            return self.session.createDataFrame(pa.Table.from_arrays(nothing, schema=schema))
        names = {self._parts[number].path.rpartition("/")[2]: number for number in numbers}
        known = self.session.createDataFrame(
            pa.table({"_name": list(names), "_number": list(names.values())})
        )
        read = self.session.read.schema(schema_of(kind))
        read = read.option("parquet.page.verify-checksum.enabled", "true")
        frame = read.parquet(*(self._url(self._parts[number]) for number in numbers))
        placed = frame.select(
            *TABLES[kind],
            fn.col("_metadata.file_name").alias("_name"),
            fn.col("_metadata.row_index").alias("_row"),
        ).join(fn.broadcast(known), "_name")
        place = fn.shiftleft(fn.col("_number"), ROW_BITS) + fn.col("_row")
        return placed.select(*TABLES[kind], place.alias(PLACE))

    def _check(self, kind: str, numbers: Iterable[int]) -> None:
        """Verify those parts that are new; what is damaged is a problem, and no part any more."""
        new = [number for number in numbers if number not in self._verified]
        if not new or not self._is_wanted(kind):
            return
        digests = self._digests(new)
        for number in new:
            part = self._parts[number]
            name = part.path.rpartition("/")[2]
            if digests.get(name) == part.sha256:
                self._verified.add(number)
                continue
            del self._parts[number]
            told = "is damaged: its content is not what was written"
            told = told if name in digests else "is missing"
            self.problems.append(f"{self._shown(part)} {told}; restore it from a backup")

    def _is_wanted(self, kind: str) -> bool:
        """Whether the parts of a kind are compared with their digests."""
        if self._verify is not None:
            return self._verify
        parts = self._parts.values()
        return sum(part.size_bytes for part in parts if part.kind == kind) <= VERIFIED_BYTES

    def _digests(self, numbers: list[int]) -> dict[str, str]:
        """Give the SHA-256 of each part's bytes, made on the cluster, by the name of its file."""
        from pyspark.sql import functions as fn

        def build() -> DataFrame:
            found = [number for number in numbers if number in self._parts]
            files = [self._url(self._parts[number]) for number in found]
            read = self.session.read.format("binaryFile").load(files)
            return read.select("path", fn.sha2("content", 256).alias("sha256"))

        try:
            table = self.run(build)
        except _MissingError as error:
            rest = [number for number in numbers if self._parts[number] not in error.parts]
            return self._digests(rest) if rest else {}
        names = [path.rpartition("/")[2] for path in table["path"].to_pylist()]
        return dict(zip(names, table["sha256"].to_pylist(), strict=True))

    def _find_again(self) -> None:
        """Look where the parts are now: a compaction sets aside what it replaced."""
        self._frames.clear()
        olds = {part.path: aside(part.path) for part in self._parts.values()}
        there = self._place.present([*olds, *olds.values()])
        gone = []
        for number, part in self._parts.items():
            if part.path in there:
                continue
            if olds[part.path] in there:
                self._parts[number] = replace(part, path=olds[part.path])
            else:
                gone.append(part)
        if gone:
            raise self._gone(gone)

    def _gone(self, parts: list[Part]) -> StoreError:
        listed = {part.path for part in self._place.moment().manifest.parts}
        if parts and all(part.path in listed for part in parts):
            return _MissingError(
                f"{self._shown(parts[0])} is missing; restore it from a backup", parts
            )
        which = self._shown(parts[0]) if parts else f"a part of {self._place.url}"
        return StoreError(
            f"{which} is gone, compacted or cleaned up meanwhile; refresh the engine and ask again"
        )

    def _failed(self, error: Exception) -> StoreError:
        text = str(error)
        for part in self._parts.values():
            if part.path.rpartition("/")[2] in text:
                return CorruptStoreError(
                    f"{self._shown(part)} cannot be read: {reason(error)}; restore it from a "
                    "backup, or ask with verify=True for what can be said without it"
                )
        return StoreError(f"Spark could not answer: {reason(error)}")

    def _url(self, part: Part) -> str:
        return literal(self._shown(part))

    def _shown(self, part: Part) -> str:
        return f"{self._place.url}/{part.path}"


class _MissingError(CorruptStoreError):
    """Parts that the manifest lists are not there."""

    def __init__(self, told: str, parts: list[Part]) -> None:
        super().__init__(told)
        self.parts = parts


def schema_of(kind: str) -> str:
    """Write the columns of a kind in Spark's words."""
    return ", ".join(f"{name} {TYPES[word]}" for name, word in TABLES[kind].items())


def matching(frame: DataFrame, where: Filter) -> DataFrame:
    """Give the rows that a filter lets pass, with all their columns."""
    from pyspark.sql import functions as fn

    for name, values in where.equal.items():
        frame = frame.where(fn.col(name).isin(list(values)))
    if where.start is not None:
        frame = frame.where(fn.col("timestamp") >= _moment(to_micros(where.start)))
    if where.end is not None:
        frame = frame.where(fn.col("timestamp") <= _moment(to_micros(where.end)))
    return frame


def _moment(micros: int | None) -> Column:
    from pyspark.sql import functions as fn

    return fn.timestamp_micros(fn.lit(micros))


def recorded_until(frame: DataFrame, known_at: datetime) -> DataFrame:
    """Give the operations that were recorded until a time; that is when they began if unknown."""
    from pyspark.sql import functions as fn

    recorded = fn.coalesce(fn.col("recorded_at"), fn.col("timestamp"))
    return frame.where(recorded <= _moment(to_micros(known_at)))
