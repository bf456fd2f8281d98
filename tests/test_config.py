"""Settings: each one is flipped by argument, variable and file; bad ones name what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.config import LineageConfig, create_sample_config_file, get_config
from lineage.core import OperationType
from lineage.documents import read_document
from lineage.errors import ConfigError

SAMPLES = Path(__file__).parent.parent / "config"

FLIPPED = {
    "enabled": (False, "false"),
    "store": ("memory://", "memory://"),
    "base_path": (Path("/data/lineage"), "/data/lineage"),
    "enable_persistence": (False, "no"),
    "durability": ("power", "power"),
    "background_sealing": (False, "off"),
    "max_journal_bytes": (1 << 30, "1073741824"),
    "track_repository_operations": (False, "0"),
    "track_dataframe_operations": (False, "off"),
    "track_file_operations": (False, "n"),
    "enabled_operation_types": (["read", "publish"], "read, publish"),
    "fingerprint_max_bytes": (0, "0"),
    "git_timeout_seconds": (0.0, "0"),
    "git_diff_max_bytes": (0, "0"),
    "environment_variables": (["TZ", "LANG"], "TZ,LANG"),
    "redact_names": (["pin", "*_licence"], "pin, *_licence"),
    "redact_patterns": (["CUST-[0-9]+", "[a-z]{2},x"], '["CUST-[0-9]+", "[a-z]{2},x"]'),
    "max_parameter_size": (7, "7"),
    "max_metadata_size": (8, "8"),
    "max_operations": (9, "9"),
    "cleanup_after_hours": (1.5, "1.5"),
    "freshness_hours": ({"file:*": 2.0}, '{"file:*": 2}'),
    "webhook_url": ("https://hooks.example.org/a", "https://hooks.example.org/a"),
    "webhook_allow_private": (True, "yes"),
    "anomaly_limits": ({"file:*": {"duration": 2.0}}, '{"file:*": {"duration": 2}}'),
    "repository_settings": ({"bars": {"keep": True}}, '{"bars": {"keep": true}}'),
    "max_graph_nodes": (2000, "2000"),
    "max_graph_depth": (3, "3"),
    "exit_timeout_seconds": (0.0, "0"),
}
BAD = dict.fromkeys(FLIPPED, "memory://") | {
    "store": 5,
    "base_path": 5,
    "enabled_operation_types": ["read", " "],
    "freshness_hours": {"file:*": -1},
    "webhook_url": "ftp://host",
    "anomaly_limits": {"duration": 0},
    "cleanup_after_hours": 0,
    "max_operations": 0,
    "exit_timeout_seconds": float("inf"),
    "fingerprint_max_bytes": -1,
    "git_timeout_seconds": -1.0,
    "git_diff_max_bytes": -1,
    "redact_patterns": ["("],
}
UNBOUNDED = {"store", "base_path", "enabled_operation_types", "environment_variables"}
UNBOUNDED |= {"redact_names", "redact_patterns"}
SHORT = {
    "LINEAGE_TRACK_REPOS": "track_repository_operations",
    "LINEAGE_TRACK_DATAFRAMES": "track_dataframe_operations",
    "LINEAGE_TRACK_FILES": "track_file_operations",
    "LINEAGE_MAX_PARAM_SIZE": "max_parameter_size",
}


@pytest.fixture(autouse=True)
def _clean(tmp_path, monkeypatch):
    for variable in [name for name in os.environ if name.startswith("LINEAGE_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


def message(make) -> str:
    with pytest.raises(ConfigError) as caught:
        make()
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


def test_every_setting_is_flipped_here():
    assert set(FLIPPED) == set(BAD) == set(LineageConfig.model_fields)


def test_defaults_are_the_seeds_but_files_and_all_types_are_enabled():
    config = LineageConfig()
    assert config.base_path == Path("./lineage_data")
    assert config.enable_persistence
    assert config.track_repository_operations
    assert config.track_dataframe_operations
    assert config.track_file_operations
    assert (config.max_parameter_size, config.max_metadata_size) == (1000, 5000)
    assert (config.max_graph_nodes, config.max_graph_depth) == (1000, 10)
    assert config.cleanup_after_hours is None
    assert config.repository_settings == {}
    assert all(config.should_track_operation(member) for member in OperationType)
    assert config.should_track_operation("publish")


@pytest.mark.parametrize("name", FLIPPED)
def test_argument_sets(name):
    value, _ = FLIPPED[name]
    assert getattr(LineageConfig(), name) != value
    assert getattr(LineageConfig(**{name: value}), name) == value


@pytest.mark.parametrize("name", FLIPPED)
def test_variable_sets(name, monkeypatch):
    value, text = FLIPPED[name]
    monkeypatch.setenv(f"LINEAGE_{name.upper()}", text)
    assert getattr(LineageConfig(), name) == value
    assert getattr(LineageConfig.from_env(), name) == value


@pytest.mark.parametrize(("variable", "name"), SHORT.items())
def test_short_variable_sets_and_the_full_name_wins(variable, name, monkeypatch):
    value, text = FLIPPED[name]
    monkeypatch.setenv(variable, text)
    assert getattr(LineageConfig(), name) == value
    other, other_text = (12, "12") if name == "max_parameter_size" else (not value, str(not value))
    monkeypatch.setenv(f"LINEAGE_{name.upper()}", other_text)
    assert getattr(LineageConfig(), name) == other


@pytest.mark.parametrize("suffix", ["json", "toml", "yaml", "yml"])
def test_file_sets_everything_and_a_saved_file_reads_back(suffix, tmp_path):
    config = LineageConfig(**{name: value for name, (value, _) in FLIPPED.items()})
    path = tmp_path / "new" / f"settings.{suffix}"
    config.save_to_file(path)
    again = LineageConfig.from_file(path)
    assert again == config
    assert again.to_dict() == config.to_dict()
    for name, (value, _) in FLIPPED.items():
        assert getattr(again, name) == value


@pytest.mark.parametrize("suffix", ["json", "toml", "yaml"])
def test_defaults_survive_a_file(suffix, tmp_path):
    LineageConfig().save_to_file(tmp_path / "plain", suffix)
    path = (tmp_path / "plain").rename(tmp_path / f"plain.{suffix}")
    assert LineageConfig.from_file(path) == LineageConfig()


def test_to_dict_holds_json_values():
    assert json.loads(json.dumps(LineageConfig().to_dict()))["base_path"] == "lineage_data"


# Where settings come from


def test_order_of_sources(tmp_path, monkeypatch):
    """Argument over variable over named file over found file over pyproject over default."""
    (tmp_path / "pyproject.toml").write_text("[tool.lineage]\nmax_graph_nodes = 1\n")
    assert LineageConfig().max_graph_nodes == 1
    for number, name in enumerate(("json", "yml", "yaml", "toml"), start=2):
        text = (
            f"max_graph_nodes = {number}\n"
            if name == "toml"
            else f'{{"max_graph_nodes": {number}}}'
        )
        (tmp_path / f"lineage.{name}").write_text(text)
        assert LineageConfig().max_graph_nodes == number
    named = tmp_path / "elsewhere.json"
    named.write_text('{"max_graph_nodes": 6, "max_graph_depth": 60}')
    monkeypatch.setenv("LINEAGE_CONFIG", str(named))
    assert LineageConfig().max_graph_nodes == 6
    monkeypatch.setenv("LINEAGE_MAX_GRAPH_NODES", "7")
    assert LineageConfig().max_graph_nodes == 7
    assert get_config().max_graph_nodes == 7
    assert LineageConfig().max_graph_depth == 60
    config = LineageConfig(max_graph_nodes=8)
    assert (config.max_graph_nodes, config.max_graph_depth) == (8, 60)


def test_from_file_reads_only_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("LINEAGE_MAX_GRAPH_NODES", "7")
    (tmp_path / "lineage.toml").write_text("max_graph_depth = 5\n")
    path = tmp_path / "other.json"
    path.write_text("{}")
    assert LineageConfig.from_file(path).max_graph_nodes == 1000
    assert LineageConfig.from_file(path).max_graph_depth == 10


def test_from_env_reads_no_file(tmp_path):
    (tmp_path / "lineage.toml").write_text("max_graph_nodes = 5\n")
    assert LineageConfig.from_env().max_graph_nodes == 1000


def test_get_config_sees_every_change(monkeypatch):
    assert get_config().enabled
    monkeypatch.setenv("LINEAGE_ENABLED", "false")
    assert not get_config().enabled


def test_nearest_pyproject_counts_and_its_paths_start_at_its_folder(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[tool.lineage]\nbase_path = "./records"\n')
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert LineageConfig().base_path == tmp_path / "records"
    assert LineageConfig.from_file(tmp_path / "pyproject.toml").base_path == tmp_path / "records"
    (tmp_path / "pyproject.toml").write_text('[tool.lineage]\nstore = "memory://"\n')
    assert LineageConfig().store == "memory://"
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\n")
    assert LineageConfig().store is None


def test_empty_variable_and_empty_file_say_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("LINEAGE_MAX_GRAPH_NODES", " ")
    (tmp_path / "lineage.json").write_text("")
    assert LineageConfig() == LineageConfig.from_env()
    assert LineageConfig().max_graph_nodes == 1000


def test_a_list_of_types_in_a_variable_may_be_json(monkeypatch):
    monkeypatch.setenv("LINEAGE_ENABLED_OPERATION_TYPES", '["read", "write"]')
    assert LineageConfig().enabled_operation_types == ["read", "write"]


# Bad values


@pytest.mark.parametrize("name", BAD)
def test_bad_argument_names_setting_value_and_allowed(name):
    text = message(lambda: LineageConfig(**{name: BAD[name]}))
    told = "that is not shown" if name == "webhook_url" else repr(BAD[name])
    assert text.startswith(f"{name} has the value {told}; allowed is ")


@pytest.mark.parametrize(
    "name",
    [name for name in FLIPPED if name not in UNBOUNDED],
)
def test_bad_variable_is_named(name, monkeypatch):
    monkeypatch.setenv(f"LINEAGE_{name.upper()}", "{many")
    text = message(LineageConfig)
    told = "that is not shown" if name == "webhook_url" else "'{many'"
    assert text.startswith(f"LINEAGE_{name.upper()} has the value {told}; allowed is ")


def test_bad_short_variable_is_named_as_written(monkeypatch):
    monkeypatch.setenv("LINEAGE_TRACK_REPOS", "maybe")
    assert message(LineageConfig) == (
        "LINEAGE_TRACK_REPOS has the value 'maybe'; "
        "allowed is true or false (also yes/no, on/off, 1/0)"
    )


def test_all_bad_values_are_told_at_once():
    text = message(lambda: LineageConfig(max_graph_nodes="x", max_graph_depth=0))
    assert "max_graph_nodes has the value 'x'" in text
    assert "max_graph_depth has the value 0" in text


def test_bad_value_in_a_file_names_file_and_key(tmp_path):
    (tmp_path / "lineage.toml").write_text("max_graph_nodes = -1\n")
    assert "max_graph_nodes in lineage.toml has the value -1" in message(LineageConfig)
    (tmp_path / "lineage.toml").unlink()
    (tmp_path / "pyproject.toml").write_text("[tool.lineage]\nmax_graph_nodes = -1\n")
    where = f"max_graph_nodes in {tmp_path / 'pyproject.toml'} [tool.lineage] has the value -1"
    assert where in message(LineageConfig)


def test_unknown_key_names_the_near_ones(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("max_graph_node: 3\n")
    text = message(lambda: LineageConfig.from_file(path))
    assert text.startswith(
        f"unknown setting max_graph_node in {path}; did you mean max_graph_nodes"
    )
    assert "no setting has a similar name" in message(lambda: LineageConfig(zzz=1))


def test_a_file_that_is_no_configuration_is_told_so(tmp_path):
    (tmp_path / "lineage.json").write_text('{"nodes": [], "edges": []}')
    assert "lineage.json is read as a configuration; if it is not one, rename it" in message(
        LineageConfig
    )


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("a.json", "{", "cannot be parsed"),
        ("a.toml", "=", "cannot be parsed"),
        ("a.yaml", "a: [", "cannot be parsed"),
        ("a.json", "[1]", "must be a table of settings, not a list"),
        ("a.yaml", "1: 2", "unknown setting 1"),
        ("a.ini", "", "unknown format 'ini'; use json, toml or yaml"),
        ("pyproject.toml", "tool.lineage = 3", "[tool.lineage] must be a table"),
    ],
)
def test_file_that_cannot_be_used(name, text, part, tmp_path):
    (tmp_path / name).write_text(text)
    assert part in message(lambda: LineageConfig.from_file(tmp_path / name))


def test_file_that_is_not_text(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    assert "cannot be parsed" in message(lambda: LineageConfig.from_file(tmp_path / "a.json"))


def test_named_file_that_is_missing_names_the_variable(monkeypatch):
    monkeypatch.setenv("LINEAGE_CONFIG", "nowhere.toml")
    text = message(LineageConfig)
    assert text.startswith("cannot read configuration nowhere.toml (named by LINEAGE_CONFIG): No ")


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    text = message(lambda: LineageConfig().save_to_file(tmp_path / "file" / "a.json"))
    assert text.startswith("cannot write configuration")
    assert "unknown format" in message(lambda: LineageConfig().save_to_file(tmp_path / "a", "ini"))


def test_a_secret_in_a_value_is_not_told():
    text = message(lambda: LineageConfig(max_graph_nodes="postgresql://me:hunter2@db/x"))
    assert "hunter2" not in text
    assert "postgresql://" in text


def test_the_address_of_a_webhook_is_shown_nowhere():
    config = LineageConfig(webhook_url="https://hooks.example.org/T0-s3cret")
    assert "s3cret" not in repr(config)
    assert config.webhook_url == "https://hooks.example.org/T0-s3cret"
    text = message(lambda: LineageConfig(webhook_url="https://me:s3cret@hooks.example.org/"))
    assert "s3cret" not in text


def test_an_assigned_value_is_checked_too():
    config = LineageConfig()
    config.max_graph_nodes = 5
    assert config.max_graph_nodes == 5
    assert "max_graph_nodes has the value 'x'" in message(
        lambda: setattr(config, "max_graph_nodes", "x")
    )
    assert "unknown setting max_nodes" in message(lambda: setattr(config, "max_nodes", 1))


# Methods


def test_should_track_operation():
    config = LineageConfig(enabled_operation_types=["read", "publish"])
    assert config.should_track_operation(OperationType.READ)
    assert config.should_track_operation("publish")
    assert not config.should_track_operation(OperationType.WRITE)
    assert not LineageConfig(enabled=False).should_track_operation("read")


def test_repository_settings():
    config = LineageConfig(repository_settings={"bars": {"keep": 1}})
    assert config.get_repository_setting("bars", "keep") == 1
    assert config.get_repository_setting("bars", "drop") is None
    assert config.get_repository_setting("quotes", "keep", 3) == 3
    config.set_repository_setting("quotes", "keep", 4)
    assert config.get_repository_setting("quotes", "keep") == 4
    assert LineageConfig().repository_settings == {}


def test_store_url():
    assert LineageConfig().store_url == "lineage_data"
    assert LineageConfig(store="memory://").store_url == "memory://"
    assert LineageConfig(store=Path("/data")).store_url == "/data"
    assert LineageConfig(store="/data", enable_persistence=False).store_url == "memory://"


# validate


def test_nothing_is_wrong_with_the_defaults_and_nothing_is_created(tmp_path):
    assert LineageConfig().validate() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["base_path", "store"])
def test_a_path_below_a_file_is_an_issue(name, tmp_path):
    (tmp_path / "file").write_text("")
    issues = LineageConfig(**{name: tmp_path / "file" / "x"}).validate()
    assert issues == [
        f"{name}: {tmp_path / 'file' / 'x'} cannot be a folder, since {tmp_path / 'file'} is a file"
    ]
    assert LineageConfig(store=f"parquet://{tmp_path / 'file'}").validate() != []


def test_an_unwritable_folder_is_an_issue(tmp_path, monkeypatch):
    # Root may write anywhere, so the question itself is answered with no.
    monkeypatch.setattr(os, "access", lambda *_: False)
    issues = LineageConfig(base_path=tmp_path / "x").validate()
    assert issues == [
        f"base_path: {tmp_path / 'x'} cannot be written, since {tmp_path} is not writable"
    ]


def test_an_unknown_type_is_an_issue_with_a_hint():
    (issue,) = LineageConfig(enabled_operation_types=["read", "trasform"]).validate()
    assert "'trasform' is not one of the seven types; did you mean transform?" in issue
    (issue,) = LineageConfig(enabled_operation_types=["publish"]).validate()
    assert "the usual ones are read, write" in issue


def test_an_unknown_variable_is_an_issue(monkeypatch):
    monkeypatch.setenv("LINEAGE_MAX_GRAPH_NODE", "1")
    (issue,) = LineageConfig().validate()
    assert issue.startswith("environment variable LINEAGE_MAX_GRAPH_NODE is not read; did you mean")
    monkeypatch.delenv("LINEAGE_MAX_GRAPH_NODE")
    monkeypatch.setenv("LINEAGE_XYZ", "1")
    assert "no setting has a similar name" in LineageConfig().validate()[0]


def test_an_unknown_scheme_is_an_issue_without_its_secrets():
    (issue,) = LineageConfig(store="nosuch://me:hunter2@host/db").validate()
    assert "unknown scheme 'nosuch'" in issue
    assert "parquet" in issue
    assert "hunter2" not in issue


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Install a distribution that registers the schemes `good` and `bad`, as others would."""
    site = tmp_path / "site"
    info = site / "demo_stores-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo-stores\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[lineage.stores]\ngood = demo_stores:good\nbad = demo_stores:bad\n"
    )
    (site / "demo_stores.py").write_text(
        "class Store:\n    closed = 0\n    def close(self):\n        Store.closed += 1\n"
        "def good(url):\n    return Store()\n"
        "def bad(url):\n    raise OSError(f'no route to {url}')\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop("demo_stores", None)


@pytest.mark.usefixtures("plugin")
def test_a_store_that_cannot_be_reached_is_an_issue():
    assert LineageConfig(store="good://host").validate() == []
    assert sys.modules["demo_stores"].Store.closed == 1
    (issue,) = LineageConfig(store="bad://me:hunter2@host").validate()
    assert "cannot be reached: OSError: no route to bad://" in issue
    assert "hunter2" not in issue


# Schema, samples, the seed's snippets


def test_schema_in_config_is_that_of_the_code():
    assert json.loads((SAMPLES / "lineage.schema.json").read_text()) == LineageConfig.json_schema()


@pytest.mark.parametrize("name", ["lineage_config.json", "lineage.toml", "lineage.yaml"])
def test_samples_load_and_fit_the_schema(name):
    config = LineageConfig.from_file(SAMPLES / name).to_dict()
    schema = LineageConfig.json_schema()
    jsonschema.validate(config, schema)
    written = read_document(SAMPLES / name)
    jsonschema.validate(written, schema)
    assert len(written) >= 5
    folder = {"base_path": str(Path(written["base_path"]))}
    assert config == config | written | folder


def test_schema_refuses_what_the_code_refuses():
    for bad in ({"max_graph_nodes": 0}, {"nodes": 1}, {"freshness_hours": {"a": -1}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, LineageConfig.json_schema())


def test_sample_toml_is_that_of_the_code(tmp_path):
    text = (SAMPLES / "lineage.toml").read_text()
    assert create_sample_config_file(tmp_path / "a.toml").read_text() == text
    for name, setting in LineageConfig.model_fields.items():
        assert f"# {setting.description}\n" in text
        assert f"{name} = " in text or f"# [{name}" in text


def test_sample_toml_holds_when_its_comments_are_taken_away(tmp_path):
    told = {f"# {setting.description}" for setting in LineageConfig.model_fields.values()}
    lines = (SAMPLES / "lineage.toml").read_text().splitlines()[2:]
    live = [line.removeprefix("# ") for line in lines if line not in told]
    (tmp_path / "a.toml").write_text("\n".join(live))
    config = LineageConfig.from_file(tmp_path / "a.toml")
    assert config.store == "memory://"
    assert config.enabled_operation_types == ["read", "write", "transform"]
    assert config.freshness_hours["file:daily_*"] == 26
    assert config.freshness_hours["table:books_*"]["timezone"] == "Europe/Berlin"
    assert config.get_repository_setting("equity_bars", "track_all_operations") is True


def test_a_schema_key_in_a_file_is_fine(tmp_path):
    (tmp_path / "a.json").write_text('{"$schema": "./lineage.schema.json"}')
    assert LineageConfig.from_file(tmp_path / "a.json") == LineageConfig()


@pytest.mark.parametrize("suffix", ["json", "toml", "yaml"])
def test_a_sample_is_found_and_holds_the_defaults(suffix, tmp_path, monkeypatch):
    path = create_sample_config_file(tmp_path / f"lineage.{suffix}")
    assert LineageConfig.from_file(path) == LineageConfig() == LineageConfig.from_env()
    monkeypatch.setenv("LINEAGE_MAX_GRAPH_NODES", "7")
    create_sample_config_file(path)
    assert LineageConfig.from_file(path).max_graph_nodes == 1000


def test_the_seeds_snippets(tmp_path, monkeypatch):
    (tmp_path / "lineage_config.json").write_text((SAMPLES / "lineage_config.json").read_text())
    scope: dict = {}
    exec(
        "from pathlib import Path\n"
        "from lineage.config import LineageConfig\n"
        "# Load from file\n"
        'config = LineageConfig.from_file(Path("lineage_config.json"))\n',
        scope,
    )
    config = scope["config"]
    assert config.base_path == Path("data/lineage")
    assert config.enabled_operation_types == ["read", "write", "transform"]
    monkeypatch.setenv("LINEAGE_BASE_PATH", "/data/lineage")
    monkeypatch.setenv("LINEAGE_ENABLE_PERSISTENCE", "true")
    monkeypatch.setenv("LINEAGE_TRACK_REPOS", "true")
    monkeypatch.setenv("LINEAGE_MAX_GRAPH_NODES", "2000")
    config = LineageConfig.from_env()
    assert (config.base_path, config.max_graph_nodes) == (Path("/data/lineage"), 2000)
    assert get_config().validate() == []


def test_importing_lineage_does_not_import_the_configuration():
    code = (
        "import sys, lineage;"
        "print([n for n in sys.modules if 'pydantic' in n or n == 'lineage.config'])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# Calendars of sources

CALENDAR = """
[freshness_hours]
"api:*" = 1

[freshness_hours."file:daily_*"]
hours = 24
weekdays = "mon-fri"
holidays = [2026-12-25, "DE-BY"]
timezone = "Europe/Berlin"
"""
WRITTEN = {
    "api:*": 1.0,
    "file:daily_*": {
        "hours": 24.0,
        "weekdays": ["mon", "tue", "wed", "thu", "fri"],
        "holidays": ["2026-12-25", "DE-BY"],
        "timezone": "Europe/Berlin",
    },
}


def test_a_source_has_weekdays_holidays_and_a_zone_in_every_format(tmp_path):
    (tmp_path / "a.toml").write_text(CALENDAR)
    config = LineageConfig.from_file(tmp_path / "a.toml")
    assert config.freshness_hours == WRITTEN
    for suffix in ("json", "yaml", "toml"):
        config.save_to_file(tmp_path / f"b.{suffix}")
        assert LineageConfig.from_file(tmp_path / f"b.{suffix}") == config
    jsonschema.validate(config.to_dict(), LineageConfig.json_schema())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"hours": 24, "weekdays": "mon-fry"}, "weekdays has 'mon-fry'"),
        ({"hours": 24, "holiday": "DE"}, "unknown key 'holiday'"),
        ({"weekdays": "mon"}, "has no hours"),
        ({"hours": 0}, "has 0 hours; give more than 0"),
        ({"hours": 1, "holidays": "christmas"}, "holidays has 'christmas'"),
    ],
)
def test_what_is_wrong_in_a_calendar_is_named(tmp_path, table, said):
    with pytest.raises(ConfigError, match=r"freshness_hours has the value") as caught:
        LineageConfig(freshness_hours={"file:*": table})
    assert said in str(caught.value)
    assert "the limit 'file:*'" in str(caught.value)
    assert "allowed is a table of pattern = hours" in str(caught.value)


