"""The server of a team: serve, token create, token list, token revoke."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import command
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from lineage.server.access import Access

Database = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="PATH_OR_URL", help="Of the registry; else LINEAGE_DATASETS."
    ),
]
Blobs = Annotated[
    str | None,
    typer.Option("--blobs", metavar="PATH_OR_URL", help="Folder or bucket for the bytes."),
]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose data the key opens.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app)(serve)
    group = typer.Typer(help="Keys of the server.", no_args_is_help=True, rich_markup_mode=None)
    command(group)(create)
    command(group, name="list")(list_keys)
    command(group)(revoke)
    app.add_typer(group, name="token")


def serve(
    session: Session,
    host: Annotated[str | None, typer.Option(help="Where to listen; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(help="8080 by default.")] = None,
    database: Database = None,
    blobs: Blobs = None,
) -> None:
    """Serve datasets and models to a team, until it is told to end.

    The first time it tells the key of an admin, once.
    """
    settings = _settings(host=host, port=port, database=database, blobs=blobs)
    from lineage.server.serving import serve as run

    run(settings, typer.echo)


def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="Who or what it is for.")],
    role: Annotated[str, typer.Option(help="viewer, writer, maintainer or admin.")] = "viewer",
    days: Annotated[int | None, typer.Option(min=1, help="How long it is valid.")] = None,
    tenant: Tenant = "default",
    database: Database = None,
) -> None:
    """Make a key, and tell it once."""
    access = _access(database)
    from lineage.server.access import Role

    if role not in Role.__members__:
        known = ", ".join(Role.__members__)
        raise ConfigError(f"there is no role {role!r}; the roles are {known}")
    end = None if days is None else datetime.now(UTC) + timedelta(days=days)
    key, text = access.create(tenant, name, Role[role], expires_at=end)
    note("keep it: nobody can tell it again")
    session.show({"id": key.id, "key": text}, f"{text}\n")


def list_keys(session: Session, tenant: Tenant = "default", database: Database = None) -> None:
    """List the keys of a tenant; of none its text."""
    rows: list[tuple[Any, ...]] = [
        (key.id, key.name, key.role.name, key.created_at, key.expires_at, key.revoked_at)
        for key in _access(database).list(tenant)
    ]
    names = ("id", "name", "role", "created", "expires", "revoked")
    data = [dict(zip(names, row, strict=True)) for row in rows]
    session.show(data, Table(names, rows, empty=f"the tenant {tenant} has no key"))


def revoke(
    session: Session,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` tells it.")],
    tenant: Tenant = "default",
    database: Database = None,
) -> None:
    """Take a key back, at once and for good."""
    _access(database).revoke(tenant, key_id)
    session.show({"revoked": key_id}, f"{key_id} opens nothing any more\n")


def _access(database: str | None) -> Access:
    settings = _settings(database=database)
    from lineage.server.service import Service

    return Service(settings).access


def _settings(**given: Any) -> Any:
    from importlib.util import find_spec

    if find_spec("fastapi") is None:
        raise MissingDependencyError(
            "the server needs FastAPI; pip install 'track-lineage[server]'"
        )
    from lineage.server.settings import ServerSettings

    return ServerSettings(**{name: value for name, value in given.items() if value is not None})
