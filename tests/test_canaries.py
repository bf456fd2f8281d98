"""A program with a secret in every place, on every store: none comes out anywhere.

Each place has a canary of its own, so that the control can tell that each of them would be found:
there the same program runs with the redaction off.
"""

import json
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import nbformat
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lineage.cli import app
from lineage.stores.base import KINDS, open_store
from tests import servers
from tests.test_git import committed, run

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"canary-(\w+)-\d\d")
SECRET = "canary-{}-17"
PLACES = {
    *("named", "argv", "url", "parameter", "nested", "address", "sql", "error", "log", "file"),
    *("remote", "branch", "changed", "diff", "run", "metadata", "column", "lock", "origin"),
    *("notebook", "cell", "context", "source"),
}

PROGRAM = """
    import logging, sqlite3, sys
    import pandas as pd
    import lineage

    logging.basicConfig(level=logging.DEBUG)
    tracker = lineage.init(environment_variables=["TZ", "SERVICE_URL"])

    @lineage.track_lineage("transform")
    def called(password, options, address):
        raise ValueError("no entry: password=canary-error-17")

    @lineage.track_lineage("write")
    def save(frame, path):
        frame.to_csv(path)

    def told(operation):
        raise RuntimeError("token=canary-log-17")

    with lineage.track("password=canary-run-17") as made:
        tracker.subscribe("operation.completed", told)
        try:
            called("canary-parameter-17", {"db": {"api_key": "canary-nested-17"}},
                   "https://me:canary-address-17@host/x")
        except ValueError:
            pass
        with sqlite3.connect("data.db") as connection:
            frame = pd.read_sql("SELECT 1 AS x WHERE 'password=canary-sql-17' <> ''", connection)
        frame["password=canary-column-17"] = 1
        save(frame, "out/token=canary-file-17.csv")
        made.register_data_product("results", "1", {"token": "canary-metadata-17"})
        operation = tracker.start_operation("read", {}, {"note": "password=canary-context-17"})
        tracker.add_input(operation, lineage.DataSource("api", "x", "//me:canary-source-17@host"))
        tracker.complete_operation(operation)
    tracker.close()
"""
# Imported first, before anything has taken the functions from their module.
OFF = """
    import re
    import lineage.redact as redact

    redact.redact_text = lambda text, found=None: text
    redact.hide = lambda text, secrets: text
    redact.kept = lambda text, most: text[:most].encode("utf-8", "backslashreplace").decode()
    redact.redact_words = lambda words, secrets: (list(words), [])
    redact.is_secret_name = redact.is_secret_option = lambda *_: False
"""
START = (
    "import sys; sys.argv.pop(0); import off, runpy; runpy.run_path(sys.argv[0], {}, '__main__')"
)


