"""One call of the command: which store it asks, and in which form it answers."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lineage.cli.output import Table, note, write_document, write_part
from lineage.errors import StoreError
from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lineage.config import LineageConfig
    from lineage.query import LineageQueryEngine
    from lineage.stores.base import Store

T = TypeVar("T")
PROGRESS_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Session:
    """What the shared options say.

    Args:
        command: The command's name, such as `graph` or `config show`.
        store: The value of `--store`.
        as_json: Whether to answer with a JSON document.
    """

    command: str
    store: str | None
    as_json: bool

    @property
    def config(self) -> LineageConfig:
        """The settings of the environment and the files."""
        from lineage.config import get_config

        return get_config()

    @property
    def url(self) -> str:
        """The store: the option, else what the settings say."""
        if self.store:
            return self.store
        config = self.config
        return config.store or str(config.base_path)

    def folder(self) -> Path | None:
        """Give the store's folder; None when it is not one on disk."""
        from lineage.stores.base import path_of, scheme_of

        return path_of(self.url) if scheme_of(self.url) in {"file", "parquet"} else None

    def open(self) -> Store:
        """Open a store that is there.

        Raises:
            StoreError: There is none.
        """
        from lineage.stores.base import open_store
        from lineage.stores.sealing import is_empty

        folder = self.folder()
        if folder is not None and (not folder.is_dir() or is_empty(folder)):
            raise StoreError(
                f"no lineage store at {redact_text(str(folder))}; name one with --store or "
                "LINEAGE_STORE, or run a tracked program first"
            )
        return open_store(self.url)

    def ask(self, question: Callable[[LineageQueryEngine], T]) -> T:
        """Answer a question about the store, and say on stderr what of it could not be read."""
        from lineage.query import LineageQueryEngine

        store = self.open()
        with working("asking the store"):
            answer = question(LineageQueryEngine(store))
        self.warn_of(store)
        return answer

    def warn_of(self, store: Store) -> None:
        """Say on stderr what of the store could not be read."""
        for problem in getattr(store, "problems", ()):
            note(f"warning: {problem}")

    def show(self, data: Any, *parts: str | Table) -> None:
        """Write the answer: the data as a JSON document, or else the parts for people."""
        if self.as_json:
            write_document(self.command, data)
            return
        for number, part in enumerate(parts):
            write_part(part, is_first=number == 0)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal that something is going on, when it takes more than a second."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    status = Console(stderr=True).status(what)
    timer = threading.Timer(PROGRESS_AFTER_S, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()
