"""The thread pool: the same results with any number of threads, and no way to hang."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from run_kernels import ADD, SLOW, run_python

from elinvar.core.errors import ValueRangeError
from elinvar.runtime import pool
from elinvar.runtime.program import For, Launch, make_program

HAS_FORK = hasattr(os, "fork")


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


def slow_values(tasks: int = 37, steps: int = 200) -> np.ndarray:
    values = np.linspace(-3, 5, tasks)
    for _ in range(steps):
        values = values * 0.5 + 1.0  # exact: the same as with fma
    return values


def workers() -> int:
    return sum(thread.name.startswith("elinvar-") for thread in threading.enumerate())


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("tasks", [1, 2, 7, 37, 1000])
def test_results_do_not_depend_on_threads(threads: int, tasks: int) -> None:
    pool.set_num_threads(threads)
    call = make_program([Launch(SLOW, tasks, [(0, 0), (-1, 20)], parallel=True)] * 10, 1)
    values = np.linspace(-3, 5, tasks)
    call(values.ctypes.data)
    assert values.tobytes() == slow_values(tasks).tobytes()
    assert workers() == threads - 1


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_task_runs_once(threads: int) -> None:
    pool.set_num_threads(threads)
    for tasks in (*range(40), 255, 4096):
        a = np.zeros(tasks + 1, np.int64)
        launch = Launch(ADD, tasks, [(0, 0), (-1, 1)], parallel=True)
        make_program([launch] * 3, 1)(a.ctypes.data)
        assert (a[:tasks] == 3).all()
        assert a[tasks] == 0


@pytest.mark.parametrize("threads", [2, 5])
def test_a_launch_sees_what_the_one_before_wrote(threads: int) -> None:
    """Each launch adds to what the one before left, shifted by one: a missing barrier shows."""
    pool.set_num_threads(threads)
    n = 64
    launches = []
    for i in range(50):
        launches.append(Launch(ADD, n, [(0, 8 * i), (-1, 1)], parallel=True))
    a = np.zeros(n + 50, np.int64)
    call = make_program([For(0, 40, launches)], 1)
    call(a.ctypes.data)
    expected = np.zeros(n + 50, np.int64)
    for i in range(50):
        expected[i : i + n] += 40
    assert (a == expected).all()


def test_set_num_threads_refuses() -> None:
    for count in (0, -1, 257, 1.5, "2", None, True):
        with pytest.raises(ValueRangeError, match=r"\[set_num_threads\] .* an integer of 1 … 256"):
            pool.set_num_threads(count)  # type: ignore[arg-type]


def test_workers_come_and_go() -> None:
    call = make_program([Launch(ADD, 64, [(0, 0), (-1, 1)], parallel=True)], 1)
    a = np.zeros(64, np.int64)
    for runs, threads in enumerate((1, 4, 2, 7, 1, 3), 1):
        pool.set_num_threads(threads)
        assert pool.get_num_threads() == threads
        call(a.ctypes.data)
        assert workers() == threads - 1
        assert (a == runs).all()


def test_threads_change_while_programs_run() -> None:
    values = [np.zeros(64, np.int64) for _ in range(2)]
    call = make_program([Launch(ADD, 64, [(0, 0), (-1, 1)], parallel=True)] * 50, 1)
    counts = [0, 0]
    stop = False

    def work(which: int) -> None:
        while not stop:
            call(values[which].ctypes.data)
            counts[which] += 1

    threads = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for i in range(60):
        pool.set_num_threads(1 + i % 5)
    stop = True
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    for which in range(2):
        assert counts[which] > 0
        assert (values[which] == 50 * counts[which]).all()


def test_python_threads_run_programs_at_the_same_time() -> None:
    pool.set_num_threads(3)
    call = make_program([Launch(SLOW, 37, [(0, 0), (-1, 50)], parallel=True)] * 4, 1)
    results = [np.linspace(-3, 5, 37) for _ in range(6)]

    def work(values: np.ndarray) -> None:
        start = values.copy()
        for _ in range(200):
            values[:] = start
            call(values.ctypes.data)

    threads = [threading.Thread(target=work, args=(values,)) for values in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    for values in results:
        assert values.tobytes() == slow_values().tobytes()


def test_beside_busy_processes() -> None:
    """With every core taken by others, parallel programs take their share of time, not forever."""
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        pool.set_num_threads(4)
        call = make_program([Launch(ADD, 64, [(0, 0), (-1, 1)], parallel=True)] * 100, 1)
        a = np.zeros(64, np.int64)
        begin = time.perf_counter()
        for _ in range(100):
            call(a.ctypes.data)
        seconds = time.perf_counter() - begin
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert (a == 100 * 100).all()
    assert seconds < 5  # alone it takes some ms


def test_more_threads_than_cores() -> None:
    pool.set_num_threads(32)
    call = make_program([Launch(SLOW, 37, [(0, 0), (-1, 200)], parallel=True)], 1)
    for _ in range(200):
        values = np.linspace(-3, 5, 37)
        call(values.ctypes.data)
        assert values.tobytes() == slow_values().tobytes()


@pytest.mark.skipif(not HAS_FORK, reason="needs fork")
def test_a_child_starts_its_own_pool() -> None:
    pool.set_num_threads(3)
    call = make_program([Launch(SLOW, 37, [(0, 0), (-1, 200)], parallel=True)], 1)
    expected = slow_values().tobytes()

    def right() -> bool:
        values = np.linspace(-3, 5, 37)
        call(values.ctypes.data)
        return values.tobytes() == expected and workers() == 2

    assert right()
    for _ in range(5):
        child = os.fork()
        if child == 0:
            os._exit(0 if all(right() for _ in range(20)) else 1)
        assert right()
        assert os.waitpid(child, 0)[1] == 0


LATE_WORKERS = """
import numpy as np
from elinvar.runtime import pool
from elinvar.runtime.program import For, Launch, make_program
from run_kernels import ADD
pool.set_num_threads(4)
sizes = (2, 1000, 3, 64, 2, 5, 7, 300)
launches = [Launch(ADD, size, [(0, 0), (-1, 1)], parallel=True) for size in sizes]
call = make_program([For(0, 200, launches)], 1)
expected = np.zeros(1001, np.int64)
for size in sizes:
    expected[:size] += 200
