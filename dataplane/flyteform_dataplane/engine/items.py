"""The life of one item of a node: cache lookup, attempts with their retries, storing in the cache."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flyteform_dataplane.engine.changes import ItemChanged, ItemsStarted, ItemWaited
from flyteform_dataplane.engine.commands import LookUpCache, SetTimer, StartAttempt, StopAttempt, StoreInCache
from flyteform_dataplane.engine.failures import SYSTEM_ATTEMPTS, Failure, FailureKind, Verdict, judge
from flyteform_dataplane.engine.phases import CacheStatus, ItemPhase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteform_dataplane.engine.commands import Command
    from flyteform_dataplane.engine.graph import NodeRecord
    from flyteform_dataplane.engine.observations import (
        AttemptFailed,
        AttemptObservation,
        AttemptRunning,
        AttemptStopped,
        AttemptSucceeded,
        AttemptUnfolded,
        AttemptWaiting,
        CacheAnswered,
        CacheStored,
        TimerFired,
    )
    from flyteform_dataplane.engine.state import Items
    from flyteform_dataplane.engine.step import Step


def commands_for(record: NodeRecord, items: Items, index: int) -> Iterator[Command]:
    """Derive what has to be done for an item from where it stands; doing it again does no harm."""
    node, attempt = record.id, items.attempt(index)
    match items.phases[index]:
        case ItemPhase.CHECKING_CACHE:
            yield LookUpCache(node, index)
        case ItemPhase.QUEUED:
            yield StartAttempt(node, index, attempt, _interruptible(record, items, index))
        case ItemPhase.RUNNING:
            yield StartAttempt(node, index, attempt, _interruptible(record, items, index))
            if (at := items.deadlines.get(index)) is not None:
                yield SetTimer(node, index, attempt, at)
        case ItemPhase.UNFOLDED:
            if (at := items.deadlines.get(index)) is not None:
                yield SetTimer(node, index, attempt, at)
        case ItemPhase.STORING:
            yield StoreInCache(node, index, attempt)
        case ItemPhase.STOPPING | ItemPhase.TIMING_OUT:
            yield StopAttempt(node, index, attempt)
        case _:
            pass


def _interruptible(record: NodeRecord, items: Items, index: int) -> bool:
    """Whether the attempt may run where the machine can be taken away: not the last that the platform may fail."""
    return record.interruptible and items.systems[index] < SYSTEM_ATTEMPTS - 1


def start(step: Step, node: str, items: Items, at: float, *, limit: int, look_up: bool) -> None:
    """Start new items, up to `limit` (0: no limit) in flight together."""
    count = len(items) - items.next
    if limit:
        count = min(count, limit - items.in_flight)
    if count <= 0:
        return
    first = items.next
    phase = ItemPhase.CHECKING_CACHE if look_up else ItemPhase.QUEUED
    step.record(ItemsStarted(node, first, count, phase, at))
    record = step.graph.nodes[node]
    for index in range(first, first + count):
        step.commands.extend(commands_for(record, items, index))


def cache_answered(step: Step, items: Items, seen: CacheAnswered, *, queue: bool) -> bool:
    """Take a hit as the result; else go on to the first attempt if `queue`, or wait for the node to queue."""
    if items.phases[seen.index] != ItemPhase.CHECKING_CACHE:
        return False
    if seen.status is CacheStatus.HIT:
        _move(step, items, seen, ItemPhase.SUCCEEDED, cache=seen.status, key=seen.key)
    else:
        after = ItemPhase.QUEUED if queue else ItemPhase.NEW
        _move(step, items, seen, after, cache=seen.status)
    return True


def enqueue(step: Step, node: str, items: Items, index: int, at: float) -> None:
    """Command the first attempt of an item that waited for its node's turn."""
    if items.next == 0:
        step.record(ItemsStarted(node, 0, 1, ItemPhase.QUEUED, at))
    else:
        before = ItemPhase(items.phases[index])
        step.record(ItemChanged(node, index, before, ItemPhase.QUEUED, at, items.attempt(index)))
    step.commands.extend(commands_for(step.graph.nodes[node], items, index))


