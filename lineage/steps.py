"""A tracked generator, step by step: each step runs inside its operation, each wait outside it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from lineage.calls import begin, error_of, finish, note_yield
from lineage.tracker import current

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

    from lineage.sites import Call, Site

_clock = time.perf_counter_ns


class DONE:
    """What a step gives when there are no more: a class, since that stays itself when pickled."""


class _Tally:
    """What the steps of one generator add up to: its own time, and what it yielded."""

    def __init__(self, site: Site, values: tuple[Any, ...], owner: Any) -> None:
        self.value: Any = None
        self._site = site
        self._call: Call | None = begin(site, values, owner)
        self._duration = 0
        self._yielded = 0

    def _note(self, item: Any) -> Any:
        if self._call is not None:
            try:
                self._yielded += note_yield(self._site, self._call, item)
            except BaseException as error:  # an interrupt: nobody will take another step
                self._finish(error)
                raise
        return item

    def _finish(self, error: BaseException | None = None) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        if isinstance(error, GeneratorExit):
            error = None  # the consumer wanted no more
        try:
            known = None if error is None else error_of(call, error)
            finish(call, self._duration, known, self._yielded)
        except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
            call.tracker.lose(problem)
        except BaseException as problem:
            call.tracker.lose(problem)
            raise


class Steps(_Tally):
    """Drive a generator, and record it when it is exhausted, closed or has raised."""

    def __init__(
        self,
        site: Site,
        values: tuple[Any, ...],
        generator: Generator[Any, Any, Any],
        owner: Any = None,
    ) -> None:
        super().__init__(site, values, owner)
        self._generator = generator

    def send(self, value: Any) -> Any:
        """Take the next item, or DONE; the generator's own value is then in `value`."""
        return self._step(self._generator.send, value)

    def throw(self, error: BaseException) -> Any:
        """Raise an error where the generator waits; gives the next item, or DONE."""
        try:
            return self._step(self._generator.throw, error)
        finally:
            del error  # or one that goes on would refer to itself, by its traceback

    def _step(self, step: Callable[[Any], Any], value: Any) -> Any:
        # `current.set` itself comes first in every way out: a signal is looked for as a function is
        # entered, and one that raised there would leave the caller inside of this operation.
        outside, started = current.get(), _clock()
        try:
            if self._call is not None:
                current.set(self._call.inside)
            item = step(value)
        except StopIteration as stop:
            current.set(outside)
            self.value = stop.value
            self._duration += _clock() - started
            self._finish()
            return DONE
        except BaseException as error:
            current.set(outside)
            self._duration += _clock() - started
            self._finish(error)
            raise
        finally:
            del value
        current.set(outside)
        self._duration += _clock() - started
        return self._note(item)


class AsyncSteps(_Tally):
    """Drive an async generator, and record it when it is exhausted, closed or has raised."""

    def __init__(
        self,
        site: Site,
        values: tuple[Any, ...],
        generator: AsyncGenerator[Any, Any],
        owner: Any = None,
    ) -> None:
        super().__init__(site, values, owner)
        self._generator = generator

    async def send(self, value: Any) -> Any:
        """Take the next item, or DONE."""
        return await self._step(self._begin() if value is None else self._generator.asend(value))

    def _begin(self) -> Coroutine[Any, Any, Any]:
        """Go on, unseen by the event loop.

        A loop that ends closes all generators that it knows at once: the wrapper closes this one,
        which must not be under way then.
        """
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            return self._generator.asend(None)
        finally:
            sys.set_asyncgen_hooks(*hooks)

    async def throw(self, error: BaseException) -> Any:
        """Raise an error where the generator waits; gives the next item, or DONE."""
        try:
            return await self._step(self._generator.athrow(error))
        finally:
            del error  # or one that goes on would refer to itself, by its traceback

    async def _step(self, step: Coroutine[Any, Any, Any]) -> Any:
        outside, started = current.get(), _clock()
        try:
            if self._call is not None:
                current.set(self._call.inside)
            item = await step
        except StopAsyncIteration:
            current.set(outside)
            self._duration += _clock() - started
            self._finish()
            return DONE
        except BaseException as error:
            current.set(outside)
            self._duration += _clock() - started
            self._finish(error)
            raise
        current.set(outside)
        self._duration += _clock() - started
        return self._note(item)
