"""Versions of datasets and models: saved once, in one step, with their bytes and their parents."""

from importlib.util import find_spec

from lineage.errors import MissingDependencyError

_missing = [name for name in ("sqlalchemy", "alembic") if find_spec(name) is None]
if _missing:
    raise MissingDependencyError(
        f"datasets and models need {' and '.join(_missing)}; pip install 'track-lineage[datasets]'"
    )
