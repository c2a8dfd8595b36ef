"""Worker processes: elements in order, whoever made them, and nothing is waited for in vain.

The parent hands out units of work: the numbers of some elements, and a block of shared memory for
the result. A unit is a batch where batches are decided beforehand, else a run of samples.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from multiprocessing import connection
from typing import Any

from elinvar.core.errors import DataError, DTypeError, ElinvarError, StateError, fail
from elinvar.data.gathering import as_tensors, mapped
from elinvar.data.reader import DROPPED, Base, Skipped
from elinvar.data.shared import Block, compact
from elinvar.runtime.pool import set_num_threads

BLOCK = 32  # samples in a unit where batches depend on the data
_IDLE = -1


class WorkerDied(DataError):
    """A worker process ended by itself, or was ended from outside."""


def serve(
    base: Base, link: Any, blocks: list[Block], board: Block, number: int, foreign: list[Any]
) -> None:
    """What a worker does: units from the link, until it closes.

    Args:
        base: gives elements by number.
        link: to the parent.
        blocks: for results.
        board: where each worker writes the index of the sample it is at.
        number: the worker's place on the board.
        foreign: links of the parent to other workers, which a forked process must not keep open.
    """
    for other in foreign:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who closes the link
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])
    set_num_threads(1)  # workers share the processors among themselves
    gc.freeze()  # what the parent made stays on shared pages
    parent, places = os.getppid(), board.numbers(number + 1)

    def told(index: int) -> None:
        places[number] = index

    base.reader.told = base.reader.source.told = told
    try:
        while os.getppid() == parent:
            if not link.poll(1.0):
                continue
            unit = link.recv()
            if unit is None:
                return
            link.send(_answer(base, blocks, *unit))
            told(_IDLE)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone, or wants no more


def _answer(base: Base, blocks: list[Block], unit: int, block: int, numbers: range) -> Any:
    found, trouble = [], None
    base.skipped = Skipped()
    for number in numbers:
        try:
            element = base.load(number, for_transport=True)
            if element is not DROPPED:
                found.append((number, mapped(element, compact)))
        except Exception as error:
            trouble = _packed(error)
            break
    try:
        sizes = blocks[block].write(found)
    except Exception as error:  # an object that has no way to another process
        text = f"[data] a sample cannot go from a worker to its parent: {error}"
        trouble, sizes = (DataError, text, _packed(error)[2:]), blocks[block].write([])
    return unit, block, sizes, (base.skipped.count, base.skipped.texts), trouble


def _packed(error: Exception) -> Any:
    """An error as it goes to the parent: kind, text, and what it was raised from."""
    cause = error.__cause__ or error
    lines = "".join(traceback.format_exception(cause))
    try:
        pickled = pickle.dumps(cause)
        pickle.loads(pickled)
    except Exception:
        pickled = None
    kind = type(error) if isinstance(error, ElinvarError) else DataError
    return kind, str(error), (pickled, f"{type(cause).__name__}: {cause}", lines)


def _raised(trouble: Any) -> None:
    kind, text, rest = trouble
    pickled, short, lines = rest if len(rest) == 3 else rest[0]
    cause = RuntimeError(short) if pickled is None else pickle.loads(pickled)
    cause.add_note(f"in a worker process:\n{lines}")
    raise kind(text) from cause


class Pool:
    """Some worker processes over one pass.

    Args:
        base: gives elements by number.
        count: how many processes.
        depth: results that may wait, beside those being made.
        method: `"fork"` or `"spawn"`.
        final: whether elements are handed out as they come, as tensors.
    """

    def __init__(self, base: Base, count: int, depth: int, method: str, final: bool) -> None:
        self._base = base
        self._final = final
        self._count = count
        self._method = method
        self._blocks = [Block() for _ in range(count + depth)]
        self._board = Block()
        self._board.numbers(count)[:] = _IDLE
        self._links: list[Any] = []
        self._processes: list[Any] = []

    def elements(self, start: int) -> Iterator[tuple[int, Any]]:
        """Elements with their numbers, from one on; ends the processes when it is closed."""
        size = 1 if self._base.positional else BLOCK
        starts = range(start, self._base.count, size)
        ready: dict[int, Any] = {}
        free = list(range(len(self._blocks)))
        waiting: list[set[int]] = [set() for _ in range(self._count)]
        sent = 0
        try:
            if len(starts):
                self._start()
            for unit in range(len(starts)):
                while free and sent < len(starts):
                    least = min(range(self._count), key=lambda number: len(waiting[number]))
                    first = starts[sent]
                    numbers = range(first, min(first + size, self._base.count))
                    self._send(least, (sent, free.pop(), numbers))
                    waiting[least].add(sent)
                    sent += 1
                while unit not in ready:
                    self._receive(ready, waiting)
                block, sizes, skipped, trouble = ready.pop(unit)
                self._base.skipped.add(*skipped)
                found = self._blocks[block].read(sizes, copy=not self._final)
                if self._final:
                    found = [(number, as_tensors(element)) for number, element in found]
                free.append(block)
                yield from found
                if trouble is not None:
                    _raised(trouble)
        finally:
            self.close()

    def _start(self) -> None:
        context: Any = multiprocessing.get_context(self._method)
        masked = hasattr(signal, "pthread_sigmask")
        if masked:  # a worker must not meet Ctrl-C before it has said that it ignores it
            before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
        try:
            for number in range(self._count):
                ours, theirs = context.Pipe()
                self._links.append(ours)
                foreign = list(self._links) if self._method == "fork" else []
                values = (self._base, theirs, self._blocks, self._board, number, foreign)
                process = context.Process(
                    target=serve, args=values, daemon=True, name=f"elinvar-data-{number}"
                )
                try:
                    with warnings.catch_warnings():
                        # Python warns of threads beside a fork. Ours are stopped before it.
                        warnings.simplefilter("ignore", DeprecationWarning)
                        process.start()
                except (pickle.PicklingError, AttributeError, TypeError) as error:
                    text = f"the pipeline cannot go to a new process: {error}"
                    hint = "use functions of a module instead of lambdas, or start='fork'"
                    fail(DTypeError, "workers", text, hint)
                finally:
                    theirs.close()
                self._processes.append(process)
        finally:
            if masked:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _send(self, number: int, unit: Any) -> None:
        try:
            self._links[number].send(unit)
        except (BrokenPipeError, ConnectionResetError):
            self._died(number)

    def _receive(self, ready: dict[int, Any], waiting: list[set[int]]) -> None:
        """Take what has come from any worker; wait until something has."""
        ends = {process.sentinel: number for number, process in enumerate(self._processes)}
        links = {link: number for number, link in enumerate(self._links)}
        found = connection.wait([*links, *ends])
        for one in found:
            if one in links:
                number = links[one]
                try:
                    unit, *rest = self._links[number].recv()
                except (EOFError, ConnectionResetError, OSError):
                    self._died(number)
                waiting[number].discard(unit)
                ready[unit] = rest
        for one in found:
            if one in ends and not self._links[ends[one]].poll():
                self._died(ends[one])

    def _died(self, number: int) -> None:
        process = self._processes[number]
        process.join(1.0)
        code = process.exitcode
        how = f"with exit code {code}"
        if code is not None and code < 0:
            how = f"by signal {-code} ({signal.Signals(-code).name})"
        index = int(self._board.numbers(self._count)[number])
        what = "between samples"
        if index != _IDLE:
            source = self._base.reader.source
            what = f"at sample {index} of {source.name}"
            detail = source.describe(index)
            what += f" ({detail})" if detail else ""
        hint = "SIGKILL mostly comes from the system when memory is short" if code == -9 else ""
        text = f"[data] worker process {number} ended {how} {what}"
        raise WorkerDied(text + (f"\n  hint: {hint}" if hint else ""))

    def close(self) -> None:
        """End all processes: politely, then by signal. Nothing is left."""
        for link in self._links:
            try:
                link.send(None)
            except OSError:
                pass
            link.close()
        patience = time.monotonic() + 0.5
        for process in self._processes:
            process.join(max(0.0, patience - time.monotonic()))
            if process.is_alive():
                process.terminate()
                process.join(1.0)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._links, self._processes = [], []
        for block in [*self._blocks, self._board]:
            block.close()


def start_method(wanted: str | None) -> str:
    """How workers are started: by a fork where there is one, so that closures work.

    Raises:
        StateError: this process is a worker itself.
    """
    if multiprocessing.current_process().daemon:
        fail(StateError, "workers", "a worker process cannot have workers of its own")
    if wanted is not None:
        return wanted
    return "fork" if sys.platform.startswith("linux") else "spawn"
