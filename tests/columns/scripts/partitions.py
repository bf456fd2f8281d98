import pandas as pd
import pyarrow.dataset as ds

sales = pd.read_parquet("data/by_store")
sales.to_parquet("data/by_qty", partition_cols=["qty"])
table = ds.dataset("data/by_qty", partitioning="hive").to_table(columns=["store"])
table.to_pandas().to_csv("data/stores_seen.csv")