def test_the_schema_refuses_them_too():
    for table in ({"hours": 0}, {"weekdays": "mon"}, {"hours": 1, "holiday": "DE"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"freshness_hours": {"file:*": table}}, LineageConfig.json_schema())


def test_validate_looks_for_zones_and_holidays():
    known = {"hours": 1, "weekdays": "mon", "holidays": "DE", "timezone": "Europe/Berlin"}
    assert LineageConfig(freshness_hours={"file:*": known}).validate() == []
    odd = {"hours": 1, "holidays": "ZZ", "timezone": "Europe/Berlyn"}
    zone, days = LineageConfig(freshness_hours={"file:*": odd}).validate()
    assert zone.startswith("freshness_hours: 'file:*': the time zone 'Europe/Berlyn' is not known")
    assert "no holidays of 'ZZ' are known" in days


# Any table that is saved reads back the same

_text = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12
)
_value = st.one_of(st.booleans(), st.integers(-(2**53), 2**53), _text)


@settings(max_examples=40)
@given(
    suffix=st.sampled_from(["json", "toml", "yaml"]),
    repositories=st.dictionaries(_text, st.dictionaries(_text, _value, max_size=3), max_size=3),
    hours=st.dictionaries(_text, st.floats(0.01, 1e6), max_size=3),
)
def test_round_trip(suffix, repositories, hours, tmp_path_factory):
    path = tmp_path_factory.mktemp("round") / f"a.{suffix}"
    config = LineageConfig(repository_settings=repositories, freshness_hours=hours)
    config.save_to_file(path)
    assert LineageConfig.from_file(path) == config


