"""Provenance of a data product, as a stranger's tools read it.

It is an in-toto statement (https://in-toto.io/Statement/v1) with a predicate of SLSA's provenance
(https://slsa.dev/provenance/v1). The subjects are the files of the product by SHA-256; how they
were made is what was recorded of the run.
"""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from lineage import codec
from lineage.digests import FILE, TREE, content_of
from lineage.errors import ProductError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lineage.analysis.products import Product
    from lineage.analysis.runs import KnownRun
    from lineage.recipes import Code, Input, Recipe

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:track-lineage:run:1"

_Descriptor = dict[str, Any]


def statement(
    product: Product,
    recipe: Recipe,
    run: KnownRun | None,
    *,
    builder: str,
    parents: Iterable[Product] = (),
    file: Path | None = None,
) -> bytes:
    """Write what is known of a product's provenance, for a signature.

    Args:
        product: The product.
        recipe: What made it.
        run: The run that registered it; None if it was in none.
        builder: A URI for who vouches for the records.
        parents: The products that it was made from.
        file: Where it is now, if not where it was registered.

    Raises:
        ProductError: It has no bytes, or they are not those that were recorded; or `builder` is no
            URI.
    """
    if not urlsplit(builder).scheme:
        raise ProductError(f"{builder!r} is no URI for who vouches; give https://… or urn:…")
    told = {
        "_type": STATEMENT,
        "subject": _subjects(product, file),
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": _asked(product, recipe, run),
                "internalParameters": _surroundings(product, recipe),
                "resolvedDependencies": [*_dependencies(product, recipe, list(parents))],
            },
            "runDetails": {"builder": _builder(builder), "metadata": _times(product, run)},
        },
    }
    return codec.to_json(told).encode()


def _subjects(product: Product, file: Path | None) -> list[_Descriptor]:
    name, recorded, path = product["product_id"], product["content"], product["path"]
    if product["is_disputed"]:
        raise ProductError(
            f"{name} was registered with different bytes or parents, and nobody can tell which are "
            "its own; register it as a version of its own"
        )
    if recorded is None or path is None:
        raise ProductError(f"{name} was registered without bytes, so there is nothing to vouch for")
    place = str(file or path)
    if content_of(place).content != recorded:
        raise ProductError(
            f"{place!r} is not what was registered as {name}, {recorded}; name where that is by "
            "--file, or register what is there as a version of its own"
        )
    if recorded.startswith(FILE):
        return [{"name": Path(path).name, "digest": _digest(recorded)}]
    found = [*_files(place)]
    if content_of(place).content != recorded:
        raise ProductError(f"{place!r} changes while it is read; attest it when nothing does that")
    if not found:
        raise ProductError(f"{name} is a folder without files, so there is nothing to vouch for")
    return found


def _files(folder: str) -> Iterator[_Descriptor]:
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and not path.is_symlink():
            digest = _digest(content_of(str(path)).content)
            yield {"name": str(path.relative_to(folder)), "digest": digest}


def _asked(product: Product, recipe: Recipe, run: KnownRun | None) -> dict[str, Any]:
    """Give what was asked for: the command, and the parameters of the run."""
    told: dict[str, Any] = {"product": product["name"], "version": product["version"]}
    command = recipe.command
    if command is not None:
        told["command"] = {
            "kind": command.kind,
            "argv": list(command.argv),
            "options": list(command.options),
            "cwd": command.cwd,
            "redacted": list(command.redacted),
        }
    if run is not None:
        told |= {"run": run["name"], "parameters": run["parameters"]}
    return told


def _surroundings(product: Product, recipe: Recipe) -> dict[str, Any]:
    names = ("interpreter", "platform", "locale", "time_zone", "threads", "variables")
    told = {each: recipe.environment[each] for each in names if each in recipe.environment}
    invocation = product["invocation"]
    return told | {
        "environmentId": recipe.environment_id,
        "function": invocation["function"],
        "file": invocation["file"],
        "line": invocation["line"],
        "machine": invocation["command"].get("machine"),
        "filesLeftOut": dict(recipe.left_out),
    }


