"""Snapshots: accepted by the schemas, never changed, superseded, branched, compared, asked."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import lineage
from lineage import MemoryStore, track, track_lineage
from lineage.audit.snapshot_files import canonical
from lineage.audit.snapshot_shapes import Document
from lineage.audit.snapshot_versions import SHAPES, decode, project_uid, published
from lineage.audit.snapshots import Snapshots
from lineage.codec import operation_rows
from lineage.core import DataSource
from lineage.errors import (
    ConfigError,
    CorruptStoreError,
    OperationError,
    SnapshotError,
    SnapshotNotFoundError,
)
from lineage.stores.base import open_store
from tests.test_snapshots_graph import DIAMOND, operation, store_of

SCHEMAS = Path(lineage.__file__).parent / "audit" / "schemas"


@pytest.fixture
def snapshots(tmp_path):
    store = store_of([*DIAMOND, operation(4, [("d", "op3")], ["e"], run="s")])
    for number, name in enumerate("rs"):
        row = {"run_id": name, "name": f"run {name}", "status": "success", "parameters": "{}"}
        store.append("runs", [{**row, "timestamp": number, "ended_at": 9}])
    return Snapshots(store, folder=tmp_path / "frozen")


def record():
    """Give a document of version 1: rows as the tracker that this replaces stores them."""
    project = project_uid("p")
    node = {"run_uid": "r", "project_uid": project, "artifact_uid": "a", "shape": [3, 2]}
    return {
        "schema": "urn:track-lineage:schema:snapshot:1",
        "version": 1,
        "supersedes": None,
        "parent": None,
        "created_at": "2026-05-01T00:00:00.000000Z",
        "as_of": None,
        "run_uid": "r",
        "pipeline_name": "nightly",
        "project": {
            "uid": project,
            "project_name": "p",
            "description": "",
            "user_tag": "t",
        },
        "runs": [
            {"uid": "r", "project_uid": project, "pipeline_name": "nightly", "status": "failed"}
        ],
        "nodes": [
            {"uid": "1", "operation": "DataFrame.merge", "params_json": '{"on":"k"}', **node},
            {"uid": "2", "operation": "DataFrame.assign", "params_json": "{}", **node},
        ],
        "edges": [{"parent_node_uid": "1", "child_node_uid": "2"}],
    }


# --- versions and branches -----------------------------------------------------------------------


def test_a_later_one_supersedes_and_changes_no_byte_of_the_former(snapshots):
    first = snapshots.create("p", "nightly", run="r", user_tag="t")
    (path,) = snapshots.folder.rglob("*.json")
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == first.id
    assert path.name == f"00000001-{first.id}.json"
    assert canonical(json.loads(data)) == data
    second = snapshots.create("p", "nightly", run="s")
    assert (second.known["version"], second.known["supersedes"]) == (2, first.id)
    assert path.read_bytes() == data
    assert snapshots.get(first.id).known["superseded_by"] == second.id
    assert snapshots.get("p/nightly").id == second.id
    assert snapshots.get("p/nightly@1").document == first.document
    assert snapshots.create("p", "other").known["version"] == 1
    assert snapshots.create("q", "nightly").known["version"] == 1


def test_one_parent_has_several_children(snapshots):
    root = snapshots.create("p", "main", run="r")
    left = snapshots.create("p", "left", run="r", parent=root.id)
    right = snapshots.create("p", "right", run="s", parent=root.id[:8])
    known = snapshots.get(root.id).known
    assert sorted(known["children"]) == sorted([left.id, right.id])
    assert known["superseded_by"] is None
    assert left.known["parent"] == right.known["parent"] == root.id
    assert left.known["version"] == 1
    with pytest.raises(SnapshotNotFoundError, match="no snapshot 'none'"):
        snapshots.create("p", "main", parent="none")


def test_what_was_frozen_is_not_what_came_after(snapshots, tmp_path):
    store = open_store(tmp_path / "store")
    lineage.set_global_tracker(lineage.LineageTracker(store))

    @track_lineage
    def change(values):
        return [*values, 1]

    given_to = {"a": [1]}
    with track("nightly", capture=False) as run:
        change(given_to["a"])
    made = Snapshots(lineage.get_global_tracker()).create("p", run=run.run_id)
    given_to["a"].append(5)
    change([])
    lineage.get_global_tracker().close()
    again = Snapshots(store).get(made.id)
    assert again.document == made.document
    assert json.loads(made.document.nodes[0].params_json) == {"values": [1]}
    assert made.known["pipeline"] == "nightly"
    assert made.document.runs[0].status == "finished"


# --- what is asked -------------------------------------------------------------------------------


def test_questions_have_the_shapes_of_the_tracker_that_this_replaces(snapshots):
    snapshots.create("p", "nightly", run="r", user_tag="t", description="d")
    snapshots.create("p", "nightly", run="s", user_tag="t", description="e")
    snapshots.create("q", "weekly", run="s")
    (project,) = snapshots.get_projects("t")
    uid = project_uid("p")
    assert project == {
        **{"uid": uid, "project_name": "p", "description": "e", "user_tag": "t", "owner": ""}
    }
    assert snapshots.get_pipelines() == ["nightly", "weekly"]
    assert snapshots.get_pipelines("q") == snapshots.get_pipelines(user_tag="") == ["weekly"]
    assert snapshots.get_projects_with_pipelines() == [
        {"project_name": "p", "user_tag": "t", "pipelines": [{"name": "nightly", "runs": 2}]},
        {"project_name": "q", "user_tag": "", "pipelines": [{"name": "weekly", "runs": 1}]},
    ]
    assert [run["uid"] for run in snapshots.get_runs("p")] == ["r", "s"]
    assert [run["uid"] for run in snapshots.get_runs("q", "weekly")] == ["s"]
    assert [node["uid"] for node in snapshots.get_nodes(run_uid="s", user_tag="t")] == ["op4"]
    assert len(snapshots.get_nodes()) == 6  # op4 in either project
    dag = snapshots.get_dag("p", "nightly", run_uid="r")
    assert [node["uid"] for node in dag["nodes"]] == ["op0", "op1", "op2", "op3"]
    assert len(dag["edges"]) == 4
    snapshots.create("p", "all")
    touching = snapshots.get_dag("p", run_uid="s")
    assert [edge["parent_node_uid"] for edge in touching["edges"]] == ["op3"]


def test_what_is_in_several_is_told_once(snapshots):
    for _ in range(3):
        snapshots.create("p", "nightly", run="r")
    assert len(snapshots.get_runs()) == 1
    assert len(snapshots.get_nodes()) == len(snapshots.get_dag()["edges"]) == 4
    assert len(snapshots.find(run="r")) == 3
    assert snapshots.find(run="s") == snapshots.find("q") == snapshots.find(user_tag="x") == []


def test_what_cannot_be_read_is_said(snapshots):
    kept = snapshots.create("p", "a")
    lost = snapshots.create("p", "b")
    (path,) = snapshots.folder.rglob(f"*{lost.id}.json")
    path.write_bytes(path.read_bytes().replace(b"op1", b"op9"))
    assert [known["snapshot_id"] for known in snapshots.find()] == [kept.id]
    assert len(snapshots.problems) == 1
    assert "was changed" in snapshots.problems[0]
    with pytest.raises(CorruptStoreError, match="was changed"):
        snapshots.get(lost.id)
    with pytest.raises(CorruptStoreError, match="was changed"):
        snapshots.export(lost.id)


@pytest.mark.parametrize("asked", ["", "x", "ab", "p/none", "p/nightly@9"])
def test_no_such_snapshot_is_said(snapshots, asked):
    snapshots.create("p", "nightly")
    with pytest.raises(SnapshotNotFoundError, match="list them with"):
        snapshots.get(asked)


def test_no_such_run_and_no_such_folder_are_said(snapshots):
    with pytest.raises(OperationError, match="2 runs are known, none is 'x'"):
        snapshots.create("p", run="x")
    with pytest.raises(ConfigError, match="MemoryStore need a folder"):
        Snapshots(MemoryStore())


def test_a_database_has_its_snapshots_in_a_folder_that_is_given(tmp_path):
    url = f"sqlite:///{tmp_path}/store.db"
    with pytest.raises(ConfigError, match="need a folder"):
        Snapshots(url)
    tracker = lineage.LineageTracker(open_store(url))
    tracker.complete_operation(tracker.start_operation("read"), record_count_out=3)
    tracker.close()
    made = Snapshots(url, folder=tmp_path / "frozen").create("p")
    assert [node.shape for node in made.document.nodes] == [(3,)]


# --- what differs --------------------------------------------------------------------------------


def test_difference_of_two_runs(tmp_path):
    def run(name, k, *, more=False):
        made = [
            operation(f"{name}0", [], ["a"], run=name, minute=0),
            operation(f"{name}1", [("a", f"op{name}0")], ["b"], run=name, minute=1),
        ]
        made[1].parameters = {"k": k}
        if more:
            made.append(operation(f"{name}2", [("b", f"op{name}1")], ["c"], run=name, minute=2))
        return made

    store = store_of([*run("x", 1), *run("y", 1), *run("z", 2, more=True)])
    store.append("runs", [{"run_id": name, "name": "n", "timestamp": 1} for name in "xyz"])
    snapshots = Snapshots(store, folder=tmp_path)
    x, y, z = (snapshots.create("p", run=name, owner=name) for name in "xyz")
    same = snapshots.diff(x.id, y.id)
    assert same["is_same"]
    assert same["project"] == {"owner": ["x", "y"]}
    found = snapshots.diff(x.id, z.id)
    assert not found["is_same"]
    assert found["nodes_added"] == ["transform dataframe:c"]
    assert found["nodes_changed"] == [
        {"node": "transform dataframe:b", "fields": {"params_json": ['{"k":1}', '{"k":2}']}}
    ]
    way = "transform dataframe:b -> transform dataframe:c (dataframe:b)"
    assert (found["edges_added"], found["edges_removed"]) == ([way], [])
    assert snapshots.diff(z.id, x.id)["edges_removed"] == [way]


# --- schemas -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHAPES[2])
@pytest.mark.parametrize("version", SHAPES)
def test_the_published_schemas_are_those_that_are_checked(name, version):
    told = json.loads((SCHEMAS / f"{name}.{version}.json").read_text())
    assert told == published(name, version)
    Draft202012Validator.check_schema(told)
    assert told["$id"] == f"urn:track-lineage:schema:{name}:{version}"
    objects = [each for each in told["$defs"].values() if each.get("type") == "object"]
    assert objects
    assert all(each["additionalProperties"] is False for each in objects)


def test_every_schema_file_is_of_a_shape():
    names = {f"{name}.{version}.json" for version, shapes in SHAPES.items() for name in shapes}
    assert {path.name for path in SCHEMAS.iterdir()} == names
    with pytest.raises(SnapshotError, match="no schema 'x' of version 2"):
        published("x")


VALID = json.loads(msgspec.json.encode(decode(canonical(record()))))
ANYTHING = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(2**54), 2**54), st.text(max_size=3)),
    *(st.just([]), st.just({}), st.sampled_from(["running", "2026-05-01T00:00:00.000000Z"])),
)


def changed(draw, value):
    """Change a document somewhere."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        name = draw(st.sampled_from(sorted(value)))
        match draw(st.integers(0, 7)):
            case 0:
                return {key: item for key, item in value.items() if key != name}
            case 1:
                return {**value, "more": 1}
            case _:
                return {**value, name: changed(draw, value[name])}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        return [changed(draw, value[0]), *value[1:]]
    return draw(ANYTHING)