def waits(step: Step, items: Items, seen: AttemptWaiting) -> None:
    """Have it told that an attempt which does not run yet waits."""
    if _current(items, seen) and items.phases[seen.index] == ItemPhase.QUEUED:
        step.record(ItemWaited(seen.node, seen.index, seen.attempt, seen.wait, seen.at, seen.reason))


def running(step: Step, items: Items, seen: AttemptRunning) -> bool:
    """Note that the attempt runs; seen again later (it was started anew after a crash), its time begins anew."""
    if not _current(items, seen):
        return False
    phase = items.phases[seen.index]
    if phase == ItemPhase.RUNNING:
        timeout = step.graph.nodes[seen.node].timeout
        again = bool(timeout) and items.deadlines.get(seen.index, 0.0) < seen.at + timeout
    else:
        again = phase == ItemPhase.QUEUED
    if not again:
        return False
    _move(step, items, seen, ItemPhase.RUNNING, log_uri=seen.log_uri, command=False)
    if (at := items.deadlines.get(seen.index)) is not None:
        step.commands.append(SetTimer(seen.node, seen.index, seen.attempt, at))
    return True


def succeeded(step: Step, items: Items, seen: AttemptSucceeded, *, store: bool) -> bool:
    """Take the outputs; with `store` they go to the cache first. In a race with its own timeout a success wins."""
    phase = ItemPhase(items.phases[seen.index])
    if not _current(items, seen):
        return False
    if phase is ItemPhase.STOPPING:
        return _stopped(step, items, seen, retries=0)
    if not (phase.attempting or phase is ItemPhase.TIMING_OUT):
        return False
    _move(step, items, seen, ItemPhase.STORING if store else ItemPhase.SUCCEEDED, log_uri=seen.log_uri)
    return True


def unfolded(step: Step, items: Items, seen: AttemptUnfolded) -> bool:
    """Wait for the nodes that the attempt has made, unless it was to be stopped."""
    phase = ItemPhase(items.phases[seen.index])
    if not _current(items, seen):
        return False
    if phase is ItemPhase.STOPPING:
        return _stopped(step, items, seen, retries=0)
    if not (phase.attempting or phase is ItemPhase.TIMING_OUT):
        return False
    _move(step, items, seen, ItemPhase.UNFOLDED, log_uri=seen.log_uri, command=False)  # its timer is set already
    return True


def folded(step: Step, node: str, items: Items, at: float, *, store: bool) -> None:
    """End the item of a dynamic task, or store its outputs first, as the nodes that it made have ended well."""
    after = ItemPhase.STORING if store else ItemPhase.SUCCEEDED
    step.record(ItemChanged(node, 0, ItemPhase(items.phases[0]), after, at, items.attempt(0)))
    step.commands.extend(commands_for(step.graph.nodes[node], items, 0))


def judge_made(items: Items, failure: Failure, retries: int) -> Verdict:
    """Decide on another attempt of a dynamic task from the failure of what it made.

    As in Flyte, whatever fails there may be tried again by the task, and its user's retries count for it.
    """
    counted = replace(failure, kind=FailureKind.USER, recoverable=True)
    verdict = judge(counted, user_failures=items.users[0], system_failures=items.systems[0], retries=retries)
    if verdict.retry:
        return verdict
    return Verdict(replace(verdict.failure, kind=failure.kind) if retries else failure, retry=False)


def unmade(step: Step, node: str, items: Items, failure: Failure, at: float) -> None:
    """Count the attempt of a dynamic task as failed, as what it made has; the next one waits for its turn."""
    step.record(ItemChanged(node, 0, ItemPhase(items.phases[0]), ItemPhase.NEW, at, items.attempt(0) + 1, failure))


def stored(step: Step, items: Items, seen: CacheStored) -> bool:
    """End an item whose outputs are in the cache or could not be put there, which fails nothing."""
    if items.phases[seen.index] != ItemPhase.STORING:
        return False
    _move(step, items, seen, ItemPhase.SUCCEEDED, cache=seen.status, key=seen.key)
    return True


def failed(step: Step, items: Items, seen: AttemptFailed, *, retries: int) -> bool:
    """Try again while a budget lasts; an attempt that was being stopped has just stopped."""
    phase = ItemPhase(items.phases[seen.index])
    if not _current(items, seen):
        return False
    if phase.being_stopped:
        return _stopped(step, items, seen, retries=retries)
    if not phase.attempting:
        return False
    _judge(step, items, seen, seen.failure, retries, seen.log_uri)
    return True


