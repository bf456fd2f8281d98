"""One call of the command: which store it asks, and in which form it answers."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from lineage.cli.output import Table, note, write_document, write_part
from lineage.cli.progress import working
from lineage.errors import NodeNotFoundError, StoreError
from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from lineage.cli.progress import Bar
    from lineage.config import LineageConfig
    from lineage.query import LineageQueryEngine
    from lineage.stores.base import Store

T = TypeVar("T")
_log = logging.getLogger("lineage.cli")


@dataclass(frozen=True, slots=True)
class Session:
    """What the shared options say.

    Args:
        command: The command's name, such as `graph` or `config show`.
        store: The value of `--store`.
        as_json: Whether to answer with a JSON document.
        as_of: Of which time the answer is: what had begun by then.
        known_at: The same by what was recorded by then.
    """

    command: str
    store: str | None
    as_json: bool
    as_of: datetime | None = None
    known_at: datetime | None = None
    _asked: list[Store] = field(default_factory=list, init=False, repr=False, compare=False)

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
        from lineage.stores.folder import is_empty

        folder = self.folder()
        with self._readable():
            if folder is not None and (not folder.is_dir() or is_empty(folder)):
                shown = redact_text(str(folder))
                reason = f"{shown} is a file, and a store is a folder" if folder.is_file() else ""
                raise StoreError(
                    f"{reason or f'no lineage store at {shown}'}; name one with --store or "
                    "LINEAGE_STORE, or run a tracked program first"
                )
            store = open_store(self.url)
            if hasattr(store, "is_there") and not store.is_there():
                raise StoreError(
                    f"no lineage store at {redact_text(self.url)}; name one with --store or "
                    "LINEAGE_STORE, or run a tracked program first"
                )
            return store

    def working(self, what: str) -> AbstractContextManager[Bar]:
        """Show what is going on to a person who waits at a terminal, and to nobody else."""
        return working(what, is_quiet=self.as_json)

    def ask(self, question: Callable[[LineageQueryEngine], T]) -> T:
        """Answer a question about the store, and say on stderr what of it could not be read."""
        return self.ask_counting(lambda engine, _: question(engine))

    def ask_counting(self, question: Callable[[LineageQueryEngine, Bar], T]) -> T:
        """Answer a question that tells the bar how far it has come; see `ask`."""
        from lineage.query import LineageQueryEngine

        store = self.open()
        self._asked.append(store)
        with self.working("asking the store") as bar:
            show_progress(store, bar.counting("reading the store", "bytes"))
            with self._readable():
                engine = LineageQueryEngine(store, as_of=self.as_of, known_at=self.known_at)
                try:
                    answer = question(engine, bar)
                except NodeNotFoundError:
                    self._check_for_rest(store, engine)
                    raise
                finally:
                    self.warn_of(store)
                self._check_for_rest(store, engine)
                notice = engine.notice
        if notice:  # once the bar is gone, whose line it would else be on
            note(notice)
        return answer

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Say of which store the operating system lets nobody read, and what to do."""
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"cannot read the store at {redact_text(self.url)}: {redact_text(str(error))}; "
                "make it readable, run as its owner, or name another with --store"
            ) from error

    def _check_for_rest(self, store: Store, engine: LineageQueryEngine) -> None:
        """Answer nothing out of a store with damage and nothing else."""
        damaged = getattr(store, "problems", ())
        if self.as_of or self.known_at:
            return
        if damaged and not len(engine.graph) and not len(engine.operations):
            raise StoreError(
                f"nothing of the store at {redact_text(self.url)} can be read; restore it from a "
                "backup, or see what is left of it: lineage doctor"
            )

    def warn_of(self, store: Store) -> None:
        """Say on stderr what of the store could not be read."""
        for problem in getattr(store, "problems", ()):
            _log.warning("%s", problem)

    def problems(self) -> list[str]:
        """Say what of the stores that were asked could not be read so far."""
        return [text for store in self._asked for text in getattr(store, "problems", ())]

    def show(self, data: Any, *parts: str | Table) -> None:
        """Write the answer: the data as a JSON document, or else the parts for people."""
        if self.as_json:
            write_document(self.command, data, self.problems)
            return
        for number, part in enumerate(parts):
            write_part(part, is_first=number == 0)


def show_progress(store: Store, tell: Callable[[int, int], None]) -> None:
    """Let a store say how much of it has been read, if it can."""
    if hasattr(store, "progress"):
        store.progress = tell
