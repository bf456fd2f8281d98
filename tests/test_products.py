"""Data products: what registering one records, in every store; what cannot be registered."""

import hashlib
import logging
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lineage
import lineage.redact
from lineage import (
    DataSource,
    LineageMetadataRepository,
    LineageQueryEngine,
    LineageTracker,
    MemoryStore,
    NodeNotFoundError,
    ProductError,
    TrackerSettings,
    products,
    registered,
    set_global_tracker,
    track,
    turns,
)
from lineage.links import clean
from lineage.registered import product_id
from lineage.stores.base import open_store
from tests import servers
from tests.many import examples


@contextmanager
def working(url, name="work"):
    """Open a run on a store; afterwards all it recorded is there, and nothing was lost."""
    tracker = LineageTracker(open_store(url))
    set_global_tracker(tracker)
    try:
        with track(name, capture=False) as run:
            yield run
    finally:
        tracker.close()
    assert not tracker.lost, tracker.last_error


@pytest.fixture
def run(tracker):
    with track("work", capture=False) as opened:
        yield opened


def rows(source):
    store = getattr(source, "store", source)
    return [row for table in store.scan("products") for row in table.to_pylist()]


def write(path, text):
    path.write_text(text)
    return path


def digest(path):
    data = Path(path).read_bytes()
    return f"sha256:{len(data)}-{hashlib.sha256(data).hexdigest()}"


# What is recorded


def test_a_product_is_registered_with_all_that_is_known_of_it(url, tmp_path):
    raw = write(tmp_path / "raw.csv", "a\n1\n")
    prices, means = write(tmp_path / "prices.csv", "p\n1\n"), write(tmp_path / "means.csv", "m\n")
    with working(url, "nightly") as run:
        first = run.register_data_product("prices", "1.0", path=prices, hints={"raw": raw})
        line = sys._getframe().f_lineno + 1
        second = run.register_data_product(
            name="means", version="2", metadata={"rows": 5, "token": "canary"}, path=means,
            parents=["prices"],
        )  # fmt: skip
    assert (first, second) == ("product:prices@1.0", "product:means@2")
    engine = LineageQueryEngine(url)
    found = engine.product("means")
    assert found["product_id"] == second
    assert (found["name"], found["version"]) == ("means", "2")
    assert found["content"] == digest(means)
    assert (found["size_bytes"], found["path"]) == (2, str(means))
    assert found["metadata"] == {"rows": 5, "token": "<redacted>"}
    assert (found["parents"], found["children"]) == ([first], [])
    assert engine.product("prices")["hints"] == {"raw": f"file:{raw}"}
    assert engine.product("prices")["children"] == [second]
    made = found["invocation"]
    assert made["function"].endswith("test_a_product_is_registered_with_all_that_is_known_of_it")
    assert (made["file"], made["line"]) == (__file__, line)
    assert (made["run_name"], made["run_id"]) == ("nightly", run.run_id)
    assert made["user"]
    assert made["host"]
    assert made["environment_id"]
    assert [entry["event"] for entry in found["history"]] == ["registered"]
    assert [each["product_id"] for each in engine.products()] == [first, second]


def test_the_graph_goes_through_files_and_products(url, tmp_path):
    raw = write(tmp_path / "raw.csv", "a\n1\n")
    prices = write(tmp_path / "prices.csv", "p\n1\n")
    with working(url) as run:
        with run.operation("read", inputs=[f"file:{raw}"], outputs=[f"file:{prices}"]):
            pass
        run.register_data_product("prices", "1", path=prices)
        run.register_data_product("means", "1", parents=[prices])
    engine = LineageQueryEngine(url)
    path = engine.graph.path(f"file:{raw}", "product:means")
    assert path == [f"file:{raw}", f"file:{prices}", "product:prices", "product:means"]
    impact = engine.analyze_impact(f"file:{raw}")
    made = [each["node_id"] for each in impact["impact_by_source_type"]["product"]]
    assert made == ["product:prices", "product:means"]
    steps = engine.why("product:means")["steps"]
    assert [each["step"]["operation_type"] for each in steps] == ["write", "write", "read"]


