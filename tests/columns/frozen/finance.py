"""Trades, prices, loans and ledgers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.columns.cases import case
from tests.columns.frozen.makers import days, holes, pick, shuffled

TICKERS = ["AAA", "BBB", "CCC", "DDD"]


def trades(rng):
    n = 120
    return pd.DataFrame(
        {
            "trade_id": rng.permutation(n) + 1000,
            "date": days(rng, "2024-01-01", 60, n),
            "ticker": pick(rng, TICKERS, n),
            "side": pick(rng, ["BUY", "SELL"], n),
            "qty": rng.integers(1, 100, n),
            "price": rng.uniform(10, 200, n).round(2),
            "fee": holes(rng, rng.uniform(0, 5, n)),
        }
    )


def instruments(rng):
    return pd.DataFrame(
        {
            "ticker": shuffled(rng, [*TICKERS, "EEE"]),
            "sector": shuffled(rng, ["energy", "tech", "health", "retail", "banks"]),
            "lot": rng.integers(1, 20, 5),
        }
    )


def prices(rng):
    dates = pd.date_range("2024-03-01", periods=40)
    grid = pd.MultiIndex.from_product([dates, TICKERS], names=["date", "ticker"])
    frame = grid.to_frame(index=False)
    frame["close"] = rng.uniform(20, 120, len(frame)).round(2)
    return frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)


def quotes(rng):
    n = 70
    return pd.DataFrame(
        {
            "date": pd.Timestamp("2023-01-02") + pd.to_timedelta(rng.permutation(n), unit="D"),
            "close": 100 + rng.normal(0, 4, n),
            "volume": rng.integers(100, 5000, n),
        }
    )


def payments(rng):
    n = 90
    return pd.DataFrame(
        {
            "account": pick(rng, ["A1", "A2", "A3", "A4"], n),
            "posted": days(rng, "2024-01-03", 150, n),
            "currency": pick(rng, ["USD", "GBP", "CHF"], n),
            "category": pick(rng, ["rent", "food", "salary", "other"], n),
            "amount": rng.normal(0, 300, n).round(2),
        }
    )


def rates(rng):
    dates = days(rng, "2023-12-20", 160, 75)
    return pd.DataFrame(
        {
            "date": dates,
            "currency": pick(rng, ["USD", "GBP", "CHF"], 75),
            "rate": rng.uniform(0.7, 1.4, 75).round(4),
        }
    )


def loans(rng):
    n = 80
    return pd.DataFrame(
        {
            "loan_id": rng.permutation(n) + 1,
            "principal": rng.uniform(1000, 50000, n).round(0),
            "rate": rng.uniform(0.01, 0.2, n).round(4),
            "term": pick(rng, [12, 24, 36, 60], n),
            "grade": pick(rng, ["A", "B", "C", "D"], n, 8),
            "status": pick(rng, ["open", "paid", "default"], n, 10),
        }
    )


def returns(rng):
    n = 60
    market = rng.normal(0, 1, n)
    return pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=n),
            "market": market,
            "aaa": market * 0.5 + rng.normal(0, 1, n),
            "bbb": market * 1.5 + rng.normal(0, 1, n),
            "ccc": rng.normal(0, 1, n),
        }
    )


def weights(rng):
    return pd.DataFrame(
        {"name": shuffled(rng, ["aaa", "bbb", "ccc"]), "weight": rng.dirichlet([2, 2, 2])}
    )


def ledger(rng):
    n = 60
    return pd.DataFrame(
        {
            "ref": rng.choice(80, n, replace=False) + 500,
            "amount": rng.integers(1, 6, n) * 10.0,
            "memo": pick(rng, ["invoice", "refund", "fee", "transfer"], n),
        }
    )


def bank(rng):
    n = 60
    return pd.DataFrame(
        {
            "ref": rng.choice(80, n, replace=False) + 500,
            "amount": rng.integers(1, 6, n) * 10.0,
            "booked": days(rng, "2024-05-01", 30, n),
        }
    )


@case(
    direct={
        "ticker": "trades.ticker",
        "position": "trades.qty",
        "last_price": "trades.price",
        "exposure": "trades.qty trades.price",
        "sector": "instruments.sector",
    },
    indirect={
        "*": "trades.ticker instruments.ticker trades.date",
        "position": "trades.side",
        "exposure": "trades.side",
    },
    trades=trades,
    instruments=instruments,
)
def open_positions(trades, instruments):
    signed = trades.sort_values("date", kind="stable").assign(
        signed=lambda d: np.where(d["side"] == "BUY", d["qty"], -d["qty"])
    )
    book = (
        signed.groupby("ticker")
        .agg(position=("signed", "sum"), last_price=("price", "last"))
        .reset_index()
    )
    book["exposure"] = book["position"] * book["last_price"]
    return book.merge(instruments[["ticker", "sector"]], on="ticker", how="left")


@case(
    direct={
        "date": "prices.date",
        "AAA": "prices.close",
        "BBB": "prices.close",
        "CCC": "prices.close",
        "DDD": "prices.close",
    },
    indirect={"*": "prices.date prices.ticker prices.close"},
    prices=prices,
)
def daily_returns(prices):
    wide = prices.pivot_table(index="date", columns="ticker", values="close").sort_index()
    return wide.pct_change(fill_method=None).dropna()


@case(
    direct={
        "date": "quotes.date",
        "close": "quotes.close",
        "equity": "quotes.close",
    },
    indirect={"*": "quotes.date", "signal": "quotes.close", "equity": "quotes.close"},
    quotes=quotes,
)
def moving_average_strategy(quotes):
    d = quotes.sort_values("date").reset_index(drop=True)
    fast = d["close"].rolling(5).mean()
    slow = d["close"].rolling(15).mean()
    d["signal"] = np.where(fast > slow, 1, -1)
    strategy = d["signal"].shift(1) * d["close"].pct_change()
    d["equity"] = (1 + strategy.fillna(0)).cumprod()
    return d[["date", "close", "signal", "equity"]]


def vwap(group):
    return (group["price"] * group["qty"]).sum() / group["qty"].sum()


@case(
    direct={
        "week": "trades.date",
        "ticker": "trades.ticker",
        "vwap": "trades.price trades.qty",
    },
    indirect={
        "vwap": "trades.date trades.ticker",
        "*": "trades.side",
    },
    trades=trades,
)
def weekly_vwap_of_buys(trades):
    buys = trades.loc[trades["side"].eq("BUY")]
    week = buys["date"].dt.to_period("W").dt.start_time.rename("week")
    return buys.groupby([week, "ticker"])[["price", "qty"]].apply(vwap).reset_index(name="vwap")


@case(
    direct={
        "account": "payments.account",
        "posted": "payments.posted",
        "currency": "payments.currency",
        "amount": "payments.amount",
        "rate": "rates.rate",
        "amount_eur": "payments.amount rates.rate",
    },
    indirect={"*": "payments.posted rates.date payments.currency rates.currency"},
    payments=payments,
    rates=rates,
)
def in_euros(payments, rates):
    left = payments.drop(columns="category").sort_values("posted", kind="stable")
    right = rates.sort_values("date", kind="stable").rename(columns={"date": "posted"})
    both = pd.merge_asof(left, right, on="posted", by="currency")
    both["amount_eur"] = (both["amount"] * both["rate"]).round(2)
    return both


@case(
    direct={
        "posted": "payments.posted",
        "food": "payments.amount",
        "other": "payments.amount",
        "rent": "payments.amount",
        "salary": "payments.amount",
        "balance": "payments.amount",
    },
    indirect={
        "food": "payments.posted payments.category",
        "other": "payments.posted payments.category",
        "rent": "payments.posted payments.category",
        "salary": "payments.posted payments.category",
        "balance": "payments.posted payments.category",
    },
    payments=payments,
)
def monthly_statement(payments):
    by_month = (
        payments.set_index("posted")
        .groupby("category")["amount"]
        .resample("MS")
        .sum()
        .unstack(level=0, fill_value=0.0)
    )
    return by_month.assign(balance=by_month.sum(axis=1).cumsum())


@case(
    direct={
        "account": "payments.account",
        "lowest": "payments.amount",
        "dips": "payments.amount",
    },
    indirect={"*": "payments.account payments.posted payments.amount"},
    payments=payments,
)
def overdrafts(payments):
    d = payments.sort_values(["account", "posted"], kind="stable")
    d["balance"] = d.groupby("account")["amount"].cumsum()
    d["overdrawn"] = d["balance"] < 0
    worst = d.groupby("account").agg(lowest=("balance", "min"), dips=("overdrawn", "sum"))
    return worst.sort_values("lowest")


@case(
    direct={
        "loan_id": "loans.loan_id",
        "interest": "loans.principal loans.rate loans.term",
        "balance": "loans.principal loans.term",
    },
    loans=loans,
)
def first_instalments(loans):
    rows = []
    for loan in loans.itertuples(index=False):
        balance = loan.principal
        for month in range(1, 4):
            interest = balance * loan.rate / 12
            balance -= loan.principal / loan.term
            rows.append(
                {
                    "loan_id": loan.loan_id,
                    "month": month,
                    "interest": interest,
                    "balance": balance,
                }
            )
    return pd.DataFrame(rows)


@case(
    direct={
        "grade": "loans.grade",
        "bad_rate": "loans.status",
        "volume": "loans.principal",
        "share": "loans.principal",
    },
    indirect={
        "*": "loans.status",
        "loans": "loans.grade",
        "bad_rate": "loans.grade",
        "volume": "loans.grade",
        "share": "loans.grade",
    },
    loans=loans,
)
def default_rates(loans):
    closed = loans[loans["status"] != "open"].copy()
    closed["bad"] = (closed["status"] == "default").astype(int)
    out = closed.groupby("grade", as_index=False).agg(
        loans=("loan_id", "size"), bad_rate=("bad", "mean"), volume=("principal", "sum")
    )
    out["share"] = out["volume"] / out["volume"].sum()
    return out


@case(
    direct={
        "aaa_alpha": "returns.aaa returns.market",
        "bbb_alpha": "returns.bbb returns.market",
        "ccc_alpha": "returns.ccc returns.market",
    },
    returns=returns,
)
def alphas(returns):
    names = [name for name in returns.columns if name not in ("day", "market")]
    betas = {name: np.polyfit(returns["market"], returns[name], 1)[0] for name in names}
    for name, beta in betas.items():
        returns[f"{name}_alpha"] = returns[name] - beta * returns["market"]
    return returns.filter(like="_alpha")


@case(
    direct={"value": "returns.aaa returns.bbb returns.ccc weights.weight"},
    indirect={"value": "weights.name"},
    returns=returns,
    weights=weights,
)
def value_at_risk(returns, weights):
    share = weights.set_index("name")["weight"].to_dict()
    profit = sum(returns[name] * share[name] for name in ["aaa", "bbb", "ccc"])
    return float(-np.percentile(profit, 5))


@case(
    direct={
        "ref": "ledger.ref bank.ref",
        "amount_ledger": "ledger.amount",
        "memo": "ledger.memo",
        "amount_bank": "bank.amount",
        "booked": "bank.booked",
        "gap": "ledger.amount bank.amount",
    },
    indirect={"*": "ledger.ref bank.ref ledger.amount bank.amount"},
    ledger=ledger,
    bank=bank,
)
def reconcile(ledger, bank):
    m = ledger.merge(bank, on="ref", how="outer", suffixes=("_ledger", "_bank"), indicator=True)
    m["gap"] = m["amount_ledger"].fillna(0) - m["amount_bank"].fillna(0)
    m["status"] = np.select(
        [m["_merge"] == "left_only", m["_merge"] == "right_only", m["gap"].abs() > 0.005],
        ["missing in bank", "missing in ledger", "amount differs"],
        default="ok",
    )
    return m[m["status"] != "ok"].sort_values("ref").drop(columns="_merge")


@case(
    direct={
        "ticker": "prices.ticker",
        "close": "prices.close",
        "change": "prices.close",
        "sector": "instruments.sector",
    },
    indirect={"*": "prices.date prices.ticker prices.close instruments.ticker"},
    prices=prices,
    instruments=instruments,
)
def top_movers(prices, instruments):
    p = prices.sort_values(["ticker", "date"], kind="stable")
    p["change"] = p.groupby("ticker")["close"].pct_change(5)
    latest = p["date"].max()
    movers = p[p["date"] >= latest - pd.Timedelta(days=2)].nlargest(3, "change")
    movers = movers.join(instruments.set_index("ticker")["sector"], on="ticker")
    return movers[["ticker", "close", "change", "sector"]].reset_index(drop=True)
