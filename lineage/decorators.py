"""`@track_lineage`: record every call of a function, without changing what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from lineage.capturing import captured
from lineage.core import DataSource, OperationType
from lineage.sites import Declared, Repository, Site
from lineage.tracker import LineageTracker, get_global_tracker, set_global_tracker
from lineage.wrapping import wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "get_global_tracker",
    "set_global_tracker",
    "track_lineage",
    "track_repository_operation",
]

Function = TypeVar("Function", bound="Callable[..., Any]")
TRACKED = "__lineage_tracked__"
"""The attribute of a method that is tracked as a repository's, and need not be once more."""
Sources = "str | DataSource | Iterable[str | DataSource]"


@overload
def track_lineage(
    operation_type: Function,
    /,
    input_sources: str | DataSource | Iterable[str | DataSource] | None = ...,
    output_sources: str | DataSource | Iterable[str | DataSource] | None = ...,
    extract_inputs: Callable[..., Iterable[DataSource | str]] | None = ...,
    extract_outputs: Callable[..., Iterable[DataSource | str]] | None = ...,
    tracker: LineageTracker | None = ...,
    repository_type: str | None = ...,
    *,
    capture: bool = ...,
) -> Function: ...


@overload
def track_lineage(
    operation_type: OperationType | str = ...,
    input_sources: str | DataSource | Iterable[str | DataSource] | None = ...,
    output_sources: str | DataSource | Iterable[str | DataSource] | None = ...,
    extract_inputs: Callable[..., Iterable[DataSource | str]] | None = ...,
    extract_outputs: Callable[..., Iterable[DataSource | str]] | None = ...,
    tracker: LineageTracker | None = ...,
    repository_type: str | None = ...,
    *,
    capture: bool = ...,
) -> Callable[[Function], Function]: ...


def track_lineage(
    operation_type: Any = OperationType.TRANSFORM,
    input_sources: str | DataSource | Iterable[str | DataSource] | None = None,
    output_sources: str | DataSource | Iterable[str | DataSource] | None = None,
    extract_inputs: Callable[..., Iterable[DataSource | str]] | None = None,
    extract_outputs: Callable[..., Iterable[DataSource | str]] | None = None,
    tracker: LineageTracker | None = None,
    repository_type: str | None = None,
    *,
    capture: bool = False,
) -> Any:
    """Track a function, method, coroutine, generator or async generator.

    The wrapper has the same signature, returns the same result and raises the same exception.
    Frames, tables and arrays that come in and go out are linked by themselves, so that calls
    which pass them on make one chain. With no tracker set, the call is a plain call.

    Args:
        operation_type: One of `OperationType`, or any other non-empty text.
        input_sources: What it reads: names of its parameters, `type:id` texts or data sources.
            Found by itself when None.
        output_sources: What it writes, in the same words; a frame that it returns is then that
            source.
        extract_inputs: Called with (function, args, kwargs); gives data sources read.
        extract_outputs: Called with (function, args, kwargs, result); gives data sources written.
        tracker: The tracker to use; the global one at the time of the call when None.
        repository_type: Kept in the operation's context.
        capture: Note what the function does to frames, so that the columns of the frames that it
            gives back are known; what is called within a run is captured without this.

    Raises:
        ValueError: A name is neither a parameter nor of the form `type:id`.
        TypeError: What is decorated is not a function.

    Examples:
        >>> @track_lineage(operation_type="transform", input_sources=["prices"])
        ... def double(prices, factor=2):
        ...     return [price * factor for price in prices]
        >>> double([1, 2])
        [2, 4]
    """
    is_function = not isinstance(operation_type, str)  # `@track_lineage` without parentheses
    kind = OperationType.TRANSFORM if is_function else OperationType(operation_type)

    def prepare(site: Site) -> None:
        site.input_sources = _declared(site, "input_sources", input_sources)
        site.output_sources = _declared(site, "output_sources", output_sources)
        site.extract_inputs, site.extract_outputs = extract_inputs, extract_outputs
        site.tracker = tracker
        if capture:
            site.called = captured(site.function, site.name)
        if repository_type is not None:
            site.context["repository_type"] = repository_type

    if is_function:
        return _decorate(operation_type, kind, prepare)
    return lambda function: _decorate(function, kind, prepare)


def track_repository_operation(
    operation_type: OperationType | str,
    *,
    source: Callable[[Any, Mapping[str, Any]], DataSource] | None = None,
    tracker: LineageTracker | None = None,
) -> Callable[[Function], Function]:
    """Track a method of a repository: a class that stores data sets.

    A WRITE has the repository as its output, every other operation as its input. The repository
    is named by its `dataset_name`, or its class; its place is `dataset_path` or `base_path`.

    Args:
        operation_type: One of `OperationType`, or any other non-empty text.
        source: Gives the data source from (instance, arguments by name), when that name will
            not do.
        tracker: The tracker to use; the global one at the time of the call when None.
    """
    kind = OperationType(operation_type)

    def describe(owner: Any, arguments: Mapping[str, Any]) -> Repository:
        return describe_repository(owner, arguments, source)

    def prepare(site: Site) -> None:
        site.repository = describe
        site.tracker = tracker

    def decorate(function: Any) -> Any:
        tracked = _decorate(function, kind, prepare, has_owner=True)
        setattr(getattr(tracked, "__func__", tracked), TRACKED, True)
        return tracked

    return decorate


def describe_repository(
    owner: Any,
    arguments: Mapping[str, Any],
    source: Callable[[Any, Mapping[str, Any]], DataSource] | None = None,
) -> Repository:
    """Say which data source a repository stands for, and what is known of it."""
    kind = type(owner)
    name = str(getattr(owner, "dataset_name", None) or kind.__name__)
    known = {
        key: str(value)
        for key in ("dataset_name", "dataset_path", "base_path")
        if (value := getattr(owner, key, None)) is not None
    }
    if source is None:
        location = known.get("dataset_path") or known.get("base_path") or ""
        place = DataSource("repository", name, location)
    else:
        place = source(owner, arguments)
    return Repository(place, name, {"class": kind.__qualname__, **known})


def _decorate(
    function: Any, kind: OperationType, prepare: Callable[[Site], None], *, has_owner: bool = False
) -> Any:
    if isinstance(function, staticmethod | classmethod):
        return type(function)(wrap(function.__func__, kind, prepare))
    return wrap(function, kind, prepare, has_owner=has_owner)


def _declared(
    site: Site, argument: str, sources: str | DataSource | Iterable[str | DataSource] | None
) -> tuple[Declared, ...] | None:
    if sources is None:
        return None
    items = [sources] if isinstance(sources, str | DataSource) else list(sources)
    return tuple(_one_declared(site, argument, item) for item in items)


def _one_declared(site: Site, argument: str, item: str | DataSource) -> Declared:
    if isinstance(item, str) and item in site.names:
        return Declared(site.names.index(item), None)
    try:
        return Declared(None, DataSource.parse(item))
    except ValueError:
        raise ValueError(
            f"{argument} of {site.name}: {item!r} is neither one of its parameters "
            f"({', '.join(site.names) or 'it has none'}) nor a source of the form 'type:id'"
        ) from None