@given(st.data())
def test_a_stranger_with_the_schema_accepts_what_is_accepted_here(data):
    document = changed(data.draw, VALID)
    try:
        msgspec.json.decode(json.dumps(document), type=Document)
        is_accepted = True
    except msgspec.ValidationError:
        is_accepted = False
    assert Draft202012Validator(published("snapshot")).is_valid(document) == is_accepted


def test_the_check_would_see_a_schema_that_lets_more_through():
    loose = published("snapshot")
    loose["$defs"]["TransformNode"]["additionalProperties"] = True
    more = json.loads(json.dumps(VALID))
    more["nodes"][0]["more"] = 1
    assert Draft202012Validator(loose).is_valid(more)
    assert not Draft202012Validator(published("snapshot")).is_valid(more)


def wrong(**changes):
    def change(document):
        document.update(changes)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (wrong(more=1), "unknown field `more`"),
        (wrong(schema="urn:track-lineage:schema:snapshot:9"), "known are"),
        (wrong(version=2), "supersedes nothing"),
        (wrong(created_at="2026-05-01T00:00:00.000000Z\n"), "created_at"),
        (wrong(edges=[{"parent_node_uid": "1", "child_node_uid": "3"}]), "no node in it"),
        (wrong(runs=[]), "is of the run 'r'"),
        (lambda each: each["nodes"].append(each["nodes"][0]), "more than once"),
        (lambda each: each["nodes"][0].update(params_json="[1]"), "no JSON object"),
        (lambda each: each["nodes"][0].update(params_json="{"), "is no JSON"),
        (lambda each: each["nodes"][0].update(project_uid="x"), "of the project 'x'"),
        (lambda each: each["nodes"][0].update(shape=[1.5]), "no whole number"),
        (lambda each: each["nodes"][0].update(operation="x" * 51), "length <= 50"),
        (lambda each: each["nodes"][0].update(operation="\ud800"), "no Unicode"),
        (lambda each: each["nodes"][0].update(params_json='{"password":"x"}'), "secret"),
        (lambda each: each["project"].update(description="password=hunter2"), "secret"),
    ],
)
def test_what_does_not_follow_the_schemas_is_refused(tmp_path, change, told):
    document = record()
    change(document)
    snapshots = Snapshots(MemoryStore(), folder=tmp_path)
    with pytest.raises(SnapshotError, match=told):
        snapshots.accept(document)
    assert snapshots.find() == []
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize("text", ["", "[]", "1", "{}", '{"schema":1}', b"\xff"])
def test_what_is_no_snapshot_is_refused(tmp_path, text):
    with pytest.raises(SnapshotError):
        Snapshots(MemoryStore(), folder=tmp_path).accept(text)


