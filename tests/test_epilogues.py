"""Elementwise groups that run inside of a product's tasks: which do, and that no bit changes."""

from __future__ import annotations

import numpy as np
import pytest
from compiled import run_compiled, same_bits
from graphs import SIMPLE, arrays_for, grow
from hypothesis import given, settings
from hypothesis import strategies as st

import elinvar as el
from elinvar.codegen import lowering
from elinvar.core.dtypes import bfloat16, bool_, float32, float64, int32
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.runtime import compile as compiling
from elinvar.runtime.compile import compile_graph


@pytest.fixture(autouse=True)
def uncached(monkeypatch):
    """Programs are compiled anew, whatever the disk cache holds."""
    monkeypatch.setattr(compiling, "plan_key", lambda *a, **k: None)


def labels(graph):
    """What the launches of a graph's program are called, without the packing of operands."""
    names = [step.label for step in compile_graph(graph).steps]
    return [name for name in names if not name.startswith("pack")]


def bits_kept(graph, arrays, sizes=None):
    """Whether the program has the same bits when no group is an epilogue; returns the results."""
    found = run_compiled(graph, arrays, sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lowering, "find_epilogues", lambda *a: {})
        expected = run_compiled(graph, arrays, sizes)
    for a, b in zip(found, expected, strict=True):
        assert same_bits(a, b)
    return found


class Case:
    """x[rows, 40] · w[40, columns], and what stands beside it."""

    def __init__(self, rows=200, columns=150, dtype=float32):
        self.builder = Builder(capture_source=False)
        self.f = self.builder.f
        self.x = self.builder.input(TensorType(dtype, (rows, 40)))
        self.w = self.builder.input(TensorType(dtype, (40, columns)))
        self.product = self.multiply(self.x, self.w)

    def multiply(self, x, w):
        return self.f.contract(x, w, axes=((1,), (0,)), batch=((), ()))

    def input(self, *shape, dtype=float32):
        return self.builder.input(TensorType(dtype, shape))

    def row(self, columns=150):
        return self.f.broadcast(self.input(columns), shape=self.product.shape)

    def graph(self, *outputs):
        graph = self.builder.graph(list(outputs))
        rng = np.random.default_rng(0)
        arrays = []
        for kind in graph.input_types:
            shape = tuple(7 if isinstance(n, Dim) else n for n in kind.shape)
            arrays.append(rng.normal(size=shape).astype(np.float32))
        return graph, arrays


def test_bias_and_activation():
    case = Case()
    f = case.f
    y = f.add(case.product, case.row())
    graph, arrays = case.graph(f.maximum(y, f.full(0.0, y)))
    (label,) = labels(graph)
    assert label.startswith("contract + ") and "maximum" in label
    (found,) = bits_kept(graph, arrays)
    x, w, bias = (a.astype(np.float64) for a in arrays)
    np.testing.assert_allclose(found, np.maximum(x @ w + bias, 0), rtol=1e-4, atol=1e-5)


def test_a_residual():
    case = Case()
    graph, arrays = case.graph(case.f.add(case.product, case.input(200, 150)))
    assert labels(graph) == ["contract + add"]
    bits_kept(graph, arrays)


def test_several_results():
    case = Case()
    f = case.f
    zero = f.full(0.0, case.product)
    mask = f.greater(case.product, zero)
    graph, arrays = case.graph(f.where(mask, f.tanh(case.product), zero), mask)
    assert len(labels(graph)) == 1
    bits_kept(graph, arrays)


def test_a_group_of_many_arrays_goes_through_them_on_its_own():
    case = Case()
    f = case.f
    y = f.add(f.multiply(case.product, case.input(200, 150)), case.input(200, 150))
    graph, arrays = case.graph(y)
    assert [label.split(":")[0] for label in labels(graph)] == ["contract", "map"]
    bits_kept(graph, arrays)


def test_the_product_itself_is_wanted_too():
    case = Case()
    graph, arrays = case.graph(case.f.tanh(case.product), case.product)
    assert len(labels(graph)) == 1
    tanh, product = bits_kept(graph, arrays)
    np.testing.assert_allclose(tanh, np.tanh(product), rtol=1e-5)


