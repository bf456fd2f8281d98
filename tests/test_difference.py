"""Two runs side by side: what is aligned, which step differs first, and why."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lineage
from lineage import track_lineage
from lineage.analysis import difference
from lineage.analysis.changes import hidden_changes, process_changes
from lineage.analysis.difference import align, find_run
from lineage.codec import from_json, to_json
from lineage.environment import environment_of
from lineage.errors import OperationError
from lineage.query import LineageQueryEngine
from tests.test_git import committed


@track_lineage("read")
def load(path):
    return pd.read_csv(path)


@track_lineage("transform")
def clean(frame, threshold):
    return frame[frame.price > threshold]


@track_lineage("transform")
def doubled(frame):
    return frame.assign(total=frame.price * 2)


@track_lineage("write")
def save(frame, path):
    frame.to_csv(path, index=False)


@pytest.fixture
def nightly(tmp_path, monkeypatch, durable):
    """Give a function that runs a pipeline and gives the id of the run."""
    monkeypatch.chdir(tmp_path)
    Path("orders.csv").write_text("price,day\n1,a\n2,b\n5,c\n")

    def pipeline(*, threshold=1, steps=(doubled,), **parameters):
        with lineage.Run(durable, "nightly", parameters) as made:
            frame = clean(load(Path("orders.csv")), threshold)
            for step in steps:
                frame = step(frame)
            save(frame, Path("report.csv"))
        return made.run_id

    return pipeline


@pytest.fixture
def diff(durable):
    return lambda *runs: LineageQueryEngine(durable).diff(*runs)


def told(answer, *kinds):
    return [
        (each["kind"], each["function"].rpartition(".")[2], each["message"])
        for each in answer["causes"]
        if not kinds or each["kind"] in kinds
    ]


def first_of(answer):
    step = answer["first_step"]["before"] or answer["first_step"]["after"]
    return step["code"]["function"].rpartition(".")[2]


def test_two_equal_runs_do_not_differ(nightly, diff):
    answer = diff(nightly(), nightly())
    assert answer["is_same"]
    assert answer["message"] == "nothing differs in 4 steps"
    assert (answer["causes"], answer["steps"], answer["total_matched"]) == ([], [], 4)


def test_an_input_of_other_content_comes_first(nightly, diff):
    before = nightly()
    Path("orders.csv").write_text("price,day\n1,a\n2,b\n5,c\n9,d\n")
    answer = diff(before, nightly())
    assert first_of(answer) == "load"
    kind, function, message = told(answer)[0]
    assert (kind, function) == ("input", "load")
    assert "orders.csv" in message
    assert "(22 bytes)" in message
    assert ("rows", "load", "rows written: 3 -> 4") in told(answer)
    assert [each["kind"] for each in answer["causes"] if each["kind"] == "parameter"] == []


def test_a_parameter_old_and_new(nightly, diff):
    answer = diff(nightly(threshold=1), nightly(threshold=2))
    assert first_of(answer) == "clean"
    assert told(answer)[0] == ("parameter", "clean", "threshold: 1 -> 2")
    assert (answer["causes"][0]["before"], answer["causes"][0]["after"]) == (1, 2)
    assert answer["causes"][0]["is_first"]


def test_a_parameter_of_the_run_that_a_step_was_given_is_one_cause(nightly, diff):
    found = diff(nightly(threshold=1, day="a"), nightly(threshold=1, day="b"))
    assert told(found) == [("parameter", "", "day: a -> b")]
    assert found["first_step"] is None
    assert not found["is_same"]


def test_code_that_changed_without_git(nightly, diff):
    def doubled(frame):
        return frame.assign(total=frame.price * 3)

    doubled.__module__, doubled.__qualname__ = __name__, "doubled"
    answer = diff(nightly(), nightly(steps=(track_lineage("transform")(doubled),)))
    assert first_of(answer) == "doubled"
    assert next(each[:2] for each in told(answer)) == ("code", "doubled")
    assert told(answer, "output")[0][1] == "save"


def test_a_schema_and_its_columns(nightly, diff):
    def doubled(frame):
        return frame.assign(total=frame.price * 2.5).drop(columns="day").assign(more=1)

    doubled.__module__, doubled.__qualname__ = __name__, "doubled"
    answer = diff(nightly(), nightly(steps=(track_lineage("transform")(doubled),)))
    messages = [message for kind, name, message in told(answer, "schema") if name == "doubled"]
    assert messages == [
        "column day removed",
        "column total: int64 -> float64",
        "column more added",
    ]


def test_steps_of_one_run_only(nightly, diff):
    answer = diff(nightly(), nightly(steps=(doubled, doubled, clean_more)))
    assert [step["code"]["function"].rpartition(".")[2] for step in answer["only_in_b"]] == [
        "doubled",
        "clean_more",
    ]
    assert answer["only_in_a"] == []
    assert answer["total_matched"] == 4
    assert "ran only in the second run" in answer["message"]
    back = diff(answer["run_b"]["run_id"], answer["run_a"]["run_id"])
    assert len(back["only_in_a"]) == 2


@track_lineage("transform")
def clean_more(frame):
    return frame.dropna()


def test_a_failure_is_seen(nightly, diff):
    @track_lineage("transform")
    def fragile(frame, factor):
        if factor < 0:
            raise ValueError("negative factor")
        return frame

    before = nightly(steps=(lambda frame: fragile(frame, 1),))
    with pytest.raises(ValueError, match="negative"):
        nightly(steps=(lambda frame: fragile(frame, -1),))
    runs = [
        row["run_id"]
        for row in LineageQueryEngine(nightly.__closure__[0].cell_contents)
        .to_arrow("runs")
        .to_pylist()
    ]
    answer = diff(before, runs[-1])
    assert first_of(answer) == "fragile"
    assert told(answer)[0] == ("parameter", "fragile", "factor: 1 -> -1")
    assert "negative factor" in told(answer, "status")[0][2]
    assert [step["code"]["function"].rpartition(".")[2] for step in answer["only_in_a"]] == ["save"]


def test_what_nothing_recorded_explains_is_said(nightly, diff):
    state = [0]

    @track_lineage("transform")
    def random(frame):
        state[0] += 1
        return frame.head(state[0])

    answer = diff(*(nightly(steps=(random,)) for _ in range(2)))
    assert first_of(answer) == "random"
    assert "as far as they are recorded" in answer["message"]


def test_repeated_calls_are_matched_with_those_of_the_same_parameters(durable, diff):
    @track_lineage("transform")
    def work(number):
        return number

    ids = []
    for numbers in ((1, 2, 3, 4), (0, 1, 2, 4)):
        with lineage.Run(durable, "loop", {}) as made:
            for number in numbers:
                work(number)
        ids.append(made.run_id)
    with lineage.Run(durable, "loop", {}) as made:
        for number in (9, 1, 2, 3, 4):
            work(number)
    answer = diff(ids[0], made.run_id)
    assert [step["parameters"]["number"] for step in answer["only_in_b"]] == [9]
    assert len(answer["steps"]) == 1
    assert len(diff(*ids)["steps"]) == 3  # as many calls: by their order


def step(function, number):
    return {
        "operation_id": f"{function}{number}",
        "operation_type": "transform",
        "code": {"function": function, "file": None, "line": None, "hash": None},
        "status": "success",
        "error": None,
        "parameters": {"number": number},
        "reads": [],
        "writes": [],
        "record_count_in": None,
        "record_count_out": None,
    }


steps = st.lists(st.builds(step, st.sampled_from("abc"), st.integers(0, 4)), max_size=12)


@given(steps, steps)
def test_each_step_is_in_one_pair_and_pairs_are_of_one_function(before, after):
    pairs = list(align(before, after))
    for side, given_steps in (("before", before), ("after", after)):
        found = [id(pair[side]) for pair in pairs if pair[side] is not None]
        assert sorted(found) == sorted(map(id, given_steps))
    for pair in pairs:
        if pair["before"] and pair["after"]:
            assert pair["before"]["code"] == pair["after"]["code"]
            assert bool(pair["changes"]) is (
                pair["before"]["parameters"] != pair["after"]["parameters"]
            )
    # No function has steps left on both sides.
    alone = [
        {pair[side]["code"]["function"] for pair in pairs if pair[other] is None}
        for side, other in (("before", "after"), ("after", "before"))
    ]
    assert not alone[0] & alone[1]


@given(steps)
def test_a_run_does_not_differ_from_itself(these):
    pairs = list(align(these, these))
    assert [pair["before"] for pair in pairs] == these
    assert not any(pair["changes"] for pair in pairs)


def test_packages_variables_commit_and_host():
    before = {
        "commit_id": "a" * 40,
        "changed_count": 0,
        "environment_id": "1",
        "interpreter": "CPython 3.12.1",
        "platform": "Linux 6.1 x86_64",
        "packages": '{"numpy":"1.0","pandas":"2.0","same":"1"}',
        "variables": '{"TZ":"UTC"}',
        "repositories": '[{"changed":[]}]',
        "host": "one",
    }
    after = before | {
        "commit_id": "b" * 40,
        "changed_count": 1,
        "environment_id": "2",
        "interpreter": "CPython 3.13.0",
        "packages": '{"numpy":"2.0","polars":"1.0","same":"1"}',
        "variables": '{"TZ":"CET"}',
        "repositories": '[{"changed":["main.py"]}]',
        "host": "two",
    }
    assert [change["message"] for change in process_changes(before, after)] == [
        "commit: aaaaaaaa -> bbbbbbbb",
        "uncommitted changes: none -> main.py",
        "interpreter: CPython 3.12.1 -> CPython 3.13.0",
        "numpy: 1.0 -> 2.0",
        "pandas: 2.0 -> none",
        "polars: none -> 1.0",
        "variable TZ: UTC -> CET",
        "host: one -> two",
    ]
    assert process_changes(before, before) == []
    assert process_changes({}, after) == []
    assert process_changes(before, {}) == []


def known_environment(identity, packages, **facts):
    return {identity: from_json(environment_of(packages, **facts).content)}


def test_whole_environments_are_compared_where_both_are_known():
    before = {"environment_id": "1", "packages": '{"numpy":"1.0"}', "variables": "{}"}
    after = before | {"environment_id": "2", "packages": '{"numpy":"1.0","only_imported":"1"}'}
    vcs = {"url": "https://h/c.git", "commit": "a"}
    facts = {
        "interpreter": {"name": "CPython 3.12.1", "kind": "venv"},
        "threads": {"OMP_NUM_THREADS": "4"},
        "lock_files": [["uv.lock", "sha256:a"]],
        "locale": "C",
        "time_zone": "UTC",
    }
    more = {
        "interpreter": {"name": "CPython 3.12.1", "kind": "conda"},
        "threads": {"OMP_NUM_THREADS": "8"},
        "lock_files": [["uv.lock", "sha256:b"]],
        "locale": "de_DE",
        "time_zone": "UTC",
    }
    known = known_environment("1", [("NumPy", "1.0"), ("c", "1")], **facts)
    known |= known_environment("2", [("numpy", "1.1"), ("c", "1", vcs)], **more)
    assert [each["message"] for each in process_changes(before, after, known)] == [
        "numpy: 1.0 -> 1.1",
        'c: 1 -> 1 {"commit":"a","url":"https://h/c.git"}',
        "interpreter kind: venv -> conda",
        "variable OMP_NUM_THREADS: 4 -> 8",
        "lock file uv.lock: sha256:a -> sha256:b",
        "locale: C -> de_DE",
    ]
    # Where one of them is not known, what was imported is compared.
    del known["1"]
    expected = ["only_imported: none -> 1"]
    assert [each["message"] for each in process_changes(before, after, known)] == expected


def test_commands_and_machines_are_told_and_hidden_variables_are_not():
    def row(argv, cpu, token):
        command = {"argv": argv, "machine": {"cpu": cpu, "memory_bytes": len(cpu)}}
        variables = {"TZ": "UTC", "TOKEN": {"hmac": f"k:{token}"}}
        return {"command": to_json(command), "variables": to_json(variables)}

    before, after = row(["main.py", "1"], "slow", "a"), row(["main.py", "2"], "quick", "b")
    assert [each["message"] for each in process_changes(before, after)] == [
        "command: main.py 1 -> main.py 2",
        "cpu: slow -> quick",
    ]
    assert [each["message"] for each in hidden_changes(before, after)] == [
        "variable TOKEN: a value -> another one"
    ]
    for value in ({"hmac": "other:b"}, {}):
        changed = after | {"variables": to_json({"TOKEN": value})}
        assert hidden_changes(before, changed) == []
    plain = after | {"variables": to_json({"TOKEN": "named now"})}
    assert hidden_changes(before, plain) == []


def test_the_commit_is_a_cause_when_a_helper_changed(tmp_path):
    text = """
        import lineage, helper
        from pathlib import Path

        @lineage.track_lineage("write")
        def save(path):
            path.write_text(str(helper.answer()))

        with lineage.track("one"):
            save(Path("out.txt"))
    """
    (tmp_path / "helper.py").write_text("def answer():\n    return 1\n")
    committed(tmp_path, "main.py", textwrap.dedent(text))
    committed(tmp_path, "helper.py", "def answer():\n    return 1\n\n")
    surroundings = {name: value for name, value in os.environ.items() if "GIT" not in name}
    surroundings["PYTHONDONTWRITEBYTECODE"] = "1"
    for number in (1, 22, 333):
        (tmp_path / "helper.py").write_text(f"def answer():\n    return {number}\n\n")
        subprocess.run([sys.executable, "main.py"], cwd=tmp_path, env=surroundings, check=True)
    engine = LineageQueryEngine(tmp_path / "lineage_data")
    runs = sorted(engine.to_arrow("runs").to_pylist(), key=lambda row: row["timestamp"])
    answer = engine.diff(runs[0]["run_id"], runs[-1]["run_id"])
    assert first_of(answer) == "save"
    assert told(answer)[0] == ("commit", "", "uncommitted changes: none -> helper.py")
    again = engine.diff(runs[-1]["run_id"], middle(runs))
    assert told(again)[0][2].endswith("helper.py -> helper.py (of other content)")


def middle(runs):
    ids = list(dict.fromkeys(row["run_id"] for row in runs))
    return ids[1]


def test_runs_by_a_start_or_a_name_that_no_other_has():
    names = {"abc1": "nightly", "abd2": "nightly", "xyz3": "once"}
    assert find_run("abc1", names, names) == "abc1"
    assert find_run("abc", names, names) == "abc1"
    assert find_run("once", names, names) == "xyz3"
    for wanted in ("ab", "nightly"):
        with pytest.raises(OperationError, match=r"2 runs are called .* abc1 \(nightly\)"):
            find_run(wanted, names, names)
    with pytest.raises(OperationError, match=r"no run 'q'; the last of 3 runs: .*xyz3 \(once\)"):
        find_run("q", names, names)
    with pytest.raises(OperationError, match="no run"):
        find_run("", names, names)
    with pytest.raises(OperationError, match="the store has no runs"):
        find_run("q", [], {})


def test_as_of_a_time_later_runs_are_not_there(nightly, durable):
    first = nightly()
    from datetime import UTC, datetime

    between = datetime.now(UTC)
    second = nightly()
    engine = LineageQueryEngine(durable)
    assert engine.diff(first, second)["is_same"]
    with pytest.raises(OperationError, match="no run"):
        engine.as_of(between).diff(first, second)


def test_a_ranking_that_put_effects_first_would_be_caught(nightly, diff, monkeypatch):
    """The control of the ranking."""
    before, after = nightly(threshold=1), nightly(threshold=2)
    assert diff(before, after)["causes"][0]["kind"] == "parameter"
    causes, effects = difference.CAUSES, difference.EFFECTS
    monkeypatch.setattr(difference, "CAUSES", effects)
    monkeypatch.setattr(difference, "EFFECTS", causes)
    assert diff(before, after)["causes"][0]["kind"] != "parameter"


def test_an_answer_shows_itself(nightly, diff):
    answer = diff(nightly(threshold=1), nightly(threshold=2))
    assert "clean" in answer._repr_mimebundle_()["text/plain"]
    assert next(iter(answer.to_pandas()["kind"])) == "parameter"


@given(st.lists(st.integers(-(10**12), 5 * 10**15), min_size=1, max_size=60))
def test_spans_hold_all_times_and_are_few(times):
    from lineage.analysis.provenance import _spans

    spans = _spans(times)
    assert all(any(start <= at <= end for start, end in spans) for at in times)
    assert len(spans) <= 20
    assert spans == sorted(spans)


@pytest.mark.parametrize("ended", [True, False])
def test_what_a_thread_did_after_its_run_or_a_killed_run_is_compared_too(durable, diff, ended):
    from datetime import UTC, datetime, timedelta

    from lineage.core import DataOperation

    began = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
    for name, number in (("a", 1), ("b", 2)):
        row = {"run_id": name, "name": "nightly", "timestamp": began, "parameters": "{}"}
        if ended:
            row["ended_at"] = began + timedelta(seconds=1)
        durable.store.append(
            "runs",
            [
                row
                | {
                    key: int(at.timestamp() * 1e6)
                    for key, at in row.items()
                    if key in ("timestamp", "ended_at")
                }
            ],
        )
        durable.store.save_operation(
            DataOperation(
                f"{name}-1",
                "transform",
                began + timedelta(hours=5),
                run_id=name,
                code_name="late",
                parameters={"number": number},
            )
        )
    assert told(diff("a", "b"))[0] == ("parameter", "late", "number: 1 -> 2")
