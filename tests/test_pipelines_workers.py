"""Worker processes: what raises, dies or is stopped is named; no process and no memory is left."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import active_children, resource_tracker
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elinvar as el
from elinvar.core.errors import DataError, DTypeError, ShapeError
from elinvar.data.shared import Block
from elinvar.data.workers import WorkerDied

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    resource_tracker.ensure_running()  # Python's own, for spawned processes; it keeps one file open
    gc.collect()
    before, files = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set(), open_files()
    yield
    gc.collect()
    assert not active_children()
    assert open_files() <= files
    assert not (set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()) - before


def failing(at: int) -> Any:
    def function(x: int) -> int:
        if x == at:
            raise KeyError("no such thing")
        return int(x)

    return function


@pytest.mark.parametrize("workers", [0, 2])
def test_what_raises_is_named_and_chained(workers: int) -> None:
    data = el.data.from_arrays(np.arange(100)).map(failing(42)).batch(4).workers(workers)
    seen = []
    with pytest.raises(DataError, match=r"map.function. failed for sample 42 of arrays: KeyError: 'no such thing'") as caught:
        for batch in data:
            seen.append(batch.tolist())
    assert isinstance(caught.value.__cause__, KeyError)
    assert seen == np.arange(40).reshape(10, 4).tolist()  # what is before it has come
    if workers:
        assert "in function" in "".join(caught.value.__cause__.__notes__)  # where in the worker


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_after_samples_have_come(workers: int) -> None:
    data = el.data.from_arrays(np.arange(100)).map(failing(42)).workers(workers)
    seen = []
    with pytest.raises(DataError, match="sample 42"):
        for value in data:
            seen.append(int(value))
    assert seen == list(range(42))


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_a_worker_that_dies_is_named_at_once(how: str) -> None:
    def dies(x: int) -> int:
        if x == 7:
            if how == "exit":
                os._exit(3)
            os.kill(os.getpid(), signal.SIGKILL)
        return int(x)

    text = "with exit code 3 at sample 7 of arrays" if how == "exit" else r"by signal 9 \(SIGKILL\) at sample 7 of arrays"
    start = time.monotonic()
    with pytest.raises(WorkerDied, match=text):
        list(el.data.from_arrays(np.arange(100)).map(dies).batch(2).workers(2))
    assert time.monotonic() - start < 20  # and not for ever


def test_closing_early_ends_the_workers() -> None:
    passing = iter(el.data.from_arrays(np.arange(1000)).map(lambda x: x).batch(2).workers(3))
    next(passing)
    assert len(active_children()) == 3
    passing.close()
    assert not active_children()
    for _ in el.data.from_arrays(np.arange(1000)).map(lambda x: x).batch(2).workers(2):
        break
    gc.collect()
    assert not active_children()


def test_a_slow_worker_is_ended_without_waiting() -> None:
    def slow(x: int) -> int:
        if x > 1:
            time.sleep(600)
        return int(x)

    passing = iter(el.data.from_arrays(np.arange(10)).map(slow).batch(1).workers(2))
    assert next(passing).tolist() == [0]
    start = time.monotonic()
    passing.close()
    assert time.monotonic() - start < 60


def test_an_uneven_disk_changes_no_order() -> None:
    def slow(x: int) -> int:
        time.sleep(0.01 * (x % 7 == 0))
        return int(x)

    data = el.data.from_arrays(np.arange(60)).map(slow)
    for variant in (data.batch(4).workers(3), data.batch(4).prefetch(5), data.workers(2).batch(4).prefetch(1)):
        assert [x for batch in variant for x in batch.tolist()] == list(range(60))


def test_batches_of_growing_size_and_all_kinds() -> None:
    def sized(i: int) -> Any:
        return {"a": np.full(int(i) * 5000, i), "name": f"<{i}>", "view": np.ones((3, 4)).T, "none": None, "t": el.ones(2)}

    for workers in (0, 2):
        found = list(el.data.from_sequence(range(20)).map(sized).batch(1).workers(workers))
        assert [batch["a"].shape[1] for batch in found] == [5000 * i for i in range(20)]
        assert found[3]["name"] == ["<3>"] and found[3]["view"].shape == (1, 4, 3) and found[3]["none"] is None
        assert isinstance(found[3]["t"], el.Tensor) and found[19]["a"].sum().item() == 19 * 19 * 5000


def test_samples_from_workers_own_their_memory() -> None:
    rows = list(el.data.from_arrays(np.arange(300)[:, None]).map(lambda x: x * 2).workers(2))
    assert [int(row[0]) for row in rows] == list(range(0, 600, 2))


def test_what_cannot_travel_is_said() -> None:
    with pytest.raises(DataError, match="cannot go from a worker to its parent"):
        list(el.data.from_sequence(range(3)).map(lambda i: (lambda: i)).workers(1))
    with pytest.raises(DTypeError, match="cannot go to a new process") as caught:
        list(el.data.from_sequence(range(3)).map(lambda i: i).batch(1).workers(1, "spawn"))
    assert "start='fork'" in str(caught.value)


class Unpicklable(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


@given(st.integers(0, 9), st.sampled_from([0, 4]))
@settings(max_examples=20, deadline=None)
def test_threads_as_workers(stop: int, at: int) -> None:
    base = el.data.from_arrays(np.arange(50)).shuffle(1).map(lambda x, rng: x + 100 * rng.integers(9), seed=2)
    for data in (base.batch(4), base.filter(lambda x: x % 3).batch(3), base.map(lambda x: np.arange(x)).pack(40).batch(2)):
        whole = [batch.tolist() for batch in data]
        started = data.workers(3, "thread").prefetch(at)
        passing = iter(started)
        first = [batch.tolist() for batch, _ in zip(passing, range(stop + 1))][:stop]
        state = started.state_dict()
        passing.close()
        rest = data.workers(2, "thread")
        rest.load_state_dict(state)
        assert whole[: len(first)] == first
        if state["epoch"] == 0:
            assert whole[state["batch"] :] == [batch.tolist() for batch in rest]
    with pytest.raises(DataError, match="sample 42 of arrays"):
        list(el.data.from_arrays(np.arange(100)).map(failing(42)).batch(4).workers(2, "thread"))
    assert not [t for t in threading.enumerate() if t.name.startswith("elinvar-data")]


def test_errors_that_cannot_travel_are_told() -> None:
    def raises(x: int) -> int:
        raise Unpicklable(1, 2)

    with pytest.raises(DataError, match="Unpicklable: 1 and 2") as caught:
        list(el.data.from_arrays(np.arange(3)).map(raises).workers(1))
    assert "Unpicklable: 1 and 2" in str(caught.value.__cause__)
    with pytest.raises(ShapeError, match="different shapes"):
        list(el.data.from_sequence([1, 2]).map(np.ones).batch(2).workers(1))


def test_passing_over_what_fails() -> None:
    data = el.data.from_arrays(np.arange(20)).map(failing(13)).batch(4).on_error("skip")
    for workers in (0, 2):
        variant = data.workers(workers)
        with pytest.warns(UserWarning, match="1 samples could not be read, such as:\n.*sample 13"):
            values = [x for batch in variant for x in batch.tolist()]
        assert values == [x for x in range(20) if x != 13]
        assert variant.skipped_count == 1 and "sample 13" in variant.skipped[0]
    with pytest.raises(DataError, match="more than 0 samples could not be read"):
        list(data.on_error("skip", most=0))


def test_passing_over_thousands_keeps_few_texts() -> None:
    def raises(x: int) -> int:
        raise KeyError(int(x))

    data = el.data.from_arrays(np.arange(3000)).map(raises).batch(4).on_error("skip").workers(1)
    with pytest.warns(UserWarning, match="3000 samples could not be read"):
        assert not list(data)
    assert data.skipped_count == 3000 and len(data.skipped) == 100


@given(st.integers(0, 12), st.integers(0, 1), st.integers(0, 1))
@settings(max_examples=8, deadline=None)
@pytest.mark.filterwarnings("ignore:.*could not be read")
def test_the_place_beside_samples_that_fail(stop: int, before: int, after: int) -> None:
    def picky(x: int) -> int:
        return 1 // int(x % 5) and int(x)

    data = el.data.from_arrays(np.arange(60)).shuffle(1).map(picky).batch(4).on_error("skip")
    whole = [batch.tolist() for batch in data]
    assert len(whole) == 12
    started = data.workers(before)
    passing = iter(started)
    first = [next(passing).tolist() for _ in range(stop)]
    state = started.state_dict()
    passing.close()
    rest = data.workers(after)
    rest.load_state_dict(state)
    assert first + [batch.tolist() for batch in rest] == whole


def test_workers_within_workers_are_refused() -> None:
    inner = el.data.from_arrays(np.arange(3)).map(lambda x: x).workers(1)
    with pytest.raises(DataError, match="cannot have workers of its own"):
        list(el.data.from_arrays(np.arange(3)).map(lambda x: list(inner)).workers(1))


def test_computing_in_a_worker() -> None:
    """A worker may use tensors: its thread pool is its own."""
    el.ones((64, 64)).matmul(el.ones((64, 64))).sum().item()
    assert list(el.data.from_arrays(np.arange(1)).map(lambda x: el.get_num_threads()).workers(1)) == [1]
    data = el.data.from_arrays(np.arange(4, dtype=np.float32)).map(lambda x: (el.ones((300, 300)) * float(x)).sum().item())
    assert [batch.tolist() for batch in data.batch(2).workers(1)] == [[0, 90000], [180000, 270000]]


def test_two_passes_at_once() -> None:
    data = el.data.from_arrays(np.arange(30)).map(lambda x: x).batch(3)
    a, b = data.workers(1), data.workers(2)
    assert [(x.tolist(), y.tolist()) for x, y in zip(a, b)] == [(x.tolist(), x.tolist()) for x in data]


def test_blocks_grow() -> None:
    block = Block()
    for size in (10, 10**6, 5):
        sizes = block.write((np.arange(size), "text"))
        array, text = block.read(sizes)
        assert array.tolist() == list(range(size)) and text == "text"
    del array
    block.close()


def test_spawned_workers(tmp_path: Path) -> None:
    """Where there is no fork: functions of modules work, and the values are the same."""
    (tmp_path / "own.py").write_text("def double(x):\n    return x * 2\n")
    (tmp_path / "main.py").write_text(
        "import numpy as np, elinvar as el, own\n"
        "if __name__ == '__main__':\n"
        "    data = el.data.from_arrays(np.arange(10)).shuffle(1).map(own.double).batch(3)\n"
        "    print([x.tolist() for x in data.workers(2, 'spawn')] == [x.tolist() for x in data])\n"
    )
    paths = os.pathsep.join([str(Path(el.__file__).parent.parent), str(tmp_path), os.environ.get("PYTHONPATH", "")])
    found = subprocess.run([sys.executable, str(tmp_path / "main.py")], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=300)
    assert found.stdout == "True\n" and not found.stderr


SCRIPT = """
import sys, time
import numpy as np, elinvar as el