def test_another_reader_comes_after():
    case = Case()
    f = case.f
    graph, arrays = case.graph(f.tanh(case.product), f.sum(case.product, axes=(0,)))
    first, *rest = labels(graph)
    assert first == "contract + tanh" and not any(label.startswith("map") for label in rest)
    bits_kept(graph, arrays)


def test_a_sum_of_two_products_ends_the_second():
    case = Case()
    second = case.multiply(case.input(200, 40), case.input(40, 150))
    graph, arrays = case.graph(case.f.add(case.product, second))
    assert labels(graph) == ["contract", "contract + add"]
    bits_kept(graph, arrays)


def test_products_in_a_row():
    case = Case(rows=64, columns=40)
    f = case.f
    y = case.product
    for _ in range(3):
        y = f.tanh(f.add(case.multiply(y, case.input(40, 40)), case.row(40)))
    graph, arrays = case.graph(y)
    first, *others = labels(graph)
    assert first == "contract" and len(others) == 3
    assert all(label.startswith("contract + ") for label in others)
    bits_kept(graph, arrays)


def test_what_needs_the_product_first_waits():
    """The other operand is made from the product: no epilogue."""
    case = Case()
    f = case.f
    whole = f.broadcast(f.reshape(f.max(case.product, axes=(0,)), shape=(1, 150)), shape=(200, 150))
    graph, arrays = case.graph(f.subtract(case.product, whole))
    assert labels(graph)[0] == "contract"
    bits_kept(graph, arrays)


def test_a_turned_reader_has_a_launch_of_its_own():
    case = Case(rows=150)
    f = case.f
    graph, arrays = case.graph(f.add(case.product, f.permute(case.product, axes=(1, 0))))
    assert labels(graph)[0] == "contract" and len(labels(graph)) == 2
    bits_kept(graph, arrays)


@pytest.mark.parametrize("rows", [1, 2, 4, 5, 12, 13, 97])
@pytest.mark.parametrize("columns", [1, 2, 7, 8, 16, 24, 31, 32, 33, 64, 65, 300])
def test_every_width(rows, columns):
    case = Case(rows, columns)
    f = case.f
    y = f.add(case.product, case.row(columns))
    graph, arrays = case.graph(f.multiply(y, f.exp(f.negative(f.abs(y)))))
    bits_kept(graph, arrays)


@pytest.mark.parametrize("dtype", [float32, float64])
@pytest.mark.parametrize("columns", [13, 16, 20, 24, 33, 100])
def test_every_vector_width(columns, dtype, monkeypatch):
    """Narrow panels begin at places that are no multiple of 16."""
    found = []
    for bits in (128, 256, 512):
        monkeypatch.setattr(compiling, "vector_bits", lambda bits=bits: bits)
        case = Case(70, columns, dtype)
        y = case.f.tanh(case.f.add(case.product, case.input(70, columns, dtype=dtype)))
        graph = case.builder.graph([y])
        assert labels(graph) == ["contract + add, tanh"]
        found.append(bits_kept(graph, arrays_for(graph, 1, 4))[0])
    assert same_bits(found[0], found[1]) and same_bits(found[0], found[2])


def test_batches_of_products():
    made = Builder(capture_source=False)
    f = made.f
    x, w = made.input(TensorType(float32, (3, 5, 20, 9))), made.input(TensorType(float32, (3, 9, 33)))
    product = f.contract(x, w, axes=((3,), (1,)), batch=((0,), (0,)))
    old = made.input(TensorType(float32, product.shape))
    graph = made.graph([f.subtract(product, old)])
    assert labels(graph) == ["contract + subtract"]
    bits_kept(graph, arrays_for(graph, 1, 0))


@pytest.mark.parametrize("dtype", [bfloat16, int32])
def test_other_dtypes(dtype):
    case = Case(30, 70, dtype)
    f = case.f
    graph = case.builder.graph([f.add(case.product, case.input(30, 70, dtype=dtype))])
    bits_kept(graph, arrays_for(graph, 1, 3))


