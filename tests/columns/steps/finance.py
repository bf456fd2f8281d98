"""Finance: trades, loans, ledgers and budgets, in many steps."""

from __future__ import annotations

from collections import defaultdict
from functools import reduce

import numpy as np
import pandas as pd

from tests.columns.cases import case

START = pd.Timestamp("2024-01-01")
CURRENCIES = ["EUR", "GBP", "CHF", "SEK"]
TAX = 0.19


def trades(rng: np.random.Generator) -> pd.DataFrame:
    rows = 60
    return pd.DataFrame(
        {
            "trade": rng.permutation(rows) + 100,
            "ticker": rng.choice(["AAA", "BBB", "CCC"], rows, p=[0.5, 0.48, 0.02]),
            "side": rng.choice(["buy", "sell"], rows),
            "qty": rng.integers(1, 50, rows),
            "price": rng.uniform(10, 90, rows).round(2),
            "fee": rng.uniform(0, 2, rows).round(3),
            "currency": rng.choice(CURRENCIES, rows),
            "at": START + pd.to_timedelta(np.cumsum(rng.integers(20, 900, rows)), unit="min"),
        }
    )


def rates(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "code": rng.permutation(CURRENCIES),
            "rate": rng.uniform(0.5, 2, 4).round(3),
            "spread": rng.uniform(0, 0.1, 4).round(4),
        }
    )


def quotes(rng: np.random.Generator) -> pd.DataFrame:
    rows = 80
    return pd.DataFrame(
        {
            "ticker": rng.choice(["AAA", "BBB", "CCC"], rows),
            "when": START + pd.to_timedelta(np.cumsum(rng.integers(20, 600, rows)), unit="min"),
            "bid": rng.uniform(10, 90, rows).round(2),
            "ask": rng.uniform(10, 90, rows).round(2),
        }
    )


def ledger(rng: np.random.Generator) -> pd.DataFrame:
    rows = 50
    return pd.DataFrame(
        {
            "account": rng.choice(["cash", "bank", "card"], rows),
            "day": START + pd.to_timedelta(rng.permutation(400)[:rows], unit="D"),
            "debit": np.where(rng.random(rows) < 0.3, np.nan, rng.uniform(0, 90, rows).round(2)),
            "credit": np.where(rng.random(rows) < 0.3, np.nan, rng.uniform(0, 90, rows).round(2)),
            "memo": [
                f"{rng.choice(['rent', 'food', 'fuel'])}/{n}" for n in rng.integers(1, 9, rows)
            ],
        }
    )


def loans(rng: np.random.Generator) -> pd.DataFrame:
    rows = 30
    return pd.DataFrame(
        {
            "loan": rng.permutation(rows),
            "amount": rng.integers(10, 90, rows) * 100.0,
            "apr": rng.uniform(2, 12, rows).round(2),
            "months": rng.choice([12, 24, 36], rows),
            "income": rng.uniform(1000, 4000, rows).round(0),
            "score": rng.integers(300, 850, rows),
        }
    )


def budgets(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "account": rng.permutation(["cash", "bank", "card"]),
            "q1": rng.uniform(100, 900, 3).round(0),
            "q2": rng.uniform(100, 900, 3).round(0),
        }
    )


def signed(frame: pd.DataFrame, column: str = "qty") -> pd.Series:
    return frame[column] * np.where(frame["side"] == "buy", 1, -1)


class Converter:
    """Knows the rates, and turns amounts into euros."""

    def __init__(self, table: pd.DataFrame, margin: float = 0.0) -> None:
        self.rates = dict(zip(table["code"], table["rate"], strict=True))
        self.margin = margin

    def convert(self, amounts: pd.Series, codes: pd.Series) -> pd.Series:
        return amounts * codes.map(self.rates) * (1 - self.margin)


@case(
    direct={
        "trade": "trades.trade",
        "ticker": "trades.ticker",
        "gross_eur": "trades.qty trades.price trades.currency rates.rate",
        "net_eur": "trades.qty trades.price trades.fee trades.currency rates.rate",
        "share": "trades.qty trades.price trades.fee trades.currency rates.rate",
    },
    indirect={
        "*": "trades.qty trades.price trades.currency rates.rate rates.code",
        "net_eur": "trades.side",
        "share": "trades.side trades.ticker",
    },
    trades=trades,
    rates=rates,
)
def net_in_euros(trades, rates):
    desk = Converter(rates, margin=0.01)
    out = trades[["trade", "ticker", "side", "currency"]].copy()
    out["gross_eur"] = desk.convert(trades["qty"] * trades["price"], trades["currency"])
    out["net_eur"] = np.where(
        out["side"] == "sell", out["gross_eur"] - trades["fee"], -out["gross_eur"] - trades["fee"]
    )
    floor = out["gross_eur"].quantile(0.25)
    out = out.loc[out["gross_eur"] >= floor]
    out = out.assign(
        share=lambda d: d["net_eur"] / d.groupby("ticker")["net_eur"].transform("sum") * 100
    )
    return out.drop(columns=["side", "currency"]).reset_index(drop=True)