def test_version_1_is_read_as_version_2_and_keeps_its_bytes(tmp_path):
    snapshots = Snapshots(MemoryStore(), folder=tmp_path)
    made = snapshots.accept(record())
    assert snapshots.export(made.id) == canonical(record())
    assert made.id == hashlib.sha256(canonical(record())).hexdigest()
    first, _ = made.document.nodes
    assert (first.name, first.status, first.shape) == ("DataFrame.merge", "failed", (3, 2))
    assert first.outputs[0].uid == first.artifact_uid == "a"
    assert [edge.artifact_uid for edge in made.document.edges] == [None]
    assert Draft202012Validator(published("snapshot", 1)).is_valid(record())
    brought = json.loads(msgspec.json.encode(made.document))
    assert Draft202012Validator(published("snapshot")).is_valid(brought)
    assert decode(canonical(brought)) == made.document
    assert snapshots.verify() == (1, [])
    after = snapshots.create("p", "nightly")
    assert (after.known["version"], after.known["supersedes"]) == (2, made.id)


def test_what_was_exported_is_taken_elsewhere_under_the_same_id(snapshots, tmp_path):
    made = [snapshots.create("p", "nightly", run=name) for name in "rs"]
    other = Snapshots(MemoryStore(), folder=tmp_path / "other")
    with pytest.raises(SnapshotError, match=r"it is version 2 of p/nightly, .* is none"):
        other.accept(snapshots.export(made[1].id))
    for each in made:
        assert other.accept(snapshots.export(each.id)).id == each.id
    assert other.verify() == (2, [])
    with pytest.raises(SnapshotError, match="take them in their order"):
        other.accept(snapshots.export(made[0].id))
    third = snapshots.create("p", "nightly")
    other.create("p", "nightly")
    document = json.loads(snapshots.export(third.id)) | {"version": 4}
    with pytest.raises(SnapshotError, match="into a folder of its own"):
        other.accept(document)


