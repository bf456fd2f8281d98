"""The key of an audit log: audit rotate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lineage.cli.audit import KeyPath, Output, show_exposed, sound_log, verified
from lineage.cli.command import command
from lineage.cli.output import note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations

NewKey = Annotated[
    Path | None,
    typer.Option(
        "--new-key",
        metavar="FILE",
        help="A file for the new key, or of it; else it takes the place of the old one.",
    ),
]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    command(group)(rotate)


def rotate(
    session: Session, key: KeyPath = None, new_key: NewKey = None, output: Output = None
) -> None:
    """Hand the log over to a new key, which the old one signs too; -o writes that hand-over.

    Run it again if it was cut short: it goes on where it ended.
    """
    from lineage.audit import rotating
    from lineage.audit.log import AuditLog
    from lineage.audit.pins import save_pin

    files = sound_log(session)
    done = rotating.rotate(AuditLog(files.folder), key, new_path=new_key)
    if output is not None:
        output.write_text(done.handover, encoding="utf-8")
    save_pin(files)
    facts = [("key", str(done.key)), ("signed by", str(done.path))]
    if done.former is not None:
        facts.append(("former key", str(done.former)))
    note(
        "give the hand-over, or the key, to those who verify proofs: from here on it is the one "
        "that signs"
    )
    if new_key is not None:
        note(f"name the new key from now on: LINEAGE_SIGNING_KEY={done.path}, or --key")
    show_exposed(session, {**dict(facts), "handover": done.handover}, verified(files), facts)
