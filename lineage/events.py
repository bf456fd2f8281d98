"""An event bus: who wants to hear of what, and how they are told.

It is bare: what a handler raises reaches whoever publishes. That of a tracker is
`lineage.subscribers`, which lets nothing through to the tracked program.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Handler = Callable[..., object]


class EventBus:
    """Handlers by event; each bus has its own. Threads may share one.

    As a context manager it forgets its handlers at the end.

    Examples:
        >>> told = []
        >>> with EventBus() as bus:
        ...     stop = bus.subscribe("changed", lambda name, price: told.append((name, price)))
        ...     bus.publish("changed", "tea", price=3)
        ...     stop()
        ...     bus.publish("changed", "tea", price=4)
        >>> told
        [('tea', 3)]
    """

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[tuple[object, Handler], ...]] = {}
        # Reentrant: a handler may subscribe, and a signal's handler may interrupt one who does.
        self.changing = threading.RLock()

    def subscribe(self, event: str, handler: Handler) -> Callable[[], None]:
        """Call a handler with what is published for an event; gives a function that stops it."""
        token = self.add(event, handler)

        def unsubscribe() -> None:
            self.remove(event, token)

        return unsubscribe

    def unsubscribe(self, handler: Handler, event: str | None = None) -> None:
        """Call a handler no more for an event, or for any; one that is unknown does not matter."""
        with self.changing:
            for name in list(self._handlers) if event is None else [event]:
                known = self._handlers.get(name, ())
                self._handlers[name] = tuple(each for each in known if each[1] != handler)

    def publish(self, event: str, *subjects: Any, **payload: Any) -> None:
        """Call the handlers of an event in the order in which they came.

        Raises:
            Exception: What a handler raises; those after it are not called.
        """
        for _, handler in self._handlers.get(event, ()):
            handler(*subjects, **payload)

    def reset(self) -> None:
        """Forget all handlers."""
        with self.changing:
            self._handlers = {}

    def add(self, event: str, handler: Handler) -> object:
        """Add a handler; gives a token for `remove`."""
        token = object()
        with self.changing:
            self._handlers[event] = (*self._handlers.get(event, ()), (token, handler))
        return token

    def remove(self, event: str, token: object) -> bool:
        """Remove a handler, or do nothing if it is gone; tells whether any is left."""
        with self.changing:
            known = self._handlers.get(event, ())
            self._handlers[event] = tuple(each for each in known if each[0] is not token)
            return any(self._handlers.values())

    def __enter__(self) -> EventBus:
        """Give the bus."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Forget all handlers."""
        self.reset()
