"""Text and cleaning: logs, reviews, tickets and addresses, in many steps."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np
import pandas as pd

from tests.columns.cases import case

START = pd.Timestamp("2024-05-01")
WORDS = ["good", "bad", "slow", "fast", "broken", "lovely", "cheap"]
STOP = {"slow"}
MOODS = {"good": 1, "lovely": 2, "fast": 1, "bad": -1, "broken": -2}
LINE = re.compile(r"^(?P<level>[A-Z]+) \[(?P<module>\w+)\] took (?P<ms>\d+)ms$")


def reviews(rng: np.random.Generator) -> pd.DataFrame:
    rows = 40
    return pd.DataFrame(
        {
            "review": rng.permutation(rows),
            "item": rng.choice(["lamp", "desk", "sofa"], rows, p=[0.55, 0.41, 0.04]),
            "text": [" ".join(rng.choice(WORDS, n)) for n in rng.integers(1, 6, rows)],
            "stars": rng.integers(1, 6, rows),
            "helpful": rng.integers(0, 20, rows),
        }
    )


def logs(rng: np.random.Generator) -> pd.DataFrame:
    rows = 60
    levels = rng.choice(["INFO", "WARN", "ERROR"], rows)
    modules = rng.choice(["auth", "pay", "mail"], rows, p=[0.56, 0.4, 0.04])
    return pd.DataFrame(
        {
            "line": [
                f"{level} [{module}] took {rng.integers(1, 900)}ms" if rng.random() > 0.1 else "?"
                for level, module in zip(levels, modules, strict=True)
            ],
            "host": rng.choice(["h1", "h2"], rows),
            "at": START + pd.to_timedelta(np.cumsum(rng.integers(1, 40, rows)), unit="min"),
        }
    )


def tickets(rng: np.random.Generator) -> pd.DataFrame:
    rows = 40
    return pd.DataFrame(
        {
            "ticket": [f"T-{n}" for n in rng.permutation(rows)],
            "subject": [
                f"{rng.choice(['Re: ', 'FWD: ', ''])}{rng.choice(['login', 'invoice', 'crash'])}"
                f" #{rng.integers(1, 15)}"
                for _ in range(rows)
            ],
            "labels": [", ".join(rng.choice(list("xyz"), n)) for n in rng.integers(0, 3, rows)],
            "priority": rng.choice(["low", "medium", "high"], rows),
            "opened": START + pd.to_timedelta(rng.integers(0, 900, rows), unit="h"),
            "agent": rng.choice(["a1", "a2", "a3", ""], rows),
        }
    )


def agents(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "agent": ["a1", "a2", "a3"],
            "full": rng.permutation(["Kim Oh", "Lea Po", "Max Qu"]),
            "capacity": rng.integers(3, 15, 3),
        }
    )


def addresses(rng: np.random.Generator) -> pd.DataFrame:
    rows = 36
    streets = rng.choice(["Main St.", "Hill Road", "Lake Ave"], rows)
    cities = rng.choice(["bern", "GRAZ", " Lyon", "oslo"], rows, p=[0.4, 0.3, 0.26, 0.04])
    return pd.DataFrame(
        {
            "id": rng.permutation(rows),
            "address": [
                f"{rng.integers(1, 30)} {street}, {rng.integers(1000, 1009)} {city}"
                for street, city in zip(streets, cities, strict=True)
            ],
            "phone": [
                f"{rng.choice(['+41', '0041', '0'])} {rng.integers(30, 80)} {n}"
                for n in rng.integers(1000, 9999, rows)
            ],
            "checked": START - pd.to_timedelta(rng.integers(0, 500, rows), unit="D"),
        }
    )


def tokens(text: str, stop: frozenset | set = frozenset()) -> list[str]:
    return [word for word in text.lower().split() if word not in stop]


class Vocabulary:
    """Words and how many texts have them."""

    def __init__(self, texts: pd.Series) -> None:
        self.size = len(texts)
        self.found: Counter[str] = Counter()
        for text in texts:
            self.found.update(set(tokens(text)))

    def idf(self, word: str) -> float:
        return np.log((1 + self.size) / (1 + self.found[word])) + 1


@case(
    direct={
        "review": "reviews.review",
        "words": "reviews.text",
        "mood": "reviews.text",
        "weighted": "reviews.text reviews.helpful",
        "clash": "reviews.text reviews.stars",
    },
    indirect={"*": "reviews.helpful"},
    reviews=reviews,
)
def moods(reviews):
    limit = reviews["helpful"].quantile(0.2)
    df = reviews[reviews["helpful"] > limit].copy()
    df["words"] = df["text"].str.split().str.len()
    df["mood"] = [sum(MOODS.get(w, 0) for w in tokens(t, STOP)) for t in df["text"]]
    df["weighted"] = df["mood"] * np.log1p(df["helpful"])
    df["clash"] = (df["mood"] > 0) & (df["stars"] <= 2)
    return df[["review", "words", "mood", "weighted", "clash"]]


@case(
    direct={
        "review": "reviews.review",
        "word": "reviews.text",
        "tf": "",
        "idf": "reviews.text",
        "tfidf": "reviews.text",
    },
    indirect={"*": "reviews.text reviews.review"},
    reviews=reviews,
)
def weighted_words(reviews, top=2):
    vocabulary = Vocabulary(reviews["text"])
    long = (
        reviews.assign(word=reviews["text"].str.split(" "))
        .explode("word")
        .groupby(["review", "word"])
        .size()
        .rename("tf")
        .reset_index()
    )
    long["idf"] = long["word"].map(vocabulary.idf)
    long["tfidf"] = long["tf"] * long["idf"]
    long = long.sort_values(["review", "tfidf", "word"], ascending=[True, False, True])
    long["place"] = long.groupby("review").cumcount() + 1
    return long[long["place"] <= top].reset_index(drop=True)


@case(
    direct={
        "module": "logs.line",
        "slowest": "logs.line",
        "mean_ms": "logs.line",
        "errors": "logs.line",
        "error_rate": "logs.line",
        "last_host": "logs.line logs.host",
    },
    indirect={"*": "logs.line", "last_host": "logs.at"},
    logs=logs,
)
def parsed_logs(logs):
    parsed = logs["line"].str.extract(LINE)
    df = logs.join(parsed).dropna(subset=["ms"])
    df["ms"] = df["ms"].astype(int)
    df = df.astype({"level": pd.CategoricalDtype(["INFO", "WARN", "ERROR"], ordered=True)})
    df["bad"] = df["level"] > "INFO"
    table = df.groupby("module").agg(
        slowest=("ms", "max"), mean_ms=("ms", "mean"), errors=("bad", "sum"), n=("ms", "size")
    )
    table["error_rate"] = table["errors"] / table.pop("n")
    lasts = df.loc[df.groupby("module")["at"].idxmax()].set_index("module")["host"]
    return table.reset_index().assign(last_host=lambda t: t["module"].map(lasts))


@case(
    direct={
        "host": "logs.host",
        "burst": "logs.at",
        "begun": "logs.at",
        "minutes": "logs.at",
        "lines": "",
        "level": "logs.line",
    },
    indirect={"*": "logs.host logs.at"},
    logs=logs,
)
def bursts(logs):
    rows = []
    for host, part in logs.sort_values("at").groupby("host"):
        gap = part["at"].diff().dt.total_seconds().fillna(0)
        numbers = (gap > 45 * 60).cumsum()
        for number, burst in part.groupby(numbers):
            first, *_, last = [burst["at"].iloc[0], *burst["at"]]
            level = burst["line"].iloc[-1].partition(" ")[0]
            rows.append(
                (host, number, first, (last - first).total_seconds() / 60, len(burst), level)
            )
    names = ["host", "burst", "begun", "minutes", "lines", "level"]
    table = pd.DataFrame([dict(zip(names, row, strict=True)) for row in rows])
    return table[table["lines"] >= 2]


@case(
    direct={
        "topic": "tickets.subject",
        "number": "tickets.subject",
        "tickets": "tickets.ticket",
        "urgent": "tickets.priority",
        "first": "tickets.opened",
        "agents": "tickets.agent agents.full",
    },
    indirect={
        "*": "tickets.opened",
        "tickets": "tickets.subject",
        "urgent": "tickets.subject",
        "first": "tickets.subject",
        "agents": "tickets.subject agents.agent",
    },
    tickets=tickets,
    agents=agents,
)
def topics(tickets, agents):
    people = dict(zip(agents["agent"], agents["full"], strict=True))
    df = tickets.sort_values("opened")
    subject = df["subject"].str.replace(r"^(re|fwd):\s*", "", regex=True, flags=re.IGNORECASE)
    df[["topic", "number"]] = subject.str.split(" #", expand=True)
    df["number"] = df["number"].astype(int) // 2
    df["urgent"] = df["priority"].eq("high")
    df["who"] = [people.get(agent, "nobody") for agent in df["agent"]]
    return (
        df.groupby(["topic", "number"])
        .agg(
            tickets=("ticket", " ".join),
            urgent=("urgent", "any"),
            first=("opened", "first"),
            agents=("who", lambda s: "+".join(sorted(set(s)))),
        )
        .reset_index()
    )


@case(
    direct={
        "label": "tickets.labels",
        "high": "",
        "low": "",
        "medium": "",
        "total": "",
        "share": "",
        "rank": "",
    },
    indirect={"*": "tickets.labels tickets.priority"},
    tickets=tickets,
)
def labels_by_priority(tickets):
    counts = defaultdict(Counter)
    for row in tickets.itertuples():
        for label in filter(None, re.split(r",\s*", row.labels)):
            counts[label][row.priority] += 1
    table = pd.DataFrame(
        [{"label": label, **found} for label, found in counts.items()],
        columns=["label", "high", "low", "medium"],
    ).fillna(0)
    table["total"] = table[["high", "low", "medium"]].sum(axis=1)
    table["share"] = table["high"] / table["total"]
    table = table.sort_values(["total", "label"], ascending=[False, True], ignore_index=True)
    table["rank"] = table["total"].rank(ascending=False, method="min")
    return table


@case(
    direct={
        "agent": "agents.agent",
        "name": "agents.full",
        "load": "tickets.priority",
        "free": "tickets.priority agents.capacity",
        "state": "",
        "oldest": "tickets.ticket",
    },
    indirect={
        "*": "tickets.agent agents.agent",
        "state": "tickets.priority agents.capacity",
        "oldest": "tickets.opened tickets.priority",
    },
    tickets=tickets,
    agents=agents,
)
def workloads(tickets, agents):
    points = {"low": 1, "medium": 2, "high": 3}
    open_ = tickets[tickets["agent"] != ""].assign(points=lambda d: d["priority"].map(points))
    load = open_.groupby("agent", as_index=False)["points"].sum()
    oldest = (
        open_.sort_values(["points", "opened"], ascending=[False, True])
        .groupby("agent", as_index=False)
        .first()[["agent", "ticket"]]
    )
    table = agents.merge(load, how="left", on="agent").merge(oldest, how="left", on="agent")
    table = table.rename(columns={"full": "name", "points": "load", "ticket": "oldest"})
    table["load"] = table["load"].fillna(0)
    table["free"] = table.pop("capacity") - table["load"] / 2
    table["state"] = table["free"].apply(lambda f: "over" if f < 0 else "tight" if f < 3 else "ok")
    return table


@case(
    direct={
        "id": "addresses.id",
        "street": "addresses.address",
        "zip": "addresses.address",
        "city": "addresses.address",
        "phone": "addresses.phone",
        "same_city": "addresses.address",
    },
    indirect={
        "*": "addresses.address addresses.checked addresses.phone",
    },
    addresses=addresses,
)
def parsed_addresses(addresses):
    def phone(text: str) -> str:
        prefix, *rest = text.split(" ")
        return "+41" + "".join(rest) if prefix in {"0", "0041"} else text.replace(" ", "")

    df = addresses.copy()
    left, right = df["address"].str.split(", ").str[0], df["address"].str.split(", ").str[1]
    df["street"] = left.str.replace(r"\bSt\.", "Street", regex=True).str.title()
    df[["zip", "city"]] = right.str.extract(r"^(\d{4})\s+(.*)$")
    df["city"] = df["city"].str.strip().str.capitalize()
    df["phone"] = df["phone"].map(phone)
    df = df.sort_values("checked", ascending=False).drop_duplicates(["zip", "city"])
    df["same_city"] = df["city"].map(df["city"].value_counts().to_dict())
    df = df.drop(columns=["address", "checked"], errors="ignore").reset_index(drop=True)
    return df.loc[df["phone"].str.len() > 5, ["id", "street", "zip", "city", "phone", "same_city"]]


@case(
    direct={
        "item": "reviews.item",
        "stars": "reviews.stars",
        "typical": "reviews.stars reviews.helpful",
        "praise": "reviews.text",
        "worst": "reviews.text",
        "longest": "reviews.text",
    },
    indirect={
        "stars": "reviews.item",
        "typical": "reviews.item",
        "praise": "reviews.item",
        "worst": "reviews.item reviews.stars reviews.helpful",
        "longest": "reviews.item",
    },
    reviews=reviews,
)
def items(reviews):
    def summary(group: pd.DataFrame) -> pd.Series:
        worst = group.sort_values(["stars", "helpful"], ascending=[True, False]).iloc[0]
        return pd.Series(
            {
                "stars": group["stars"].mean(),
                "typical": np.average(group["stars"], weights=group["helpful"] + 1),
                "praise": group["text"].str.count("good|lovely").sum(),
                "worst": worst["text"],
                "longest": max(group["text"], key=len),
            }
        )

    columns = ["text", "stars", "helpful"]
    return reviews.groupby("item")[columns].apply(summary).reset_index()


@case(
    direct={
        "item": "reviews.item",
        "broken": "reviews.text",
        "cheap": "reviews.text",
        "lovely": "reviews.text",
        "stars": "reviews.stars",
        "spread": "reviews.text",
    },
    indirect={
        "broken": "reviews.item",
        "cheap": "reviews.item",
        "lovely": "reviews.item",
        "stars": "reviews.item",
        "spread": "reviews.item",
    },
    reviews=reviews,
)
def words_by_item(reviews, words=("broken", "cheap", "lovely")):
    df = reviews.copy()
    for word in words:
        df[word] = df["text"].str.contains(rf"\b{word}\b").astype(int)
    table = df.groupby("item")[list(words)].mean()
    table["stars"] = df.groupby("item")["stars"].median()
    table["spread"] = table[list(words)].max(axis=1) - table[list(words)].min(axis=1)
    for word in words:
        table[word] = (table[word] * 100).round(1)
    return table
