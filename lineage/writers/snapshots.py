"""Freeze each run as a snapshot when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os


class SnapshotWriter:
    """Make a snapshot of every run that ends, the next version of its pipeline.

    The pipeline has the name of the run. The snapshot is there when the `with` statement of the run
    is over; the tracker then tells its other subscribers (`snapshot.created`).

    Args:
        project: The name of the project.
        description: What it is for.
        user_tag: A word to find its snapshots by.
        owner: Who is responsible.
        folder: Where the snapshots lie; in the folder of the tracker's store when None.

    Examples:
        >>> import tempfile
        >>> import lineage
        >>> tracker = lineage.init(tempfile.mkdtemp())
        >>> take_off = tracker.add_writer(SnapshotWriter("sales"))
        >>> stop = tracker.subscribe("snapshot.created", lambda made: print(made.known["version"]))
        >>> for _ in range(2):
        ...     with lineage.track("nightly", capture=False):
        ...         pass
        1
        2
    """

    def __init__(
        self,
        project: str,
        *,
        description: str = "",
        user_tag: str = "",
        owner: str = "",
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self._project = project
        self._about: dict[str, Any] = {
            "description": description,
            "user_tag": user_tag,
            "owner": owner,
        }
        self._folder = folder

    def write(self, event: str, subject: Any) -> None:
        """Freeze a run that has ended.

        Raises:
            LineageError: It cannot be frozen; the tracker counts that in `undelivered`.
        """
        if event == "run.ended":
            from lineage.audit.snapshots import Snapshots

            snapshots = Snapshots(subject.tracker, folder=self._folder)
            snapshots.create(self._project, run=subject.run_id, **self._about)