@case(
    direct={
        "ticker": "trades.ticker",
        "at": "trades.at",
        "position": "trades.qty",
        "cost": "trades.qty trades.price",
        "average": "trades.qty trades.price",
    },
    indirect={
        "*": "trades.ticker trades.at",
        "position": "trades.side",
        "cost": "trades.side",
        "average": "trades.side",
    },
    trades=trades,
)
def positions(trades):
    book = trades.sort_values(["ticker", "at"]).copy()
    book["signed"] = signed(book)
    book["flow"] = book["signed"] * book["price"]
    by = book.groupby("ticker")
    book["position"] = by["signed"].cumsum()
    book["cost"] = by["flow"].cumsum()
    held = book["position"].replace(0, np.nan)
    book["average"] = (book["cost"] / held).round(4)
    return book[["ticker", "at", "position", "cost", "average"]].reset_index(drop=True)


@case(
    direct={
        "trade": "trades.trade",
        "at": "trades.at",
        "mid": "quotes.bid quotes.ask",
        "slip": "trades.price quotes.bid quotes.ask",
        "bps": "trades.price quotes.bid quotes.ask",
    },
    indirect={
        "*": "trades.at trades.ticker quotes.when quotes.ticker quotes.bid quotes.ask",
        "slip": "trades.side",
        "bps": "trades.side",
    },
    trades=trades,
    quotes=quotes,
)
def slippage(trades, quotes):
    quotes = quotes.sort_values("when").rename(columns={"when": "at"})
    quotes["mid"] = (quotes.pop("bid") + quotes.pop("ask")) / 2
    both = pd.merge_asof(trades.sort_values("at"), quotes, on="at", by="ticker")
    both = both.dropna(subset=["mid"])
    sign = {"buy": 1, "sell": -1}
    both["slip"] = [
        (row.price - row.mid) if sign[row.side] > 0 else (row.mid - row.price)
        for row in both.itertuples()
    ]
    both["bps"] = both["slip"].div(both["mid"]).mul(10_000).round(1)
    return both[["trade", "at", "mid", "slip", "bps"]]


@case(
    direct={
        "account": "ledger.account",
        "day": "ledger.day",
        "change": "ledger.debit ledger.credit",
        "balance": "ledger.debit ledger.credit",
        "low": "ledger.debit ledger.credit",
        "overdrawn": "ledger.debit ledger.credit",
    },
    indirect={
        "*": "ledger.day",
        "balance": "ledger.account",
        "low": "ledger.account",
        "overdrawn": "ledger.account",
    },
    ledger=ledger,
)
def running_balance(ledger):
    rows = ledger.sort_values("day", ignore_index=True)
    rows["change"] = rows["credit"].fillna(0) - rows["debit"].fillna(0)
    balances = defaultdict(float)
    lows = defaultdict(list)
    running, lowest = [], []
    for row in rows.itertuples(index=False):
        balances[row.account] += row.change
        lows[row.account].append(balances[row.account])
        running.append(balances[row.account])
        lowest.append(min(lows[row.account]))
    rows["balance"], rows["low"] = running, lowest
    rows["overdrawn"] = rows["balance"] < -20
    return rows.drop(columns=["debit", "credit", "memo"])


@case(
    direct={
        "loan": "loans.loan",
        "payment": "loans.amount loans.apr loans.months",
        "burden": "loans.amount loans.apr loans.months loans.income",
    },
    indirect={
        "*": "loans.amount loans.apr loans.months loans.income",
        "grade": "loans.score",
        "price": "loans.score",
    },
    loans=loans,
)
def loan_grades(loans):
    def payment(amount, apr, months=12):
        rate = apr / 1200
        return amount * rate / (1 - (1 + rate) ** -months)

    df = loans.copy()
    df["payment"] = [
        round(payment(a, r, n), 2)
        for a, r, n in zip(df["amount"], df["apr"], df["months"], strict=True)
    ]
    df["burden"] = df["payment"] / df["income"]
    limit = df["burden"].mean() + df["burden"].std()
    conditions = [
        (df["burden"] < 0.1) & (df["score"] > 700),
        (df["burden"] < limit) & (df["score"] > 550),
    ]
    df["grade"] = np.select(conditions, ["A", "B"], default="C")
    df["price"] = df["grade"].map({"A": 0.02, "B": 0.05}).fillna(0.09)
    df = df.query(f"burden < {limit * 2}")
    return df.sort_values("burden", ascending=False)[
        ["loan", "payment", "burden", "grade", "price"]
    ]


