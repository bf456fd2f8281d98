"""`@track_lineage`: what is recorded of a call."""

import asyncio
from pathlib import Path

import pandas as pd
import pytest

from lineage import DataSource, track_lineage
from lineage.decorators import set_global_tracker
from lineage.parameters import Captor
from lineage.tracker import LineageTracker, TrackerSettings
from tests.work import calls_of


def only(tracker):
    (operation,) = tracker.operations.values()
    return operation


def ids(sources):
    return [source.node_id for source in sources]


def frame():
    return pd.DataFrame({"a": [1, 2, 3]})


def test_without_arguments_and_without_parentheses(tracker):
    @track_lineage
    def one():
        return 1

    @track_lineage()
    def two():
        return 2

    assert (one(), two()) == (1, 2)
    assert [each.operation_type for each in tracker.operations.values()] == ["transform"] * 2


def test_any_type_of_operation(tracker):
    track_lineage("publish")(lambda: None)()
    assert only(tracker).operation_type == "publish"
    with pytest.raises(ValueError, match="valid OperationType"):
        track_lineage("  ")


def test_what_is_known_of_the_code(tracker):
    @track_lineage
    def function(value):
        return value

    function(1)
    operation = only(tracker)
    assert operation.code_module == __name__
    assert operation.code_name == function.__qualname__
    assert Path(operation.code_file) == Path(__file__)
    assert operation.code_line == function.__wrapped__.__code__.co_firstlineno
    assert operation.execution_context["function"] == function.__qualname__
    assert operation.execution_context["module"] == __name__
    assert operation.process_id
    assert operation.thread_id
    assert operation.host
    assert operation.user_info
    assert operation.duration_ms >= 0
    assert operation.timestamp.tzinfo is not None


def test_repository_type_and_class_are_context(tracker):
    class Owner:
        @track_lineage("read", repository_type="bars")
        def load(self):
            return 1

    Owner().load()
    context = only(tracker).execution_context
    assert context["repository_type"] == "bars"
    assert context["class"] == "Owner"


def test_parameters_with_defaults_by_name_without_self(tracker):
    class Owner:
        @track_lineage
        def method(self, a, b=2, *rest, c, d=4, **others):
            return None

    Owner().method(1, 2, 3, c=5, e=6)
    assert only(tracker).parameters == {
        **{"a": 1, "b": 2, "rest": [3]},
        **{"c": 5, "d": 4, "others": {"e": 6}},
    }


def test_frames_are_kept_as_shape_and_schema(tracker):
    @track_lineage
    def function(data, others):
        return None

    function(frame(), [frame(), 1])
    kept = only(tracker).parameters
    assert kept["data"]["type"] == "DataFrame"
    assert kept["data"]["shape"] == [3, 1]
    assert len(kept["data"]["schema"]) == 32
    assert kept["others"][1] == 1


@pytest.mark.parametrize("is_method", [True, False])
def test_secrets_never_reach_the_record(tracker, is_method):
    def function(password, api_token="canary-1", **options):
        return None

    track_lineage(function)("canary-2", db_password="canary-3", url="http://me:canary-4@host/x")
    track_lineage(lambda text: None)("password=canary-5")
    track_lineage(lambda data: None)({"secret": "canary-6", "x": {"pwd": "canary-7"}})

    @track_lineage
    def fails(value):
        raise ValueError("cannot log in with token=canary-8")

    with pytest.raises(ValueError, match="canary-8"):
        fails(1)
    assert "canary" not in repr(list(tracker.operations.values()))
    assert only_keys(tracker) >= {"password", "api_token", "options"}


def only_keys(tracker):
    return {key for each in tracker.operations.values() for key in each.parameters}


def test_a_secret_in_a_declared_or_extracted_source(tracker):
    @track_lineage(
        "read",
        input_sources=["api:http://me:canary@host/a"],
        extract_inputs=lambda *_: ["api:http://me:canary@host/b"],
        extract_outputs=lambda *_: [
            DataSource(
                *("api", "c", "http://me:canary@host/c"),
                metadata={"token": "canary", "note": "password=canary"},
                version="http://me:canary@host/v",
            )
        ],
    )
    def function(value):
        return {"postgresql://me:canaryxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx@h/d": frame()}

    function(1)
    text = repr((only(tracker), tracker.nodes))
    assert "canary" not in text
    assert len(only(tracker).inputs) == 2


