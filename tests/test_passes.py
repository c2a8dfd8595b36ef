"""The passes: each rule before → after, and every bit kept on random graphs."""

import ml_dtypes
import numpy as np
import pytest
from compiled import run_compiled
from graphs import arrays_for, assert_same_bits, graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from elinvar.codegen.interpreter import interpret
from elinvar.core import dtypes
from elinvar.core.errors import GraphError
from elinvar.graph.ir import Graph
from elinvar.graph.text import parse_graph
from elinvar.graph.verify import verify
from elinvar.graph.walk import same_graph
from elinvar.passes.dead import dead
from elinvar.passes.fold import fold
from elinvar.passes.hoist import hoist
from elinvar.passes.orient import orient
from elinvar.passes.pipeline import PIPELINE, Pass, Report, describe, optimize
from elinvar.passes.share import share
from elinvar.passes.simplify import holds_exactly, simplify


@given(graphs(), st.integers(0, 3), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_passes_keep_every_bit(graph, batch, seed):
    arrays = arrays_for(graph, batch, seed)
    expected = interpret(graph, arrays, {"B": batch})
    for run in (fold, simplify, hoist, share, dead, orient):
        after = verify(run(graph), run.__name__)
        assert after.input_types == graph.input_types
        assert_same_bits(interpret(after, arrays, {"B": batch}), expected)
    whole = optimize(graph, verify=True)
    assert whole.output_types == graph.output_types
    assert_same_bits(interpret(whole, arrays, {"B": batch}), expected)


@given(graphs())
@settings(max_examples=30, deadline=None)
def test_rewriting_settles_at_once(graph):
    for run in (fold, simplify):
        once = run(graph)
        assert run(once) is once


@given(graphs())
@settings(max_examples=30, deadline=None)
def test_optimized_graphs_stay(graph):
    once = optimize(optimize(graph))
    assert same_graph(optimize(once), once)


# ---- the rules ----------------------------------------------------------------------------------

HEADS = {
    "f": "graph main(%0: f32[2,3], %1: f32[2,3], %2: bool[2,3], %3: f32[4,5]) {",
    "i": "graph main(%0: i32[2,3], %1: i32[2,3], %2: bool[2,3], %3: i32[4,5]) {",
    "B": "graph main(%0: f32[B,3], %1: f32[B,3], %2: bool[B,3], %3: f32[2*B,5]) {",
}


def build(head, body):
    """A graph over the inputs of a head: lines `name = op operands {params} : type` made short.

    `body` is a text of lines; `c(1.0)` stands for that number with the type of %0.
    """
    return parse_graph(f"{HEADS[head]}\n{body}\n}}")


def number(name, value, dtype, shape):
    return (
        f"%{name}0: {dtype}[] = constant {{value: {value}, dtype: {dtype}}}\n"
        f"%{name}: {dtype}{shape} = broadcast %{name}0 {{shape: ({shape[1:-1]})}}\n"
    )


F, I = "f32[2,3]", "i32[2,3]"


def f(value):
    return number(9, value, "f32", "[2,3]")


def i(value):
    return number(9, value, "i32", "[2,3]")


def b(value):
    return number(9, value, "bool", "[2,3]")


# (head, lines before, the lines after); %0 … %3 are inputs, %9 a constant
RULES = [
    ("f", f("1.0") + "%10: f32[2,3] = multiply %0, %9 return %10", "return %0"),
    ("f", f("1.0") + "%10: f32[2,3] = multiply %9, %0 return %10", "return %0"),
    ("f", f("1.0") + "%10: f32[2,3] = divide %0, %9 return %10", "return %0"),
    ("f", f("-0.0") + "%10: f32[2,3] = add %0, %9 return %10", "return %0"),
    ("f", f("0.0") + "%10: f32[2,3] = subtract %0, %9 return %10", "return %0"),
    ("i", i("0") + "%10: i32[2,3] = add %9, %0 return %10", "return %0"),
    ("i", i("0") + "%10: i32[2,3] = multiply %9, %0 return %10", i("0") + "return %9"),
    ("i", i("1") + "%10: i32[2,3] = floor_divide %0, %9 return %10", "return %0"),
    ("i", i("1") + "%10: i32[2,3] = remainder %0, %9 return %10", i("0") + "return %9"),
    ("i", i("-1") + "%10: i32[2,3] = bitwise_and %0, %9 return %10", "return %0"),
    ("i", i("0") + "%10: i32[2,3] = bitwise_or %0, %9 return %10", "return %0"),
    ("i", i("0") + "%10: i32[2,3] = bitwise_xor %0, %9 return %10", "return %0"),
    ("i", i("0") + "%10: i32[2,3] = shift_left %0, %9 return %10", "return %0"),
    ("i", "%9: i32[2,3] = subtract %0, %0 return %9", i("0") + "return %9"),
    ("f", "%9: f32[2,3] = maximum %0, %0 return %9", "return %0"),
    ("f", "%9: f32[2,3] = negative %0 %10: f32[2,3] = negative %9 return %10", "return %0"),
    ("f", "%9: f32[2,3] = negative %0 %10: f32[2,3] = abs %9 return %10", "%9: f32[2,3] = abs %0 return %9"),
    ("f", "%9: f32[2,3] = abs %0 %10: f32[2,3] = abs %9 return %10", "%9: f32[2,3] = abs %0 return %9"),
    ("f", "%9: f32[2,3] = floor %0 %10: f32[2,3] = floor %9 return %10", "%9: f32[2,3] = floor %0 return %9"),
    ("f", "%9: f32[2,3] = negative %1 %10: f32[2,3] = add %0, %9 return %10", "%9: f32[2,3] = subtract %0, %1 return %9"),
    ("f", "%9: f32[2,3] = negative %1 %10: f32[2,3] = add %9, %0 return %10", "%9: f32[2,3] = subtract %0, %1 return %9"),
    ("f", "%9: f32[2,3] = negative %1 %10: f32[2,3] = subtract %0, %9 return %10", "%9: f32[2,3] = add %0, %1 return %9"),
    ("f", "%8: f32[2,3] = negative %0 %9: f32[2,3] = negative %1 %10: f32[2,3] = multiply %8, %9 return %10",
     "%9: f32[2,3] = multiply %0, %1 return %9"),
    ("f", "%8: f32[2,3] = negative %0 %9: f32[2,3] = negative %1 %10: f32[2,3] = divide %8, %9 return %10",
     "%9: f32[2,3] = divide %0, %1 return %9"),
    ("f", "%9: bool[2,3] = bitwise_invert %2 %10: bool[2,3] = bitwise_invert %9 return %10", "return %2"),
    ("f", "%9: bool[2,3] = equal %0, %1 %10: bool[2,3] = bitwise_invert %9 return %10", "%9: bool[2,3] = not_equal %0, %1 return %9"),
    ("f", b("True") + "%10: bool[2,3] = bitwise_or %2, %9 return %10", b("True") + "return %9"),
    ("f", b("True") + "%10: bool[2,3] = bitwise_and %2, %9 return %10", "return %2"),
    ("f", b("True") + "%10: f32[2,3] = where %9, %0, %1 return %10", "return %0"),
    ("f", b("False") + "%10: f32[2,3] = where %9, %0, %1 return %10", "return %1"),
    ("f", "%9: f32[2,3] = where %2, %0, %0 return %9", "return %0"),
    ("f", "%9: bool[2,3] = bitwise_invert %2 %10: f32[2,3] = where %9, %0, %1 return %10", "%9: f32[2,3] = where %2, %1, %0 return %9"),
    ("f", "%9: f32[2,3] = cast %0 {dtype: f32} return %9", "return %0"),
    ("f", "%9: f64[2,3] = cast %0 {dtype: f64} %10: f32[2,3] = cast %9 {dtype: f32} return %10", "return %0"),
    ("f", "%9: f64[2,3] = cast %0 {dtype: f64} %10: i32[2,3] = cast %9 {dtype: i32} return %10", "%9: i32[2,3] = cast %0 {dtype: i32} return %9"),
    ("i", "%9: u32[2,3] = cast %0 {dtype: u32} %10: i16[2,3] = cast %9 {dtype: i16} return %10", "%9: i16[2,3] = cast %0 {dtype: i16} return %9"),
    ("i", "%9: f32[2,3] = bitcast %0 {dtype: f32} %10: i32[2,3] = bitcast %9 {dtype: i32} return %10", "return %0"),
    ("f", "%9: f32[2,3] = stop_gradient %0 return %9", "return %0"),
    ("i", "%9: i32[2,3] = sum %0 {axes: ()} return %9", "return %0"),
    ("f", "%9: f32[2,3] = sum %0 {axes: ()} return %9", "return %0"),
    ("f", "%8: f32[2,1,3] = reshape %0 {shape: (2, 1, 3)} %9: f32[2,3] = max %8 {axes: (1,)} return %9", "return %0"),
    ("f", "%8: f32[2,1,3] = reshape %0 {shape: (2, 1, 3)} %9: f32[2,1,3] = cummax %8 {axis: 1, reverse: False} return %9",
     "%9: f32[2,1,3] = reshape %0 {shape: (2, 1, 3)} return %9"),
    ("B", "%8: f32[3*B] = reshape %0 {shape: (3*B,)} %9: f32[B,3] = reshape %8 {shape: (B, 3)} return %9", "return %0"),
    ("B", "%8: f32[3,B] = permute %0 {axes: (1, 0)} %9: f32[B,3] = permute %8 {axes: (1, 0)} return %9", "return %0"),
    ("f", "%8: f32[1,2,3] = reshape %0 {shape: (1, 2, 3)} %9: f32[2,1,3] = permute %8 {axes: (1, 0, 2)} return %9",
     "%9: f32[2,1,3] = reshape %0 {shape: (2, 1, 3)} return %9"),
    ("B", "%9: f32[B,3] = broadcast %0 {shape: (B, 3)} return %9", "return %0"),
    ("B", "%8: f32[2,B,3] = broadcast %0 {shape: (2, B, 3)} %9: f32[4,2,B,3] = broadcast %8 {shape: (4, 2, B, 3)} return %9",
     "%9: f32[4,2,B,3] = broadcast %0 {shape: (4, 2, B, 3)} return %9"),
    ("f", "%8: f32[1,2,3] = reshape %0 {shape: (1, 2, 3)} %9: f32[5,2,3] = broadcast %8 {shape: (5, 2, 3)} return %9",
     "%9: f32[5,2,3] = broadcast %0 {shape: (5, 2, 3)} return %9"),
    ("B", "%9: f32[B,3] = slice %0 {start: (0, 0), size: (B, 3), step: (1, 1)} return %9", "return %0"),
    ("f", "%8: f32[2,5] = slice %3 {start: (0, 0), size: (2, 5), step: (2, 1)} %9: f32[1,2] = slice %8 {start: (1, 4), size: (1, 2), step: (1, -3)} return %9",
     "%9: f32[1,2] = slice %3 {start: (2, 4), size: (1, 2), step: (2, -3)} return %9"),
    ("f", "%8: f32[4,2,3] = broadcast %0 {shape: (4, 2, 3)} %9: f32[2,2,1] = slice %8 {start: (1, 0, 2), size: (2, 2, 1), step: (1, 1, 1)} return %9",
     "%8: f32[2,1] = slice %0 {start: (0, 2), size: (2, 1), step: (1, 1)} %9: f32[2,2,1] = broadcast %8 {shape: (2, 2, 1)} return %9"),
    ("B", "%7: f32[] = constant {value: 0.0, dtype: f32} %8: f32[B+2,3] = pad %0, %7 {low: (1, 0), high: (1, 0), interior: (0, 0)}"
     "%9: f32[B,3] = slice %8 {start: (1, 0), size: (B, 3), step: (1, 1)} return %9", None),
    ("f", "%7: f32[] = constant {value: 0.0, dtype: f32} %8: f32[4,3] = pad %0, %7 {low: (1, 0), high: (1, 0), interior: (0, 0)}"
     "%9: f32[2,3] = slice %8 {start: (1, 0), size: (2, 3), step: (1, 1)} return %9", "return %0"),
    ("f", "%8: f32[4,3] = concatenate %0, %1 {axis: 0} %9: f32[2,3] = slice %8 {start: (2, 0), size: (2, 3), step: (1, 1)} return %9", "return %1"),
    ("f", "%7: f32[2,1] = slice %0 {start: (0, 0), size: (2, 1), step: (1, 1)} %8: f32[2,2] = slice %0 {start: (0, 1), size: (2, 2), step: (1, 1)}"
     "%9: f32[2,3] = concatenate %7, %8 {axis: 1} return %9", "return %0"),
    ("f", "%9: f32[2,3] = concatenate %0 {axis: 1} return %9", "return %0"),
    ("f", "%8: f32[4,3] = concatenate %0, %1 {axis: 0} %9: f32[6,3] = concatenate %8, %0 {axis: 0} return %9",
     "%9: f32[6,3] = concatenate %0, %1, %0 {axis: 0} return %9"),
    ("f", "%7: f32[] = constant {value: 0.0, dtype: f32} %8: f32[2,3] = pad %0, %7 {low: (0, 0), high: (0, 0), interior: (0, 0)} return %8", "return %0"),
    ("f", "%7: f32[] = constant {value: 0.0, dtype: f32} %8: f32[3,3] = pad %0, %7 {low: (1, 0), high: (0, 0), interior: (0, 0)}"
     "%9: f32[5,4] = pad %8, %7 {low: (0, 1), high: (2, 0), interior: (0, 0)} return %9",
     "%7: f32[] = constant {value: 0.0, dtype: f32} %8: f32[5,4] = pad %0, %7 {low: (1, 1), high: (2, 0), interior: (0, 0)} return %8"),
    ("f", "%8: f32[2,3] = flip %0 {axes: (0, 1)} %9: f32[2,3] = flip %8 {axes: (0,)} return %9", "%9: f32[2,3] = flip %0 {axes: (1,)} return %9"),
]  # fmt: skip

# what looks like a rule but would change bits: NaN, -0, rounding, or a recomputation
KEPT = [
    ("f", f("0.0") + "%10: f32[2,3] = add %0, %9 return %10"),
    ("f", f("-0.0") + "%10: f32[2,3] = subtract %0, %9 return %10"),
    ("f", f("0.0") + "%10: f32[2,3] = multiply %0, %9 return %10"),
    ("f", f("1.0") + "%10: f32[2,3] = power %0, %9 return %10"),
    ("f", "%9: f32[2,3] = subtract %0, %0 return %9"),
    ("f", "%9: f32[2,3] = divide %0, %0 return %9"),
    ("f", "%9: f16[2,3] = cast %0 {dtype: f16} %10: f32[2,3] = cast %9 {dtype: f32} return %10"),
    ("f", "%9: f64[2,3] = cast %0 {dtype: f64} %10: f64[2,3] = sqrt %9 %11: f32[2,3] = cast %10 {dtype: f32} return %11"),
    ("f", "%9: bool[2,3] = less %0, %1 %10: bool[2,3] = bitwise_invert %9 return %10"),
    ("f", "%9: f32[2,3] = barrier %0 {tag: 1} return %9"),
    ("f", "%9: f32[2,3] = subtract %0, %1 %10: f32[2,3] = negative %9 return %10"),
]  # fmt: skip


@pytest.mark.parametrize(("head", "before", "after"), RULES, ids=range(len(RULES)))
def test_simplify(head, before, after):
    graph = build(head, before)
    found = simplify(graph)
    expected = graph if after is None else build(head, after)
    assert same_graph(found, expected), f"\n{found}\nexpected\n{expected}"
    arrays = arrays_for(graph, 2, 5)
    assert_same_bits(interpret(found, arrays), interpret(graph, arrays))


@pytest.mark.parametrize(("head", "text"), KEPT, ids=range(len(KEPT)))
def test_simplify_keeps(head, text):
    graph = build(head, text)
    assert simplify(graph) is graph


def test_products_of_widened_operands_read_the_narrow_ones():
    """They need half the memory, and the product is that of the widened ones, bit for bit."""
    text = """graph main(%0: {low}[4,70], %1: {low}[5,70]) {{
        %2: f32[4,70] = cast %0 {{dtype: f32}}
        %3: f32[5,70] = cast %1 {{dtype: f32}}
        %4: f32[70,5] = permute %3 {{axes: (1, 0)}}
        %5: f32[4,5] = contract %2, %4 {{batch: ((), ()), axes: ((1,), (0,))}}
        return %5
    }}"""
    for low in ("bf16", "f16"):
        graph = parse_graph(text.format(low=low))
        found = optimize(graph)
        (product,) = [node for node in found.nodes if node.op_name == "contract"]
        assert {x.dtype.bits for x in product.operands} == {16}
        assert not [node for node in found.nodes if node.op_name == "cast"]
        arrays = arrays_for(graph, 2, 5)
        assert_same_bits(run_compiled(graph, arrays), interpret(graph, arrays))
    mixed = parse_graph(text.replace("%1: {low}", "%1: f16").format(low="bf16"))
    assert simplify(mixed) is mixed


def extremes(dtype):
    kind = dtype.numpy
    if kind.kind == "b":
        return np.array([False, True])
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return np.array([info.min, info.max, info.max - 1, 0, 1], kind)
    info = ml_dtypes.finfo(kind)
    return np.array([info.max, info.tiny, info.smallest_subnormal, 1 + info.eps], kind)


@pytest.mark.parametrize("narrow", dtypes.REALS, ids=str)
def test_exact_conversions(narrow):
    """Against numpy: the extremes of the narrow type are the same numbers in the wide one."""
    values = extremes(narrow)
    for wide in dtypes.REALS:
        with np.errstate(all="ignore"):
            there = values.astype(wide.numpy)
        same = all(a.item() == b.item() for a, b in zip(values, there, strict=True))
        assert holds_exactly(wide, narrow) == same, (narrow, wide)


# ---- fold ---------------------------------------------------------------------------------------


def folded(*lines):
    return fold(parse_graph("graph main(%0: f32[2], %1: i64[3]) {\n" + "\n".join(lines) + "\n}"))


def constants(text, dtype="f32"):
    """Lines that define %10, %11, … as the numbers in a text."""
    return [
        f"%{10 + n}: {dtype}[] = constant {{value: {value}, dtype: {dtype}}}"
        for n, value in enumerate(text.split())
    ]


FOLDS = [
    ("f32", "2.5 4.0", "add", 6.5),
    ("f32", "1.0 3.0", "divide", float(np.float32(1) / np.float32(3))),
    ("f32", "16777216.0 1.0", "add", 16777216.0),
    ("f32", "3e38 3e38", "add", np.inf),
    ("f32", "-0.0 1.0", "multiply", -0.0),
    ("bf16", "1.0 3.0", "divide", 0.333984375),
    ("f16", "2049.0 1.0", "multiply", 2048.0),
    ("f32", "2.0", "sqrt", float(np.sqrt(np.float32(2)))),
    ("f32", "2.5", "round", 2.0),
    ("i32", "2147483647 1", "add", -2147483648),
    ("u8", "200 100", "add", 44),
    ("i32", "-7 2", "floor_divide", -4),
    ("i32", "-7 2", "remainder", 1),
    ("f32", "1.0 nan", "less", False),
    ("bool", "True False", "bitwise_xor", True),
]


@pytest.mark.parametrize(("dtype", "numbers", "op", "expected"), FOLDS, ids=range(len(FOLDS)))
def test_fold(dtype, numbers, op, expected):
    count = len(numbers.split())
    result = "bool" if op == "less" else dtype
    operands = ", ".join(f"%{10 + n}" for n in range(count))
    graph = folded(*constants(numbers, dtype), f"%20: {result}[] = {op} {operands}", "return %20")
    (node,) = graph.nodes
    assert node.op_name == "constant"
    value = node.params["value"]
    assert type(value) is type(expected) and str(value) == str(expected)


@pytest.mark.parametrize(
    "lines",
    [
        ["%20: f32[] = subtract %10, %10"],  # inf - inf: the NaN's sign is the machine's
        ["%20: f32[] = exp %11"],
        ["%20: f32[] = maximum %12, %13"],
        ["%20: f32[] = add %11, %14"],
    ],
)
def test_fold_keeps(lines):
    x = ["%14: f32[] = sum %0 {axes: (0,)}"]
    graph = folded(*constants("inf 0.7 0.0 -0.0"), *x, *lines, "return %20")
    assert graph.nodes[-1].op_name == lines[0].split()[3]


def test_fold_through_broadcasts_and_movement():
    graph = folded(
        *constants("2.0 3.0"),
        "%12: f32[4] = broadcast %10 {shape: (4,)}",
        "%13: f32[4] = broadcast %11 {shape: (4,)}",
        "%14: f32[4] = multiply %12, %13",
        "%15: f32[2,2] = reshape %14 {shape: (2, 2)}",
        "%16: f32[2,2] = exp %15",
        "%17: f32[3,2] = gather %16, %1 {axis: 0}",
        "return %17",
    )
    assert [node.op_name for node in graph.nodes] == ["constant", "exp", "broadcast"]
    assert graph.nodes[0].params["value"] == 6.0


def test_fold_knows_sizes_and_conditions():
    graph = folded(
        "%10: i64[] = size_of {dim: 7}",
        "%11: i64[] = constant {value: 5, dtype: i64}",
        "%12: bool[] = less %10, %11",
        "%13: f32[2] = cond %12, %0 {"
        "true: graph t(%0: f32[2]) { %1: f32[2] = negative %0 return %1 },"
        "false: graph f(%0: f32[2]) { %1: f32[2] = abs %0 return %1 }}",
        "return %13",
    )
    assert [node.op_name for node in graph.nodes] == ["abs"]


def test_constants_are_written_alike():
    graph = share(folded(*constants("0 0.0"), "return %10, %11"))
    assert len(graph.nodes) == 1 and str(graph.nodes[0].params["value"]) == "0.0"


# ---- share --------------------------------------------------------------------------------------

BODY = "graph body(%0: f32[3], %1: f32[3]) {{ %2: f32[3] = add %0, %1 {} }}"
SCAN = "scan %0, %1 {{body: " + BODY + ", carry: 1, sequences: 1, length: B, reverse: False}}"


def test_share_equal_nodes_but_not_barriers():
    graph = parse_graph(
        "graph main(%0: f32[3]) {"
        "%1: f32[3] = abs %0 %2: f32[3] = abs %0 %3: f32[3] = barrier %0 {tag: 1}"
        "%4: f32[3] = barrier %0 {tag: 2} %5: f32[3] = abs %3 return %1, %2, %4, %5 }"
    )
    names = sorted(node.op_name for node in share(graph).nodes)
    assert names == ["abs", "abs", "barrier", "barrier"]


def test_share_merges_scans_with_equal_carries():
    graph = parse_graph(
        "graph main(%0: f32[3], %1: f32[B,3]) {"
        f"%2, %3: f32[3], f32[B,3] = {SCAN.format('%3: f32[3] = abs %2 return %2, %3')}"
        f"%4, %5: f32[3], f32[B,3] = {SCAN.format('%3: f32[3] = abs %2 return %2, %0')}"
        f"%6, %7: f32[3], f32[B,3] = {SCAN.format('%3: f32[3] = abs %2 return %2, %3')}"
        f"%8, %9: f32[3], f32[B,3] = {SCAN.format('%3: f32[3] = abs %2 return %3, %2')}"
        "return %2, %3, %4, %5, %6, %7, %8, %9 }"
    )
    after = verify(share(graph))
    assert [len(node.results) for node in after.nodes] == [3, 2]
    arrays = [np.ones(3), np.arange(12.0).reshape(4, 3)]
    assert_same_bits(interpret(after, arrays), interpret(graph, arrays))


# ---- dead ---------------------------------------------------------------------------------------


def test_dead_trims_a_conditional():
    graph = parse_graph(
        "graph main(%0: bool[], %1: f32[3], %2: f32[3]) { %3, %4: f32[3], f32[3] = cond %0, %1, %2 {"
        "true: graph t(%0: f32[3], %1: f32[3]) { %2: f32[3] = abs %0 return %2, %1 },"
        "false: graph f(%0: f32[3], %1: f32[3]) { return %0, %0 }} return %3 }"
    )
    (node,) = verify(dead(graph)).nodes
    assert len(node.operands) == 2 and len(node.results) == 1
    assert dead(dead(graph)) is not graph


LOOP = """graph main(%0: i32[], %1: f32[3], %2: f32[3], %3: f32[3]) {{
    %4, %5, %6: i32[], f32[3], f32[3] = while_loop %0, %1, %2, %3 {{
        condition: graph c(%0: i32[], %1: f32[3], %2: f32[3], %3: f32[3]) {{
            %4: i32[] = constant {{value: 3, dtype: i32}}
            %5: bool[] = less %0, %4
            return %5
        }},
        body: graph b(%0: i32[], %1: f32[3], %2: f32[3], %3: f32[3]) {{
            %4: i32[] = constant {{value: 1, dtype: i32}}
            %5: i32[] = add %0, %4
            %6: f32[3] = add %1, {0}
            %7: f32[3] = abs %2
            return %5, %6, {1}
        }}, carry: 3}}
    return %5
}}"""


@pytest.mark.parametrize(
    ("added", "third", "carry", "operands"),
    [
        ("%1", "%7", 2, 2),  # the third carry feeds itself only
        ("%2", "%7", 3, 3),  # the second one reads it
        ("%2", "%2", 2, 3),  # it never changes: a constant
        ("%3", "%3", 2, 3),
    ],
)
def test_dead_trims_a_loop(added, third, carry, operands):
    graph = parse_graph(LOOP.format(added, third))
    after = verify(dead(graph))
    (node,) = after.nodes
    assert (node.params["carry"], len(node.operands)) == (carry, operands)
    arrays = [np.int32(0), *np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)]
    assert_same_bits(interpret(after, arrays), interpret(graph, arrays))


