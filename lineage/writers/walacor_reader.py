"""Ask a Walacor backend what it has: projects, pipelines, runs, nodes, their graph, and files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.writers import walacor_answers as answers
from lineage.writers.walacor_client import WalacorClient
from lineage.writers.walacor_schemas import FILE

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from lineage.writers.walacor_client import Row


class WalacorReader:
    """Ask a Walacor backend, whoever wrote what is there.

    It writes nothing and keeps no outbox. Answers have the shapes of Walacor's own tracker; rows
    are those of the backend, each as it is now. Each question is asked anew.

    Args:
        server: The address under which `auth/login` lies.
        username: Who logs in.
        password: It is held in memory only.

    Raises:
        ConfigError: The address cannot be used.
        MissingDependencyError: httpx is not installed.

    Examples:
        >>> WalacorReader("http://127.0.0.1:9/api", "lena", "secret")
        WalacorReader('http://127.0.0.1:9/api')
    """

    def __init__(self, server: str, username: str, password: str) -> None:
        self._client = WalacorClient(server, username, password)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client.server!r})"

    def get_projects(self, user_tag: str | None = None) -> list[Row]:
        """List projects: uid, project_name, description, user_tag.

        Raises:
            StoreError: The backend cannot be asked; so with all questions.
        """
        return answers.projects(self._client, None, user_tag)

    def get_pipelines(self) -> list[str]:
        """List the names of pipelines."""
        return answers.pipelines(self._client, None, None)

    def get_pipelines_for_project(
        self, project_name: str, *, user_tag: str | None = None
    ) -> list[str]:
        """List the names of a project's pipelines."""
        return answers.pipelines(self._client, project_name, user_tag)

    def get_projects_with_pipelines(self) -> list[Row]:
        """List projects with their pipelines, and how many runs of each there are."""
        return answers.projects_with_pipelines(self._client)

    def get_runs(
        self,
        project_name: str | None = None,
        pipeline_name: str | None = None,
        *,
        user_tag: str | None = None,
    ) -> list[Row]:
        """List runs, as rows of the backend, oldest first."""
        return answers.runs(self._client, project_name, pipeline_name, user_tag)

    def get_nodes(
        self,
        project_name: str | None = None,
        pipeline_name: str | None = None,
        run_uid: str | None = None,
        user_tag: str | None = None,
    ) -> list[Row]:
        """List nodes, as rows of the backend, oldest first."""
        known = None if run_uid is None else self._known_run(run_uid)
        return answers.nodes(self._client, project_name, pipeline_name, known, user_tag)

    def get_dag(
        self,
        project_name: str | None = None,
        pipeline_name: str | None = None,
        run_uid: str | None = None,
        user_tag: str | None = None,
    ) -> answers.Dag:
        """Give nodes, and all edges that touch any of them: `{"nodes": […], "edges": […]}`."""
        found = self.get_nodes(project_name, pipeline_name, run_uid, user_tag)
        return answers.dag(self._client, found)

    def get_complex(self, etid: int, pipeline: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Have the backend carry out a pipeline in the manner of MongoDB, over the newest versions.

        Which stages it knows is the backend's.

        Args:
            etid: The type of the rows to begin with: 20000 projects, 20001 nodes, 20002 edges,
                20003 runs, 17 files.
            pipeline: Its stages, such as `{"$match": {…}}` and `{"$group": {…}}`.

        Raises:
            StoreError: The backend cannot be asked, or does not take the pipeline.
        """
        return self._client.complex_rows(etid, pipeline)

    def get_files(self, uid: str | None = None) -> list[Row]:
        """List files that are stored there, as rows of the backend, oldest first."""
        return answers.by_age(self._client.rows(FILE, {} if uid is None else {"UID": uid}))

    def download_file(self, uid: str, target: str | os.PathLike[str]) -> Path:
        """Fetch a file, whole or not at all; what is at `target` is replaced.

        Where it goes never depends on what the backend calls it.

        Args:
            uid: Its UID.
            target: The path of the file to write.

        Raises:
            StoreError: The backend cannot be asked, has not got it, or did not send all of it.
        """
        return self._client.download(uid, Path(target))

    def _known_run(self, run_uid: str) -> str:
        """Give the UID of a run."""
        return run_uid