def _dependencies(
    product: Product, recipe: Recipe, parents: list[Product]
) -> Iterator[_Descriptor]:
    for code in recipe.codes:
        yield _code(code)
    paths = {each["path"] for each in parents}
    for parent in parents:
        yield _product(parent)
    known = {each["product_id"] for each in parents} | {
        f"file:{each.path}" for each in recipe.inputs
    }
    for each in recipe.inputs:
        if each.path not in paths:
            yield _input(each)
    for name in product["parents"]:
        if name not in known:
            yield _named(name)
    if recipe.environment:
        digest = hashlib.sha256(codec.to_json(recipe.environment).encode()).hexdigest()
        name = f"environment {recipe.environment_id}"
        yield {"name": name, "digest": {"sha256": digest}, "mediaType": "application/json"}
    for package in recipe.environment.get("packages", ()):
        yield _package(*package)


def _code(code: Code) -> _Descriptor:
    found: _Descriptor = {"uri": f"git+{_place(code.root)}"}
    if code.commit:
        found["digest"] = {"gitCommit": code.commit}
    notes: dict[str, Any] = {}
    if code.diff is not None:
        notes["uncommitted"] = {"sha256": hashlib.sha256(code.diff.encode()).hexdigest()}
    if code.reason is not None:
        notes["uncommittedUnknown"] = code.reason
    if code.submodules:
        notes["submodules"] = dict(code.submodules)
    return found | ({"annotations": notes} if notes else {})


def _product(parent: Product) -> _Descriptor:
    content = parent["content"] or ""
    found: _Descriptor = {"name": parent["product_id"], "uri": _uri(parent["product_id"])}
    if content.startswith(FILE):
        return found | {"digest": _digest(content)}
    return found | ({"annotations": {"recorded": content}} if content else {})


def _input(each: Input) -> _Descriptor:
    """Describe a file that was read: by SHA-256 where that is recorded, or the file is the same."""
    found: _Descriptor = {"name": Path(each.path).name, "uri": _place(each.path)}
    recorded = each.version or ""
    if recorded.startswith(FILE):
        return found | {"digest": _digest(recorded)}
    notes = {"recorded": recorded or None}
    if recorded and not recorded.startswith(TREE) and "://" not in each.path:
        try:
            now = content_of(each.path)
        except ProductError:
            return found | {"annotations": notes | {"now": "gone"}}
        if now.version != recorded:
            return found | {"annotations": notes | {"now": "changed"}}
        found["digest"] = _digest(now.content)
    return found | {"annotations": notes}


def _named(node: str) -> _Descriptor:
    return {"name": node, "uri": _uri(node)}


def _package(name: str, version: str, more: Mapping[str, Any] | None = None) -> _Descriptor:
    purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version, safe='')}"
    found: _Descriptor = {"uri": purl}
    return found | ({"annotations": dict(more)} if more else {})


def _builder(builder: str) -> dict[str, Any]:
    from lineage import __version__

    return {"id": builder, "version": {"track-lineage": __version__}}


def _times(product: Product, run: KnownRun | None) -> dict[str, str]:
    invocation = product["invocation"]
    told = {"invocationId": (run and run["run_id"]) or invocation["operation_id"] or ""}
    if run is not None:
        times = {"startedOn": run["started_at"], "finishedOn": run["ended_at"]}
        told |= {name: _utc(time) for name, time in times.items() if time}
    return told


def _utc(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(UTC).isoformat().replace("+00:00", "Z")


def _place(path: str) -> str:
    return path if "://" in path else Path(os.path.abspath(path)).as_uri()


def _uri(node: str) -> str:
    return f"urn:track-lineage:{quote(node, safe=':@/')}"


def _digest(content: str) -> dict[str, str]:
    """Give the digest of `sha256:SIZE-HEX` as in-toto names it."""
    return {"sha256": content.rpartition("-")[2]}
