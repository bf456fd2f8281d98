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

from contextlib import contextmanager
from dataclasses import dataclass
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

from lineage.calendars import LIMIT_SCHEMA, FreshnessLimit, usable_limits
from lineage.checks import near, path_issues, url_issues, variable_issues
from lineage.core import OperationType
from lineage.documents import toml_text, write_document, write_text
from lineage.errors import ConfigError
from lineage.layers import (
    CONFIG_VARIABLE,
    PREFIX,
    Layer,
    backend_of,
    from_database,
    from_environment,
    from_file,
    from_found_file,
    one_url,
    variables,
)
from lineage.limits import LimitTable
from lineage.redact import redact_text, usable_patterns
from lineage.settings import (
    DATASETS_VARIABLE,
    ENVIRONMENT_VARIABLES,
    FINGERPRINT_MAX_BYTES,
    GIT_DIFF_MAX_BYTES,
    GIT_TIMEOUT_S,
    REPLAY_VARIABLE,
    Durability,
)
from lineage.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_TOML_HEAD = """\
# Every setting at its default. This file is read when it is called lineage.toml and lies where the
# program runs; the same lines may stand under [tool.lineage] in pyproject.toml. Keep what differs.
"""


@dataclass(frozen=True, slots=True)
class _Allowed:
    """Says, beside a field's type, what the field may hold."""

    text: str


_STORE_SCHEMA: dict[str, Any] = {"type": ["string", "null"]}


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError("an operation type must not be blank")
    return name


def _usable_webhook(url: str | None) -> str | None:
    if url is not None:
        Webhook(url)
    return url


def _usable_limits(limits: dict[str, Any]) -> dict[str, Any]:
    LimitTable(limits)
    return limits


_Flag = Annotated[bool, _Allowed("true or false (also yes/no, on/off, 1/0)")]
_Count = Annotated[int, Field(ge=1), _Allowed("a whole number of at least 1")]
_Hours = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_TypeName = Annotated[str, AfterValidator(_not_blank)]