@given(data=st.data())
@settings(max_examples=examples(4), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_as_it_was(url, data):
    text = st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30
    ).filter(lambda text: text.strip() and clean(text) == text)
    number = next(_numbers)
    names = data.draw(st.lists(st.tuples(text, text), min_size=1, max_size=20, unique=True))
    names = [(f"{number}{name}", version) for name, version in names]
    metadata = data.draw(st.dictionaries(text, text | st.integers(-9, 9) | st.none(), max_size=4))
    metadata = {f"k{key}": value for key, value in metadata.items()}
    variables = data.draw(st.lists(text, max_size=3, unique=True))
    with working(url) as run:
        ids = [
            run.register_data_product(name, version, metadata, hints=variables)
            for name, version in names
        ]
    engine = LineageQueryEngine(url)
    for (name, version), given_id in zip(names, ids, strict=True):
        found = engine.product(given_id)
        assert (found["name"], found["version"]) == (name, version)
        kept = {key for key in metadata if found["metadata"][key] == metadata[key]}
        assert {*metadata} - kept <= {key for key in metadata if is_secret(key, metadata)}
        assert found["hints"] == dict.fromkeys(variables)
        assert engine.product(name, version)["product_id"] == given_id
    assert len(set(ids)) == len(names)


def is_secret(key, metadata):
    return lineage.redact.is_secret_name(key) or clean(str(metadata[key])) != str(metadata[key])


_numbers = iter(range(10**9))

FORMS = {"text": str, "path": Path, "bytes": os.fsencode, "file": open, "binary": None}


def given_as(path, form):
    if form == "binary":
        return open(path, "rb")
    return FORMS[form](path)


