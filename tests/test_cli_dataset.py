"""The command line over datasets and models."""

import json

import pytest
from typer.testing import CliRunner

from lineage import Dataset, Model, list_datasets
from lineage.cli import app


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.delenv("LINEAGE_DATASETS", raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run():
    def ask(*arguments, code=0):
        result = CliRunner().invoke(app, [*map(str, arguments)])
        assert result.exit_code == code, result.output
        return result

    return ask


@pytest.fixture
def saved(run, tmp_path):
    (tmp_path / "rows.csv").write_text("a\n1\n")
    (tmp_path / "pics" / "sub").mkdir(parents=True)
    (tmp_path / "pics" / "sub" / "x").write_text("x")
    run("dataset", "save", "churn", "1.0.0", "rows.csv", "images=pics", "-m", "export")
    (tmp_path / "rows.csv").write_text("a\n1\n2\n")
    run("dataset", "save", "churn", "1.10.0", "rows.csv", "--parent", "churn@1.0.0", "--keep")
    run("dataset", "save", "churn", "1.9.0", "rows.csv", "--parent", "churn@1.0.0")
    return {each.version: each for each in list_datasets()}


def test_save_prints_the_id_and_says_what_was_saved(run, tmp_path):
    (tmp_path / "rows.csv").write_text("a\n")
    result = run("dataset", "save", "d", "1", "rows.csv")
    assert result.stdout == f"{Dataset.get('d').id}\n"
    assert result.stderr == "d@1: 1 artefact, 2 bytes\n"


def test_keep_takes_what_the_parent_has(saved):
    assert sorted(saved["1.10.0"].artefacts) == ["images", "rows.csv"]
    assert sorted(saved["1.9.0"].artefacts) == ["rows.csv"]
    assert saved["1.10.0"].get_artefact("rows.csv").read_text() == "a\n1\n2\n"


def test_list_gives_each_version(run, saved):
    header, *lines = [line.split("\t") for line in run("dataset", "list").stdout.splitlines()]
    shown = [dict(zip(header, line, strict=True)) for line in lines]
    assert [each["version"] for each in shown] == ["1.0.0", "1.10.0", "1.9.0"]
    assert [each["parent"] for each in shown] == ["", *[saved["1.0.0"].id[:8]] * 2]
    assert [each["artefacts"] for each in shown] == ["2", "2", "1"]
    told = json.loads(run("dataset", "list", "--json").stdout)["data"]
    assert [each["id"] for each in told] == [each.id for each in saved.values()]
    assert "no dataset is saved as x" in run("dataset", "list", "x").stderr


def test_show_tells_facts_artefacts_and_links(run, saved):
    shown = run("dataset", "show", "churn@1.0.0").stdout
    assert f"id\t{saved['1.0.0'].id}" in shown
    assert "images\tfolder\t" in shown
    assert f"child\tchurn@1.10.0\t{saved['1.10.0'].id[:8]}" in shown
    told = json.loads(run("dataset", "show", "churn", "--json").stdout)["data"]
    assert (told["version"], told["parent"]) == ("1.10.0", saved["1.0.0"].id)


def test_tree_draws_the_history(run, saved):
    short = {version: each.id[:8] for version, each in saved.items()}
    assert run("dataset", "tree").stdout == (
        f"* {short['1.0.0']} - churn 1.0.0: export\n"
        "|\\\n"
        f"| * {short['1.10.0']} - churn 1.10.0\n"
        f"* {short['1.9.0']} - churn 1.9.0\n"
    )


def test_diff_exits_with_1_when_they_differ(run, saved):
    shown = run("dataset", "diff", "churn@1.0.0", "churn@1.9.0", code=1).stdout
    assert "images\tremoved" in shown
    assert "rows.csv\tbytes\t4\t6" in shown
    assert "nothing differs" in run("dataset", "diff", "churn", "churn@1.10.0").stderr


def test_diff_tells_of_frames(run):
    import pandas

    one = pandas.DataFrame({"a": [1, 2], "b": [1, 2], "c": [1, 2]})
    Dataset("d", "1", artefacts={"rows": one, "order": one}).save()
    other = one.assign(a=one.a.astype("int8"), c=0).head(1).drop(columns="b")
    Dataset("d", "2", artefacts={"rows": other, "order": one[["b", "a", "c"]]}).save()
    lines = run("dataset", "diff", "d@1", "d@2", code=1).stdout.splitlines()[1:]
    assert lines == [
        "order\torder of columns\t\tchanged",
        "rows\tcolumn b\tthere\t",
        "rows\ttype of a\tint64\tint8",
        "rows\trows\t2\t1",
    ]


def test_get_writes_one_or_all(run, saved, tmp_path):
    assert run("dataset", "get", "churn@1.0.0", "rows.csv").stdout == "a\n1\n"
    assert run("dataset", "get", "churn", "images", "-o", "out").stdout == "out\n"
    assert (tmp_path / "out" / "sub" / "x").read_text() == "x"
    assert run("dataset", "get", "churn").stdout == "churn-1.10.0\n"
    assert (tmp_path / "churn-1.10.0" / "images" / "sub" / "x").read_text() == "x"
    run("dataset", "get", "churn", code=2)
    assert "say with -o" in run("dataset", "get", "churn", "images", code=2).stderr
    assert "has no artefact" in run("dataset", "get", "churn", "nothing", code=3).stderr


def test_verify_exits_with_1_when_a_byte_is_another(run, saved, tmp_path):
    assert "all is as saved" in run("dataset", "verify").stderr
    digest = saved["1.0.0"].kept["rows.csv"].sha256
    for path in (tmp_path / "lineage_datasets" / "blobs").rglob(f"{digest}*"):
        path.write_text("b\n1\n")
    assert "damaged" in run("dataset", "verify", code=1).stdout


def test_gc_says_what_it_removed(run, saved):
    from lineage.datasets.registry import Registry

    registry = Registry()
    registry.delete("dataset", saved["1.9.0"].id)
    registry.delete("dataset", saved["1.10.0"].id)
    lines = run("dataset", "gc").stdout.splitlines()
    assert "contents\t1" in lines
    assert "bytes\t6" in lines


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["dataset", "show", "chrun"], 3, "did you mean 'churn'"),
        (["dataset", "save", "churn", "1.0.0", "rows.csv"], 2, "already"),
        (["dataset", "save", "d", "1", "nothing.csv"], 2, "no file or folder 'nothing.csv'"),
        (["dataset", "save", "d", "1", "=rows.csv"], 2, "KEY=PATH"),
        (["dataset", "save", "d", "1", "--keep"], 2, "--keep"),
        (["dataset", "save", "d", "9" * 5000, "rows.csv"], 2, "at most"),
        (["dataset", "save", "d", "1", "--parent", "nothing"], 3, "no dataset 'nothing'"),
        (["dataset", "list", "--registry", "elsewhere"], 4, "no datasets or models at elsewhere"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(run, saved, command, code, said):
    result = run(*command, code=code)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_question_makes_no_registry(run, tmp_path):
    assert "save one first" in run("dataset", "list", code=4).stderr
    assert list(tmp_path.iterdir()) == []


def test_models_are_shown_without_reading_their_pickles(run):
    model = Model("mean", "1", config={"start": 1})
    model.setup(lambda dataset, config: dict(config))
    model.train(lambda trained, dataset: trained)
    model.eval(lambda trained, dataset: {"error": 0.5})
    model.save()
    shown = run("model", "show", "mean").stdout
    assert 'evaluation\t{"error":0.5}' in shown
    assert "trained_model\tbytes\t" in shown
    assert run("model", "tree").stdout == f"* {model.id[:8]} - mean 1\n"
    assert run("model", "list").stdout.count("\n") == 2
    Model("mean", "2", config={"start": 2}).save()
    lines = run("model", "diff", "mean@1", "mean@2", code=1).stdout.splitlines()
    assert "\tconfig.start\t1\t2" in lines
    assert "trained_model\tremoved\t\t" in lines
    assert "no dataset is saved" in run("dataset", "list").stderr
