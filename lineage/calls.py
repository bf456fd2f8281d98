"""One tracked call from its start to its end: what every generated wrapper calls into.

`begin` looks at the arguments before the function runs; `end` or `fail` at the outcome after.
None of them raises what is its own fault, and none keeps an argument, a result or a frame.
"""

from __future__ import annotations

import time
from threading import get_ident
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from lineage import files, fingerprint
from lineage.flows import (
    capture_parameters,
    declared_outputs,
    enter_repository,
    frame_ref,
    give,
    hide_sources,
    made_ref,
    name_frames,
    name_inputs,
    name_outputs,
    sum_rows,
)
from lineage.links import hidden
from lineage.parameters import PLAIN
from lineage.sites import Call, Site
from lineage.tracker import Current, current, scope

if TYPE_CHECKING:
    from lineage.flows import Where

_time_ns, _clock = time.time_ns, time.perf_counter_ns
SCALARS = PLAIN | {str, bytes}
# What the encoder says of an integer of more than 64 bits.
_UNENCODED = (OverflowError, TypeError, ValueError)


def begin(site: Site, values: tuple[Any, ...], owner: Any = None) -> Call | None:
    """Begin a call: None when it is not to be tracked.

    Args:
        site: The function.
        values: Its arguments in the order of the site's names; they are not kept.
        owner: The instance, when the function is a method of a repository.
    """
    tracker = site.tracker or scope.tracker
    if tracker is None or not tracker.settings.allows(site.operation_type):
        return None
    try:
        outside = current.get()
        parent, origin = outside or tracker.outermost
        where = (outside, origin.operation_id(parent), tracker.recorder.inside(origin))
        call = Call(site, tracker, tracker.recorder.next_id(), where)
        if site.settings is not tracker.settings:
            site.look_for_secrets()
        frames = capture_parameters(site, call, values)
        # A call with secrets begins here each time, whatever its wrapper could do by itself.
        site.settings = None if site.secrets else tracker.settings
        if site.repository is not None and not enter_repository(site, call, values, owner):
            return None
        if site.reads_only_frames:
            if frames:
                call.inputs = refs = [frame_ref(site, call, frame) for frame in frames]
                call.count_in = sum_rows(refs)
        else:
            name_inputs(site, call, values, frames)
        if call.secrets:
            hide_sources(site, call)
        call.start_ns = _time_ns()
        call.started = _clock()
    except RecursionError:  # there is no room to call anything
        tracker.recorder.lost += 1
        return None
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tracker.lose(problem)
        return None
    return call


Began = tuple["Current | None", tuple[Any, ...], int, int]
"""What a wrapper knows of a call that it began by itself: what the caller is in, the parameters,
the start in ns since 1970, the duration in ns."""


def close(where: Where, began: Began, result: Any) -> None:
    """Record that a call returned which its wrapper began by itself."""
    site, tracker, origin, number, inputs = where
    outside, parameters, start_ns, duration = began
    try:
        operation_id = f"{origin.prefix}{number}"
        output = give(result, where, operation_id)
        if output is None and not _is_scalar(type(result)):
            end(site, resume(where, began), result)
            return
        outputs, count_out = ((), None) if output is None else ((output,), output[3])
        count_in = inputs[0][3] if len(inputs) == 1 else sum_rows(inputs)
        parent = None if outside is None else outside[1].operation_id(outside[0])
        outcome = (
            operation_id,
            parent,
            get_ident(),
            start_ns,
            duration,
            None,
            parameters,
            count_in,
            count_out,
        )
        tracker.recorder.record(site.plain, origin, inputs, outputs, outcome)
    except _UNENCODED:
        end(site, resume(where, began), result)
    except RecursionError:  # there is no room to call anything
        tracker.recorder.lost += 1
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tracker.lose(problem)
    except BaseException as problem:
        tracker.lose(problem)
        raise