@given(
    count=st.integers(1, 6),
    chosen=st.integers(0, 5),
    forms=st.tuples(st.sampled_from([*FORMS]), st.sampled_from([*FORMS])),
)
@settings(max_examples=examples(4), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_path_in_any_form_links_exactly_that_parent(url, tmp_path, count, chosen, forms):
    folder = tmp_path / str(next(_numbers))
    folder.mkdir()
    paths = [write(folder / f"f{number}.csv", str(number)) for number in range(count)]
    parent = paths[chosen % count]
    handles = [given_as(parent, form) for form in forms]
    with working(url) as run:
        ids = [
            run.register_data_product(f"{folder.name}-{path.stem}", "1", path=path)
            for path in paths
        ]
        again = run.register_data_product(f"{folder.name}-{parent.stem}", "1", path=handles[0])
        child = run.register_data_product(f"{folder.name}-child", "1", parents=handles[1])
    for handle in handles:
        getattr(handle, "close", str)()
    engine = LineageQueryEngine(url)
    assert again == ids[chosen % count]
    assert engine.product(child)["parents"] == [again]
    assert engine.graph.upstream(f"product:{folder.name}-child", 1) == {again.rpartition("@")[0]}
    assert {each for each in ids if engine.product(each)["children"]} == {again}


def test_a_hint_links_to_the_file_it_was_associated_with(url, tmp_path):
    raw, prices = write(tmp_path / "raw.csv", "a"), write(tmp_path / "prices.csv", "b")
    with working(url) as run:
        run.register_data_product("prices", "1", path=prices, hints={"prices": prices, "raw": raw})
        run.register_data_product("means", "1", hints=["prices", "raw", "unknown"])
        run.register_data_product("rest", "1", hints="raw")
    with working(url) as other:  # names are those of one run
        other.register_data_product("alone", "1", hints=["raw"])
    engine = LineageQueryEngine(url)
    known = {"prices": "product:prices@1", "raw": f"file:{raw}", "unknown": None}
    assert engine.product("means")["hints"] == known
    assert engine.graph.upstream("product:means", 1) == {"product:prices", f"file:{raw}"}
    assert engine.graph.upstream("product:rest", 1) == {f"file:{raw}"}
    assert engine.product("prices")["children"] == ["product:means@1"]
    assert engine.product("alone")["hints"] == {"raw": None}
    assert "product:prices" not in engine.graph.upstream("product:prices")


def test_a_hundred_in_bulk(url, tmp_path):
    paths = [write(tmp_path / f"f{number}", str(number)) for number in range(100)]
    wanted = [
        {
            "name": f"p{number}",
            "version": "1",
            "path": path,
            "parents": [f"p{number - 1}"] if number else [],
            "metadata": {"number": number},
        }
        for number, path in enumerate(paths)
    ]
    with working(url) as run:
        ids = run.register_data_products(reversed(wanted))  # parents come behind their children
    engine = LineageQueryEngine(url)
    assert ids == [f"product:p{number}@1" for number in reversed(range(100))]
    found = {each["product_id"]: each for each in engine.products()}
    assert len(found) == 100
    for number, path in enumerate(paths):
        one = found[f"product:p{number}@1"]
        assert one["content"] == digest(path)
        assert one["metadata"] == {"number": number}
        assert one["parents"] == ([f"product:p{number - 1}@1"] if number else [])
    assert len(engine.graph.upstream("product:p99")) == 199


def test_registering_again_adds_to_the_history_and_no_edge(url, tmp_path):
    raw, prices = write(tmp_path / "raw", "a"), write(tmp_path / "prices", "b")
    with working(url) as run:
        run.register_data_product("raw", "1", path=raw)
        ids = {run.register_data_product("prices", "1", path=prices, parents=[raw])}
    before = LineageQueryEngine(url)
    with working(url) as run:
        for _ in range(2):
            ids.add(run.register_data_product("prices", "1", path=prices, parents=["raw"]))
    engine = LineageQueryEngine(url)
    assert len(ids) == 1
    assert sorted(engine.graph.edges()) == sorted(before.graph.edges())
    found = engine.product("prices")
    assert [entry["event"] for entry in found["history"]] == ["registered", "again", "again"]
    assert found["total_registrations"] == 3
    assert found["registered_at"] < found["last_registered_at"]
    assert not found["is_disputed"]
    runs = [entry["invocation"]["run_id"] for entry in found["history"]]
    assert runs[0] != runs[1] == runs[2] == run.run_id
    assert engine.product("raw")["children"] == ["product:prices@1"]


def refreshed(url, folder):
    """Change a file behind its size and time, and give what is recorded of it."""
    path = write(folder / "file", "one")
    with working(url) as run:
        run.register_data_product("file", "1", path=path)
        state, first = path.stat(), digest(path)
        path.write_text("two")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        run.register_data_product("file", "2", path=path)
    found = LineageQueryEngine(url).products("file")
    assert [each["content"] for each in found] == [first, digest(path)]
    assert first != digest(path)


def test_the_digest_is_taken_anew_each_time(url, tmp_path):
    refreshed(url, tmp_path)


def test_one_that_is_remembered_would_be_seen(tmp_path, monkeypatch):
    known = {}
    take = products.content_of
    remembering = lambda path, most: known.setdefault(path, take(path, most))  # noqa: E731
    monkeypatch.setattr(products, "content_of", remembering)
    with pytest.raises(AssertionError):
        refreshed(str(tmp_path / "store"), tmp_path)


def test_the_snippet_of_the_seed_runs_as_it_stands(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "://" in url:
        monkeypatch.setenv("DATABASE_URL", url)
    data = [1, 2, 3]

    from lineage import track as tracker

    with tracker() as t:
        product_id = t.register_data_product(
            name="analysis_results",
            version="1.0.0",
            metadata={"format": "parquet", "rows": len(data)},
        )
    lineage.get_global_tracker().close()
    where = url if "://" in url else tmp_path / "lineage_data"
    found = LineageQueryEngine(where).product(product_id)
    assert found["metadata"] == {"format": "parquet", "rows": 3}
    assert found["name"] == "analysis_results"


def test_a_folder_is_a_product(url, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "a", "1")
    with working(url) as run:
        first = run.register_data_product("folder", "1", path=folder)
        write(folder / "b", "2")
        with pytest.raises(ProductError, match="with other bytes: tree-sha256:1-"):
            run.register_data_product("folder", "1", path=folder)
        run.register_data_product("folder", "2", path=folder, parents=[first])
    engine = LineageQueryEngine(url)
    old, new = engine.products()
    assert old["content"].startswith("tree-sha256:1-")
    assert new["content"].startswith("tree-sha256:2-")
    assert engine.product(str(folder))["version"] == "2"
    assert f"file:{folder}" in engine.graph.upstream("product:folder")


_PROGRAM = """
import sys, lineage
from pathlib import Path
lineage.init(sys.argv[1])
with lineage.track("nightly", capture=False) as run:
    Path("out.txt").write_text("made")
    run.register_data_product("out", "1", path="out.txt")
lineage.get_global_tracker().close()
"""


def test_who_made_it_with_which_command_commit_and_environment_is_known(url, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    write(code / "make.py", _PROGRAM)
    write(code / ".gitignore", "out.txt\n")
    git = ["git", "-C", code, "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    subprocess.run(
        [sys.executable, "make.py", url, "--day", "2", "--token", "canary"],
        check=True, cwd=code, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    made = LineageQueryEngine(url).product("out")["invocation"]
    assert made["function"] == "make.<module>"
    assert made["commit"] == commit.stdout.strip()
    assert made["changed_count"] == 0
    assert made["command"]["argv"][2:] == ["--day", "2", "--token", "<redacted>"]
    assert made["command"]["cwd"] == str(code)
    assert made["environment_id"]
    assert "canary" not in str(made)
    assert servers.PASSWORD not in str(made)


# What names and paths mean


def test_parents_are_named_in_many_ways(run, tmp_path, tracker):
    raw, plain = write(tmp_path / "raw.csv", "1"), write(tmp_path / "plain.csv", "2")
    run.register_data_product("raw", "1", path=raw)
    run.register_data_product("raw", "2@x", path=raw)
    newest = "product:raw@2%40x"
    expected = {
        "raw": newest,
        "raw@1": "product:raw@1",
        "raw@2@x": newest,
        "product:raw": newest,
        "product:raw@1": "product:raw@1",
        newest: newest,
        str(raw): newest,
        str(plain): f"file:{plain}",
        f"file:{raw}": newest,
        f"file:{plain}": f"file:{plain}",
        "table:orders": "table:orders",
        "s3://bucket/key": "file:s3://bucket/key",
        DataSource("product", "raw"): newest,
        DataSource("product", "raw", version="1"): "product:raw@1",
        DataSource("file", str(raw)): newest,
        DataSource("file", "named", str(raw)): newest,
        DataSource("api", "rates", "https://rates"): "api:rates",
    }
    ids = run.register_data_products(
        {"name": f"child {number}", "version": "1", "parents": parent}
        for number, parent in enumerate(expected)
    )
    found = {each["product_id"]: each for each in LineageQueryEngine(tracker).products()}
    assert [found[each]["parents"] for each in ids] == [[each] for each in expected.values()]


def test_relative_and_linked_paths_are_the_same_product(run, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "file", "1")
    (tmp_path / "link").symlink_to("folder/file")
    monkeypatch.chdir(tmp_path / "folder")
    monkeypatch.setenv("HOME", str(tmp_path))
    wanted = run.register_data_product("file", "1", path="file")
    for number, parent in enumerate(["../folder/./file", "~/folder/file", tmp_path / "link"]):
        run.register_data_product("child", str(number), parents=[parent])
    assert [row["parents"] for row in rows(run.tracker)[1:]] == [f'["{wanted}"]'] * 3


def test_a_product_registered_by_a_link_is_that_of_the_file(run, tmp_path, tracker):
    path = write(tmp_path / "file", "1")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "there").symlink_to(tmp_path)
    wanted = run.register_data_product("file", "1", path=tmp_path / "link")
    for number, parent in enumerate([path, tmp_path / "link", tmp_path / "there" / "file"]):
        run.register_data_product("child", str(number), parents=parent)
    assert [row["parents"] for row in rows(tracker)[1:]] == [f'["{wanted}"]'] * 3
    assert LineageQueryEngine(tracker).product(str(path))["product_id"] == wanted
    link = str(tmp_path / "there" / "link")
    assert LineageQueryEngine(tracker).product(link)["product_id"] == wanted


def test_a_path_means_the_newest_that_was_registered_there(run, tmp_path):
    path = write(tmp_path / "file", "1")
    first = run.register_data_product("file", "1", path=path)
    path.write_text("2")
    second = run.register_data_product("file", "2", path=path, parents=[path])
    assert [row["parents"] for row in rows(run.tracker)] == ["[]", f'["{first}"]']
    path.unlink()
    run.register_data_product("child", "1", parents=[path])
    assert rows(run.tracker)[-1]["parents"] == f'["{second}"]'


def test_an_old_version_that_is_made_again_is_none_the_newer_for_it(run, tmp_path, tracker):
    path = write(tmp_path / "file", "1")
    first = run.register_data_product("file", "1", path=path)
    path.write_text("2")
    second = run.register_data_product("file", "2", path=path)
    path.write_text("1")
    run.register_data_product("file", "1", path=path)
    run.register_data_product("by name", "1", parents="file")
    run.register_data_product("by path", "1", parents=path)
    assert [row["parents"] for row in rows(tracker)[-2:]] == [f'["{second}"]', f'["{first}"]']
    engine = LineageQueryEngine(tracker)
    assert engine.product("file")["product_id"] == second
    assert engine.product(str(path))["product_id"] == first


def test_what_an_open_file_holds_back_is_a_part_of_the_product(run, tmp_path):
    with open(tmp_path / "file", "w") as file:
        file.write("held back")
        run.register_data_product("file", "1", path=file)
    assert rows(run.tracker)[0]["content"] == digest(tmp_path / "file")


def test_a_frame_that_tracking_knows_can_be_a_hint(run):
    import pandas

    frame = lineage.source(pandas.DataFrame({"a": [1]}), "prices")
    hints = {"prices": frame, "other": pandas.DataFrame(), "number": 7}
    run.register_data_product("report", "1", hints=hints)
    known = '{"number":null,"other":null,"prices":"dataframe:prices"}'
    assert rows(run.tracker)[0]["hints"] == known
    assert run.tracker.get_upstream_dependencies("product:report") == {"dataframe:prices"}


def test_a_url_is_kept_and_not_read(run, tracker):
    run.register_data_product("far", "1", path="s3://me:canary@bucket/key")
    (row,) = rows(tracker)
    assert (row["path"], row["content"]) == ("s3://<redacted>@bucket/key", None)
    assert "canary" not in str(row)


def test_questions_find_a_product_by_name_id_and_path(run, tracker, tmp_path):
    path = write(tmp_path / "file", "1")
    first = run.register_data_product("prices", "1", path=path)
    second = run.register_data_product("prices", "2")
    engine = LineageQueryEngine(tracker)
    assert engine.product("prices")["product_id"] == second
    assert engine.product("product:prices")["product_id"] == second
    for asked in (first, "prices@1", path, str(path)):
        assert engine.product(str(asked))["product_id"] == first
    assert engine.product("prices", version="1")["product_id"] == first
    assert engine.product("prices")["versions"] == [first, second]
    assert len(engine.product("prices")["history"]) == 2
    assert len(engine.product("prices", "1")["history"]) == 1
    with pytest.raises(NodeNotFoundError, match="no data product price; there are 'prices'"):
        engine.product("price")
    with pytest.raises(NodeNotFoundError, match="no data product prices version '3'; there are"):
        engine.product("prices", "3")
    with pytest.raises(NodeNotFoundError, match="no data product a\0b"):
        engine.product("a\0b")
    with pytest.raises(NodeNotFoundError, match="none is registered here"):
        LineageQueryEngine(MemoryStore()).product("prices")


# What is wrong is said before anything is recorded


class Unnamed:
    def __fspath__(self):
        raise OSError("not today")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": ""}, "name is ''; give a text that is not empty"),
        ({"name": "a\0b"}, "with a NUL character; leave it out"),
        ({"name": 7}, "name is 7; give a text"),
        ({"name": "x" * 1001}, "of 1,001 characters; give at most 1,000"),
        ({"version": " "}, "version of data product 'name' is ' '"),
        ({"version": 2}, "version of data product 'name' is 2; give a text"),
        ({"version": "1\0"}, "NUL"),
        ({"metadata": ["rows"]}, "metadata of data product 'name' version '1' is a list; give"),
        ({"path": "nowhere"}, "data product 'name' version '1': there is no file or folder"),
        ({"path": "a\0b"}, "holds a NUL character"),
        ({"path": ""}, "path '' is empty"),
        ({"path": 7}, "7 names no file; give a path"),
        ({"path": Unnamed()}, "names no file"),
        ({"parents": ["unknown"]}, "no product, file or node is called 'unknown'"),
        ({"parents": ["priced"]}, "did you mean 'prices'"),
        ({"parents": ["prices@9"]}, "no product, file or node is called 'prices@9'"),
        ({"parents": ["product:unknown"]}, "is called 'product:unknown'"),
        ({"parents": [Path("nowhere")]}, "and there is no file .*nowhere'; register it first"),
        ({"parents": [DataSource("product", "unknown")]}, "is called 'unknown'"),
        ({"parents": [7]}, "parent 7 names no file"),
        ({"parents": 7}, "parents is 7; give a list"),
        ({"hints": 7}, "hints is 7; give a list"),
        ({"parents": ["a\0b"]}, "parent path .* holds a NUL character"),
        ({"parents": ["name"]}, "is its own parent by 'name'; name what it was made from"),
        ({"parents": ["product:name@1"]}, "is its own parent by 'product:name@1'"),
        ({"path": __file__, "parents": [__file__]}, "is its own parent by"),
        ({"hints": {"a\0b": None}}, "hint of data product 'name' version '1' is .*NUL"),
        ({"hints": [7]}, "hint of data product 'name' version '1' is 7; give a text"),
        ({"hints": {"variable": "unknown"}}, "is called 'unknown'"),
    ],
)
def test_what_cannot_be_registered_is_said(run, tracker, arguments, said):
    run.register_data_product("prices", "1")
    before = len(tracker.operations)
    with pytest.raises(ProductError, match=said) as raised:
        run.register_data_product(**({"name": "name", "version": "1"} | arguments))
    assert isinstance(raised.value, ValueError)
    assert (len(rows(tracker)), len(tracker.operations)) == (1, before)
    assert not tracker._active_operations


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ([{"name": "a"}], "data product 'a' has no 'version'; the keys are name, version"),
        ([{"name": "a", "version": "1", "file": "x"}], "data product 'a' has 'file'; the keys"),
        (["a"], "'a' is no data product; give dictionaries"),
        ([{"name": "a", "version": "1", "parents": ["x"]}], "is called 'x'"),
        (
            [
                {"name": "a", "version": "1", "parents": ["c"]},
                {"name": "b", "version": "1", "parents": ["a"]},
                {"name": "c", "version": "1", "parents": ["b"]},
            ],
            "would be made from itself: product:.@1 <- product:.@1 <- product:.@1 <- product:.@1; "
            "leave one",
        ),
        (
            [
                {"name": "a", "version": "1", "parents": ["p"]},
                {"name": "a", "version": "1", "parents": ["q"]},
            ],
            "with other parents: 'product:p@1' then, 'product:q@1' now",
        ),
    ],
)
def test_of_many_none_is_registered_when_one_cannot_be(run, tracker, wanted, said):
    run.register_data_product("p", "1")
    run.register_data_product("q", "1")
    sound = {"name": "sound", "version": "1"}
    with pytest.raises(ProductError, match=said):
        run.register_data_products([sound, *wanted])
    assert [row["name"] for row in rows(tracker)] == ["p", "q"]
    run.register_data_products([sound])


