"""Pipelines as analysts write them, over real data that ships in wheels.

Written by a hand that had not seen the rules, and checked by changing inputs, before the rules were
scored on them. What follows is what the checker finds and the conventions defend.
"""

DEFENDED_PAIRS = {
    # Two group keys kept as columns have no edge between them, yet how often a key comes up
    # depends on the other.
    "landings_by_local_time": "zone<flights.minute zone<flights.time_hour",
    "riots_table": "race<deaths.type type<deaths.race",
    # Quantiles have the same labels, whatever the ages and incomes are. A pivot leaves out who has
    # no cost or no mode at all: its rows are those of its keys all the same.
    "delay_by_age_and_maker": "age_group<flights.year age_group<planes.year",
    "cheapest_mode": "band<trips.hinc n<trips.gc n<trips.ttme n<trips.mode",
    "errors_of_progression": " ".join(
        f"band<diabetes.{name}" for name in ["bmi", "bp", "s5", "target"]
    ),
    # The bounds of the stars are few; another choice of renters moves them.
    "table_of_coefficients": "stars<cards.OWNRENT",
    # A year that is missing is counted less, but then no line can be drawn.
    "solar_cycles": "years<sunspots.YEAR",
    # The year of a period is read from the period, which was made of both.
    "okuns_law": "decade<macro.quarter",
    # The checker moves dates by 72 hours, 40 days, or not at all: too little for these years,
    # seasons and days, or makes no date of them. By years, or to the first of a month, they move.
    "cancelled_by_day": "date<flights.month date<flights.day",
    "worst_drawdowns": "year<stocks.date",
    "seasons": "season<weather.date year<weather.date",
    "two_cities": "date<sf.date date<seattle.date",
    "shares_of_employment": "year<employment.month",
    "weeks_for_wheat": "half<wheat.year",
}