def resume(where: Where, began: Began) -> Call:
    """Make a call of one that a wrapper began by itself, since its end is not a plain one."""
    site, tracker, origin, number, inputs = where
    outside, parameters, start_ns, duration = began
    parent = None if outside is None else outside[1].operation_id(outside[0])
    identity = (f"{origin.prefix}{number}", number)
    call = Call(site, tracker, identity, (outside, parent, origin), parameters)
    call.inputs = inputs
    call.count_in = sum_rows(inputs)
    call.start_ns, call.started = start_ns, _clock() - duration
    return call


def end(site: Site, call: Call, result: Any, values: tuple[Any, ...] = ()) -> None:
    """Record that a call returned.

    Args:
        site: The function.
        call: The call.
        result: What it returned; it is not kept, and no iterator is advanced.
        values: The arguments again, where the site has use for them.
    """
    duration = _clock() - call.started
    try:
        kind = type(result)
        if site.writes_only_frames and fingerprint.is_frame(kind):
            count_out = name_frames(site, call, ((0, result),), ())
        elif site.writes_only_frames and _is_scalar(kind):
            count_out = None
        else:
            count_out = name_outputs(site, call, result, values)
        finish(call, duration, None, count_out)
    except RecursionError:  # there is no room to call anything
        call.tracker.recorder.lost += 1
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        call.tracker.lose(problem)
    except BaseException as problem:
        call.tracker.lose(problem)
        raise


def fail(site: Site, call: Call, error: BaseException, values: tuple[Any, ...] = ()) -> None:
    """Record that a call raised; its declared outputs are kept, and make no edge."""
    duration = _clock() - call.started
    try:
        call.outputs = [*call.outputs, *declared_outputs(site, call, values)]
        finish(call, duration, error_of(call, error), None)
    except RecursionError:  # there is no room to call anything
        call.tracker.recorder.lost += 1
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        call.tracker.lose(problem)
    except BaseException as problem:
        call.tracker.lose(problem)
        raise


def error_of(call: Call, error: BaseException) -> tuple[str, str]:
    """Describe an error, without the secret arguments that its text may repeat."""
    return call.tracker.keeper.error_of(error, call.secrets)


def _is_scalar(kind: type) -> bool:
    try:
        return kind in SCALARS
    except Exception:  # noqa: BLE001 - a metaclass may make its types unhashable, or raise
        return False


def finish(
    call: Call, duration_ns: int, error: tuple[str, str] | None, count_out: int | None
) -> None:
    """Write the record of a call."""
    if call.secrets:
        call.outputs = [hidden(ref, call.secrets) for ref in call.outputs]
    if call.inputs:
        # Only now: what the function has read is in memory, and is read again at little cost.
        most_bytes = call.tracker.settings.fingerprint_max_bytes
        call.inputs = files.read(call.inputs, most_bytes, call.start_ns)
    identity = (call.inside[0], call.parent, get_ident(), call.start_ns, duration_ns, error)
    counts = (call.count_in, count_out) if call.counts else (None, None)
    record, where = call.tracker.recorder.record, (call.definition, call.origin)
    outcome = (*identity, call.parameters, *counts)
    try:
        record(*where, call.inputs, call.outputs, outcome)
    except _UNENCODED:
        capture = call.tracker.captor.capture
        parameters = [each if type(each) is Raw else capture(each) for each in call.parameters]
        record(*where, call.inputs, call.outputs, (*identity, parameters, *counts))


def note_yield(site: Site, call: Call, item: Any) -> int:
    """Link a frame that a generator yields, and count the records: its rows, or one."""
    try:
        if not fingerprint.is_frame(type(item)):
            return 1
        ref = made_ref(site, call, "yield", item, ())
        if not any(known[:2] == ref[:2] for known in call.outputs):
            call.outputs = [*call.outputs, ref]
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        call.tracker.lose(problem)
        return 0
    return ref[3] or 0