def test_canonical_json_is_that_of_rfc_8785():
    """The names of section 3.2.3, and the text of section 3.2.2."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\xf6"]
    ordered = ["\r", "1", "\x80", "\xf6", "\u20ac", "\U0001f600", "\ufb33"]
    found = canonical(dict.fromkeys(names, 0)).decode()
    assert list(json.loads(found)) == ordered
    text = '\u20ac$\x0f\nA\'B"\\\\"/'
    assert canonical({"string": text}) == (
        b'{"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    for number in (1.0, 2**53, -(2**53)):
        with pytest.raises(SnapshotError, match="no whole number"):
            canonical([number])


# --- secrets -------------------------------------------------------------------------------------


def test_no_secret_reaches_a_snapshot(tmp_path):
    canary = "hunter2canary"
    url = f"postgresql://me:{canary}@db/prices"
    store = MemoryStore()
    made = operation(0, [], [])
    made.parameters = {"password": canary, "url": url, "deep": [{"api_key": canary}]}
    made.inputs = [DataSource("table", url, url)]
    made.outputs = [DataSource("table", "b", url)]
    made.error_info = f"cannot log in with password={canary}"
    made.user_info = f"token={canary}"
    for kind, rows in operation_rows(made).items():
        store.append(kind, rows)  # as a store that nothing was redacted for
    parameters = json.dumps({"secret": canary})
    row = {"run_id": "r", "name": url, "parameters": parameters, "error_info": url}
    store.append("runs", [{**row, "timestamp": 1}])
    told = f"password={canary}"
    snapshots = Snapshots(store, folder=tmp_path / "frozen")
    for run in ("r", None):
        snapshot = snapshots.create(told, told, run=run, description=url, user_tag=told, owner=told)
        data = snapshots.export(snapshot.id)
        assert b"redacted" in data
        elsewhere = Snapshots(store, folder=tmp_path / f"other {run}")
        if run:
            assert elsewhere.accept(data).id == snapshot.id
    answers = [snapshots.get_dag(), snapshots.get_projects_with_pipelines(), snapshots.find()]
    assert canary not in repr(answers)
    found = [path for path in tmp_path.rglob("*") if canary in str(path)]
    found += [path for path in tmp_path.rglob("*.json") if canary in path.read_text()]
    assert found == []


def test_times_are_told_with_the_zone_they_were_asked_in(snapshots):
    made = snapshots.create("p", as_of=datetime(2026, 5, 1, 0, 2, tzinfo=UTC))
    assert made.known["as_of"] == "2026-05-01T00:02:00.000000Z"
    assert made.known["total_nodes"] == 3