def test_a_cycle_by_a_hint_is_refused(run):
    run.register_data_product("a", "1")
    run.register_data_product("b", "1", parents=["a"])
    run.register_data_product("c", "1", parents=["b"])
    with pytest.raises(ProductError, match=r"would be made from itself: .*a@1 <- .*<- product:a@1"):
        run.register_data_product("a", "1", hints={"rest": "c"})
    run.register_data_product("a", "2", parents=["c"])  # another version is no cycle


def duplicates(run, folder):
    """Register a version again with other bytes, and with other parents."""
    path = write(folder / "file", "1")
    run.register_data_product("raw", "1")
    run.register_data_product("file", "1", path=path)
    path.write_text("2")
    with pytest.raises(ProductError, match=r"'file' version '1' is registered with other bytes:"):
        run.register_data_product("file", "1", path=path)
    path.write_text("1")
    with pytest.raises(ProductError, match="other parents: none then, 'product:raw@1' now"):
        run.register_data_product("file", "1", path=path, parents=["raw"])
    with pytest.raises(ProductError, match=r"with other bytes: sha256:1-.* then, none now"):
        run.register_data_product("file", "1")
    assert [row["name"] for row in rows(run.tracker)] == ["raw", "file"]


def test_a_version_is_registered_once(run, tmp_path):
    duplicates(run, tmp_path)


