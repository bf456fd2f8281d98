"""Shipments, routes, trucks and parcels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.columns.cases import case
from tests.columns.frozen.makers import moments, pick, shuffled

DEPOTS = ["Kiel", "Ulm", "Bonn"]


def shipments(rng):
    n = 100
    shipped = moments(rng, "2024-02-01", 400, n)
    return pd.DataFrame(
        {
            "shipment": rng.permutation(n),
            "origin": pick(rng, DEPOTS, n, 15),
            "dest": pick(rng, DEPOTS, n, 15),
            "carrier": pick(rng, ["Alpha", "Beta", "Gamma", "Delta"], n, 12),
            "shipped": shipped,
            "delivered": shipped + pd.to_timedelta(rng.integers(2, 60, n), unit="h"),
            "kg": rng.gamma(2, 30, n).round(1),
            "express": rng.random(n) < 0.3,
            "code": pick(rng, ["D", "R", "L", "X"], n, 8),
        }
    )


def routes(rng):
    pairs = [(origin, dest) for origin in DEPOTS for dest in DEPOTS]
    kept = shuffled(rng, pairs)[:8]
    return pd.DataFrame(
        {
            "origin": [origin for origin, _ in kept],
            "dest": [dest for _, dest in kept],
            "hours": rng.integers(4, 50, 8),
            "km": rng.integers(20, 900, 8),
        }
    )


def codes(rng):
    return pd.DataFrame(
        {
            "code": shuffled(rng, ["D", "R", "L", "Z"]),
            "label": shuffled(rng, ["delivered", "returned", "lost", "void"]),
        }
    )


def pings(rng):
    n = 100
    return pd.DataFrame(
        {
            "truck": pick(rng, ["T1", "T2", "T3"], n, 15),
            "at": moments(rng, "2024-04-01", 48, n),
            "speed": rng.uniform(0, 90, n),
        }
    )


def stops(rng):
    n = 40
    return pd.DataFrame(
        {
            "truck": pick(rng, ["T1", "T2", "T3"], n, 8),
            "arrived": moments(rng, "2024-04-01", 48, n),
            "site": pick(rng, ["dock", "yard", "shop"], n, 4),
        }
    )


def moves(rng):
    n = 50
    return pd.DataFrame(
        {
            "part": pick(rng, ["bolt", "gear", "belt"], n, 8),
            "on": moments(rng, "2024-01-01", 500, n),
            "qty": rng.integers(1, 40, n),
        }
    )


def scans(rng):
    n = 160
    return pd.DataFrame(
        {
            "parcel": rng.integers(1, 40, n),
            "event": pick(rng, ["picked", "sorted", "delivered"], n, 30),
            "at": moments(rng, "2024-03-01", 200, n),
            "hub": pick(rng, ["H1", "H2"], n, 30),
        }
    )


@case(
    direct={
        "carrier": "shipments.carrier",
        "late_rate": "shipments.shipped shipments.delivered routes.hours",
    },
    indirect={
        "*": "shipments.origin shipments.dest routes.origin routes.dest",
        "late_rate": "shipments.carrier",
    },
    shipments=shipments,
    routes=routes,
)
def late_rates(shipments, routes):
    m = shipments.merge(routes, on=["origin", "dest"], how="left")
    due = m["shipped"] + pd.to_timedelta(m["hours"].fillna(24), unit="h")
    m["late"] = m["delivered"] > due
    rates = {carrier: group["late"].mean() for carrier, group in m.groupby("carrier")}
    return pd.Series(rates).rename_axis("carrier").reset_index(name="late_rate")


@case(
    direct={
        "truck": "pings.truck",
        "at": "pings.at",
        "speed": "pings.speed",
        "site": "stops.site",
        "arrived": "stops.arrived",
        "wait": "pings.at stops.arrived",
    },
    indirect={"*": "pings.at pings.truck stops.arrived stops.truck"},
    pings=pings,
    stops=stops,
)
def nearest_stop(pings, stops):
    both = pd.merge_asof(
        pings.sort_values("at"),
        stops.sort_values("arrived"),
        left_on="at",
        right_on="arrived",
        by="truck",
        direction="nearest",
        tolerance=pd.Timedelta(hours=4),
    )
    both["wait"] = (both["at"] - both["arrived"]).dt.total_seconds().abs() / 60
    return both


def freight(row):
    base = 4 + row["kg"] * 0.5
    if row["express"]:
        return base * 2
    return base + row["km"] * 0.01


@case(
    direct={
        "shipment": "shipments.shipment",
        "km": "routes.km",
        "price": "shipments.kg routes.km",
    },
    indirect={
        "*": "shipments.origin shipments.dest routes.origin routes.dest",
        "price": "shipments.express",
    },
    shipments=shipments,
    routes=routes,
)
def freight_prices(shipments, routes):
    m = pd.merge(shipments, routes.drop(columns="hours"), how="inner", on=["origin", "dest"])
    m["price"] = m.apply(freight, axis=1)
    return m[["shipment", "km", "price"]].reset_index(drop=True)


@case(
    direct={
        "part": "receipts.part issues.part",
        "on": "receipts.on issues.on",
        "level": "receipts.qty issues.qty",
        "short": "receipts.qty issues.qty",
    },
    indirect={"*": "receipts.part issues.part receipts.on issues.on"},
    receipts=moves,
    issues=moves,
)
def stock_levels(receipts, issues):
    issues = issues.assign(qty=-issues["qty"])
    d = pd.concat([receipts, issues], ignore_index=True).sort_values(
        ["part", "on"], ignore_index=True, kind="stable"
    )
    d["level"] = d.groupby("part")["qty"].cumsum()
    d["short"] = d["level"].lt(0)
    return d.drop("qty", axis=1)


@case(
    direct={
        "truck": "stops.truck",
        "site": "stops.site",
        "previous": "stops.site",
    },
    indirect={"*": "stops.truck stops.arrived"},
    stops=stops,
)
def tours(stops):
    d = stops.sort_values(["truck", "arrived"]).reset_index(drop=True)
    by_truck = d.groupby("truck", sort=False)
    d["seq"] = by_truck.cumcount() + 1
    d["tour"] = by_truck.ngroup()
    d["stops"] = by_truck["site"].transform("size")
    d["previous"] = by_truck["site"].shift().fillna("start")
    del d["arrived"]
    return d


@case(
    direct={
        "shipment": "shipments.shipment",
        "carrier": "shipments.carrier",
        "status": "shipments.code codes.label",
        "billed": "shipments.kg",
    },
    indirect={
        "*": "shipments.carrier shipments.kg",
        "status": "codes.code",
        "billed": "shipments.express",
    },
    shipments=shipments,
    codes=codes,
)
def heavy_carriers(shipments, codes):
    labels = dict(zip(codes["code"], codes["label"], strict=True))
    typical = shipments["kg"].mean()
    heavy = shipments.groupby("carrier").filter(lambda g: g["kg"].mean() > typical)
    heavy = heavy.assign(
        status=heavy["code"].replace(labels),
        billed=heavy["kg"].mask(heavy["express"], heavy["kg"] * 1.5),
    )
    return heavy[["shipment", "carrier", "status", "billed"]]


@case(
    direct={"parcel": "scans.parcel", "hours": "scans.at", "slow": "scans.at"},
    indirect={"*": "scans.parcel scans.event scans.at"},
    scans=scans,
)
def transit_hours(scans):
    first = scans.groupby(["parcel", "event"])["at"].min().unstack("event")
    first["hours"] = (first["delivered"] - first["picked"]).abs() / np.timedelta64(1, "h")
    out = first.dropna(subset=["hours"]).reset_index()[["parcel", "hours"]]
    out.columns.name = None
    out["slow"] = out["hours"] > out["hours"].quantile(0.75)
    return out


@case(
    direct={"shipped": "shipments.shipped", "kg": "shipments.kg"},
    indirect={"kg": "shipments.shipped shipments.express", "shipped": "shipments.express"},
    shipments=shipments,
)
def smooth_volume(shipments):
    normal = shipments[~shipments["express"]]
    daily = normal.resample("D", on="shipped")["kg"].sum()
    return daily.rolling(3, min_periods=1).mean() / daily.max()


@case(
    direct={
        "depot": "shipments.origin shipments.dest",
        "inbound": "shipments.kg",
        "outbound": "shipments.kg",
        "net": "shipments.kg",
    },
    indirect={"*": "shipments.origin shipments.dest"},
    shipments=shipments,
)
def depot_flows(shipments):
    inbound = shipments.groupby("dest")["kg"].sum().rename_axis("depot").to_frame("inbound")
    outbound = shipments.groupby("origin")["kg"].sum().rename_axis("depot").to_frame("outbound")
    flows = inbound.join(outbound, how="outer").fillna(0)
    return flows.assign(net=flows["inbound"] - flows["outbound"]).sort_index()


@case(
    direct={"value": "scans.at"},
    indirect={"value": "scans.parcel scans.hub scans.event scans.at"},
    scans=scans,
)
def median_gap(scans):
    known = scans[(scans["hub"] == "H1") & ~scans["event"].isin(["sorted"])]
    ordered = known.sort_values(["parcel", "at"])
    gap = ordered.groupby("parcel")["at"].diff().dropna()
    return gap.median().total_seconds() / 3600