def test_declared_inputs_by_parameter(tracker):
    @track_lineage(input_sources=["data", "path", "plain", "file:fixed"])
    def function(data, path, plain, other):
        return None

    function(frame(), Path("/data/x.csv"), [1, 2], frame())
    inputs = ids(only(tracker).inputs)
    assert inputs[0].startswith("dataframe:")
    assert inputs[1] == "file:/data/x.csv"
    assert inputs[2] == f"parameter:{__name__}.{function.__qualname__}(plain)"
    assert inputs[3] == "file:fixed"
    assert len(inputs) == 4


def test_one_source_needs_no_list(tracker):
    @track_lineage(input_sources="file:a", output_sources=DataSource("file", "b"))
    def function():
        return None

    function()
    assert ids(only(tracker).inputs) == ["file:a"]
    assert ids(only(tracker).outputs) == ["file:b"]


def test_a_returned_frame_is_the_declared_output(tracker):
    @track_lineage(output_sources=["repository:clean"])
    def clean(data):
        return data * 2

    @track_lineage
    def use(data):
        return None

    use(clean(frame()))
    one, two = tracker.operations.values()
    assert "repository:clean" in ids(one.outputs)
    assert ids(two.inputs) == ["repository:clean"]


def test_a_declaration_that_means_nothing_is_refused():
    with pytest.raises(ValueError, match=r"neither one of its parameters \(value\) nor"):
        track_lineage(input_sources=["valeu"])(lambda value: None)
    with pytest.raises(ValueError, match=r"output_sources of .* \(it has none\)"):
        track_lineage(output_sources=["x"])(lambda: None)


def test_extractors_get_function_arguments_and_result(tracker):
    seen = []

    def extract_inputs(function, args, kwargs):
        seen.append((function, args, kwargs))
        return ["file:in"]

    def extract_outputs(function, args, kwargs, result):
        seen.append((function, args, kwargs, result))
        return [DataSource("file", "out")]

    def function(a, b=2, *, c=3):
        return "result"

    tracked = track_lineage(extract_inputs=extract_inputs, extract_outputs=extract_outputs)
    assert tracked(function)(1, c=4) == "result"
    arguments = (function, (1, 2), {"a": 1, "b": 2, "c": 4})
    assert seen == [arguments, (*arguments, "result")]
    assert ids(only(tracker).inputs) == ["file:in"]
    assert ids(only(tracker).outputs) == ["file:out"]


def test_paths_of_reading_and_writing_functions(tracker, tmp_path):
    place = tmp_path / "x.csv"

    @track_lineage("write")
    def save(data, path):
        data.to_csv(path)

    @track_lineage("read")
    def load(path):
        return pd.read_csv(path)

    save(frame(), place)
    load(str(place))
    write, read = tracker.operations.values()
    assert ids(write.outputs) == ids(read.inputs) == [f"file:{place}"]
    assert write.outputs[0].version == read.inputs[0].version
    assert write.record_count_in == write.record_count_out == 3
    assert read.record_count_out == 3


def test_settings_limit_what_is_recorded():
    settings = TrackerSettings(enabled_types=frozenset({"read"}), track_files=False)
    tracker = LineageTracker(settings=settings)
    set_global_tracker(tracker)
    track_lineage("write")(lambda: None)()
    track_lineage("read")(lambda path: None)("/a/b.csv")
    assert only(tracker).operation_type == "read"
    assert only(tracker).inputs == []


def test_options_count_where_the_function_comes_with_them():
    other = LineageTracker()
    step = track_lineage(lambda value: value, input_sources=["table:a"], tracker=other)
    assert step(2) == 2
    (made,) = other.operations.values()
    assert [source.node_id for source in made.inputs] == ["table:a"]


def test_no_tracker_no_record_and_another_tracker(tracker):
    set_global_tracker(None)

    @track_lineage
    def function(value):
        return value

    assert function(1) == 1
    other = LineageTracker()
    assert track_lineage(tracker=other)(lambda value: value)(2) == 2
    assert len(other.operations) == 1
    set_global_tracker(tracker)
    assert function(3) == 3
    assert len(tracker.operations) == 1


def test_two_trackers_take_turns_with_one_function(tmp_path):
    from lineage import LineageMetadataRepository

    trackers = [LineageTracker(LineageMetadataRepository(tmp_path / name)) for name in "ab"]

    @track_lineage
    def function(value):
        return value

    for number in range(20):
        set_global_tracker(trackers[number % 2])
        function(number)
    for index, each in enumerate(trackers):
        values = [found.parameters["value"] for found in each.store.load_operations()]
        assert values == list(range(index, 20, 2))
        each.close()


