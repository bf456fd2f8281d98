"""Settings: init, config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lineage.cli.command import FINDING, command
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.redact import redact_text
from lineage.webhook import Webhook


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app)(init)
    group = typer.Typer(
        help="Show, check and describe the settings.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    command(group)(show)
    command(group)(validate)
    command(group)(schema)
    command(group)(sample)
    app.add_typer(group, name="config")


Target = Annotated[
    Path, typer.Argument(metavar="[FILE]", help="A .toml, .yaml or .json file to write.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]


def init(
    session: Session,
    file: Target = Path("lineage.toml"),
    *,
    force: Force = False,
) -> None:
    """Write a sample configuration and say what is next."""
    _write_sample(file, force=force)
    session.show({"file": str(file), "store": redact_text(session.url)}, str(file))
    note(
        f"Wrote {file}. Next:\n"
        '  in your program: import lineage; lineage.init(), then with lineage.track("name"):\n'
        "  or decorate its functions with @track_lineage(operation_type=...)\n"
        "  then ask: lineage log, lineage graph, lineage stale"
    )


def sample(
    session: Session,
    file: Target = Path("lineage.toml"),
    *,
    force: Force = False,
) -> None:
    """Write a sample configuration.

    The suffix of the file says the format.
    """
    _write_sample(file, force=force)
    session.show({"file": str(file)}, str(file))


def show(session: Session) -> None:
    """Show the settings beside their defaults."""
    config = session.config
    defaults = type(config).model_construct().to_dict()
    settings = {
        name: redact_text(value) if isinstance(value, str) else value
        for name, value in config.to_dict().items()
    }
    if config.webhook_url:
        settings["webhook_url"] = str(Webhook(config.webhook_url))
    rows = [
        (name, json.dumps(value), json.dumps(defaults[name])) for name, value in settings.items()
    ]
    session.show(settings, Table(("setting", "value", "default"), rows))


def validate(session: Session) -> None:
    """Check the settings, at run time too.

    The exit code is 1 when something is found.
    """
    issues = [redact_text(issue) for issue in session.config.validate()]
    rows = [(issue,) for issue in issues]
    session.show({"issues": issues}, Table(("issue",), rows, empty="no issues"))
    if issues:
        raise typer.Exit(FINDING)


def schema(session: Session) -> None:
    """Write the JSON Schema of a configuration file."""
    from lineage.config import LineageConfig

    found = LineageConfig.json_schema()
    session.show(found, json.dumps(found, indent=2))


def _write_sample(file: Path, *, force: bool) -> None:
    from lineage.config import create_sample_config_file

    if file.exists() and not force:
        raise typer.BadParameter(f"{file} is there already; give --force to overwrite it")
    create_sample_config_file(file)
