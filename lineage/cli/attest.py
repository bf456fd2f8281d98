"""Provenance of a data product for a stranger: audit attest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lineage.cli.audit import KeyPath, Output, log_of
from lineage.cli.command import command
from lineage.cli.output import note
from lineage.cli.product import Asked, Version  # noqa: TC001 - typer reads the annotations
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import AuditError

if TYPE_CHECKING:
    from lineage.audit.files import LogFiles
    from lineage.audit.notes import SigningKey
    from lineage.query import LineageQueryEngine

FilePath = Annotated[
    Path | None,
    typer.Option("--file", metavar="PATH", help="Where it is now, if not where it was registered."),
]
Builder = Annotated[
    str | None,
    typer.Option("--builder", metavar="URI", help="Who vouches for it; else the log by its id."),
]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    command(group)(attest)


def attest(
    session: Session,
    name: Asked,
    *,
    version: Version = None,
    file: FilePath = None,
    builder: Builder = None,
    key: KeyPath = None,
    output: Output = None,
) -> None:
    """Sign where a data product comes from: an in-toto statement of SLSA provenance, in DSSE.

    It is kept in the store, and in its log under the SHA-256 of the envelope; audit prove finds it.
    """
    from lineage.attesting import PAYLOAD_TYPE
    from lineage.audit.attestations import keep
    from lineage.audit.envelope import seal
    from lineage.audit.log import AuditLog
    from lineage.audit.pins import save_pin

    files = log_of(session)
    signing = _signing(files, key)
    vouching = builder or f"urn:track-lineage:log:{files.log_id}"
    payload = session.ask(lambda engine: _statement(engine, name, version, file, vouching))
    envelope = seal(PAYLOAD_TYPE, payload, signing)
    known = keep(files.folder.parent, envelope)
    AuditLog(files.folder).checkpoint(signing)
    save_pin(files)
    for each in json.loads(payload)["subject"]:
        note(f"{each['digest']['sha256']}  {each['name']}")
    note(f"signed by {signing.verifier}")
    note(f"it is in the log: lineage audit prove {known}")
    if output is not None:
        output.write_bytes(envelope)
    session.show(json.loads(envelope), f"{output}\n" if output else envelope.decode())


def _statement(
    engine: LineageQueryEngine, name: str, version: str | None, file: Path | None, builder: str
) -> bytes:
    from lineage.attesting import statement
    from lineage.errors import NodeNotFoundError

    product = engine.product(name, version)
    recipe = engine.recipe(product["product_id"])
    runs = {each["run_id"]: each for each in engine.get_runs()}
    parents = []
    for parent in product["parents"]:
        if parent.startswith("product:"):
            try:
                parents.append(engine.product(parent))
            except NodeNotFoundError:
                continue  # it is named without a digest
    run = runs.get(product["invocation"]["run_id"] or "")
    return statement(product, recipe, run, builder=builder, parents=parents, file=file)


def _signing(files: LogFiles, path: Path | None) -> SigningKey:
    from lineage.audit.handover import keys_of
    from lineage.audit.keys import load_key

    signing = load_key(files.log_id, path)
    now = keys_of(line for line in files.lines() if line.endswith(b"\n"))[-1].key
    if signing.verifier != now:
        raise AuditError(f"the signing key is not the one of this log, {now}; name that by --key")
    return signing
