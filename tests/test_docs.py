"""The code of README, docs and the original description runs; their commands and links exist."""

from __future__ import annotations

import ast
import configparser
import doctest
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from lineage.decorators import set_global_tracker
from tests.pages import blocks, run
from tests.spark import MISSING, is_there

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SEED = ROOT / "tests" / "seed_readme.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]

BARS = pd.DataFrame({"open": [184.2, 185.0], "close": [185.1, 184.8], "volume": [52, 48]})


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty folder, with the examples importable, and leave no tracker behind."""
    for name in [name for name in os.environ if name.startswith("LINEAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    yield
    set_global_tracker(None)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_python_of_a_page_runs(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if "from lineage.spark" in text:
        run_alone(page)
    else:
        assert len(run(page, text, {})) == fences(text)


def run_alone(page: Path) -> None:
    """Run a page in a process of its own, since there is one Spark context in each."""
    if not is_there():
        pytest.skip(MISSING)
    script = (
        "import sys; from pathlib import Path; from tests.pages import run\n"
        "page = Path(sys.argv[1]); print(len(run(page, page.read_text(encoding='utf-8'), {})))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SPARK_LOCAL_IP": "127.0.0.1"}
    command = [sys.executable, "-c", script, str(page)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[-3000:] if done.returncode else "") == (0, "")
    assert int(done.stdout) == fences(page.read_text(encoding="utf-8"))


def fences(text: str) -> int:
    """Count what a reader takes for Python, however it is fenced."""
    return len(re.findall(r"^ *(?:```|~~~)[ {.]*py", text, re.MULTILINE | re.IGNORECASE))


def test_every_page_that_has_python_is_run() -> None:
    folders = [path for path in ROOT.iterdir() if path.name in ("config", "docs", "examples")]
    pages = {*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))}
    with_python = {page for page in pages if fences(page.read_text(encoding="utf-8"))}
    assert len(with_python) >= 10
    assert sorted(with_python - {*PAGES}) == []


def test_a_page_whose_code_is_wrong_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    with pytest.raises(NameError):
        run(page, "```python\nmissing\n```\n", {})
    with pytest.raises(AssertionError):
        run(page, '```python\nprint(1)\n```\n\n```text title="output"\n2\n```\n', {})
    for passed_over in ("```py\nmissing\n```\n", "~~~ Python\nmissing\n~~~\n"):
        assert (len(run(page, passed_over, {})), fences(passed_over)) == (0, 1)


# Examples in docstrings

MODULES = sorted(
    str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    for path in (ROOT / "lineage").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def failures_of(tests: list[doctest.DocTest]) -> list[str]:
    """Run examples; gives what is told of those that fail."""
    told: list[str] = []
    for test in tests:
        doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    return told


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_run(name: str) -> None:
    found = doctest.DocTestFinder().find(importlib.import_module(name))
    tests = [test for test in found if test.examples]
    assert tests
    assert failures_of(tests) == []


def test_an_example_that_is_wrong_fails() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    (told,) = failures_of([wrong])
    assert "Expected:\n    3\nGot:\n    2" in told


def bare_examples(text: str) -> int:
    """Count the docstrings whose examples have no heading: the built page quotes such as prose."""
    documents = [
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    examples = [re.split(r"^ *>>> ", each, maxsplit=1, flags=re.MULTILINE) for each in documents]
    return sum(len(parts) > 1 and not parts[0].rstrip().endswith("Examples:") for parts in examples)


def test_examples_of_the_reference_have_a_heading() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    names = re.findall(r"^::: ([\w.]+)", page, re.MULTILINE)
    places = [ROOT / name.replace(".", "/") for name in names]
    paths = [
        place / "__init__.py" if place.is_dir() else place.with_suffix(".py") for place in places
    ]
    assert len(paths) > 10
    assert {path.name: bare_examples(path.read_text(encoding="utf-8")) for path in paths} == {
        path.name: 0 for path in paths
    }
    assert bare_examples('def f():\n    """Say.\n\n    >>> f()\n    """\n') == 1


# The original description, as its author wrote it


def test_snippets_of_the_original_description_run_as_written(tmp_path: Path) -> None:
    text = SEED.read_text(encoding="utf-8")
    # Nobody can write to /path/to: these two paths, and nothing else, become temporary folders.
    text = text.replace("/path/to/lineage/data", str(tmp_path / "lineage"))
    text = text.replace("/path/to/data", str(tmp_path / "data"))
    configuration = next(block for block in blocks(text) if block.language == "json")
    (tmp_path / "lineage_config.json").write_text(configuration.text, encoding="utf-8")
    aapl = "repository:equity_bars/AAPL"
    names: dict[str, Any] = {
        "df": BARS,
        "node_id": aapl,
        "source_node_id": aapl,
        "target_node_id": (
            "dataframe:repositories.equity_bars.EquityBarRepository.load_symbol_data"
            "[equity_bars/AAPL]#0"
        ),
    }

    printed = run(SEED, text, names)

    pd.testing.assert_frame_equal(names["loaded_data"], BARS)
    assert names["process_data"](2) == 4
    assert names["flow"]["path_found"]
    assert names["lineage"]["root_node"].node_id == aapl
    assert [node.node_id for node in names["repo_sources"]] == [aapl]
    assert names["volume_stats"]["total_operations"] >= 2
    assert names["impact"]["total_downstream_nodes"] == 1
    assert names["dot_graph"].startswith("digraph lineage")
    assert json.loads(names["json_data"])["nodes"]
    assert "DATA LINEAGE SUMMARY REPORT" in names["report"]
    assert names["failed_ops"] == []
    assert names["issues"] == []
    assert any(text.startswith("Downstream impact: 1 nodes") for text in printed)
    assert any(re.match(r"Average read time: [\d.]+ms", text) for text in printed)


def test_variables_of_the_original_description_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from lineage.config import LineageConfig

    exports = [
        line.removeprefix("export ").split("=", 1)
        for block in blocks(SEED.read_text(encoding="utf-8"))
        for line in block.text.splitlines()
        if line.startswith("export ")
    ]
    for name, value in exports:
        monkeypatch.setenv(name, value.strip('"'))
    config = LineageConfig.from_env()
    assert len(exports) == 4
    assert str(config.base_path) == "/data/lineage"
    assert config.enable_persistence
    assert config.track_repository_operations
    assert config.max_graph_nodes == 2000


# The picture of the house


def test_the_architecture_page_shows_the_floors_and_files_that_are_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listing, floors, *_ = [block.text for block in blocks(page)]
    linter = configparser.ConfigParser()
    linter.read(ROOT / ".importlinter", encoding="utf-8")
    assert floors.split() == linter["importlinter:contract:floors"]["layers"].split()
    shown = re.findall(r"(?:^| )(\w+)\.py", listing)
    files = [
        path.stem for folder in ("", "stores") for path in (ROOT / "lineage" / folder).glob("*.py")
    ]
    assert sorted({*files} - {"__main__", *shown}) == []


def test_the_costs_in_the_readme_are_those_of_the_performance_page() -> None:
    found = [
        re.search(
            r"<!-- calls:[^\n]*\n(.*?)<!-- end -->", page.read_text(encoding="utf-8"), re.DOTALL
        )
        for page in (ROOT / "README.md", ROOT / "docs" / "performance.md")
    ]
    readme, performance = (match[1].strip() for match in found if match)
    assert readme in performance


# Commands and links


def _commands(page: Path) -> list[str]:
    return [
        line.removeprefix("$ ")
        for block in blocks(page.read_text(encoding="utf-8"))
        if block.language in ("bash", "sh", "console")
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    ]


def _problem(command: str) -> str | None:
    """Say what is wrong with a command, as far as that can be seen without running it."""
    words = [
        word for word in shlex.split(command, comments=True) if "=" not in word[:20] or "-" in word
    ]
    tool, rest = words[0] if words else "export", words[1:]
    if tool == "make":
        targets = re.findall(
            r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
        )
        return None if set(rest) <= set(targets) else f"no such target among {rest}"
    if tool in ("python", "pytest"):
        files = [word for word in rest if word.endswith(".py")]
        missing = [name for name in files if not (ROOT / name).exists()]
        return f"no such file: {missing}" if missing else None
    if tool == "lineage":
        return _usage_problem(rest)
    return (
        None
        if tool in ("apt-get", "export", "git", "pip", "pre-commit")
        else f"unknown tool {tool}"
    )


def _usage_problem(words: list[str]) -> str | None:
    from typer.main import get_command

    from lineage.cli import app

    found: Any = get_command(app)
    words = list(words)
    options = {name for parameter in found.params for name in (*parameter.opts, "--help")}
    while hasattr(found, "commands"):
        while words and words[0].startswith("-"):
            takes_value = words.pop(0) in ("--store",)
            words = words[1:] if takes_value else words
        if not words:
            return None
        name = words.pop(0)
        if name not in found.commands:
            return f"no command {name!r}"
        found = found.commands[name]
        options |= {option for parameter in found.params for option in parameter.opts}
    unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in options]
    return f"no options {unknown}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_of_a_page_exist(page: Path) -> None:
    wrong = {command: told for command in _commands(page) if (told := _problem(command))}
    assert wrong == {}


def test_a_command_that_is_not_there_is_found() -> None:
    for command in (
        "make nothing",
        "python examples/nothing.py",
        "lineage nothing",
        "lineage log --nothing",
        "nothing",
    ):
        assert _problem(command), command


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose)
    local = [
        target for target in targets if "://" not in target and not target.startswith("mailto")
    ]
    assert [target for target in local if not (page.parent / target).exists()] == []
