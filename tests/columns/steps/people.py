"""People and cleaning: staff, exams, surveys and dirty exports, in many steps."""

from __future__ import annotations

from collections import defaultdict
from functools import reduce

import numpy as np
import pandas as pd

from tests.columns.cases import case

NOW = pd.Timestamp("2024-06-30")
LEVELS = ["junior", "mid", "senior"]
ALIASES = {"hr": "people", "human resources": "people", "it": "tech", "eng": "tech"}
WEIGHTS = {"exam": 0.6, "project": 0.3, "quiz": 0.1}


def staff(rng: np.random.Generator) -> pd.DataFrame:
    rows = 40
    return pd.DataFrame(
        {
            "id": rng.permutation(rows) + 1,
            "name": [
                f"{rng.choice(['Ann', 'Bob', 'Cleo'])} {rng.choice(['Lee', 'Moss', 'Orr'])}"
                for _ in range(rows)
            ],
            "team": rng.choice(["ops", "tech", "sales", "art"], rows, p=[0.4, 0.34, 0.2, 0.06]),
            "level": rng.choice(LEVELS, rows),
            "salary": np.where(
                rng.random(rows) < 0.15, np.nan, rng.integers(30, 90, rows) * 1000.0
            ),
            "hired": NOW - pd.to_timedelta(rng.integers(30, 4000, rows), unit="D"),
            "boss": rng.integers(1, rows + 1, rows),
        }
    )


def moves(rng: np.random.Generator) -> pd.DataFrame:
    """Teams that people were in from a day on."""
    rows = 60
    return pd.DataFrame(
        {
            "person": rng.integers(1, 25, rows),
            "team": rng.choice(["ops", "tech", "sales"], rows),
            "from_day": NOW - pd.to_timedelta(rng.permutation(2000)[:rows], unit="D"),
        }
    )


def exports(rng: np.random.Generator) -> pd.DataFrame:
    """A dirty export."""
    rows = 50
    money = rng.uniform(10, 5000, rows)
    kinds = rng.integers(0, 4, rows)
    return pd.DataFrame(
        {
            " Key ": [f" k{n:02} " for n in rng.integers(0, 35, rows)],
            "Dept.": rng.choice(
                ["HR", "human resources", "IT", "eng", "Ops "],
                rows,
                p=[0.3, 0.28, 0.22, 0.17, 0.03],
            ),
            "Amount": [
                [f"{m:,.2f}", f"{m:.0f} EUR", "n/a", f"({m:.2f})"][k]
                for m, k in zip(money, kinds, strict=True)
            ],
            "Date": [
                (NOW - pd.Timedelta(days=int(n))).strftime("%Y-%m-%d" if n % 3 else "%d.%m.%Y")
                for n in rng.integers(0, 500, rows)
            ],
            "Version": rng.integers(1, 9, rows),
            "Flags": ["|".join(rng.choice(list("abc"), n)) for n in rng.integers(1, 4, rows)],
        }
    )


def marks(rng: np.random.Generator) -> pd.DataFrame:
    rows = 90
    return pd.DataFrame(
        {
            "student": rng.choice([f"st{n:02}" for n in range(24)], rows),
            "course": rng.choice(["math", "bio", "art"], rows, p=[0.5, 0.47, 0.03]),
            "kind": rng.choice(list(WEIGHTS), rows),
            "points": rng.uniform(0, 100, rows).round(1),
            "bonus": rng.integers(0, 5, rows),
        }
    )


def clean_amount(text: str, missing: float = np.nan) -> float:
    text = text.replace(",", "").replace(" EUR", "")
    if text.startswith("("):
        return -float(text.strip("()"))
    try:
        return float(text)
    except ValueError:
        return missing


def snake(label: str) -> str:
    return label.strip().lower().rstrip(".")


@case(
    direct={
        "id": "staff.id",
        "team": "staff.team",
        "salary": "staff.salary",
        "capped": "staff.salary",
        "years": "staff.hired",
        "versus": "staff.salary",
    },
    indirect={
        "salary": "staff.team staff.level",
        "capped": "staff.team staff.level",
        "versus": "staff.team staff.level",
    },
    staff=staff,
)
def salary_gaps(staff):
    df = staff.copy()
    groups = df.groupby(["team", "level"])["salary"]
    df["salary"] = df["salary"].fillna(groups.transform("median"))
    df["salary"] = df["salary"].fillna(df["salary"].median())
    low, high = np.percentile(df["salary"], [5, 95])
    df["capped"] = df["salary"].clip(low, high)
    df["years"] = ((NOW - df["hired"]).dt.days / 365.25).round(1)
    typical = df.groupby("team")["capped"].transform("mean")
    df["versus"] = (df["capped"] / typical - 1).mul(100).round(2)
    return df[["id", "team", "salary", "capped", "years", "versus"]]


