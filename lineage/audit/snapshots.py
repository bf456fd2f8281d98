"""Snapshots: a graph frozen with the metadata of its project, never changed, only superseded."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import msgspec

from lineage.audit import snapshot_answers as answers
from lineage.audit.snapshot_checks import verify
from lineage.audit.snapshot_difference import difference
from lineage.audit.snapshot_files import FOLDER, SnapshotFolder, canonical, line_of
from lineage.audit.snapshot_graph import holds_secret, parts_of, stamp
from lineage.audit.snapshot_shapes import Document, ProjectMetadata
from lineage.audit.snapshot_versions import decode, project_uid
from lineage.errors import (
    ConfigError,
    CorruptStoreError,
    OperationError,
    SnapshotError,
    SnapshotNotFoundError,
    StoreError,
)
from lineage.redact import redact_text
from lineage.stores.past import PastStore
from lineage.view import View, store_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from lineage.audit.snapshot_checks import Verified
    from lineage.audit.snapshot_difference import Difference
    from lineage.audit.snapshot_files import Stored
    from lineage.stores.base import Store

_LEAST_DIGITS = 4


class KnownSnapshot(TypedDict):
    """What is known of a snapshot; `superseded_by` and `children` follow from the others."""

    snapshot_id: str
    project: str
    pipeline: str
    version: int
    run_uid: str | None
    as_of: str | None
    user_tag: str
    created_at: str
    supersedes: str | None
    superseded_by: str | None
    parent: str | None
    children: list[str]
    total_runs: int
    total_nodes: int
    total_edges: int


class Snapshot(NamedTuple):
    """A snapshot: what is known of it, and the document, of which nothing can be changed."""

    known: KnownSnapshot
    document: Document

    @property
    def id(self) -> str:
        """The SHA-256 of its bytes."""
        return self.known["snapshot_id"]


class Snapshots:
    """Freeze graphs of a store, and ask what was frozen.

    Args:
        source: A tracker, a store, or the path or URL of a store.
        folder: Where the snapshots lie; in the folder of the store when None.

    Attributes:
        folder: The same.
        problems: What could not be read for the last answer, a text each; with any, it is not
            whole.

    Raises:
        ConfigError: The store has no folder of its own on this host, and none is given.
    """

    def __init__(self, source: Any, *, folder: str | os.PathLike[str] | None = None) -> None:
        self._store = store_of(source)
        self._publish = getattr(source, "publish", None)  # a tracker tells its subscribers
        self.folder = _folder_of(self._store) if folder is None else Path(folder)
        self.problems: list[str] = []
        self._files = SnapshotFolder(self.folder)

    def create(
        self,
        project: str,
        pipeline: str | None = None,
        *,
        run: str | None = None,
        as_of: datetime | None = None,
        description: str = "",
        user_tag: str = "",
        owner: str = "",
        parent: str | None = None,
    ) -> Snapshot:
        """Freeze the graph of a run, or of the whole store, as the next version of a pipeline.

        Args:
            project: The name of the project.
            pipeline: The name of the pipeline; that of the run, or `all`, when None.
            run: The id of the run, or the beginning of no other's; the whole store when None.
            as_of: Only what had begun by then; see `LineageQueryEngine`.
            description: What it is for.
            user_tag: A word to find it by.
            owner: Who is responsible.
            parent: The snapshot that it goes on from; the version before it when None.

        Returns:
            The snapshot, once it is where a power cut does not reach it. Of a tracker's store the
            tracker's subscribers are told, too (`snapshot.created`).

        Raises:
            OperationError: There is no such run.
            SnapshotError: It does not follow the schemas, or there is no such parent.
            StoreError: The store cannot be read as a whole, or the folder not be written.
        """
        view = View(self._store if as_of is None else PastStore(self._store, as_of=as_of), None)
        run_uid = None if run is None else _run_id(view, run)
        of_run = view.runs[run_uid]["name"] if run_uid is not None else None
        name = redact_text(pipeline or of_run or "all")
        told = ProjectMetadata(
            uid=project_uid(redact_text(project)),
            project_name=redact_text(project),
            description=redact_text(description),
            user_tag=redact_text(user_tag),
            owner=redact_text(owner),
        )
        before = None if parent is None else self._find(parent).id
        parts = parts_of(view, told.uid, name, run_uid)
        if problems := view.problems():
            raise StoreError(f"a snapshot would not be whole: {'; '.join(problems)}")

        def make(newest: Stored | None) -> bytes:
            document = Document(
                schema="urn:track-lineage:schema:snapshot:2",
                version=1 if newest is None else newest.version + 1,
                supersedes=newest and newest.id,
                parent=before or (newest and newest.id),
                created_at=stamp(datetime.now(UTC)) or "",
                as_of=stamp(as_of),
                run_uid=run_uid,
                pipeline_name=name,
                project=told,
                **parts._asdict(),
            )
            data = canonical(msgspec.to_builtins(document))
            decode(data)
            return data

        return self._new(self._files.put(line_of(told.uid, name), make))

    def accept(self, document: bytes | str | Mapping[str, Any]) -> Snapshot:
        """Take a snapshot that was exported elsewhere, or written by hand, of any version.

        Its canonical form is what is kept, and that of an exported one has the same id again.

        Args:
            document: JSON, or what JSON would give.

        Raises:
            SnapshotError: It does not follow the schemas, or it is not the version that comes next
                of its project and pipeline here.
        """
        if isinstance(document, str | bytes):
            try:
                document = msgspec.json.decode(document)
            except msgspec.DecodeError as error:
                raise SnapshotError(f"it is no snapshot: {error}") from error
        data = canonical(document)
        new = decode(data)
        if holds_secret(document):
            raise SnapshotError("a secret is in it, which is not kept; take it out")
        line = line_of(new.project.uid, new.pipeline_name)

        def make(newest: Stored | None) -> bytes:
            if new.version != (newest.version + 1 if newest else 1):
                raise SnapshotError(
                    f"it is version {new.version} of {new.project.project_name}/"
                    f"{new.pipeline_name}, of which the newest here is "
                    f"{newest.version if newest else 'none'}; take them in their order"
                )
            if new.supersedes != (newest and newest.id):
                raise SnapshotError(
                    f"it supersedes {new.supersedes}, and the version before it here is "
                    f"{newest and newest.id}; take it into a folder of its own"
                )
            return data

        return self._new(self._files.put(line, make))

    def find(
        self,
        project: str | None = None,
        pipeline: str | None = None,
        *,
        run: str | None = None,
        user_tag: str | None = None,
    ) -> list[KnownSnapshot]:
        """List snapshots, the newest last, those of a project, pipeline, run and tag or all."""
        everything = list(self._documents())
        found = _known(everything)
        chosen = _chosen(everything, project, pipeline, run, user_tag)
        return sorted(
            (found[stored.id] for stored, _ in chosen),
            key=lambda known: (known["created_at"], known["version"]),
        )

    def get(self, asked: str) -> Snapshot:
        """Give a snapshot.

        Args:
            asked: Its id, the beginning of no other's, `PROJECT/PIPELINE` for the newest version,
                or `PROJECT/PIPELINE@VERSION`.

        Raises:
            SnapshotNotFoundError: There is none, or more than one.
            CorruptStoreError: It is not what was written.
        """
        stored = self._find(asked)
        _, document = self._files.read(stored)
        return Snapshot(_known([*self._documents()])[stored.id], document)

    def export(self, asked: str) -> bytes:
        """Give the bytes of a snapshot, as they were written; `accept` takes them elsewhere."""
        return self._files.read(self._find(asked))[0]

    def diff(self, a: str, b: str) -> Difference:
        """Compare two snapshots; see `get` for how to name them."""
        (_, old), (_, new) = ends = self.get(a), self.get(b)
        return difference((ends[0].id, old), (ends[1].id, new))

    def verify(self) -> Verified:
        """Read every byte of the folder, and say what is not as it was written."""
        return verify(self._files)

    def get_projects(self, user_tag: str | None = None) -> list[answers.Row]:
        """List projects: uid, project_name, description, user_tag, owner."""
        return answers.projects(self._some(user_tag=user_tag))

    def get_pipelines(
        self, project_name: str | None = None, user_tag: str | None = None
    ) -> list[str]:
        """List the names of pipelines, of a project or of all."""
        return answers.pipelines(self._some(project_name, user_tag=user_tag))

    def get_projects_with_pipelines(self) -> list[answers.Pipelines]:
        """List projects with their pipelines, and how many runs of each there are."""
        return answers.projects_with_pipelines(self._some())

    def get_runs(
        self,
        project_name: str | None = None,
        pipeline_name: str | None = None,
        user_tag: str | None = None,
    ) -> list[answers.Row]:
        """List runs, as records of `transform_run`."""
        return answers.runs(self._some(project_name, pipeline_name, user_tag=user_tag))

    def get_nodes(
        self,
        project_name: str | None = None,
        pipeline_name: str | None = None,
        run_uid: str | None = None,
        user_tag: str | None = None,
    ) -> list[answers.Row]:
        """List nodes, as records of `transform_node`."""
        some = self._some(project_name, pipeline_name, run_uid, user_tag)
        return answers.nodes(some, run_uid)

    def get_dag(
        self,
        project_name: str | None = None,
        pipeline_name: str | None = None,
        run_uid: str | None = None,
        user_tag: str | None = None,
    ) -> answers.Dag:
        """Give nodes, and all edges that touch any of them: `{"nodes": […], "edges": […]}`."""
        some = self._some(project_name, pipeline_name, run_uid, user_tag)
        return answers.dag(some, run_uid)

    def _some(
        self,
        project: str | None = None,
        pipeline: str | None = None,
        run: str | None = None,
        user_tag: str | None = None,
    ) -> list[Document]:
        chosen = _chosen(list(self._documents()), project, pipeline, run, user_tag)
        return [document for _, document in chosen]

    def _documents(self) -> Iterator[tuple[Stored, Document]]:
        """Yield what can be read, and keep what cannot as problems."""
        self.problems = []
        for stored in self._files.stored():
            try:
                _, document = self._files.read(stored)
            except (CorruptStoreError, OSError) as error:
                self.problems.append(str(error))
                continue
            yield stored, document

    def _new(self, stored: Stored) -> Snapshot:
        """Give what was just written, as it is read."""
        _, document = self._files.read(stored)
        made = Snapshot(_known([(stored, document)])[stored.id], document)
        if self._publish is not None:
            self._publish("snapshot.created", made)
        return made

    def _find(self, asked: str) -> Stored:
        stored = list(self._files.stored())
        is_digits = len(asked) >= _LEAST_DIGITS and not asked.strip("0123456789abcdef")
        found = [each for each in stored if is_digits and each.id.startswith(asked)]
        if not found:
            found = _named(self._documents(), asked)
        if len(found) == 1:
            return found[0]
        if found:
            raise SnapshotNotFoundError(
                f"{len(found)} snapshots are called {asked!r}; give more digits"
            )
        raise SnapshotNotFoundError(
            f"no snapshot {asked!r} among {len(stored)} in {self.folder}; list them with "
            "`lineage snapshot list`"
        )


def _folder_of(store: Store) -> Path:
    base = getattr(store, "base_path", None)
    if base is None or hasattr(store, "url"):  # a bucket has a folder where its records wait
        raise ConfigError(
            f"snapshots of a {type(store).__name__} need a folder of their own: give one, "
            "`folder=` or `--folder`; only a store in a folder has a place for them"
        )
    return Path(base) / FOLDER


def _run_id(view: View, asked: str) -> str:
    if asked in view.runs:
        return asked
    found = [name for name in view.runs if asked and name.startswith(asked)]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} runs begin with" if found else f"{len(view.runs)} runs are known, none is"
    raise OperationError(f"{what} {asked!r}; list them with `lineage runs`")


def _named(documents: Iterator[tuple[Stored, Document]], asked: str) -> list[Stored]:
    """Find the newest version of `PROJECT/PIPELINE`, or `PROJECT/PIPELINE@VERSION`."""
    found: dict[str, Stored] = {}
    for stored, document in documents:
        name = f"{document.project.project_name}/{document.pipeline_name}"
        if asked == f"{name}@{stored.version}":
            return [stored]
        if asked == name and (name not in found or found[name].version < stored.version):
            found[name] = stored
    return list(found.values())


def _chosen(
    everything: list[tuple[Stored, Document]],
    project: str | None,
    pipeline: str | None,
    run: str | None,
    user_tag: str | None,
) -> Iterator[tuple[Stored, Document]]:
    for stored, document in everything:
        if (
            project in (None, document.project.project_name)
            and pipeline in (None, document.pipeline_name)
            and user_tag in (None, document.project.user_tag)
            and (run is None or any(each.uid == run for each in document.runs))
        ):
            yield stored, document


def _known(documents: list[tuple[Stored, Document]]) -> dict[str, KnownSnapshot]:
    """Say what is known of each, by id; who supersedes or follows it is read in the others."""
    found: dict[str, KnownSnapshot] = {
        stored.id: {
            "snapshot_id": stored.id,
            "project": document.project.project_name,
            "pipeline": document.pipeline_name,
            "version": document.version,
            "run_uid": document.run_uid,
            "as_of": document.as_of,
            "user_tag": document.project.user_tag,
            "created_at": document.created_at,
            "supersedes": document.supersedes,
            "superseded_by": None,
            "parent": document.parent,
            "children": [],
            "total_runs": len(document.runs),
            "total_nodes": len(document.nodes),
            "total_edges": len(document.edges),
        }
        for stored, document in documents
    }
    for name, known in found.items():
        if known["supersedes"] in found:
            found[known["supersedes"]]["superseded_by"] = name
        if known["parent"] in found:
            found[known["parent"]]["children"].append(name)
    return found
