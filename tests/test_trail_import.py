"""The sessions of gittrail's own store, taken over."""

import hashlib
import json

import pytest

from lineage import GittrailError, IncompleteHistoryError, IntegrityError
from lineage.audit.trail_checks import check, explain, forget
from lineage.audit.trail_folder import TrailFolder
from lineage.audit.trail_history import sessions
from lineage.audit.trail_import import import_gittrail
from tests.trails import Place, original


def md5(text):
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def place(tmp_path):
    """Give a place in which gittrail had two sessions, the second of which changed a file."""
    made = Place(tmp_path)
    made.commit("two")
    (made.data / "sub").mkdir()
    (made.data / "a").write_text("second")
    (made.data / "sub" / "b").write_text("first")
    first = {"a": md5("first"), "sub/b": md5("first"), "gittrail/0000.log": md5("log 0")}
    second = {**first, "a": md5("second"), "gittrail/0001.log": md5("log 1")}
    original(made.data, [(made.commits[0], first, "log 0"), (made.commits[1], second, "log 1")])
    return made


def folder(place):
    return TrailFolder(place.data, "gittrail")


def test_sessions_and_files_are_taken_over(place):
    told = import_gittrail(folder(place))
    assert (told.sessions, told.files, told.changed, told.missing) == (2, 4, [], [])
    first, second = sessions(place.records())
    assert [each["commit_id"] for each in (first, second)] == place.commits
    assert first["start_utc"] == "2021-10-11T07:08:00.000123Z"
    assert second["changed"] == {
        "a": f"md5:{md5('second')}",
        "gittrail/0001.log": f"md5:{md5('log 1')}",
    }
    assert check(folder(place), place.repo)["findings"] == []
    with place.trail() as trail:
        assert trail.session.number == 2
    assert trail.session.files["a"] == f"sha256:6-{hashlib.sha256(b'second').hexdigest()}"


def test_its_files_stay_with_their_sessions(place):
    import_gittrail(folder(place))
    for name, expected in (("a", [0, 1]), ("sub/b", [0])):
        found = explain(folder(place), place.data / name)
        assert found["state"] == "as its session left it"
        assert [each["session"] for each in found["sessions"]] == expected


def test_what_was_changed_since_is_found_and_no_session_begins(place):
    (place.data / "a").write_text("by hand")
    (place.data / "sub" / "b").unlink()
    (place.data / "new").write_text("by hand")
    told = import_gittrail(folder(place))
    assert (told.changed, told.missing) == (["a"], ["sub/b"])
    with pytest.raises(IntegrityError, match=r"illegally changed: 'a'.*illegally added: 'new'"):
        place.trail().__enter__()


def test_a_session_without_an_end_is_aborted(place):
    path = place.data / "gittrail" / "0001.json"
    session = json.loads(path.read_text()) | {"end_utc": None}
    path.write_text(json.dumps(session))
    told = import_gittrail(folder(place))
    assert told.aborted == [1]
    assert told.changed == ["a"]  # only the second session knew it so
    with pytest.raises(IntegrityError, match="illegally changed"):
        place.trail().__enter__()


def test_before_it_is_taken_over_no_session_begins(place):
    with pytest.raises(GittrailError, match="lineage trail import-gittrail"):
        place.trail().__enter__()
    import_gittrail(folder(place))
    with place.trail():
        pass


def test_a_missing_session_is_named_and_nothing_taken_over(place):
    (place.data / "gittrail" / "0000.json").unlink()
    with pytest.raises(IncompleteHistoryError, match="session number 0"):
        import_gittrail(folder(place))
    assert not folder(place).is_there()


@pytest.mark.parametrize("text", ["", "[]", '{"commit_id": 1}', "{"])
def test_what_is_no_session_is_named(place, text):
    (place.data / "gittrail" / "0001.json").write_text(text)
    with pytest.raises(GittrailError, match=r"0001\.json.*is no session"):
        import_gittrail(folder(place))


def test_it_is_taken_over_once(place):
    import_gittrail(folder(place))
    with pytest.raises(GittrailError, match="has sessions of its own"):
        import_gittrail(folder(place))


def test_a_folder_without_sessions_is_named(tmp_path):
    place = Place(tmp_path)
    with pytest.raises(GittrailError, match="holds no sessions"):
        import_gittrail(folder(place))


def test_its_commits_can_be_forgotten(place):
    import_gittrail(folder(place))
    assert forget(folder(place), place.commits[1])["files"] == [
        *("a", "gittrail/0001.json"),
    ]
    with pytest.raises(IntegrityError, match="'a'"):
        place.trail().__enter__()
