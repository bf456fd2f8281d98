"""Documents that a command writes to a file or to stdout."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from lineage.cli.output import note

if TYPE_CHECKING:
    from pathlib import Path

    from lineage.cli.session import Session

F = TypeVar("F", bound=StrEnum)
_BY_SUFFIX = {"gv": "dot", "htm": "html", "mmd": "mermaid", "txt": "text", "markdown": "md"}


def format_for(
    session: Session, chosen: F | None, *, output: Path | None, formats: type[F], default: F
) -> F:
    """Choose the format: what was asked for, else by the file's suffix, else the default."""
    if chosen is not None and output is None and session.as_json:
        raise typer.BadParameter("--json writes data; leave --format out, or give -o FILE as well")
    if chosen is not None or output is None:
        return chosen or default
    suffix = output.suffix.lstrip(".").lower()
    name = _BY_SUFFIX.get(suffix, suffix)
    if name not in [each.value for each in formats]:
        allowed = ", ".join(each.value for each in formats)
        raise typer.BadParameter(
            f"the suffix of {output} names no format; give --format, one of {allowed}"
        )
    return formats(name)


def deliver(session: Session, content: Any, *, form: str, output: Path | None) -> None:
    """Write content to the file and say so, or to stdout; in JSON, as the document's data."""
    if output is not None:
        size = _write(content, output)
        if session.as_json:
            session.show({"file": str(output), "format": str(form), "size_bytes": size})
        else:
            note(f"wrote {output} ({size:,} bytes)")
    elif session.as_json:
        session.show(content)
    elif isinstance(content, bytes):
        if sys.stdout.isatty():
            raise typer.BadParameter(f"{form} is no text; give -o FILE")
        sys.stdout.buffer.write(content)
    else:
        session.show(None, content)


def _write(content: str | bytes, output: Path) -> int:
    data = content.encode() if isinstance(content, str) else content
    try:
        output.write_bytes(data)
    except OSError as error:
        raise typer.BadParameter(f"cannot write {output}: {error.strerror}") from error
    return len(data)
