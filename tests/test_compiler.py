"""Compiled code against the reference of every op record, and bits across ways to compile it."""

import zlib

import numpy as np
import pytest
from compiled import run_compiled, same_bits

import elinvar as el
from elinvar.codegen.interpreter import interpret
from elinvar.core.dtypes import float32
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.graph.regions import build_params
from elinvar.ops.table import TABLE
from elinvar.runtime import planning, pool

SAMPLES = [
    pytest.param(op, sample, id=f"{op.name}-{number}")
    for op in TABLE
    for number, sample in enumerate(op.samples())
]
ULP = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 3e-6, "float64": 1e-13}


def one_op(op, sample):
    builder = Builder()
    inputs = tuple(builder.input(kind) for kind in sample.types)
    return builder.graph(builder.add(op, inputs, build_params(sample.params)))


def close(got, want, dtype):
    if dtype.kind == "c":
        parts = (got.real, want.real), (got.imag, want.imag)
        return all(close(one, other, dtype.part) for one, other in parts)
    if dtype.kind != "f":
        return np.array_equal(got, want)
    tolerance = ULP[dtype.name]
    scale = np.nanmax(np.abs(np.where(np.isfinite(want), want, 0)), initial=1.0)
    with np.errstate(all="ignore"):
        return np.allclose(got, want, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


@pytest.mark.parametrize(("op", "sample"), SAMPLES)
def test_compiled_agrees_with_reference(op, sample):
    graph = one_op(op, sample)
    want = interpret(graph, sample.operands)
    got = run_compiled(graph, sample.operands)
    for value, a, b in zip(graph.outputs, got, want, strict=True):
        assert a.shape == b.shape
        assert close(a, b, value.dtype), f"{op.name} {sample.params}\n{a}\n{b}"


def symbolic(op, sample):
    """The same graph with a symbol for each distinct size above 1, or None where that is refused."""
    builder = Builder()
    sizes = {}
    inputs = []
    for kind in sample.types:
        shape = tuple(n if n < 2 else Dim(f"d{n}") for n in kind.shape)
        sizes |= {f"d{n}": n for n in kind.shape if n >= 2}
        inputs.append(builder.input(TensorType(kind.dtype, shape)))
    return builder.graph(builder.add(op, tuple(inputs), build_params(sample.params))), sizes


ELEMENTWISE = [p for p in SAMPLES if p.values[0].family in ("elementwise", "reduce")]


@pytest.mark.parametrize(("op", "sample"), ELEMENTWISE)
def test_symbolic_sizes_give_the_same_bits(op, sample):
    fixed = run_compiled(one_op(op, sample), sample.operands)
    graph, sizes = symbolic(op, sample)
    for a, b in zip(fixed, run_compiled(graph, sample.operands, sizes), strict=True):
        assert same_bits(a, b)


@pytest.mark.parametrize(
    ("op", "sample"),
    [p for p in SAMPLES if p.values[0].family in ("reduce", "contract", "movement")],
)
def test_layout_does_not_change_bits(op, sample):
    """Operands with reversed dims in memory give the bits of dense ones."""
    if any(x.ndim < 2 or sample.bfloat16 for x in sample.operands if x.ndim):
        pytest.skip("needs operands of rank 2 that numpy can stride")
    graph = one_op(op, sample)
    arrays, layouts = [], []
    for x in sample.operands:
        turned = np.asfortranarray(x)
        arrays.append(turned)
        layouts.append(tuple(s // turned.itemsize for s in turned.strides) if x.ndim else None)
    dense = run_compiled(graph, sample.operands)
    strided = run_compiled(graph, arrays, layouts=tuple(layouts))
    for a, b in zip(dense, strided, strict=True):
        assert same_bits(a, b)


CASES = {
    "softmax": lambda f, x: softmax(f, x),
    "norm": lambda f, x: layer_norm(f, x),
    "chain": lambda f, x: f.tanh(f.add(f.multiply(x, x), f.exp(f.negative(x)))),
}


def rows(f, x, value):
    kept = (*x.shape[:-1], 1)
    return f.broadcast(f.reshape(value, shape=kept), shape=x.shape)


def softmax(f, x):
    last = len(x.shape) - 1
    e = f.exp(f.subtract(x, rows(f, x, f.max(x, axes=(last,)))))
    return f.divide(e, rows(f, x, f.sum(e, axes=(last,))))


def layer_norm(f, x):
    last = len(x.shape) - 1
    scale = f.full(1.0 / x.shape[-1], f.sum(x, axes=(last,)))
    mean = f.multiply(f.sum(x, axes=(last,)), scale)
    centred = f.subtract(x, rows(f, x, mean))
    variance = f.multiply(f.sum(f.multiply(centred, centred), axes=(last,)), scale)
    return f.divide(centred, rows(f, x, f.sqrt(variance)))


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("shape", [(7, 5), (3, 4, 33), (2, 300), (1, 1, 16), (5, 20000)])
def test_fused_equals_step_by_step(name, shape):
    """One fused program has the bits of one program per op."""
    x = np.random.default_rng(zlib.crc32(repr(shape).encode())).normal(size=shape)
    x = x.astype(np.float32)
    builder = Builder()
    leaf = builder.input(TensorType(float32, shape))
    graph = builder.graph([CASES[name](builder.f, leaf)])
    (fused,) = run_compiled(graph, [x])
    values = {graph.inputs[0]: x}
    for node in graph.nodes:
        single = Builder()
        inputs = tuple(single.input(v.type) for v in node.operands)
        one = single.graph(single.add(node.op, inputs, node.params))
        results = run_compiled(one, [values[v] for v in node.operands])
        values.update(zip(node.results, results, strict=True))
    assert same_bits(fused, values[graph.outputs[0]])


@pytest.mark.parametrize("shape", [(9, 37), (64, 128)])
@pytest.mark.parametrize("name", sorted(CASES))
def test_rows_do_not_depend_on_their_neighbours(name, shape):
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)

    def run(array):
        builder = Builder()
        leaf = builder.input(TensorType(float32, array.shape))
        return run_compiled(builder.graph([CASES[name](builder.f, leaf)]), [array])[0]

    whole = run(x)
    for row in (0, 3, shape[0] - 1):
        assert same_bits(whole[row : row + 1], run(x[row : row + 1]))


FIRST = [p for p in SAMPLES if p.id.endswith(("-0", "-3"))]


@pytest.mark.parametrize(("op", "sample"), FIRST)
def test_threads_do_not_change_bits(op, sample, monkeypatch):
    """Every launch is shared among threads, however small."""
    monkeypatch.setattr(planning, "PARALLEL_WORK", 0)
    graph = one_op(op, sample)
    before = pool.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3, 8):
            pool.set_num_threads(count)
            found.append(run_compiled(graph, sample.operands))
    finally:
        pool.set_num_threads(before)
    for other in found[1:]:
        assert all(same_bits(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_a_number_computed_from_itself_many_times(shape):
    """LLVM's vectoriser took exponential time over it where a task computes one number."""

    def many(x):
        for _ in range(60):
            x = x * x - x
        return x

    x = el.full(shape, 0.5)
    assert el.jit(many)(x).tolist() == many(x).tolist()
    whole = el.full(shape, 3)
    assert el.jit(el.pow)(whole, whole).tolist() == el.pow(whole, whole).tolist()
