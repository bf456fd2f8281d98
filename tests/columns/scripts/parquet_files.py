import pandas as pd

sales = pd.read_parquet("data/sales.parquet", columns=["store", "qty"])
total = sales.groupby("store", as_index=False).qty.sum()
total.to_parquet("data/total.parquet")
total.to_feather("data/total.feather")
pd.read_feather("data/total.feather").to_parquet("data/again.parquet", compression="gzip")
