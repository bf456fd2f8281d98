"""Matches, players and their seasons."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from tests.columns.cases import case
from tests.columns.frozen.makers import holes, pick

TEAMS = ["Ajax", "Brann", "Celtic", "Dnipro"]
PLAYERS = [f"player {letter}" for letter in "abcdefgh"]


def matches(rng):
    n = 70
    home = rng.integers(0, 4, n)
    away = (home + rng.integers(1, 4, n)) % 4
    home[:12] = np.repeat(np.arange(4), 3)
    away[:12] = [1, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2]
    order = rng.permutation(n)
    return pd.DataFrame(
        {
            "date": pd.Timestamp("2023-08-01") + pd.to_timedelta(rng.permutation(n), unit="D"),
            "home": [TEAMS[int(team)] for team in home[order]],
            "away": [TEAMS[int(team)] for team in away[order]],
            "hg": rng.integers(0, 5, n),
            "ag": rng.integers(0, 4, n),
        }
    )


def box(rng):
    n = 150
    return pd.DataFrame(
        {
            "player": pick(rng, PLAYERS, n, 8),
            "team": pick(rng, TEAMS, n, 12),
            "season": pick(rng, [2022, 2023, 2024], n, 30),
            "position": pick(rng, ["guard", "wing", "center"], n, 15),
            "played_on": pd.Timestamp("2022-10-01") + pd.to_timedelta(rng.permutation(n), unit="D"),
            "points": rng.integers(0, 40, n),
            "rebounds": rng.integers(0, 15, n),
            "assists": rng.integers(0, 12, n),
            "minutes": rng.uniform(5, 40, n).round(1),
        }
    )


def corrections(rng):
    n = 150
    return pd.DataFrame(
        {
            "points": holes(rng, rng.integers(0, 40, n), 0.7),
            "assists": holes(rng, rng.integers(0, 12, n), 0.7),
        }
    )


@case(
    direct={
        "team": "matches.home matches.away",
        "gf": "matches.hg matches.ag",
        "ga": "matches.hg matches.ag",
        "gd": "matches.hg matches.ag",
    },
    indirect={"*": "matches.home matches.away matches.hg matches.ag"},
    matches=matches,
)
def league_table(matches):
    columns = ["team", "gf", "ga"]
    home = matches[["home", "hg", "ag"]].set_axis(columns, axis=1)
    away = matches[["away", "ag", "hg"]].set_axis(columns, axis=1)
    both = pd.concat([home, away])
    both["points"] = np.select([both["gf"] > both["ga"], both["gf"] == both["ga"]], [3, 1], 0)
    table = both.groupby("team").agg(
        played=("team", "size"), points=("points", "sum"), gf=("gf", "sum"), ga=("ga", "sum")
    )
    table["gd"] = table["gf"] - table["ga"]
    return table.sort_values(["points", "gd", "gf"], ascending=False).reset_index()


@case(
    direct={"team": "matches.home matches.away", "rating": "matches.hg matches.ag"},
    indirect={"*": "matches.date matches.home matches.away matches.hg matches.ag"},
    matches=matches,
)
def elo(matches):
    ratings = {}
    for _, match in matches.sort_values("date").iterrows():
        home = ratings.get(match["home"], 1500.0)
        away = ratings.get(match["away"], 1500.0)
        expected = 1 / (1 + 10 ** ((away - home) / 400))
        result = (np.sign(match["hg"] - match["ag"]) + 1) / 2
        ratings[match["home"]] = home + 20 * (result - expected)
        ratings[match["away"]] = away - 20 * (result - expected)
    table = pd.DataFrame(ratings.items(), columns=["team", "rating"])
    return table.sort_values("rating", ascending=False, ignore_index=True)


@case(
    direct={"player": "box.player", "longest": "box.points"},
    indirect={"*": "box.player box.played_on box.points"},
    box=box,
)
def hot_streaks(box):
    d = box.sort_values(["player", "played_on"])
    d["hot"] = (d["points"] >= 15).astype(int)
    block = d["hot"].eq(0).groupby(d["player"]).cumsum().rename("block")
    d["streak"] = d.groupby(["player", block])["hot"].cumsum()
    return d.query("hot == 1").groupby("player")["streak"].max().rename("longest")


@case(
    direct={
        "player": "box.player",
        "position": "box.position",
        "per36": "box.points box.minutes",
        "z": "box.points box.minutes",
    },
    indirect={"*": "box.points box.minutes box.position"},
    box=box,
)
def outstanding_games(box):
    return (
        box.assign(per36=lambda d: d["points"] / d["minutes"] * 36)
        .assign(z=lambda d: d.groupby("position")["per36"].transform(lambda s: stats.zscore(s)))
        .nlargest(12, "z")
        .loc[:, ["player", "position", "per36", "z"]]
        .reset_index(drop=True)
    )


@case(
    direct={"home": "matches.home", **dict.fromkeys(TEAMS, "matches.hg matches.ag")},
    indirect=dict.fromkeys(TEAMS, "matches.home matches.away"),
    matches=matches,
)
def head_to_head(matches):
    matches["margin"] = matches["hg"] - matches["ag"]
    wide = pd.pivot_table(matches, index="home", columns="away", values="margin", aggfunc="mean")
    return wide.fillna(0).round(2)


@case(
    direct={"team": "box.team", "mean": "box.points", "max": "box.points"},
    indirect={"*": "box.season", "mean": "box.team", "max": "box.team"},
    box=box,
)
def season_of_teams(box):
    table = box.groupby(["season", "team"])["points"].agg(["mean", "max"])
    return table.xs(2023, level="season")


@case(
    direct={"team": "box.team", "change": "box.points"},
    indirect={"change": "box.team box.season"},
    box=box,
)
def improvement(box):
    means = box.groupby(["team", "season"])["points"].mean().unstack()
    change = (means[2024] - means[2023]).rename("change")
    return change.reset_index()


@case(
    direct={
        "season": "box.season",
        "team": "box.team",
        "points": "box.points",
        "rebounds": "box.rebounds",
        "share": "box.points",
    },
    indirect={"*": "box.season box.team"},
    box=box,
)
def totals_of_seasons(box):
    totals = box.groupby(["team", "season"])[["points", "rebounds"]].sum()
    totals = totals.swaplevel().sort_index()
    totals["share"] = totals["points"] / totals.groupby(level="season")["points"].transform("sum")
    return totals


@case(
    direct={
        "player": "box.player",
        "points": "box.points corrections.points",
        "assists": "box.assists corrections.assists",
        "fantasy": "box.points corrections.points box.assists corrections.assists box.rebounds",
        "above": "box.points corrections.points box.assists corrections.assists box.rebounds",
    },
    box=box,
    corrections=corrections,
)
def corrected(box, corrections):
    d = box[["player", "points", "rebounds", "assists"]].astype({"points": float, "assists": float})
    d.update(corrections)
    d = d.eval("fantasy = points + 1.2 * rebounds + 1.5 * assists")
    typical = d["fantasy"].median()
    return d.assign(above=d["fantasy"] - typical).drop(columns="rebounds")


@case(
    direct=dict.fromkeys("01234", "box.points box.rebounds box.assists"),
    box=box,
)
def sheet_of_five(box):
    first = box[["points", "rebounds", "assists"]].head(5)
    return (first / first.max()).fillna(0).T


@case(
    direct={
        "player": "box.player",
        "best": "box.points",
        "best_on": "box.played_on",
        "recent": "box.points",
    },
    indirect={
        "*": "box.played_on",
        "games": "box.player",
        "best": "box.player",
        "best_on": "box.player box.points",
        "recent": "box.player",
    },
    box=box,
)
def careers(box):
    def career(games):
        return pd.Series(
            {
                "games": len(games),
                "best": games["points"].max(),
                "best_on": games.loc[games["points"].idxmax(), "played_on"],
                "recent": games["points"].tail(5).mean(),
            }
        )

    ordered = box.sort_values("played_on")
    return ordered.groupby("player")[["points", "played_on"]].apply(career).reset_index()
