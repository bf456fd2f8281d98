"""The behaviours of Traintrack, one by one: those that hold here, as docs/conformance.md says.

Where one was replaced, its test asserts what takes its place. The tests below them are about its
defects, which must not happen here; docs/conformance.md has them by number.
"""

import inspect

import pandas as pd
import pytest

from lineage import Dataset, Model, list_datasets, list_models
from lineage.datasets.trees import draw_tree
from lineage.errors import (
    ArtefactError,
    RegistryError,
    UnknownVersionError,
    VersionConflictError,
)


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.delenv("LINEAGE_DATASETS", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def frame():
    return pd.DataFrame({"rooms": [2, 3, 3], "price": [200.5, None, 275.0]})


def drawn(**parents):
    return "\n".join(draw_tree(parents, {each: each for each in parents}))


# --- the tree of versions ------------------------------------------------------------------------


def test_t1_two_in_a_row():
    assert drawn(A=None, B="A") == "* A\n* B"


def test_t2_three_in_a_row():
    assert drawn(A=None, B="A", C="B") == "* A\n* B\n* C"


def test_t3_a_fork_goes_on_in_the_column_of_the_first_child():
    assert drawn(A=None, B="A", C="A", D="B") == "* A\n|\\\n| * B\n| * D\n* C"


def test_t4_a_fork_within_a_fork():
    found = drawn(A=None, B="A", C="A", D="B", E="B", F="D")
    assert found == "* A\n|\\\n| * B\n| |\\\n| | * D\n| | * F\n| * E\n* C"


def test_t5_three_children():
    assert drawn(A=None, B="A", C="A", D="A") == "* A\n|\\ \\\n| | * B\n| * C\n* D"


def test_t6_two_roots():
    assert drawn(A=None, B=None) == "* A\n\n---\n\n* B"


def test_t7_a_label_is_the_beginning_of_the_id_the_name_the_version_and_the_description():
    first = Dataset("churn", "1.0.0", "export from CRM").save()
    second = first.transform(version="1.0.1", description="drop NaNs").save()
    assert list_datasets().tree() == (
        f"* {first.id[:8]} - churn 1.0.0: export from CRM\n"
        f"* {second.id[:8]} - churn 1.0.1: drop NaNs"
    )


# --- datasets ------------------------------------------------------------------------------------


def test_d1_a_dataset_has_a_name_a_version_a_description_a_parent_and_artefacts():
    names = [*inspect.signature(Dataset).parameters][:5]
    assert names == ["name", "version", "description", "parent", "artefacts"]
    made = Dataset(name="churn", description="export from CRM", version="1.0.0")
    assert (made.id, made.name, made.version, made.parent) == (None, "churn", "1.0.0", None)
    assert repr(made) == "<Dataset churn:1.0.0>"


def test_d2_frames_texts_and_bytes_are_artefacts_and_other_objects_are_not(frame):
    made = Dataset("d", "1")
    for name, value in (("rows", frame), ("text", "t"), ("bytes", b"b")):
        made.set_artefact(name, value)
        assert made.get_artefact(name) is value
        assert made.artefacts[name] is value
    with pytest.raises(TypeError):
        made.set_artefact("number", 3)


def test_d3_an_artefact_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError):
        Dataset("d", "1").get_artefact("rows")


def test_d4_what_is_saved_has_an_id_and_is_listed():
    saved = Dataset("d", "1").save()
    assert saved.id is not None
    assert [each.id for each in list_datasets()] == [saved.id]


def test_d5_saving_what_is_saved_is_refused_unless_it_is_forced():
    saved = Dataset("d", "1").save()
    with pytest.raises(Exception, match="datasets and models are immutable"):
        saved.save()
    with pytest.raises(VersionConflictError):  # the first check only is lifted by force
        saved.save(force=True)


def test_d6_transform_gives_an_unsaved_dataset_with_this_one_as_its_parent(frame):
    saved = Dataset("d", "1", artefacts={"rows": frame}).save()
    made = saved.transform(name="d", description="next", version="2")
    assert (made.id, made.parent, made.description) == (None, saved.id, "next")
    pd.testing.assert_frame_equal(made.get_artefact("rows"), frame)


def test_d7_a_list_has_a_length_items_and_those_of_a_name():
    for name in ("a", "b", "a"):
        Dataset(name, str(len(list_datasets()))).save()
    found = list_datasets()
    assert (len(found), found[1].name, [each.name for each in found]) == (3, "b", ["a", "b", "a"])
    assert [each.version for each in found.filter_by_name("a")] == ["0", "2"]
    assert repr(found) == "<Datasets 3 items>"
    assert found.latest_version("nothing") is None


# --- models --------------------------------------------------------------------------------------


