"""Data products: what is registered of a version, what it was made from, and what is wrong with it.

All that is wrong with a registration is found, and raised, before anything is recorded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage import codec, links
from lineage.core import DataSource, OperationType
from lineage.digests import Content, content_of
from lineage.errors import ProductError
from lineage.registered import Known, Names, product_id, registered_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.byhand import CodePlace
    from lineage.codec import Row
    from lineage.core import DataOperation
    from lineage.kept import Keeper
    from lineage.registered import Registered
    from lineage.tracker import LineageTracker

PRODUCT = "product"
_MOST_TEXT = 1000
_MOST_COMPARED = 2000


class Parent(NamedTuple):
    """What a product was made from: a product's id or a node's, and how an operation reads it."""

    id: str
    source: DataSource


@dataclass(slots=True)
class Draft:
    """A data product as it is to be registered.

    Args:
        name: What it is called.
        version: Which one of that name.
        metadata: Anything else to keep of it.
        path: Where it is: a path, or an open file; None for one that is no file.
        parents: What it was made from.
        hints: Variables that played a part, by name, with what each of them held; or names alone.
    """

    name: str
    version: str
    metadata: Mapping[str, Any] | None = None
    path: Any = None
    parents: Any = ()
    hints: Any = ()

    def __post_init__(self) -> None:
        self.name = _text("name", self.name)
        self.version = _text(f"version of data product {self.name!r}", self.version)
        if not isinstance(self.metadata, Mapping | None):
            raise ProductError(
                f"metadata of {self.label} is {_shown(self.metadata)}; give a dictionary"
            )

    @classmethod
    def of(cls, fields: Any) -> Draft:
        """Make one of a mapping of its fields.

        Raises:
            ProductError: It is none, or has other keys.
        """
        if not isinstance(fields, Mapping):
            raise ProductError(
                f"{_shown(fields)} is no data product; give dictionaries with name and version"
            )
        unknown = [key for key in fields if key not in _FIELDS]
        missing = [key for key in _FIELDS[:2] if key not in fields]
        if unknown or missing:
            fault = f"has {unknown[0]!r}" if unknown else f"has no {missing[0]!r}"
            raise ProductError(
                f"data product {fields.get('name')!r} {fault}; the keys are {', '.join(_FIELDS)}"
            )
        return cls(**fields)

    @property
    def label(self) -> str:
        """How errors call it."""
        return f"data product {self.name!r} version {self.version!r}"

    @property
    def id(self) -> str:
        """The id of this version."""
        return product_id(self.name, self.version)


_FIELDS = ("name", "version", "metadata", "path", "parents", "hints")


@dataclass(slots=True)
class _Plan:
    """A draft with all that is known of it before it is recorded."""

    draft: Draft
    path: str | None
    content: Content | None
    parents: list[Parent] = field(default_factory=list)
    hints: dict[str, Parent | None] = field(default_factory=dict)
    stored_path: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def sources(self) -> list[DataSource]:
        """Give what it was made from, each once."""
        linked = (*self.parents, *filter(None, self.hints.values()))
        own = self.draft.id
        return list({each.id: each.source for each in linked if each.id != own}.values())

    def known(self) -> Known:
        linked = (*self.parents, *filter(None, self.hints.values()))
        ids = dict.fromkeys(each.id for each in linked)
        ids.pop(self.draft.id, None)
        return Known(
            self.draft.id,
            self.draft.name,
            self.draft.version,
            self.stored_path,
            self.content and self.content.content,
            frozenset(each.id for each in self.parents),
            tuple(ids),
        )


class Products:
    """Register the data products of a run.

    Args:
        tracker: What records them.
        run_id: The run that makes them.
    """

    def __init__(self, tracker: LineageTracker, run_id: str) -> None:
        self._tracker = tracker
        self._run_id = run_id
        self._held: dict[str, Parent] = {}

    def register(self, drafts: list[Draft], place: CodePlace) -> list[str]:
        """Register data products, and give their ids in the order of the drafts.

        Args:
            drafts: What to register; parents may be among them, in any order.
            place: The code that registers.

        Raises:
            ProductError: One of them cannot be registered; then none is.
        """
        if not self._tracker.settings.enabled:
            return [draft.id for draft in drafts]
        most = self._tracker.settings.fingerprint_max_bytes
        plans = [_plan(draft, most) for draft in drafts]
        for plan in plans:
            plan.metadata = _bounded(plan.draft.metadata, self._tracker.keeper)
        known = registered_in(self._tracker.store)
        with known.alone(self._tracker.store):
            _resolve(plans, known, self._held)
            _compare(plans, known)
            ordered = _ordered(plans, known)
            rows = [self._row(plan, known.next_time()) for plan in ordered]
            for plan in ordered:
                known.register(plan.known())
                held = {name: each for name, each in plan.hints.items() if each is not None}
                self._held.update(held)
            self._record(ordered, rows, place, known)
        return [draft.id for draft in drafts]

    def _record(
        self, plans: list[_Plan], rows: list[Row], place: CodePlace, known: Registered
    ) -> None:
        tracker = self._tracker
        is_told = tracker.settings.allows(OperationType.WRITE)
        try:
            for plan, row in zip(plans, rows, strict=True):
                if is_told:
                    operation = self._operation(plan, place)
                    row["operation_id"] = operation.operation_id
                    row["timestamp"] = known.next_time(codec.to_micros(operation.timestamp))
            tracker.store.append("products", rows)
        except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
            known.doubt()
            tracker.lose(problem)

    def _operation(self, plan: _Plan, place: CodePlace) -> DataOperation:
        tracker, draft, path = self._tracker, plan.draft, plan.path
        told = {"name": draft.name, "version": draft.version}
        operation_id = tracker.begin_at(place, OperationType.WRITE, told)
        for source in plan.sources():
            tracker.add_input(operation_id, source)
        if path is not None:
            version = plan.content and plan.content.version
            tracker.add_input(operation_id, DataSource("file", path, path, version=version))
        metadata = {"version": draft.version, **plan.metadata}
        product = DataSource(
            PRODUCT, draft.name, path or "", metadata=metadata, version=draft.version
        )
        tracker.add_output(operation_id, product)
        return tracker.complete_operation(operation_id)

    def _row(self, plan: _Plan, at: int) -> Row:
        draft = plan.draft
        hints = {name: each and each.id for name, each in plan.hints.items()}
        return {
            "product_id": draft.id,
            "name": draft.name,
            "version": draft.version,
            "node_id": f"{PRODUCT}:{draft.name}",
            "path": plan.stored_path,
            "content": plan.content and plan.content.content,
            "size_bytes": plan.content and plan.content.size_bytes,
            "metadata": codec.to_json(plan.metadata),
            "parents": codec.to_json(list(dict.fromkeys(each.id for each in plan.parents))),
            "hints": codec.to_json(hints),
            "operation_id": None,
            "run_id": self._run_id,
            "timestamp": at,
        }


def _plan(draft: Draft, most_bytes: int) -> _Plan:
    if draft.path is None:
        return _Plan(draft, None, None)
    try:
        path = path_of(draft.path)
        content = None if "://" in path else content_of(path, most_bytes)
    except ProductError as error:
        raise ProductError(f"{draft.label}: {error}") from error.__cause__
    return _Plan(draft, path, content, stored_path=_resolved(path))


def _resolved(path: str) -> str:
    """Give the form in which a path is looked up: without links, as it is recorded."""
    return links.clean(path if "://" in path else os.path.realpath(path))


def _bounded(metadata: Mapping[str, Any] | None, keeper: Keeper) -> dict[str, Any]:
    """Give what is kept of metadata, with what is secret in one place hidden in all."""
    secrets: list[str] = []
    kept = keeper.bounded(keeper.wide_captor, metadata, secrets)
    return keeper.bounded(keeper.wide_captor.hiding(secrets), metadata) if secrets else kept


def path_of(value: Any) -> str:
    """Give the path that a text, a path or an open file names, absolute; a URL as it is.

    What a file that is open for writing still holds back is written first.

    Raises:
        ProductError: It names none.

    Examples:
        >>> path_of("/data/../data/a.csv"), path_of("s3://bucket/a.csv")
        ('/data/a.csv', 's3://bucket/a.csv')
    """
    named = value
    if not hasattr(type(value), "__fspath__") and _is_open_file(value):
        named = value.name
        try:
            value.flush()
        except Exception:  # noqa: BLE001 - one that is closed, or only read
            named = value.name
    try:
        text = os.fsdecode(named)
    except Exception as error:
        raise ProductError(
            f"{_shown(value)} names no file; give a path, or a file opened by its name"
        ) from error
    if not text or "\0" in text:
        fault = "is empty" if not text else "holds a NUL character"
        raise ProductError(f"path {_shown(text)} {fault}; give the path of a file or folder")
    return text if "://" in text else os.path.abspath(os.path.expanduser(text))


def _is_open_file(value: Any) -> bool:
    return hasattr(value, "name") and (hasattr(value, "read") or hasattr(value, "write"))


def _resolve(plans: list[_Plan], known: Registered, held: dict[str, Parent]) -> None:
    """Find what the parents and hints of all drafts stand for."""
    before, all_of_them, held = Names(), Names(), dict(held)
    for plan in plans:
        all_of_them.add(plan.known())
    for plan in plans:
        places = (before, known, all_of_them)
        finder = _Finder(plan, places, is_whole=known.is_read)
        plan.parents = [finder.parent(each) for each in _each(plan.draft.parents)]
        plan.hints = _hints(plan.draft, finder, held)
        held.update({name: each for name, each in plan.hints.items() if each is not None})
        before.add(plan.known())


def _each(parents: Any) -> Iterable[Any]:
    """Give the parents of a draft one by one; one that stands alone is one."""
    if isinstance(parents, str | bytes | DataSource | os.PathLike) or _is_open_file(parents):
        return [parents]
    return _listed_of("parents", parents)


def _listed_of(what: str, values: Any) -> Iterable[Any]:
    if values is None:
        return ()
    if not isinstance(values, Iterable):
        raise ProductError(f"{what} is {_shown(values)}; give a list of them")
    return values


def _hints(draft: Draft, finder: _Finder, held: Mapping[str, Parent]) -> dict[str, Parent | None]:
    """Give what the variables held that a draft names; None where that is not known."""
    given = draft.hints
    if isinstance(given, Mapping):
        names = {_text(f"hint of {draft.label}", name): value for name, value in given.items()}
        return {
            name: held.get(name) if value is None else finder.held(value)
            for name, value in names.items()
        }
    listed = [given] if isinstance(given, str) else _listed_of("hints", given)
    names = {_text(f"hint of {draft.label}", name): None for name in listed}
    return {name: held.get(name) for name in names}


class _Finder:
    """Find what the parents and hints of one draft stand for.

    Args:
        plan: The draft.
        places: Where to look, the first first.
        is_whole: Whether these are all products that there are.
    """

    def __init__(self, plan: _Plan, places: tuple[Names, ...], *, is_whole: bool) -> None:
        self._plan = plan
        self._places = places
        self._is_whole = is_whole

    def parent(self, value: Any) -> Parent:
        """Find a parent: a product's id, name or path, a file, a node.

        Raises:
            ProductError: There is none, or it is the product itself.
        """
        found = self._found(value)
        own = self._plan.draft
        if found.id == own.id:
            raise ProductError(
                f"{own.label} is its own parent by {_shown(value)}; name what it was made from"
            )
        return found

    def held(self, value: Any) -> Parent | None:
        """Find what a variable held: what a parent may be, or a value that tracking knows."""
        is_named = isinstance(value, str | bytes | DataSource | os.PathLike)
        if is_named or _is_open_file(value):
            return self._found(value)
        made = links.find(value)
        if made is None:
            return None
        source, version, _ = made
        node_id, kind, name, location = source.fields[1]
        return Parent(node_id, DataSource(kind, name, location or "", version=version))

    def _found(self, value: Any) -> Parent:
        if isinstance(value, DataSource):
            return self._of_source(value)
        if isinstance(value, str):
            found = self._called(links.clean(value))
            if found is not None:
                return found
        try:
            path = path_of(value)
        except ProductError as error:
            raise ProductError(f"{self._plan.draft.label}: parent {error}") from error.__cause__
        product = self._there(path)
        if product is not None:
            return product
        if "://" in path or os.path.exists(path):
            return Parent(f"file:{links.clean(path)}", DataSource("file", path, path))
        return self._node(value, path)

    def _node(self, value: Any, path: str) -> Parent:
        """Take what names no product and no file for a node, if it can be one."""
        if isinstance(value, str):
            kind, colon, name = value.partition(":")
            if colon and name and kind.isidentifier() and kind != PRODUCT:
                return self._of_source(DataSource(kind, name))
            if not self._is_whole:  # it may be one, and nobody can tell
                name = value.removeprefix(f"{PRODUCT}:") or value
                return Parent(f"{PRODUCT}:{links.clean(name)}", DataSource(PRODUCT, name))
            raise self._unknown(value)
        raise ProductError(
            f"{self._plan.draft.label}: parent {_shown(value)} is no product that was registered, "
            f"and there is no file {path!r}; register it first, or give the path of a file"
        )

    def _of_source(self, source: DataSource) -> Parent:
        if source.source_type == PRODUCT:
            name = links.clean(source.source_id)
            text = name if source.version is None else product_id(name, links.clean(source.version))
            found = self._called(text)
            if found is None and self._is_whole:
                raise self._unknown(source.source_id)
            return found or Parent(source.node_id, source)
        if source.source_type == "file":
            found = self._there(path_of(source.location or source.source_id))
            if found is not None:
                return found
        return Parent(links.clean(source.node_id), source)

    def _called(self, text: str) -> Parent | None:
        for names in self._places:
            found = names.called(text)
            if found is not None:
                return _as_parent(found)
        return None

    def _there(self, path: str) -> Parent | None:
        form = _resolved(path)
        for names in self._places:
            found = names.there(form)
            if found is not None:
                return _as_parent(found)
        return None

    def _unknown(self, value: str) -> ProductError:
        known = [name for names in self._places for name in names.newest][:_MOST_COMPARED]
        near = get_close_matches(value.removeprefix(f"{PRODUCT}:"), known, n=3, cutoff=0.5)
        hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        return ProductError(
            f"{self._plan.draft.label}: no product, file or node is called {_shown(value)}, which "
            f"is to be a parent{hint or '; register it first, or give the path of a file'}"
        )


def _as_parent(known: Known) -> Parent:
    source = DataSource(PRODUCT, known.name, known.path or "", version=known.version)
    return Parent(known.product_id, source)


def _compare(plans: list[_Plan], known: Registered) -> None:
    """Refuse a version that is registered with other bytes, or with other parents."""
    taken: dict[str, Known] = {}
    for plan in plans:
        new = plan.known()
        old = known.by_id.get(new.product_id) or taken.setdefault(new.product_id, new)
        if old.content != new.content:
            raise ProductError(
                f"{plan.draft.label} is registered with other bytes: {_bytes(old.content)} then, "
                f"{_bytes(new.content)} now; give what has changed a version of its own"
            )
        if old.parents != new.parents:
            raise ProductError(
                f"{plan.draft.label} is registered with other parents: {_listed(old.parents)} "
                f"then, {_listed(new.parents)} now; give what was made anew a version of its own"
            )


def _ordered(plans: list[_Plan], known: Registered) -> list[_Plan]:
    """Give the plans so that each stands behind those it is made from."""
    by_id: dict[str, list[_Plan]] = {}
    for plan in plans:
        by_id.setdefault(plan.draft.id, []).append(plan)
    made_from = {
        name: dict.fromkeys(link for plan in same for link in plan.known().links)
        for name, same in by_id.items()
    }
    if any(name in known.by_id for name in by_id):  # others may be made from these already
        made_from = {name: dict.fromkeys(links) for name, links in _above(made_from, known)}
    try:
        order = list(TopologicalSorter(made_from).static_order())
    except CycleError as error:
        way = [*reversed(error.args[1])]
        raise ProductError(
            f"{by_id[next(each for each in way if each in by_id)][0].draft.label} would be made "
            f"from itself: {' <- '.join(way)}; leave one of these parents or hints out"
        ) from None
    return [plan for name in order for plan in by_id.get(name, ())]


def _above(
    made_from: Mapping[str, Iterable[str]], known: Registered
) -> Iterator[tuple[str, list[str]]]:
    """Yield what each product upstream was made from."""
    seen: set[str] = set()
    waiting = list(made_from)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        old = known.by_id.get(name)
        found = [*made_from.get(name, ()), *(old.links if old is not None else ())]
        waiting += found
        yield name, found


def _text(what: str, value: Any) -> str:
    """Give a text in the form in which it is recorded.

    Raises:
        ProductError: It is none, or empty, or too long, or holds a NUL character.
    """
    if not isinstance(value, str):
        raise ProductError(f"{what} is {_shown(value)}; give a text")
    text = links.clean(value)
    if not text.strip():
        raise ProductError(f"{what} is {value!r}; give a text that is not empty")
    if "\0" in text:
        raise ProductError(f"{what} is {_shown(value)}, with a NUL character; leave it out")
    if len(text) > _MOST_TEXT:
        raise ProductError(
            f"{what} is {_shown(value)}, of {len(text):,} characters; give at most {_MOST_TEXT:,}"
        )
    return text


def _shown(value: Any) -> str:
    """Show a value in an error, cut to what can be read."""
    if isinstance(value, str):
        return repr(value if len(value) <= 100 else f"{value[:100]}…")
    if isinstance(value, int | float | bool | bytes | os.PathLike | None):
        return repr(value)[:200]
    return f"a {type(value).__name__}"


def _bytes(content: str | None) -> str:
    """Show a digest without most of its digits."""
    head, _, digits = (content or "").rpartition("-")
    return "none" if content is None else f"{head}-{digits[:12]}…"


def _listed(ids: frozenset[str]) -> str:
    shown = sorted(ids)[:3]
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return (", ".join(map(repr, shown)) or "none") + more
