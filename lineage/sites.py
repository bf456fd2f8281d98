"""What is known of a tracked function, and of one call of it while it is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lineage import codec, codes, links
from lineage.core import DataSource, OperationType
from lineage.redact import is_secret_name
from lineage.stores.records import SITE, Definition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lineage.links import Ref
    from lineage.settings import TrackerSettings
    from lineage.stores.records import Origin
    from lineage.tracker import Current, LineageTracker

FILE_TYPES = frozenset((OperationType.READ, OperationType.WRITE))
MOST_DEFINITIONS = 1000


class Declared(NamedTuple):
    """A source that the user named: a parameter by its place, or a data source."""

    parameter: int | None
    source: DataSource | None


class Repository(NamedTuple):
    """What a method of a repository works on."""

    source: DataSource
    settings_name: str
    context: dict[str, Any]


class Site:
    """What is known of a tracked function before it is called.

    Args:
        function: The user's function.
        operation_type: What it does to data.
        names: The names of the values that the wrapper hands over, without `self`.
    """

    def __init__(
        self, function: Callable[..., Any], operation_type: OperationType, names: tuple[str, ...]
    ) -> None:
        module, name = links.module_name(function.__module__), function.__qualname__
        code = getattr(function, "__code__", None)
        self.function = self.called = function
        self.operation_type = operation_type
        self.names = names
        self.name = f"{module}.{name}"
        self.tracker: LineageTracker | None = None
        self.input_sources: tuple[Declared, ...] | None = None
        self.output_sources: tuple[Declared, ...] | None = None
        self.extract_inputs: Callable[..., Iterable[DataSource | str]] | None = None
        self.extract_outputs: Callable[..., Iterable[DataSource | str]] | None = None
        self.repository: Callable[[Any, Mapping[str, Any]], Repository] | None = None
        self.kinds: tuple[Any, ...] = ()
        self.context: dict[str, Any] = {"function": name, "module": module}
        if "." in name and not name.rpartition(".")[0].endswith("<locals>"):
            self.context["class"] = name.split(".")[-2]
        self._code = (module, name, code and code.co_filename, code and code.co_firstlineno)
        self._code_hash = codes.hash_of(function)
        self.secrets: tuple[int, ...] = ()
        self.look_for_secrets()
        self.made: dict[tuple[str, Any], Definition] = {}
        self.taken: dict[str, Definition] = {}
        self._definitions: dict[str, Definition] = {}
        self.settings: TrackerSettings | None = None
        """Those of the tracker that is known to want the calls of this function."""
        self.plain: Definition
        self.writes_only_frames: bool
        self.reads_only_frames: bool

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what belongs to this process: the tracker, and what was made for it.

        Some libraries send functions to other processes by value. Wherever this one arrives, the
        global tracker there records it.
        """
        kept: dict[str, Any] = {
            "tracker": None,
            "settings": None,
            "made": {},
            "taken": {},
            "_definitions": {},
        }
        return vars(self) | kept

    def look_for_secrets(self) -> None:
        """Work out which values are secrets; settings may name more since it was decorated."""
        self.secrets = tuple(i for i, key in enumerate(self.names) if is_secret_name(key))

    def definition(self, context: Mapping[str, Any]) -> Definition:
        """Give the definition of this code in a context; the same one for an equal context."""
        text = codec.to_json(self.context | dict(context) if context else self.context)
        return self.definition_of(text)

    def definition_of(self, context: str) -> Definition:
        """Give the definition of this code in a context that is JSON already."""
        known = self._definitions.get(context)
        if known is None:
            if len(self._definitions) >= MOST_DEFINITIONS:
                self._definitions.clear()
            kind, names = str(self.operation_type), list(self.names)
            fields = [kind, *self._code, names, context, self._code_hash]
            known = self._definitions[context] = Definition(SITE, fields)
        return known

    def settle(self) -> None:
        """Work out what never changes between calls, once the attributes are set."""
        self.plain = self.definition({})
        self.writes_only_frames = not (
            self.output_sources or self.extract_outputs or self.operation_type in FILE_TYPES
        )
        self.reads_only_frames = not (
            self.input_sources or self.extract_inputs or self.operation_type in FILE_TYPES
        )


class Call:
    """A call under way: `inside` is what its code is in, `outside` what the caller is in."""

    __slots__ = (
        *("count_in", "counts", "definition", "inputs", "inside", "number", "outputs"),
        *("origin", "outside", "parameters", "parent", "qualifier", "secrets", "start_ns"),
        *("started", "tracker"),
    )

    def __init__(
        self,
        site: Site,
        tracker: LineageTracker,
        identity: tuple[str, int],
        where: tuple[Current | None, str | None, Origin],
        parameters: Sequence[Any] = (),
    ) -> None:
        operation_id, self.number = identity
        self.outside, self.parent, self.origin = where
        self.tracker = tracker
        self.inside: tuple[str, Origin] = (operation_id, self.origin)
        self.definition: Definition = site.plain
        self.parameters = parameters
        self.inputs: Sequence[Ref] = ()
        self.outputs: Sequence[Ref] = ()
        self.qualifier = ""
        self.secrets: tuple[str, ...] = ()
        self.count_in: int | None = None
        self.counts = True
        self.start_ns = 0
        self.started = 0
