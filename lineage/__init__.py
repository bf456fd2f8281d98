"""Decorator-driven data lineage with a columnar metadata store.

>>> import lineage
>>> tracker = lineage.init("memory://")
>>> @lineage.track_lineage
... def double(values):
...     return [2 * value for value in values]
>>> double([1, 2])
[2, 4]
>>> [operation.code_name for operation in tracker.operations.values()]
['double']

Importing this module imports nothing else: each name loads what it needs when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lineage.audit.trail import GitTrail
    from lineage.calendars import FreshnessLimit
    from lineage.captured import column_lineage, source
    from lineage.client.client import Client
    from lineage.client.store import RemoteStore
    from lineage.config import LineageConfig, get_config
    from lineage.core import ColumnEdge, DataOperation, DataSource, LineageNode, OperationType
    from lineage.datasets.dataset import Dataset, list_datasets
    from lineage.datasets.model import Model, list_models
    from lineage.decorators import track_lineage, track_repository_operation
    from lineage.errors import (
        ConfigError,
        CorruptStoreError,
        GittrailError,
        IncompleteHistoryError,
        IntegrityError,
        LineageError,
        MissingDependencyError,
        NodeNotFoundError,
        OperationError,
        ProductError,
        StoreError,
        UncleanGitStatusError,
        UnknownCommitError,
    )
    from lineage.events import EventBus
    from lineage.graph import LineageGraph
    from lineage.purity import pure
    from lineage.query import LineageQueryEngine
    from lineage.repositories import TrackedRepository
    from lineage.run import Run, autotrack, init, stop_autotrack, track
    from lineage.settings import TrackerSettings
    from lineage.stores.base import open_store
    from lineage.stores.copying import copy_store
    from lineage.stores.memory import MemoryStore
    from lineage.stores.parquet import LineageMetadataRepository
    from lineage.tracker import LineageTracker, get_global_tracker, set_global_tracker
    from lineage.verifying import verify
    from lineage.visualizer import LineageVisualizer
    from lineage.writers.console import ConsoleWriter
    from lineage.writers.snapshots import SnapshotWriter
    from lineage.writers.walacor import WalacorWriter
    from lineage.writers.walacor_reader import WalacorReader

__version__ = "0.1.0"

_HOMES = {
    "audit.trail": ("GitTrail",),
    "calendars": ("FreshnessLimit",),
    "captured": ("column_lineage", "source"),
    "config": ("LineageConfig", "get_config"),
    "core": ("ColumnEdge", "DataOperation", "DataSource", "LineageNode", "OperationType"),
    "client.client": ("Client",),
    "client.store": ("RemoteStore",),
    "datasets.dataset": ("Dataset", "list_datasets"),
    "datasets.model": ("Model", "list_models"),
    "decorators": ("track_lineage", "track_repository_operation"),
    "errors": (
        "ConfigError",
        "CorruptStoreError",
        "GittrailError",
        "IncompleteHistoryError",
        "IntegrityError",
        "LineageError",
        "MissingDependencyError",
        "NodeNotFoundError",
        "OperationError",
        "ProductError",
        "StoreError",
        "UncleanGitStatusError",
        "UnknownCommitError",
    ),
    "events": ("EventBus",),
    "graph": ("LineageGraph",),
    "purity": ("pure",),
    "query": ("LineageQueryEngine",),
    "repositories": ("TrackedRepository",),
    "run": ("Run", "autotrack", "init", "stop_autotrack", "track"),
    "settings": ("TrackerSettings",),
    "stores.base": ("open_store",),
    "stores.copying": ("copy_store",),
    "stores.memory": ("MemoryStore",),
    "stores.parquet": ("LineageMetadataRepository",),
    "tracker": ("LineageTracker", "get_global_tracker", "set_global_tracker"),
    "verifying": ("verify",),
    "visualizer": ("LineageVisualizer",),
    "writers.console": ("ConsoleWriter",),
    "writers.snapshots": ("SnapshotWriter",),
    "writers.walacor": ("WalacorWriter",),
    "writers.walacor_reader": ("WalacorReader",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
# `%load_ext lineage` calls these; nobody else does.
_HOME_OF |= dict.fromkeys(("load_ipython_extension", "unload_ipython_extension"), "notebook")

__all__ = [
    "init",
    "track",
    "autotrack",
    "stop_autotrack",
    "source",
    "column_lineage",
    "verify",
    "pure",
    "track_lineage",
    "track_repository_operation",
    "TrackedRepository",
    "LineageTracker",
    "TrackerSettings",
    "Run",
    "get_global_tracker",
    "set_global_tracker",
    "DataOperation",
    "DataSource",
    "LineageNode",
    "OperationType",
    "ColumnEdge",
    "LineageMetadataRepository",
    "MemoryStore",
    "open_store",
    "copy_store",
    "LineageQueryEngine",
    "LineageGraph",
    "LineageVisualizer",
    "Client",
    "Dataset",
    "Model",
    "list_datasets",
    "list_models",
    "GitTrail",
    "EventBus",
    "ConsoleWriter",
    "SnapshotWriter",
    "WalacorWriter",
    "WalacorReader",
    "FreshnessLimit",
    "LineageConfig",
    "get_config",
    "ConfigError",
    "CorruptStoreError",
    "GittrailError",
    "IncompleteHistoryError",
    "IntegrityError",
    "LineageError",
    "MissingDependencyError",
    "NodeNotFoundError",
    "OperationError",
    "ProductError",
    "RemoteStore",
    "StoreError",
    "UncleanGitStatusError",
    "UnknownCommitError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used (PEP 562)."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
