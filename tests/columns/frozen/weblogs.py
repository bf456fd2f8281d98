"""Requests of a web site, its sessions and funnels, and the words of texts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer

from tests.columns.cases import case
from tests.columns.frozen.makers import moments, pick, shuffled

USERS = [f"u{number}" for number in range(1, 16)]
PATHS = ["/home", "/shop/cart", "/shop/pay", "/shop/list", "/blog/one", "/blog/two"]
AGENTS = ["Firefox/120", "Chrome/119", "Safari/17", "Googlebot/2", "curl/8"]
WORDS = ["the", "storm", "river", "engine", "garden", "of", "signal", "market", "bread"]


def hits(rng):
    n = 180
    return pd.DataFrame(
        {
            "ts": moments(rng, "2024-09-02", 96, n),
            "user": [
                None if gone else user
                for gone, user in zip(rng.random(n) < 0.1, pick(rng, USERS, n, 5), strict=True)
            ],
            "path": pick(rng, PATHS, n, 15),
            "status": pick(rng, [200, 200, 301, 404, 500], n, 8),
            "bytes": rng.integers(100, 9000, n),
            "ms": rng.gamma(2, 60, n).round(1),
            "agent": pick(rng, AGENTS, n, 8),
        }
    )


def users(rng):
    names = [*USERS[2:], "u90", "u91"]
    return pd.DataFrame(
        {
            "user": shuffled(rng, names),
            "country": pick(rng, ["DE", "FR", "PL"], len(names), 3),
            "plan": pick(rng, ["free", "pro"], len(names), 3),
        }
    )


def landings(rng):
    n = 90
    known = ["news", "search", "ads", "mail", "social", "partner"]
    sources = pick(rng, [*shuffled(rng, known)[:3], ""], n, 10)
    campaigns = pick(rng, ["spring", "summer"], n, 10)
    return pd.DataFrame(
        {
            "url": [
                f"https://x.example/p?utm_source={source}&utm_campaign={campaign}"
                if source
                else "https://x.example/p"
                for source, campaign in zip(sources, campaigns, strict=True)
            ],
            "bought": rng.random(n) < 0.4,
            "spent": rng.uniform(0, 80, n).round(2),
        }
    )


def texts(rng):
    n = 40
    return pd.DataFrame(
        {
            "doc": rng.permutation(n) + 1,
            "author": pick(rng, ["ann", "ben", "cid"], n, 8),
            "body": [
                " ".join(str(word) for word in rng.choice(WORDS, rng.integers(4, 12))).capitalize()
                + "."
                for _ in range(n)
            ],
        }
    )


def visitors(rng):
    n = 120
    return pd.DataFrame(
        {
            "visitor": rng.permutation(n),
            "converted": rng.random(n) < 0.4,
            "seconds": rng.gamma(2, 30, n),
        }
    )


def arms(rng):
    n = 110
    return pd.DataFrame({"visitor": rng.permutation(120)[:n], "arm": pick(rng, ["a", "b"], n, 40)})


@case(
    direct={
        "user": "hits.user",
        "session": "hits.ts",
        "start": "hits.ts",
        "landing": "hits.path",
        "minutes": "hits.ts",
    },
    indirect={
        "*": "hits.user hits.ts",
    },
    hits=hits,
)
def sessions(hits):
    d = hits.dropna(subset=["user"]).sort_values(["user", "ts"])
    gap = d.groupby("user")["ts"].diff()
    d["session"] = (gap.isna() | (gap > pd.Timedelta(hours=8))).cumsum()
    out = d.groupby(["user", "session"], as_index=False).agg(
        start=("ts", "min"),
        end=("ts", "max"),
        pages=("path", "size"),
        landing=("path", "first"),
    )
    out["minutes"] = (out["end"] - out["start"]) / pd.Timedelta(minutes=1)
    return out.drop(columns="end")


@case(
    direct={"section": "hits.path"},
    indirect={
        "*": "hits.agent",
        "ok": "hits.path hits.status",
        "moved": "hits.path hits.status",
        "error_rate": "hits.path hits.status",
    },
    hits=hits,
)
def errors_by_section(hits):
    people = hits[~hits["agent"].str.contains("bot", case=False)]
    section = people["path"].str.split("/").str[1].rename("section")
    kind = (people["status"] // 100).rename("kind")
    counts = people.groupby([section, kind]).size().unstack(fill_value=0)
    failed = counts[4] + counts[5]
    counts["error_rate"] = failed / counts.sum(axis=1)
    return counts.drop(columns=[4, 5]).rename(columns={2: "ok", 3: "moved"})


@case(
    direct={"users": "hits.user", "kept": "hits.user"},
    indirect={"users": "hits.path", "kept": "hits.path"},
    hits=hits,
)
def funnel(hits):
    rows = []
    for step in ["/home", "/shop/list", "/shop/cart", "/shop/pay"]:
        there = hits.loc[hits["path"].eq(step), "user"].nunique()
        rows.append({"step": step, "users": there})
    table = pd.DataFrame(rows)
    table["kept"] = table["users"] / table["users"].shift(1)
    return table


@case(
    direct={
        "source": "landings.url",
        "rate": "landings.bought",
        "spent": "landings.spent",
        "summer": "landings.url",
    },
    indirect={
        "visits": "landings.url",
        "rate": "landings.url",
        "spent": "landings.url landings.bought",
        "summer": "landings.url",
    },
    landings=landings,
)
def campaigns(landings):
    parts = landings["url"].str.extract(
        r"utm_source=(?P<source>\w+)&utm_campaign=(?P<campaign>\w+)"
    )
    d = pd.concat([landings, parts.fillna("direct")], axis=1)
    d["spent"] = d["spent"].where(d["bought"], 0.0)
    d["summer"] = d["campaign"].eq("summer").astype(int)
    return d.groupby("source").agg(
        visits=("url", "size"),
        rate=("bought", "mean"),
        spent=("spent", "sum"),
        summer=("summer", "sum"),
    )


@case(
    direct={"country": "users.country", "path": "hits.path"},
    indirect={"*": "hits.user users.user users.country hits.path"},
    hits=hits,
    users=users,
)
def top_pages(hits, users):
    m = hits.merge(users, on="user", how="inner")
    counts = m.groupby(["country", "path"]).size().rename("n").reset_index()
    counts["place"] = counts.groupby("country")["n"].rank(method="dense", ascending=False)
    return counts[counts["place"] <= 2].sort_values(["country", "place", "path"])


@case(
    direct={
        "path": "hits.path",
        "0.5": "hits.ms",
        "0.9": "hits.ms",
        "0.99": "hits.ms",
        "tail": "hits.ms",
    },
    indirect=dict.fromkeys(["0.5", "0.9", "0.99", "tail"], "hits.path"),
    hits=hits,
)
def latency(hits):
    table = hits.groupby("path")["ms"].quantile([0.5, 0.9, 0.99]).unstack()
    table["tail"] = table[0.99] / table[0.5]
    return table


@case(
    direct={"author": "texts.author", "word": "texts.body"},
    indirect={"*": "texts.body texts.author"},
    texts=texts,
)
def favourite_words(texts):
    words = texts.assign(word=texts["body"].str.lower().str.findall(r"[a-z]+")).explode("word")
    words = words[~words["word"].isin(["the", "of"])]
    return (
        words.groupby(["author", "word"])
        .size()
        .reset_index(name="n")
        .sort_values(["author", "n", "word"], ascending=[True, False, True])
        .groupby("author")
        .head(2)
        .reset_index(drop=True)
    )


@case(
    direct={
        "doc": "texts.doc",
        "storm": "texts.body",
        "river": "texts.body",
        "bread": "texts.body",
    },
    texts=texts,
)
def term_weights(texts):
    vectors = TfidfVectorizer(vocabulary=["storm", "river", "bread"], norm=None)
    matrix = vectors.fit_transform(texts["body"]).toarray()
    table = pd.DataFrame(matrix, columns=vectors.get_feature_names_out(), index=texts.index)
    return pd.concat([texts["doc"], table], axis=1)


@case(
    direct={
        "day": "hits.ts",
        "users": "hits.user",
        "new_share": "hits.ts hits.user",
    },
    indirect={"*": "hits.user", "users": "hits.ts", "new_share": "hits.ts"},
    hits=hits,
)
def new_visitors(hits):
    known = hits.dropna(subset="user").copy()
    first = known.groupby("user")["ts"].min()
    known["first_day"] = known["user"].map(first).dt.normalize()
    known["day"] = known["ts"].dt.normalize()
    known["new"] = known["day"] == known["first_day"]
    return known.groupby("day", as_index=False).agg(
        users=("user", "nunique"), new_share=("new", "mean")
    )


@case(
    direct={"family": "hits.agent"},
    indirect={"*": "hits.agent hits.status"},
    hits=hits,
)
def agent_families(hits):
    family = hits.loc[hits["status"] < 400, "agent"].str.split("/").str[0].str.lower()
    counts = family.value_counts().rename_axis("family").reset_index(name="hits")
    return counts.sort_values(["hits", "family"], ascending=[False, True], ignore_index=True)


@case(
    direct={
        "user": "hits.user",
        "entry": "hits.path",
        "exit": "hits.path",
        "kilobytes": "hits.bytes",
    },
    indirect={
        "*": "hits.ts",
        "entry": "hits.user",
        "exit": "hits.user",
        "depth": "hits.user",
        "kilobytes": "hits.user",
    },
    hits=hits,
)
def visits(hits):
    rows = []
    for user, visit in hits.sort_values("ts").groupby("user"):
        paths = visit["path"].tolist()
        rows.append(
            {
                "user": user,
                "entry": paths[0],
                "exit": paths[-1],
                "depth": len(paths),
                "kilobytes": visit["bytes"].sum() / 1024,
            }
        )
    return pd.DataFrame.from_records(rows)


@case(
    direct={"lift": "visitors.converted", "seconds": "visitors.seconds"},
    indirect={"*": "visitors.visitor arms.visitor arms.arm"},
    visitors=visitors,
    arms=arms,
)
def experiment(visitors, arms):
    m = visitors.merge(arms, on="visitor", how="inner")
    rate = m.groupby("arm")["converted"].mean()
    seconds = m.groupby("arm")["seconds"].median()
    return pd.DataFrame(
        {
            "lift": [(rate["b"] - rate["a"]) / rate["a"]],
            "seconds": [seconds.loc["b"] - seconds.loc["a"]],
        }
    )


@case(
    direct={"plan": "hits.user users.user users.plan", "path": "hits.path"},
    indirect={
        "*": "hits.user users.user",
        "hits": "users.plan hits.path",
        "slow": "users.plan hits.path hits.ms",
    },
    hits=hits,
    users=users,
)
def hits_of_plans(hits, users):
    plan_of = users.set_index("user")["plan"].to_dict()
    counted, slow = Counter(), Counter()
    known = hits.merge(users[["user"]], on="user")
    for row in known.itertuples():
        key = (plan_of[row.user], row.path)
        counted[key] += 1
        if row.ms > 150:
            slow[key] += 1
    keys = sorted(counted)
    return pd.DataFrame(
        {
            "plan": [plan for plan, _ in keys],
            "path": [path for _, path in keys],
            "hits": [counted[key] for key in keys],
            "slow": np.array([slow[key] for key in keys]),
        }
    )
