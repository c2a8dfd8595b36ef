"""Buffers: alignment, reuse, what goes back to the system, foreign memory, the buffer protocol."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from run_kernels import run_python

from elinvar.runtime import memory
from elinvar.runtime.memory import allocate, statistics, trim, wrap

MIB = 1 << 20


@pytest.fixture(autouse=True)
def nothing_waits() -> Iterator[None]:
    gc.collect()
    trim()
    yield
    trim()


@pytest.mark.parametrize(
    "nbytes", [0, 1, 63, 64, 65, 256, 257, 1000, 4096, 65536, MIB - 1, MIB, 3 * MIB, 5 * MIB + 1]
)
def test_memory_is_aligned_and_writable(nbytes: int) -> None:
    buffer = allocate(nbytes)
    assert buffer.nbytes == nbytes
    assert buffer.address % 64 == 0 and buffer.address > 0
    assert buffer.owner is None
    ctypes.memset(buffer.address, 171, nbytes)
    assert bytes(buffer) == b"\xab" * nbytes


def test_size_classes_waste_a_quarter_at_most() -> None:
    for nbytes in [
        *range(1, 2000, 7),
        *(2**k + d for k in range(11, 24) for d in (-1, 0, 1, 1000)),
    ]:
        before = statistics().live
        buffer = allocate(nbytes)
        taken = statistics().live - before
        assert nbytes <= taken <= max(64, nbytes * 1.25 + 64)
        assert taken % 64 == 0
        del buffer


def test_buffers_do_not_overlap() -> None:
    sizes = [1, 64, 65, 100, 1000, 5000, 70_000, MIB, 4 * MIB, 5 * MIB] * 3
    buffers = [allocate(size) for size in sizes]
    for number, buffer in enumerate(buffers):
        ctypes.memset(buffer.address, number, buffer.nbytes)
    for number, buffer in enumerate(buffers):
        assert bytes(buffer) == bytes([number]) * buffer.nbytes


@pytest.mark.parametrize("nbytes", [10, 5000, 2 * MIB, 8 * MIB])
def test_the_newest_memory_is_used_again(nbytes: int) -> None:
    first, second = allocate(nbytes), allocate(nbytes)
    addresses = first.address, second.address
    del first
    del second
    again = allocate(nbytes), allocate(nbytes)
    assert (again[1].address, again[0].address) == addresses


def test_statistics_count() -> None:
    start = statistics()
    memory.reset_peak()
    a, b = allocate(MIB), allocate(64)
    assert statistics().live == start.live + MIB + 64
    assert statistics().buffers == start.buffers + 2
    del a
    end = statistics()
    assert end.live == start.live + 64
    assert end.waiting == MIB
    assert end.peak == start.live + MIB + 64
    memory.reset_peak()
    assert statistics().peak == start.live + 64
    del b
    trim()
    assert statistics().waiting == 0
    assert statistics().live == start.live


def test_trim_gives_the_oldest_back_first() -> None:
    sizes = (2 * MIB, 4 * MIB, 8 * MIB)
    buffers = [allocate(size) for size in sizes]
    while buffers:
        buffers.pop(0)
    live = statistics().live
    trim(live + 13 * MIB)
    assert statistics().waiting == 12 * MIB
    trim(live + 9 * MIB)
    assert statistics().waiting == 8 * MIB
    trim(live)
    assert statistics().waiting == 0


GOES_BACK = """
import ctypes
from elinvar.runtime.memory import allocate, trim
MIB = 1 << 20
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
allocate({nbytes})
before = resident()
buffers = [allocate({nbytes}) for _ in range(60 * MIB // {nbytes})]
for buffer in buffers:
    ctypes.memset(buffer.address, 1, {nbytes})
assert resident() > before + 40 * MIB
del buffer
buffers.clear()
trim()
assert resident() < before + 20 * MIB
print("fine")
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("nbytes", [500_000, 2 * MIB, 9 * MIB])
def test_memory_really_goes_back(nbytes: int) -> None:
    """In a process of its own: where others have left pages, new memory may stand on those."""
    result = run_python(GOES_BACK.format(nbytes=nbytes))
    assert result.stdout.strip() == "fine", result.stderr


PEAK = """
from elinvar.runtime.memory import allocate, statistics
MIB = 1 << 20
most = 0
for size in range(1, 120):  # 120 different sizes, one after the other, 7 GB in all
    buffer = allocate(size * MIB)
    del buffer
    most = max(most, statistics().waiting)
assert 60 * MIB <= most <= (150 + 64) * MIB, most // MIB
buffers = [allocate(MIB) for _ in range(300)]
del buffers
assert statistics().waiting >= 300 * MIB  # what was in use at a time lately may wait
"""


def test_what_waits_is_bounded_by_what_was_in_use() -> None:
    result = run_python(PEAK)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("nbytes", "kind", "text"),
    [
        (-1, ValueError, r"\[allocate\] the size must not be negative, received -1"),
        (1.5, TypeError, "integer"),
        ("4", TypeError, "integer"),
        (None, TypeError, "integer"),
        (1 << 62, MemoryError, r"\[allocate\] the system has no 4611686018427387904 bytes"),
        ((1 << 63) - 1, MemoryError, r"\[allocate\] the system has no"),
        (1 << 63, OverflowError, "too large"),
    ],
)
def test_wrong_sizes(nbytes: object, kind: type[Exception], text: str) -> None:
    before = statistics()
    with pytest.raises(kind, match=text):
        allocate(nbytes)  # type: ignore[arg-type]
    assert statistics()[:3] == before[:3]


def test_buffers_cannot_be_made_or_changed() -> None:
    buffer = allocate(8)
    with pytest.raises(TypeError, match="cannot create"):
        type(buffer)()
    for name in ("address", "nbytes", "owner"):
        with pytest.raises(AttributeError):
            setattr(buffer, name, 3)
    with pytest.raises(AttributeError):
        buffer.other = 3  # type: ignore[attr-defined]


class Owner:
    pass


def test_wrap_keeps_the_owner_alive() -> None:
    owner = Owner()
    before = sys.getrefcount(owner)
    waiting = statistics().waiting
    buffer = wrap(12345, 100, owner)
    assert (buffer.address, buffer.nbytes, buffer.owner) == (12345, 100, owner)
    assert sys.getrefcount(owner) == before + 1
    assert statistics().waiting == waiting
    del buffer
    assert sys.getrefcount(owner) == before
    assert statistics().waiting == waiting


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [((), TypeError), ((1, 2), TypeError), (("a", 2, None), TypeError), ((1, "b", None), TypeError),
     ((1, -2, None), ValueError), ((-1, 2, None), OverflowError)],
)  # fmt: skip
def test_wrap_refuses(arguments: tuple, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        memory._native().wrap(*arguments)


def test_the_buffer_protocol_shares_and_keeps_alive() -> None:
    live = statistics().live
    array = np.frombuffer(allocate(4000), np.float32)
    array[:] = np.arange(1000)
    other = allocate(4000)
    ctypes.memset(other.address, 0, 4000)
    assert array.sum() == 499500
    assert statistics().live > live + 4000
    view = memoryview(other)
    assert (view.nbytes, view.readonly, view.format) == (4000, False, "B")
    del array, other
    view.release()
    assert statistics().live == live


def test_references_are_counted() -> None:
    kind = type(allocate(1))
    number = 123_456_789
    before = sys.getrefcount(kind), sys.getrefcount(number)
    for _ in range(1000):
        buffer = allocate(number % 1000)
        held = [buffer, allocate(number), wrap(5, number, None)]
        del buffer, held
    assert (sys.getrefcount(kind), sys.getrefcount(number)) == before


def test_no_object_leaks() -> None:
    def work() -> None:
        for size in (1, 5000, 2 * MIB):
            buffers = [allocate(size) for _ in range(20)]
            buffers.append(wrap(buffers[0].address, size, buffers[0]))
            del buffers
        trim()

    work()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(50):
        work()
    gc.collect()
    assert sys.getallocatedblocks() < before + 50


def test_many_threads() -> None:
    faults = []

    def work(number: int) -> None:
        for i in range(2000):
            size = 1 + (i * 37 + number) % 5000
            buffer = allocate(size)
            ctypes.memset(buffer.address, number, size)
            if bytes(buffer) != bytes([number]) * size:
                faults.append((number, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_allocator_is_the_builtin() -> None:
    make = memory.allocator()
    assert make(100).nbytes == 100
    assert type(make).__name__ == "builtin_function_or_method"


AT_EXIT = """
import atexit, sys
from elinvar.runtime.memory import allocate, wrap
class Late:
    def __init__(self): self.buffer = allocate(100); self.foreign = wrap(1, 2, self.buffer)
    def __del__(self): self.more = allocate(200)
kept = [Late() for _ in range(3)]
sys.kept = kept + [allocate(10_000_000)]
cycle = Late(); cycle.cycle = cycle
atexit.register(lambda: allocate(300))
"""


def test_buffers_may_be_dropped_while_the_interpreter_ends() -> None:
    result = run_python(AT_EXIT)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
