"""Quick code and good code: who gets which, and how a program goes from one to the other."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import numpy as np
import pytest
from compiled import run_bound, same_bits, stored
from run_kernels import ADD, run_python

import elinvar as el
from elinvar.core.dtypes import float32, float64, int64
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.runtime import compile as compiling
from elinvar.runtime import native, program
from elinvar.runtime.cache import DiskCache
from elinvar.runtime.compile import compile_graph

pytestmark = pytest.mark.any_level


@pytest.fixture(autouse=True)
def nothing_stored(monkeypatch):
    """Code on the disk is taken whoever asks; here each test wants to see it made."""
    monkeypatch.setattr(native._engine, "disk", DiskCache(None))


def chain(kind, factor):
    """A graph that no other test has compiled: its factor is its own."""
    builder = Builder(capture_source=False)
    x = builder.input(kind)
    y = builder.f.multiply(builder.f.sin(x), builder.f.full(factor, x))
    return builder.graph([builder.f.add(y, x)])


def loop(trips, factor):
    """`trips` steps h ← factor · h + x."""
    kind = TensorType(float64, (5,))
    inner = Builder(capture_source=False)
    h, x = inner.input(kind), inner.input(kind)
    step = inner.f.add(inner.f.multiply(h, inner.f.full(factor, h)), x)
    body = inner.graph([step], "body")
    builder = Builder(capture_source=False)
    first, other = builder.input(kind), builder.input(kind)
    found = builder.f.scan(
        first, other, body=body, carry=1, sequences=0, length=trips, reverse=False
    )
    return builder.graph([found if not isinstance(found, tuple) else found[0]])


def levels(compiled):
    return sorted(compiled._addresses)


def test_little_work_gets_quick_code_and_much_work_good_code() -> None:
    n = Dim("n")
    compiled = compile_graph(chain(TensorType(float32, (n,)), 0.8125))
    assert levels(compiled) == []
    compiled.bind({"n": 7})
    assert levels(compiled) == [native.QUICK]
    compiled.bind({"n": compiling.QUICK_WORK})
    assert levels(compiled) == [native.QUICK, compiling.GOOD]
    few = compile_graph(chain(TensorType(float32, (n,)), 0.8125), quick=False)
    few.bind({"n": 7})
    assert levels(few) == [compiling.GOOD]


def test_a_program_that_has_worked_enough_goes_on_with_good_code() -> None:
    compiled = compile_graph(chain(TensorType(float32, (4096,)), 0.71875))
    bound = compiled.bind()
    x = stored(np.linspace(-9, 9, 4096, dtype=np.float32), float32)
    first = run_bound(bound, [x])
    assert levels(compiled) == [native.QUICK]
    runs = 2 * compiling.ALLOWED_WORK // 4096
    for _ in range(runs):
        later = run_bound(bound, [x])
    assert levels(compiled) == [native.QUICK, compiling.GOOD]
    assert same_bits(first[0], later[0])


@pytest.mark.parametrize("threads", [1, 4])
def test_a_loop_changes_over_while_it_runs(threads: int, monkeypatch) -> None:
    trips = 8 * compiling.ALLOWED_WORK // 100
    graph = loop(trips, 0.5 + threads / 64)
    compiled = compile_graph(graph)
    monkeypatch.setattr(compiling, "QUICK_WORK", 1 << 60)  # trips are work, too
    bound = compiled.bind()
    assert levels(compiled) == [native.QUICK]
    arrays = [np.arange(5.0), np.ones(5)]
    results = []
    workers = [
        threading.Thread(target=lambda: results.append(run_bound(bound, arrays)))
        for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert levels(compiled) == [native.QUICK, compiling.GOOD]
    wanted = run_bound(compile_graph(graph, quick=False).bind(), arrays)
    assert len(results) == threads
    assert all(same_bits(found[0], wanted[0]) for found in results)


def test_better_code_that_cannot_be_had_leaves_the_program_as_it_is(caplog) -> None:
    def refuse():
        raise MemoryError("none left")

    numbers = np.zeros(1, np.int64)
    launch = program.Launch(ADD, 1, [(0, 0), (-1, 1)], work=10)
    call = program.program_of(program.encode_program([launch], 1, allowed=25), refuse)
    for _ in range(2):
        call(numbers.ctypes.data)
    assert not caplog.records
    for _ in range(5):
        call(numbers.ctypes.data)
    assert [record.message for record in caplog.records] == ["no better code for a program"]
    assert numbers[0] == 7


def test_code_of_both_kinds_stands_side_by_side() -> None:
    text = "define i64 @test_two_kinds() { ret i64 41 }"
    good = native.load(text, ["test_two_kinds"])["test_two_kinds"]
    quick = native.load(text, ["test_two_kinds"], native.QUICK)["test_two_kinds"]
    assert good != quick
    assert native.is_at_hand(native.text_digest(text)) and native.is_at_hand(
        native.text_digest(text), native.QUICK
    )
    assert not native.is_at_hand(native.text_digest(text + " "))


def test_a_program_that_is_gone_is_forgotten() -> None:
    before = set(program._better)
    compiled = compile_graph(chain(TensorType(float32, (3,)), 0.65625))
    bound = compiled.bind()
    assert len(set(program._better) - before) == 1
    del bound, compiled
    gc.collect()
    assert set(program._better) <= before


SCRIPT = """
import elinvar as el
from elinvar.runtime import compile as compiling, native
made = []
whole = native.object_code
native.object_code = lambda text, level: made.append(level) or whole(text, level=level)
x = el.asarray([1.0, 2.0, 3.5])
print((el.sin(x) * 0.625).sum().item(), sorted(set(made) - {0}))
"""


def test_the_disk_keeps_both_and_the_environment_decides(tmp_path: Path) -> None:
    def run(**settings: str) -> list[str]:
        found = run_python(SCRIPT, ELINVAR_CACHE=str(tmp_path), **settings)
        assert found.returncode == 0, found.stderr
        return found.stdout.split(maxsplit=1)

    quick, good = run(), run(ELINVAR_QUICK="0")
    assert quick[1].strip() == "[-1]" and good[1].strip() == "[3]"
    assert quick[0] == good[0] == run()[0]
    assert run()[1].strip() == "[]"


def test_eager_code_changes_over_too() -> None:
    x = el.asarray(np.linspace(-3, 3, 30_000, dtype=np.float32))
    first = el.tanh(x * 0.609375).numpy().tobytes()
    for _ in range(300):
        last = el.tanh(x * 0.609375)
    assert last.numpy().tobytes() == first


def test_integer_division_and_conversions_agree() -> None:
    builder = Builder(capture_source=False)
    x, y = (builder.input(TensorType(int64, (6,))) for _ in range(2))
    graph = builder.graph([builder.f.floor_divide(x, y), builder.f.remainder(x, y)])
    low = -(2**63)
    arrays = [np.array([low, low, 7, -7, 0, 5]), np.array([-1, 0, -2, 2, 0, 3])]
    found = [
        run_bound(compile_graph(graph, quick=quick).bind(), arrays) for quick in (True, False)
    ]
    assert all(map(same_bits, *found))


def test_a_profile_shows_good_code() -> None:
    compiled = compile_graph(chain(TensorType(float32, (9,)), 0.59375))
    bound = compiled.bind()
    x = np.linspace(0, 1, 9, dtype=np.float32)
    first = run_bound(bound, [x])
    assert levels(compiled) == [native.QUICK]
    with el.profile() as taken:
        last = run_bound(bound, [x])
    assert levels(compiled) == [native.QUICK, compiling.GOOD]
    assert same_bits(first[0], last[0]) and len(taken.rows) == 1
