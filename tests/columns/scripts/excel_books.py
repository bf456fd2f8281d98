import pandas as pd

sheets = pd.read_excel("data/book.xlsx", sheet_name=None)
with pd.ExcelWriter("data/report.xlsx") as report:
    for name, sheet in sheets.items():
        sheet.describe().to_excel(report, sheet_name=name)
pd.concat(sheets.values()).to_excel("data/flat.xlsx", index=False)
