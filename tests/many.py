"""How many random examples the tests against an oracle try; `LINEAGE_EXAMPLES=1000` asks for more.

LINEAGE_EXAMPLES=1000 python -m pytest tests/test_graph.py tests/test_walks.py tests/test_pandas.py
"""

from __future__ import annotations

import os


def examples(usual: int) -> int:
    """Give how many examples a test tries: as many as usual, or what the environment asks for."""
    return int(os.environ.get("LINEAGE_EXAMPLES") or usual)