def planted(folder):
    """Make a repository with a program in it, and what it finds around it."""
    committed(folder, "main.py", "\n")
    committed(folder, "token=canary-changed-17.py", "x = 1\n")
    committed(folder, "helper.py", "x = 1\n")
    run(folder, "remote", "add", "origin", f"https://me:{SECRET.format('remote')}@example.org/r")
    run(folder, "checkout", "-q", "-b", f"token={SECRET.format('branch')}")
    (folder / "token=canary-changed-17.py").write_text("x = 2\n")
    (folder / "helper.py").write_text(f"password = '{SECRET.format('diff')}'\n")
    (folder / "main.py").write_text(textwrap.dedent(PROGRAM))
    (folder / "off.py").write_text(textwrap.dedent(OFF))
    (folder / "out").mkdir()
    (folder / f"requirements-token={SECRET.format('lock')}.txt").write_text("")
    info = folder / "site" / "made_up-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: made-up\nVersion: 1.0\n")
    told = {"url": f"https://me:{SECRET.format('origin')}@host/x", "dir_info": {}}
    (info / "direct_url.json").write_text(json.dumps(told))
    cells = [
        nbformat.v4.new_code_cell("import lineage\n@lineage.track_lineage\ndef f(password): ..."),
        nbformat.v4.new_code_cell(f"f('{SECRET.format('notebook')}')"),
        nbformat.v4.new_code_cell(f"f('//me:{SECRET.format('cell')}@host')"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "book.ipynb")


def ran(folder, url, *, is_off):
    """Run the program and the notebook; gives what both of them said."""
    variables = {name: text for name, text in os.environ.items() if "GIT" not in name} | {
        "LINEAGE_STORE": url,
        "PYTHONPATH": f"{folder / 'site'}:{ROOT}:{folder}",
        "SERVICE_URL": f"https://me:{SECRET.format('named')}@host/x",
        "OTHER": SECRET.format("other"),
        "MY_TOKEN": SECRET.format("token"),
        "XDG_CONFIG_HOME": str(folder / "settings"),
    }
    words = ["--password", SECRET.format("argv"), f"--to=//me:{SECRET.format('url')}@host"]
    words.append(SECRET.format("token"))
    begin = ["-c", START] if is_off else []
    module = ["-c", "import sys, off; from lineage.cli import main; main()"]
    said = []
    for command in (
        [*begin, "main.py", *words],
        [*(module if is_off else ["-m", "lineage"]), "run", "book.ipynb"],
    ):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said += [done.stdout, done.stderr]
    return said


def asked(url, folder):
    """Give everything that the command tells of a store, and writes of it."""
    runner = CliRunner()
    out = folder / "exports"
    out.mkdir()
    listed = json.loads(runner.invoke(app, ["--store", url, "env", "list", "--json"]).stdout)
    names = [each["environment_id"] for each in listed["data"]]
    assert names
    commands = [
        *(["log", "--json"], ["runs", "--json"], ["sources", "--json"], ["stats"], ["report"]),
        *(["graph", "-o", str(out / "g.svg")], ["graph", "-o", str(out / "g.html")], ["doctor"]),
        *(["export", "-o", str(out / "o.json")], ["export", "-o", str(out / "o.csv")]),
        *(["product", "list", "--json"], ["product", "show", "results", "--json"]),
        ["sql", "SELECT * FROM processes", "--json"],
        *(["env", "show", name, "--json"] for name in names),
        *(["env", "diff", name, "--json"] for name in names),
        *(
            ["env", "export", name, "--as", form]
            for name in names
            for form in ("requirements", "pylock", "dockerfile")
        ),
    ]
    for command in commands:
        done = runner.invoke(app, ["--store", url, *command])
        assert done.exit_code in (0, 1), done.output
        yield done.output
    yield from (path.read_text() for path in out.iterdir())


def rows_of(url):
    """Give all rows, through the store, and of the tables themselves."""
    store = open_store(url)
    for kind in KINDS:
        for table in store.scan(kind):
            yield repr(table.to_pylist())
    store.close()


def files_of(folder):
    """Give what is in all files that were made, but for those that were planted."""
    for name in ("store", "outbox", "settings", "lineage.db", "lineage.db-wal"):
        place = folder / name
        for path in [place, *place.rglob("*")] if place.exists() else []:
            if path.is_file():
                yield f"{path}\n{path.read_bytes().decode('latin-1')}"
                if path.suffix == ".parquet":
                    yield repr(pq.read_table(path).to_pylist())


def tables_of(url, server):
    if url.startswith("sqlite"):
        path = url.partition(":///")[2].partition("?")[0]
        with closing(sqlite3.connect(path)) as connection:
            yield "\n".join(connection.iterdump())
    elif server is not None:
        database = url.partition("?")[0].rpartition("/")[2]
        schema = "public" if url.startswith("postgres") else database
        asked = "SELECT table_name FROM information_schema.tables WHERE table_schema"
        for (name,) in server.execute(f"{asked} = '{schema}'", database):
            yield repr(server.execute(f"SELECT * FROM {name}", database))


@pytest.fixture(params=["folder", "sqlite", "postgres", "mariadb"])
def place(request, tmp_path):
    """Give the URL of a store of each kind, and its server where it has one."""
    if request.param == "folder":
        return str(tmp_path / "store"), None
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lineage.db?outbox={tmp_path}/outbox", None
    server = request.getfixturevalue(request.param)
    return f"{server.new_database()}?outbox={tmp_path}/outbox", server


def found(folder, place, *, is_off=False):
    url, server = place
    planted(folder)
    texts = ran(folder, url, is_off=is_off)
    for more in (asked(url, folder), rows_of(url), files_of(folder), tables_of(url, server)):
        texts += more
    if not is_off:
        assert servers.PASSWORD not in "".join(texts)
    return {match[1]: text for text in texts for match in MARK.finditer(text)}


def test_no_secret_comes_out_anywhere(tmp_path, place):
    told = found(tmp_path, place)
    assert {name: around(text, name) for name, text in told.items()} == {}


def around(text, name):
    at = text.find(SECRET.format(name))
    return text[max(0, at - 200) : at + 60]


def test_each_of_them_would_be_found(tmp_path):
    """The control: with the redaction off, every place has its canary somewhere."""
    told = found(tmp_path, (str(tmp_path / "store"), None), is_off=True)
    assert PLACES - told.keys() == set()
    assert "other" not in told  # of a variable that nobody named there is a hash alone
