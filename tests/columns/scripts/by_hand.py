"""Not one of the twelve: what no reader of ours sees is told by the look for gaps."""

import csv
from pathlib import Path

import pandas as pd

with open("data/stores.csv", newline="") as file:
    stores = pd.DataFrame(list(csv.DictReader(file)))
Path("data/note.txt").write_text(f"{len(stores)} stores")
with open("data/lines.txt", "w") as file:
    file.writelines(f"{store}\n" for store in stores.store)
