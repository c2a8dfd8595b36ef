"""Specifications of arguments: what is accepted, what is refused, and the ranges of dims."""

import dataclasses

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError
from elinvar.core.types import TensorType
from elinvar.tensor.specs import normalize_specs

B, T = el.Dim("B"), el.Dim("T", min=1, max=512)


@pytest.mark.parametrize(
    "given, shown",
    [
        (el.TensorSpec((B, 3)), "f32[B,3]"),
        (el.TensorSpec(2 * B, "int8"), "i8[2*B]"),
        (el.TensorSpec([], el.bool), "bool[]"),
        ("f32[batch,784]", "f32[batch,784]"),
        ("i64[2*B*T-1]", "i64[2*B*T-1]"),
        (el.ones((2, 3)), "f32[2,3]"),
        (np.zeros((4,), np.int16), "i16[4]"),
        (np.float64(1.0), "f64[]"),
        (TensorType(el.float16, (B,)), "f16[B]"),
        (1.5, "f32[]"),
        (3, "i64[]"),
    ],
)
def test_leaves(given, shown):
    (leaf, _), _ = normalize_specs("jit", (given, ["f32[B,T]"]))
    assert type(leaf) is el.TensorSpec and str(leaf.type) == shown


def test_trees():
    @dataclasses.dataclass
    class Pair:
        a: object
        b: object

    specs = ({"x": "f32[B]", "y": [1.0, ("f32[2]",)]}, Pair("f32[T]", None), None)
    (first, second, third), ranges = normalize_specs("jit", specs)
    assert repr(first) == "{'x': TensorSpec('f32[B]'), 'y': [TensorSpec('f32[]'), (TensorSpec('f32[2]'),)]}"
    assert repr(second.a) == "TensorSpec('f32[T]')" and second.b is None and third is None
    assert ranges == {"B": (0, None), "T": (0, None)}
    assert normalize_specs("jit", "f32[3]")[0] == [el.TensorSpec((3,))]
    assert normalize_specs("jit", {"x": "f32[3]"})[0] == [{"x": el.TensorSpec((3,))}]
    assert normalize_specs("jit", ())[0] == []