@case(
    direct={
        "key": ["exports. Key "],
        "dept": "exports.Dept.",
        "amount": "exports.Amount",
        "date": "exports.Date",
        "quarter": "exports.Date",
    },
    indirect={"*": ["exports. Key ", "exports.Version", "exports.Amount"]},
    exports=exports,
)
def cleaned_export(exports):
    df = exports.rename(columns=snake)
    for col in df.select_dtypes(include=["object", "str"]).columns:
        df[col] = df[col].str.strip()
    df["dept"] = df["dept"].str.lower().replace(ALIASES)
    df["amount"] = df["amount"].map(clean_amount)
    iso = pd.to_datetime(df["date"], format="%Y-%m-%d", errors="coerce")
    local = pd.to_datetime(df["date"], format="%d.%m.%Y", errors="coerce")
    df["date"] = iso.combine_first(local)
    df["quarter"] = df["date"].dt.to_period("Q").astype(str)
    df = df.dropna(subset=["amount"])
    newest = df.sort_values("version").drop_duplicates(subset="key", keep="last")
    return newest.drop(columns=["version", "flags"]).reset_index(drop=True)


@case(
    direct={
        "dept": "exports.Dept.",
        "a": "",
        "b": "",
        "c": "",
        "share_a": "",
        "best": "",
    },
    indirect={
        "a": "exports.Dept. exports.Flags",
        "b": "exports.Dept. exports.Flags",
        "c": "exports.Dept. exports.Flags",
        "share_a": "exports.Dept. exports.Flags",
        "best": "exports.Dept. exports.Flags",
        "dept": "exports.Flags",
    },
    exports=exports,
)
def flags_by_department(exports):
    exploded = exports[["Dept.", "Flags"]].assign(flag=lambda d: d["Flags"].str.split("|"))
    exploded = exploded.explode("flag").rename(columns={"Dept.": "dept"})
    counts = pd.crosstab(exploded["dept"], exploded["flag"])
    table = counts.reindex(columns=list("abc"), fill_value=0)
    table["share_a"] = table["a"] / table.sum(axis=1)
    table["best"] = table[["a", "b", "c"]].idxmax(axis=1)
    return table.reset_index().rename_axis(None, axis=1)


@case(
    direct={
        "student": "marks.student",
        "course": "marks.course",
        "exam": "marks.points marks.bonus",
        "project": "marks.points marks.bonus",
        "final": "marks.points marks.bonus",
        "grade": "",
    },
    indirect={
        "exam": "marks.student marks.course marks.kind",
        "project": "marks.student marks.course marks.kind",
        "final": "marks.student marks.course marks.kind",
        "grade": "marks.student marks.course marks.kind marks.points marks.bonus",
    },
    marks=marks,
)
def final_grades(marks):
    def letter(score):
        for limit, name in ((75, "A"), (50, "B"), (30, "C")):
            if score >= limit:
                return name
        return "F"

    df = marks.assign(points=lambda d: (d["points"] + d["bonus"]).clip(upper=100))
    wide = df.pivot_table(
        index=["student", "course"], columns="kind", values="points", aggfunc="mean"
    )
    wide["final"] = sum(wide[kind].fillna(0) * weight for kind, weight in WEIGHTS.items())
    wide["grade"] = wide["final"].apply(letter)
    wide = wide.reset_index()
    return wide[["student", "course", "exam", "project", "final", "grade"]]


@case(
    direct={
        "name": "staff.name",
        "initials": "staff.name",
        "boss_name": "staff.name staff.boss",
        "reports": "staff.id",
        "gap": "staff.salary",
    },
    indirect={
        "*": "staff.boss staff.id",
    },
    staff=staff,
)
def bosses(staff):
    names = {row["id"]: row["name"] for _, row in staff.iterrows()}
    reports = defaultdict(list)
    for person, boss in zip(staff["id"], staff["boss"], strict=True):
        reports[boss].append(person)
    df = staff[["id", "name", "boss", "salary"]].merge(
        staff[["id", "salary"]], left_on="boss", right_on="id", suffixes=("", "_boss")
    )
    df["boss_name"] = [names[b].upper() for b in df["boss"]]
    df["reports"] = [len(reports.get(i, [])) for i in df["id"]]
    df["gap"] = df["salary_boss"].sub(df["salary"])
    df["initials"] = df["name"].apply(lambda n: "".join(part[0] for part in n.split()))
    return df[["name", "initials", "boss_name", "reports", "gap"]]


@case(
    direct={
        "person": "moves.person",
        "team": "moves.team",
        "valid_from": "moves.from_day",
        "valid_to": "moves.from_day",
        "days": "moves.from_day",
        "current": "moves.from_day",
        "salary": "staff.salary",
    },
    indirect={"*": "moves.person moves.from_day moves.team staff.id"},
    moves=moves,
    staff=staff,
)
def team_history(moves, staff):
    df = moves.sort_values(["person", "from_day"], ignore_index=True)
    same = df["team"].eq(df.groupby("person")["team"].shift())
    df = df[~same].rename(columns={"from_day": "valid_from"})
    df["valid_to"] = df.groupby("person")["valid_from"].shift(-1)
    df["current"] = df["valid_to"].isna()
    df["valid_to"] = df["valid_to"].fillna(NOW)
    df["days"] = (df["valid_to"] - df["valid_from"]).dt.days
    df = df.merge(staff[["id", "salary"]], left_on="person", right_on="id", how="left")
    del df["id"]
    return df