def test_versions_that_are_not_compared_would_be_seen(run, tmp_path, monkeypatch):
    monkeypatch.setattr(products, "_compare", lambda plans, known: None)
    with pytest.raises(pytest.fail.Exception):
        duplicates(run, tmp_path)


def test_a_version_that_another_process_registered_is_known(url, tmp_path):
    path = write(tmp_path / "file", "1")
    with working(url) as run:
        run.register_data_product("file", "1", path=path)
    registered._all.clear()  # as in a process that begins
    path.write_text("2")
    with working(url) as run:
        with pytest.raises(ProductError, match="with other bytes"):
            run.register_data_product("file", "1", path=path)
        run.register_data_product("file", "2", path=path, parents=["file@1"])
    assert LineageQueryEngine(url).product("file")["parents"] == ["product:file@1"]


# What is large, secret, or fails


def test_large_metadata_is_bounded(run, tracker):
    run.register_data_product("a", "1", {"text": "x" * 10_000_000, "rows": 1})
    run.register_data_product("b", "1", {f"k{number}": "x" * 100 for number in range(100_000)})
    assert all(len(row["metadata"]) < 10_000 for row in rows(tracker))
    assert "100000" in rows(tracker)[1]["metadata"]


def test_no_secret_is_kept(run, tracker, tmp_path):
    path = write(tmp_path / "file", "1")
    metadata = {"password": "canary", "again": "canary", "url": "https://me:canary@host"}
    hints = {"frame": DataSource("api", "rates", "https://me:canary@host")}
    run.register_data_product("p", "1", metadata, path=path, hints=hints)
    known = [*rows(tracker), *tracker.operations.values()]
    known += [row for table in tracker.store.scan("nodes") for row in table.to_pylist()]
    assert "canary" not in str(known)


