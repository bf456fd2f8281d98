"""Records as they come from forms, sheets and exports, being put in order."""

from __future__ import annotations

import warnings

import pandas as pd

from tests.columns.cases import case
from tests.columns.frozen.makers import days, pick

FIRST = ["Ann", "Ben", "Cid", "Dora", "Eve", "Finn"]
LAST = ["Adler", "Busch", "Conrad", "Diehl", "Ernst"]


def contacts(rng):
    n = 60
    return pd.DataFrame(
        {
            "name": [
                f"{last}, {first}"
                for last, first in zip(pick(rng, LAST, n), pick(rng, FIRST, n), strict=True)
            ],
            "phone": [f"+49-{area}-{rng.integers(1000, 9999)}" for area in pick(rng, [30, 40], n)],
            "email": [
                f" User{number}@Example.org" if number % 2 else f"user{number}@example.org "
                for number in rng.integers(0, 45, n)
            ],
            "joined": days(rng, "2020-01-01", 1400, n).strftime("%d.%m.%Y"),
        }
    )


def tables(rng):
    n = 80
    return pd.DataFrame(
        {
            "shop": pick(rng, ["Alt", "Neu", "Ost"], n, 10),
            "guests": rng.integers(1, 9, n),
            "amount": rng.uniform(8, 190, n).round(2),
            "tip": rng.uniform(0, 20, n).round(2),
        }
    )


def catalogue(rng):
    n = 30
    return pd.DataFrame(
        {
            "item": [f"I{number:02}" for number in rng.permutation(36)[:n]],
            "price": rng.integers(5, 12, n) * 1.0,
            "maker": pick(rng, ["Orion", "Lyra"], n),
        }
    )


def invoices(rng):
    n = 70
    return pd.DataFrame(
        {
            "vendor": rng.integers(1, 15, n),
            "amount": rng.uniform(20, 2000, n).round(2),
            "paid": rng.random(n) < 0.6,
        }
    )


def vendors(rng):
    return pd.DataFrame(
        {
            "vendor_id": rng.permutation(16)[:12] + 1,
            "country": pick(rng, ["DE", "AT", "CH"], 12),
        }
    )


def yearly(rng):
    n = 30
    return pd.DataFrame(
        {
            "shop": [f"shop {number}" for number in rng.permutation(n)],
            "sales_2022": rng.uniform(10, 90, n),
            "sales_2023": rng.uniform(10, 90, n),
            "cost_2022": rng.uniform(5, 60, n),
            "cost_2023": rng.uniform(5, 60, n),
        }
    )


def sheet(rng):
    n = 60
    names = pick(rng, ["Budget", "Actual", "Plan"], n, 4)
    return pd.DataFrame(
        {
            "Section ": [
                name if number == 0 or rng.random() < 0.3 else None
                for number, name in enumerate(names)
            ],
            "Figure": [
                "n/a" if rng.random() < 0.15 else f"{rng.integers(1, 99)}%" for _ in range(n)
            ],
        }
    )


@case(
    direct={
        "email": "contacts.email",
        "first": "contacts.name",
        "login": "contacts.name contacts.phone",
        "joined": "contacts.joined",
        "year": "contacts.joined",
    },
    indirect={"*": "contacts.email"},
    contacts=contacts,
)
def clean_contacts(contacts):
    contacts["email"] = contacts["email"].str.strip().str.lower()
    contacts[["last", "first"]] = contacts["name"].str.split(", ", expand=True)
    area = contacts["phone"].str.split("-").str[1]
    contacts["login"] = contacts["first"].str[0] + contacts["last"].str.upper() + area
    contacts["joined"] = pd.to_datetime(contacts["joined"], format="%d.%m.%Y")
    contacts["year"] = contacts["joined"].dt.year
    return contacts.drop_duplicates(subset="email")[["email", "first", "login", "joined", "year"]]


@case(
    direct={
        "shop": "tables.shop",
        "('amount', 'sum')": "tables.amount",
        "('amount', 'mean')": "tables.amount",
        "('guests', 'max')": "tables.guests",
    },
    indirect=dict.fromkeys(
        ["('amount', 'sum')", "('amount', 'mean')", "('guests', 'max')"],
        "tables.shop tables.tip tables.amount",
    )
    | {"shop": "tables.tip tables.amount"},
    tables=tables,
)
def shop_totals(tables):
    generous = tables[tables["tip"] / tables["amount"] > 0.05]
    return generous.groupby("shop").agg({"amount": ["sum", "mean"], "guests": "max"})


@case(
    direct={
        "item": "old.item new.item",
        "price": "old.price new.price",
        "maker": "old.maker new.maker",
        "prices": "old.price new.price",
    },
    indirect={"prices": "old.item new.item"},
    old=catalogue,
    new=catalogue,
)
def price_versions(old, new):
    both = pd.concat({"old": old, "new": new}, names=["version", "line"])
    both = both.reset_index("version").reset_index(drop=True)
    both["prices"] = both.groupby("item")["price"].transform("nunique")
    return both


@case(
    direct={"country": "vendors.country", "open": "invoices.amount", "share": "invoices.amount"},
    indirect={
        "*": "invoices.paid invoices.vendor vendors.vendor_id",
        "open": "vendors.country",
        "share": "vendors.country",
    },
    invoices=invoices,
    vendors=vendors,
)
def open_by_country(invoices, vendors):
    due = invoices[~invoices["paid"]]
    joined = due.merge(vendors, left_on="vendor", right_on="vendor_id")
    table = joined.groupby("country", as_index=False)["amount"].sum()
    table = table.rename(columns={"amount": "open"})
    table["share"] = table["open"].div(table["open"].sum()).round(6)
    return table


@case(
    direct={
        "shop": "yearly.shop",
        "sales": "yearly.sales_2022 yearly.sales_2023",
        "profit": "yearly.sales_2022 yearly.sales_2023 yearly.cost_2022 yearly.cost_2023",
        "growth": "yearly.sales_2022 yearly.sales_2023",
    },
    indirect={"*": "yearly.shop"},
    yearly=yearly,
)
def shop_years(yearly):
    long = pd.wide_to_long(yearly, ["sales", "cost"], i="shop", j="year", sep="_").reset_index()
    long = long.sort_values(["shop", "year"], ignore_index=True)
    long["profit"] = long["sales"] - long.pop("cost")
    long["growth"] = long.groupby("shop")["sales"].pct_change()
    return long


@case(
    direct={"section": ["sheet.Section "], "mean": "sheet.Figure"},
    indirect={"*": "sheet.Figure", "mean": ["sheet.Section "], "lines": ["sheet.Section "]},
    sheet=sheet,
)
def figures_of_sheet(sheet):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sheet.rename(columns=lambda name: name.strip().lower(), inplace=True)
    sheet["section"] = sheet["section"].ffill()
    sheet["figure"] = pd.to_numeric(sheet["figure"].str.rstrip("%"), errors="coerce") / 100
    known = sheet.dropna(subset=["figure"])
    return known.groupby("section").agg(lines=("figure", "size"), mean=("figure", "mean"))
