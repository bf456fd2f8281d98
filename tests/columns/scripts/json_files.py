import json

import pandas as pd

with open("data/settings.json") as file:
    settings = json.load(file)
lines = pd.read_json("data/events.jsonl", lines=True)
lines = lines[lines.qty > settings["least"]]
lines.to_json("data/kept.json", orient="records")
with open("data/summary.json", "w") as file:
    json.dump({"rows": len(lines)}, file)
