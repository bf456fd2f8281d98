"""Datasets and models: drafts, saved versions, what is made from them, and what is recorded."""

import hashlib
import os
import pickle
import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lineage
from lineage import Dataset, LineageQueryEngine, LineageTracker, Model, set_global_tracker
from lineage.datasets.listing import label_of
from lineage.datasets.ordering import version_key
from lineage.datasets.registry import Registry
from lineage.datasets.trees import draw_tree
from lineage.errors import (
    ArtefactError,
    ChecksumError,
    DraftError,
    RegistryError,
    UnknownVersionError,
    VersionConflictError,
)


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """Run in an empty folder, whose registry is the one that is found by itself."""
    monkeypatch.delenv("LINEAGE_DATASETS", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def frame():
    return pd.DataFrame({"id": [1, 2, 3], "spend": [1.5, None, 3.0]})


@pytest.fixture
def churn(frame):
    return Dataset("churn", "1.9.0", "export from CRM", artefacts={"rows": frame, "n": "ä"}).save()


# --- drafts and saved versions ------------------------------------------------------------------


def test_what_is_saved_comes_back_by_name_version_and_id(churn, frame):
    for asked in ("churn", "churn@1.9.0", churn.id, churn.id[:8]):
        found = Dataset.get(asked)
        assert (found.id, found.description) == (churn.id, "export from CRM")
        pd.testing.assert_frame_equal(found.get_artefact("rows"), frame)
        assert found.artefacts["n"] == "ä"
    assert Dataset.get("churn", "1.9.0").created_at == churn.created_at


def test_a_saved_version_does_not_change_with_what_is_done_to_its_objects(churn, frame):
    frame.loc[0, "spend"] = 99
    taken = churn.get_artefact("rows")
    taken.loc[0, "spend"] = 98
    assert churn.get_artefact("rows").spend[0] == 1.5


def test_a_saved_version_is_immutable(churn):
    with pytest.raises(RegistryError, match="immutable"):
        churn.set_artefact("more", b"x")
    with pytest.raises(RegistryError, match="immutable"):
        churn.save()
    with pytest.raises(VersionConflictError):
        churn.save(force=True)
    with pytest.raises(AttributeError):
        churn.version = "2"
    churn.metadata["x"] = 1
    assert churn.metadata == {}


@pytest.mark.parametrize("value", [None, 3, ["x"], {"a": 1}, object(), pd.Series([1])])
def test_other_objects_are_no_artefacts(value):
    with pytest.raises(TypeError, match=r"DataFrame, a str, bytes or a pathlib\.Path"):
        Dataset("d", "1").set_artefact("x", value)


def test_a_subclass_of_a_frame_is_refused_since_it_would_come_back_as_another():
    class Mine(pd.DataFrame):
        pass

    with pytest.raises(TypeError, match="would come back as a DataFrame"):
        Dataset("d", "1").set_artefact("x", Mine({"a": [1]}))


def test_files_and_folders_come_back_as_paths_of_copies(tmp_path):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "x.bin").write_bytes(b"\0\1")
    (source / "link").symlink_to("sub/x.bin")
    made = Dataset("files", "1", artefacts={"one": source / "sub" / "x.bin", "all": source}).save()
    (source / "sub" / "x.bin").write_bytes(b"changed")
    found = Dataset.get(made.id)
    assert found.get_artefact("one").name == "x.bin"
    assert found.get_artefact("one").read_bytes() == b"\0\1"
    assert (found.get_artefact("all") / "link").read_bytes() == b"\0\1"
    there = found.get_artefact("all", to=tmp_path / "out")
    assert there == tmp_path / "out"
    with pytest.raises(ArtefactError, match="is there already"):
        found.get_artefact("one", to=there)


