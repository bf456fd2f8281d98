"""What every command shares: its options, where it finds the store, how it ends."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from lineage import __version__
from lineage.cli.moments import moment
from lineage.cli.output import Warnings, note
from lineage.cli.session import Session
from lineage.errors import (
    LineageError,
    NodeNotFoundError,
    OperationError,
    SnapshotNotFoundError,
    StoreError,
    UnknownArtefactError,
    UnknownKeyError,
    UnknownVersionError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FINDING = 1
NOT_FOUND = 3
STORE_BROKEN = 4
_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (NodeNotFoundError, NOT_FOUND),
    (OperationError, NOT_FOUND),
    (SnapshotNotFoundError, NOT_FOUND),
    (UnknownArtefactError, NOT_FOUND),
    (UnknownVersionError, NOT_FOUND),
    (UnknownKeyError, NOT_FOUND),
    (StoreError, STORE_BROKEN),
    (LineageError, 2),
    (OSError, STORE_BROKEN),
)
_INTERRUPTED = 128 + 2
_BROKEN_PIPE = 128 + 13

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH_OR_URL",
        help="The store to ask; else LINEAGE_STORE or the configuration says.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Write one JSON document.", show_default=False)
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        parser=moment,
        metavar="TIME",
        help="Only what had begun by then: a date (its first moment, UTC), a time, or 2h, 3d ago.",
        show_default=False,
    ),
]
KnownAtOption = Annotated[
    datetime | None,
    typer.Option(
        "--known-at",
        parser=moment,
        metavar="TIME",
        help="Only what was recorded by then.",
        show_default=False,
    ),
]
VersionOption = Annotated[
    bool, typer.Option("--version", help="Write the version and exit.", is_eager=True)
]

_PAST: dict[str, Any] = {"as_of": AsOfOption, "known_at": KnownAtOption}

app = typer.Typer(
    name="lineage",
    help="Ask recorded data lineage: what came from what, what breaks, what is stale or slow.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 something found, 2 usage, 3 not found, 4 store.",
)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    store: StoreOption = None,
    as_json: JsonOption = False,
    version: VersionOption = False,
) -> None:
    """Keep what stands before the command for it."""
    context.obj = Session(command="", store=store, as_json=as_json)
    if version:
        sys.stdout.write(f"lineage {__version__}\n")
        raise typer.Exit


def command(
    group: typer.Typer,
    name: str | None = None,
    *,
    is_question: bool = False,
    takes_rest: bool = False,
) -> Callable[[Any], Any]:
    """Make a command of a function `(session, ...)`, with the shared options added.

    These are `--store` and `--json`, and for a question `--as-of` and `--known-at`. Where a command
    takes the rest of the line, options behind its first argument are no options of ours.
    """
    settings = {"allow_interspersed_args": False} if takes_rest else None

    def register(function: Callable[..., None]) -> Callable[..., None]:
        group.command(name, context_settings=settings)(
            _with_session(function, is_question=is_question)
        )
        return function

    return register


def _with_session(function: Callable[..., None], *, is_question: bool) -> Callable[..., None]:
    @wraps(function)
    def run(*, context: typer.Context, store: str | None, as_json: bool, **arguments: Any) -> None:
        past = {name: arguments.pop(name, None) for name in _PAST}
        before: Session = context.obj
        path = context.command_path.split(maxsplit=1)
        with ended_well():
            function(
                Session(
                    command=path[-1] if len(path) > 1 else "",
                    store=store or before.store,
                    as_json=as_json or before.as_json,
                    **past,
                ),
                **arguments,
            )

    hints = get_type_hints(function, include_extras=True)
    _, *own = inspect.signature(function).parameters.values()
    parameters = [
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY),
        *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own),
        inspect.Parameter("store", inspect.Parameter.KEYWORD_ONLY, default=None),
        inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False),
    ]
    types = {"context": typer.Context, "store": StoreOption, "as_json": JsonOption}
    if is_question:
        types |= _PAST
        parameters += [
            inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, default=None) for each in _PAST
        ]
    types |= {each.name: hints[each.name] for each in own}
    signature = inspect.Signature(
        [each.replace(annotation=types[each.name]) for each in parameters]
    )
    del vars(run)["__wrapped__"]  # typer would look through it
    vars(run)["__signature__"] = signature
    run.__annotations__ = types
    return run


@contextmanager
def ended_well() -> Iterator[None]:
    """Turn expected errors into one line on stderr and an exit code, warnings into one each."""
    warnings = Warnings()
    log = logging.getLogger("lineage")
    log.addHandler(warnings)
    try:
        try:
            yield
        finally:
            log.removeHandler(warnings)
            warnings.say()
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    except BrokenPipeError:
        stop_quietly()
    except tuple(kind for kind, _ in _EXIT_CODES) as error:
        note(f"error: {error}")
        code = next(code for kind, code in _EXIT_CODES if isinstance(error, kind))
        raise typer.Exit(code) from None


def stop_quietly() -> None:
    """End because the reader of stdout is gone; Python would complain when it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(_BROKEN_PIPE)