def test_dead_trims_a_scan():
    graph = parse_graph(
        "graph main(%0: f32[3], %1: f32[3], %2: f32[B,3], %3: f32[B,3], %4: f32[3]) {"
        "%5, %6, %7, %8: f32[3], f32[3], f32[B,3], f32[B,3] = scan %0, %1, %2, %3, %4 {"
        "body: graph b(%0: f32[3], %1: f32[3], %2: f32[3], %3: f32[3], %4: f32[3]) {"
        "%5: f32[3] = add %0, %2 %6: f32[3] = multiply %1, %3 %7: f32[3] = add %5, %4 return %5, %6, %7, %6 },"
        "carry: 2, sequences: 2, length: B, reverse: False} return %7 }"
    )
    after = verify(dead(graph))
    (node,) = after.nodes
    assert (node.params["carry"], node.params["sequences"]) == (1, 1)
    assert len(node.operands) == 3 and len(node.results) == 2
    arrays = [np.ones(3), np.ones(3), np.ones((4, 3)), np.ones((4, 3)), np.ones(3)]
    assert_same_bits(interpret(after, arrays), interpret(graph, arrays))


# ---- the pipeline -------------------------------------------------------------------------------


def test_pipeline_reads_as_its_contents_page():
    assert [step.name for step in PIPELINE] == ["unfold", "simplify", "hoist", "share", "dead"]
    for step in PIPELINE:
        assert step.run.__name__ == step.name and step.purpose
    assert describe().splitlines()[0].split(maxsplit=1) == ["unfold", PIPELINE[0].purpose]


