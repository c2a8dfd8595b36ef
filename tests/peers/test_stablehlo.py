"""StableHLO text: XLA's own parser accepts it, and XLA's CPU code gives the reference's values."""

import numpy as np
import pytest
from hypothesis import given, settings

pytest.importorskip("jaxlib")

import xla
from graphs import graphs

from elinvar.codegen.interpreter import interpret
from elinvar.codegen.stablehlo import stablehlo_text
from elinvar.core.errors import CompileError
from elinvar.graph.ir import Builder
from elinvar.graph.regions import build_params
from elinvar.graph.sizes import specialize
from elinvar.graph.text import parse_graph
from elinvar.ops.record import Absent
from elinvar.ops.table import TABLE
from elinvar.transforms.differentiate import value_and_vjp

pytestmark = pytest.mark.any_level

TOLERANCE = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 3e-6, "float64": 1e-13}
TOLERANCE |= {"complex64": 3e-6, "complex128": 1e-13}


def assert_close(found, expected, dtype):
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if dtype.name not in TOLERANCE:
        np.testing.assert_array_equal(found, expected)
        return
    tolerance = TOLERANCE[dtype.name]
    scale = np.max(np.abs(np.where(np.isfinite(expected), expected, 0)), initial=1.0)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found, expected, tolerance, tolerance * float(scale))


def compare(graph, arrays):
    """Run a graph by XLA and by the interpreter; the former treats subnormals as zeros."""
    kinds = [value.dtype for value in graph.inputs]
    arrays = [xla.stored(xla.flushed(a), kind) for a, kind in zip(arrays, kinds, strict=True)]
    found = xla.run(stablehlo_text(graph), arrays)
    expected = interpret(graph, arrays)
    for value, a, b in zip(graph.outputs, found, expected, strict=True):
        assert_close(xla.shown(a), b, value.dtype)


def test_every_op_has_a_form():
    assert [op.name for op in TABLE if isinstance(op.stablehlo, Absent)] == []


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_samples(op):
    """All samples of an op, as one module."""
    builder = Builder(capture_source=False)
    arrays, outputs = [], []
    for sample in op.samples():
        inputs = tuple(builder.input(kind) for kind in sample.types)
        results = builder.add(op, inputs, build_params(sample.params))
        xla.parse(stablehlo_text(_alone(op, sample)))
        arrays += sample.operands
        outputs += results
    compare(builder.graph(outputs, op.name), arrays)


def _alone(op, sample):
    builder = Builder(capture_source=False)
    inputs = tuple(builder.input(kind) for kind in sample.types)
    return builder.graph(builder.add(op, inputs, build_params(sample.params)), "a name")


@given(graphs())
@settings(max_examples=40, deadline=None)
def test_random_graphs_parse(graph):
    xla.parse(stablehlo_text(specialize(graph, {"B": 2})))


TRAINING = """graph main(%0: f32[B,3], %1: f32[3,4], %2: f32[T,4]) {
    %3: f32[B,4] = contract %0, %1 {batch: ((), ()), axes: ((1,), (0,))}
    %4: f32[B,4] = tanh %3
    %5: f32[4] = max %4 {axes: (0,)}
    %6, %7: f32[4], f32[T,4] = scan %5, %2 {
        body: graph b(%0: f32[4], %1: f32[4]) {
            %2: f32[4] = multiply %0, %1
            %3: f32[4] = sin %2
            return %3, %2 },
        carry: 1, sequences: 1, length: T, reverse: False}
    return %6, %7 }"""


@pytest.mark.parametrize("length", [0, 1, 5])
def test_a_derivative_with_a_scan(length):
    graph = specialize(value_and_vjp(parse_graph(TRAINING), [0, 1, 2]), {"B": 5, "T": length})
    rng = np.random.default_rng(0)
    compare(graph, [rng.normal(size=kind.shape).astype(np.float32) for kind in graph.input_types])


def test_text():
    graph = parse_graph(
        "graph main(%0: u8[B], %1: bool[]) { %2: u8[B] = add %0, %0 return %2, %0 }"
    )
    assert stablehlo_text(graph, {"B": 3}) == """\
module @main {
  func.func public @main(%arg0: tensor<3xui8>, %arg1: tensor<i1>) -> (tensor<3xui8>, tensor<3xui8>) {
    %0 = "stablehlo.add"(%arg0, %arg0) : (tensor<3xui8>, tensor<3xui8>) -> tensor<3xui8>
    return %0, %arg0 : tensor<3xui8>, tensor<3xui8>
  }
}
"""
    with pytest.raises(CompileError, match=r"\[stablehlo\] dims must be static here; no size is given for B"):
        stablehlo_text(graph)
