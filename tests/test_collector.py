"""The collector is stopped for a while, and left as it was."""

import gc
import threading
from contextlib import suppress

import pytest

from lineage.stores.collector import uncollected


@pytest.mark.parametrize("was_enabled", [True, False])
def test_the_collector_is_left_as_it_was(was_enabled):
    try:
        (gc.enable if was_enabled else gc.disable)()
        with suppress(ZeroDivisionError), uncollected():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled() == was_enabled
    finally:
        gc.enable()


def test_another_thread_leaves_it_alone():
    seen = []

    def look():
        with uncollected():
            seen.append(gc.isenabled())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [True]
