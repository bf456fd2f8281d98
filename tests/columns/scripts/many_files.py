from glob import glob
from pathlib import Path

import pandas as pd

days = pd.concat([pd.read_csv(path) for path in sorted(glob("data/days/*.csv"))])
for store, part in days.groupby("store"):
    part.to_csv(Path("data") / f"store_{store}.csv", index=False)
for path in Path("data").glob("store_*.csv"):
    pd.read_csv(path).to_html(path.with_suffix(".html"))
