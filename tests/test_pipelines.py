"""Pipelines: exact position, order, random numbers, grouping; the same with and without workers."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elinvar as el
from elinvar.core.errors import DataError, DTypeError, ShapeError, StateError, ValueRangeError
from elinvar.data import Pipeline
from elinvar.data.counters import Draws, philox
from elinvar.tensor.tensor import Tensor


def plain(value: Any) -> Any:
    """Nested lists of numbers, so that == compares everything."""
    if isinstance(value, Tensor):
        return (value.dtype.name, list(value.shape), value.tolist())
    if isinstance(value, np.ndarray | np.generic):
        return (str(value.dtype), list(value.shape), value.tolist())
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value


def all_of(pipeline: Any) -> list[Any]:
    return [plain(element) for element in pipeline]


# -- exact position --------------------------------------------------------------------------------


def sequences(count: int) -> list[np.ndarray]:
    return [np.arange(i * 7 % 11 + 1) + 100 * i for i in range(count)]


def jittered(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x + rng.integers(1000)


@st.composite
def chains(draw: Any) -> Pipeline:
    """Any legal chain over sequences of different lengths."""
    pipeline = el.data.from_sequence(sequences(draw(st.integers(0, 40))))
    for _ in range(draw(st.integers(0, 4))):
        stage = draw(st.sampled_from(["shuffle", "shard", "repeat", "take", "skip", "map", "noise", "mix"]))
        if stage == "shuffle":
            pipeline = pipeline.shuffle(draw(st.integers(0, 5)))
        elif stage == "shard":
            count = draw(st.integers(1, 3))
            pipeline = pipeline.shard(draw(st.integers(0, count - 1)), count)
        elif stage == "repeat":
            pipeline = pipeline.repeat(draw(st.integers(1, 2)))
        elif stage == "take":
            pipeline = pipeline.take(draw(st.integers(0, 50)))
        elif stage == "skip":
            pipeline = pipeline.skip(draw(st.integers(0, 5)))
        elif stage == "map":
            pipeline = pipeline.map(lambda x: x * 2)
        elif stage == "noise":
            pipeline = pipeline.map(jittered, seed=draw(st.integers(0, 5)))
        elif pipeline.num_samples:
            other = el.data.from_sequence(sequences(5)).shuffle(1)
            pipeline = pipeline.mix(other, weights=[2, 1], stop=draw(st.sampled_from(["first", "all"])))
    if draw(st.booleans()):
        pipeline = pipeline.filter(lambda x: x.sum() % 3 != 0)
    if draw(st.booleans()):
        pipeline = pipeline.skip(draw(st.integers(0, 2))).take(draw(st.integers(0, 60)))
    size = draw(st.integers(1, 6))
    end = draw(st.sampled_from(["none", "batch", "bucket", "pack", "whole", "packed bucket"]))
    if end == "batch":
        pipeline = pipeline.batch(size, draw(st.booleans()), pad=-1)
    elif end == "bucket":
        pipeline = pipeline.bucket(len, [3, 7, 11], size, pad=-1, pad_to=draw(st.sampled_from(["edge", "longest"])))
    elif end == "pack":
        pipeline = pipeline.pack(size * 2).map(lambda x: x + 1).batch(size, draw(st.booleans()))
    elif end == "whole":
        pipeline = pipeline.pack(8, split=False, pad=-1, segments=True).batch(size)
    elif end == "packed bucket":
        pipeline = pipeline.pack(6, split=False, pad=-1).filter(lambda x: x[0] % 2 == 0).bucket(lambda x: int((x >= 0).sum()), [2, 5, 6], 2)
    if end != "none" and draw(st.booleans()):
        pipeline = pipeline.map_batches(lambda x: x).take(draw(st.integers(0, 9)))
    return pipeline


@given(chains(), st.integers(0, 12), st.sampled_from([0, 0, 3]), st.integers(0, 2))
@settings(max_examples=120, deadline=None)
def test_any_chain_goes_on_where_it_stopped(pipeline: Pipeline, stop: int, ahead: int, epoch: int) -> None:
    pipeline.set_epoch(epoch)
    whole = all_of(pipeline)
    pipeline = pipeline.prefetch(ahead)
    pipeline.set_epoch(epoch)
    passing = iter(pipeline)
    first = [plain(x) for x, _ in zip(passing, range(stop))]
    # zip asks for one more element than range gives
    state = json.loads(json.dumps(pipeline.state_dict()))
    read = state["batch"] if state["epoch"] == epoch else len(whole)
    passing.close()
    assert first == whole[:stop] and read in (stop, stop + 1, len(whole))
    resumed = pipeline.prefetch(3 - ahead)
    resumed.load_state_dict(state)
    rest = all_of(resumed)
    if state["epoch"] == epoch:
        assert rest == whole[read:]
        assert resumed.state_dict()["epoch"] == epoch + 1
    pipeline.set_epoch(epoch + 1)
    assert all_of(pipeline) == all_of(resumed) or state["epoch"] != epoch  # and then the next epoch


@given(chains(), st.integers(0, 5), st.integers(1, 2), st.integers(0, 2))
@settings(max_examples=12, deadline=None)
def test_workers_change_nothing(pipeline: Pipeline, stop: int, before: int, after: int) -> None:
    whole = all_of(pipeline)
    started = pipeline.workers(before)
    passing = iter(started)
    first = []
    while len(first) < stop and len(first) < len(whole):
        first.append(plain(next(passing)))
    state = started.state_dict()
    passing.close()
    resumed = pipeline.workers(after)
    resumed.load_state_dict(state)
    assert first + all_of(resumed) == whole


def test_state_is_small_however_far() -> None:
    pipeline = el.data.from_sequence(sequences(2000)).shuffle(1).pack(64).batch(4)
    passing, sizes = iter(pipeline), []
    for _ in range(40):
        next(passing)
        sizes.append(len(json.dumps(pipeline.state_dict())))
    assert max(sizes) < 260


def test_restoring_reads_only_what_is_held() -> None:
    asked: list[int] = []

    class Counted:
        def __len__(self) -> int:
            return 100_000

        def __getitem__(self, index: int) -> int:
            asked.append(index)
            return index

    pipeline = el.data.from_sequence(Counted()).shuffle(0).batch(10)
    state = {**pipeline.state_dict(), "batch": 9000, "position": 9000}
    pipeline.load_state_dict(state)
    assert next(iter(pipeline)).shape == (10,) and len(asked) == 10


def test_a_state_of_another_pipeline_is_refused() -> None:
    a, b = el.data.from_arrays(np.arange(5)).batch(2), el.data.from_arrays(np.arange(5)).batch(3)
    with pytest.raises(StateError, match=r"saved with chain arrays.batch\(2\), here it is arrays.batch\(3\)"):
        b.load_state_dict(a.state_dict())
    with pytest.raises(StateError, match="samples 5, here it is 6"):
        el.data.from_arrays(np.arange(6)).batch(2).load_state_dict(a.state_dict())


def test_the_next_pass_is_the_next_epoch() -> None:
    pipeline = el.data.from_arrays(np.arange(50)).shuffle(3).batch(50)
    first, second = all_of(pipeline), all_of(pipeline)
    assert first != second and pipeline.epoch == 2
    pipeline.set_epoch(1)
    assert all_of(pipeline) == second
    loader = el.data.DataLoader(np.arange(50), 50, shuffle=True, seed=3)
    assert all_of(loader) == first  # the order is that of DataLoader


# -- what stages do --------------------------------------------------------------------------------


def test_arrays_of_all_kinds() -> None:
    half = el.asarray([1.0, 2.0, 3.0]).astype(el.bfloat16)
    data = {"x": np.ones((3, 2), np.float64), "y": (el.arange(3), half), "b": np.eye(3)[::-1] > 0}
    for pipeline in (el.data.from_arrays(data), el.data.from_arrays(data).shuffle(1)):
        for variant in (pipeline.batch(2), pipeline.map(lambda x: x).batch(2), pipeline.map(lambda x: x).batch(2).workers(1)):
            batch = next(iter(variant))
            assert batch["x"].dtype == el.float64 and batch["x"].shape == (2, 2)
            assert batch["y"][0].dtype == el.int64 and batch["b"].dtype == el.bool
            assert batch["y"][1].dtype == el.bfloat16
    assert [x.tolist() for x in el.data.from_arrays(half).batch(2)] == [[1, 2], [3]]


def test_arrays_that_cannot_be_tensors_stay_arrays() -> None:
    names, times = np.array(["a", "b", "c"]), np.arange(3).astype("datetime64[s]")
    for variant in (el.data.from_arrays(names, times).batch(2), el.data.from_arrays(names, times).shuffle(1).batch(2)):
        first, second = next(iter(variant))
        assert first.shape == (2,) and first.dtype.kind == "U" and second.dtype.kind == "M"


def test_batches_do_not_alias_the_data() -> None:
    data = np.zeros((4, 2), np.float32)
    batch = next(iter(el.data.from_arrays(data).batch(2)))
    data[:] = 7
    assert batch.tolist() == [[0, 0], [0, 0]]


def test_lengths() -> None:
    data = el.data.from_arrays(np.arange(10))
    assert len(data.batch(4)) == 3 and len(data.batch(4, drop_last=True)) == 2
    assert len(data.shard(1, 4).batch(2)) == 2 and len(data.repeat(3).skip(1).take(20)) == 20
    assert len(data.batch(4).take(2)) == 2 and len(data.batch(4).skip(2)) == 1
    assert len(data.map(abs)) == 10 and data.repeat(2).num_samples == 20
    assert not hasattr(data.filter(bool).batch(2), "__len__")
    for pipeline in (data.take(0).batch(3), data.batch(20, True), el.data.from_arrays(np.arange(0)).batch(2)):
        assert len(pipeline) == 0 and all_of(pipeline) == []
    assert all_of(el.data.from_arrays(np.arange(1)).shuffle().batch(8)) == [("int64", [1], [0])]


def test_shards_are_the_whole() -> None:
    data = el.data.from_arrays(np.arange(11)).shuffle(4)
    parts = [[int(x) for x in data.shard(rank, 3)] for rank in range(3)]
    assert sorted(x for part in parts for x in part) == list(range(11)) and [len(part) for part in parts] == [4, 4, 3]


def test_repeats_have_orders_of_their_own() -> None:
    data = el.data.from_arrays(np.arange(30)).shuffle(4).repeat(2)
    values = [int(x) for x in data]
    assert sorted(values[:30]) == sorted(values[30:]) == list(range(30)) and values[:30] != values[30:]


def test_mixing_is_exact() -> None:
    a, b = el.data.from_arrays(np.zeros(90, int)), el.data.from_arrays(np.ones(20, int)).shuffle(1)
    first = [int(x) for x in a.mix(b, weights=[0.75, 0.25], seed=1)]
    assert len(first) == 80 and sum(first) == 20 and 0 < sum(first[:40]) < 20
    every = a.mix(b, weights=[0.75, 0.25], stop="all")
    assert len(every) == 120 and sum(int(x) for x in every) == 30
    assert len(a.mix(b, a)) == 60
    nested = a.mix(b.mix(a).map(lambda x: x + 5), stop="all")
    assert {int(x) for x in nested} == {0, 5, 6}


def test_random_numbers_belong_to_the_sample() -> None:
    data = el.data.from_arrays(np.zeros(40, int)).map(lambda x, rng: int(rng.integers(10**9)), seed=3)
    values = list(data)
    assert len(set(values)) == 40
    shuffled = el.data.from_arrays(np.arange(40)).shuffle(2).map(lambda x, rng: (int(x), int(rng.integers(10**9))), seed=3)
    assert dict(shuffled) == dict(enumerate(values))
    assert list(data) != values  # another epoch


def test_philox_is_the_published_one() -> None:
    """Known answers of Philox4x32-10, from the authors' own test vectors."""
    full = np.array([0xFFFFFFFF], np.uint64)
    zero = np.array([0], np.uint64)
    assert [int(x[0]) for x in philox((zero, zero), (zero,) * 4)] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert [int(x[0]) for x in philox((full, full), (full,) * 4)] == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    uniform = Draws(1, np.arange(100_000), 0).uniform()
    assert abs(uniform.mean() - 0.5) < 0.005 and 0 <= uniform.min() and uniform.max() < 1