def test_round_trip_control_catches_a_lossy_format(tmp_path):
    """A writer that loses the table of settings must fail the comparison of the round trip."""
    config = LineageConfig(repository_settings={"bars": {"keep": True}})
    lossy = {k: v for k, v in config.to_dict().items() if not isinstance(v, dict)}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(lossy))
    assert LineageConfig.from_file(tmp_path / "a.yaml") != config


# DATABASE_URL and lists of stores


def test_database_url_is_the_store_where_no_other_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    url = "postgres://me:hunter2@host/db"
    monkeypatch.setenv("DATABASE_URL", url)
    assert LineageConfig().store_url == url
    assert LineageConfig(store="mine").store_url == "mine"
    assert LineageConfig(base_path="mine").store_url == "mine"
    (tmp_path / "lineage.toml").write_text('base_path = "theirs"')
    assert LineageConfig().store_url == "theirs"
    monkeypatch.setenv("LINEAGE_STORE", "memory:")
    assert LineageConfig().store_url == "memory://"
    assert LineageConfig.from_env().store_url == "memory://"
    assert LineageConfig.from_file(tmp_path / "lineage.toml").store_url == "theirs"


@pytest.mark.parametrize("url", ["redis://host/0", "  ", "a path"])
def test_a_database_url_that_is_none_of_ours_is_left_alone(url, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", url)
    assert LineageConfig().store_url == "lineage_data"


def test_a_list_of_stores_is_a_tee(monkeypatch, tmp_path):
    assert LineageConfig(store=["a", "console:"]).store_url == "tee://a;console:"
    monkeypatch.setenv("LINEAGE_STORE", '["console:", "sqlite:///x.db"]')
    assert LineageConfig().store_url == "tee://console:;sqlite:///x.db"
    (tmp_path / "pyproject.toml").write_text('[tool.lineage]\nstore = ["data", "memory:"]')
    config = LineageConfig.from_file(tmp_path / "pyproject.toml")
    assert config.store_url == f"tee://{tmp_path}/data;memory:"
    with pytest.raises(ConfigError, match="or a list of them"):
        LineageConfig(store=[1])


def test_stores_of_a_tee_and_databases_are_looked_at(tmp_path):
    (tmp_path / "taken").write_text("a file")
    config = LineageConfig(
        store=[str(tmp_path / "taken"), "console:", "mysql://me:hunter2@127.0.0.1:1/db"]
    )
    folder, database = config.validate()
    assert "cannot be a folder" in folder
    assert "cannot be reached" in database
    assert "hunter2" not in database
