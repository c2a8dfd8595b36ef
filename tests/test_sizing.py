"""Size arithmetic: expressions and numbers agree, in Python and as native code."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elinvar.codegen.body import Body
from elinvar.codegen.products import full_flags, group_flags, padded, panel_flags, row_flags
from elinvar.core.errors import GraphError
from elinvar.core.sizing import (
    Size,
    both,
    ceil_div,
    choose,
    either,
    invert,
    least,
    most,
    same,
)
from elinvar.export.numbers import HELPERS, Numbers, parts_of, sizes_in
from elinvar.kernels.offsets import Line, Listed, Offsets, every, outer_sum
from elinvar.runtime import native

A, B = Size.named("a"), Size.named("b")
_count = iter(range(1 << 30))


def natively(sizes_or_tables, values):
    """Sizes and tables worked out by native code for given sizes."""
    prefix = f"sizing{next(_count)}."
    body = Body()
    numbers = Numbers(body, prefix)
    for number, name in enumerate(values):
        place = body.instruction(f"getelementptr i64, ptr %sizes, i64 {number}", "p")
        numbers.known[Size.named(name)] = body.instruction(f"load i64, ptr {place}", "n")
    at = 0
    lengths = []
    for item in sizes_or_tables:
        if isinstance(item, int | Size):
            found = numbers.number(item)
            place = body.instruction(f"getelementptr i64, ptr %out, i64 {at}", "p")
            body.emit(f"store i64 {found}, ptr {place}")
            lengths.append(None)
            at += 1
            continue
        for part in parts_of(item):
            for needed in sizes_in(part):
                numbers.number(needed)
            address = body.instruction(f"getelementptr i64, ptr %out, i64 {at}", "p")
            numbers.write(part, address, numbers.number(part.length))
            length = part.array(values).size
            at += length
        at_start = at - length
        lengths.append((at_start, length))
    body.emit("ret void")
    name = f"{prefix}main"
    head = f"define void @{name}(ptr %sizes, ptr %out) {{"
    parts = [*numbers.globals, head, "entry:", body.text(), "}", *body.declarations]
    text = "\n".join([HELPERS.format(prefix=prefix), *parts])
    address = native.load(text + "\n", [name])[name]
    out = np.full(at + 1, 77, np.int64)
    given_sizes = (ctypes.c_int64 * max(1, len(values)))(*values.values())
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)
    call(ctypes.addressof(given_sizes), out.ctypes.data)
    assert out[-1] == 77
    answers, position = [], 0
    for length in lengths:
        if length is None:
            answers.append(int(out[position]))
            position += 1
        else:
            start, count = length
            answers.append(out[start : start + count])
            position = start + count
    return answers


@st.composite
def expressions(draw, depth=4):
    """A function of two sizes that runs on numbers and on expressions."""
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        leaf = draw(st.sampled_from(["a", "b", 0, 1, 2, 3, 16, -1]))
        return lambda a, b: {"a": a, "b": b}.get(leaf, leaf)
    word = draw(st.sampled_from(["add", "sub", "mul", "div", "rem", "most", "least", "choose", "ceil"]))
    x, y, z = (draw(expressions(depth=depth - 1)) for _ in range(3))
    divisor = draw(st.sampled_from([1, 2, 3, 16]))
    return {
        "add": lambda a, b: x(a, b) + y(a, b),
        "sub": lambda a, b: x(a, b) - y(a, b),
        "mul": lambda a, b: x(a, b) * y(a, b),
        "div": lambda a, b: x(a, b) // most(1, y(a, b)),
        "rem": lambda a, b: x(a, b) % divisor,
        "most": lambda a, b: most(x(a, b), y(a, b), 2),
        "least": lambda a, b: least(x(a, b), y(a, b)),
        "choose": lambda a, b: choose(
            either(x(a, b) < y(a, b), both(invert(x(a, b) >= 3), same(y(a, b), 2))), z(a, b), 5
        ),
        "ceil": lambda a, b: ceil_div(x(a, b), divisor),
    }[word]


@settings(deadline=None, max_examples=150)
@given(function=expressions(), a=st.integers(0, 40), b=st.integers(0, 40))
def test_expressions_are_the_numbers(function, a, b):
    found = function(A, B)
    known = function(a, b)
    assert (found.at({"a": a, "b": b}) if isinstance(found, Size) else found) == known


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(functions=st.lists(expressions(), min_size=20, max_size=20), a=st.integers(0, 40), b=st.integers(0, 9))
def test_native_numbers(functions, a, b):
    found = natively([function(A, B) for function in functions], {"a": a, "b": b})
    assert found == [int(function(a, b)) for function in functions]


def dims(draw):
    extent = st.sampled_from(["a", "b", 1, 3, 8])
    stride = st.sampled_from([1, 0, 8, "b", "a"])
    return draw(st.lists(st.tuples(extent, stride), max_size=3))


@settings(deadline=None, max_examples=25)
@given(data=st.data(), a=st.integers(0, 9), b=st.integers(0, 20))
def test_tables(data, a, b):
    """What stands in a table and its flags, from numpy, from expressions and from native code."""
    pairs = dims(data.draw)
    values = {"a": a, "b": b}
    known = outer_sum([tuple(values.get(n, n) for n in pair) for pair in pairs], values)
    later = outer_sum([tuple({"a": A, "b": B}.get(n, n) for n in pair) for pair in pairs], {"a": A})
    assert isinstance(later, Offsets)
    makers = [
        lambda t: t,
        lambda t: padded(t, 6),
        lambda t: group_flags(t, 8),
        lambda t: group_flags(t, 16),
        lambda t: panel_flags(t, 16),
        lambda t: row_flags(t, 6),
        lambda t: full_flags(t, 8),
    ]
    expected = [make(known) for make in makers]
    tables = [make(later) for make in makers]
    for table, array in zip(tables, expected, strict=True):
        assert np.array_equal(table.array(values), array)
        length = table.length
        assert (length.at(values) if isinstance(length, Size) else length) == len(array)
        assert every(table).at(values) == bool(np.all(array)) if hasattr(table, "missing") else True
    for found, array in zip(natively(tables, values), expected, strict=True):
        assert np.array_equal(found, array)


def test_listed_tables():
    table = Offsets((Line(A, 100), Listed((3, 1, 7), B), Listed((0, 8), 2, (1, 2))))
    (found,) = natively([table], {"a": 2, "b": 5})
    expected = [i * 100 + n * 5 + m for i in range(2) for n in (3, 1, 7) for m in (1, 18)]
    assert found.tolist() == expected == table.array({"a": 2, "b": 5}).tolist()


def test_what_is_not_known_has_no_truth():
    assert Size.named("n") is Size.named("n") and (A + 0) is A and A * 0 == 0
    with pytest.raises(GraphError, match=r"less\(a, 3\) is not known yet; use `choose`"):
        if A < 3:
            pass
    with pytest.raises(GraphError, match=r"whether a == 3 is not known yet; use `same`"):
        A.__eq__(3)
    assert same(A, A) == 1 and same(2, 3) is False
    assert choose(A > 2, 7, 7) == 7