def test_padding_and_buckets() -> None:
    data = el.data.from_sequence([np.arange(n) for n in (3, 1, 5, 2, 4)])
    assert [x.tolist() for x in data.batch(2, pad=-1)] == [[[0, 1, 2], [0, -1, -1]], [[0, 1, 2, 3, 4], [0, 1, -1, -1, -1]], [[0, 1, 2, 3]]]
    shapes = [x.shape for x in data.bucket(len, [2, 6], 2, pad_to="edge")]
    assert shapes == [(2, 6), (2, 2), (1, 6)]
    assert [x.shape for x in data.bucket(len, [2, 6], [2, 3])] == [(2, 2), (3, 5)]
    with pytest.raises(DataError, match="sample 2 has length 5, above the last edge 4"):
        list(data.bucket(len, [2, 4], 2))


def test_packing() -> None:
    data = el.data.from_sequence([np.arange(n) + 10 * n for n in (3, 2, 7, 1)])
    assert [x.tolist() for x in data.pack(5)] == [[30, 31, 32, 20, 21], [70, 71, 72, 73, 74]]
    assert [x.tolist() for x in data.pack(5, pad=0)][-1] == [75, 76, 10, 0, 0]
    rows = list(data.pack(5, split=False, pad=-1, segments=True))
    assert [row["tokens"].tolist() for row in rows] == [[30, 31, 32, 20, 21], [70, 71, 72, 73, 74], [75, 76, 10, -1, -1]]
    assert rows[2]["segments"].tolist() == [1, 1, 2, 0, 0] and rows[2]["positions"].tolist() == [0, 1, 0, 0, 0]
    pairs = el.data.from_sequence([(np.arange(3), np.ones(3))] * 2).pack(6)
    assert [part.shape for part in next(iter(pairs))] == [(6,), (6,)]
    assert list(el.data.from_sequence([np.arange(0)] * 3).pack(4)) == []