@pytest.mark.parametrize("batch", [0, 1, 2, 5, 90])
def test_open_sizes(batch):
    case = Case(rows=Dim("B"))
    f = case.f
    y = f.add(case.product, case.row())
    graph, arrays = case.graph(f.tanh(y), f.greater(y, f.full(0.0, y)))
    assert labels(graph)[0].startswith("contract + ")
    arrays[0] = np.random.default_rng(1).normal(size=(batch, 40)).astype(np.float32)
    bits_kept(graph, arrays, {"B": batch})


def test_convolution_with_channels_last():
    el.manual_seed(0)
    conv = el.nn.Conv2d(3, 20, 3, padding=1)
    norm = el.nn.BatchNorm2d(20).eval()
    second = el.nn.Conv2d(20, 20, 3, padding=1)

    def network(x):
        with el.no_grad():
            y = el.nn.functional.relu(norm(conv(x)))
            return el.nn.functional.relu(second(y) + y)

    x = el.randn(2, 3, 11, 9)
    lowered = el.jit(network).lower(x)
    lines = lowered.loops.splitlines()
    products = [line for line in lines if line.split()[1] == "convolution"]
    assert len(products) == 2 and all(" + " in line for line in products)
    assert el.jit(network)(x).numpy().tobytes() == network(x).numpy().tobytes()


def test_training_keeps_its_bits_and_its_state_in_place():
    def train(steps, jit):
        el.manual_seed(0)
        model = el.nn.Sequential(el.nn.Linear(30, 50), el.nn.GELU(), el.nn.Linear(50, 10))
        optimizer = el.optim.SGD(model.parameters(), lr=0.1)

        def step(x, y):
            optimizer.zero_grad()
            loss = el.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run = el.jit(step) if jit else step
        x, y = el.randn(20, 30), el.randint(0, 10, (20,))
        losses = [run(x, y).item() for _ in range(steps)]
        where = [p._address for p in model.parameters()]
        run(x, y)
        stays = where == [p._address for p in model.parameters()]
        return losses, [p.numpy().tobytes() for p in model.parameters()], stays

    eager, compiled = train(5, False), train(5, True)
    assert eager[:2] == compiled[:2]
    assert compiled[2]


def test_a_rounded_gradient_and_what_it_updates_are_one_launch():
    """In mixed precision the raw product stands where the gradient goes, which is kept, too."""
    el.manual_seed(0)
    model = el.nn.Sequential(el.nn.Linear(300, 200), el.nn.ReLU(), el.nn.Linear(200, 10))
    trainer = el.Trainer(
        model, el.optim.SGD(model.parameters(), lr=0.1), "cross_entropy", precision="bf16",
        progress=False,
    )  # fmt: skip
    batch = el.randn(128, 300), el.randint(0, 10, (128,))
    model.train()
    run = trainer.prepared()
    for _ in range(3):
        run.train(batch)
    where = [p._address for p in model.parameters()]
    run.train(batch)
    assert where == [p._address for p in model.parameters()]
    loops = run._train_step.lower(batch).loops
    assert "contract + cast, broadcast, multiply, add, subtract" in loops
    assert "map: cast, broadcast, multiply, add, subtract" not in loops


@st.composite
def networks(draw):
    """A product, and random operations on it and on values of its shape."""
    case = Case(draw(st.sampled_from([3, 14, 97])), draw(st.sampled_from([3, 32, 70])))
    beside = case.input(*case.product.shape)
    values = [case.product, beside, case.f.greater(case.product, beside)]
    moves = [move for move in SIMPLE if move.__name__ not in ("several", "join")]
    values = grow(draw, case.builder, values, 8, moves)
    kept = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
    outputs = [values[-1], *kept]
    outputs = [value for value in outputs if not value.node.is_input] or [case.product]
    return case.builder.graph(outputs)


@given(networks(), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_random_ends_keep_every_bit(graph, seed):
    bits_kept(graph, arrays_for(graph, 1, seed))


def test_types_of_cases():
    """The cases above mix booleans in: their memory is bytes."""
    case = Case(20, 40)
    f = case.f
    flag = f.greater(case.product, f.full(0.0, case.product))
    assert flag.dtype == bool_
    graph, arrays = case.graph(f.cast(flag, dtype=float32))
    assert len(labels(graph)) == 1
    bits_kept(graph, arrays)
