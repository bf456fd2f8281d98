"""LineageVisualizer: data, drawings and files of recorded lineage."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.core import DataSource
from lineage.errors import ConfigError, LineageError, MissingDependencyError, NodeNotFoundError
from lineage.query import LineageQueryEngine
from lineage.stores.memory import MemoryStore
from lineage.tracker import LineageTracker
from lineage.visualizer import LineageVisualizer
from tests.hostile import HOSTILE
from tests.many import examples
from tests.pipelines import record_shop

HAS_DOT = shutil.which("dot") is not None
needs_dot = pytest.mark.skipif(not HAS_DOT, reason="no dot; apt-get install graphviz")
SALES = "repository:warehouse/sales"


def record(tracker, inputs, outputs, error=None, kind="transform"):
    step = tracker.start_operation(kind)
    for source in inputs:
        tracker.add_input(step, DataSource.parse(source))
    for source in outputs:
        tracker.add_output(step, DataSource.parse(source))
    return tracker.complete_operation(step, 1, 2, error_info=error)


@pytest.fixture
def tracker():
    return LineageTracker()


@pytest.fixture
def small(tracker):
    record(tracker, ["file:raw"], ["repository:clean"])
    record(tracker, ["repository:clean"], ["dataframe:report"])
    return LineageVisualizer(tracker)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    tracker = LineageTracker()
    record_shop(tracker, tmp_path_factory.mktemp("shop") / "data")
    return LineageVisualizer(tracker)


class TestSeed:
    """What the seed's tests say of the visualizer."""

    @pytest.fixture
    def one(self, tracker):
        source = DataSource("api", "prices", "https://prices")
        target = DataSource("repository", "equities", "/data/equities")
        step = tracker.start_operation("write")
        tracker.add_input(step, source)
        tracker.add_output(step, target)
        tracker.complete_operation(step, record_count_in=10, record_count_out=10)
        return LineageVisualizer(tracker)

    def test_graph(self, one):
        data = one.generate_graph_data()
        assert len(data["nodes"]) >= 2
        assert len(data["edges"]) >= 1

    def test_focused_graph(self, one):
        data = one.generate_graph_data(node_id="repository:equities")
        assert data["metadata"]["root_node_id"] == "repository:equities"

    def test_timeline(self, one):
        timeline = one.generate_timeline_data(hours_back=1.0)
        assert len(timeline["events"]) == timeline["summary"]["total_events"] == 1
        assert set(timeline) == {"events", "time_range", "summary"}

    def test_impact(self, one):
        answer = one.generate_impact_analysis("api:prices")
        assert answer["target_node"]["node_id"] == "api:prices"
        assert answer["total_downstream_nodes"] == 1

    def test_dot(self, one):
        text = one.export_to_dot()
        assert text.startswith("digraph lineage")
        assert "rankdir=TB" in text
        assert "prices" in text
        assert "equities" in text

    def test_json(self, one):
        text = one.export_to_json()
        assert all(f'"{key}":' in text for key in ("nodes", "edges", "metadata"))

    def test_report(self, one):
        text = one.generate_summary_report()
        titles = ("DATA LINEAGE SUMMARY REPORT", "BASIC STATISTICS:")
        assert all(each in text for each in (*titles, "Total Operations:", "Total Nodes:"))


