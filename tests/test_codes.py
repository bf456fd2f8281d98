"""Hashes of code: another one for other behaviour, the same for the same behaviour."""

import functools
import subprocess
import sys
import textwrap

import pytest

from lineage import codes, track_lineage


def made(source):
    """Give the function `f` of a source, which stands in a file of its own each time."""
    scope = {}
    exec(compile(textwrap.dedent(source), f"<{len(source)}>", "exec"), scope)
    return scope["f"]


BASE = "def f(x, y=1):\n    return x + y\n"


@pytest.mark.parametrize(
    "source",
    [
        BASE,
        "\n\n\n" + BASE,
        "def f(x, y=1):\n    # why\n    return x + y\n",
        "def f(x, y=1):\n    return x + (\n        y\n    )\n",
    ],
)
def test_what_does_the_same_has_the_same_hash(source):
    assert codes.hash_of(made(source)) == codes.hash_of(made(BASE))


@pytest.mark.parametrize(
    "source",
    [
        "def f(x, y=1):\n    return x - y\n",
        "def f(x, y=1):\n    return x + z\n",
        "def f(x, y=1):\n    return x + y + 1\n",
        "def f(x, *, y=1):\n    return x + y\n",
        "def f(x, y=1):\n    return (lambda: x + y)()\n",
        "def f(x, y=1):\n    yield x + y\n",
    ],
)
def test_what_does_something_else_has_another(source):
    assert codes.hash_of(made(source)) != codes.hash_of(made(BASE))


def test_a_docstring_is_no_behaviour():
    one, other = (made(f'def f(x):\n    "{text}"\n    return x\n') for text in ("a", "b"))
    assert codes.hash_of(one) == codes.hash_of(other)
    # A text that is no docstring is: the rule must not swallow it.
    one, other = (made(f'f = lambda: "{text}"\n') for text in ("a", "b"))
    assert codes.hash_of(one) != codes.hash_of(other)


def test_inner_functions_and_constants_count():
    one, other = (
        made(f"def f(x):\n    return [i for i in x if i in {{'a', 'b', {last!r}}}]\n")
        for last in ("c", "d")
    )
    assert codes.hash_of(one) != codes.hash_of(other)


def test_a_hash_is_the_same_in_every_process():
    """Sets of texts have another order in each, and so has what is made of them carelessly."""
    program = (
        "from lineage import codes\n"
        "def f(x):\n    return x in {'a', 'b', 'c', 'd', ('e', 'f')}\n"
        "print(codes.hash_of(f))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(found) == 1


def test_what_a_decorator_wraps_counts():
    def decorated(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)

        return wrapper

    one = decorated(made(BASE))
    other = decorated(made("def f(x, y=1):\n    return x * y\n"))
    assert codes.hash_of(one) != codes.hash_of(other)


class Hostile:
    @property
    def __code__(self):
        raise RuntimeError("no")

    def __getattr__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize(
    "value",
    [len, 7, None, Hostile(), functools.partial(len)],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_code_has_no_hash(value):
    assert codes.hash_of(value) is None


def test_a_wrapper_that_wraps_itself_ends():
    function = made(BASE)
    function.__wrapped__ = function
    assert codes.hash_of(function)


def test_it_is_recorded_of_functions_and_by_hand(tracker):
    @track_lineage("transform")
    def doubled(x):
        return 2 * x

    doubled(1)
    tracker.complete_operation(tracker.start_operation("read"))
    first, second = tracker.operations.values()
    assert first.code_hash == codes.hash_of(doubled.__wrapped__)
    assert second.code_hash == codes.hash_of_code(
        test_it_is_recorded_of_functions_and_by_hand.__code__
    )
