"""The house: what importing costs, what is public, who imports whom, and how long things are."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lineage

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lineage"
FILES = sorted(PACKAGE.rglob("*.py"))
STDLIB = set(sys.stdlib_module_names)


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_START": ""},
    )
    return done.stdout.split()


def loaded_by(code):
    return set(run(f"{code}\nimport sys\nprint(*sys.modules)"))


def test_importing_loads_nothing_of_others_and_little_of_python():
    baseline = loaded_by("pass")
    modules = loaded_by("import lineage")
    theirs = {name.partition(".")[0] for name in modules - baseline} - STDLIB - {"lineage"}
    assert not theirs
    assert len(modules) <= 120


def test_the_check_would_see_a_heavy_import():
    assert "numpy" in loaded_by("import lineage.graph")


def test_tracking_loads_no_heavy_library():
    heavy = {"pandas", "polars", "pyarrow", "networkx", "pydantic", "scipy", "graphviz", "rich"}
    modules = loaded_by(
        """
from lineage import LineageTracker, set_global_tracker, track_lineage
set_global_tracker(LineageTracker())

@track_lineage
def double(value):
    return 2 * value

double(2)
"""
    )
    # The memory store derives rows with Arrow when they are read; nothing has been read here.
    assert not {name.partition(".")[0] for name in modules} & heavy


def test_public_is_what_the_front_door_lists():
    assert len(set(lineage.__all__)) == len(lineage.__all__)
    assert sorted(dir(lineage)) == sorted(lineage.__all__)
    listed = {name for names in lineage._HOMES.values() for name in names}
    assert listed | {"__version__"} == set(lineage.__all__)
    for name in lineage.__all__:
        assert getattr(lineage, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lineage.nothing  # noqa: B018 - reading it is the test


def test_the_names_for_type_checkers_are_the_same():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    checked = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lineage")
        for alias in node.names
    }
    assert checked | {"__version__"} == set(lineage.__all__)


# --- who imports whom ----------------------------------------------------------------------------


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(node):
    test = node.test if isinstance(node, ast.If) else None
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


def statements(node):
    """Yield every statement that may run, however deep and however late."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            for other in child.orelse:
                yield from statements(other)
            continue
        yield child
        yield from statements(child)


def imports_of(tree, name, modules):
    package = name if name in {module.rpartition(".")[0] for module in modules} else None
    for node in statements(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = (package or name.rpartition(".")[0]).split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            targets = [f"{base}.{alias.name}" for alias in node.names]
            targets = [each if each in modules else base for each in targets]
        else:
            continue
        yield from (target for target in targets if target in modules and target != name)


def import_graph(sources):
    trees = {name: ast.parse(text) for name, text in sources.items()}
    return {name: set(imports_of(tree, name, set(trees))) for name, tree in trees.items()}


def rings(graph):
    """Give the strongly connected groups of more than one module (Tarjan, 1972)."""
    index, low, stack, found, counter = {}, {}, [], [], iter(range(10**6))

    def visit(node):
        index[node] = low[node] = next(counter)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = {stack.pop()}
            while node not in group:
                group.add(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_no_modules_import_one_another_not_even_late():
    graph = import_graph({module_name(path): path.read_text() for path in FILES})
    # The front door names every module and is imported by none but its doors.
    assert rings(graph) == []


def test_the_check_would_see_a_late_ring():
    ring = {
        "a": "def f():\n    from b import g\n",
        "b": "if True:\n    import a\n",
        "c": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import d\n",
        "d": "import c",
    }
    assert rings(import_graph(ring)) == [["a", "b"]]


# --- how long ------------------------------------------------------------------------------------


def code_lines(path):
    """Give the numbers of the lines that are code: neither blank, comment nor docstring."""
    text = path.read_text()
    tree = ast.parse(text)
    documents = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            for statement in body:
                value = getattr(statement, "value", None)
                if isinstance(statement, ast.Expr) and isinstance(value, ast.Constant):
                    documents |= set(range(statement.lineno, statement.end_lineno + 1))
    lines = enumerate(text.splitlines(), 1)
    code = {number for number, line in lines if line.strip() and not line.strip().startswith("#")}
    return code - documents, tree


def too_long(path):
    """Give the names of a file's functions of more than 50 lines, and its own if it has 400."""
    code, tree = code_lines(path)
    found = [path.stem] if len(code) > 400 else []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = code & set(range(node.lineno, node.end_lineno + 1))
            found += [node.name] if len(lines) > 50 else []
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_are_short(path):
    assert too_long(path) == []


def test_the_check_would_see_what_is_long(tmp_path):
    file = tmp_path / "long.py"
    file.write_text("def f():\n    'said'\n    # why\n\n" + "    x = 1\n" * 49)
    assert too_long(file) == []
    file.write_text("async def f():\n" + "    x = 1\n" * 50)
    assert too_long(file) == ["f"]
    file.write_text("x = 1\n" * 401)
    assert too_long(file) == ["long"]


SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore|pragma)(.*)")


def unexplained(text):
    """Give the lines that suppress a check without its code or a reason."""
    shapes = {"type": r"\[[\w, -]+\]\s+# .{8,}", "noqa": r": [\w, ]+ - .{8,}"}
    return [
        line
        for line in text.splitlines()
        for kind, rest in SUPPRESSION.findall(line)
        if not re.match(shapes["type" if kind.startswith("type") else "noqa"], rest)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_suppressions_name_their_code_and_their_reason(path):
    assert unexplained(path.read_text()) == []


@pytest.mark.parametrize(
    "mark", ["noqa", "noqa: S101", "type: ignore", "type: ignore[misc]", "pragma: no cover"]
)
def test_the_check_would_see_a_bare_suppression(mark):
    assert unexplained(f"x = 1  # {mark}\n") == [f"x = 1  # {mark}"]
