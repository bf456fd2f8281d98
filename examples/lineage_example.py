"""Every feature, one short part each: python examples/lineage_example.py

It writes into a temporary folder and prints what each part finds.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from repositories.equity_bars import EquityBarRepository

import lineage
from lineage import (
    DataSource,
    LineageConfig,
    LineageMetadataRepository,
    LineageQueryEngine,
    LineageTracker,
    LineageVisualizer,
    OperationType,
    get_config,
    set_global_tracker,
    track_lineage,
    track_repository_operation,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

BARS = pd.DataFrame(
    {"open": [184.2, 185.0, 186.1], "close": [185.1, 184.8, 187.0], "volume": [52, 48, 61]}
)


def say(title: str, *lines: object) -> None:
    """Print what a part found."""
    print(f"\n{title}")
    for line in lines:
        print(f"  {line}")


# ---------------------------------------------------------------- decorators


@track_lineage
def add_returns(bars: pd.DataFrame) -> pd.DataFrame:
    """Without arguments: a transform; what it reads and writes is found by itself."""
    return bars.assign(returns=bars["close"].pct_change())


@track_lineage(operation_type=OperationType.TRANSFORM, input_sources=["rates"])
def double(rates: list[float], factor: int = 2) -> list[float]:
    """A list cannot be followed, so the input is declared."""
    return [rate * factor for rate in rates]


@track_lineage("read", output_sources=[DataSource("api", "rates", "https://example.org/rates")])
def fetch_rates() -> list[float]:
    """What is read from elsewhere is declared as a data source."""
    return [0.041, 0.043]


@track_lineage(
    "publish",
    extract_inputs=lambda function, args, kwargs: [f"topic:{kwargs['topic']}"],
    extract_outputs=lambda function, args, kwargs, result: [f"receipt:{result}"],
)
def publish(topic: str) -> int:
    """Any text is an operation type; functions may say what was read and written."""
    return len(topic)


@track_lineage("aggregate")
async def average(bars: pd.DataFrame) -> pd.DataFrame:
    """Coroutines: the time that counts is until the result is there."""
    await asyncio.sleep(0)
    return bars.mean().to_frame("mean")


@track_lineage("read")
def batches(bars: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Generators: one operation for all that is taken from it."""
    for first in range(0, len(bars), 2):
        yield bars.iloc[first : first + 2]


@track_lineage("read")
async def ticks(count: int) -> AsyncIterator[int]:
    """Async generators, too."""
    for tick in range(count):
        yield tick


@track_lineage
def broken(bars: pd.DataFrame) -> pd.DataFrame:
    """Raise, as tracked functions may."""
    return bars[["no such column"]]


def decorators() -> None:
    """Call all of these."""
    with_returns = add_returns(BARS)
    double(fetch_rates())
    publish(topic="rates")
    asyncio.run(_wait(with_returns))
    rows = sum(len(batch) for batch in batches(BARS))
    try:
        broken(BARS)
    except KeyError as error:
        say("Decorators", f"{rows} rows in batches", f"the caller sees its own error: {error}")


async def _wait(bars: pd.DataFrame) -> None:
    await average(bars)
    _ = [tick async for tick in ticks(3)]


# ---------------------------------------------------------------- repositories


class Notes:
    """A repository of another family: its methods are decorated one by one."""

    dataset_name = "notes"

    def __init__(self) -> None:
        self._texts: list[str] = []

    @track_repository_operation(OperationType.WRITE)
    def add(self, text: str) -> None:
        """Keep a text."""
        self._texts.append(text)

    @track_repository_operation(OperationType.READ)
    def all(self) -> list[str]:
        """Give all texts."""
        return list(self._texts)


