"""Batching, graph to graph: what becomes of nodes, by their printed text and by the interpreter."""

import numpy as np
import pytest
from compiled import run_compiled, same_bits
from graphs import arrays_for, graphs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from elinvar.codegen.interpreter import interpret
from elinvar.core.dtypes import bool_, float16, float32
from elinvar.core.errors import TraceError
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.graph.text import parse_graph
from elinvar.graph.verify import verify
from elinvar.ops import named
from elinvar.transforms.batch import Axis, Batching, batch_graph

COUNT = 3


def body(graph):
    """The lines between the first and the last."""
    return [line.strip() for line in str(graph).strip().splitlines()[1:-1]]


def check(text, mapped, size=3):
    """Batch a graph and compare it with the graph itself, example by example."""
    graph = parse_graph(text)
    many, carries = batch_graph(graph, mapped, Axis(size))
    verify(many)
    rng = np.random.default_rng(1)
    given = []
    for kind, is_mapped in zip(graph.input_types, mapped, strict=True):
        shape = (size, *kind.shape) if is_mapped else kind.shape
        values = rng.integers(0, 2, shape) if kind.dtype.kind in "bi" else rng.normal(size=shape)
        given.append(values.astype(kind.dtype.numpy))
    found = interpret(many, given)
    for n in range(size):
        row = [x[n] if is_mapped else x for x, is_mapped in zip(given, mapped, strict=True)]
        for got, want, carried in zip(found, interpret(graph, row), carries, strict=True):
            np.testing.assert_allclose(got[n] if carried else got, want, rtol=1e-6, atol=1e-6)
    return many, carries


def test_what_depends_on_nothing_mapped_is_built_once():
    many, carries = check(
        """
        graph g(%0: f32[3], %1: f32[3]) {
          %2: f32[3] = exp %1
          %3: f32[3] = add %0, %2
          return %3, %2
        }
        """,
        [True, False],
    )
    assert carries == [True, False]
    assert body(many) == [
        "%2: f32[3] = exp %1",
        "%3: f32[3,3] = broadcast %2 {shape: (3, 3)}",
        "%4: f32[3,3] = add %0, %3",
        "return %4, %2",
    ]


def test_a_wanted_output_carries_the_examples():
    graph = parse_graph(
        """
        graph g(%0: f32[2], %1: f32[2]) {
          %2: f32[2] = negative %1
          return %2
        }
        """
    )
    many, carries = batch_graph(graph, [True, False], Axis(Dim("n")), [True])
    assert carries == [True]
    assert str(many.output_types[0]) == "f32[n,2]"


@pytest.mark.parametrize(("mapped", "stays"), [([False, True], True), ([True, False], False)])
def test_a_branch_for_all_stays_a_branch(mapped, stays):
    builder = Builder(capture_source=False)
    flag, x = builder.input(TensorType(bool_, ())), builder.input(TensorType(float32, (2,)))
    branches = {}
    for name, op in (("true", "sin"), ("false", "negative")):
        inner = Builder(capture_source=False)
        value = inner.input(x.type)
        branches[name] = inner.graph([getattr(inner.f, op)(value)], name)
    graph = builder.graph([builder.f.cond(flag, x, **branches)], "g")
    many, _ = batch_graph(verify(graph), mapped, Axis(3))
    names = [node.op_name for node in verify(many).nodes]
    assert ("cond" in names) == stays
    assert ("where" in names) != stays


def test_sums_go_up_to_products():
    builder = Builder(capture_source=False)
    x, g = (builder.input(TensorType(float32, shape)) for shape in ((2,), (3,)))
    f = builder.f
    outer = f.contract(x, g, batch=((), ()), axes=((), ()))
    moved = f.permute(f.add(outer, outer), axes=(1, 0))
    graph = builder.graph([moved], "g")
    many = Builder(capture_source=False)
    rows = [many.input(TensorType(float32, (5, *v.shape))) for v in (x, g)]
    work = Batching(many, Axis(5))
    work.run(graph, rows, [True, True])
    total = many.graph([work.summed(moved)], "total")
    names = [(node.op_name, str(node.results[0].type)) for node in verify(total).nodes]
    assert names == [("contract", "f32[2,3]"), ("add", "f32[2,3]"), ("permute", "f32[3,2]")]
    a, b = (np.random.default_rng(0).normal(size=v.shape).astype(np.float32) for v in rows)
    np.testing.assert_allclose(interpret(total, [a, b])[0], 2 * b.T @ a, rtol=1e-5)


