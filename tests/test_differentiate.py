"""Reverse mode against finite differences, by way of the interpreter."""

import numpy as np
import pytest

from elinvar.codegen.interpreter import interpret
from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.core.errors import GradientError
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder
from elinvar.graph.regions import build_params
from elinvar.graph.text import parse_graph
from elinvar.graph.verify import verify
from elinvar.ops.record import Region, Sample
from elinvar.ops.table import TABLE
from elinvar.passes.pipeline import optimize
from elinvar.transforms.differentiate import value_and_vjp, vjp_graph

STEP = {"float64": 1e-6, "float32": 2e-2, "complex128": 1e-6}
TOLERANCE = {"float64": 2e-5, "float32": 2e-2, "complex128": 2e-5}


def floats(values):
    return [i for i, value in enumerate(values) if value.dtype.is_inexact]


def inner(a, b):
    """⟨a, b⟩ of numbers whose real and imaginary parts count as two."""
    return float(np.sum(np.real(np.conj(a) * b)))


def draw(rng, shape, dtype):
    found = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        found = found + 1j * rng.normal(size=shape)
    return found.astype(dtype)


def slope(graph, inputs, wrt, directions, cotangents, step):
    """⟨ȳ, (g(x + h·d) - g(x - h·d)) / 2h⟩ for the floating outputs."""
    ends = []
    for sign in (1, -1):
        moved = list(inputs)
        for i, direction in zip(wrt, directions, strict=True):
            moved[i] = (inputs[i] + sign * step * direction).astype(inputs[i].dtype)
        found = interpret(graph, moved)
        kinds = [np.complex128 if x.dtype.kind == "c" else np.float64 for x in found]
        ends.append([found[i].astype(kinds[i]) for i in floats(graph.outputs)])
    return sum(
        inner(a - b, c) / (2 * step) for a, b, c in zip(*ends, cotangents, strict=True)
    )


def check(graph, inputs, order=1, wrt=None):
    """Compare the vector-Jacobian product with a directional slope; differentiate it again."""
    rng = np.random.default_rng(11)
    wrt = floats(graph.inputs) if wrt is None else wrt
    name = graph.inputs[wrt[0]].dtype.name
    shapes = [value.shape for value in interpret(graph, inputs)]
    kinds = [graph.outputs[i].dtype.name for i in floats(graph.outputs)]
    wanted = [shapes[i] for i in floats(graph.outputs)]
    cotangents = [draw(rng, shape, kind) for shape, kind in zip(wanted, kinds, strict=True)]
    derivative = verify(vjp_graph(graph, wrt))
    assert derivative.output_types == tuple(graph.inputs[i].type for i in wrt)
    found = interpret(derivative, [*inputs, *cotangents])
    kinds = [complex if inputs[i].dtype.kind == "c" else float for i in wrt]
    directions = [draw(rng, inputs[i].shape, k) for i, k in zip(wrt, kinds, strict=True)]
    expected = slope(graph, inputs, wrt, directions, cotangents, STEP[name])
    got = sum(inner(g, d) for g, d in zip(found, directions, strict=True))
    scale = max(1.0, abs(expected), sum(np.abs(g).sum() for g in found))
    assert abs(got - expected) <= TOLERANCE[name] * scale, (got, expected)
    if order > 1:
        check(derivative, [*inputs, *cotangents], order - 1)


# ---- every op -----------------------------------------------------------------------------------


def in_double(sample):
    """The sample with f64 operands, unless its params fix a dtype."""
    fixed = any(isinstance(value, (Region, DType)) for value in sample.params.values())
    if fixed or sample.bfloat16:
        return sample
    wider = {"float32": np.float64, "complex64": np.complex128}
    wide = tuple(x.astype(wider.get(x.dtype.name, x.dtype)) for x in sample.operands)
    return Sample(wide, sample.params)


def smooth(op, sample):
    """Whether finite differences apply: floats in and out, wide enough, without kinks nearby."""
    if not sample.differentiable or sample.bfloat16:
        return False
    if any(x.dtype == np.float16 for x in sample.operands):
        return False
    results = op.result_types(sample.types, build_params(sample.params))
    return any(kind.dtype.is_inexact for kind in sample.types) and any(
        kind.dtype.is_inexact for kind in results
    )


SAMPLES = [
    pytest.param(op, in_double(sample), id=f"{op.name}-{number}")
    for op in TABLE
    for number, sample in enumerate(op.samples())
    if smooth(op, sample)
]