def slow(x):
    time.sleep(0.02)
    return x

data = el.data.from_arrays(np.arange(100000)).map(slow).batch(2).workers(2)
import multiprocessing
for batch in data:
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
"""


def alive(number: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_no_orphans(how: signal.Signals) -> None:
    paths = os.pathsep.join([str(Path(el.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    children = [int(number) for number in process.stdout.readline().split()]
    assert len(children) == 2 and all(map(alive, children))
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does
    else:
        process.send_signal(how)
    _, trouble = process.communicate(timeout=120)
    deadline = time.monotonic() + 60
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, children))
    if how == signal.SIGINT:
        assert trouble.count("KeyboardInterrupt") == 1  # the workers say nothing


def test_prefetch_raises_in_order_and_closes() -> None:
    data = el.data.from_arrays(np.arange(100)).map(failing(42)).batch(4).prefetch(3)
    seen = []
    with pytest.raises(DataError, match="sample 42"):
        for batch in data:
            seen += batch.tolist()
    assert seen == list(range(40))
    passing = iter(data)
    next(passing)
    passing.close()
    assert not [t for t in threading.enumerate() if t.name == "elinvar-prefetch"]


def test_locks_of_other_threads_do_not_hang_workers() -> None:
    """A fork beside running kernels: the pool is stopped before it and starts again after it."""
    x = el.randn((400, 400))
    for _ in range(3):
        (x @ x).sum().item()
        assert len(list(el.data.from_arrays(np.arange(8)).map(lambda v: v).batch(2).workers(2))) == 4
    (x @ x).sum().item()
