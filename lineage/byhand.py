"""Operations that are begun and completed by hand, step by step."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage import codec, codes, files, links
from lineage.core import FAILED, DataOperation, OperationType
from lineage.stores.records import SITE, Definition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType, FrameType

    from lineage.kept import Keeper
    from lineage.recorder import Recorder
    from lineage.stores.records import Origin

_SITES = 1000


class CodePlace(NamedTuple):
    """Where code ran: its module, its code object, and the line."""

    module: str
    code: CodeType
    line: int

    @classmethod
    def of(cls, frame: FrameType) -> CodePlace:
        """Give where a frame is, which is not kept."""
        module = links.module_name(str(frame.f_globals.get("__name__")))
        return cls(module, frame.f_code, frame.f_lineno)


@dataclass(slots=True)
class Active:
    """An operation that was begun and is not completed yet."""

    operation: DataOperation
    started: int
    origin: Origin
    secrets: list[str]


class ByHand:
    """Hold what was begun until it is completed, and record it then.

    Args:
        keeper: What is kept of what the user hands over.
        recorder: What writes an operation.
        most_bytes: Files up to this size are known by their content.
    """

    def __init__(self, keeper: Keeper, recorder: Recorder, most_bytes: int) -> None:
        self._keeper = keeper
        self._most_bytes = most_bytes
        self._recorder = recorder
        self.active: dict[str, Active] = {}
        self.sites: dict[tuple[Any, ...], Definition] = {}

    def begin(
        self,
        operation_type: OperationType | str,
        parameters: Mapping[str, Any] | None,
        context: Mapping[str, Any] | None,
        *,
        place: CodePlace,
        within: tuple[int | str | None, Origin],
    ) -> str:
        """Begin an operation of some code, within a parent and a run."""
        operation_id, _ = self._recorder.next_id()
        parent, origin = within
        secrets: list[str] = []
        kept = self._keeper.both(parameters, context, secrets)
        operation = DataOperation(
            operation_id=operation_id,
            operation_type=OperationType(operation_type),
            timestamp=datetime.now(UTC),
            parameters=kept[0],
            execution_context=kept[1],
            parent_id=origin.operation_id(parent),
            code_module=place.module,
            code_name=place.code.co_qualname,
            code_file=place.code.co_filename,
            code_line=place.line,
            thread_id=threading.get_ident(),
            code_hash=codes.hash_of_code(place.code),
        )
        self.active[operation_id] = Active(
            operation, time.perf_counter_ns(), self._recorder.inside(origin), secrets
        )
        return operation_id

    def end(self, active: Active, error_info: str | None, error_type: str | None) -> int:
        """Take an operation off the active ones, with its outcome; gives its duration in ns."""
        operation = active.operation
        self.active.pop(operation.operation_id, None)
        duration_ns = time.perf_counter_ns() - active.started
        operation.duration_ms = duration_ns / 1e6
        if error_info is not None:
            operation.status, operation.error_type = FAILED, error_type
            operation.error_info = self._keeper.error_text(error_info, active.secrets)
        return duration_ns

    def record(self, active: Active, duration_ns: int) -> None:
        """Write an operation that has ended.

        Raises:
            StoreError: It could not be written.
        """
        operation, ref = active.operation, self._keeper.ref
        error = (operation.error_type, operation.error_info)
        inputs = [ref(source) for source in operation.inputs]
        outputs = [ref(source, operation.operation_id) for source in operation.outputs]
        start_ns = (codec.to_micros(operation.timestamp) or 0) * 1000
        inputs = [*files.read(inputs, self._most_bytes, start_ns)]
        outputs = files.written(outputs, self._most_bytes, operation.operation_id)
        if active.secrets:
            inputs = [links.hidden(each, active.secrets) for each in inputs]
            outputs = [links.hidden(each, active.secrets) for each in outputs]
        self._recorder.record(
            self._site(operation),
            active.origin,
            inputs,
            outputs,
            (
                *(operation.operation_id, operation.parent_id, operation.thread_id),
                *(start_ns, duration_ns),
                error if operation.is_failed else None,
                operation.parameters,
                *(operation.record_count_in, operation.record_count_out),
            ),
        )

    def _site(self, operation: DataOperation) -> Definition:
        context = codec.to_json(operation.execution_context)
        code = (operation.code_module, operation.code_name, operation.code_file)
        key = (str(operation.operation_type), *code, operation.code_line)
        known = (*key, context, operation.code_hash)
        site = self.sites.get(known)
        if site is None:
            if len(self.sites) >= _SITES:
                self.sites.clear()
            site = self.sites[known] = Definition(SITE, [*key, [], context, operation.code_hash])
        return site
