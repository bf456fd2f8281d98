"""Settings: what they are, where they come from, and what is wrong with them.

`LineageConfig()` puts together, the first that names a setting winning:

1. the arguments given to it,
2. environment variables (`LINEAGE_STORE`, `LINEAGE_MAX_GRAPH_NODES`, …; an empty one is unset),
3. one file: the one that `LINEAGE_CONFIG` names, else `lineage.toml`, `.yaml`, `.yml` or `.json` in
   the working directory, else `[tool.lineage]` of the nearest `pyproject.toml` there or above,
4. for the store, where none of these names one: `DATABASE_URL`, if it is a database that we know,
5. the defaults.

Tables (`repository_settings`, `freshness_hours`) are merged key by key. Relative paths start at the
working directory; those in a `pyproject.toml` start at its folder, so that all of a project's
folders share one store. Nothing is cached: `get_config()` reads again on every call.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from lineage.core import OperationType
from lineage.documents import read_document, toml_text, write_document, write_text
from lineage.errors import ConfigError
from lineage.redact import redact_text
from lineage.settings import STORE_GROUP, STORES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PREFIX = "LINEAGE_"
DATABASE_VARIABLE = "DATABASE_URL"
_DATABASES = frozenset(("sqlite", "postgresql", "postgres", "mysql", "mariadb"))
CONFIG_VARIABLE = "LINEAGE_CONFIG"
FILE_NAMES = ("lineage.toml", "lineage.yaml", "lineage.yml", "lineage.json")
SHORT_VARIABLES = {
    "LINEAGE_TRACK_REPOS": "track_repository_operations",
    "LINEAGE_TRACK_DATAFRAMES": "track_dataframe_operations",
    "LINEAGE_TRACK_FILES": "track_file_operations",
    "LINEAGE_MAX_PARAM_SIZE": "max_parameter_size",
}
_TOML_HEAD = """\
# Every setting at its default. This file is read when it is called lineage.toml and lies where the
# program runs; the same lines may stand under [tool.lineage] in pyproject.toml. Keep what differs.
"""


@dataclass(frozen=True, slots=True)
class _Allowed:
    """Says, beside a field's type, what the field may hold."""

    text: str


_STORE_SCHEMA: dict[str, Any] = {"type": ["string", "null"]}


def _one_url(value: Any) -> Any:
    """Write a list of stores as the URL of their tee, and complete `console:`."""
    if isinstance(value, list | tuple) and value and all(isinstance(v, str | Path) for v in value):
        return f"tee://{';'.join(map(str, value))}"
    text = str(value) if isinstance(value, Path) else value
    return f"{text}//" if text in ("console:", "memory:") else text


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError("an operation type must not be blank")
    return name


_Flag = Annotated[bool, _Allowed("true or false (also yes/no, on/off, 1/0)")]
_Count = Annotated[int, Field(ge=1), _Allowed("a whole number of at least 1")]
_Hours = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_TypeName = Annotated[str, AfterValidator(_not_blank)]