@pytest.mark.parametrize(("op", "sample"), SAMPLES)
def test_ops_to_order_2(op, sample):
    builder = Builder(capture_source=False)
    inputs = tuple(builder.input(kind) for kind in sample.types)
    graph = builder.graph(builder.add(op, inputs, build_params(sample.params)))
    check(graph, list(sample.operands), order=2)


def test_every_derivative_was_tried():
    """All ops but those that give no floats, and those without operands or without a derivative."""
    tried = {param.values[0].name for param in SAMPLES}
    rest = {op.name for op in TABLE} - tried
    whole = {"argmax", "argmin", "argsort", "isfinite", "any", "all", "size_of", "random_bits"}
    compared = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
    bits = {name for name in rest if name.startswith(("bitwise_", "shift_"))} | {"bitcast"}
    assert rest == whole | compared | bits | {"constant", "iota", "while_loop", "stop_gradient"}


# ---- graphs -------------------------------------------------------------------------------------


def test_reused_values_and_symbolic_sizes():
    graph = parse_graph("""graph main(%0: f64[B,3], %1: f64[3,4], %2: i64[2]) {
        %3: f64[B,4] = contract %0, %1 {batch: ((), ()), axes: ((1,), (0,))}
        %4: f64[B,4] = tanh %3
        %5: f64[B,4] = multiply %4, %3
        %6: f64[B,2] = gather %5, %2 {axis: 1}
        %7: f64[B] = sum %6 {axes: (1,)}
        %8: f64[] = max %7 {axes: (0,)}
        return %8, %5, %2 }""")
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(5, 3)), rng.normal(size=(3, 4)), np.array([3, 3])]
    check(graph, inputs, order=2)
    derivative = vjp_graph(graph, [0, 1])
    assert [str(kind) for kind in derivative.input_types[3:]] == ["f64[]", "f64[B,4]"]
    for batch in (1, 7):
        inputs[0] = rng.normal(size=(batch, 3))
        check(graph, inputs)


def test_value_and_vjp_shares_the_forward_nodes():
    graph = parse_graph(
        "graph main(%0: f64[3]) { %1: f64[3] = exp %0 %2: f64[3] = multiply %1, %1 return %2 }"
    )
    both = verify(value_and_vjp(graph, [0]))
    x, seed = np.array([0.0, 1.0, -2.0]), np.array([1.0, 2.0, 3.0])
    value, cotangent = interpret(both, [x, seed])
    np.testing.assert_array_equal(value, interpret(graph, [x])[0])
    np.testing.assert_array_equal(cotangent, interpret(vjp_graph(graph, [0]), [x, seed])[0])
    assert [node.op_name for node in both.nodes].count("exp") == 1


def test_chosen_outputs_and_nothing_flowing():
    graph = parse_graph(
        "graph main(%0: f64[3], %1: f64[3]) { %2: f64[3] = sin %0 %3: f64[3] = cos %1 return %2, %3, %0 }"
    )
    derivative = vjp_graph(graph, [1, 0], outputs=[0])
    assert len(derivative.inputs) == 3
    zeros, found = interpret(derivative, [np.ones(3), np.ones(3), np.ones(3)])
    np.testing.assert_array_equal(zeros, np.zeros(3))
    np.testing.assert_allclose(found, np.cos(np.ones(3)), rtol=1e-15)
    through = interpret(vjp_graph(graph, [0], outputs=[2]), [np.ones(3), np.ones(3), 2 * np.ones(3)])
    np.testing.assert_array_equal(through[0], 2 * np.ones(3))


def test_stop_gradient_and_integers_block():
    graph = parse_graph("""graph main(%0: f64[3]) {
        %1: f64[3] = stop_gradient %0
        %2: f64[3] = multiply %0, %1
        %3: i64[3] = cast %0 {dtype: i64}
        %4: f64[3] = cast %3 {dtype: f64}
        %5: f64[3] = multiply %4, %2
        return %5 }""")
    x = np.array([1.5, -2.5, 3.25])
    (found,) = interpret(vjp_graph(graph, [0]), [x, np.ones(3)])
    np.testing.assert_array_equal(found, x * np.trunc(x))


def test_the_source_of_the_forward_node_stays():
    graph = parse_graph("graph main(%0: f64[3]) { %1: f64[3] = sin %0     # model.py:41 in head\nreturn %1 }")
    sources = {node.op_name: str(node.source) for node in vjp_graph(graph, [0]).nodes}
    assert sources["cos"] == sources["multiply"] == "model.py:41 in head"


# ---- control ------------------------------------------------------------------------------------

