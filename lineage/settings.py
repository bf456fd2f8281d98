"""How a tracker behaves, as it is told by whoever makes it, and which stores there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Durability: TypeAlias = Literal["buffered", "process", "power", "remote"]


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How a store keeps what is recorded.

    Args:
        durability: What a record survives once the call that made it has returned. `buffered`:
            nothing, what is in memory may be lost; `process`: the death of the process; `power`:
            a power cut; `remote`: the loss of this host, once the database has answered in time.
        background_sealing: Start a process that seals, while this one runs, what is full.
        max_journal_bytes: How much may wait to be sealed; at the limit operations are refused and
            counted as lost.
    """

    durability: Durability = "process"
    background_sealing: bool = True
    max_journal_bytes: int = 4 << 30


REPLAY_VARIABLE = "LINEAGE_REPLAY_INTO"
"""Where a program that is replayed keeps its records, whatever its code and its options say."""
DATASETS_VARIABLE = "LINEAGE_DATASETS"
"""Names the folder of datasets and models, or the URL of their database."""
STORES = {
    "abfs": "lineage.stores.remote:open_remote",
    "abfss": "lineage.stores.remote:open_remote",
    "az": "lineage.stores.remote:open_remote",
    "console": "lineage.stores.console:open_console",
    "file": "lineage.stores.parquet:open_parquet",
    "gs": "lineage.stores.remote:open_remote",
    "http": "lineage.client.store:open_server",
    "https": "lineage.client.store:open_server",
    "mariadb": "lineage.stores.sql:open_sql",
    "memory": "lineage.stores.memory:open_memory",
    "mysql": "lineage.stores.sql:open_sql",
    "parquet": "lineage.stores.parquet:open_parquet",
    "postgres": "lineage.stores.sql:open_sql",
    "postgresql": "lineage.stores.sql:open_sql",
    "s3": "lineage.stores.remote:open_remote",
    "sqlite": "lineage.stores.sql:open_sql",
    "tee": "lineage.stores.tee:open_tee",
}
"""The stores that come with the package: by the scheme of a URL, what opens it."""

STORE_GROUP = "lineage.stores"
"""The entry-point group of the stores of others."""


FINGERPRINT_MAX_BYTES = 64 << 20
GIT_TIMEOUT_S = 2.0
GIT_DIFF_MAX_BYTES = 256 << 10
ENVIRONMENT_VARIABLES = (
    *("CONDA_DEFAULT_ENV", "CUDA_VISIBLE_DEVICES", "LANG", "LC_ALL", "MKL_NUM_THREADS"),
    *("OMP_NUM_THREADS", "PYTHONHASHSEED", "PYTHONOPTIMIZE", "SOURCE_DATE_EPOCH", "TZ"),
)
"""Variables that change what a program computes, and hold no secrets."""


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """How a tracker behaves; a tracker built by hand reads no environment.

    Args:
        enabled: Record anything at all.
        enabled_types: Operation types that are recorded; all when None.
        track_repositories: Record operations of tracked repositories.
        track_dataframes: Link the frames that go into and come out of operations.
        track_files: Take paths given to reading and writing functions as data sources.
        fingerprint_max_bytes: Files up to this size are known by their content, larger ones by
            their size, time and inode.
        git_timeout_s: Most seconds to ask git which commit ran; 0 asks it nothing.
        git_diff_max_bytes: The longest diff of uncommitted changes that is kept; 0 keeps none.
        environment_variables: Names of those that are recorded with the process; the values of
            others are known by a keyed hash.
        redact_names: More names whose values are secrets; `*` stands for any characters. They are
            secrets in the whole process, for other trackers too.
        redact_patterns: Regular expressions for what is a secret in any text, in the same way.
        max_parameter_size: Most characters kept of one parameter.
        max_metadata_size: Most characters kept of a source's metadata, an operation's context
            or an error's text.
        max_operations: Most operations held in memory.
        repository_settings: By dataset name: `track_all_operations` and `enable_volume_tracking`,
            both true unless said otherwise.
        retention_hours: Age at which closing removes records; never when None.
        exit_timeout_s: Most seconds to take for sealing when the program ends; the rest stays in
            the journal.
    """

    enabled: bool = True
    enabled_types: frozenset[str] | None = None
    track_repositories: bool = True
    track_dataframes: bool = True
    track_files: bool = True
    fingerprint_max_bytes: int = FINGERPRINT_MAX_BYTES
    git_timeout_s: float = GIT_TIMEOUT_S
    git_diff_max_bytes: int = GIT_DIFF_MAX_BYTES
    environment_variables: tuple[str, ...] = ENVIRONMENT_VARIABLES
    redact_names: tuple[str, ...] = ()
    redact_patterns: tuple[str, ...] = ()
    max_parameter_size: int = 1000
    max_metadata_size: int = 5000
    max_operations: int = 100_000
    repository_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    retention_hours: float | None = None
    exit_timeout_s: float = 10.0

    def allows(self, operation_type: str) -> bool:
        """Tell whether operations of a type are recorded."""
        return self.enabled and (self.enabled_types is None or operation_type in self.enabled_types)
