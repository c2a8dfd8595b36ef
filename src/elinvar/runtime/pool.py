"""The thread pool: Python threads parked inside of one native loop.

The native side (`pool_text.py`) shares out the tasks of a launch; this side starts and stops the
workers. They start with the first program that has a parallel launch, and again after a fork, at
which they are stopped, so that no child inherits a pool without threads.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from elinvar.core.errors import ValueRangeError, fail
from elinvar.core.settings import settings
from elinvar.runtime import native, platform_text, pool_text

MOST_THREADS = 256
_EXIT_SECONDS = 1.0


@dataclass(slots=True)
class _Pool:
    """What Python knows of the workers."""

    wanted: int = min(settings.num_threads, MOST_THREADS)
    started: bool = False
    workers: list[threading.Thread] = field(default_factory=list)
    listeners: list[Callable[[int], None]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)


_pool = _Pool()


@dataclass(frozen=True, slots=True)
class _Native:
    """The native functions that Python calls. Calling `worker` or `measure` releases the GIL."""

    worker: Callable[[int], None]
    set_threads: Callable[[int], None]
    forget: Callable[[], None]
    measure: Callable[[int], None]


@functools.cache
def native_functions() -> dict[str, int]:
    """The addresses of the pool's native functions, loaded on first use."""
    native.declare_symbols(platform_text.c_functions())
    return native.load(pool_text.pool_text(), pool_text.FUNCTIONS, level=0)


@functools.cache
def _native() -> _Native:
    addresses = native_functions()
    with_count = ctypes.CFUNCTYPE(None, ctypes.c_int64)
    functions = _Native(
        worker=with_count(addresses["elinvar_pool_worker"]),
        set_threads=with_count(addresses["elinvar_pool_set_threads"]),
        forget=ctypes.CFUNCTYPE(None)(addresses["elinvar_pool_forget"]),
        measure=with_count(addresses["elinvar_pool_measure"]),
    )
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=stop, after_in_child=_after_fork)
    return functions


def get_num_threads() -> int:
    """How many threads share a parallel launch, the calling one among them."""
    return _pool.wanted


def set_num_threads(count: int) -> None:
    """Let `count` threads share the parallel launches from now on. Results do not depend on it.

    Args:
        count: 1 … 256, the calling thread among them.

    Raises:
        ValueRangeError: `count` is not an integer in this range.

    Example:
        >>> before = get_num_threads()
        >>> set_num_threads(1)
        >>> get_num_threads()
        1
        >>> set_num_threads(before)
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_THREADS:
        fail(
            ValueRangeError,
            "set_num_threads",
            f"the number of threads must be an integer of 1 … {MOST_THREADS}, received {count!r}",
        )
    with _pool.lock:
        _pool.wanted = count
        if _pool.started:
            _resize(count)


def start() -> None:
    """Start the workers that are wanted; nothing happens when they run already."""
    with _pool.lock:
        if not _pool.started:
            _resize(_pool.wanted)
            _set_started(True)


def stop() -> None:
    """Stop all workers and wait for them.

    Launches that run meanwhile are finished; the next parallel program starts the pool again.
    """
    with _pool.lock:
        if _pool.started:
            _set_started(False)
            _resize(1)


def on_start(listener: Callable[[int], None]) -> None:
    """Call `listener` with 1 whenever the pool was started and with 0 when it was stopped."""
    with _pool.lock:
        _pool.listeners.append(listener)
        listener(int(_pool.started))


def parallel_overhead(launches: int = 2000) -> float:
    """Seconds for one parallel launch that does nothing, with the threads that are set now.

    Example:
        >>> parallel_overhead(10) > 0
        True
    """
    start()
    begin = time.perf_counter()
    _native().measure(launches)
    return (time.perf_counter() - begin) / launches


def _set_started(started: bool) -> None:
    _pool.started = started
    for listener in _pool.listeners:
        listener(int(started))


def _resize(count: int, seconds: float | None = None) -> None:
    """Make the number of workers `count - 1`; fewer when the system gives no more threads."""
    functions = _native()
    workers = _pool.workers
    functions.set_threads(count)
    while len(workers) > count - 1:
        workers.pop().join(seconds)
    while len(workers) < count - 1:
        number = len(workers)
        worker = threading.Thread(
            target=functions.worker, args=(number,), name=f"elinvar-{number + 1}", daemon=True
        )
        try:
            worker.start()
        except RuntimeError:  # no more threads, or the interpreter is about to end
            functions.set_threads(number + 1)
            return
        workers.append(worker)


def _at_exit() -> None:
    """Stop the workers for good: programs that still run do so on their own thread."""
    with _pool.lock:
        if _pool.started:
            _resize(1, _EXIT_SECONDS)
        else:
            _set_started(True)


def _after_fork() -> None:
    """In the child: a fresh lock, and no launch of another thread is under way."""
    _pool.lock = threading.RLock()
    _pool.workers.clear()
    _pool.started = False
    _native().forget()
