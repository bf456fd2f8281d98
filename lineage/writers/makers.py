"""Which operation made what another one reads: told one by one, as they finish."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineage.core import DataOperation

_MOST = 100_000


class Makers:
    """What has made each version of a source, of the newest that were told.

    Examples:
        >>> from lineage.core import DataOperation, DataSource
        >>> prices, makers = DataSource("table", "prices"), Makers()
        >>> makers.parents_of(DataOperation.create("write", operation_id="1", outputs=[prices]))
        []
        >>> makers.parents_of(DataOperation.create("read", operation_id="2", inputs=[prices]))
        ['1']
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str | None], str] = OrderedDict()

    def parents_of(self, operation: DataOperation) -> list[str]:
        """Give the ids of the operations that made its inputs, one for each, and remember it."""
        own = operation.operation_id
        found = [self._known.get((each.node_id, each.version)) for each in operation.inputs]
        if not operation.is_failed:
            for each in operation.outputs:
                self._keep((each.node_id, each.version), own)
                self._keep((each.node_id, None), own)
        return [maker for maker in found if maker is not None and maker != own]

    def _keep(self, key: tuple[str, str | None], operation_id: str) -> None:
        self._known[key] = operation_id
        self._known.move_to_end(key)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
