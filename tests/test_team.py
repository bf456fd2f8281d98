"""The example of a team: a server in another process, three keys, one dataset."""

import os
import subprocess
import sys
from pathlib import Path

from lineage import LineageQueryEngine

EXAMPLE = Path(__file__).parents[1] / "examples" / "team.py"


def test_two_people_share_a_version_and_what_it_came_from(tmp_path):
    known = {name: value for name, value in os.environ.items() if not name.startswith("LINEAGE_")}
    command = [sys.executable, EXAMPLE, "--folder", "demo"]
    done = subprocess.run(
        command, cwd=tmp_path, env=known, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["Anna saved churn 1.0.0", "Ben found churn 1.0.0, saved by Anna"]
    assert [line.split(" - ")[1] for line in lines[2:4]] == [
        "churn 1.0.0: export from CRM",
        "churn 1.1.0: drop NaNs",
    ]
    assert lines[4].endswith("{'dataset:churn@1.0.0'}")
    assert "this needs the role writer" in lines[5]
    engine = LineageQueryEngine(tmp_path / "demo" / "lineage")
    assert engine.downstream("dataset:churn@1.0.0") == {"dataset:churn@1.1.0"}