def test_failure_keeps_declared_outputs_and_makes_no_edge(tracker):
    @track_lineage("write", input_sources=["file:a"], output_sources=["file:b"])
    def function():
        raise KeyError("k")

    with pytest.raises(KeyError):
        function()
    operation = only(tracker)
    assert operation.is_failed
    assert operation.error_type == "KeyError"
    assert ids(operation.outputs) == ["file:b"]
    assert set(tracker.nodes) == {"file:a", "file:b"}
    assert tracker.nodes["file:b"].dependencies == set()
    assert tracker.nodes["file:b"].created_at is None
    assert tracker.nodes["file:a"].accessed_count == 0


def test_results_are_counted(tracker):
    for result, expected in (
        *([frame(), 3], [[1, 2], 2], [{"a": 1}, 1], [{1, 2}, 2]),
        *(["hello", None], [5, None], [(frame(), frame()), 6], [None, None]),
    ):
        track_lineage(lambda result=result: result)()
        assert list(tracker.operations.values())[-1].record_count_out == expected


def test_coroutines_are_timed_to_their_end_and_keep_their_error(tracker):
    @track_lineage
    async def function(value):
        await asyncio.sleep(0.02)
        if value:
            raise ValueError("late")
        return frame()

    asyncio.run(function(0))
    with pytest.raises(ValueError, match="late"):
        asyncio.run(function(1))
    one, two = tracker.operations.values()
    assert one.duration_ms >= 15
    assert one.record_count_out == 3
    assert two.error_info == "late"


def test_generators_count_what_they_yield_and_time_their_own_steps(tracker):
    import time

    @track_lineage
    def pieces(data):
        for _ in range(3):
            yield data * 2

    for _ in pieces(frame()):
        time.sleep(0.1)
    operation = only(tracker)
    assert operation.record_count_out == 9
    assert operation.duration_ms < 250
    assert len(operation.outputs) == 1


def test_a_large_list_costs_no_look_at_each_item(tracker):
    @track_lineage
    def function(values):
        return None

    function([])
    few, many = (calls_of(function, list(range(size))) for size in (2_000, 2_000_000))
    assert many <= few + 10
    assert "<list size=2000000>" in only_values(tracker)


def test_the_count_would_see_a_look_at_each_item():
    def look(values):
        return any(isinstance(each, str) for each in values)

    assert calls_of(look, [1] * 2_000) > calls_of(look, [1] * 20) + 1_000


def only_values(tracker):
    return {str(each.parameters["values"]) for each in tracker.operations.values()}


class _Key(str):
    __slots__ = ()


@pytest.mark.parametrize("key", [b"password", _Key("token"), "X-Api-Key", "db_pass", "AccountKey"])
def test_a_secret_is_known_by_its_key_of_whatever_type(key):
    assert "hunter2" not in str(Captor().capture({"login": {key: "hunter2"}}))


@pytest.mark.parametrize(
    "text",
    [
        "user=me password='hun hunter2' host=db",
        "CREATE USER me IDENTIFIED BY 'hunter2'",
        "ALTER USER me WITH PASSWORD 'hunter2'",
        "AccountName=me;AccountKey=hunter2;",
    ],
)
def test_a_secret_goes_on_to_its_quote(text):
    assert "hunter2" not in Captor().capture(text)


def test_texts_that_only_speak_of_secrets_stay():
    text = "select password from users where name='keep'"
    assert Captor().capture(text) == text
    assert Captor().capture({"bypass": 1, "passenger": 2}) == {"bypass": 1, "passenger": 2}


def test_secret_arguments_in_the_text_of_an_error(tracker):
    @track_lineage
    def fails(password):
        raise ValueError(f"cannot log in as me with {password}")

    async def fails_late(password):
        raise ValueError(f"cannot log in as me with {password}")

    def fails_between(password):
        yield 1
        raise ValueError(f"cannot log in as me with {password}")

    with pytest.raises(ValueError, match="canary"):
        fails("canary")
    with pytest.raises(ValueError, match="canary"):
        asyncio.run(track_lineage(fails_late)("canary"))
    with pytest.raises(ValueError, match="canary"):
        list(track_lineage(fails_between)("canary"))
    assert len(tracker.operations) == 3
    assert "canary" not in repr(list(tracker.operations.values()))
