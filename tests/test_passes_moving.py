"""Passes that move work: sums of pieces, roundings before a loop, products turned round."""

import numpy as np
import pytest
from compiled import run_compiled
from graphs import assert_same_bits

from elinvar.codegen.interpreter import interpret
from elinvar.graph.text import parse_graph
from elinvar.graph.verify import verify
from elinvar.graph.walk import same_graph
from elinvar.ops.rules import round_to_bfloat16
from elinvar.passes.hoist import hoist
from elinvar.passes.orient import orient
from elinvar.passes.simplify import simplify

# ---- sums of pieces -----------------------------------------------------------------------------


def pieces(change=("", ""), dtype="f32"):
    text = (
        "graph main(%0: f32[5,3], %1: f32[5,2], %2: f32[5,4]) {\n"
        "    %3: f32[] = constant {value: 0.0, dtype: f32}\n"
        "    %4: f32[5,9] = pad %1, %3 {low: (0, 3), high: (0, 4), interior: (0, 0)}\n"
        "    %5: f32[5,9] = pad %0, %3 {low: (0, 0), high: (0, 6), interior: (0, 0)}\n"
        "    %6: f32[5,9] = pad %2, %3 {low: (0, 5), high: (0, 0), interior: (0, 0)}\n"
        "    %7: f32[5,9] = add %4, %5\n"
        "    %8: f32[5,9] = add %6, %7\n"
        "    return %8\n}"
    )
    assert change[0] in text
    return parse_graph(text.replace(*change).replace("f32", dtype))


@pytest.mark.parametrize("dtype", ["f32", "bf16", "i32"])
def test_padded_pieces_that_fill_the_whole_are_joined(dtype):
    graph = pieces(("value: 0.0", "value: 0" if dtype == "i32" else "value: 0.0"), dtype)
    after = simplify(graph)
    names = [node.op_name for node in after.nodes]
    assert "pad" not in names and names.count("concatenate") == 1
    random = np.random.default_rng(0)
    arrays = [np.round(random.normal(size=v.shape) * 4) for v in graph.inputs]
    for array in arrays:
        array[0, 0] = -0.0
    kind = np.int32 if dtype == "i32" else np.float32
    arrays = [array.astype(kind) for array in arrays]
    for program in (interpret, run_compiled):
        assert_same_bits(program(after, arrays), program(graph, arrays))
    assert simplify(after) is after or same_graph(simplify(after), after)


@pytest.mark.parametrize(
    "change",
    [
        ("value: 0.0", "value: -0.0"),
        ("value: 0.0", "value: 1.0"),
        ("low: (0, 5), high: (0, 0)", "low: (0, 4), high: (0, 1)"),  # they overlap
        ("%8: f32[5,9] = add %6, %7", "%8: f32[5,9] = add %4, %7"),
        ("%8: f32[5,9] = add %6, %7", "%8: f32[5,9] = multiply %6, %7"),
    ],
)
def test_other_sums_of_padded_values_stay(change):
    after = simplify(pieces(change))
    assert "concatenate" not in [node.op_name for node in after.nodes]


# ---- hoist --------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["bf16", "f64"])
def test_hoist_rounds_constants_of_a_loop_before_it(to):
    text = (
        "graph main(%0: f32[3], %1: f32[4,3], %2: f32[3]) {\n"
        "    %3, %4: f32[3], TO[4,3] = scan %0, %1, %2 "
        "{body: graph body(%0: f32[3], %1: f32[3], %2: f32[3]) {\n"
        "        %3: TO[3] = cast %2 {dtype: TO}\n"
        "        %4: TO[3] = cast %1 {dtype: TO}\n"
        "        %5: TO[3] = multiply %3, %4\n"
        "        %6: f32[3] = add %0, %2\n"
        "        return %6, %5\n"
        "    }, carry: 1, sequences: 1, length: 4, reverse: False}\n"
        "    return %3, %4\n}"
    ).replace("TO", to)
    graph = parse_graph(text)
    after = hoist(graph)
    if to == "f64":  # it would take more memory
        assert after is graph
        return
    verify(after)
    assert [node.op_name for node in after.nodes] == ["cast", "scan"]
    body = after.nodes[1].params["body"]
    assert [node.op_name for node in body.nodes].count("cast") == 1
    assert hoist(after) is after
    random = np.random.default_rng(0)
    arrays = [random.normal(size=v.shape).astype(np.float32) for v in graph.inputs]
    for program in (interpret, run_compiled):
        assert_same_bits(program(after, arrays), program(graph, arrays))


