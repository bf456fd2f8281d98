"""Tables of settings in JSON, TOML and YAML files."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from lineage.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_document(path: Path, *, named_by: str = "") -> dict[str, Any]:
    """Read a file in the format of its suffix; an empty one gives no settings.

    Args:
        path: A `.json`, `.toml`, `.yaml` or `.yml` file.
        named_by: The variable that names the file, for the errors.

    Raises:
        ConfigError: The file cannot be read or parsed, or is not a table.
    """
    shown = f"{path} (named by {named_by})" if named_by else str(path)
    name = _format(path, None)
    try:
        content = _parse(path.read_text(encoding="utf-8"), name)
    except OSError as error:
        raise ConfigError(
            f"cannot read configuration {shown}: {error.strerror or error}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"configuration {shown} cannot be parsed: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ConfigError(f"configuration {shown} must be a table of settings, not a {kind}")
    return {str(key): value for key, value in content.items()}


def write_document(path: Path, settings: Mapping[str, Any], format: str | None = None) -> None:  # noqa: A002 - the word of the seed's save_to_file
    """Write settings to a file, making its folder when missing.

    Args:
        path: The file.
        settings: JSON values. TOML has no null, so what is None is left out there.
        format: `json`, `toml` or `yaml`; by the suffix of the path unless given.

    Raises:
        ConfigError: The format is unknown, or the file cannot be written.
    """
    write_text(path, _text(settings, _format(path, format)))


def write_text(path: Path, text: str) -> None:
    """Write the text of a configuration, making its folder when missing.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write configuration {path}: {error.strerror or error}"
        ) from error


def _format(path: Path, given: str | None) -> str:
    name = (given or path.suffix.lstrip(".")).lower()
    name = {"yml": "yaml"}.get(name, name)
    if name not in {"json", "toml", "yaml"}:
        raise ConfigError(
            f"configuration {path} has the unknown format {name!r}; use json, toml or yaml"
        )
    return name


def _parse(text: str, name: str) -> Any:
    if not text.strip():
        return None
    if name == "json":
        return json.loads(text)
    if name == "toml":
        return tomllib.loads(text)
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _text(settings: Mapping[str, Any], name: str) -> str:
    if name == "json":
        return json.dumps(settings, indent=2) + "\n"
    if name == "toml":
        return toml_text(settings)
    import yaml

    return str(yaml.safe_dump(dict(settings), sort_keys=False))


def toml_text(settings: Mapping[str, Any]) -> str:
    """Write settings as TOML, which has no null: what is None is left out."""
    import tomli_w

    return tomli_w.dumps(_without_none(settings))


def _without_none(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in settings.items()
        if value is not None
    }