class LineageConfig(BaseSettings):
    """All settings, read from arguments, the environment and a file (see the module).

    Raises:
        ConfigError: A value cannot be used, or a name is unknown.

    Examples:
        >>> config = LineageConfig(max_graph_nodes=200)
        >>> config.max_graph_nodes, config.should_track_operation("publish")
        (200, True)
    """

    model_config = SettingsConfigDict(extra="forbid", validate_assignment=True)

    # Tables come last: in TOML nothing may stand behind them.

    enabled: Annotated[_Flag, Field(description="Whether anything is tracked at all.")] = True
    store: Annotated[
        str | None,
        BeforeValidator(one_url),
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
    durability: Annotated[
        Durability,
        Field(
            description="What a record survives once its call has returned: buffered (nothing), "
            "process (a kill), power (a power cut), remote (the loss of this host)."
        ),
        _Allowed("buffered, process, power or remote"),
    ] = "process"
    background_sealing: Annotated[
        _Flag,
        Field(description="Whether another process seals, while this one runs, what is full."),
    ] = True
    max_journal_bytes: Annotated[
        int,
        Field(
            ge=16 << 20,
            description="Bytes that may wait to be sealed; beyond it operations are refused.",
        ),
        _Allowed("a whole number of at least 16,777,216"),
    ] = 4 << 30
    track_repository_operations: Annotated[
        _Flag, Field(description="Whether methods of repositories are tracked.")
    ] = True
    track_dataframe_operations: Annotated[
        _Flag, Field(description="Whether frames that functions take and give are tracked.")
    ] = True
    track_file_operations: Annotated[
        _Flag, Field(description="Whether paths that functions take and give are tracked.")
    ] = True
    fingerprint_max_bytes: Annotated[
        int,
        Field(
            ge=0,
            description="Files up to this size are known by their content, larger ones by their "
            "size, time and inode.",
        ),
        _Allowed("a whole number of at least 0"),
    ] = FINGERPRINT_MAX_BYTES
    git_timeout_seconds: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="Longest wait for git to say which commit ran; 0 asks it nothing.",
        ),
        _Allowed("a number of seconds of at least 0"),
    ] = GIT_TIMEOUT_S
    git_diff_max_bytes: Annotated[
        int,
        Field(ge=0, description="The longest diff of uncommitted changes to keep; 0 keeps none."),
        _Allowed("a whole number of at least 0"),
    ] = GIT_DIFF_MAX_BYTES
    environment_variables: Annotated[
        list[str],
        Field(description="Names of the environment variables whose values are recorded."),
        _Allowed("a list of names, such as ['TZ', 'OMP_NUM_THREADS']"),
    ] = [*ENVIRONMENT_VARIABLES]
    redact_names: Annotated[
        list[str],
        Field(
            description="More names of parameters, keys and variables whose values are secrets.",
            examples=[["pin", "*_licence"]],
        ),
        _Allowed("a list of names, such as ['pin', '*_licence']"),
    ] = []
    redact_patterns: Annotated[
        list[str],
        AfterValidator(usable_patterns),
        Field(
            description="Regular expressions for what is a secret in any text.",
            examples=[["CUST-[0-9]{8}"]],
        ),
        _Allowed("a list of regular expressions, such as ['CUST-[0-9]{8}']"),
    ] = []
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
    webhook_url: Annotated[
        str | None,
        AfterValidator(_usable_webhook),
        Field(
            description="Where lineage check posts what it finds; it may hold a secret.",
            repr=False,
            examples=["https://hooks.example.org/lineage"],
        ),
        _Allowed("an address such as https://host/path, without a user"),
    ] = None
    webhook_allow_private: Annotated[
        _Flag,
        Field(description="Whether the webhook may be in a private network or on this host."),
    ] = False
    anomaly_limits: Annotated[
        dict[str, _Limit | dict[str, _Limit]],
        AfterValidator(_usable_limits),
        Field(
            description="Usual deviations from which a figure is an anomaly, by metric, or by "
            "pattern of a node id or function.",
            examples=[{"duration": 6.0, "file:daily_*": {"records_out": 3.5}}],
        ),
        _Allowed(
            "a table of metric = number above 0 or pattern = such a table, such as "
            "{'duration': 6, 'file:*': {'records_out': 3.5}}"
        ),
    ] = {}
    freshness_hours: Annotated[
        dict[str, Any],
        AfterValidator(usable_limits),
        WithJsonSchema({"type": "object", "additionalProperties": LIMIT_SCHEMA}),
        Field(
            description="Hours after which a source is stale, by pattern of its node id; with "
            "weekdays, holidays and timezone only those of days that count.",
            examples=[
                {
                    "file:daily_*": 26.0,
                    "table:books_*": {
                        "hours": 24.0,
                        "weekdays": "mon-fri",
                        "holidays": ["2026-12-25", "2027-01-01"],
                        "timezone": "Europe/Berlin",
                    },
                }
            ],
        ),
        _Allowed(
            "a table of pattern = hours above 0, or = a table such as "
            "{'hours': 24, 'weekdays': 'mon-fri', 'holidays': ['DE'], 'timezone': 'Europe/Berlin'}"
        ),
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
        with _explained(lambda: [Layer(settings), _environment(), from_found_file()]):
            super().__init__(**settings)

    def __setattr__(self, name: str, value: Any) -> None:
        with _explained(lambda: [Layer({name: value})]):
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
            _LayerSource(settings_cls, from_found_file),
            _DatabaseSource(settings_cls, from_database),
        )

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read one JSON, TOML or YAML file (or a `pyproject.toml`) and nothing else.

        Raises:
            ConfigError: The file cannot be read or parsed, or a setting in it is wrong.
        """
        return cls._of_layer(from_file(Path(path)))

    @classmethod
    def from_env(cls) -> Self:
        """Read the environment variables and no file."""
        return cls._of_layer(_environment())

    @classmethod
    def _of_layer(cls, layer: Layer) -> Self:
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
        so it may be a slip or meant), at time zones and holidays, and at unknown `LINEAGE_…`
        variables. A store in a folder is not opened and nothing is created.
        """
        issues = (self._store_issues, self._type_issues, self._day_issues, self._variable_issues)
        return [issue for look in issues for issue in look()]

    def _store_issues(self) -> Iterator[str]:
        url = self.store_url
        urls = url.removeprefix("tee://").split(";") if url.startswith("tee://") else [url]
        for each in filter(None, map(one_url, map(str.strip, urls))):
            scheme, rest = backend_of(each), each.partition("://")[2]
            if not scheme:
                yield from path_issues("store" if self.store else "base_path", Path(each))
            elif scheme in {"file", "parquet"}:
                yield from path_issues("store", Path(rest))
            else:
                yield from url_issues(scheme, each)

    def _type_issues(self) -> Iterator[str]:
        known = [member.value for member in OperationType]
        for name in self.enabled_operation_types or ():
            if name not in known:
                hint = near(name, known) or f"the usual ones are {', '.join(known)}"
                yield (
                    f"enabled_operation_types: {name!r} is not one of the seven types; {hint} "
                    "(any text is allowed, if it is meant)"
                )

    def _day_issues(self) -> Iterator[str]:
        for name, value in self.freshness_hours.items():
            for issue in FreshnessLimit.of(value, name).issues():
                yield f"freshness_hours: {name!r}: {issue}"

    def _variable_issues(self) -> Iterator[str]:
        known = {*variables(type(self).model_fields), CONFIG_VARIABLE, DATASETS_VARIABLE}
        known.add(REPLAY_VARIABLE)
        return variable_issues(known, prefix=PREFIX)


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


class _LayerSource(PydanticBaseSettingsSource):
    """A layer as pydantic-settings wants it."""

    def __init__(self, settings_cls: type[BaseSettings], read: Callable[[], Layer]) -> None:
        super().__init__(settings_cls)
        self._read = read

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self._read().values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self._read().values)


class _DatabaseSource(_LayerSource):
    """`DATABASE_URL`, where no other place names a store."""

    def __call__(self) -> dict[str, Any]:
        return {} if {"store", "base_path"} & self.current_state.keys() else super().__call__()


def _environment() -> Layer:
    return from_environment(LineageConfig.model_fields)


@contextmanager
def _explained(layers: Callable[[], list[Layer]]) -> Iterator[None]:
    """Turn pydantic's error into one that names the place, the value and what is allowed."""
    try:
        yield
    except ValidationError as error:
        found = layers()
        problems = [_problem(dict(detail), found) for detail in error.errors(include_url=False)]
        raise ConfigError("; ".join(dict.fromkeys(problems))) from None


def _problem(detail: Mapping[str, Any], layers: list[Layer]) -> str:
    key = str(detail["loc"][0]) if detail["loc"] else ""
    layer = next((layer for layer in layers if key in layer.values), Layer())
    known = LineageConfig.model_fields.get(key)
    if known is None:
        hint = near(key, LineageConfig.model_fields) or "no setting has a similar name"
        return f"unknown setting {layer.name(key)}; {hint}{layer.hint}"
    value = redact_text(repr(layer.values.get(key, detail["input"])))
    if not known.repr:
        value = "that is not shown"
    allowed = next(item.text for item in known.metadata if isinstance(item, _Allowed))
    error = detail.get("ctx", {}).get("error")
    reason = f"; {redact_text(str(error))}" if known.repr and isinstance(error, ConfigError) else ""
    return f"{layer.name(key)} has the value {value}; allowed is {allowed}{reason}"