# ---- orient -------------------------------------------------------------------------------------


def test_orient_swaps_what_is_only_read_turned():
    text = (
        "graph main(%0: f32[B,7,3], %1: f32[7,5,B]) {\n"
        "    %2: f32[B,3,5] = contract %0, %1 {batch: ((0,), (2,)), axes: ((1,), (0,))}\n"
        "    %3: f32[B,5,3] = permute %2 {axes: (0, 2, 1)}\n"
        "    %4: f32[B,5,3] = negative %3\n"
        "    return %4\n}"
    )
    graph = parse_graph(text)
    after = orient(graph)
    assert [node.op_name for node in after.nodes] == ["contract", "negative"]
    assert after.nodes[0].params == {"batch": ((2,), (0,)), "axes": ((0,), (1,))}
    random = np.random.default_rng(0)
    arrays = [random.normal(size=s).astype(np.float32) for s in ((4, 7, 3), (7, 5, 4))]
    for program in (interpret, run_compiled):
        assert_same_bits(program(after, arrays, {"B": 4}), program(graph, arrays, {"B": 4}))
    assert orient(after) is after


@pytest.mark.parametrize("read", ["%5", "%5, %3", "%5, %2"])
def test_orient_looks_through_casts(read):
    """A gradient that is rounded between the product and the permutation."""
    text = (
        "graph main(%0: bf16[9,7], %1: bf16[9,5]) {\n"
        "    %2: f32[7,5] = contract %0, %1 {batch: ((), ()), axes: ((0,), (0,)), dtype: f32}\n"
        "    %3: bf16[7,5] = cast %2 {dtype: bf16}\n"
        "    %4: bf16[5,7] = permute %3 {axes: (1, 0)}\n"
        "    %5: f32[5,7] = cast %4 {dtype: f32}\n"
        f"    return {read}\n}}"
    )
    graph = parse_graph(text)
    after = orient(graph)
    if read != "%5":  # somebody reads it as it is
        assert after is graph
        return
    assert [node.op_name for node in after.nodes] == ["contract", "cast", "cast"]
    random = np.random.default_rng(0)
    arrays = [round_to_bfloat16(random.normal(size=s)) for s in ((9, 7), (9, 5))]
    for program in (interpret, run_compiled):
        assert_same_bits(program(after, arrays), program(graph, arrays))


@pytest.mark.parametrize(
    "change",
    [
        ("return %4", "return %4, %2"),  # somebody reads it as it is
        ("negative %3", "contract %3, %3 {batch: ((0, 1), (0, 1)), axes: ((2,), (2,))}"),
        ("axes: (0, 2, 1)", "axes: (2, 0, 1)"),
    ],
)
def test_orient_keeps_other_products(change):
    text = (
        "graph main(%0: f32[5,7,5], %1: f32[7,5,5]) {\n"
        "    %2: f32[5,5,5] = contract %0, %1 {batch: ((0,), (2,)), axes: ((1,), (0,))}\n"
        "    %3: f32[5,5,5] = permute %2 {axes: (0, 2, 1)}\n"
        "    %4: f32[5,5,5] = negative %3\n"
        "    return %4\n}"
    )
    changed = text.replace(*change)
    if "contract %3" in changed:
        changed = changed.replace("%4: f32[5,5,5]", "%4: f32[5,5]")
    graph = parse_graph(changed)
    assert orient(graph) is graph
