"""Settings of one place each: the environment variables, a file, `DATABASE_URL`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.documents import read_document
from lineage.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX = "LINEAGE_"
CONFIG_VARIABLE = "LINEAGE_CONFIG"
DATABASE_VARIABLE = "DATABASE_URL"
FILE_NAMES = ("lineage.toml", "lineage.yaml", "lineage.yml", "lineage.json")
SHORT_VARIABLES = {
    "LINEAGE_TRACK_REPOS": "track_repository_operations",
    "LINEAGE_TRACK_DATAFRAMES": "track_dataframe_operations",
    "LINEAGE_TRACK_FILES": "track_file_operations",
    "LINEAGE_MAX_PARAM_SIZE": "max_parameter_size",
}
_DATABASES = frozenset(("sqlite", "postgresql", "postgres", "mysql", "mariadb"))
_WITHOUT_SLASHES = frozenset(("console:", "memory:"))


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings from one place, and how that place calls them in an error."""

    values: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""

    def name(self, key: str) -> str:
        """Say how this place calls a setting."""
        return self.names.get(key, key)


def variables(settings: Iterable[str]) -> dict[str, str]:
    """Map the variables that are read to their settings; a full name wins over its short one."""
    return SHORT_VARIABLES | {PREFIX + name.upper(): name for name in settings}


def from_environment(settings: Iterable[str]) -> Layer:
    """Read the environment variables of some settings; an empty one is unset."""
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    for variable, name in variables(settings).items():
        text = os.environ.get(variable, "")
        if text.strip():
            values[name], names[name] = _parsed(name, text.strip()), variable
    return Layer(values, names)


_LISTS = frozenset(("enabled_operation_types", "environment_variables", "redact_names"))


def _parsed(name: str, text: str) -> Any:
    """Read the text of a variable that holds a list or a table; leave any other as it is."""
    if name in _LISTS and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if text[0] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def from_found_file() -> Layer:
    """Read the file that `LINEAGE_CONFIG` names, else the first that is found.

    Raises:
        ConfigError: It cannot be read or parsed.
    """
    named = os.environ.get(CONFIG_VARIABLE, "").strip()
    if named:
        return from_file(Path(named), named_by=CONFIG_VARIABLE)
    for name in FILE_NAMES:
        if Path(name).is_file():
            return from_file(Path(name))
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file():
            return from_file(folder / "pyproject.toml")
    return Layer()


def from_file(path: Path, *, named_by: str = "") -> Layer:
    """Read one file, of a `pyproject.toml` only `[tool.lineage]`.

    Args:
        path: A JSON, TOML or YAML file.
        named_by: The variable that names the file, for the errors.

    Raises:
        ConfigError: It cannot be read or parsed.
    """
    content = read_document(path, named_by=named_by)
    where, hint = str(path), ""
    if path.name == "pyproject.toml":
        content = _project_table(content, path)
        where = f"{path} [tool.lineage]"
    elif path.name in FILE_NAMES and not named_by:
        hint = f" ({path.name} is read as a configuration; if it is not one, rename it)"
    content.pop("$schema", None)
    return Layer(content, {key: f"{key} in {where}" for key in content}, hint)


def _project_table(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Give `[tool.lineage]`; its relative paths start at the folder of the file."""
    table = content.get("tool", {}).get("lineage", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: [tool.lineage] must be a table of settings, not {table!r}")
    for key in ("base_path", "store"):
        value = table.get(key)
        if isinstance(value, list):
            table[key] = [_beside(path, each) for each in value]
        elif isinstance(value, str):
            table[key] = _beside(path, value)
    return table


def _beside(file: Path, value: Any) -> Any:
    if not isinstance(value, str) or "://" in value or value in _WITHOUT_SLASHES:
        return value
    return str(file.parent / value)


def from_database() -> Layer:
    """Read the store from `DATABASE_URL`, if it is a database that we know."""
    url = os.environ.get(DATABASE_VARIABLE, "").strip()
    if backend_of(url) not in _DATABASES:
        return Layer()
    return Layer({"store": url}, {"store": DATABASE_VARIABLE})


def backend_of(url: str) -> str:
    """Give the scheme of a URL, without a driver behind a `+`; nothing for a path."""
    return url.partition("://")[0].partition("+")[0].lower() if "://" in url else ""


def one_url(value: Any) -> Any:
    """Write a list of stores as the URL of their tee, and complete `console:`."""
    if isinstance(value, list | tuple) and value and all(isinstance(v, str | Path) for v in value):
        return f"tee://{';'.join(map(str, value))}"
    text = str(value) if isinstance(value, Path) else value
    return f"{text}//" if isinstance(text, str) and text in _WITHOUT_SLASHES else text