COND = """graph main(%0: f64[3], %1: f64[3], %2: i64[3]) {
    %3: f64[] = sum %0 {axes: (0,)}
    %4: f64[] = constant {value: 0.0, dtype: f64}
    %5: bool[] = less %3, %4
    %6, %7, %8: f64[3], i64[3], f64[3] = cond %5, %0, %2, %1 {
        true: graph t(%0: f64[3], %1: i64[3], %2: f64[3]) {
            %3: f64[3] = multiply %0, %0 return %3, %1, %2 },
        false: graph f(%0: f64[3], %1: i64[3], %2: f64[3]) {
            %3: f64[3] = sin %2 return %3, %1, %3 }}
    return %6, %7 }"""


@pytest.mark.parametrize("sign", [1, -1])
def test_cond(sign):
    graph = parse_graph(COND)
    inputs = [sign * np.array([1.0, 2.0, 0.5]), np.array([0.1, 0.2, 0.3]), np.arange(3)]
    check(graph, inputs, order=2)


def scan(reverse):
    """Two carries (one an integer counter), a sequence, two constants, two stacked results."""
    return parse_graph(f"""graph main(%0: f64[2], %1: f64[T,2], %2: f64[2], %3: f64[]) {{
        %4: i64[] = constant {{value: 0, dtype: i64}}
        %5, %6, %7, %8: f64[2], i64[], f64[T], f64[T,2] = scan %0, %4, %1, %2, %3 {{
            body: graph b(%0: f64[2], %1: i64[], %2: f64[2], %3: f64[2], %4: f64[]) {{
                %5: i64[] = constant {{value: 1, dtype: i64}}
                %6: i64[] = add %1, %5
                %7: f64[] = cast %6 {{dtype: f64}}
                %8: f64[] = multiply %7, %4
                %9: f64[2] = broadcast %8 {{shape: (2,)}}
                %10: f64[2] = multiply %0, %3
                %11: f64[2] = add %10, %2
                %12: f64[2] = sin %11
                %13: f64[2] = multiply %12, %9
                %14: f64[] = sum %13 {{axes: (0,)}}
                %15: f64[2] = multiply %13, %2
                return %13, %6, %14, %15 }},
            carry: 2, sequences: 1, length: T, reverse: {reverse}}}
        return %5, %6, %8, %7 }}""")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 4])
def test_scan(reverse, length):
    rng = np.random.default_rng(3)
    inputs = [rng.normal(size=2), rng.normal(size=(length, 2)), rng.normal(size=2), np.float64(0.4)]
    inputs[3] = np.asarray(inputs[3])
    check(scan(reverse), inputs, order=2)
    check(scan(reverse), inputs, wrt=[2])


def test_the_scans_of_a_derivative_are_two():
    """The forward scan and the one that stacks the carries become one; the other runs back."""
    graph = verify(optimize(value_and_vjp(scan(False), [0, 2])))
    assert [n.params["reverse"] for n in graph.nodes if n.op_name == "scan"] == [False, True]


def test_a_loop_inside_does_not_hinder_what_it_does_not_touch():
    loop = """while_loop %0, %1 {
        condition: graph c(%0: f64[], %1: f64[]) { %2: bool[] = less %0, %1 return %2 },
        body: graph b(%0: f64[], %1: f64[]) { %2: f64[] = add %0, %0 return %2 }, carry: 1}"""
    graph = parse_graph(f"graph main(%0: f64[], %1: f64[]) {{ %2: f64[] = {loop} %3: f64[] = multiply %2, %1 return %3, %1 }}")
    with pytest.raises(GradientError) as caught:
        vjp_graph(graph, [0], outputs=[0])
    text = str(caught.value)
    assert text.startswith("[while_loop] reverse mode needs a fixed trip count: how many steps")
    assert "hint: use `fori_loop` with bounds" in text and "`scan`" in text and "`jvp`" in text
    vjp_graph(graph, [1], outputs=[1])
    vjp_graph(graph, [0], outputs=[1])


def test_what_cannot_be_differentiated():
    graph = parse_graph("graph main(%0: i64[3], %1: f64[3]) { return %0, %1 }")
    with pytest.raises(GradientError, match=r"\[vjp\] input 0 is i64\[3\]; only floating"):
        vjp_graph(graph, [0])
    with pytest.raises(GradientError, match=r"\[vjp\] output 0 is i64\[3\]; only floating"):
        vjp_graph(graph, [1], outputs=[0])


def test_derivatives_may_be_asked_in_a_builder_of_ones_own():
    builder = Builder(capture_source=False)
    x = builder.input(TensorType(dtypes.float64, (Dim("B"),)))
    y = builder.f.multiply(x, builder.f.sin(x))
    derivative = vjp_graph(builder.graph([y]), [0])
    assert derivative.name == "main_vjp" and derivative.inputs[1].node.name == "cotangent_0"
