"""The kinds of calls that can be tracked: each makes a one-argument call around a body."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from lineage.decorators import track_lineage, track_repository_operation


def plain(function):
    """Decorate with nothing."""
    return function


def scalars(decorate, body):
    """Make the call that the fast wrapper serves."""

    @decorate
    def function(value):
        return body(value)

    return function


def general(decorate, body):
    """Make a call that the fast wrapper does not serve."""

    @decorate
    def function(*values, **named):
        return body(*values)

    return function


def keyword(decorate, body):
    @decorate
    def function(first=1, *, value=None):
        return body(value)

    return lambda value: function(value=value)


def method(decorate, body):
    class Owner:
        @decorate
        def function(self, value):
            return body(value)

    return Owner().function


def static(decorate, body):
    class Owner:
        @decorate
        @staticmethod
        def function(value):
            return body(value)

    return Owner.function


def klass(decorate, body):
    class Owner:
        @decorate
        @classmethod
        def function(cls, value):
            return body(value)

    return Owner.function


def threaded(decorate, body):
    function = scalars(decorate, body)

    def call(value):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function, value).result()

    return call


def coroutine(decorate, body):
    @decorate
    async def function(value):
        await asyncio.sleep(0)
        return body(value)

    return lambda value: drive(function(value))


def generator(decorate, body):
    @decorate
    def function(value):
        yield body(value)

    return lambda value: next(function(value))


def exhausted(decorate, body):
    @decorate
    def function(value):
        yield 1
        return body(value)

    def call(value):
        def outer():
            return (yield from function(value))

        steps = outer()
        next(steps)
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value
        raise AssertionError

    return call


def async_generator(decorate, body):
    @decorate
    async def function(value):
        await asyncio.sleep(0)
        yield body(value)

    async def first(value):
        steps = function(value)
        try:
            return await anext(steps)
        finally:
            await steps.aclose()

    return lambda value: drive(first(value))


def repository_method(decorate, body):
    decorate = plain if decorate is plain else track_repository_operation("read")

    class Owner:
        dataset_name = "things"

        @decorate
        def load(self, value):
            return body(value)

    return Owner().load


def drive(coroutine):
    """Run a coroutine that waits for nothing but its turn."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


KINDS = {
    made.__name__: made
    for made in (
        *(scalars, general, keyword, method, static, klass, threaded, coroutine),
        *(generator, exhausted, async_generator, repository_method),
    )
}

tracked = track_lineage