def test_sums_go_up_far_and_once():
    """Thousands of additions, shared ones, factors for all, casts of products."""
    builder = Builder(capture_source=False)
    f = builder.f
    x, g, w = (builder.input(TensorType(float32, (2,))) for _ in range(3))
    product = f.contract(
        f.cast(x, dtype=float16), f.cast(g, dtype=float16), batch=((), ()), axes=((), ())
    )
    value = f.cast(product, dtype=float32)
    for _ in range(1500):
        value = f.multiply(f.add(value, value), f.full(0.5, value))
    value = f.negative(f.divide(value, f.broadcast(w, shape=(2, 2))))
    many = Builder(capture_source=False)
    rows = [many.input(TensorType(float32, shape)) for shape in ((5, 2), (5, 2), (2,))]
    work = Batching(many, Axis(5))
    work.run(builder.graph([value], "g"), rows, [True, True, False])
    total = verify(many.graph([work.summed(value)], "total"))
    assert not any(node.results[0].shape == (5, 2, 2) for node in total.nodes)
    a, b, c = (np.random.default_rng(0).normal(size=v.shape).astype(np.float32) for v in rows)
    half = (a.astype(np.float16).astype(np.float32), b.astype(np.float16).astype(np.float32))
    expected = -(half[0].T @ half[1]) / c
    np.testing.assert_allclose(interpret(total, [a, b, c])[0], expected, rtol=2e-2)


def test_a_sum_of_what_is_the_same_for_all():
    builder = Builder(capture_source=False)
    x = builder.input(TensorType(float32, (2,)))
    work = Batching(builder, Axis(5))
    graph = Builder(capture_source=False)
    value = graph.input(x.type)
    work.run(graph.graph([value], "g"), [x], [False])
    total = builder.graph([work.summed(value)], "total")
    assert interpret(total, [np.array([1.0, 2.0], np.float32)])[0].tolist() == [5.0, 10.0]


def test_named_operations_of_another_axis_stay():
    builder = Builder(capture_source=False)
    x = builder.input(TensorType(float32, (2,)))
    outer = builder.f.apply(named.NAMED_SUM, x, axis=1)
    both = builder.f.apply(named.NAMED_GATHER, outer, axis=1, size=4)
    inner = builder.f.apply(named.NAMED_SUM, both, axis=2)
    graph = builder.graph([inner], "g")
    many, carries = batch_graph(graph, [True], Axis(3, 2))
    assert carries == [False]
    names = [(node.op_name, str(node.results[0].type)) for node in many.nodes]
    assert names == [
        ("named_sum", "f32[3,2]"),
        ("named_gather", "f32[4,3,2]"),
        ("permute", "f32[3,4,2]"),
        ("sum", "f32[4,2]"),
    ]
    all_of_them, _ = batch_graph(many, [True], Axis(4, 1))
    x = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    expected = np.broadcast_to(x.sum((0, 1)), (4, 2))
    np.testing.assert_allclose(interpret(verify(all_of_them), [x])[0], expected, rtol=1e-5)


def test_an_op_without_a_rule_is_named():
    builder = Builder(capture_source=False)
    x = builder.input(TensorType(float32, (2,)))
    alien = named._named("alien", lambda x: x, None, ())
    value = builder.f.apply(alien, x)
    with pytest.raises(TraceError, match=r"\[alien\] cannot be batched: batched by transforms"):
        batch_graph(builder.graph([value], "g"), [True], Axis(3))


# ---- random graphs ------------------------------------------------------------------------------

FEW = settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
@given(graphs(), st.integers(1, 3), st.integers(0, 2**32), st.data())
@FEW
def test_random_graphs_have_the_bits_of_examples(graph, rows, seed, data):
    mapped = data.draw(
        st.lists(st.booleans(), min_size=len(graph.inputs), max_size=len(graph.inputs))
    )
    several = [arrays_for(graph, rows, seed + n) for n in range(COUNT)]
    given_arrays = [
        np.stack([arrays[i] for arrays in several]) if is_mapped else several[0][i]
        for i, is_mapped in enumerate(mapped)
    ]
    many, carries = batch_graph(graph, mapped, Axis(COUNT))
    found = run_compiled(verify(many), given_arrays, {"B": rows})
    for n in range(COUNT):
        one = [x[n] if is_mapped else x for x, is_mapped in zip(given_arrays, mapped, strict=True)]
        expected = run_compiled(graph, one, {"B": rows})
        for got, want, carried in zip(found, expected, carries, strict=True):
            assert same_bits(got[n] if carried else got, want), str(graph)