class Failing(MemoryStore):
    """A store that is not to be read, or not to be written."""

    def __init__(self, *broken):
        super().__init__()
        self.broken = broken

    def append(self, kind, rows):
        if "append" in self.broken and kind == "products":
            raise OSError("disk full")
        super().append(kind, rows)

    def scan(self, kind, *where):
        if "scan" in self.broken and kind == "products":
            raise OSError("no route")
        return super().scan(kind, *where)


def test_a_store_that_fails_is_counted(tmp_path):
    tracker = LineageTracker(Failing("append"))
    set_global_tracker(tracker)
    with track("work", capture=False) as run:
        assert run.register_data_product("a", "1") == "product:a@1"
        assert tracker.lost == 1
        assert "disk full" in tracker.last_error
        tracker.store.broken = ()
        run.register_data_product("a", "1", path=write(tmp_path / "file", "1"))  # nothing has it
    assert [row["size_bytes"] for row in rows(tracker)] == [1]


def test_a_store_that_cannot_be_read_takes_what_cannot_be_compared(caplog):
    tracker = LineageTracker(Failing("scan"))
    set_global_tracker(tracker)
    with caplog.at_level(logging.WARNING), track("work", capture=False) as run:
        run.register_data_product("a", "1", parents=["unknown"])
        run.register_data_product("b", "1", parents=["a"])
    assert tracker.lost == 0
    tracker.store.broken = ()
    found = [(row["product_id"], row["parents"]) for row in rows(tracker)]
    assert found == [("product:a@1", '["product:unknown"]'), ("product:b@1", '["product:a@1"]')]
    assert caplog.text.count("could not be read") == 1


