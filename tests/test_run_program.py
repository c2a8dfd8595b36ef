"""Programs: slots, immediates, order, control items, arguments and lifetimes."""

from __future__ import annotations

import gc
import sys
import threading
import time

import numpy as np
import pytest
from run_kernels import ADD, COPY, LESS, SLOW, TOTAL

from elinvar.core.errors import GraphError
from elinvar.runtime.program import Cond, For, Launch, Move, Together, While, make_program


def integers(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def at(array: np.ndarray) -> int:
    return array.ctypes.data


def add(offset: int, number: int, external: int = 0, tasks: int = 1) -> Launch:
    return Launch(ADD, tasks, [(external, offset), (-1, number)])


def test_an_empty_program() -> None:
    assert make_program([], 0)() is None
    assert make_program([], 2)(1, 2) is None


def test_externals_offsets_and_immediates() -> None:
    a, b = integers(0, 0, 0), integers(0, 0)
    call = make_program([add(8, 5), add(0, -7, external=1, tasks=2)], 2)
    call(at(a), at(b))
    call(at(a), at(b))
    assert a.tolist() == [0, 10, 0]
    assert b.tolist() == [-14, -14]


def test_an_external_may_be_a_number() -> None:
    a = integers(0)
    make_program([Launch(ADD, 1, [(0, 0), (1, 3)])], 2)(at(a), 39)
    assert a.tolist() == [42]


def test_numbers_keep_their_64_bits() -> None:
    a = integers(0)
    call = make_program([Launch(ADD, 1, [(0, 0), (1, 0)])], 2)
    call(at(a), 2**64 - 1)
    assert a.tolist() == [-1]
    make_program([add(0, 2**64 - 1)], 1)(at(a))
    make_program([add(0, -(2**63))], 1)(at(a))
    assert a.tolist() == [2**63 - 2]


def test_several_kernels_in_one_launch() -> None:
    a, b = integers(*[0] * 10), integers(0, 0)
    members = [add(0, 5, tasks=10), add(8, 7, external=1), Launch(COPY, 1, [(1, 0), (2, 0)])]
    tasks = [[(0, 0, 4)], [(0, 4, 10), (1, 0, 1)], [(2, 0, 1)]]
    c = integers(42)
    make_program([Together(members, tasks), add(0, 1)], 3)(at(a), at(b), at(c))
    assert a.tolist() == [6, *[5] * 9]
    assert b.tolist() == [42, 7]


def test_several_kernels_in_one_launch_move_with_a_loop() -> None:
    a, b = integers(*[0] * 8), integers(*[0] * 8)
    members = [
        Launch(ADD, 1, [(external, 0, [Move(0, 8)]), (-1, number)])
        for external, number in ((0, 3), (1, 4))
    ]
    body = [Together(members, [[(0, 0, 1)], [(1, 0, 1)]])]
    make_program([For(0, 8, body)], 2)(at(a), at(b))
    assert a.tolist() == [3] * 8 and b.tolist() == [4] * 8


def test_launches_run_in_order() -> None:
    a = np.zeros(31, np.int64)
    items = []
    for i in range(1, 31):
        items += [add(0, i), Launch(COPY, 1, [(0, 8 * i), (0, 0)])]
    make_program(items, 1)(at(a))
    assert a[1:].tolist() == [i * (i + 1) // 2 for i in range(1, 31)]


def test_a_launch_of_no_tasks_does_nothing() -> None:
    a = integers(3)
    for parallel in (False, True):
        make_program([Launch(ADD, 0, [(0, 0), (-1, 1)], parallel)], 1)(at(a))
    assert a.tolist() == [3]


@pytest.mark.parametrize("count", [0, 1, 100, 4093, 4095, 5000, 50_000])
def test_many_slots(count: int) -> None:
    a = integers(0)
    slots = [(0, 0), (-1, count), *((-1, i) for i in range(count))]
    make_program([Launch(TOTAL, 1, slots)], 1)(at(a))
    assert a[0] == count * (count - 1) // 2


@pytest.mark.parametrize("release", [False, True])
def test_cond(release: bool) -> None:
    a, flag = integers(0), np.zeros(2, np.uint8)
    call = make_program([Cond((1, 1), [add(0, 1), add(0, 10)], [add(0, 100)])], 2, release)
    call(at(a), at(flag))
    assert a.tolist() == [100]
    flag[1] = 255
    call(at(a), at(flag))
    assert a.tolist() == [111]


@pytest.mark.parametrize("bound", [0, 1, 7, 1000])
def test_while(bound: int) -> None:
    a, flag = integers(0, 0), np.zeros(1, np.uint8)
    less = Launch(LESS, 1, [(0, 0), (-1, bound), (1, 0)])
    make_program([While(0, [less], (1, 0), [add(0, 1), add(8, 3)])], 2)(at(a), at(flag))
    assert a.tolist() == [bound, 3 * bound]


@pytest.mark.parametrize("trips", [0, 1, 5])
def test_for_moves_slots(trips: int) -> None:
    a = np.zeros(10, np.int64)
    body = [Launch(ADD, 1, [(0, 0, [Move(0, 16)]), (-1, 1, [Move(0, 10)])])]
    make_program([For(0, trips, body)], 1)(at(a))
    expected = np.zeros(10, np.int64)
    expected[0 : 2 * trips : 2] = 1 + 10 * np.arange(trips)
    assert a.tolist() == expected.tolist()


def test_for_reversed() -> None:
    a = np.zeros(4, np.int64)
    order = integers(0)
    body = [
        Launch(TOTAL, 1, [(0, 0, [Move(0, 8)]), (-1, 1), (-1, 100, [Move(0, 1)])]),
    ]
    make_program([For(0, 4, body, reverse=True)], 1)(at(a))
    assert a.tolist() == [100, 101, 102, 103]
    b = integers(1, 2, 3, 4)  # the copy of the last iteration stays: the first element
    copy = [Launch(COPY, 1, [(1, 0), (0, 0, [Move(0, 8)])])]
    make_program([For(0, 4, copy, reverse=True)], 2)(at(b), at(order))
    assert order.tolist() == [1]


def test_loops_nest() -> None:
    a = np.zeros((3, 4), np.int64)
    cell = [Launch(ADD, 1, [(0, 0, [Move(0, 32), Move(1, 8)]), (-1, 0, [Move(0, 10), Move(1, 1)])])]
    make_program([For(0, 3, [For(1, 4, cell)])], 1)(at(a))
    assert a.tolist() == [[10 * i + j for j in range(4)] for i in range(3)]
    make_program([For(0, 3, [For(1, 4, cell, reverse=True)], reverse=True)], 1)(at(a))
    assert a.tolist() == [[2 * (10 * i + j) for j in range(4)] for i in range(3)]


def test_control_items_nest() -> None:
    """Count the even and the odd numbers below 6, 10 times over, by all control items at once."""
    a, flag = integers(0, 0, 0), np.zeros(2, np.uint8)
    parity = integers(*(i % 2 for i in range(6)))
    is_odd = Launch(LESS, 1, [(2, 0, [Move(1, 8)]), (-1, 1), (1, 1)])  # parity < 1: even
    count = [is_odd, Cond((1, 1), [add(8, 1)], [add(16, 1)])]
    body = [For(1, 6, count), add(0, 1)]
    less = Launch(LESS, 1, [(0, 0), (-1, 10), (1, 0)])
    call = make_program([While(0, [less], (1, 0), body)], 3)
    call(at(a), at(flag), at(parity))
    assert a.tolist() == [10, 30, 30]


@pytest.mark.parametrize("trips", [0, 1, 4, 5])
def test_buffers_take_turns(trips: int) -> None:
    """x ← x + 3 between two buffers: the old value is read here, the new one written there."""
    a = integers(100, 0)
    result = integers(0)
    old, new = [Move(0, 8, parity=True)], [Move(0, -8, parity=True)]
    body = [
        Launch(COPY, 1, [(0, 8, new), (0, 0, old)]),
        Launch(ADD, 1, [(0, 8, new), (-1, 3)]),
    ]
    after = Launch(COPY, 1, [(1, 0), (0, 0, old)])  # the counters keep their last value
    make_program([For(0, trips, body), after], 2)(at(a), at(result))
    assert result[0] == 100 + 3 * trips


def test_a_predicate_may_move() -> None:
    flags, a = np.array([1, 0, 1, 1], np.uint8), integers(0, 0)
    choose = Cond((1, 0, [Move(0, 1)]), [add(0, 1)], [add(8, 1)])
    make_program([For(0, 4, [choose])], 2)(at(a), at(flags))
    assert a.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ((), TypeError, "a program of 1 addresses was called with 0"),
        ((1, 2), TypeError, "a program of 1 addresses was called with 2"),
        (("x",), TypeError, "an integer is required|must be int|cannot be interpreted"),
        ((1.0,), TypeError, "an integer is required|must be int|cannot be interpreted"),
        ((-1,), OverflowError, "convert"),
        ((2**64,), OverflowError, "too big|too large"),
    ],
)
def test_wrong_arguments(arguments: tuple, kind: type[Exception], text: str) -> None:
    call = make_program([add(0, 1)], 1)
    with pytest.raises(kind, match=text):
        call(*arguments)