def test_streams() -> None:
    data = el.data.from_stream(lambda: ({"x": np.arange(i % 5 + 1)} for i in range(30)))
    data = data.map(lambda s: s["x"]).filter(lambda x: len(x) > 1).pack(7).batch(2)
    whole = all_of(data)
    data.set_epoch(0)
    passing = iter(data)
    next(passing), next(passing)
    state = data.state_dict()
    data.load_state_dict(state)
    assert all_of(data) == whole[2:] and data.num_samples is None and not hasattr(data, "__len__")
    with pytest.raises(ValueRangeError, match="a stream cannot be read by several processes"):
        data.workers(2)
    with pytest.raises(ValueRangeError, match="samples of a stream cannot be passed over"):
        data.on_error("skip")
    with pytest.raises(ValueRangeError, match="a stream comes in its own order"):
        el.data.from_stream(lambda: iter(range(3))).shuffle()


def test_sources_of_ones_own() -> None:
    class Powers(el.data.Source):
        name = "powers"
        takes_batches = True

        def __len__(self) -> int:
            return 10

        def __getitem__(self, index: int) -> int:
            return 2**index

        def take(self, indices: Any, epochs: Any) -> np.ndarray:
            return 2 ** np.asarray(indices)

        def describe(self, index: int) -> str:
            return f"the power {index}"

    data = el.data.from_sequence(Powers())
    batches = data.shuffle(1).batch(4)
    mapped = data.shuffle(1).map(lambda x: x).batch(4).workers(1)
    assert all_of(batches) == all_of(mapped) == all_of(data.shuffle(1).batch(4).workers(1))
    with pytest.raises(DataError, match=r"sample 0 of powers \(the power 0\): ZeroDivisionError"):
        list(data.map(lambda x: 1 // (x - 1)))


def refusals() -> Iterator[tuple[Any, type[Exception], str]]:
    data = el.data.from_arrays(np.arange(6))
    yield lambda: data.batch(0), ValueRangeError, "size must be a whole number of at least 1, received 0"
    yield lambda: data.batch(2).batch(2), ValueRangeError, r"there are batches already: arrays.batch\(2\)"
    yield lambda: data.batch(2).map(abs), ValueRangeError, "use .map_batches"
    yield lambda: data.map_batches(abs), ValueRangeError, "there are no batches"
    yield lambda: data.filter(bool).shuffle(), ValueRangeError, "put shuffle before filter"
    yield lambda: data.shard(3, 3), ValueRangeError, r"rank must be in 0 … 2, received 3"
    yield lambda: data.shuffle(-1), ValueRangeError, "seed must be in"
    yield lambda: data.map(3), DTypeError, "expected a function, received int"
    yield lambda: data.mix(data, weights=[1]), ValueRangeError, "1 weights for 2 pipelines"
    yield lambda: data.mix(data.filter(bool)), ValueRangeError, "cannot be read by number"
    yield lambda: data.mix(data.take(0)), ValueRangeError, r"a part is empty; the parts have \[6, 0\] samples"
    yield lambda: data.bucket(len, [3, 2], 2), ValueRangeError, "edges must grow"
    yield lambda: data.pack(3, split=False), ValueRangeError, "split=False needs pad"
    yield lambda: data.workers(1, "threads"), ValueRangeError, "start must be 'fork', 'spawn' or 'thread'"
    yield lambda: el.data.from_arrays(np.arange(3), np.arange(4)), ShapeError, r"different lengths: \[3, 4\]"
    yield lambda: el.data.from_arrays([1, 2]), DTypeError, "expected arrays or tensors, received int"
    yield lambda: el.data.from_sequence(iter([1])), DTypeError, "has no len"
    yield lambda: next(iter(data.map(lambda x: np.arange(x)).batch(3))), ShapeError, r"different shapes: \[0\] and \[1\] and \[2\]"
    yield lambda: next(iter(el.data.from_sequence([(1, 2), (1,)]).batch(2))), ShapeError, "another structure"
    yield lambda: next(iter(el.data.from_sequence([{1}]).batch(2))), DTypeError, "a sample has a set, of which no batch"
    yield lambda: next(iter(el.data.from_sequence([3]).pack(2))), DTypeError, "sample 0 is no array"


@pytest.mark.parametrize(("make", "kind", "text"), list(refusals()))
def test_refusals(make: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        make()


def test_a_trainer_saves_and_restores_the_place(tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 3)).astype(np.float32), rng.integers(0, 2, 64)

    class Saves(el.train.Callback):
        def on_step_end(self, trainer: Any) -> None:
            if trainer.step == 8:
                trainer.save(tmp_path / "state.safetensors")

    def trainer() -> Any:
        el.manual_seed(0)
        return el.Trainer(el.nn.Linear(3, 2), "sgd", "cross_entropy", callbacks=[Saves()], progress=False)

    def data() -> Pipeline:
        return el.data.from_arrays(x, y).shuffle(1).filter(lambda s: s[0][0] > -1).batch(8)

    whole = trainer()
    whole.fit(data(), epochs=2)
    rest = trainer()
    rest.fit(data().prefetch(2), epochs=2, resume=tmp_path / "state.safetensors")
    assert rest.step == whole.step
    for a, b in zip(whole.model.parameters(), rest.model.parameters()):
        assert a.tolist() == b.tolist()