def test_a_file_is_read_when_it_is_saved_and_says_so_when_it_is_gone(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    draft = Dataset("d", "1", artefacts={"file": path})
    path.unlink()
    with pytest.raises(ArtefactError, match="cannot be read"):
        draft.save()
    assert list(Dataset.list()) == []


@pytest.mark.parametrize(
    ("name", "version"), [("", "1"), ("d", ""), ("a\0b", "1"), ("d", "9" * 5000), (" d", "1")]
)
def test_names_that_cannot_be_are_refused_by_field(name, version):
    with pytest.raises(DraftError, match=r"name|version"):
        Dataset(name, version).save()


@pytest.mark.parametrize("key", ["", 1, None, "a\nb", " a", "x" * 201, "\udc80"])
def test_keys_that_cannot_be_are_refused_at_once(key, churn):
    with pytest.raises(DraftError, match="artefacts"):
        Dataset("d", "1", artefacts={key: "text"})
    with pytest.raises(DraftError, match="artefacts"):
        churn.transform(lambda held: {key: "text"}, version="2")


def test_a_save_that_fails_leaves_no_bytes_behind(churn, tmp_path):
    def files():
        return sorted(each for each in (tmp_path / "lineage_datasets/blobs").rglob("*.*"))

    before = files()
    with pytest.raises(VersionConflictError):
        Dataset("churn", "1.9.0", artefacts={"a": "one", "b": "two"}).save()
    with pytest.raises(ArtefactError):
        Dataset("d", "1", artefacts={"a": "one", "b": tmp_path / "missing"}).save()
    assert files() == before


@pytest.mark.parametrize("key", ["rows", "all"])
def test_damaged_bytes_are_never_given(churn, tmp_path, key):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x").write_bytes(b"x" * 100_000)
    made = churn.transform(version="2")
    made.set_artefact("all", tmp_path / "in")
    made.save()
    for path in (tmp_path / "lineage_datasets" / "blobs").rglob("*"):
        if path.is_file() and path.name.startswith(made.kept[key].sha256):
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)
    with pytest.raises(ChecksumError):
        made.get_artefact(key, to=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_odd_keys_are_kept_and_written_out_side_by_side(tmp_path):
    keys = ["../up", "a/b", "a", "/abs", "..", "~", "x y", "rows", "rows.txt", "%2E", "C:\\x"]
    made = Dataset("odd", "1", artefacts={key: f"text of {key}" for key in keys}).save()
    assert {key: made.get_artefact(key) for key in keys} == {k: f"text of {k}" for k in keys}
    folder = made.checkout(tmp_path / "deep" / "out")
    files = [each for each in folder.rglob("*") if each.is_file()]
    assert sorted(each.read_text() for each in files) == sorted(f"text of {key}" for key in keys)
    assert [each.name for each in tmp_path.iterdir() if each.name == "up.txt"] == []


def test_two_files_of_one_name_are_two_artefacts(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.csv").write_text(folder)
    paths = {each: tmp_path / each / "same.csv" for each in ("a", "b")}
    made = Dataset("d", "1", artefacts=paths).save()
    assert [made.get_artefact(each).read_text() for each in ("a", "b")] == ["a", "b"]
    assert sorted(each.name for each in made.checkout("out").iterdir()) == ["a.csv", "b.csv"]


def test_a_folder_with_something_in_it_is_not_checked_out_into(churn, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(ArtefactError, match="not an empty folder"):
        churn.checkout("out")


def test_a_key_that_is_not_there_is_a_key_error_that_names_those_that_are(churn):
    with pytest.raises(KeyError, match="'rows', 'n'"):
        churn.get_artefact("nothing")


def test_unknown_versions_are_named_with_what_there_is(churn):
    with pytest.raises(UnknownVersionError, match="did you mean 'churn'"):
        Dataset.get("chrun")
    with pytest.raises(UnknownVersionError, match=r"versions of 'churn' are 1\.9\.0"):
        Dataset.get("churn@7")
    with pytest.raises(UnknownVersionError):
        Dataset("next", "1", parent="no such id").save()


def test_a_name_with_an_at_sign_is_found():
    made = Dataset("team@churn", "1@2").save()
    assert Dataset.get("team@churn@1@2").id == made.id


# --- transform ----------------------------------------------------------------------------------


def test_transform_of_one_artefact_gives_it_to_the_function(frame):
    made = Dataset("one", "1", artefacts={"rows": frame}).save()
    new = made.transform(lambda rows: rows.dropna(), version="2", description="drop NaNs")
    assert (new.id, new.name, new.parent, new.description) == (None, "one", made.id, "drop NaNs")
    assert len(new.save().get_artefact("rows")) == 2
    assert len(made.get_artefact("rows")) == 3


def test_transform_of_several_gives_and_takes_a_dictionary(churn):
    new = churn.transform(lambda held: {"rows": held["rows"].head(1)}, version="2").save()
    assert list(new.artefacts) == ["rows"]
    with pytest.raises(TypeError, match="give a dictionary"):
        churn.transform(lambda held: held["rows"], version="3")


def test_transform_of_a_named_one_keeps_the_others(churn):
    new = churn.transform(lambda rows: rows.head(1), artefact="rows", version="2").save()
    assert list(new.artefacts) == ["rows", "n"]
    assert new.kept["n"] == churn.kept["n"]


def test_what_is_changed_in_place_is_seen(churn):
    def change(held):
        held["rows"]["new"] = 1
        return held

    new = churn.transform(change, version="2").save()
    assert list(new.get_artefact("rows")) == ["id", "spend", "new"]
    assert list(churn.get_artefact("rows")) == ["id", "spend"]


def test_a_function_that_gives_nothing_is_told_so(churn):
    with pytest.raises(TypeError, match="have it return"):
        churn.transform(lambda rows: None, artefact="rows", version="2")


class Counting(Registry):
    """A registry that counts the bytes that are moved."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.staged, self.was_read = 0, 0

    def stage(self, name, chunks, **more):
        def counted():
            for chunk in chunks:
                self.staged += len(chunk)
                yield chunk

        return super().stage(name, counted(), **more)

    def read(self, artefact, **more):
        for chunk in super().read(artefact, **more):
            self.was_read += len(chunk)
            yield chunk


def test_no_byte_moves_of_what_is_the_same(tmp_path, frame):
    registry = Counting(str(tmp_path / "registry"))
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    artefacts = {"rows": frame, "big": tmp_path / "big", "text": "t"}
    made = Dataset("d", "1", artefacts=artefacts, registry=registry).save()
    assert registry.staged > 100_000
    registry.staged = 0
    made.transform(version="2").save()
    assert (registry.staged, registry.was_read) == (0, 0)
    made.transform(lambda held: dict(held), version="3").save()
    assert registry.staged == 0
    changed = made.transform(lambda text: text + "!", artefact="text", version="4").save()
    assert registry.staged == len("t!")  # the control: what is another is moved
    assert changed.kept["big"] == made.kept["big"]


def test_an_unsaved_version_has_no_children():
    with pytest.raises(RegistryError, match="not saved yet"):
        Dataset("d", "1").transform(version="2")
    with pytest.raises(UnknownVersionError, match="not saved yet"):
        Dataset("d", "2", parent=Dataset("d", "1"))


# --- lists, order, trees ------------------------------------------------------------------------


def test_the_latest_version_is_so_by_order_and_not_by_letters():
    for version in ("1.10.0", "1.9.0", "draft 3", "1.10.0rc1"):
        Dataset("d", version).save()
    assert Dataset.latest_version("d").version == "1.10.0"
    assert lineage.list_datasets().latest_version("d").version == "1.10.0"
    assert max(["1.10.0", "1.9.0"]) == "1.9.0"  # the control: letters would say this
    assert Dataset.latest_version("nothing") is None
    assert [each.version for each in Dataset.filter(name="d")] == [
        *("1.10.0", "1.9.0", "draft 3", "1.10.0rc1")
    ]


@given(st.lists(st.text(max_size=8), max_size=6))
def test_any_texts_have_an_order_without_two_equal_ones(texts):
    found = sorted(texts, key=version_key)
    assert sorted(set(texts), key=version_key) == sorted(set(found), key=version_key)
    for one, other in pairwise(found):
        assert one == other or version_key(one) < version_key(other)


def test_huge_numbers_are_ordered_too():
    huge = "1." + "9" * 5000
    assert version_key(huge) < version_key("1.0")
    assert version_key("v" + "9" * 4999) < version_key("v" + "9" * 5000)


def test_a_long_history_is_drawn():
    parents = {str(n): str(n - 1) if n else None for n in range(20_000)}
    assert len(draw_tree(parents, {each: each for each in parents})) == 20_000


def test_rings_and_missing_parents_are_drawn_once():
    parents = {"a": "b", "b": "a", "c": "gone"}
    lines = draw_tree(parents, {each: each for each in parents})
    assert sorted(each for each in lines if each.startswith("*")) == ["* a", "* b", "* c"]


def test_a_label_is_one_line_whatever_its_description():
    made = Dataset("d", "1", "first\nsecond " + "x" * 1000).save()
    label = label_of(made)
    assert label.startswith(f"{made.id[:8]} - d 1: first second x")
    assert len(label) < 200


# --- diff ---------------------------------------------------------------------------------------


def test_diff_tells_of_artefacts_columns_types_and_rows(churn):
    def change(held):
        rows = held["rows"].assign(id=lambda r: r.id.astype("int8"), new=1).drop(columns="spend")
        return {"rows": rows.head(2), "more": b"x"}

    found = churn.diff(churn.transform(change, version="2").save())
    assert (found["added"], found["removed"], found["is_same"]) == (["more"], ["n"], False)
    assert found["changed"]["rows"]["frame"] == {
        "columns_added": ["new"],
        "columns_removed": ["spend"],
        "types_changed": {"id": ("int64", "int8")},
        "columns_changed": [],
        "rows": (3, 2),
    }


def test_diff_tells_which_columns_have_other_values(churn):
    new = churn.transform(lambda rows: rows.assign(spend=0.0), artefact="rows", version="2")
    frame = churn.diff(new)["changed"]["rows"]["frame"]
    assert (frame["columns_changed"], frame["rows"]) == (["spend"], (3, 3))
    assert churn.diff(churn.transform(version="3"))["is_same"]


def test_diff_of_metadata_goes_by_each_value():
    one = Dataset("d", "1", metadata={"source": {"url": "a", "rows": 1}, "old": True}).save()
    other = Dataset("d", "2", metadata={"source": {"url": "b", "rows": 1}}).save()
    found = one.diff(other)
    assert found["metadata"] == {"source.url": ("a", "b"), "old": (True, None)}
    assert not found["is_same"]


def test_diff_of_models_tells_of_code_settings_and_figures(model, churn):
    next_one = Model("mean", "0.2.0", parent=model, dataset=churn, config={"depth": 6})
    next_one.setup(lambda dataset, config: Estimator(depth=config["depth"]))
    next_one.train(fit)
    next_one.eval(score)
    found = model.diff(next_one.save())["metadata"]
    assert sorted(found) == ["config.depth", "parameters.depth", "setup"]
    assert found["config.depth"] == (5, 6)


def test_diff_of_other_kinds(tmp_path):
    one = Dataset("d", "1", artefacts={"a": "text", "b": b"xy"}).save()
    other = Dataset("d", "2", artefacts={"a": b"text", "b": b"z"}).save()
    changed = one.diff(other)["changed"]
    assert changed["a"]["kind"] == ("text", "bytes")
    assert (changed["b"]["size"], changed["b"]["frame"]) == ((2, 1), None)


# --- lineage ------------------------------------------------------------------------------------


@pytest.fixture
def tracker():
    made = LineageTracker()
    set_global_tracker(made)
    yield made
    made.close()
    set_global_tracker(None)


def test_a_transform_is_an_operation_from_the_parent_to_the_new_version(tracker, churn):
    def clean(rows):
        return rows.dropna()

    new = churn.transform(clean, artefact="rows", version="2").save()
    made = [each for each in tracker.operations.values() if each.operation_type == "transform"]
    assert [each.code_name for each in made] == [clean.__qualname__]
    assert [each.node_id for each in made[0].inputs] == ["dataset:churn@1.9.0"]
    assert [each.node_id for each in made[0].outputs] == ["dataset:churn@2"]
    assert (made[0].inputs[0].version, made[0].outputs[0].version) == (churn.id, new.id)
    assert made[0].parameters["content"] == new.content


def test_the_content_of_a_version_is_that_of_sha256sum():
    texts = {"a": "first", "B": "second", "ä": "third"}
    one = Dataset("churn", "1", "", artefacts=texts).save()
    lines = "".join(
        f"{hashlib.sha256(texts[key].encode()).hexdigest()}  {key}\n" for key in ("B", "a", "ä")
    )
    assert one.content == hashlib.sha256(lines.encode()).hexdigest()
    backwards = dict(reversed(texts.items()))
    again = Dataset("churn", "2", "", artefacts=backwards).save()
    other = Dataset("churn", "3", "", artefacts=texts | {"a": "x"}).save()
    assert one.content == again.content != other.content


def test_a_function_that_fails_is_recorded_and_raises(tracker, churn):
    with pytest.raises(ZeroDivisionError):
        churn.transform(lambda rows: 1 / 0, artefact="rows", version="2")
    failed = [each for each in tracker.operations.values() if each.is_failed]
    assert [each.error_type for each in failed] == ["ZeroDivisionError"]
    assert [each.node_id for each in failed[0].inputs] == ["dataset:churn@1.9.0"]


def test_a_transform_that_is_never_saved_made_no_version(tracker, churn):
    before = len(tracker.operations)
    churn.transform(lambda rows: rows, artefact="rows", version="2")
    assert len(tracker.operations) == before


def test_what_tracked_functions_make_of_a_version_leads_back_to_it(tracker, churn):
    @lineage.track_lineage
    def total(rows):
        return rows[["spend"]].sum().to_frame("total")

    Dataset("totals", "1", artefacts={"rows": total(Dataset.get("churn").artefacts["rows"])}).save()
    upstream = tracker.get_upstream_dependencies("dataset:totals@1")
    assert "dataset:churn@1.9.0" in upstream


def test_columns_are_recorded_where_capture_is_on(tracker, churn):
    with lineage.track("prepare"):
        new = churn.transform(
            lambda rows: rows.assign(double=rows.spend * 2), artefact="rows", version="2"
        ).save()
    engine = LineageQueryEngine(tracker.store)
    edges = engine.column_lineage(f"dataset:churn@{new.version}")
    found = {(edge.output_column, edge.source_node, edge.source_column) for edge in edges}
    assert ("double", "dataset:churn@1.9.0#rows", "spend") in found
    assert ("id", "dataset:churn@1.9.0#rows", "id") in found
    assert {edge.confidence for edge in edges} == {"exact"}


def test_without_a_tracker_nothing_is_different(churn):
    set_global_tracker(None)
    assert churn.transform(lambda rows: rows, artefact="rows", version="2").save().id


# --- models -------------------------------------------------------------------------------------


class Estimator:
    """An object with parameters, as those of scikit-learn."""

    def __init__(self, depth=3, api_key="sk-live-0123456789abcdef"):
        self.depth, self.api_key = depth, api_key

    def get_params(self):
        return {"depth": self.depth, "api_key": self.api_key, "kind": Estimator}


def set_up(dataset, config):
    return Estimator(depth=config["depth"])


def fit(model, dataset):
    model.mean = float(dataset.artefacts["rows"].spend.mean())
    return model


def score(model, dataset):
    return {"mean": model.mean}


@pytest.fixture
def model(churn):
    made = Model("mean", "0.1.0", "first", dataset=churn, config={"depth": 5})
    made.setup(set_up)
    made.train(fit)
    made.eval(score)
    return made.save()


def test_a_model_keeps_its_code_parameters_environment_and_evaluation(model, churn):
    found = Model.get("mean")
    assert found.evaluation == {"mean": 2.25}
    assert found.config == {"depth": 5}
    assert found.parameters["depth"] == 5
    assert found.dataset.id == churn.id
    assert set(found.code) == {"setup", "train", "eval"}
    assert found.code["train"]["source"].startswith("def fit(model, dataset):")
    assert len(found.code["train"]["sha256"]) == 64
    assert found.environment["interpreter"]["name"].endswith(
        ".".join(map(str, sys.version_info[:3]))
    )
    assert any(each[0] == "pandas" for each in found.environment["packages"])


def test_no_secret_of_a_model_is_kept(model):
    assert "sk-live" not in str(Model.get("mean").metadata)


def test_a_model_leads_back_to_its_dataset(tracker, churn):
    made = Model("mean", "1", dataset=churn)
    made.setup(lambda dataset, config: Estimator())
    made.train(fit)
    made.save()
    assert "dataset:churn@1.9.0" in tracker.get_upstream_dependencies("model:mean@1")


class Bomb:
    """What leaves a file behind when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_is_read_only_when_asked_and_its_digest_is_the_one_that_is_said(tmp_path):
    made = Model("bomb", "1")
    made.setup(lambda dataset, config: object())
    made.train(lambda model, dataset: Bomb())
    made.save()
    found = Model.get("bomb")
    digest = found.kept["trained_model"].sha256
    with pytest.raises(ArtefactError, match=digest):
        found.trained_model  # noqa: B018 - reading it is the test
    for wrong in ("", "0" * 64, digest[:-1]):
        with pytest.raises(ChecksumError, match="not unpickled"):
            found.load_trained_model(sha256=wrong)
    assert isinstance(found.get_artefact("trained_model"), bytes)
    assert found.checkout("out").is_dir()
    assert not Path("exploded").exists()
    found.load_trained_model(sha256=digest)  # the control: it would have been seen
    assert Path("exploded").exists()


def test_a_trained_model_comes_back(model):
    found = Model.get("mean")
    loaded = found.load_trained_model(sha256=found.kept["trained_model"].sha256.upper())
    assert (loaded.mean, found.trained_model) == (2.25, loaded)
    assert model.trained_model.mean == 2.25


def test_steps_of_a_model_in_the_wrong_order_are_refused(churn):
    made = Model("m", "1", dataset=churn, config={"depth": 1})
    with pytest.raises(RegistryError, match="setup"):
        made.train(fit)
    made.setup(set_up)
    with pytest.raises(RegistryError, match="train"):
        made.eval(score)
    made.train(fit)
    with pytest.raises(TypeError, match="no form in JSON"):
        made.eval(lambda model, dataset: {"x": object()})
    made.save()
    with pytest.raises(RegistryError, match="immutable"):
        made.train(fit)


def test_what_cannot_be_pickled_is_refused_before_anything_is_kept():
    made = Model("m", "1")
    made.setup(lambda dataset, config: object())
    made.train(lambda model, dataset: lambda: None)
    with pytest.raises((ArtefactError, pickle.PicklingError), match="cannot be pickled"):
        made.save()
    assert list(lineage.list_models()) == []


def test_a_model_of_an_unsaved_dataset_is_refused(frame):
    made = Model("m", "1", dataset=Dataset("d", "1", artefacts={"rows": frame}))
    with pytest.raises(RegistryError, match="save"):
        made.save()