def test_keywords_are_refused() -> None:
    with pytest.raises(TypeError, match="keyword"):
        make_program([], 1)(address=1)


@pytest.mark.parametrize("external", [1, -2, 7])
def test_slots_of_missing_arguments_are_refused(external: int) -> None:
    with pytest.raises(GraphError, match=f"slot 0 names argument {external}"):
        make_program([Launch(ADD, 1, [(external, 0), (-1, 0)])], 1)


def test_a_loop_inside_of_itself_is_refused() -> None:
    with pytest.raises(GraphError, match="loop 0 is used inside of itself"):
        make_program([For(0, 2, [For(0, 2, [])])], 0)


def test_a_program_and_its_words_are_freed() -> None:
    def memory() -> int:
        gc.collect()
        return sys.getallocatedblocks()

    items = [add(0, 1)] * 1000
    make_program(items, 1)
    before = memory()
    programs = [make_program(items, 1) for _ in range(50)]
    assert memory() >= before + 100  # a builtin and its words each
    words = programs[0].__self__
    assert isinstance(words, bytes)
    references = sys.getrefcount(words)
    del programs
    assert sys.getrefcount(words) == references - 1
    del words
    assert memory() <= before + 10


def test_none_is_counted() -> None:
    call = make_program([], 0)
    before = sys.getrefcount(None)
    for _ in range(1000):
        call()
    assert abs(sys.getrefcount(None) - before) < 500


