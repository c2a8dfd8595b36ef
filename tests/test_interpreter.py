"""The interpreter: the truth that compiled code is tested against, itself tested by hand."""

import ml_dtypes
import numpy as np
import pytest
from graphs import arrays_for, graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from elinvar.codegen.interpreter import interpret
from elinvar.core import dtypes
from elinvar.core.errors import GraphError, ShapeError
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType, parse_type
from elinvar.graph.ir import Builder
from elinvar.graph.reference import run_reference, stored, stored_dtype
from elinvar.graph.regions import build_params
from elinvar.graph.sizes import resolve_sizes, specialize, symbols
from elinvar.graph.text import parse_graph
from elinvar.graph.verify import verify
from elinvar.ops.table import BY_NAME, TABLE


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_samples_have_the_types_of_the_rule(op):
    """`interpret` refuses a reference that breaks its type rule; a control op's is the op's own."""
    samples = op.samples()
    assert samples
    for sample in samples:
        builder = Builder(capture_source=False)
        inputs = tuple(builder.input(kind) for kind in sample.types)
        params = build_params(sample.params)
        graph = builder.graph(builder.add(op, inputs, params))
        found = interpret(graph, sample.operands)
        with np.errstate(all="ignore"):
            direct = op.reference(*sample.operands, **params)
        direct = direct if isinstance(direct, tuple) else (direct,)
        for value, array, other in zip(graph.outputs, found, direct, strict=True):
            assert array.shape == value.shape and array.dtype == stored_dtype(value.dtype)
            np.testing.assert_array_equal(array, stored(other, value.dtype))