def test_pipeline_reports_times_and_recurses():
    text = (
        "graph main(%0: f32[3], %1: f32[B,3]) {"
        f"%2, %3: f32[3], f32[B,3] = {SCAN.format('%3: f32[3] = negative %2 %4: f32[3] = negative %3 return %4, %0')}"
        "return %2 }"
    )
    report = Report()
    after = optimize(parse_graph(text), verify=True, report=report)
    (node,) = after.nodes
    assert [inner.op_name for inner in node.params["body"].nodes] == ["add"]
    assert [row[0] for row in report.rows[:5]] == ["unfold", "simplify", "hoist", "share", "dead"]
    assert all(seconds >= 0 for _, seconds, _ in report.rows)
    assert str(report).splitlines()[1].startswith("unfold")


def test_a_faulty_pass_is_named():
    def lose_inputs(graph):
        return Graph((), graph.outputs)

    graph = parse_graph("graph main(%0: f32[3]) { return %0 }")
    with pytest.raises(GraphError, match=r"\[after pass lose\] an input of another graph"):
        optimize(graph, [Pass("lose", lose_inputs, "for this test")], verify=True)
    optimize(graph, [Pass("lose", lose_inputs, "for this test")], verify=False)


# ---- complex numbers ----------------------------------------------------------------------------


def test_parts_that_were_just_joined_are_not_taken_apart():
    graph = parse_graph(
        """graph main(%0: f32[3], %1: f32[3], %2: bool[2,3], %3: c64[3]) {
        %4: c64[3] = complex %0, %1
        %5: c64[2,3] = broadcast %4 {shape: (2, 3)}
        %6: c64[] = constant {value: complex(2.0, -1.0), dtype: c64}
        %7: c64[2,3] = broadcast %6 {shape: (2, 3)}
        %8: c64[2,3] = where %2, %5, %7
        %9: f32[2,3] = imag %8
        %10: f32[3] = real %3
        %11: f32[3] = imag %3
        %12: c64[3] = complex %10, %11
        return %9, %12
    }"""
    )
    assert (
        str(simplify(graph))
        == """graph main(%0: f32[3], %1: f32[3], %2: bool[2,3], %3: c64[3]) {
    %4: f32[2,3] = broadcast %1 {shape: (2, 3)}
    %5: f32[] = constant {value: -1.0, dtype: f32}
    %6: f32[2,3] = broadcast %5 {shape: (2, 3)}
    %7: f32[2,3] = where %2, %4, %6
    return %7, %3
}"""
    )
