"""Datasets and models: save a version, list, show, compare, take out, verify."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.analysis.provenance import short
from lineage.cli.command import FINDING, command
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.codec import to_json
from lineage.errors import ArtefactError, DraftError, StoreError, UnknownArtefactError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lineage.datasets.differing import Difference
    from lineage.datasets.keeping import Keeper
    from lineage.datasets.listing import Listing
    from lineage.datasets.registry import Registry
    from lineage.datasets.versioned import Versioned

_NUMBERS = frozenset({"bytes", "artefacts"})
_MOST_SAID = 60

Where = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="FOLDER_OR_URL",
        help="Where versions are; else LINEAGE_DATASETS, else lineage_datasets.",
        show_default=False,
    ),
]
Blobs = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER_OR_URL", help="Where the bytes are, if elsewhere.", show_default=False
    ),
]
Asked = Annotated[
    str,
    typer.Argument(
        metavar="VERSION", help="A name (its latest), NAME@VERSION, an id, or how that begins."
    ),
]
Other = Annotated[str, typer.Argument(metavar="OTHER", help="The one to compare it with.")]
Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only those of this name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    datasets = _group("dataset", "Save versions of data, list, compare and take them out.")
    _add_shared(datasets, "dataset")
    command(datasets)(save)
    command(datasets)(verify)
    command(datasets)(gc)
    app.add_typer(datasets, name="dataset")
    models = _group("model", "List models that were saved, show, compare and take them out.")
    _add_shared(models, "model")
    app.add_typer(models, name="model")


def _group(kind: str, text: str) -> typer.Typer:
    return typer.Typer(name=kind, help=text, no_args_is_help=True, rich_markup_mode=None)


def _add_shared(group: typer.Typer, kind: str) -> None:
    """Add what can be asked of datasets and of models."""
    command(group, "list")(_lister(kind))
    for make in (_shower, _drawer, _comparer, _getter):
        command(group)(make(kind))


def _lister(kind: str) -> Callable[..., None]:
    def list_versions(
        session: Session, name: Name = None, registry: Where = None, blobs: Blobs = None
    ) -> None:
        """List versions, the newest last."""
        found = _listing(kind, name, _opened(registry, blobs))
        columns = ("id", "name", "version", "saved", "artefacts", "bytes", "parent", "description")
        empty = f"no {kind} is saved" + (f" as {name}" if name else "")
        rows = [_row(each) for each in found]
        spare = frozenset({"parent", "description"})
        table = Table(columns, rows, empty=empty, right=_NUMBERS, spare=spare)
        session.show([_told(each) for each in found], table)

    return list_versions


def _shower(kind: str) -> Callable[..., None]:
    def show(session: Session, version: Asked, registry: Where = None, blobs: Blobs = None) -> None:
        """Say what a version is, what it holds, and what was made from it."""
        found = _one(kind, version, _opened(registry, blobs))
        _show(session, found, found.registry)

    return show


def _drawer(kind: str) -> Callable[..., None]:
    def tree(
        session: Session, name: Name = None, registry: Where = None, blobs: Blobs = None
    ) -> None:
        """Draw the history of versions: each below its parent."""
        found = _listing(kind, name, _opened(registry, blobs))
        session.show([_told(each) for each in found], found.tree())
        if not found:
            note(f"no {kind} is saved" + (f" as {name}" if name else ""))

    return tree


def _comparer(kind: str) -> Callable[..., None]:
    def diff(
        session: Session,
        version: Asked,
        other: Other,
        registry: Where = None,
        blobs: Blobs = None,
    ) -> None:
        """Compare two versions; exits with 1 when they differ."""
        where = _opened(registry, blobs)
        answer = _one(kind, version, where).diff(_one(kind, other, where))
        rows = _differences(answer)
        columns = ("artefact", "what", "before", "after")
        session.show(answer, Table(columns, rows, empty="nothing differs"))
        if not answer["is_same"]:
            raise typer.Exit(FINDING)

    return diff


def _getter(kind: str) -> Callable[..., None]:
    def get(
        session: Session,
        version: Asked,
        key: Annotated[
            str | None, typer.Argument(metavar="[KEY]", help="One artefact; else all of them.")
        ] = None,
        output: Annotated[
            Path | None,
            typer.Option(
                "-o",
                "--output",
                metavar="PATH",
                help="A new file or folder; else stdout, or NAME-VERSION for all.",
                show_default=False,
            ),
        ] = None,
        registry: Where = None,
        blobs: Blobs = None,
    ) -> None:
        """Take artefacts out: one as a file or to stdout, or all of them into a new folder."""
        found = _one(kind, version, _opened(registry, blobs))
        if key is None:
            _check_out(session, found, output)
        else:
            _take_out(session, found, key, output)

    return get


def save(
    session: Session,
    name: Annotated[str, typer.Argument(help="What it is a version of.")],
    version: Annotated[str, typer.Argument(help="Which one.")],
    artefacts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=]PATH...", help="Files and folders; without a key, by their name."
        ),
    ] = None,
    description: Annotated[str, typer.Option("-m", "--description", help="For readers.")] = "",
    parent: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="What it was made from.", show_default=False),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Also have what the parent has under other keys.")
    ] = False,
    registry: Where = None,
    blobs: Blobs = None,
) -> None:
    """Save files and folders as a version; prints its id."""
    from lineage.datasets.dataset import Dataset
    from lineage.datasets.registry import Registry

    where = Registry(registry, blobs)
    before = None if parent is None else Dataset.get(parent, registry=where)
    if keep and before is not None:
        made = before.transform(name=name, version=version, description=description)
    elif keep:
        raise DraftError({"parent": "is needed for --keep: say whose artefacts to keep"})
    else:
        made = Dataset(name, version, description, before, registry=where)
    for each in artefacts or ():
        made.set_artefact(*_named(each))
    with session.working("saving"):
        made.save()
    session.show(_told(made), str(made.id))
    if not session.as_json:
        size = sum(each.size for each in made.kept.values())
        note(f"{made.name}@{made.version}: {_count(made)}, {size:,} bytes")


def verify(session: Session, registry: Where = None, blobs: Blobs = None) -> None:
    """Read every byte of all datasets and models; exits with 1 when any is not as it was saved."""
    where = _opened(registry, blobs)
    with session.working("reading all versions"):
        found = where.verify()
    rows = [(each.kind, ", ".join(map(short, each.versions)), each.message) for each in found]
    session.show(found, Table(("problem", "versions", "message"), rows, empty="all is as saved"))
    if found:
        raise typer.Exit(FINDING)


def gc(session: Session, registry: Where = None, blobs: Blobs = None) -> None:
    """Remove uploads that were given up, and bytes that no version has."""
    done = _opened(registry, blobs).collect_garbage()
    rows = [
        ("uploads", done.uploads),
        ("contents", done.contents),
        ("objects without a row", done.objects),
        ("bytes", done.size_bytes),
    ]
    session.show(done, Table(("removed", "count"), rows, right=frozenset({"count"})))


def _opened(registry: str | None, blobs: str | None) -> Registry:
    """Open a registry that is there: a question makes none."""
    from lineage.datasets.registry import Registry

    where = registry or os.environ.get("LINEAGE_DATASETS") or "lineage_datasets"
    if "://" not in where and not (Path(where).expanduser() / "registry.db").is_file():
        raise StoreError(
            f"no datasets or models at {where}; name the place with --registry or "
            "LINEAGE_DATASETS, or save one first"
        )
    return Registry(registry, blobs)


def _class_of(kind: str) -> type[Versioned]:
    from lineage.datasets.dataset import Dataset
    from lineage.datasets.model import Model

    return Dataset if kind == "dataset" else Model


def _listing(kind: str, name: str | None, registry: Keeper) -> Listing[Any]:
    return _class_of(kind).list(name=name, registry=registry)


def _one(kind: str, asked: str, registry: Keeper) -> Versioned:
    return _class_of(kind).get(asked, registry=registry)


def _named(text: str) -> tuple[str, Path]:
    """Read `KEY=PATH` or `PATH`; a path that is there is none with a key."""
    key, equals, path = text.partition("=")
    if Path(text).exists() or not equals:
        key, path = Path(text).resolve().name, text
    if not key or not path:
        raise DraftError({"artefacts": f"must be KEY=PATH or PATH, not {text!r}"})
    if not Path(path).exists():
        raise ArtefactError(f"there is no file or folder {path!r}; nothing was saved")
    return key, Path(path)


def _row(found: Versioned) -> tuple[Any, ...]:
    said = " ".join(found.description.split())
    if len(said) > _MOST_SAID:
        said = said[: _MOST_SAID - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return (
        *(short(found.id or ""), found.name, found.version, _minute(found)),
        *(len(found.kept), sum(each.size for each in found.kept.values())),
        *(short(found.parent or ""), said),
    )


def _count(found: Versioned) -> str:
    count = len(found.kept)
    return f"{count} artefact{'' if count == 1 else 's'}"


def _minute(found: Versioned) -> str:
    return f"{found.created_at:%Y-%m-%d %H:%M}" if found.created_at else ""


def _told(found: Versioned) -> dict[str, Any]:
    """Give all that is known of a version, as JSON has it."""
    return {
        "id": found.id,
        "kind": found.kind,
        "name": found.name,
        "version": found.version,
        "parent": found.parent,
        "description": found.description,
        "metadata": found.metadata,
        "artefacts": {
            key: {
                "filename": each.filename,
                "media_type": each.media_type,
                "size": each.size,
                "sha256": each.sha256,
            }
            for key, each in found.kept.items()
        },
        "content": found.content,
        "created_at": found.created_at,
        "creator": found.creator,
    }


def _show(session: Session, found: Versioned, registry: Keeper) -> None:
    from lineage.datasets.artefacts import form_of_artefact

    children = [each for each in _listing(found.kind, None, registry) if each.parent == found.id]
    parent = None if found.parent is None else _one(found.kind, found.parent, registry)
    more = {k: v for k, v in found.metadata.items() if (found.kind, k) != ("model", "model")}
    facts = [
        (found.kind, f"{found.name}@{found.version}"),
        ("id", found.id),
        ("description", found.description),
        ("saved", _minute(found)),
        ("by", found.creator),
        ("content", found.content),
        *_model_facts(found.metadata.get("model", {}) if found.kind == "model" else {}),
        ("metadata", to_json(more) if more else ""),
    ]
    links = [("parent", parent)] if parent is not None else []
    links += [("child", each) for each in children]
    rows = [
        (key, form_of_artefact(each), each.size, each.sha256) for key, each in found.kept.items()
    ]
    linked = Table(
        ("link", "version", "id"),
        [(link, f"{each.name}@{each.version}", short(each.id or "")) for link, each in links],
    )
    session.show(
        {**_told(found), "children": [each.id for each in children]},
        Table(("what", "value"), [each for each in facts if each[1]]),
        Table(
            ("artefact", "kind", "bytes", "sha256"),
            rows,
            empty="it holds no artefacts",
            right=_NUMBERS,
        ),
        *([linked] if links else []),
    )


def _model_facts(told: dict[str, Any]) -> list[tuple[str, Any]]:
    """Give what a model knows of itself, without the sources of its functions and its packages."""
    facts = [
        (name, to_json(told[name]) if isinstance(told[name], dict) else told[name])
        for name in ("dataset", "class", "config", "parameters", "evaluation")
        if told.get(name)
    ]
    facts += [
        (step, f"{told[step]['name']} {short(told[step].get('sha256', ''))}")
        for step in ("setup", "train", "eval")
        if step in told
    ]
    if "environment" in told:
        facts.append(("environment", told["environment"]["id"]))
    return facts


def _check_out(session: Session, found: Versioned, output: Path | None) -> None:
    folder = output or Path(f"{found.name}-{found.version}".replace("/", "_").lstrip("."))
    with session.working("writing"):
        found.checkout(folder)
    session.show({"folder": str(folder)}, str(folder))
    if not session.as_json:
        note(f"{found.name}@{found.version}: {_count(found)}")


def _take_out(session: Session, found: Versioned, key: str, output: Path | None) -> None:
    from lineage.datasets.artefacts import form_of_artefact

    artefact = found.kept.get(key)
    if artefact is None:
        has = ", ".join(found.kept) or "none"
        raise UnknownArtefactError(
            f"{found.name}@{found.version} has no artefact {key!r}; it has {has}"
        )
    if output is not None:
        found.get_artefact(key, to=output)
        session.show({"path": str(output)}, str(output))
        return
    if form_of_artefact(artefact) == "folder":
        raise ArtefactError(f"{key!r} is a folder; say with -o where it goes")
    for chunk in found.registry.read(artefact):
        sys.stdout.buffer.write(chunk)


def _differences(answer: Difference) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = [(key, "removed", "", "") for key in answer["removed"]]
    rows += [(key, "added", "", "") for key in answer["added"]]
    for key, found in answer["changed"].items():
        frame, count = found["frame"], len(rows)
        if found["kind"][0] != found["kind"][1]:
            rows.append((key, "kind", *found["kind"]))
        if frame is None:
            rows.append((key, "bytes", *found["size"]))
            continue
        rows += [(key, f"column {name}", "there", "") for name in frame["columns_removed"]]
        rows += [(key, f"column {name}", "", "there") for name in frame["columns_added"]]
        rows += [(key, f"type of {name}", *both) for name, both in frame["types_changed"].items()]
        rows += [(key, f"values of {name}", "", "changed") for name in frame["columns_changed"]]
        if frame["rows"][0] != frame["rows"][1]:
            rows.append((key, "rows", *frame["rows"]))
        if len(rows) == count:
            rows.append((key, "order of columns", "", "changed"))
    for name, both in answer["metadata"].items():
        rows.append(("", name, *("" if each is None else _written(each) for each in both)))
    return rows


def _written(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value)