def test_ranges():
    assert normalize_specs("jit", el.TensorSpec((T - 1, B)))[1] == {"B": (0, None), "T": (1, 512)}
    # a name without a range is the same name
    both = (el.TensorSpec((T,)), "f32[T]", el.TensorSpec((3 * el.Dim("T"),)))
    assert normalize_specs("jit", both)[1] == {"T": (1, 512)}
    other = el.Dim("T", min=2)
    text = r"\[jit\] the dim 'T' has two ranges: 1 ≤ T ≤ 512 and 2 ≤ T\n"
    with pytest.raises(ValueRangeError, match=text):
        normalize_specs("jit", (el.TensorSpec(T), el.TensorSpec(other)))
    with pytest.raises(ValueRangeError, match="has two ranges"):
        T + other
    assert T == el.Dim("T") and hash(T) == hash(el.Dim("T")) and repr(T) == "T"
    assert ((T + 1) * B // B - 1).ranges == {"T": (1, 512)} == (-(2 * T)).ranges


@pytest.mark.parametrize(
    "least, most", [(-1, None), (3, 2), (0, 1 << 63), (True, None), (1.0, None), (0, "9")]
)
def test_bad_ranges(least, most):
    with pytest.raises(ValueRangeError, match=r"\[Dim\] .*(must be ints|needs 0 ≤ min ≤ max)"):
        el.Dim("n", min=least, max=most)


@pytest.mark.parametrize(
    "specs, text",
    [
        (("f32[2]", True), "argument 1 must be a type, received True"),
        ((object(),), "argument 0 must be a type, received object"),
        (("f32[2]", {"w": ["f32 2"]}), r"argument 1\['w'\]\[0\] is no type: \[parse\] expected a type such as"),
        (("f99[2]",), "argument 0 is no type: .*no dtype is called 'f99'"),
        (("f32[2+]]",), "argument 0 is no type"),
        (("f32[a b]",), "argument 0 is no type: .*identifier"),
        (("f32[-3]",), "argument 0 is no type: .*from 0 to"),
        ((np.zeros(2, "M8[s]"),), "argument 0 is no type"),
        ((np.float32,), "argument 0 must be a type, received type"),
        (("f32[B*T]",), r"the size B\*T does not tell what B is"),
        (("f32[B*B]",), r"the size B\*B does not tell what B is"),
    ],
)  # fmt: skip
def test_refused(specs, text):
    with pytest.raises((DTypeError, ShapeError), match=text):
        normalize_specs("jit", specs)


def test_names_of_arguments():
    with pytest.raises(DTypeError, match=r"\[export\] the specification of argument 'y' must be"):
        normalize_specs("export", ("f32[2]", True), ["x", "y"])


@pytest.mark.parametrize("shape", [(1.5,), (True,), (-1,), (1 << 63,), "3", 1.5, (-B,)])
def test_bad_shapes(shape):
    with pytest.raises(ShapeError, match=r"\[TensorSpec\]"):
        el.TensorSpec(shape)


def test_comparisons_of_inferred_sizes_are_decided_by_the_call():
    """Code that asks how long its input is has a program for each answer, not for each size."""
    positions = el.randn(64, 8)

    @el.jit
    def function(x):
        length = x.shape[0]
        if length > 64:
            raise ValueError("too long")
        taken = positions[:length]
        return x + taken * 2 if length >= 40 else x + taken

    for length in (3, 5, 0, 1, 39, 40, 64, 41, 12):
        x = el.randn(length, 8)
        expected = x + positions[:length] * (2 if length >= 40 else 1)
        assert function(x).tolist() == expected.tolist()
    assert function.compilations == 3  # the first size, shorter ones, longer ones
    with pytest.raises(ValueError, match="too long"):
        function(el.randn(65, 8))
    assert function(el.randn(13, 8)).shape == (13, 8) and function.compilations <= 4


def test_indices_and_slices_of_inferred_sizes():
    third = el.jit(lambda x: (x[3] + x[-2], x[:3].sum(), x[2:]))
    for size in (5, 7, 4, 30):
        x = el.arange(size)
        assert third(x)[0].item() == 3 + size - 2 and third(x)[2].shape == (size - 2,)
    assert third.compilations == 2


def test_slices_within_a_declared_range():
    positions = el.randn(64, 8)
    within = el.jit(lambda x: x + positions[: x.shape[0]], specs=el.TensorSpec((el.Dim("n", max=64), 8)))
    assert within(el.ones((7, 8))).shape == (7, 8)
    beyond = el.jit(lambda x: x + positions[: x.shape[0]], specs="f32[n,8]")
    with pytest.raises(ShapeError, match=r"bound n is not known to lie within(.|\n)*max=…"):
        beyond(el.ones((7, 8)))


def test_shapes_and_names_of_arguments_are_understood():
    batch = el.Dim("batch")
    wanted = [el.TensorSpec((batch, 3)), el.TensorSpec((batch,), el.int64)]
    for specs in (
        ((batch, 3), ((batch,), el.int64)),
        [[batch, 3], ((batch,), np.int64)],
        {"x": (batch, 3), "y": "i64[batch]"},
        {"y": ((batch,), el.int64), "x": el.TensorSpec((batch, 3))},
    ):
        assert normalize_specs("jit", specs, ("x", "y"))[0] == wanted
    for single in ((batch, 3), ((batch, 3), el.float32), "f32[batch,3]"):
        assert normalize_specs("jit", single, ("x",))[0] == wanted[:1]
    assert normalize_specs("jit", {"y": "i64[batch]"}, ("x", "y"))[0] == [None, wanted[1]]
    assert normalize_specs("jit", {"a": (batch, 3)}, ("x",))[0] == [{"a": wanted[0]}]
