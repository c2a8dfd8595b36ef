"""Profiles: what ran, where it was called, how long it took, and what that costs otherwise."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import ElinvarError
from elinvar.runtime import recording, roofline
from elinvar.runtime.roofline import Roofline

HERE = Path(__file__).name


def line_of(text: str) -> int:
    """The line of this file that ends with a mark."""
    lines = Path(__file__).read_text().splitlines()
    (found,) = [n for n, line in enumerate(lines, 1) if line.endswith("# " + text)]
    return found


def row_for(profile, kernel: str, mark: str):
    """The row of a kernel whose label begins so, from a marked line."""
    line = line_of(mark)
    rows = [r for r in profile.rows if r.kernel.startswith(kernel) and r.source.line == line]
    assert len(rows) == 1, profile.rows
    return rows[0]


@pytest.fixture
def threads():
    """Two threads, however many cores there are."""
    before = el.get_num_threads()
    el.set_num_threads(2)
    yield 2
    el.set_num_threads(before)


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """A machine of our own, so that nothing is measured and shares are exact."""
    machine = Roofline("test", 2, 100e9, 50e9, (1 << 16, 1 << 28), (40e9, 10e9))
    monkeypatch.setattr(roofline, "_roofline", lambda threads: machine)
    return machine


def test_eager_operations_have_the_line_that_called_them() -> None:
    x, y = el.ones((64, 32)), el.ones((32, 16))
    with el.profile() as p:
        for _ in range(3):
            x @ y  # eager product
        x * 2.0  # eager multiple
    product = row_for(p, "contract", "eager product")
    assert product.calls == 3
    assert product.flops == 3 * 2 * 64 * 32 * 16
    assert product.nbytes == 3 * 4 * (64 * 32 + 32 * 16 + 64 * 16)
    assert product.source.file == __file__ and "test_eager" in product.source.function
    multiple = row_for(p, "map: multiply", "eager multiple")
    assert multiple.calls == 1 and multiple.flops == 64 * 32


def test_a_composite_shows_each_caller() -> None:
    x = el.ones((8, 32))
    el.nn.functional.softmax(x, dim=-1)
    with el.profile() as p:
        el.nn.functional.softmax(x, dim=-1)  # first caller
        el.nn.functional.softmax(x, dim=-1)  # second caller
    assert row_for(p, "row", "first caller").calls == row_for(p, "row", "second caller").calls == 1


def test_a_jitted_function_shows_its_own_lines_backward_too() -> None:
    w = el.ones((32, 16))
    w.requires_grad_()

    @el.jit
    def step(x):
        hidden = x @ w  # jit product
        loss = (hidden * hidden).sum()
        loss.backward()
        return loss

    x = el.ones((64, 32))
    step(x)
    w.grad = None
    step(x)
    w.grad = None
    with el.profile() as p:
        step(x)
    rows = [r for r in p.rows if r.kernel == "contract"]
    assert [r.source.line for r in rows] == 2 * [line_of("jit product")]
    assert sorted(r.source.function for r in rows) == ["step", "step, backward"]


def test_shares_rates_and_bounds_follow_from_the_times(limits) -> None:
    x = el.ones((256, 256))
    big = el.ones((1 << 20,))
    with el.profile() as p:
        x @ x
        big + big
    assert sum(r.share for r in p.rows) == pytest.approx(1)
    for row in p.rows:
        assert row.gflops == pytest.approx(row.flops / row.seconds / 1e9)
        assert row.gbytes == pytest.approx(row.nbytes / row.seconds / 1e9)
        least = limits.seconds(row.flops, row.nbytes)[0]
        assert row.roofline == pytest.approx(least / row.seconds)
    bounds = {row.kernel: row.bound for row in p.rows}
    assert bounds["contract"] == "compute" and bounds["map: add"] == "memory"
    assert p.rows == sorted(p.rows, key=lambda row: -row.seconds)


def test_the_times_are_within_the_time_on_the_clock() -> None:
    x = el.ones((300, 300))
    x @ x
    start = time.perf_counter()
    with el.profile() as p:
        for _ in range(5):
            x @ x
    elapsed = time.perf_counter() - start
    kernels = sum(row.seconds for row in p.rows)
    assert 5 * 2 * 300**3 / 1e12 < kernels < p.seconds < elapsed


def test_the_table() -> None:
    x = el.ones((128, 128))
    with el.profile() as p:
        (x @ x).exp().sum()
    text = str(p)
    first, *rest = text.splitlines()
    assert first.split() == [
        "kernel", "line", "calls", "ms", "share", "GFLOP/s", "GB/s", "roofline", "bound", "by",
    ]  # fmt: skip
    assert any(line.startswith("contract ") and HERE in line for line in rest)
    assert "3 programs" in text and "most memory in use: " in text
    assert "limits of test, threads: 2: 100 GFLOP/s (float64: 50), 10.0 GB/s from memory" in text
    assert "… and 2 more" in p.table(rows=len(p.rows) - 2)
    assert "… and" not in p.table(rows=None)


def test_the_trace_has_threads_as_tracks(threads: int, tmp_path: Path) -> None:
    x = el.ones((512, 512))

    @el.jit
    def double_product(x):
        return (x @ x).softmax(-1)

    double_product(x)
    shared = False
    for _ in range(20):  # on a busy machine the worker may come too late for all parts
        with el.profile() as p:
            double_product(x)
        path = tmp_path / "trace.json"
        p.chrome_trace(path)
        events = json.loads(path.read_text())["traceEvents"]
        parts = [e for e in events if e.get("cat") == "part"]
        shared = len({e["tid"] for e in parts}) == threads
        if shared:
            break
    assert shared
    names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    assert sorted(names.values()) == ["MainThread", "elinvar-1"]
    (whole,) = [e for e in events if e.get("cat") == "program"]
    assert whole["name"] == "double_product" and names[whole["tid"]] == "MainThread"
    kernels = [e for e in events if e.get("cat") == "kernel"]
    assert {e["name"].split(":")[0] for e in kernels} >= {"contract", "row"}
    end = whole["ts"] + whole["dur"]
    last = whole["ts"]
    for event in sorted(kernels, key=lambda e: e["ts"]):
        assert last <= event["ts"] and event["ts"] + event["dur"] <= end + 1e-3
        last = event["ts"] + event["dur"] - 1e-3
        assert event["args"]["line"].startswith(HERE)
    for part in parts:
        assert whole["ts"] <= part["ts"] and part["ts"] + part["dur"] <= end + 1e-3
    (counter,) = [e for e in events if e["ph"] == "C"]
    assert counter["args"]["bytes"] >= x.nbytes


def test_peak_memory_is_that_of_the_block() -> None:
    x = el.ones((1 << 20,))
    (x + 1.0) + (x + 2.0)  # a higher peak before
    with el.profile() as small:
        x.sum()
    with el.profile() as large:
        y = [x + float(n) for n in range(4)]
    assert large.peak_memory - small.peak_memory >= 3 * x.nbytes
    del y


def test_profiling_changes_no_bits() -> None:
    x = el.asarray(np.random.default_rng(0).standard_normal((65, 129)).astype(np.float32))
    step = el.jit(lambda x: el.nn.functional.softmax(x @ x.mT, dim=-1).sum(0))
    plain = np.asarray(step(x))
    with el.profile():
        timed = np.asarray(step(x))
    assert plain.tobytes() == timed.tobytes()


def test_loops_count_every_turn() -> None:
    @el.jit
    def loop(x):
        return el.fori_loop(0, 7, lambda i, x: x @ x * 0.5, x)

    x = el.ones((16, 16)) / 16.0
    loop(x)
    with el.profile() as p:
        loop(x)
    assert [row.calls for row in p.rows if row.kernel.startswith("contract")] == [7]


def test_two_threads_are_told_apart(tmp_path: Path) -> None:
    x = el.ones((64, 64))
    x @ x

    def work() -> None:
        for _ in range(10):
            x @ x  # in a thread

    with el.profile() as p:
        workers = [threading.Thread(target=work, name=f"worker {n}") for n in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert row_for(p, "contract", "in a thread").calls == 20
    path = tmp_path / "trace.json"
    p.chrome_trace(path)
    events = json.loads(path.read_text())["traceEvents"]
    assert len({e["tid"] for e in events if e.get("cat") == "program"}) >= 1


def test_room_is_made_while_programs_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "CAPACITY", 64)
    x = el.ones((4,))
    x + x
    with el.profile() as p:
        for _ in range(500):
            x + x
    assert sum(row.calls for row in p.rows) == 500
    assert "no room" not in str(p)


def test_what_finds_no_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "CAPACITY", 64)

    @el.jit
    def loop(x):
        return el.fori_loop(0, 100, lambda i, x: x @ x, x)

    x = el.ones((4, 4)) / 4.0
    loop(x)
    with el.profile() as p:
        loop(x)
    assert "events found no room and are missing" in str(p)


def test_a_program_that_is_gone_is_still_in_the_profile() -> None:
    x = el.ones((16, 16))
    with el.profile() as p:
        el.jit(lambda x: x @ x + 1.5)(x)
    assert any(row.kernel.startswith("contract") for row in p.rows)
    assert not recording._state.retired


def test_programs_that_are_gone_are_forgotten() -> None:
    x = el.ones((16, 16))
    el.jit(lambda x: x @ x + 2.5)(x)
    import gc

    gc.collect()
    before = len(recording._state.programs)
    for n in range(5):
        el.jit(lambda x, n=n: x @ x + float(n))(x)
    gc.collect()
    assert len(recording._state.programs) <= before + 1


def test_one_profile_at_a_time() -> None:
    with el.profile() as outer:
        with pytest.raises(ElinvarError, match=r"\[profile\] another profile is being taken"):
            with el.profile():
                pass
        with pytest.raises(ElinvarError, match="the profile is still open"):
            outer.rows
        assert repr(outer) == "<profile, open>"
    with pytest.raises(ElinvarError, match="a profile is taken once"), outer:
        pass
    assert not recording.is_open()
    assert repr(outer).startswith("<profile of 0 programs")
    assert outer.rows == []
    assert "0 programs, 0 launches" in str(outer)


def test_an_exception_closes_the_profile() -> None:
    with pytest.raises(ZeroDivisionError):
        with el.profile() as p:
            el.ones(3) + 1.0
            1 / 0
    assert not recording.is_open()
    assert len(p.rows) == 2 or len(p.rows) == 1


def test_flops_are_counted_in_scalar_instructions() -> None:
    f = el.jit(lambda x: x * 2.0 + 1.0).lower(el.ones(3))
    steps = f._program.compiled().steps
    assert sum(step.cost.flops({}) for step in steps) == 3 * 2


@pytest.mark.parametrize("dtype", [el.bfloat16, el.float16])
def test_flops_of_16_bit_floats_are_those_of_float32(dtype) -> None:
    def flops(kind):
        steps = el.jit(el.tanh).lower(el.ones(5, dtype=kind))._program.compiled().steps
        return sum(step.cost.flops({}) for step in steps)

    assert flops(dtype) == flops(el.float32) > 0


def test_a_gather_moves_what_it_takes() -> None:
    gather = el.jit(lambda x, i: el.take(x, i, axis=0)).lower(
        el.ones((1000, 4)), el.asarray([1, 2])
    )
    steps = [s for s in gather._program.compiled().steps if "gather" in s.label]
    assert len(steps) == 1
    assert 2 * 2 * 4 * 4 <= steps[0].cost.nbytes({}) < 1000


def test_ctrl_c_while_a_profile_ends_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    x = el.ones((4,))
    monkeypatch.setattr(recording.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        with el.profile() as p:
            x + x
            p._recording._blocks[0][2] += 1  # a program of another thread is under way
    assert not recording.is_open()
    with el.profile() as p:
        x + x
    assert sum(row.calls for row in p.rows) == 1