@given(graphs(), st.integers(1, 3), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_sizes_put_in_first_or_found_give_the_same(graph, batch, seed):
    arrays = arrays_for(graph, batch, seed)
    static = verify(specialize(graph, {"B": batch}))
    assert not symbols(static)
    for a, b in zip(interpret(graph, arrays, {"B": batch}), interpret(static, arrays), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bfloat16_is_rounded_after_each_node():
    graph = parse_graph(
        "graph main(%0: bf16[2], %1: bf16[2]) { %2: bf16[2] = add %0, %1 %3: bf16[2] = subtract %2, %0 return %2, %3 }"
    )
    x = np.array([256.0, 1.0], ml_dtypes.bfloat16)
    y = np.array([1.0, 2.0**-9], np.float32)
    total, rest = interpret(graph, [x, y])
    assert total.dtype == np.float32
    np.testing.assert_array_equal(total, [256.0, 1.0])  # ties to even
    np.testing.assert_array_equal(rest, [0.0, 0.0])
    np.testing.assert_array_equal(interpret(graph, [np.float32([0.1, 0.2]), y])[0][0], np.float32(
        ml_dtypes.bfloat16(0.1) + ml_dtypes.bfloat16(1.0)))  # fmt: skip


CONTROL = """graph main(%0: f32[], %1: f32[B], %2: f32[]) {
    %3: f32[] = constant {value: 0.0, dtype: f32}
    %4: bool[] = less %0, %3
    %5: f32[] = cond %4, %0 {
        true: graph t(%0: f32[]) { %1: f32[] = negative %0 return %1 },
        false: graph f(%0: f32[]) { return %0 }}
    %6, %7: f32[], f32[B] = scan %5, %1, %2 {
        body: graph b(%0: f32[], %1: f32[], %2: f32[]) {
            %3: f32[] = multiply %0, %2 %4: f32[] = add %3, %1 return %4, %0 },
        carry: 1, sequences: 1, length: B, reverse: REVERSE}
    %8: f32[] = constant {value: 100.0, dtype: f32}
    %9: f32[] = while_loop %6, %8 {
        condition: graph c(%0: f32[], %1: f32[]) { %2: bool[] = less %0, %1 return %2 },
        body: graph b(%0: f32[], %1: f32[]) { %2: f32[] = add %0, %0 return %2 }, carry: 1}
    return %5, %6, %7, %9
}"""


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_control(reverse, count):
    graph = parse_graph(CONTROL.replace("REVERSE", str(reverse)))
    xs = np.arange(1, count + 1, dtype=np.float32)
    size, last, stacked, doubled = interpret(graph, [-3.0, xs, 0.5])
    carry, ys = 3.0, [0.0] * count
    for step in reversed(range(count)) if reverse else range(count):
        ys[step] = carry
        carry = 0.5 * carry + xs[step]
    assert (size, last) == (3.0, carry)
    np.testing.assert_array_equal(stacked, np.array(ys, np.float32))
    while carry < 100:
        carry += carry
    assert doubled == carry


# ---- sizes --------------------------------------------------------------------------------------


def types(*texts):
    return [parse_type(text) for text in texts]


def test_sizes_are_found():
    assert resolve_sizes(types("f32[B,3]", "f32[2*B+1]"), [(4, 3), (9,)]) == {"B": 4}
    assert resolve_sizes(types("f32[2*B+1]"), [(9,)]) == {"B": 4}
    assert resolve_sizes(types("f32[B*T]", "f32[T]"), [(12,), (3,)]) == {"B": 4, "T": 3}
    assert resolve_sizes(types("f32[0]"), [(0,)], {"B": 7}) == {"B": 7}
    assert resolve_sizes(types("f32[B-C,C]"), [(1, 2)]) == {"B": 3, "C": 2}


@pytest.mark.parametrize(
    ("kinds", "shapes", "expected"),
    [
        (["f32[B]", "f32[B]"], [(3,), (4,)], "input 1: expected f32[B] with B = 3, received the shape [4]"),
        (["f32[B,2]"], [(3,)], "input 0: expected f32[B,2], received the shape [3]"),
        (["f32[B,2]"], [(3, 4)], "input 0: expected f32[B,2], received the shape [3,4]"),
        (["f32[2*B]"], [(3,)], "input 0: 2*B = 3 does not give its sizes"),
        (["f32[B*T]"], [(6,)], "input 0: B*T = 6 does not give its sizes"),
        (["f32[B*B]"], [(4,)], "input 0: B*B = 4 does not give its sizes"),
    ],
)
def test_sizes_that_do_not_fit(kinds, shapes, expected):
    with pytest.raises(ShapeError) as caught:
        resolve_sizes(types(*kinds), shapes)
    assert f"[graph] {expected}" in str(caught.value)


def test_unknown_sizes_and_wrong_counts():
    graph = parse_graph("graph main() { %0: f32[B] = iota {size: B, dtype: f32} return %0 }")
    np.testing.assert_array_equal(interpret(graph, [], {"B": 3})[0], [0, 1, 2])
    with pytest.raises(ShapeError, match="no size is known for B"):
        interpret(graph, [])
    with pytest.raises(GraphError, match=r"\[interpreter\] expected 0 inputs, received 1"):
        interpret(graph, [1.0])


def test_symbols_are_found_in_params_and_sub_graphs():
    builder = Builder()
    x = builder.input(TensorType(dtypes.float32, (Dim("B"),)))
    inner = Builder()
    y = inner.input(TensorType(dtypes.float32, ()))
    size = inner.f.cast(inner.f.size_of(dim=Dim("T") + 1), dtype=dtypes.float32)
    body = inner.graph([inner.f.add(y, size)])
    zero = builder.f.constant(value=0.0, dtype=dtypes.float32)
    last = builder.f.scan(zero, body=body, carry=1, sequences=0, length=3, reverse=False)
    graph = builder.graph([last, x])
    assert symbols(graph) == {"B", "T"}
    assert interpret(graph, [np.zeros(2)], {"T": 4})[0] == 15.0


def test_a_wrong_reference_is_refused():
    with pytest.raises(GraphError, match="the reference of negative gave float64"):
        run_reference(BY_NAME["negative"], [np.zeros(2)], {}, types("f32[2]"))