class TestGraphData:
    def test_keys_are_those_of_the_seed(self, small):
        data = small.generate_graph_data()
        assert set(data) == {"nodes", "edges", "metadata"}
        by_type = {node["type"]: " ".join(node) for node in data["nodes"]}
        assert by_type == {
            "data": "id label type source_type location created_at last_accessed access_count "
            "dependencies_count dependents_count is_root metadata",
            "operation": "id label type operation_type timestamp duration_ms record_count_in "
            "record_count_out has_error parameters",
        }
        assert {edge["type"] for edge in data["edges"]} == {"dependency", "input", "output"}
        assert data["metadata"] == {
            "total_nodes": len(data["nodes"]),
            "total_edges": len(data["edges"]),
            "includes_operations": True,
        }

    def test_focus(self, small):
        data = small.generate_graph_data("file:raw", 1, include_operations=False)
        assert [node["id"] for node in data["nodes"]] == ["file:raw", "repository:clean"]
        assert [node["is_root"] for node in data["nodes"]] == [True, False]
        assert data["metadata"]["max_depth"] == 1
        (edge,) = data["edges"]
        assert (edge["source"], edge["target"]) == ("file:raw", "repository:clean")
        assert edge["operation_type"] == "transform"
        assert edge["timestamp"]

    def test_depth_zero_is_the_node_alone(self, small):
        data = small.generate_graph_data("repository:clean", 0, include_operations=False)
        assert len(data["nodes"]) == 1
        assert data["edges"] == []

    def test_a_failed_operation_has_an_error_and_makes_no_dependency(self, tracker):
        record(tracker, ["file:a"], ["file:b"], error="broken")
        data = LineageVisualizer(tracker).generate_graph_data()
        assert [node["has_error"] for node in data["nodes"] if node["type"] == "operation"] == [
            True
        ]
        assert {edge["type"] for edge in data["edges"]} == {"input", "output"}

    def test_limits_of_drawings_do_not_cut_it(self, tracker):
        for at in range(5):
            record(tracker, [f"file:{at}"], [f"file:{at + 1}"])
        cut = LineageVisualizer(tracker, max_graph_nodes=2, max_graph_depth=1)
        assert len(cut.generate_graph_data("file:0", include_operations=False)["nodes"]) == 6

    def test_an_unknown_node_names_the_near_ones(self, small):
        with pytest.raises(NodeNotFoundError, match="repository:clean"):
            small.generate_graph_data("repository:claen")

    def test_an_empty_store(self):
        data = LineageVisualizer(MemoryStore()).generate_graph_data()
        assert data["nodes"] == data["edges"] == []

    names = st.sampled_from(["file:a", "file:b", "table:c", "dataframe:d", "api:e"])
    steps = st.lists(
        st.tuples(st.lists(names, max_size=3), st.lists(names, max_size=3), st.booleans()),
        max_size=8,
    )

    @given(steps=steps, node=st.none() | names, depth=st.none() | st.integers(0, 3))
    @settings(max_examples=examples(60))
    def test_the_ends_of_every_edge_and_arrow_are_there(self, steps, node, depth):
        tracker = LineageTracker()
        for inputs, outputs, fails in steps:
            record(tracker, inputs, outputs, error="no" if fails else None)
        visualizer = LineageVisualizer(tracker, max_graph_nodes=6)
        if node is not None and node not in visualizer.engine.nodes:
            with pytest.raises(NodeNotFoundError):
                visualizer.generate_graph_data(node, depth)
            return
        data = visualizer.generate_graph_data(node, depth)
        ids = [each["id"] for each in data["nodes"]]
        assert len(set(ids)) == len(ids)
        assert all(edge[end] in ids for edge in data["edges"] for end in ("source", "target"))
        edges = [(edge["id"], edge["type"]) for edge in data["edges"]]
        assert len(set(edges)) == len(edges)
        # A drawing refuses ids that occur twice and arrows to nowhere.
        assert len(visualizer.to_drawing(node, depth, include_operations=True).boxes) <= 6
        visualizer.to_drawing(node, depth)

    def test_an_edge_to_nowhere_would_be_seen(self, monkeypatch):
        monkeypatch.setattr(
            "lineage.analysis.graph_data._ends",
            lambda operation, graph: [
                {"id": "x", "source": "file:nowhere", "target": "op_1", "type": "input"}
            ],
        )
        with pytest.raises(AssertionError):
            type(self).test_the_ends_of_every_edge_and_arrow_are_there.hypothesis.inner_test(
                self, [(["file:a"], ["file:b"], False)], None, None
            )