@case(
    direct={
        "team": "staff.team",
        "people": "",
        "payroll": "staff.salary",
        "share": "staff.salary",
        "oldest": "staff.name",
        "seniors": "staff.salary",
    },
    indirect={
        "*": "staff.team staff.salary",
        "oldest": "staff.hired",
        "seniors": "staff.level",
    },
    staff=staff,
)
def team_overview(staff, minimum=40_000):
    paid = staff.loc[staff["salary"].notna() & (staff["salary"] >= minimum)]
    paid = paid.assign(level=pd.Categorical(paid["level"], categories=LEVELS, ordered=True))
    rows = []
    for team in sorted(paid["team"].unique()):
        group = paid[paid["team"] == team]
        oldest = group.loc[group["hired"].idxmin(), "name"]
        seniors = group.loc[group["level"] >= "mid", "salary"].sum()
        rows.append(
            {
                "team": team,
                "people": len(group),
                "payroll": group["salary"].sum(),
                "oldest": oldest,
                "seniors": seniors,
            }
        )
    table = pd.DataFrame(rows)
    table["share"] = table["payroll"] / table["payroll"].sum()
    table["share"] = table["share"].map(lambda s: f"{s:.1%}")
    return table[table["people"] > 1]


@case(
    direct={
        "student": "marks.student",
        "math": "marks.points",
        "math_rank": "marks.points",
        "bio": "marks.points",
        "bio_rank": "marks.points",
        "both": "marks.points",
    },
    indirect={
        "*": "marks.student marks.course",
    },
    marks=marks,
)
def course_ranks(marks):
    frames = []
    for course in ("math", "bio"):
        one = (
            marks[marks["course"] == course]
            .groupby("student", as_index=False)["points"]
            .max()
            .rename(columns={"points": course})
        )
        one[f"{course}_rank"] = one[course].rank(ascending=False, method="min")
        frames.append(one)
    table = reduce(lambda left, right: left.merge(right, on="student", how="outer"), frames)
    both = [c for c in table.columns if c.endswith("_rank")]
    table["both"] = table[both].sum(axis=1, min_count=2)
    return table


@case(
    direct={
        "id": "staff.id",
        "first": "staff.name",
        "last": "staff.name",
        "login": "staff.name staff.id",
        "raise_": "staff.salary",
        "after": "staff.salary",
    },
    indirect={
        "*": "staff.hired",
        "raise_": "staff.team staff.level",
        "after": "staff.team staff.level staff.salary",
    },
    staff=staff,
)
def raises(staff):
    df = staff.set_index("id")
    df = df[df["hired"] < NOW - pd.DateOffset(years=1)].copy()
    df[["first", "last"]] = df["name"].str.split(" ", n=1, expand=True)
    df["login"] = df["first"].str[0].str.lower() + df["last"].str.lower() + df.index.astype(str)
    rate = np.where(df["level"] == "junior", 0.05, 0.02)
    df["raise_"] = df["salary"] * rate
    df.loc[df["team"].isin(["ops", "art"]), "raise_"] = 500.0
    df["after"] = df["salary"] + df["raise_"]
    df["after"] = df["after"].where(df["after"].notna(), other=0)
    return df[["first", "last", "login", "raise_", "after"]]


@case(
    direct={
        "dept": "exports.Dept.",
        "total": "exports.Amount",
        "refunds": "exports.Amount",
        "largest": "exports.Amount",
        "of_all": "exports.Amount",
        "weekdays": "exports.Date",
    },
    indirect={
        "*": "exports.Amount",
        "total": "exports.Dept.",
        "refunds": "exports.Dept.",
        "largest": "exports.Dept.",
        "of_all": "exports.Dept.",
        "weekdays": "exports.Dept. exports.Date",
    },
    exports=exports,
)
def department_totals(exports):
    df = pd.DataFrame(
        {
            "dept": [ALIASES.get(d.strip().lower(), "rest") for d in exports["Dept."]],
            "amount": exports["Amount"].apply(clean_amount, missing=0.0),
            "date": exports["Date"],
        }
    )
    df = df[df["amount"] != 0]
    is_iso = df["date"].str.contains("-", regex=False)
    df["weekday"] = pd.to_datetime(df["date"].where(is_iso)).dt.day_of_week
    totals: dict[str, dict] = {}
    for dept, part in df.groupby("dept"):
        amounts = part["amount"].to_numpy()
        totals[dept] = {
            "total": amounts.sum(),
            "refunds": -amounts[amounts < 0].sum(),
            "largest": max(amounts),
            "weekdays": part["weekday"].nunique(),
        }
    table = pd.DataFrame.from_dict(totals, orient="index").rename_axis("dept").reset_index()
    return table.assign(of_all=lambda t: t["total"] / t["total"].sum())
