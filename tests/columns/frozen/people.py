"""Staff, patients and answers to surveys."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.columns.cases import case
from tests.columns.frozen.makers import days, pick, shuffled

DEPTS = ["it", "hr", "ops"]
LIKERT = ["disagree", "neutral", "agree"]


def staff(rng):
    n = 60
    return pd.DataFrame(
        {
            "emp_id": rng.permutation(n) + 1,
            "name": [f"Person {number}" for number in rng.permutation(n)],
            "dept": pick(rng, DEPTS, n, 8),
            "manager_id": rng.integers(1, 75, n),
            "hired": days(rng, "2012-01-01", 3600, n),
            "gone": pd.Series(days(rng, "2022-01-01", 900, n)).where(rng.random(n) < 0.4),
            "salary": rng.uniform(30000, 90000, n).round(0),
            "rating": rng.integers(1, 6, n),
        }
    )


def absences(rng):
    n = 90
    return pd.DataFrame(
        {
            "emp_id": rng.integers(1, 60, n),
            "kind": pick(rng, ["sick", "holiday"], n, 20),
            "days": rng.integers(1, 15, n),
        }
    )


def raises(rng):
    n = 30
    return pd.DataFrame(
        {"emp_id": rng.permutation(60)[:n] + 1, "salary": rng.uniform(40000, 99000, n).round(0)}
    )


def patients(rng):
    n = 40
    return pd.DataFrame(
        {
            "patient": [f"P{number:02}" for number in rng.permutation(n)],
            "sex": pick(rng, ["f", "m"], n, 8),
            "born": days(rng, "1940-01-01", 22000, n),
            "weight": rng.uniform(45, 120, n).round(1),
            "height": rng.uniform(1.5, 2.0, n).round(2),
        }
    )


def checkups(rng):
    n = 100
    return pd.DataFrame(
        {
            "patient": [f"P{number:02}" for number in rng.integers(0, 44, n)],
            "seen_on": pd.Timestamp("2023-01-01")
            + pd.to_timedelta(rng.choice(400, n, replace=False), unit="D"),
            "sbp": rng.normal(130, 20, n).round(),
            "dbp": rng.normal(82, 12, n).round(),
            "codes": pick(rng, ["E11", "I10", "E11|I10", "J45", "I10|J45"], n, 6),
        }
    )


def stays(rng):
    n = 70
    admitted = days(rng, "2024-01-01", 60, n)
    return pd.DataFrame(
        {
            "stay": rng.permutation(n),
            "ward": pick(rng, ["A", "B", "C"], n, 8),
            "admitted": admitted,
            "discharged": admitted + pd.to_timedelta(rng.integers(1, 21, n), unit="D"),
            "cost": rng.uniform(200, 9000, n).round(2),
        }
    )


def survey(rng):
    n = 90
    return pd.DataFrame(
        {
            "respondent": rng.permutation(n),
            "age": rng.integers(18, 80, n),
            "region": pick(rng, ["north", "south", "west"], n, 10),
            "weight": rng.uniform(0.4, 2.5, n),
            "q1": pick(rng, LIKERT, n),
            "q2": pick(rng, LIKERT, n),
            "q3": pick(rng, LIKERT, n),
            "tools": pick(rng, ["excel;sql", "python", "sql;python", "excel"], n, 8),
        }
    )


def census(rng):
    return pd.DataFrame(
        {
            "region": shuffled(rng, ["north", "south", "west"]),
            "share": rng.dirichlet([4, 4, 4]),
        }
    )


@case(
    direct={
        "emp_id": "staff.emp_id",
        "name": "staff.name",
        "dept": "staff.dept",
        "name_manager": "staff.name",
        "ratio": "staff.salary",
    },
    indirect={"*": "staff.manager_id staff.emp_id"},
    staff=staff,
)
def with_managers(staff):
    bosses = staff[["emp_id", "name", "salary"]]
    m = staff.merge(
        bosses,
        left_on="manager_id",
        right_on="emp_id",
        how="left",
        suffixes=("", "_manager"),
    )
    m["ratio"] = m["salary"] / m["salary_manager"]
    return m[["emp_id", "name", "dept", "name_manager", "ratio"]]


@case(
    direct={
        "emp_id": "staff.emp_id",
        "band": "staff.salary",
        "new_salary": "staff.salary",
    },
    indirect={
        "band": "staff.dept",
        "raise": "staff.rating staff.salary staff.dept",
        "new_salary": "staff.rating staff.salary staff.dept",
    },
    staff=staff,
)
def pay_review(staff):
    ratio = staff["salary"] / staff.groupby("dept")["salary"].transform("median")
    out = staff.assign(
        band=pd.cut(ratio, [0, 0.8, 1.2, 9], labels=["low", "mid", "high"]).astype(str),
        **{
            "raise": np.select(
                [(staff["rating"] >= 4) & (ratio < 1), staff["rating"] >= 4],
                [0.06, 0.04],
                default=0.02,
            )
        },
    )
    out["new_salary"] = out.eval("salary * (1 + `raise`)").round(2)
    return out[["emp_id", "band", "raise", "new_salary"]]


@case(
    direct={"dept": "staff.dept", "holiday": "absences.days", "sick": "absences.days"},
    indirect={
        "*": "staff.emp_id absences.emp_id",
        "holiday": "absences.kind staff.dept",
        "sick": "absences.kind staff.dept",
    },
    staff=staff,
    absences=absences,
)
def days_away(staff, absences):
    away = absences.pivot_table(index="emp_id", columns="kind", values="days", aggfunc="sum")
    away.columns = list(away.columns)
    everyone = staff.set_index("emp_id").join(away).fillna({"sick": 0, "holiday": 0})
    return everyone.groupby("dept")[["holiday", "sick"]].mean().reset_index()


@case(
    direct={
        "tenure": "staff.hired staff.gone",
        "left_share": "staff.gone",
        "pay": "staff.salary",
    },
    indirect={
        "people": "staff.hired staff.gone",
        "left_share": "staff.hired staff.gone",
        "pay": "staff.hired staff.gone",
    },
    staff=staff,
)
def turnover(staff):
    today = staff["gone"].max()
    years = (staff["gone"].fillna(today) - staff["hired"]).dt.days / 365.25
    staff["tenure"] = pd.cut(years, range(-1, 16))
    staff["left"] = staff["gone"].notna()
    return staff.groupby("tenure", observed=True).agg(
        people=("emp_id", "size"), left_share=("left", "mean"), pay=("salary", "median")
    )


@case(
    direct={
        "name": "staff.name",
        "dept": "staff.dept",
        "salary": "staff.salary",
        "place": "staff.salary",
        "pct": "staff.salary",
    },
    indirect={"*": "staff.dept staff.salary staff.gone", "label": "staff.salary"},
    staff=staff,
)
def best_paid(staff):
    here = staff.loc[staff["gone"].isna(), ["name", "dept", "salary"]].copy()
    groups = here.groupby("dept")["salary"]
    here["place"] = groups.rank(ascending=False, method="min")
    here["pct"] = here["salary"].rank(pct=True)
    here.insert(0, "label", "normal")
    here.loc[here["pct"] > 0.9, "label"] = "top tenth"
    return here[here["place"] <= 3].sort_values(["dept", "place"], ignore_index=True)


@case(
    direct={
        "patient": "patients.patient",
        "sex": "patients.sex",
        "seen_on": "checkups.seen_on",
        "age": "patients.born checkups.seen_on",
        "bmi": "patients.weight patients.height",
        "high": "checkups.sbp checkups.dbp",
    },
    indirect={
        "*": "checkups.seen_on checkups.patient patients.patient",
        "bmi_class": "patients.weight patients.height",
    },
    patients=patients,
    checkups=checkups,
)
def latest_checkup(patients, checkups):
    latest = checkups.sort_values("seen_on").drop_duplicates("patient", keep="last")
    m = patients.merge(latest, on="patient", how="left")
    m["age"] = (m["seen_on"] - m["born"]).dt.days // 365.25
    m["bmi"] = m["weight"] / m["height"] ** 2
    m["bmi_class"] = np.select([m["bmi"] < 18.5, m["bmi"] < 25], ["under", "normal"], "over")
    m["high"] = (m["sbp"] > 140) | (m["dbp"] > 90)
    return m[["patient", "sex", "seen_on", "age", "bmi", "bmi_class", "high"]]


@case(
    direct={
        "patient": "checkups.patient",
        "E11": "checkups.codes",
        "I10": "checkups.codes",
        "J45": "checkups.codes",
        "burden": "checkups.codes",
    },
    indirect=dict.fromkeys(["E11", "I10", "J45", "burden"], "checkups.patient"),
    checkups=checkups,
)
def comorbidity(checkups):
    points = {"E11": 2, "I10": 1, "J45": 1}
    flags = checkups["codes"].str.get_dummies("|")
    per_patient = flags.groupby(checkups["patient"]).max()
    per_patient["burden"] = sum(per_patient[code] * weight for code, weight in points.items())
    return per_patient.reset_index()


@case(
    direct={"day": "stays.admitted", "beds": "stays.admitted stays.discharged"},
    indirect={"*": "stays.ward"},
    stays=stays,
)
def beds_in_use(stays):
    ward = stays[stays["ward"].isin(["A", "B"])]
    census = [
        {"day": day, "beds": int(((ward["admitted"] <= day) & (ward["discharged"] > day)).sum())}
        for day in pd.date_range(ward["admitted"].min(), periods=40)
    ]
    return pd.DataFrame(census)


@case(
    direct={
        "ward": "stays.ward",
        "nights": "stays.admitted stays.discharged",
        "cost": "stays.cost",
        "stay": "stays.stay",
    },
    indirect={"*": "stays.ward stays.admitted stays.discharged"},
    stays=stays,
)
def longest_stays(stays):
    nights = (stays["discharged"] - stays["admitted"]).dt.days
    stays = stays.assign(nights=nights)
    longest = stays.loc[stays.groupby("ward")["nights"].idxmax()]
    return longest[["ward", "nights", "cost", "stay"]].set_index("ward")


@case(
    direct={"region": "survey.region", "score": "survey.q1 survey.q2 survey.q3 survey.weight"},
    indirect={"people": "survey.region", "score": "survey.region"},
    survey=survey,
)
def satisfaction(survey):
    scale = {"disagree": 1, "neutral": 2, "agree": 3}
    questions = [name for name in survey.columns if name.startswith("q")]
    answers = survey[questions].copy()
    for question in questions:
        answers[question] = answers[question].map(scale)
    answers["q3"] = 4 - answers["q3"]
    survey["score"] = answers.mean(axis=1)
    by_region = survey.groupby("region")
    score = by_region[["score", "weight"]].apply(
        lambda g: np.average(g["score"], weights=g["weight"])
    )
    return pd.DataFrame({"people": by_region.size(), "score": score})


@case(
    direct={
        "respondent": "survey.respondent",
        "w": "survey.region census.share",
        "agrees": "survey.q1 survey.region census.share",
    },
    indirect={
        "w": "survey.region census.region",
        "agrees": "survey.region census.region",
    },
    survey=survey,
    census=census,
)
def reweighted(survey, census):
    seen = survey["region"].value_counts(normalize=True)
    target = census.set_index("region")["share"]
    survey["w"] = survey["region"].map(target) / survey["region"].map(seen)
    survey["agrees"] = survey["q1"].eq("agree") * survey["w"]
    return survey.loc[:, ["respondent", "w", "agrees"]]


@case(
    direct={"cohort": "survey.age"},
    indirect={
        "*": "survey.tools",
        "excel": "survey.age",
        "python": "survey.age",
        "sql": "survey.age",
    },
    survey=survey,
)
def tools_by_age(survey):
    long = (
        survey.assign(
            tool=survey["tools"].str.split(";"),
            cohort=pd.cut(survey["age"], range(15, 90, 5)),
        )
        .explode("tool")
        .astype({"cohort": str})
    )
    return pd.crosstab(long["cohort"], long["tool"])


@case(
    direct={
        "emp_id": "staff.emp_id",
        "salary": "staff.salary raises.salary",
        "change": "staff.salary raises.salary",
        "code": "staff.dept staff.name",
    },
    indirect={"*": "staff.emp_id raises.emp_id"},
    staff=staff,
    raises=raises,
)
def with_raises(staff, raises):
    def initials(row):
        return f"{row['dept'].upper()}-{row['name'].split()[-1]}"

    m = staff.merge(raises, on="emp_id", how="left", suffixes=("_old", ""))
    m["salary"] = m["salary"].fillna(m["salary_old"])
    m["change"] = (m["salary"] - m["salary_old"]).round(2)
    m["code"] = m.apply(initials, axis=1)
    return m[["emp_id", "salary", "change", "code"]]


@case(
    direct={
        "respondent": "survey.respondent",
        "answer": "survey.q1 survey.q2 survey.q3",
    },
    indirect={"*": "survey.age", "n": "survey.respondent"},
    survey=survey,
)
def answers_long(survey):
    adults = survey.query("30 <= age < 65").reset_index(drop=True)
    long = (
        adults.set_index("respondent")[["q1", "q2", "q3"]]
        .rename_axis(columns="question")
        .stack(future_stack=True)
        .rename("answer")
        .reset_index()
    )
    long["n"] = long.groupby("respondent").cumcount() + 1
    return long
