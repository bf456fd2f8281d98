import sqlite3

import pandas as pd

connection = sqlite3.connect("data/shop.db")
sales = pd.read_sql("SELECT store, qty FROM sales WHERE qty > 1", connection)
sales.groupby("store").qty.sum().to_frame().to_sql("totals", connection)
connection.close()
sales.to_csv("data/from_shop.csv")