def test_m1_a_model_is_set_up_trained_and_evaluated_by_functions_whose_source_is_kept(frame):
    dataset = Dataset("houses", "1", artefacts={"rows": frame}).save()

    def setup_model(dataset, config):
        return {"factor": config["factor"]}

    def train_model(model_obj, dataset):
        return {**model_obj, "rows": len(dataset.artefacts["rows"])}

    def eval_model(model_obj, dataset):
        return {"rows": model_obj["rows"]}

    model = Model("prices", "0.0.1", "first", dataset=dataset, config={"factor": 2})
    model.setup(setup_model)
    model.train(train_model)
    model.eval(eval_model)
    assert (model.model_obj, model.evaluation) == ({"factor": 2}, {"rows": 3})
    assert model.trained_model == {"factor": 2, "rows": 3}
    model.save()
    found = list_models().latest_version("prices")
    assert found.code["setup"]["source"].startswith("def setup_model(dataset, config):")
    assert (found.evaluation, found.config) == ({"rows": 3}, {"factor": 2})
    assert repr(list_models()) == "<Models 1 items>"


def test_m2_the_interpreter_and_the_packages_are_kept():
    model = Model("m", "1")
    model.setup(lambda dataset, config: {})
    model.train(lambda model_obj, dataset: {"trained": True})
    names = {each[0] for each in model.environment["packages"]}
    assert {"pandas", "pytest"} <= names
    assert "Python" in model.environment["interpreter"]["name"]


# --- its defects, which must not be here ---------------------------------------------------------


def test_x1_a_save_that_fails_leaves_nothing_and_can_be_tried_again(frame, tmp_path):
    (tmp_path / "file").write_text("x")
    draft = Dataset("d", "1", artefacts={"rows": frame, "file": tmp_path / "file"})
    (tmp_path / "file").unlink()
    with pytest.raises(ArtefactError):
        draft.save()
    assert len(list_datasets()) == 0
    (tmp_path / "file").write_text("x")
    assert draft.save().get_artefact("file").read_text() == "x"


def test_x2_bytes_that_a_version_has_are_not_taken_away_by_another(frame):
    one = Dataset("one", "1", artefacts={"rows": frame}).save()
    one.transform(name="two", version="1").save()
    pd.testing.assert_frame_equal(one.get_artefact("rows"), frame)


def test_x3_two_files_of_one_name_do_not_overwrite_each_other(tmp_path):
    for each in ("a", "b"):
        (tmp_path / each).mkdir()
        (tmp_path / each / "same.txt").write_text(each)
    paths = {each: tmp_path / each / "same.txt" for each in ("a", "b")}
    saved = Dataset("d", "1", artefacts=paths).save()
    assert [saved.get_artefact(each).read_text() for each in ("a", "b")] == ["a", "b"]


def test_x4_what_was_saved_of_a_model_can_be_had_again():
    model = Model("m", "1", config={"a": 1}, metadata={"team": "b"})
    model.setup(lambda dataset, config: {})
    model.train(lambda model_obj, dataset: {"x": 1})
    model.eval(lambda model_obj, dataset: 0.5)
    found = Model.get(model.save().id)
    assert (found.config, found.evaluation, found.metadata["team"]) == ({"a": 1}, 0.5, "b")
    assert found.environment["id"]


def test_x5_a_version_that_is_there_and_a_parent_that_is_not_are_errors_of_their_own():
    Dataset("d", "1").save()
    with pytest.raises(VersionConflictError):
        Dataset("d", "1").save()
    with pytest.raises(UnknownVersionError):
        Dataset("d", "2", parent="00000000-0000-0000-0000-000000000000").save()


def test_x7_versions_are_ordered_types_survive_and_no_byte_moves_twice(frame, tmp_path):
    frame["state"] = pd.Categorical(["x", "y", "x"])
    Dataset("d", "1.9.0", artefacts={"rows": frame}).save()
    Dataset("d", "1.10.0", artefacts={"rows": frame}).save()
    latest = list_datasets().latest_version("d")
    assert latest.version == "1.10.0"
    pd.testing.assert_frame_equal(latest.get_artefact("rows"), frame)
    blobs = [each for each in (tmp_path / "lineage_datasets/blobs").rglob("*") if each.is_file()]
    assert len(blobs) == 1


def test_x7_a_pickle_is_not_read_unless_it_is_asked_for():
    model = Model("m", "1")
    model.setup(lambda dataset, config: {})
    model.train(lambda model_obj, dataset: {"x": 1})
    model.save()
    found = Model.get("m")
    with pytest.raises(RegistryError, match="load_trained_model"):
        found.trained_model  # noqa: B018 - reading it is the test
    assert found.load_trained_model(sha256=found.kept["trained_model"].sha256) == {"x": 1}