class TestSources:
    def test_a_tracker_a_store_a_path_and_an_engine_say_the_same(self, tmp_path):
        from lineage.stores.parquet import LineageMetadataRepository

        store = LineageMetadataRepository(tmp_path / "store")
        tracker = LineageTracker(store)
        record(tracker, ["file:a"], ["file:b"])
        tracker.close()
        sources = (tracker, store, tmp_path / "store", LineageQueryEngine(store))
        drawn = {LineageVisualizer(source).export_to_dot() for source in sources}
        assert len(drawn) == 1
        assert '"file:a" -> "file:b"' in drawn.pop()

    def test_new_operations_are_seen(self, small, tracker):
        assert len(small.to_drawing().boxes) == 3
        record(tracker, ["dataframe:report"], ["file:sent"])
        assert len(small.to_drawing().boxes) == 4


class TestDrawing:
    def test_data_only_by_default(self, shop):
        drawing = shop.to_drawing()
        assert {box.kind for box in drawing.boxes} == {"data"}
        assert {arrow.kind for arrow in drawing.arrows} == {"dependency"}
        assert 20 <= len(drawing.boxes) <= 40
        assert drawing.note == ""

    def test_labels_are_short_and_all_different(self, shop):
        labels = {box.id: box.label for box in shop.to_drawing().boxes}
        assert len(set(labels.values())) == len(labels)
        assert labels[SALES] == "sales"
        assert labels["dataframe:tests.pipelines.by_country#0"] == "by_country"
        assert "read_csv [orders.csv]" in labels.values()
        assert max(map(len, labels.values())) < 30

    def test_details_say_what_happened(self, shop):
        boxes = {box.id: box for box in shop.to_drawing().boxes}
        details = boxes[SALES].details
        assert details["Location"].endswith("data")
        assert details["Rows"] == "2"
        assert details["Operation"] == "tests.pipelines.Warehouse.save (write)"
        assert re.fullmatch(r".*pipelines\\.py:\d+", details["Code"].replace(".py", "\\.py"))
        assert details["Last read"].endswith("UTC, 3 times")
        assert details["Last written"].endswith("UTC")
        assert details["Version"]
        assert "euros float64" in details["Columns"]

    def test_operations_when_asked_for(self, shop):
        drawing = shop.to_drawing(include_operations=True)
        boxes = {box.label: box for box in drawing.boxes if box.kind == "operation"}
        assert "load \u00d73" in boxes
        train = boxes["train"]
        assert train.has_error
        assert train.colours.fill == "mistyrose"
        assert "cannot train on" in train.details["Error"]
        assert train.details["frame ="].startswith("DataFrame 2 \u00d7")
        assert {arrow.kind for arrow in drawing.arrows} >= {"input", "output"}

    def test_a_failed_write_is_said_of_the_data(self, tracker):
        record(tracker, ["file:a"], ["file:b"])
        record(tracker, ["file:a"], ["file:b"], error="disk full")
        drawing = LineageVisualizer(tracker).to_drawing(include_operations=True)
        boxes = {box.label: box for box in drawing.boxes if box.kind == "data"}
        assert boxes["b"].has_error
        assert not boxes["a"].has_error
        assert boxes["b"].details["Error"] == "disk full"
        assert "not written" in {arrow.label for arrow in drawing.arrows}

    def test_the_root_is_marked_and_titles_the_picture(self, small):
        drawing = small.to_drawing("repository:clean")
        assert drawing.title == "Lineage of clean"
        assert [box.id for box in drawing.boxes if box.is_root] == ["repository:clean"]

    def test_the_limit_keeps_the_nearest_and_says_so(self, tracker):
        for at in range(20):
            record(tracker, [f"file:{at:02}"], [f"file:{at + 1:02}"])
        drawing = LineageVisualizer(tracker, max_graph_nodes=5).to_drawing("file:10")
        assert sorted(box.label for box in drawing.boxes) == ["08", "09", "10", "11", "12"]
        assert "5 of 21 nodes are drawn: the nearest to file:10" in drawing.note

    def test_the_limit_keeps_the_best_connected_without_a_root(self, tracker):
        for at in range(9):
            record(tracker, ["file:hub"], [f"file:{at}"])
        drawing = LineageVisualizer(tracker, max_graph_nodes=3).to_drawing()
        assert "hub" in {box.label for box in drawing.boxes}
        assert "3 of 10 nodes are drawn: the best connected" in drawing.note

    def test_the_depth_limit_says_what_is_further_away(self, tracker):
        for at in range(9):
            record(tracker, [f"file:{at}"], [f"file:{at + 1}"])
        visualizer = LineageVisualizer(tracker, max_graph_depth=2)
        drawing = visualizer.to_drawing("file:0")
        assert len(drawing.boxes) == 3
        assert "7 nodes more than 2 steps away" in drawing.note
        assert len(visualizer.to_drawing("file:0", 5).boxes) == 6
        assert len(visualizer.to_drawing().boxes) == 10

    def test_operations_share_the_limit(self, tracker):
        for at in range(30):
            record(tracker, [f"file:{at}"], [f"file:{at + 1}"])
        visualizer = LineageVisualizer(tracker, max_graph_nodes=10)
        drawing = visualizer.to_drawing(include_operations=True)
        kinds = [box.kind for box in drawing.boxes]
        assert kinds.count("data") == 5
        assert 1 <= kinds.count("operation") <= 5
        assert "5 of 31 nodes" in drawing.note
        assert "kinds of operations" in drawing.note

    def test_of_very_many_operations_the_newest_are_looked_at(self, tracker, monkeypatch):
        monkeypatch.setattr("lineage.render.steps._LOOKED_AT", 2)
        for _ in range(5):
            record(tracker, ["file:a"], ["file:b"])
        drawing = LineageVisualizer(tracker).to_drawing(include_operations=True)
        assert "Not looked at: 3 older operations" in drawing.note

    def test_operations_without_data_are_drawn_in_the_whole(self, tracker):
        record(tracker, [], [])
        record(tracker, ["file:a"], ["file:b"])
        whole = LineageVisualizer(tracker).to_drawing(include_operations=True)
        around = LineageVisualizer(tracker).to_drawing("file:a", include_operations=True)
        assert len(whole.boxes) == 4
        assert len(around.boxes) == 3

    def test_a_limit_below_one_is_refused(self, small):
        with pytest.raises(ConfigError, match="max_graph_nodes is 0"):
            LineageVisualizer(small.engine, max_graph_nodes=0)
        with pytest.raises(ConfigError, match="max_graph_depth is -1"):
            LineageVisualizer(small.engine, max_graph_depth=-1)