class LineageConfig(BaseSettings):
    """All settings, read from arguments, the environment and a file (see the module).

    Raises:
        ConfigError: A value cannot be used, or a name is unknown.

    >>> config = LineageConfig(max_graph_nodes=200)
    >>> config.max_graph_nodes, config.should_track_operation("publish")
    (200, True)
    """

    model_config = SettingsConfigDict(extra="forbid", validate_assignment=True)

    # Tables come last: in TOML nothing may stand behind them.

    enabled: Annotated[_Flag, Field(description="Whether anything is tracked at all.")] = True
    store: Annotated[
        str | None,
        BeforeValidator(_one_url),
        WithJsonSchema({"anyOf": [_STORE_SCHEMA, {"type": "array", "items": _STORE_SCHEMA}]}),
        Field(
            description="Where records rest: a path or a URL, or a list; overrides base_path.",
            examples=["memory://"],
        ),
        _Allowed("a path or a URL, such as './lineage_data' or 'memory://', or a list of them"),
    ] = None
    base_path: Annotated[
        Path, Field(description="Folder of the Parquet store."), _Allowed("a path")
    ] = Path("lineage_data")
    enable_persistence: Annotated[
        _Flag, Field(description="Whether records go to the store; if not, they stay in memory.")
    ] = True
    track_repository_operations: Annotated[
        _Flag, Field(description="Whether methods of repositories are tracked.")
    ] = True
    track_dataframe_operations: Annotated[
        _Flag, Field(description="Whether frames that functions take and give are tracked.")
    ] = True
    track_file_operations: Annotated[
        _Flag, Field(description="Whether paths that functions take and give are tracked.")
    ] = True
    enabled_operation_types: Annotated[
        list[_TypeName] | None,
        Field(
            description="The operation types that are tracked; all unless this is set.",
            examples=[["read", "write", "transform"]],
        ),
        _Allowed("a list of operation types, such as ['read', 'write']"),
    ] = None
    max_parameter_size: Annotated[
        _Count, Field(description="Characters kept of one parameter.")
    ] = 1000
    max_metadata_size: Annotated[
        _Count, Field(description="Characters kept of one source's metadata.")
    ] = 5000
    max_operations: Annotated[
        _Count, Field(description="Operations that a tracker keeps in memory.")
    ] = 100_000
    cleanup_after_hours: Annotated[
        _Hours | None,
        Field(
            description="Age in hours at which records may be removed; never unless set.",
            examples=[8760.0],
        ),
        _Allowed("a number of hours above 0"),
    ] = None
    max_graph_nodes: Annotated[
        _Count, Field(description="Nodes drawn at most; answers are never cut.")
    ] = 1000
    max_graph_depth: Annotated[
        _Count, Field(description="Steps drawn at most from a node; answers are never cut.")
    ] = 10
    exit_timeout_seconds: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False, description="Longest wait for the store at exit."),
        _Allowed("a number of seconds of at least 0"),
    ] = 5.0
    freshness_hours: Annotated[
        dict[str, _Hours],
        Field(
            description="Hours after which a source is stale, by pattern of its node id.",
            examples=[{"file:daily_*": 26.0}],
        ),
        _Allowed("a table of pattern = hours above 0, such as {'file:*': 24}"),
    ] = {}
    repository_settings: Annotated[
        dict[str, dict[str, Any]],
        Field(
            description="Free settings by repository name.",
            examples=[{"equity_bars": {"track_all_operations": True}}],
        ),
        _Allowed("a table of tables, such as {'equity_bars': {'track_all_operations': true}}"),
    ] = {}

    def __init__(self, **settings: Any) -> None:
        with _explained(lambda: [_arguments(settings), _environment(), _discovered_file()]):
            super().__init__(**settings)

    def __setattr__(self, name: str, value: Any) -> None:
        with _explained(lambda: [_arguments({name: value})]):
            super().__setattr__(name, value)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put our environment and file sources in the place of pydantic's."""
        return (
            init_settings,
            _LayerSource(settings_cls, _environment),
            _LayerSource(settings_cls, _discovered_file),
            _DatabaseSource(settings_cls, _Layer),
        )

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read one JSON, TOML or YAML file (or a `pyproject.toml`) and nothing else.

        Raises:
            ConfigError: The file cannot be read or parsed, or a setting in it is wrong.
        """
        return cls._of_layer(_file(Path(path)))

    @classmethod
    def from_env(cls) -> Self:
        """Read the environment variables and no file."""
        return cls._of_layer(_environment())

    @classmethod
    def _of_layer(cls, layer: _Layer) -> Self:
        config = cls.__new__(cls)
        with _explained(lambda: [layer]):
            BaseModel.__init__(config, **layer.values)
        return config

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Give the JSON Schema of a configuration file, for editors and checks."""
        schema = cls.model_json_schema()
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        schema["description"] = "Settings of track-lineage."
        schema["properties"]["$schema"] = {"type": "string", "description": "This schema."}
        return schema

    @property
    def store_url(self) -> str:
        """Where records rest by these settings: `store`, else `base_path`, else memory."""
        if not self.enable_persistence:
            return "memory://"
        return self.store or str(self.base_path)

    def to_dict(self) -> dict[str, Any]:
        """Give all settings as JSON values."""
        return self.model_dump(mode="json")

    def save_to_file(self, path: str | Path, format: str | None = None) -> None:  # noqa: A002 - the seed's name
        """Write all settings to a file.

        Args:
            path: The file; its folder is made when missing.
            format: `json`, `yaml` or `toml`; by the file's suffix unless given.

        Raises:
            ConfigError: The format is unknown, or the file cannot be written.
        """
        write_document(Path(path), self.to_dict(), format)

    def get_repository_setting(self, repository: str, key: str, default: Any = None) -> Any:
        """Give one setting of one repository, or the default."""
        return self.repository_settings.get(repository, {}).get(key, default)

    def set_repository_setting(self, repository: str, key: str, value: Any) -> None:
        """Set one setting of one repository."""
        self.repository_settings.setdefault(repository, {})[key] = value

    def should_track_operation(self, operation_type: OperationType | str) -> bool:
        """Tell whether operations of this type are tracked."""
        allowed = self.enabled_operation_types
        return self.enabled and (allowed is None or str(operation_type) in allowed)

    def validate(self) -> list[str]:  # type: ignore[override]  # pydantic's is deprecated; the seed's is this
        """List what can only be seen at run time; an empty list when nothing is wrong.

        It looks at the store, at operation types that are none of the seven (any text is allowed,
        so it may be a slip or meant), and at unknown `LINEAGE_…` variables. A store in a folder is
        not opened and nothing is created.
        """
        return [*self._store_issues(), *self._type_issues(), *_variable_issues()]

    def _store_issues(self) -> Iterator[str]:
        url = self.store_url
        urls = url.removeprefix("tee://").split(";") if url.startswith("tee://") else [url]
        for each in filter(None, map(_one_url, map(str.strip, urls))):
            scheme, rest = _backend(each), each.partition("://")[2]
            if not scheme:
                yield from _path_issues("store" if self.store else "base_path", Path(each))
            elif scheme in {"file", "parquet"}:
                yield from _path_issues("store", Path(rest))
            else:
                yield from _url_issues(scheme, each)

    def _type_issues(self) -> Iterator[str]:
        known = [member.value for member in OperationType]
        for name in self.enabled_operation_types or ():
            if name not in known:
                hint = _near(name, known) or f"the usual ones are {', '.join(known)}"
                yield (
                    f"enabled_operation_types: {name!r} is not one of the seven types; {hint} "
                    "(any text is allowed, if it is meant)"
                )