def test_other_python_threads_run_meanwhile() -> None:
    """A program that releases the GIL lets a counting thread go on; one that does not, does not."""
    values = np.zeros(64)
    counted = 0
    stop = False

    def count() -> None:
        nonlocal counted
        while not stop:
            counted += 1
            time.sleep(0.0005)

    def counted_during(release: bool) -> int:
        call = make_program([Launch(SLOW, 64, [(0, 0), (-1, 1_500_000)])], 1, release=release)
        before = counted
        call(values.ctypes.data)
        return counted - before

    thread = threading.Thread(target=count)
    thread.start()
    try:
        assert counted_during(release=True) > 10
        # on a busy machine the thread may have its turn just before the call, but not always
        assert any(counted_during(release=False) <= 2 for _ in range(5))
    finally:
        stop = True
        thread.join()


def test_python_threads_share_a_program() -> None:
    a = np.zeros((4, 8), np.int64)
    call = make_program([add(0, 1, tasks=8)], 1)

    def work(row: int) -> None:
        address = a[row].ctypes.data
        for _ in range(3000):
            call(address)

    threads = [threading.Thread(target=work, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (a == 3000).all()


def test_the_words_outlive_a_dropped_reference() -> None:
    a = integers(0)
    items = [add(0, 1)]
    call = make_program(items, 1)
    del items
    gc.collect()
    call(at(a))
    assert a.tolist() == [1]
