"""A repository of equity prices, tracked by adding one base class to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lineage import TrackedRepository

if TYPE_CHECKING:
    import os

DAILY = "1 day"


class EquityBarRepository(TrackedRepository):
    """Keep bars (open, high, low, close, volume) as Parquet files, one per symbol and bar size.

    The base class tracks every method whose name begins with save, write, load or read. What it
    needs to know besides is below: what the data set is called, and which parameter tells its
    parts apart, so that AAPL is `repository:equity_bars/AAPL` in the lineage.
    """

    dataset_name = "equity_bars"
    lineage_key = ("symbol",)

    def __init__(self, base_path: str | os.PathLike[str]) -> None:
        self.base_path = Path(base_path)

    def save(self, df: pd.DataFrame, *, symbol: str, bar_size: str = DAILY) -> Path:
        """Write the bars of a symbol over those that are there; give the file."""
        return self._put(df, symbol, bar_size)

    def load(self, *, symbol: str, bar_size: str = DAILY) -> pd.DataFrame:
        """Read the bars of a symbol.

        Raises:
            FileNotFoundError: None were saved.
        """
        return pd.read_parquet(self._file(symbol, bar_size))

    def save_daily_bars(self, df: pd.DataFrame, symbol: str) -> Path:
        """Write daily bars."""
        return self._put(df, symbol, DAILY)

    def load_symbol_data(self, symbol: str) -> pd.DataFrame:
        """Read the bars of every size of a symbol."""
        return pd.concat(map(pd.read_parquet, sorted(self._folder(symbol).glob("*.parquet"))))

    def _put(self, df: pd.DataFrame, symbol: str, bar_size: str) -> Path:
        file = self._file(symbol, bar_size)
        file.parent.mkdir(parents=True, exist_ok=True)
        df.to_parquet(file)
        return file

    def _file(self, symbol: str, bar_size: str) -> Path:
        return self._folder(symbol) / f"{bar_size.replace(' ', '_')}.parquet"

    def _folder(self, symbol: str) -> Path:
        return self.base_path / f"symbol={symbol}"
