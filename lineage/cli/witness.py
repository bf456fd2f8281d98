"""A witness of audit logs: audit witness init, serve, drop; and how a log asks one."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lineage.cli.command import command
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.audit.log import AuditLog
    from lineage.audit.notes import VerifierKey
    from lineage.audit.witness import Witness

    Asked = list[tuple[str, VerifierKey]]

WitnessPlaces = Annotated[
    list[str] | None,
    typer.Option(
        "--witness", metavar="URL|FOLDER", help="A witness that is to cosign it; repeatable."
    ),
]
WitnessKeys = Annotated[
    list[str] | None,
    typer.Option("--witness-key", metavar="KEY", help="Its key; one for each, in their order."),
]
Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Where the witness keeps what it has seen.")
]
Drop = Annotated[
    Path, typer.Argument(metavar="DROP", help="The folder of the requests and answers.")
]
WitnessKey = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="The file of its key; else it is in the folder."),
]
Logs = Annotated[
    list[str], typer.Option("--log", metavar="KEY", help="The key of a log; repeatable.")
]
WitnessName = Annotated[
    str, typer.Option("--name", help="What it is called, such as witness.example/one.")
]
Listen = Annotated[
    str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen, without TLS.")
]
Every = Annotated[
    float | None,
    typer.Option("--every", metavar="SECONDS", help="Go on, and look again so often."),
]

_KEY = "key"


def register(group: typer.Typer) -> None:
    """Add the commands."""
    witness = typer.Typer(
        help="Cosign the checkpoints of logs, each of which goes on from the one before.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    command(witness)(init)
    command(witness)(serve)
    command(witness)(drop)
    group.add_typer(witness, name="witness")


def init(session: Session, folder: Folder, name: WitnessName, key: WitnessKey = None) -> None:
    """Make the key of a witness, which only its owner can read."""
    from lineage.audit.keys import save_key
    from lineage.audit.notes import COSIGNATURE, SigningKey

    signing = SigningKey.generate(name, COSIGNATURE)
    file = key or folder / _KEY
    save_key(signing, file)
    facts = [("key", str(signing.verifier)), ("signed by", str(file))]
    note("give the key to those whose logs it is to witness, and to those who verify them")
    session.show(dict(facts), Table(("what", "value"), facts))


def serve(
    session: Session,
    folder: Folder,
    log: Logs,
    listen: Listen = "127.0.0.1:8471",
    key: WitnessKey = None,
) -> None:
    """Answer POST /add-checkpoint, as C2SP's tlog-witness says, until it is ended."""
    from lineage.audit.witness_server import WitnessServer

    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise AuditError(f"{listen!r} is no place to listen at; give HOST:PORT")
    with _told(), WitnessServer((host, int(port)), _witness(folder, key, log)) as server:
        place = f"http://{host}:{server.server_port}"
        note(f"witness {server.witness.key.verifier} listens at {place}")
        server.serve_forever()


def drop(
    session: Session,
    folder: Folder,
    drop: Drop,
    log: Logs,
    every: Every = None,
    key: WitnessKey = None,
) -> None:
    """Answer the requests that logs have put into a folder."""
    from lineage.audit.witness_drop import answer_drop

    witness = _witness(folder, key, log)
    rows = []
    while True:
        for name, answer in answer_drop(witness, drop):
            said = "" if answer.status == 200 else answer.body.decode("utf-8", "replace").strip()
            if every is None:
                rows.append((name, answer.status, said))
            else:
                note(f"{name}: {answer.status} {said}".rstrip())
        if every is None:
            break
        time.sleep(every)
    told = [{"request": name, "status": status, "said": said} for name, status, said in rows]
    session.show(told, Table(("request", "status", "said"), rows, empty="nothing was asked"))


def witnesses_of(places: list[str] | None, keys: list[str] | None) -> Asked:
    """Pair the witnesses that are named with their keys.

    Raises:
        AuditError: One has no key, or what is given is none.
    """
    from lineage.audit.notes import COSIGNATURE, parse_vkey

    asked = [*map(parse_vkey, keys or ())]
    if len(asked) != len(places or ()):
        raise AuditError("name the key of each --witness by a --witness-key: others do not count")
    for each in asked:
        if each.kind != COSIGNATURE:
            raise AuditError(f"{each} is not the key of a witness")
    return list(zip(places or (), asked, strict=True))


def ask_witnesses(log: AuditLog, asked: Asked) -> None:
    """Have the newest checkpoint cosigned by each witness.

    Raises:
        AuditError: Not all have done so; those that have are kept.
    """
    from lineage.audit.asking import have_cosigned

    failed = []
    for place, key in asked:
        try:
            have_cosigned(log, place, key)
        except AuditError as error:
            failed.append(str(error))
    if failed:
        raise AuditError(f"the checkpoint is signed, but {'; '.join(failed)}")


class _Notes(logging.Handler):
    """Writes what is logged to stderr, at once."""

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


@contextmanager
def _told() -> Iterator[None]:
    """Say what the server logs while it works, and not when it has ended."""
    log, notes = logging.getLogger("lineage.audit.witness"), _Notes()
    before = log.level, log.propagate
    log.addHandler(notes)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(notes)
        log.setLevel(before[0])
        log.propagate = before[1]


def _witness(folder: Path, key: Path | None, logs: list[str]) -> Witness:
    from lineage.audit.keys import load_key
    from lineage.audit.notes import parse_vkey
    from lineage.audit.witness import Witness

    signing = load_key("", key or folder / _KEY)
    return Witness(folder, signing, map(parse_vkey, logs))
