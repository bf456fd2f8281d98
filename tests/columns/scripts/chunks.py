import pandas as pd

is_first = True
for chunk in pd.read_csv("data/sales.csv", chunksize=2):
    chunk = chunk[chunk.qty > 1]
    chunk.to_csv("data/large.csv", mode="w" if is_first else "a", header=is_first)
    is_first = False
