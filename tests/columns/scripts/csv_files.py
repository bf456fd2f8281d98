import pandas as pd

sales = pd.read_csv("data/sales.csv", parse_dates=["day"])
stores = pd.read_csv("data/stores.csv", index_col="store")
joined = sales.join(stores, on="store")
joined.to_csv("data/joined.csv", index=False)
joined.groupby("region").qty.sum().to_csv("data/by_region.csv.gz")