def get_config() -> LineageConfig:
    """Read the settings of this process: environment, then file, then defaults.

    It reads anew on each call, so a changed variable or working directory is always seen; keep the
    result where that matters.
    """
    return LineageConfig()


def create_sample_config_file(path: str | Path) -> Path:
    """Write a sample of all settings at their defaults, and give its path.

    The suffix of the path says the format; a `.toml` file explains each setting in comments.

    Raises:
        ConfigError: The suffix is none of `.json`, `.toml`, `.yaml`, `.yml`, or the file cannot be
            written.
    """
    path = Path(path)
    if path.suffix == ".toml":
        write_text(path, _commented_toml())
    else:
        defaults = LineageConfig.model_construct().to_dict()
        write_document(path, {key: value for key, value in defaults.items() if value is not None})
    return path


def _commented_toml() -> str:
    """Write each setting under its description; one that is empty by default as a comment."""
    defaults = LineageConfig.model_construct().to_dict()
    blocks = [_TOML_HEAD]
    for name, setting in LineageConfig.model_fields.items():
        if setting.examples:
            text = indent(toml_text({name: setting.examples[0]}), "# ")
        else:
            text = toml_text({name: defaults[name]})
        blocks.append(f"# {setting.description}\n{text}")
    return "\n".join(blocks)


@dataclass(frozen=True, slots=True)
class _Layer:
    """Settings from one place, and how that place calls them in an error."""

    values: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""

    def name(self, key: str) -> str:
        return self.names.get(key, key)


class _LayerSource(PydanticBaseSettingsSource):
    """A layer as pydantic-settings wants it."""

    def __init__(self, settings_cls: type[BaseSettings], read: Callable[[], _Layer]) -> None:
        super().__init__(settings_cls)
        self._read = read

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self._read().values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self._read().values)


class _DatabaseSource(_LayerSource):
    """`DATABASE_URL`, where no other place names a store."""

    def __call__(self) -> dict[str, Any]:
        if {"store", "base_path"} & self.current_state.keys():
            return {}
        url = os.environ.get(DATABASE_VARIABLE, "").strip()
        return {"store": url} if _backend(url) in _DATABASES else {}


def _backend(url: str) -> str:
    return url.partition("://")[0].partition("+")[0].lower() if "://" in url else ""


def _arguments(settings: Mapping[str, Any]) -> _Layer:
    return _Layer(settings)


def _variables() -> dict[str, str]:
    """Map the variables that are read to their settings; a full name wins over its short one."""
    full = {PREFIX + name.upper(): name for name in LineageConfig.model_fields}
    return SHORT_VARIABLES | full