def test_nothing_is_looked_at_when_tracking_is_off():
    set_global_tracker(LineageTracker(settings=TrackerSettings(enabled=False)))
    with track("work") as run:
        assert run.register_data_product("a", "1", path="nowhere") == product_id("a", "1")
    assert rows(run.tracker) == []


def test_without_writes_a_product_is_known_and_no_operation(tmp_path):
    tracker = LineageTracker(settings=TrackerSettings(enabled_types=frozenset({"read"})))
    set_global_tracker(tracker)
    with track("work", capture=False) as run:
        run.register_data_product("a", "1")
    assert len(tracker.operations) == 0
    assert [row["operation_id"] for row in rows(tracker)] == [None]
    made = LineageQueryEngine(tracker).product("a")["invocation"]
    assert (made["run_id"], made["function"]) == (run.run_id, None)


# Several at once


def at_once(work, count):
    """Let threads do something at the same moment; gives what each made or raised."""
    gate, outcomes = threading.Barrier(count), []

    def begin(number):
        gate.wait()
        try:
            outcomes.append(work(number))
        except ProductError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_of_threads_that_register_the_same_version_one_does(url, tmp_path):
    paths = [write(tmp_path / str(number), str(number)) for number in range(8)]
    with working(url) as run:
        made = at_once(lambda number: run.register_data_product("same", "1", path=paths[number]), 8)
    assert sum(isinstance(each, ProductError) for each in made) == 7
    found = LineageQueryEngine(url).product("same")
    assert (found["total_registrations"], found["is_disputed"]) == (1, False)


_PROCESS = """
import sys, lineage, lineage.registered, lineage.turns
from lineage import ProductError, track
if sys.argv[3:]:
    lineage.turns._opened = lambda path: None
    lineage.registered.Registered._read = lambda *known: None
tracker = lineage.init(sys.argv[1])
with track("work", capture=False) as run:
    run.register_data_product(f"own {sys.argv[2]}", "1")
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        run.register_data_product("same", "1", path=sys.argv[2])
    except ProductError as error:
        print("refused", error)
    else:
        print("done")
tracker.close()
assert not tracker.lost, tracker.last_error
"""


def in_processes(url, paths, *options):
    """Let processes that have the store open register the same version; gives what each says."""
    command = [sys.executable, "-c", _PROCESS, url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, str(path), *options], **pipes) for path in paths]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(paths)
    return [text.split(maxsplit=1)[0] for text in said]


def test_of_processes_that_register_the_same_version_one_does(url, tmp_path):
    paths = [write(tmp_path / str(number), str(number)) for number in range(3)]
    assert sorted(in_processes(url, paths)) == ["done", "refused", "refused"]
    engine = LineageQueryEngine(url)
    assert not engine.product("same")["is_disputed"]
    assert len(engine.products()) == 4


