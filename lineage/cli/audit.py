"""The audit log of a store: audit init, checkpoint, prove, verify, pin."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import FINDING, command
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.cli.witness import WitnessKeys, WitnessPlaces, ask_witnesses, witnesses_of
from lineage.errors import AuditError
from lineage.redact import redact_text

if TYPE_CHECKING:
    from lineage.audit.files import LogFiles
    from lineage.audit.lookup import Found
    from lineage.audit.notes import SigningKey, VerifierKey
    from lineage.audit.verifying import Finding, Pin, Verified

KeyPath = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="The file of the signing key; else LINEAGE_SIGNING_KEY or your settings have it.",
    ),
]
Name = Annotated[
    str | None,
    typer.Option("--name", help="What the log is called, such as example.com/lineage."),
]
RecordId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The id of an operation, a run, a product or another record that is sealed, or the "
        "SHA-256 of a snapshot or an attestation; "
        "with --record, the leaf of that.",
    ),
]
RecordFile = Annotated[
    Path | None,
    typer.Option("--record", metavar="FILE", help="The bytes of the record that was logged."),
]
EventTime = Annotated[
    int, typer.Option("--event-time", help="When it happened, in microseconds since 1970.")
]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="The file to write.")]
ProofFile = Annotated[
    Path | None, typer.Option("--proof", metavar="FILE", help="A .tlog-proof of the record.")
]
HandoverFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--handover",
        metavar="FILE",
        help="With --proof, what audit rotate -o wrote: it leads from the key to the one that "
        "signs since; repeatable.",
    ),
]
PinFile = Annotated[
    Path | None,
    typer.Option("--pin", metavar="CHECKPOINT", help="A checkpoint that was seen before."),
]
PublicKey = Annotated[
    str | None, typer.Option("--log-key", metavar="KEY", help="The key with which the log began.")
]
Witnesses = Annotated[
    list[str] | None,
    typer.Option("--witness", metavar="KEY", help="The key of a known witness; repeatable."),
]
Quorum = Annotated[
    int, typer.Option("--quorum", help="How many witnesses must have seen a checkpoint.")
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        "--against", metavar="STORE", help="Another store that must be the same; repeatable."
    ),
]
GitNote = Annotated[
    bool,
    typer.Option(
        "--git-note", help="Put the checkpoint on the current commit.", show_default=False
    ),
]


def register(app: typer.Typer) -> typer.Typer:
    """Add the commands, and give their group."""
    group = typer.Typer(
        help="A signed log that shows when something of it was changed.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    command(group)(init)
    command(group)(checkpoint)
    command(group)(prove)
    command(group)(verify)
    command(group)(pin)
    app.add_typer(group, name="audit")
    return group


def init(session: Session, key: KeyPath = None, name: Name = None) -> None:
    """Begin the audit log of a store, with a new key or the one that is given."""
    from lineage.audit.ledger import begin_log
    from lineage.audit.pins import save_pin

    folder = _folder(session)
    log_id = secrets.token_hex(8)
    signing, kept = _first_key(log_id, key, name)
    log = begin_log(folder, signing, log_id=log_id)
    facts = [
        ("log", log_id),
        ("key", str(signing.verifier)),
        ("signed by", str(kept or "LINEAGE_SIGNING_KEY")),
        ("pin", str(save_pin(log.files))),
    ]
    note(
        "give the key to those who are to verify the log: who has only the store has to believe it"
    )
    show_exposed(session, dict(facts), verified(log.files), facts)


def checkpoint(
    session: Session,
    key: KeyPath = None,
    git_note: GitNote = False,
    witness: WitnessPlaces = None,
    witness_key: WitnessKeys = None,
) -> None:
    """Sign the log as it is now, once it has been verified, and have witnesses cosign that.

    So are the files of the store, by their digests; verify reads each row, too.
    """
    from lineage.audit.commit_notes import current_commit, save_note
    from lineage.audit.keys import load_key
    from lineage.audit.log import AuditLog
    from lineage.audit.pins import save_pin

    asked = witnesses_of(witness, witness_key)
    files = sound_log(session)
    commit = current_commit(Path.cwd()) if git_note else None
    AuditLog(files.folder).checkpoint(load_key(files.log_id, key))
    save_pin(files)
    ask_witnesses(AuditLog(files.folder), asked)
    save_pin(files)
    signed = files.checkpoint.read_text(encoding="utf-8")
    data: dict[str, Any] = {"checkpoint": signed}
    if commit is not None:
        data |= {"commit": commit, "notes": save_note(Path.cwd(), files, commit)}
        note(f"the checkpoint is on commit {commit[:12]}: git notes --ref={data['notes']} show")
    trusted = _Trusted(None, [each for _, each in asked], 0, None)
    show_exposed(session, data, verified(files, trusted), signed)


def prove(
    session: Session,
    record_id: RecordId,
    record: RecordFile = None,
    event_time: EventTime = 0,
    output: Output = None,
) -> None:
    """Write a proof of a record, which a stranger verifies without the log, and the record.

    The record is written beside the proof, as the JSON text that was logged.
    """
    from lineage.audit.proofs import prove as prove_record

    files = log_of(session)
    found = _logged(session, record_id, record, event_time)
    proof = bytes(prove_record(files, found.head, found.leaf, found.record))
    file = output or Path(f"{record_id.replace('/', '_')}.tlog-proof")
    file.write_bytes(proof)
    text = record or file.with_suffix(".json")
    if record is None:
        text.write_bytes(found.record.data)
    data = {"file": str(file), "record": str(text), "bytes": len(proof), "leaf": found.leaf}
    show_exposed(session, data, verified(files), f"{file}\n{text}\n")


def _logged(session: Session, record_id: str, record: Path | None, event_time: int) -> Found:
    """Find a record by its id, or by its leaf when its bytes are given."""
    from lineage.audit.entries import Head, Record
    from lineage.audit.lookup import Found, find_record

    if record is None:
        return find_record(_folder(session), record_id)
    if not record_id.isascii() or not record_id.isdigit():
        raise AuditError(f"{record_id!r} is no leaf; with --record, give the number of the leaf")
    leaf = int(record_id)
    heads = map(Head.parse, log_of(session).lines())
    head = next((each for each in heads if each.first < leaf < each.end), None)
    if head is None:
        raise AuditError(f"leaf {leaf} is no record; records follow the leaves of their appends")
    return Found(Record(record.read_bytes(), event_time), head, leaf)


def verify(
    session: Session,
    proof: ProofFile = None,
    record: RecordFile = None,
    handover: HandoverFiles = None,
    pin_file: PinFile = None,
    log_key: PublicKey = None,
    witness: Witnesses = None,
    quorum: Quorum = 0,
    against: Against = None,
) -> None:
    """Verify the log and every byte that the store has sealed, or a proof without them.

    A database or a bucket is proven by holding it against a store with a log. The exit code is 1
    when something is wrong.
    """
    from lineage.audit.notes import parse_vkey

    trusted = _Trusted(
        None if log_key is None else parse_vkey(log_key),
        [parse_vkey(each) for each in witness or ()],
        quorum,
        pin_file,
    )
    if proof is not None:
        handovers = [each.read_bytes() for each in handover or ()]
        _verify_proof(session, proof, record, trusted, handovers)
        return
    if handover:
        raise AuditError("--handover goes with --proof; the log itself has its hand-overs")
    files = log_of(session)
    found = _audited(files, trusted)
    for each in against or ():
        found.findings += _held_against(session, files, each)
    _show_findings(session, found)
    if not found.is_sound:
        raise typer.Exit(FINDING)
    if pin_file is None:
        _pin_again(files)


def pin(session: Session, output: Output = None) -> None:
    """Remember the newest checkpoint, or write it into a file to keep elsewhere.

    Who has the key can write another history. Only a checkpoint from before shows that.
    """
    from lineage.audit.pins import save_pin

    files = log_of(session)
    found = verified(files)
    if not found.is_sound:
        _show_findings(session, found)
        note("nothing is pinned that does not verify")
        raise typer.Exit(FINDING)
    file = output or save_pin(files)
    if output is not None:
        output.write_bytes(files.checkpoint.read_bytes())
    show_exposed(session, {"file": str(file)}, verified(files), f"{file}\n")


@dataclass(frozen=True, slots=True)
class _Trusted:
    """What is believed because it came from elsewhere."""

    key: VerifierKey | None
    witnesses: list[VerifierKey]
    quorum: int
    pin: Path | None


_NOTHING = _Trusted(None, [], 0, None)


def _folder(session: Session) -> Path:
    folder = session.folder()
    if folder is None:
        raise AuditError(f"{session.url} is no folder; only stores in a folder have an audit log")
    return folder


def log_of(session: Session) -> LogFiles:
    """Give the log of a store.

    Raises:
        AuditError: There is none.
    """
    from lineage.audit.files import FOLDER, LogFiles

    files = LogFiles(_folder(session) / FOLDER)
    if not files.is_there():
        raise AuditError(f"there is no log at {files.folder}; run: lineage audit init")
    return files


def sound_log(session: Session) -> LogFiles:
    """Give the log of a store, of which nothing but the end may be unfinished.

    The files of the store are compared by their digests, and not each row with its leaf.
    """
    files = log_of(session)
    found = _audited(files, _NOTHING, rows=False)
    if any(each.kind != "unfinished" for each in found.findings):
        _show_findings(session, found)
        note("nothing is signed that does not verify")
        raise typer.Exit(FINDING)
    return files


def _first_key(log_id: str, path: Path | None, name: str | None) -> tuple[SigningKey, Path | None]:
    """Give the key that is there, else a new one; and the file of it."""
    import os

    from lineage.audit.keys import VARIABLE, key_path, load_key, save_key
    from lineage.audit.notes import SigningKey

    if os.environ.get(VARIABLE, "").strip() or (path is not None and path.exists()):
        signing = load_key(log_id, path)
        if name is not None and name != signing.name:
            raise AuditError(f"the key is of {signing.name!r}, and the log cannot be {name!r}")
        return signing, path
    signing = SigningKey.generate(name or f"lineage/{log_id}")
    kept = path or key_path(log_id)
    save_key(signing, kept)
    return signing, kept


def verified(files: LogFiles, trusted: _Trusted = _NOTHING) -> Verified:
    """Verify a log, with what this user has seen of it before unless another pin is named."""
    from lineage.audit.verifying import verify_log

    return verify_log(
        files.folder,
        pin=_pin_of(files, trusted),
        key=trusted.key,
        witnesses=trusted.witnesses,
        quorum=trusted.quorum,
    )


def _audited(files: LogFiles, trusted: _Trusted, *, rows: bool = True) -> Verified:
    from lineage.audit.auditing import verify_store

    return verify_store(
        files.folder.parent,
        pin=_pin_of(files, trusted),
        key=trusted.key,
        witnesses=trusted.witnesses,
        quorum=trusted.quorum,
        rows=rows,
    )


def _held_against(session: Session, files: LogFiles, url: str) -> list[Finding]:
    """Hold another store against the one that has the log."""
    from dataclasses import replace

    from lineage.audit.against import verify_against

    other = replace(session, store=url)
    store = other.open()
    try:
        with session.working("comparing") as bar:
            found = verify_against(
                files.folder.parent,
                store,
                redact_text(url),
                progress=bar.counting("comparing", "stretches of dates"),
            )
        if not found:
            note(f"{redact_text(url)} is the same")
        return found
    finally:
        store.close()


def _pin_of(files: LogFiles, trusted: _Trusted) -> Pin | None:
    from lineage.audit.pins import find_pin
    from lineage.audit.verifying import Pin

    if trusted.pin is None:
        return find_pin(files)
    return Pin(str(trusted.key or files.key), trusted.pin.read_bytes())


def _pin_again(files: LogFiles) -> None:
    from lineage.audit.pins import save_pin

    try:
        save_pin(files)
    except AuditError as error:
        note(f"warning: what was seen is not remembered: {error}")


def _verify_proof(
    session: Session, proof: Path, record: Path | None, trusted: _Trusted, handovers: list[bytes]
) -> None:
    from lineage.audit.proofs import verify_proof

    if record is None or trusted.key is None:
        raise AuditError("a proof is verified with --record FILE and --log-key KEY")
    found = verify_proof(
        proof.read_bytes(),
        record.read_bytes(),
        trusted.key,
        handovers=handovers,
        witnesses=trusted.witnesses,
        quorum=trusted.quorum,
    )
    facts: list[tuple[str, Any]] = [
        ("leaf", found.index),
        ("kind", found.kind),
        ("recorded", _time(found.recorded_at)),
        ("happened", _time(found.event_time)),
        ("log", found.opened.checkpoint.origin),
        ("leaves", found.opened.checkpoint.size),
        ("signed by", str(found.key)),
        ("witnesses", ", ".join(found.opened.cosigned) or "none"),
    ]
    session.show(dict(facts), Table(("proven", ""), facts))
    if not found.opened.cosigned:
        note("exposure: no witness saw this checkpoint; who has the key may have signed another")


def show_exposed(
    session: Session, data: dict[str, Any], found: Verified, told: str | list[tuple[str, str]]
) -> None:
    """Write an answer, and what of the log could still be changed unseen."""
    part = told if isinstance(told, str) else Table(("what", "value"), told)
    session.show({**data, "exposure": _exposure(found)}, part)
    _say_exposure(found)


def _show_findings(session: Session, found: Verified) -> None:
    data = {
        "is_sound": found.is_sound,
        "findings": [each._asdict() for each in found.findings],
        "notes": found.notes,
        "leaves": found.size,
        "records": found.records,
        "exposure": _exposure(found),
    }
    rows = [tuple(each) for each in found.findings]
    empty = f"the log is sound: {found.size} leaves"
    if found.records is not None:
        empty += f", and the store is what was logged: {found.records} rows"
    session.show(data, Table(("damage", "where", "what"), rows, empty=empty))
    for each in found.notes:
        note(f"note: {each}")
    _say_exposure(found)


def _exposure(found: Verified) -> dict[str, Any]:
    """Say what could still be changed unseen, and since when."""
    return {
        "unsigned_leaves": found.size - (found.checkpoint.size if found.checkpoint else 0),
        "unsigned_since": _time(found.unsigned_since),
        "unwitnessed_leaves": found.size - (found.witnessed.size if found.witnessed else 0),
        "unwitnessed_since": _time(found.unwitnessed_since),
        "cosigned": {
            name: {"leaves": size, "at": _time(seconds * 10**6)}
            for name, (size, seconds) in sorted(found.cosigned.items())
        },
        "pinned_leaves": found.pinned,
    }


def _say_exposure(found: Verified) -> None:
    told = _exposure(found)
    unsigned, open_leaves = told["unsigned_leaves"], told["unwitnessed_leaves"]
    since = f" since {told['unsigned_since']}" if unsigned else ""
    note(f"exposure: {unsigned} leaves{since} are not signed, and anyone can change them")
    pinned = f"the first {found.pinned} are pinned" if found.pinned else "none is pinned"
    since = f" since {told['unwitnessed_since']}" if open_leaves else ""
    note(
        f"exposure: {open_leaves} leaves{since} were seen by no known witness, and who has the "
        f"key can change them; {pinned}"
    )
    for name, saw in told["cosigned"].items():
        note(f"witness {name} saw the first {saw['leaves']} leaves at {saw['at']}")


def _time(micros: int | None) -> str | None:
    if micros is None:
        return None
    try:
        return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return str(micros)
