import io
import os
import shutil

import pandas as pd

with open("data/sales.csv", encoding="utf-8") as file:
    sales = pd.read_csv(file)
sales.to_csv("data/part.tmp", index=False)
os.replace("data/part.tmp", "data/whole.csv")
shutil.copy("data/whole.csv", "data/copy.csv")
buffer = io.BytesIO()
sales.to_parquet(buffer)
buffer.seek(0)
with open("data/last.txt", "w") as file:
    pd.read_parquet(buffer).to_string(file)