@case(
    direct={
        "account": "budgets.account",
        "quarter": "",
        "budget": "budgets.q1 budgets.q2",
        "spent": "ledger.debit",
        "gap": "budgets.q1 budgets.q2 ledger.debit",
        "used": "budgets.q1 budgets.q2 ledger.debit",
    },
    indirect={"*": "budgets.account ledger.account ledger.day ledger.debit budgets.q1 budgets.q2"},
    budgets=budgets,
    ledger=ledger,
)
def budget_against_spending(budgets, ledger):
    plan = budgets.melt(id_vars="account", var_name="quarter", value_name="budget")
    spent = (
        ledger.assign(quarter=lambda d: "q" + d["day"].dt.quarter.astype(str))
        .groupby(["account", "quarter"], as_index=False)
        .agg(spent=("debit", "sum"))
    )
    out = plan.merge(spent, how="left", on=["account", "quarter"])
    out["spent"] = out["spent"].fillna(0.0)
    out["gap"] = out["budget"] - out["spent"]
    out["used"] = (100 * out["spent"] / out["budget"]).clip(upper=150)
    return out.sort_values("gap").reset_index(drop=True)


@case(
    direct={
        "ticker": "quotes.ticker",
        "when": "quotes.when",
        "mid": "quotes.bid quotes.ask",
        "ret": "quotes.bid quotes.ask",
        "vol": "quotes.bid quotes.ask",
        "z": "quotes.bid quotes.ask",
    },
    indirect={"*": "quotes.ticker quotes.when quotes.bid quotes.ask"},
    quotes=quotes,
)
def volatility_by_ticker(quotes):
    df = quotes.sort_values(["ticker", "when"]).reset_index(drop=True)
    df["mid"] = df[["bid", "ask"]].mean(axis=1)
    df["ret"] = df.groupby("ticker")["mid"].transform(lambda s: np.log(s).diff())
    df["vol"] = (
        df.groupby("ticker")["ret"].rolling(5, min_periods=3).std().reset_index(level=0, drop=True)
    )
    df["z"] = df["ret"] / df["vol"]
    lower, upper = df["ret"].quantile([0.05, 0.95])
    keep = df["ret"].between(lower, upper) & df["vol"].notna()
    return df.loc[keep, ["ticker", "when", "mid", "ret", "vol", "z"]]


@case(
    direct={
        "month": "ledger.day",
        "bank_in": "ledger.credit",
        "card_in": "ledger.credit",
        "bank_out": "ledger.debit",
        "card_out": "ledger.debit",
        "tax": "ledger.credit",
    },
    indirect={
        "*": "ledger.day",
        "bank_in": "ledger.account",
        "card_in": "ledger.account",
        "bank_out": "ledger.account",
        "card_out": "ledger.account",
        "tax": "ledger.account",
    },
    ledger=ledger,
)
def monthly_flows(ledger):
    ledger = ledger.assign(month=ledger["day"].dt.strftime("%Y-%m"))
    parts = []
    for account, short in [("bank", "bank"), ("card", "card")]:
        part = ledger[ledger["account"] == account].groupby("month")[["credit", "debit"]].sum()
        part.columns = [f"{short}_in", f"{short}_out"]
        parts.append(part.reset_index())
    months = pd.DataFrame({"month": sorted(ledger["month"].unique())})
    table = reduce(lambda a, b: a.merge(b, on="month", how="left"), parts, months)
    table = table.fillna({c: 0.0 for c in table.columns if c != "month"})
    table["tax"] = (table["bank_in"] + table["card_in"]) * TAX
    return table


@case(
    direct={
        "ticker": "trades.ticker",
        "n": "",
        "vwap": "trades.price trades.qty",
        "last": "trades.price",
        "fees": "trades.fee trades.currency rates.rate",
        "gap": "trades.price trades.qty",
    },
    indirect={
        "*": "trades.at",
        "n": "trades.ticker",
        "vwap": "trades.ticker",
        "last": "trades.ticker",
        "fees": "trades.ticker rates.code",
        "gap": "trades.ticker",
    },
    trades=trades,
    rates=rates,
)
def vwap_by_ticker(trades, rates):
    lookup = rates.set_index("code")["rate"].to_dict()
    rows = []
    for ticker, group in trades.sort_values("at").groupby("ticker"):
        fees = sum(
            fee * lookup.get(code, 1.0)
            for fee, code in zip(group["fee"], group["currency"], strict=True)
        )
        rows.append(
            {
                "ticker": ticker,
                "n": len(group),
                "vwap": np.average(group["price"], weights=group["qty"]),
                "last": group["price"].iloc[-1],
                "fees": fees,
            }
        )
    out = pd.DataFrame(rows)
    out["gap"] = out["last"] - out["vwap"]
    return out


@case(
    direct={
        "loan": "loans.loan",
        "month": "",
        "interest": "loans.amount loans.apr loans.months",
        "left": "loans.amount loans.months",
    },
    indirect={"*": "loans.score loans.months"},
    loans=loans,
)
def repayment_schedule(loans):
    best = loans.nlargest(4, "score")
    lines = []
    for _, row in best.iterrows():
        left, month = row["amount"], 0
        step = row["amount"] / row["months"]
        while month < row["months"]:
            month += 1
            interest = left * row["apr"] / 1200
            left -= step
            lines.append((int(row["loan"]), month, round(interest, 2), round(left, 2)))
    schedule = pd.DataFrame(lines, columns=["loan", "month", "interest", "left"])
    return schedule[schedule["month"] % 6 == 0]