for _ in range(300):
    a = np.zeros(1001, np.int64)
    call(a.ctypes.data)
    assert (a == expected).all()
print("fine")
"""


def test_a_late_worker_takes_nothing_of_the_next_launch() -> None:
    """Launches with few chunks before launches with many: a worker that is late once took one of the
    next launch's chunks before it was published, which ran it twice or hung the caller."""
    result = run_python(LATE_WORKERS, timeout=60)
    assert result.stdout.strip() == "fine", result.stderr


FORK_WHILE_BUSY = """
import os, threading
import numpy as np
from elinvar.runtime import pool
from elinvar.runtime.program import Launch, make_program
from run_kernels import ADD
pool.set_num_threads(3)
call = make_program([Launch(ADD, 64, [(0, 0), (-1, 1)], parallel=True)] * 200, 1)
stop = False
def work():
    a = np.zeros(64, np.int64)
    while not stop:
        call(a.ctypes.data)
thread = threading.Thread(target=work)
thread.start()
for _ in range(60):
    child = os.fork()
    if child == 0:
        a = np.zeros(64, np.int64)
        call(a.ctypes.data)
        os._exit(0 if (a == 200).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
stop = True
thread.join()
print("fine")
"""


@pytest.mark.skipif(not HAS_FORK, reason="needs fork")
def test_fork_while_another_thread_runs_a_program() -> None:
    result = run_python(FORK_WHILE_BUSY, timeout=30)
    assert result.stdout.strip() == "fine", result.stderr


AT_EXIT = """
import atexit
import numpy as np
from elinvar.runtime import pool
from elinvar.runtime.program import Launch, make_program
from run_kernels import ADD
pool.set_num_threads(4)
a = np.zeros(64, np.int64)
def late():
    call(a.ctypes.data)
    print(int(a.sum()))
{first}
call = make_program([Launch(ADD, 64, [(0, 0), (-1, 1)], parallel=True)], 1)
{middle}
{last}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("where", "runs"), [("first", 2), ("last", 2), ("first", 1), ("last", 1)])
def test_programs_run_while_the_interpreter_ends(where: str, runs: int) -> None:
    """Handlers registered before and after the pool's own, with and without a pool that ran."""
    lines = {"first": "", "middle": "", "last": ""}
    lines[where] = "atexit.register(late)"
    if runs == 2:
        lines["middle"] = "call(a.ctypes.data)"
    begin = time.perf_counter()
    result = run_python(AT_EXIT.format(**lines), timeout=30)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(64 * runs)]
    assert time.perf_counter() - begin < 10


def test_the_overhead_is_measured() -> None:
    for threads in (1, 2):
        pool.set_num_threads(threads)
        assert 0 < pool.parallel_overhead(500) < 1e-3
