"""The command line over trails: status, log, verify, explain, forget, import-gittrail."""

import json

import pytest
from typer.testing import CliRunner

from lineage import LineageTracker, set_global_tracker, track
from lineage.cli import app
from lineage.stores.base import open_store
from tests.test_trail_import import md5
from tests.trails import Place, git, original


@pytest.fixture
def place(tmp_path, monkeypatch):
    made = Place(tmp_path)
    made.write("sub/a", "1")
    made.commit("two")
    made.write("b", "1")
    monkeypatch.chdir(made.data)
    return made


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["trail", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.stderr)
    return result


def table(text):
    return [line.split("\t") for line in text.splitlines()]


def test_status_finds_the_data_and_the_code_by_itself(place, monkeypatch):
    facts = dict(table(run("status").stdout)[1:])
    assert (facts["sessions"], facts["files"]) == ("2", "4")
    monkeypatch.chdir(place.data / "sub")
    run("status")
    monkeypatch.chdir(place.repo)
    assert "no trail in" in run("status", code=2).stderr
    run("status", "--data", place.data)


def test_findings_are_told_and_the_exit_code_is_one(place):
    (place.data / "b").write_text("2")
    (place.data / "c").write_text("by hand")
    (place.data / "sub" / "a").unlink()
    (place.repo / "new.py").write_text("x")
    for command in ("status", "verify"):
        told = run(command, code=1).stdout
        for text in ("changed by no session: b", "added by no session: c", "missing: sub/a"):
            assert text in told
        assert "new.py" in told
    told = json.loads(run("status", "--json", code=1).stdout)["data"]
    assert (told["changed"], told["added"], told["missing"]) == (["b"], ["c"], ["sub/a"])


def test_verify_reads_all_and_finds_what_the_cache_hides(place):
    assert json.loads(run("verify", "--json").stdout)["data"]["read"] == 4
    lines = place.chain.path.read_bytes().replace(b"main", b"mein")
    place.chain.path.write_bytes(lines)
    assert "edited or are damaged" in run("verify", code=2).stderr


def test_as_a_hook_it_says_nothing_when_all_is_well(place):
    (place.repo / "code.py").write_text("x = 'about to be committed'\n")
    run("verify", code=1)
    assert run("verify", "--pre-commit").output == ""
    (place.data / "b").write_text("2")
    assert "changed by no session: b" in run("verify", "--pre-commit", code=1).stdout


def test_log_lists_the_sessions(place):
    def fail():
        (place.repo / "code.py").write_text("y = 1\n")
        raise RuntimeError("it failed")

    with pytest.raises(RuntimeError), place.trail():
        fail()
    header, *lines = table(run("log").stdout)
    shown = [dict(zip(header, line, strict=True)) for line in lines]
    assert [each["status"] for each in shown] == ["ended", "ended", "failed"]
    assert [each["commit"] for each in shown[:2]] == [each[:10] for each in place.commits]
    assert shown[2]["error"] == "RuntimeError: it failed"
    assert "code.py" in shown[2]["code at its end"]
    assert shown[0]["branch"] == "main"


def test_explain_says_which_session_made_a_file(place):
    place.write("b", "2")
    head, header, *lines = table(run("explain", "b").stdout)
    assert head == ["b: as its session left it"]
    assert [line[0] for line in lines if line != [""]][-2:] == ["1", "2"]
    assert "session" in (header + lines[0])
    (place.data / "b").write_text("3")
    assert "changed by no session" in run("explain", "b", code=1).stdout
    (place.data / "c").write_text("3")
    assert "added by no session" in run("explain", "c", code=1).stdout
    (place.data / "b").unlink()
    assert "missing" in run("explain", "b", code=1).stdout
    assert "unknown" in run("explain", "nothing", code=1).stdout


def test_explain_tells_what_was_recorded_within_the_session(place, tmp_path):
    tracker = LineageTracker(open_store(tmp_path / "store"))
    set_global_tracker(tracker)
    with track("before", capture=False) as before:
        before.register_data_product("other", "1")
    with place.trail(), track("nightly", capture=False) as nightly:
        (place.data / "made").write_text("1")
        product = nightly.register_data_product("made", "1", path=place.data / "made")
    tracker.close()
    told = json.loads(run("explain", "made", "--store", tmp_path / "store", "--json").stdout)
    recorded = told["data"]["recorded"]
    assert {each["kind"] for each in recorded} == {"operation", "product"}
    assert [each["id"] for each in recorded if each["kind"] == "product"] == [product]
    assert product in run("explain", "made", "--store", tmp_path / "store").stdout


def test_forget_names_what_has_to_go(place):
    git(place.repo, "commit", "-q", "--amend", "-m", "amended")
    assert "lineage trail forget" in run("status", code=1).stdout
    assert run("forget", place.commits[1][:10], code=1).stdout.endswith(f"{place.data / 'b'}\n")
    run("status", code=1)
    (place.data / "b").unlink()
    run("status")
    assert "0 commits" in run("forget", "ffff", code=2).stderr


def test_commits_of_other_branches_count_where_that_is_allowed(place):
    git(place.repo, "checkout", "-q", "-b", "another", place.commits[0])
    assert "session 1 ran with" in run("status", code=1).stdout
    run("status", "--allow-branches")


def test_import_takes_over_what_gittrail_left(tmp_path, monkeypatch):
    made = Place(tmp_path / "other")
    (made.data / "a").write_text("first")
    files = {"a": md5("first"), "gittrail/0000.log": md5("log")}
    original(made.data, [(made.commits[0], files, "log")])
    monkeypatch.chdir(made.data)
    assert dict(table(run("import-gittrail").stdout)[1:])["sessions"] == "1"
    assert "the repository of the last session" in run("status", code=2).stderr
    run("verify", "--repo", made.repo)
    assert "of its own already" in run("import-gittrail", code=2).stderr