class Tags(HTMLParser):
    """What elements and attributes a page really has."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


@pytest.fixture
def hostile():
    tracker = LineageTracker()
    for at, text in enumerate(HOSTILE):
        step = tracker.start_operation("transform", {"text": text, text: 1}, {"context": text})
        tracker.add_input(step, DataSource("file", text, text, {"columns": {text: text}}))
        tracker.add_output(step, DataSource("table", f"{text}{at}", text, metadata={"note": text}))
        tracker.complete_operation(step, error_info=text if at % 2 else None)
    return LineageVisualizer(tracker)


class TestHostileNames:
    @pytest.mark.parametrize("operations", [False, True])
    def test_svg_is_xml_with_the_names_as_text(self, hostile, operations):
        text = hostile.export_to_svg(include_operations=operations)
        root = ET.fromstring(text)
        kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert kinds <= {"svg", "title", "desc", "rect", "g", "path", "text"}
        assert "<script>alert(1)</script>" in "".join(root.itertext())
        attributes = {name for element in root.iter() for name in element.attrib}
        assert not {name for name in attributes if name.startswith("on") or "href" in name}

    @pytest.mark.parametrize("operations", [False, True])
    def test_html_has_only_its_own_elements(self, hostile, shop, operations):
        page = Tags(hostile.export_to_html(include_operations=operations))
        usual = Tags(shop.export_to_html(include_operations=operations))
        assert set(page.tags) <= set(usual.tags) | {"desc"}
        assert page.tags.count("script") == usual.tags.count("script")
        assert not [name for name, _ in page.attributes if name.startswith("on") or name == "href"]

    def test_json_is_valid_and_whole(self, hostile):
        data = json.loads(hostile.export_to_json())
        labels = {node["label"] for node in data["nodes"] if node["type"] == "data"}
        assert set(HOSTILE) - {text for text in HOSTILE if "\x00" in text} <= labels

    @needs_dot
    @pytest.mark.parametrize("operations", [False, True])
    def test_dot_accepts_it(self, hostile, operations):
        text = hostile.export_to_dot(include_operations=operations)
        done = subprocess.run(
            ["dot", "-Tsvg"], input=text.encode(), capture_output=True, check=True, timeout=60
        )
        assert b"syntax error" not in done.stderr
        ET.fromstring(done.stdout)

    def test_mermaid_text_and_reports_keep_their_lines(self, hostile):
        drawing = hostile.to_drawing()
        assert len(hostile.export_to_mermaid().splitlines()) <= (
            len(drawing.boxes) + len(drawing.arrows) + 12
        )
        outline = hostile.export_to_text()
        assert len(outline.splitlines()) <= len(drawing.boxes) + len(drawing.arrows) + 2
        assert "\x1b" not in outline + hostile.generate_summary_report()
        assert "<script>" not in hostile.export_to_markdown().replace("\\<", "")
        page = Tags(hostile.generate_summary_report("html"))
        assert not {"script", "img", "b", "a"} & set(page.tags)
        json.loads(hostile.generate_summary_report("json"))

    def test_without_escaping_these_tests_fail(self, hostile, shop, monkeypatch):
        monkeypatch.setattr("lineage.render.scene.escaped", str)
        with pytest.raises(ET.ParseError):
            self.test_svg_is_xml_with_the_names_as_text(hostile, True)
        with pytest.raises(AssertionError):
            self.test_html_has_only_its_own_elements(hostile, shop, True)

    def test_notebooks(self, hostile):
        bundle = hostile._repr_mimebundle_()
        ET.fromstring(bundle["image/svg+xml"])
        assert not {"script", "img", "b"} & set(Tags(bundle["text/html"]).tags)


class TestExports:
    @pytest.mark.parametrize(
        ("name", "start"),
        [
            ("a.svg", "<svg"),
            ("a.html", "<!DOCTYPE html>"),
            ("a.htm", "<!DOCTYPE html>"),
            ("a.dot", "digraph lineage"),
            ("a.GV", "digraph lineage"),
            ("a.mmd", "flowchart LR"),
            ("a.json", "{"),
            ("a.md", "# Data lineage summary report"),
            ("a.txt", "=="),
        ],
    )
    def test_the_suffix_chooses_the_format(self, small, tmp_path, name, start):
        path = small.export(tmp_path / "new" / name)
        assert path.read_text(encoding="utf-8").startswith(start)

    def test_json_has_operations_unless_told(self, small, tmp_path):
        with_them = json.loads(small.export(tmp_path / "a.json").read_text())
        without = small.export(tmp_path / "b.json", include_operations=False)
        assert with_them["metadata"]["includes_operations"]
        assert not json.loads(without.read_text())["metadata"]["includes_operations"]

    def test_a_part_of_the_graph(self, small, tmp_path):
        path = small.export(tmp_path / "a.dot", "file:raw", 1)
        assert "dataframe:report" not in path.read_text()

    def test_json_can_be_compact(self, small):
        assert "\n" not in small.export_to_json(pretty_print=False)
        assert "\n" in small.export_to_json(None, None, False)

    @pytest.mark.parametrize("name", ["a.docx", "a"])
    def test_a_suffix_that_names_nothing(self, small, tmp_path, name):
        with pytest.raises(ConfigError, match="known are"):
            small.export(tmp_path / name)
        assert not (tmp_path / name).exists()

    def test_unknown_formats_of_reports_and_images(self, small):
        with pytest.raises(ConfigError, match="text, md, html, json"):
            small.generate_summary_report("pdf")
        with pytest.raises(ConfigError, match="png, pdf"):
            small.to_image("svg")

    def test_reports(self, shop):
        markdown = shop.export_to_markdown()
        for title in ("Basic statistics", "Freshness", "Performance", "Volume"):
            assert f"## {title}" in markdown
        assert json.loads(shop.generate_summary_report("json"))["basic_stats"]["total_nodes"] == 30
        assert "<svg" in shop.generate_summary_report("html")

    def test_a_renderer_of_another_package(self, small, tmp_path, monkeypatch):
        (tmp_path / "counting.py").write_text(
            "def draw(drawing): return f'{len(drawing.boxes)} boxes'"
        )
        info = tmp_path / "counting-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[lineage.renderers]\ncount = counting:draw\n")
        monkeypatch.syspath_prepend(tmp_path)
        assert small.render("count") == "3 boxes"
        assert small.export(tmp_path / "a.count", "file:raw", 1).read_text() == "2 boxes"


def png_size(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data.rstrip().endswith(b"IEND\xaeB`\x82")
    return struct.unpack(">II", data[16:24])


class TestImages:
    @needs_dot
    def test_png(self, shop, tmp_path):
        path = shop.export_to_png(tmp_path / "a.png")
        width, height = png_size(path.read_bytes())
        assert width > 300
        assert height > 300

    @needs_dot
    def test_pdf(self, shop, tmp_path):
        path = shop.export_to_pdf(str(tmp_path / "a.pdf"), SALES, 1)
        data = path.read_bytes()
        assert data.startswith(b"%PDF-")
        assert data.rstrip().endswith(b"%%EOF")
        assert b"/Type /Page" in data

    @needs_dot
    def test_by_suffix_with_operations(self, hostile, tmp_path):
        plain = png_size(hostile.export(tmp_path / "a.png").read_bytes())
        full = png_size(hostile.export(tmp_path / "b.png", include_operations=True).read_bytes())
        assert full != plain

    def test_without_dot_it_says_how_to_get_it(self, small, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(MissingDependencyError, match="apt install graphviz"):
            small.export_to_png(tmp_path / "a.png")
        assert not (tmp_path / "a.png").exists()

    def test_without_the_package_it_says_how_to_get_it(self, small, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "graphviz", None)
        with pytest.raises(MissingDependencyError, match="pip install graphviz"):
            small.to_image("pdf")

    def test_a_dot_that_fails(self, small, tmp_path, monkeypatch):
        fake = tmp_path / "dot"
        fake.write_text("#!/bin/sh\ncat > /dev/null\necho no memory >&2\nexit 3\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        with pytest.raises(LineageError, match="'dot' could not make the PNG"):
            small.to_image("png")


class TestNotebooks:
    def test_all_show_text_svg_and_html(self, small, tracker):
        for shown in (small, tracker, small.engine, small.engine.graph):
            bundle = shown._repr_mimebundle_()
            assert set(bundle) == {"text/plain", "image/svg+xml", "text/html"}
            ET.fromstring(bundle["image/svg+xml"])
            assert "3 nodes" in bundle["text/plain"]

    def test_a_large_graph_is_cut_and_says_so(self, tracker):
        for at in range(200):
            record(tracker, [f"file:{at}"], [f"file:{at + 1}"])
        visualizer = LineageVisualizer(tracker)
        for shown in (visualizer, tracker, visualizer.engine, visualizer.engine.graph):
            svg = shown._repr_mimebundle_()["image/svg+xml"]
            assert svg.count('class="box') == 150
            assert "150 of 201 nodes are drawn" in svg

    def test_empty(self):
        visualizer = LineageVisualizer(MemoryStore())
        assert set(visualizer._repr_mimebundle_()) == {"text/plain"}
        assert set(LineageTracker()._repr_mimebundle_()) == {"text/plain"}
        visualizer.export_to_svg()
        visualizer.generate_summary_report("html")


@pytest.fixture(scope="module")
def chain():
    tracker = LineageTracker()
    for at in range(3000):
        record(tracker, [f"file:{at}"], [f"file:{at + 1}"])
    return LineageVisualizer(tracker)


class TestSpeed:
    def test_the_impact_of_a_chain_is_lazy(self, chain):
        answer = chain.generate_impact_analysis("file:0")
        assert answer["total_downstream_nodes"] == 3000
        assert not isinstance(answer["affected_operations"], list)
        assert len(answer["affected_operations"]) == 3000

    def test_a_thousand_boxes_are_the_most(self, chain):
        assert chain.export_to_svg().count('class="box') == 1000