def stopped(step: Step, items: Items, seen: AttemptStopped, *, retries: int) -> bool:
    """End an item whose attempt is gone: aborted, or with its time up, after which it may try again."""
    if not _current(items, seen) or not ItemPhase(items.phases[seen.index]).being_stopped:
        return False
    return _stopped(step, items, seen, retries=retries)


def timed_out(step: Step, items: Items, seen: TimerFired) -> bool:
    """Stop an attempt whose time is up; one that only sleeps has succeeded by that."""
    if not is_due(items, seen):
        return False
    after = ItemPhase.SUCCEEDED if step.graph.nodes[seen.node].sleeps else ItemPhase.TIMING_OUT
    _move(step, items, seen, after)
    return True


def is_due(items: Items, seen: TimerFired) -> bool:
    """Whether the time of the item's current attempt is up."""
    deadline = items.deadlines.get(seen.index)
    return _current(items, seen) and deadline is not None and seen.at >= deadline


def expired(record: NodeRecord) -> Failure:
    """Return the failure of an attempt whose time is up."""
    return Failure("TimeoutExpired", f"task execution timeout [{record.timeout:g}s] expired", recoverable=True)


def stop_all(step: Step, node: str, items: Items, at: float, failure: Failure) -> bool:
    """End all that is in flight; say whether something has to be waited for. Items not begun never begin."""
    waiting = False
    for index in range(items.next):
        phase = ItemPhase(items.phases[index])
        if phase.attempting or phase.being_stopped:
            after, waiting = ItemPhase.STOPPING, True
        elif phase.terminal:
            continue
        else:
            after = ItemPhase.ABORTED
        if phase is not after:
            step.record(ItemChanged(node, index, phase, after, at, items.attempt(index), failure))
            step.commands.extend(commands_for(step.graph.nodes[node], items, index))
    return waiting


def _stopped(
    step: Step,
    items: Items,
    seen: AttemptStopped | AttemptSucceeded | AttemptUnfolded | AttemptFailed,
    *,
    retries: int,
) -> bool:
    if items.phases[seen.index] == ItemPhase.TIMING_OUT:
        _judge(step, items, seen, expired(step.graph.nodes[seen.node]), retries, "")
    else:
        record, node = step.node(seen.node)
        reason = node.failure or step.state.failure
        before = ItemPhase(items.phases[seen.index])
        step.record(ItemChanged(record.id, seen.index, before, ItemPhase.ABORTED, seen.at, seen.attempt, reason))
    return True


def _judge(
    step: Step,
    items: Items,
    seen: AttemptFailed | AttemptStopped | AttemptSucceeded | AttemptUnfolded,
    failure: Failure,
    retries: int,
    log_uri: str,
) -> None:
    verdict = judge(
        failure,
        user_failures=items.users[seen.index],
        system_failures=items.systems[seen.index],
        retries=retries,
    )
    after = ItemPhase.QUEUED if verdict.retry else ItemPhase.FAILED
    attempt = seen.attempt + 1 if verdict.retry else seen.attempt
    before = ItemPhase(items.phases[seen.index])
    step.record(ItemChanged(seen.node, seen.index, before, after, seen.at, attempt, verdict.failure, log_uri))
    step.commands.extend(commands_for(step.graph.nodes[seen.node], items, seen.index))


def _current(items: Items, seen: AttemptObservation | AttemptWaiting) -> bool:
    """Whether an observation is about the item's current attempt, not one that ended before."""
    return seen.attempt == items.attempt(seen.index)


def _move(
    step: Step,
    items: Items,
    seen: CacheAnswered | CacheStored | AttemptObservation,
    after: ItemPhase,
    *,
    log_uri: str = "",
    cache: CacheStatus = CacheStatus.DISABLED,
    key: bytes = b"",
    command: bool = True,
) -> None:
    index = seen.index
    before = ItemPhase(items.phases[index])
    attempt = items.attempt(index)
    step.record(ItemChanged(seen.node, index, before, after, seen.at, attempt, log_uri=log_uri, cache=cache, key=key))
    if command:
        step.commands.extend(commands_for(step.graph.nodes[seen.node], items, index))