def repositories(folder: Path) -> None:
    """Save and load through repositories: load, transform, save make one chain."""
    bars = EquityBarRepository(folder / "bars")
    bars.save_daily_bars(BARS, symbol="AAPL")
    bars.save(add_returns(bars.load_symbol_data("AAPL")), symbol="AAPL_RETURNS", bar_size="1 day")
    notes = Notes()
    notes.add("saved AAPL")
    say("Repositories", f"{len(bars.load(symbol='AAPL_RETURNS'))} bars", f"{notes.all()}")


# ---------------------------------------------------------------- runs and steps by hand


def runs(folder: Path) -> None:
    """Open a run, record a step by hand inside it, and use threads."""
    with lineage.track("nightly", day="2026-01-02") as run:
        file = DataSource("file", "report", str(folder / "report.txt"))
        with run.operation(
            "write", inputs=["repository:equity_bars/AAPL"], outputs=[file], pages=1
        ) as step:
            (folder / "report.txt").write_text("AAPL rose.", encoding="utf-8")
            step.records_out = 1
        product = run.register_data_product("daily-report", "2026.1.2", {"owner": "research"})
        with ThreadPoolExecutor(2) as pool:  # a thread is in the run when it is given the context
            futures = [pool.submit(copy_context().run, add_returns, BARS) for _ in range(2)]
            rows = sum(len(future.result()) for future in futures)
    say("Runs", f"{run.name}: {run.status}", f"made {product}, {rows} rows in threads")


def by_hand(tracker: LineageTracker) -> None:
    """Record an operation from its start to its end, as its parts become known."""
    operation = tracker.start_operation(OperationType.JOIN, {"on": "symbol"}, {"host": "desk"})
    tracker.add_input(operation, DataSource("repository", "equity_bars/AAPL"))
    tracker.add_input(operation, DataSource("file", "splits", "splits.csv"))
    tracker.add_output(operation, DataSource("calculation", "adjusted", "memory"))
    done = tracker.complete_operation(operation, record_count_in=6, record_count_out=3)
    path = tracker.get_lineage_path("file:splits", "calculation:adjusted")
    above = tracker.get_upstream_dependencies("calculation:adjusted")
    say(
        "By hand",
        f"{done.operation_type.value}: {done.status}",
        f"path {path}",
        f"{len(above)} above",
    )


# ---------------------------------------------------------------- configuration


def configuration(folder: Path) -> None:
    """Read settings from a file and from the environment, and see what is wrong with them."""
    file = folder / "lineage_config.json"
    config = LineageConfig(base_path=folder / "lineage", max_graph_nodes=200)
    config.set_repository_setting("equity_bars", "track_all_operations", value=True)
    config.save_to_file(file)
    again = LineageConfig.from_file(file)
    try:
        LineageConfig(max_graph_nodes=0)
    except lineage.ConfigError as error:
        wrong = error
    say(
        "Configuration",
        f"from a file: {again.max_graph_nodes} nodes at most",
        f"from the environment: {LineageConfig.from_env().enable_persistence}",
        f"issues: {get_config().validate()}",
        f"a bad value: {wrong}",
    )


# ---------------------------------------------------------------- questions


def questions(engine: LineageQueryEngine) -> None:
    """Ask each question once."""
    source, target = "repository:equity_bars/AAPL", "repository:equity_bars/AAPL_RETURNS"
    known = engine.get_data_lineage(target, direction="upstream")
    flow = engine.trace_data_flow(source, target)
    fresh = engine.analyze_data_freshness(target)
    stale = engine.find_stale_data(hours_threshold=0)
    volume = engine.analyze_data_volume_flow(time_window_hours=1)
    speed = engine.get_operation_performance_stats(OperationType.READ)
    summary = engine.build_lineage_summary()
    impact = engine.analyze_impact(source)
    recent = engine.get_recent_activity_summary(hours=1)
    say(
        "Questions",
        f"{len(engine.find_data_sources(source_type='repository'))} repository sources",
        f"{target} came from {[node.node_id for node in known['upstream_dependencies']]}",
        f"on the way: {flow['path_nodes']}",
        f"written {fresh['hours_since_creation']:.2f} hours ago",
        f"{len(stale)} sources are older than no time at all",
        f"{volume['total_records_out']} records out within the hour",
        f"reads take {speed['avg_duration_ms']:.2f} ms on average",
        f"{summary['basic_stats']['total_operations']} operations in all",
        f"{impact['total_downstream_nodes']} sources follow from {source}",
        f"{recent['recent_operations_count']} in the last hour",
        f"as networkx: {engine.to_networkx()}, as pandas: {engine.to_pandas().shape}",
    )


