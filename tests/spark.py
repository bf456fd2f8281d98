"""What Apache Spark reads of a store: a process of its own, asked by lines on its standard input.

    python -m tests.spark

answers each line `look STORE` or `ids STORE` with a line of JSON.
"""

import json
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession


def operations(spark: SparkSession, store: Path) -> DataFrame:
    folder = store / "lineage_operations"
    return spark.read.option("mergeSchema", "true").parquet(str(folder))


def look(spark: SparkSession, store: Path) -> dict:
    table = operations(spark, store)
    flat = table.selectExpr("operation_id", "explode(inputs) AS input")
    return {
        "types": {name: kind for name, kind in table.dtypes if name != "date"},
        "operations": sorted(
            [row.operation_id, row.operation_type, row.timestamp.isoformat(), row.parameters]
            for row in table.collect()
        ),
        "inputs": sorted(
            [row.operation_id, row.node_id, row.record_count]
            for row in flat.select("operation_id", "input.node_id", "input.record_count").collect()
        ),
    }


def ids(spark: SparkSession, store: Path) -> list:
    return [row.operation_id for row in operations(spark, store).select("operation_id").collect()]


def main() -> None:
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    settings = {
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    spark = builder.config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    for line in sys.stdin:
        question, store = line.split(maxsplit=1)
        answer = {"look": look, "ids": ids}[question](spark, Path(store.strip()))
        print(json.dumps(answer), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