def _environment() -> _Layer:
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    for variable, name in _variables().items():
        text = os.environ.get(variable, "")
        if text.strip():
            values[name], names[name] = _parsed(name, text.strip()), variable
    return _Layer(values, names)


def _parsed(name: str, text: str) -> Any:
    """Read the text of a variable that holds a list or a table; leave any other as it is."""
    if name == "enabled_operation_types" and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if text[0] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _discovered_file() -> _Layer:
    """Read the file that `LINEAGE_CONFIG` names, else the first that is found."""
    named = os.environ.get(CONFIG_VARIABLE, "").strip()
    if named:
        return _file(Path(named), named_by=CONFIG_VARIABLE)
    for name in FILE_NAMES:
        if Path(name).is_file():
            return _file(Path(name))
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file():
            return _file(folder / "pyproject.toml")
    return _Layer()


def _file(path: Path, *, named_by: str = "") -> _Layer:
    content = read_document(path, named_by=named_by)
    where, hint = str(path), ""
    if path.name == "pyproject.toml":
        content = _project_table(content, path)
        where = f"{path} [tool.lineage]"
    elif path.name in FILE_NAMES and not named_by:
        hint = f" ({path.name} is read as a configuration; if it is not one, rename it)"
    content.pop("$schema", None)
    return _Layer(content, {key: f"{key} in {where}" for key in content}, hint)


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
    if not isinstance(value, str) or "://" in value or value in {"console:", "memory:"}:
        return value
    return str(file.parent / value)


@contextmanager
def _explained(layers: Callable[[], list[_Layer]]) -> Iterator[None]:
    """Turn pydantic's error into one that names the place, the value and what is allowed."""
    try:
        yield
    except ValidationError as error:
        found = layers()
        problems = [_problem(dict(detail), found) for detail in error.errors(include_url=False)]
        raise ConfigError("; ".join(dict.fromkeys(problems))) from None


def _problem(detail: Mapping[str, Any], layers: list[_Layer]) -> str:
    key = str(detail["loc"][0]) if detail["loc"] else ""
    layer = next((layer for layer in layers if key in layer.values), _Layer())
    known = LineageConfig.model_fields.get(key)
    if known is None:
        hint = _near(key, LineageConfig.model_fields) or "no setting has a similar name"
        return f"unknown setting {layer.name(key)}; {hint}{layer.hint}"
    value = redact_text(repr(layer.values.get(key, detail["input"])))
    allowed = next(item.text for item in known.metadata if isinstance(item, _Allowed))
    return f"{layer.name(key)} has the value {value}; allowed is {allowed}"


def _near(name: str, known: Any) -> str:
    near = get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"did you mean {', '.join(near)}?" if near else ""


def _path_issues(name: str, path: Path) -> Iterator[str]:
    """Look at the path, or at the folder in which it would be made."""
    existing = path.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        yield f"{name}: {path} cannot be a folder, since {existing} is a file"
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield f"{name}: {path} cannot be written, since {existing} is not writable"


def _url_issues(scheme: str, url: str) -> Iterator[str]:
    """Open and close the store that is registered for the scheme, by its name."""
    ours = (EntryPoint(name, value, STORE_GROUP) for name, value in STORES.items())
    openers = {found.name: found for found in (*entry_points(group=STORE_GROUP), *ours)}
    shown = redact_text(url)
    if scheme not in openers:
        schemes = ", ".join(sorted(openers))
        yield f"store: {shown} has the unknown scheme {scheme!r}; known are {schemes}"
        return
    try:
        store = openers[scheme].load()(url)
        if hasattr(store, "reach"):  # opening a database does not ask it anything
            store.reach()
        store.close()
    except Exception as error:  # noqa: BLE001 - stores of others may raise anything; it is the answer
        reason = redact_text(f"{type(error).__name__}: {error}")
        yield f"store: {shown} cannot be reached: {reason}"


def _variable_issues() -> Iterator[str]:
    known = {*_variables(), CONFIG_VARIABLE}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in known:
            # The prefix is alike in all of them, and would make any two names similar.
            rests = {name.removeprefix(PREFIX): name for name in known}
            near = get_close_matches(variable.removeprefix(PREFIX), rests, n=3)
            hint = ", ".join(rests[rest] for rest in near)
            told = f"did you mean {hint}?" if hint else "no setting has a similar name"
            yield f"environment variable {variable} is not read; {told}"