def test_without_the_lock_they_all_would_and_the_answer_says_so(tmp_path):
    paths = [write(tmp_path / str(number), str(number)) for number in range(2)]
    url = str(tmp_path / "store")
    assert in_processes(url, paths, "no lock") == ["done", "done"]
    found = LineageQueryEngine(url).product("same")
    assert found["is_disputed"]
    assert [entry["event"] for entry in found["history"]] == ["registered", "other bytes"]


def test_hosts_that_do_not_see_one_another_are_told_of_afterwards(sql_url, tmp_path):
    paths = [write(tmp_path / str(number), str(number)) for number in range(2)]
    address = sql_url.partition("?")[0]
    stores = [open_store(f"{address}?outbox={tmp_path}/{number}-box") for number in range(2)]
    trackers = [LineageTracker(store) for store in stores]
    for tracker in trackers:  # both know what is registered before either registers
        set_global_tracker(tracker)
        with track("first", capture=False) as run:
            run.register_data_product(f"own {id(tracker)}", "1")
        tracker.close()
    for path, tracker in zip(paths, trackers, strict=True):
        set_global_tracker(tracker)
        with track("second", capture=False) as run:
            run.register_data_product("same", "1", path=path)
        tracker.close()
    found = LineageQueryEngine(address).product("same")
    assert found["is_disputed"]
    assert [entry["event"] for entry in found["history"]] == ["registered", "other bytes"]
    assert found["content"] == digest(paths[1])


def test_a_forked_child_registers_for_itself(tmp_path):
    url = str(tmp_path / "store")
    with working(url) as run:
        run.register_data_product("parent", "1")
        registered.registered_in(run.tracker.store)._lock.acquire()
        child = os.fork()
        if not child:  # the lock that is held stays held in here
            try:
                run.register_data_product("child", "1", parents=["parent"])
                run.tracker.close()
            finally:
                os._exit(0)
        registered.registered_in(run.tracker.store)._lock.release()
        assert os.waitpid(child, 0)[1] == 0
        run.register_data_product("grandchild", "1", parents=["child"])
    assert [each["name"] for each in LineageQueryEngine(url).products()] == [
        *("parent", "child", "grandchild")
    ]


def test_a_lock_that_others_keep_is_not_waited_for_long(tmp_path, monkeypatch, caplog):
    import fcntl

    store = LineageMetadataRepository(tmp_path / "store")
    set_global_tracker(LineageTracker(store))
    monkeypatch.setattr(turns, "_WAIT_S", 0.05)
    with track("work", capture=False) as run:
        run.register_data_product("a", "1")
        with open(store.journal.folder / "products.known") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with caplog.at_level(logging.WARNING):
                run.register_data_product("b", "1", parents=["a"])
    assert [row["product_id"] for row in rows(store)] == ["product:a@1", "product:b@1"]
    assert "for too long" in caplog.text


def test_what_a_process_was_about_to_register_when_it_was_killed_is_not_known(tmp_path):
    url, path = str(tmp_path / "store"), write(tmp_path / "file", "1")
    with working(url) as run:
        run.register_data_product("first", "1")
        child = os.fork()
        if not child:
            run._products._record = lambda *known: os.kill(os.getpid(), 9)
            run.register_data_product("file", "1", path=path)
        assert os.waitpid(child, 0)[1] == 9
        path.write_text("2")
        run.register_data_product("file", "1", path=path)
    assert not LineageQueryEngine(url).product("file")["is_disputed"]


@given(known=st.builds(registered.Known, *[st.text()] * 3, *[st.none() | st.text()] * 2,
    st.frozensets(st.text()), st.lists(st.text()).map(tuple)))  # fmt: skip
def test_what_processes_tell_one_another_is_one_line(known):
    line = registered.to_line(known)
    assert len(line.splitlines()) == 1
    assert registered.of_line(line) == known


def test_a_store_that_is_deleted_begins_anew(tmp_path):
    import shutil

    path = write(tmp_path / "file", "1")
    url = str(tmp_path / "store")
    for text in "12":
        path.write_text(text)
        with working(url) as run:
            run.register_data_product("file", "1", path=path)
            run.register_data_product("other", text)
        told = LineageQueryEngine(url).product("file")
        assert told["content"] == products.content_of(str(path)).content
        assert told["total_registrations"] == 1
        shutil.rmtree(url)
