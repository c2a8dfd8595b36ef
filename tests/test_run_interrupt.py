"""Ctrl-C: a long program stops within a second, and the next one runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from run_kernels import TESTS

# `items` is a program of minutes. It says when it starts, what stopped it, and that both this
# program and another one still work.
PROGRAM = """
import signal, sys, time
import numpy as np
from elinvar.runtime import pool
from elinvar.runtime.program import For, Launch, Together, While, make_program
from run_kernels import ADD, LESS, SLOW

pool.set_num_threads({threads})
values, numbers = np.zeros(4096), np.zeros(64, np.int64)
flag = np.ones(1, np.uint8)
wait = lambda steps, tasks, parallel: Launch(SLOW, tasks, [(0, 0), (-1, steps)], parallel)
items = {items}
call = make_program(items, 2, release=True)
good = make_program([Launch(ADD, 64, [(0, 0), (-1, 1)], True)] * 10, 1)
good(numbers.ctypes.data)
for _ in range(2):
    print("start", flush=True)
    try:
        call(values.ctypes.data, flag.ctypes.data)
        print("not interrupted", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    good(numbers.ctypes.data)
    assert (numbers % 10 == 0).all() and len(set(numbers)) == 1
assert numbers[0] == 30
print("fine", flush=True)
"""

ITEMS = {
    "parallel launch": "[wait(200_000, 4096, True)]",
    "common launch": (
        "[Together([wait(20_000, 4096, True), Launch(ADD, 1, [(0, 0), (-1, 0)])],"
        " [[(0, 64 * n, 64 * n + 64)] for n in range(64)] + [[(1, 0, 1)]])] * 10_000"
    ),
    "serial launches": "[wait(400_000, 1, False)] * 100_000",
    "short launches": "[For(0, 1 << 40, [wait(10, 64, True)])]",
    "loop without end": "[While(0, [], (1, 0), [For(1, 3, [wait(1000, 1, False)])])]",
    "condition without end": "[For(0, 9, [While(1, [wait(1000, 1, False)], (1, 0), [])])]",
}


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def errors_of(process: subprocess.Popen[str]) -> str:
    process.kill()
    return process.communicate()[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
@pytest.mark.parametrize(
    ("name", "threads"),
    [
        *((name, 1) for name in ITEMS),
        *((name, 3) for name in ("parallel launch", "common launch", "short launches")),
    ],
)
def test_ctrl_c(name: str, threads: int) -> None:
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(items=ITEMS[name], threads=threads)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            for _ in range(2):
                assert read_line(process) == "start", errors_of(process)
                time.sleep(0.12)
                begin = time.perf_counter()
                process.send_signal(signal.SIGINT)
                assert read_line(process) == "interrupted", errors_of(process)
                assert time.perf_counter() - begin < 1
            assert read_line(process) == "fine", errors_of(process)
            assert process.wait(10) == 0
        finally:
            process.kill()


HANDLER = """
import os, signal, threading, time
import numpy as np
from elinvar.runtime import pool
from elinvar.runtime.program import Launch, make_program
from run_kernels import SLOW

pool.set_num_threads(2)
values = np.zeros(64)
long = make_program([Launch(SLOW, 64, [(0, 0), (-1, 5_000_000)], True)], 1)
middle = make_program([Launch(SLOW, 64, [(0, 0), (-1, 1_000_000)], True)] * 3, 1)
short = make_program([Launch(SLOW, 64, [(0, 0), (-1, 10)], True)], 1)
seen = []
def handle(number, frame):
    other = np.zeros(64)
    short(other.ctypes.data)      # a program inside of a program
    pool.set_num_threads(3)
    seen.append(float(other[0]))
    if os.fork() == 0:
        mine = np.zeros(64)
        short(mine.ctypes.data)
        os._exit(0 if mine[0] == other[0] else 1)
    assert os.wait()[1] == 0
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.1)
long(values.ctypes.data)
assert len(seen) == 1 and seen[0] == 2 - 2.0**-9, seen
assert (values == 2.0).all(), values

def fork(number, frame):
    children.append(os.fork())

children = []
signal.signal(signal.SIGALRM, fork)
for _ in range(3):               # parent and child both end the launch in which they were forked
    values[:] = 0
    signal.setitimer(signal.ITIMER_REAL, 0.03)
    middle(values.ctypes.data)
    while not children:
        time.sleep(0.01)
    child = children.pop()
    if child == 0:
        os._exit(0 if (values == 2.0).all() else 1)
    assert (values == 2.0).all()
    assert os.waitpid(child, 0)[1] == 0
print("fine")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_handler_that_does_not_raise() -> None:
    """It may run programs, change the number of threads and fork; the long program goes on."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    result = subprocess.run(
        [sys.executable, "-c", HANDLER], capture_output=True, text=True, timeout=60, env=environment
    )
    assert result.stdout.strip() == "fine", result.stderr


COMPILING = """
import threading, time
from elinvar.runtime import native

def text(number):
    lines = [f"  %x{i + 1} = call double @llvm.fma.f64(double %x{i}, double %x{i}, double {i}.0)"
             for i in range(600)]
    return "\\n".join(["declare double @llvm.fma.f64(double, double, double)",
        f"define double @interrupted_{number}(double %x0) {{", *lines, "  ret double %x600", "}"])

native.prepare([text(0), text(1)], threads=2)  # LLVM is loaded
start = time.process_time()
native.prepare([text(2), text(3)], threads=2)
each = (time.process_time() - start) / 2
texts = [text(number) for number in range(4, 4 + int(30 / each))]
print("start", flush=True)
try:
    native.prepare(texts, threads=2)
    print("not interrupted", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert threading.active_count() == 1
native.load(texts[0], ["interrupted_4"])
print("fine", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_while_kernels_are_compiled() -> None:
    environment = {**os.environ, "ELINVAR_CACHE": "off"}
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    with subprocess.Popen(
        [sys.executable, "-c", COMPILING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert read_line(process) == "start", errors_of(process)
            time.sleep(0.3)
            begin = time.perf_counter()
            process.send_signal(signal.SIGINT)
            assert read_line(process) == "interrupted", errors_of(process)
            assert time.perf_counter() - begin < 1
            assert read_line(process) == "fine", errors_of(process)
            assert process.wait(10) == 0
        finally:
            process.kill()
