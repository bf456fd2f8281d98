"""Nothing is missed: what the kernel opened in a data folder is on the tape.

Scripts that read and write in the twelve most usual ways run under `strace`; every file that it
lists in their data folder must be named by an entry of the tape, in the right direction.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SCRIPTS = Path(__file__).parent / "columns" / "scripts"
TWELVE = sorted(path.stem for path in SCRIPTS.glob("[a-z]*.py") if path.stem != "by_hand")
RUN = """
import json, sys
from lineage.capture import adapters, touched
from lineage.capture.running import run_script
from lineage.capture.tape import Everywhere, Location, Tape

skipped, script, answer = sys.argv[1:]
if skipped:
    adapters._ADAPTERS.pop(skipped)
Everywhere.tape = tape = Tape()
adapters.start()
run_script(script)
adapters.stop()
read, written = set(), set()
for entry in tape.entries:
    for each in entry.args:
        if type(each) is Location:
            (read if entry.target is None else written).update((each.location, *each.parts))
for move in touched.moves(tape):
    for known in (read, written):
        known.update([move.target] if move.source in known else [])
    written.add(move.target)
    if move.how == "copy":
        read.add(move.source)
gaps = touched.unexplained(tape)
with open(answer, "w") as file:
    json.dump({"read": sorted(read), "written": sorted(written), "gaps": gaps,
               "lost": tape.last_error, "problems": adapters.problems}, file)
"""
CALL = re.compile(
    r"^(\d+)\s+(?:openat\((?:AT_FDCWD[^,]*|\d+<(?P<at>[^>]*)>), |open\(|creat\()"
    r'"(?P<path>[^"]*)"(?P<rest>.*)$'
)
RENAME = re.compile(r'^\d+\s+rename\w*\(.*?"([^"]*)".*?"([^"]*)".*= 0$')


@pytest.fixture(scope="module", autouse=True)
def strace():
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not installed: that no file is missed is NOT tested")
    done = subprocess.run([program, "-f", "true"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("strace may not trace here: that no file is missed is NOT tested")
    return program


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "data"
    (data / "days").mkdir(parents=True)
    sales = pd.DataFrame({"day": pd.date_range("2026-01-01", periods=4), "store": [1, 2, 1, 2],
                          "qty": [1, 2, 3, 4]})  # fmt: skip
    stores = pd.DataFrame({"store": [1, 2], "region": ["north", "south"]})
    sales.to_csv(data / "sales.csv", index=False)
    stores.to_csv(data / "stores.csv", index=False)
    sales.to_parquet(data / "sales.parquet")
    sales.to_parquet(data / "by_store", partition_cols=["store"])
    sales.to_pickle(data / "sales.pkl")
    sales[["store", "qty"]].to_json(data / "events.jsonl", orient="records", lines=True)
    for number, (_, day) in enumerate(sales.groupby("day")):
        day.to_csv(data / "days" / f"{number}.csv", index=False)
    (data / "settings.json").write_text('{"least": 1}')
    (data / "model.pkl").write_bytes(pickle.dumps({"slope": 2.0}))
    np.save(data / "weights.npy", np.arange(3.0))
    np.savetxt(data / "points.txt", np.ones((2, 2)))
    connection = sqlite3.connect(data / "shop.db")
    sales.to_sql("sales", connection, index=False)
    connection.close()
    return tmp_path


def traced(strace, folder, script, skipped=""):
    """Run a script under strace; gives what the tape says, and what was read and written."""
    log, answer = folder / "strace.log", folder / "answer.json"
    calls = "trace=openat,open,creat,rename,renameat,renameat2"
    done = subprocess.run(
        [strace, "-f", "-y", "-s", "4096", "-e", calls, "-o", str(log), sys.executable, "-c", RUN,
         skipped, str(SCRIPTS / f"{script}.py"), str(answer)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(answer.read_text())
    assert told["lost"] is None
    assert told["problems"] == []
    return told, *opened(log.read_text().splitlines(), folder)


def opened(lines, folder):
    """Give the files of the data folder that were opened to be read, and to be written."""
    read, written = set(), set()
    for line in lines:
        move = RENAME.match(line)
        if move is not None:
            written.add(os.path.join(folder, move[2]))
            continue
        call = CALL.match(line)
        if call is None or " = -1 " in line or "O_DIRECTORY" in line:
            continue
        path = os.path.normpath(os.path.join(folder, call["at"] or "", call["path"]))
        if Path(path).is_dir() or not path.startswith(str(folder / "data")):
            continue
        is_writing = re.search("O_WRONLY|O_RDWR|O_CREAT", call["rest"]) or "creat(" in line
        (written if is_writing else read).add(path)
    return read, written


def of_database(paths):
    """Leave out what SQLite keeps beside a database for itself."""
    return {path for path in paths if not path.endswith(("-journal", "-wal", "-shm"))}


def missed(told, read, written):
    known = set(told["read"]) | set(told["written"])
    is_database = [path for path in known if path.endswith(".db")]
    return sorted(
        [path for path in read if path not in told["read"] and path not in told["written"]]
        + [
            path
            for path in of_database(written)
            if path not in told["written"] and path not in is_database
        ]
    )


def test_there_are_twelve():
    assert len(TWELVE) == 12


@pytest.mark.parametrize("script", TWELVE)
def test_every_file_that_strace_lists_is_on_the_tape(script, strace, folder):
    if script == "excel_books":
        pytest.importorskip("openpyxl", reason="openpyxl is not installed: Excel is not traced")
        pd.DataFrame({"qty": [1, 2]}).to_excel(folder / "data" / "book.xlsx")
    told, read, written = traced(strace, folder, script)
    assert read | written
    assert missed(told, read, written) == []
    assert told["gaps"] == []
    assert set(told["read"]) - {str(folder / "data")} >= read - set(told["written"])


def test_what_is_done_by_hand_is_told_as_a_gap(strace, folder):
    told, read, written = traced(strace, folder, "by_hand")
    data = folder / "data"
    assert missed(told, read, written) != []
    assert [each[:2] for each in told["gaps"]] == [
        [str(data / "stores.csv"), "r"],
        [str(data / "note.txt"), "w"],
        [str(data / "lines.txt"), "w"],
    ]
    assert [each[2].partition(":")[0] for each in told["gaps"]] == ["by_hand.py"] * 3
    assert read | written == {each[0] for each in told["gaps"]}


@pytest.mark.parametrize(
    ("script", "skipped"),
    [("csv_files", "pandas"), ("arrow_tables", "pyarrow.parquet"), ("arrays", "numpy")],
)
def test_the_check_would_see_a_missing_wrapper(script, skipped, strace, folder):
    told, read, written = traced(strace, folder, script, skipped)
    assert missed(told, read, written) != []
