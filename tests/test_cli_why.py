"""The commands why, blame, history and diff, as a person at a shell meets them."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import lineage
from lineage import track_lineage
from lineage.cli import app
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker, set_global_tracker


@track_lineage("read")
def load(path):
    return pd.read_csv(path)


@track_lineage("transform")
def clean(frame, threshold):
    return frame[frame.price > threshold].assign(total=lambda each: each.price * 2)


@track_lineage("write")
def save(frame, path):
    frame.to_csv(path, index=False)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder in which a pipeline has run twice; gives the ids of the runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINEAGE_STORE", "lineage_data")
    Path("orders.csv").write_text("price,day\n1,a\n2,b\n5,c\n")
    tracker = LineageTracker(LineageMetadataRepository("lineage_data"))
    set_global_tracker(tracker)
    ids = []
    for threshold in (1, 2):
        with lineage.Run(tracker, "nightly", {"threshold": threshold}) as made:
            save(clean(load(Path("orders.csv")), threshold), Path("report.csv"))
        ids.append(made.run_id)
    tracker.close()
    return ids


def ask(*arguments, code=0):
    found = CliRunner().invoke(app, list(arguments))
    assert found.exit_code == code, found.output
    return found.stdout if code in (0, 1) else found.stderr


def test_why_reads_from_the_file_back_to_its_origin(runs):
    text = ask("why", "report.csv")
    lines = text.splitlines()
    assert lines[0].startswith("file:report.csv  xxh3:")
    heads = [line for line in lines if line[:1].isdigit()]
    names = [line.split()[1].rpartition(".")[2] for line in heads]
    assert names == ["save", "clean", "load"]
    assert text.count("run nightly") == 1  # told once for all steps of it
    assert "with threshold=2" in text
    assert "reads   dataframe:" in text
    assert "<- 2" in text
    assert "from outside" in text
    assert max(map(len, lines)) <= 200


def test_why_of_a_column(runs):
    text = ask("why", "report.csv:total")
    assert "column total first appears in" in text
    assert "by the schemas" in text
    assert "[total: made]" in text
    assert "no step has a column nothing; the columns are day, price, total" in ask(
        "why", "report.csv:nothing"
    )


def test_why_of_a_copy_and_of_a_changed_file(runs):
    shutil.copy("report.csv", "copy.csv")
    assert "known by its content, which was recorded as file:" in ask("why", "copy.csv")
    Path("report.csv").write_text("other\n")
    assert "changed since it was recorded" in ask("why", "report.csv")


def test_fewer_steps_are_said_to_be_fewer(runs):
    found = CliRunner().invoke(app, ["why", "report.csv", "--depth", "0"])
    assert "there are more steps" in found.stderr
    assert "clean" not in found.stdout.replace("pipe.clean", "").split("reads")[0]


def test_blame_has_a_line_per_version(runs):
    head, *lines = ask("blame", "report.csv").splitlines()
    assert head.split("\t")[:3] == ["version", "written", "by"]
    assert len(lines) == 2
    assert lines[0].startswith("*")
    assert not lines[1].startswith("*")


def test_history_tells_what_each_version_changed(runs):
    text = ask("history", "report.csv")
    assert text.count("  written  ") == 2
    assert "(on disk now)" in text
    assert "~ rows 2 -> 1" in text
    assert "~ threshold: 1 -> 2" in text


def test_diff_names_the_first_step_and_the_cause(runs):
    text = ask("diff", runs[0][:8], runs[1], code=1)
    assert "the first step that differs is" in text
    assert text.splitlines()[4].endswith("clean")
    assert "threshold: 1 -> 2" in text
    assert text.index("likely causes") < text.index("seen in")
    assert "nothing differs" in ask("diff", runs[0], runs[0])


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("why", "report.csv"), "why"),
        (("blame", "report.csv"), "blame"),
        (("history", "report.csv"), "history"),
    ],
)
def test_one_json_document(runs, arguments, command):
    document = json.loads(ask(*arguments, "--json"))
    assert document["command"] == command
    assert document["data"]
    found = json.loads(ask("diff", *runs, "--json", code=1))
    assert found["data"]["causes"][0]["kind"] == "parameter"


def test_as_of_a_time(runs):
    told = ask("why", "report.csv", "--as-of", "2020-01-01", code=3)
    assert "no recorded step" in told
    assert "as of 2020-01-01" in told


def test_what_is_not_there(runs, tmp_path, monkeypatch):
    assert "did you mean" in ask("why", "reprot.csv", code=3)
    assert "is a folder" in ask("history", ".", code=2)
    assert "no run 'zzz'; the last of 2 runs" in ask("diff", "zzz", runs[0], code=3)
    monkeypatch.setenv("LINEAGE_STORE", str(tmp_path / "nowhere"))
    assert "no lineage store" in ask("why", "report.csv", code=4)


def test_what_is_hostile_steers_no_terminal(runs):
    tracker = LineageTracker(LineageMetadataRepository("lineage_data"))
    set_global_tracker(tracker)
    with lineage.Run(tracker, "bad\x1b[31m\nname", {"a": "\x1b]0;x\x07"}):
        save(load(Path("orders.csv")), Path("x\x1b[31m.csv"))
    tracker.close()
    for command in ("why", "blame", "history"):
        assert "\x1b" not in ask(command, "x\x1b[31m.csv")