def failures(tracker: LineageTracker, engine: LineageQueryEngine) -> None:
    """Find what failed, and see that a wrong name is answered by the near ones."""
    failed = [operation for operation in tracker.operations.values() if operation.error_info]
    try:
        engine.get_data_lineage("repository:equity_bars/APPL")
    except lineage.NodeNotFoundError as error:
        missing = error
    say("Failures", *(f"{each.code_name}: {each.error_info}" for each in failed), missing)


# ---------------------------------------------------------------- pictures and reports


def pictures(engine: LineageQueryEngine, folder: Path) -> None:
    """Draw the graph in every format that needs no other program."""
    visualizer = LineageVisualizer(engine)
    node = "repository:equity_bars/AAPL"
    graph = visualizer.generate_graph_data()
    timeline = visualizer.generate_timeline_data(hours_back=1)
    impact = visualizer.generate_impact_analysis(node)
    texts = {
        "lineage.svg": visualizer.export_to_svg(),
        "lineage.html": visualizer.export_to_html(),
        "lineage.dot": visualizer.export_to_dot(),
        "lineage.mmd": visualizer.export_to_mermaid(node, max_depth=2),
        "lineage.json": visualizer.export_to_json(node),
        "report.txt": visualizer.generate_summary_report(),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    say(
        "Pictures",
        f"{graph['metadata']['total_nodes']} nodes, {graph['metadata']['total_edges']} edges",
        f"{timeline['summary']['total_events']} events within the hour",
        f"{impact['total_downstream_nodes']} sources are affected",
        *(f"{name}: {len(text):,} characters" for name, text in texts.items()),
    )


# ---------------------------------------------------------------- the store


def the_store(store: LineageMetadataRepository) -> None:
    """Look at what is kept, seal it into plain Parquet, and let go of what is old."""
    failed = [operation for operation in store.load_operations() if operation.is_failed]
    nodes = store.load_nodes(source_type="repository")
    store.seal()
    table = pd.read_parquet(store.base_path / "lineage_operations")
    removed = store.cleanup(timedelta(days=365))
    stats = store.get_storage_stats()
    say(
        "Store",
        f"{len(failed)} failed operations, {len(nodes)} repository nodes",
        f"any Parquet reader sees {len(table)} operations",
        f"{stats['operations_file_count']} files of operations, {removed.parts} removed as too old",
    )


def main() -> None:
    """Run all parts against one store."""
    logging.basicConfig(stream=sys.stdout)
    logging.getLogger("lineage").setLevel(logging.DEBUG)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = LineageMetadataRepository(folder / "lineage")
        tracker = LineageTracker(storage_backend=store)
        set_global_tracker(tracker)
        seen: list[str] = []
        tracker.subscribe("operation.failed", lambda operation: seen.append(operation.code_name))

        decorators()
        repositories(folder)
        runs(folder)
        by_hand(tracker)
        configuration(folder)
        engine = LineageQueryEngine(tracker)
        questions(engine)
        failures(tracker, engine)
        pictures(engine, folder)
        the_store(store)
        say("Events", f"a subscriber saw these fail: {seen}", f"lost: {tracker.lost}")
        tracker.close()
        set_global_tracker(None)
        add_returns(BARS)  # tracking is off: a plain call


if __name__ == "__main__":
    main()
