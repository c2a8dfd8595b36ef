"""`disable_jit`, `eval_shape`, slices whose start is a value, `x.at`, paths of containers."""

from __future__ import annotations

import collections
import dataclasses
import threading

import numpy as np
import pytest

import elinvar as el
from elinvar.testing import assert_bitwise_equal

pytestmark = pytest.mark.any_level


@el.jit
def branching(x):
    def step(carry, row):
        carry = el.cond(row.sum() > 0, lambda c: c * 1.5 + row.sum(), lambda c: c - 1.0, carry)
        return carry, (carry, row * 2)

    last, rows = el.scan(step, el.asarray(0.1), x, reverse=True)
    grown = el.while_loop(lambda s: s[0] < 9.0, lambda s: (s[0] * 1.7, s[1] + 1), (last**2 + 1, 0))
    named = el.switch(grown[1], [lambda v: v, lambda v: v * 3, lambda v: -v], last)
    return rows, grown, named, el.fori_loop(0, 3, lambda i, s: s * 1.1 + i, last), el.map(el.exp, x)


def test_steps_of_python_have_the_bits_of_the_program() -> None:
    x = el.asarray(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    compiled = branching(x)
    with el.disable_jit():
        assert_bitwise_equal(branching(x), compiled)
        slope = el.grad(lambda x: branching(x)[3])(x)
        mapped = el.vmap(lambda x: branching(x)[2])(x[None])
    assert_bitwise_equal(slope, el.grad(lambda x: branching(x)[3])(x))
    assert_bitwise_equal(mapped[0], compiled[2])


def test_values_are_seen_inside() -> None:
    seen = []

    @el.jit
    def total(x):
        def step(carry, row):
            seen.append(float(carry))
            return carry + row, None

        return el.scan(step, 0.0, x)[0]

    stepped = el.disable_jit()(total)
    assert stepped(el.asarray([1.0, 2.0, 4.0])).item() == 7.0 and seen == [0.0, 1.0, 3.0]
    with pytest.raises(RuntimeError, match="disable_jit"):
        total(el.ones(3))
    with el.disable_jit(), el.disable_jit(False), pytest.raises(RuntimeError, match="disable_jit"):
        total(el.ones(3))
    with el.disable_jit():  # it holds for one thread
        other: list[int] = []
        double = el.jit(lambda x: x * 2)
        thread = threading.Thread(target=lambda: other.append(int(double(el.asarray(4)).item())))
        thread.start()
        thread.join()
        assert other == [8] and double.compilations == 1


def test_steps_refuse_what_the_program_refuses() -> None:
    with el.disable_jit():
        with pytest.raises(ValueError, match=r"carry \(f32\[\]\), expected \(i64\[\]\)"):
            el.scan(lambda c, x: (c + 1.5, None), 0, el.ones(3))
        with pytest.raises(RuntimeError, match="pair"):
            el.scan(lambda c, x: c, 0, el.ones(3))
        assert el.scan(lambda c, x: (c, x), 0, el.ones((0, 2)))[1].shape == (0, 2)


def test_eval_shape_computes_nothing() -> None:
    calls = []

    def function(weights, x, scale, mode):
        calls.append(mode)
        y = x @ weights["w"] * scale
        return {"y": y, "aux": (y.sum(), None)}

    weights = {"w": el.TensorSpec((4, 3), el.float64)}
    found = el.eval_shape(function, weights, el.TensorSpec((el.Dim("B"), 4)), 2.0, mode="up")
    assert calls == ["up"] and found["aux"][1] is None
    assert [str(kind.type) for kind in el.tree.leaves(found)] == ["f64[B,3]", "f64[]"]
    el.manual_seed(0)
    expected = el.rand(3).tolist()
    el.manual_seed(0)
    assert el.eval_shape(lambda: el.rand(3)) == el.TensorSpec((3,))
    assert el.rand(3).tolist() == expected  # no random numbers were used up
    with pytest.raises(TypeError, match="expected a function"):
        el.eval_shape(el.ones(3))


X = np.arange(20, dtype=np.float32).reshape(4, 5)


@pytest.mark.parametrize("start", [(0, 0), (3, 3), (-1, -2), (1, 4)])
def test_dynamic_slices(start: tuple[int, int]) -> None:
    first = [min(max(s + n * (s < 0), 0), n - k) for s, n, k in zip(start, (4, 5), (2, 3), strict=True)]
    block = np.s_[first[0] : first[0] + 2, first[1] : first[1] + 3]
    x, cut = el.asarray(X), el.jit(lambda x, i, j: el.dynamic_slice(x, (i, j), (2, 3)))
    assert cut(x, *start).tolist() == el.dynamic_slice(x, start, (2, 3)).tolist() == X[block].tolist()
    expected = X.copy()
    expected[block] = -1
    found = el.dynamic_update_slice(x, -el.ones((2, 3)), el.asarray(start))
    assert found.tolist() == expected.tolist() and x.tolist() == X.tolist()


def test_dynamic_slices_under_transforms() -> None:
    x = el.asarray(X)
    rows = el.vmap(lambda row, i: el.dynamic_slice_in_dim(row, i, 2))(x, el.asarray([0, 1, 9, -1]))
    assert rows.tolist() == [[0, 1], [6, 7], [13, 14], [18, 19]]
    slope = el.grad(lambda x: el.dynamic_slice(x, (1, 2), (2, 3)).sum())(x)
    assert slope.sum().item() == 6 and slope[1, 2].item() == 1
    window = el.jit(lambda x, i: el.dynamic_slice_in_dim(x, i, 2), specs=("f32[T]", "i64[]"))
    assert window(el.arange(7.0), el.asarray(4)).tolist() == [4.0, 5.0]
    assert el.dynamic_index_in_dim(x, el.asarray(1), axis=1, keepdims=False).tolist() == X[:, 1].tolist()
    with pytest.raises(ValueError, match="a block of 6 does not fit into axis 1"):
        el.dynamic_slice_in_dim(x, 0, 6, axis=1)
    with pytest.raises(ValueError, match="a start and a size for each axis"):
        el.dynamic_slice(x, (1,), (2, 3))
    with pytest.raises(TypeError, match="must be an integer"):
        el.dynamic_slice(x, (1.5, 0), (2, 3))


KEYS = {
    "row": 1,
    "rows": np.s_[1:3],
    "steps": np.s_[::2, 1:4],
    "new axis": (None, 1),
    "ellipsis": (..., 0),
    "list": [0, 2, 0],
    "pairs": ([0, 1, 0], [2, 3, 2]),
    "beside a span": (np.s_[1:], [1, 1, 4]),
    "grid": ([[0], [0]], [1, 2, 2]),
    "negative": [-1, 0],
    "mask": X > 7,
}
UFUNCS = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "min": np.minimum}
UFUNCS |= {"max": np.maximum, "divide": np.divide}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_at_combines_as_ufunc_at(key) -> None:
    x, key_of = el.asarray(X), key if not isinstance(key, np.ndarray) else el.asarray(key)
    values = [3.0] if isinstance(key, np.ndarray) else [3.0, X[key] + 2]
    for name, function in UFUNCS.items():
        for value in values:
            expected = X.copy()
            function.at(expected, key, value)
            given = value if isinstance(value, float) else el.asarray(value)
            found = getattr(x.at[key_of], name)(given)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, err_msg=name)
    expected = X.copy()
    expected[key] = 7
    assert x.at[key_of].set(7).tolist() == expected.tolist()
    assert x.at[key_of].get().tolist() == X[key].tolist() and x.tolist() == X.tolist()
    expected[key] = X[key] ** 2
    assert x.at[key_of].apply(el.square).tolist() == expected.tolist()


def test_at_under_transforms() -> None:
    x, v, i = el.asarray(X), el.ones((3, 5)) * 2.5, el.asarray([0, 0, 2])
    for name in ("set", "add", "multiply", "max"):

        def operate(x, v):
            return getattr(x.at[i], name)(v)  # noqa: B023

        assert_bitwise_equal(el.jit(operate)(x, v), operate(x, v))
        both = el.grad(lambda x, v: (operate(x, v) ** 2).sum(), argnums=(0, 1))
        assert [g.shape for g in both(x, v)] == [(4, 5), (3, 5)]
        rows = el.vmap(lambda x, i: getattr(x.at[i], name)(7.0))  # noqa: B023
        one_by_one = [getattr(x[n].at[k], name)(7.0) for n, k in enumerate((0, 4, 2, 2))]
        assert_bitwise_equal(rows(x, el.asarray([0, 4, 2, 2])), el.stack(one_by_one))
        beyond = el.jit(lambda x, i: getattr(x.at[i], name)(9.0))  # noqa: B023
        assert beyond(el.ones(3), el.asarray([5, 7])).tolist() == [1.0] * 3  # writes are dropped
    slope = el.grad(lambda v: x.at[i].add(v).sum())(v)
    assert slope.tolist() == [[1.0] * 5] * 3
    with pytest.raises(IndexError, match=r"\[at.add\] index 5 is out of bounds"):
        x.at[5].add(1.0)
    with pytest.raises(ValueError, match="does not broadcast to the indexed shape"):
        x.at[:2].multiply(el.ones(3))


def test_paths_of_containers() -> None:
    Pair = collections.namedtuple("Pair", "first second")

    @dataclasses.dataclass
    class Layer:
        weight: float
        bias: float

    tree = {"a": [1, (2, None)], "p": Pair(3, 4), "l": Layer(5, 6)}
    found = el.tree.leaves_with_path(tree)
    paths = [("a", 0), ("a", 1, 0), ("p", "first"), ("p", "second"), ("l", "weight"), ("l", "bias")]
    assert [path for path, _ in found] == paths and [leaf for _, leaf in found] == [1, 2, 3, 4, 5, 6]
    shown = el.tree.map_with_path(lambda path, a, b: (len(path), a + b), tree, tree)
    assert shown["a"][1][0] == (3, 4) and shown["l"].bias == (2, 12)
    assert el.tree.map_with_path(lambda path, x: path, 5) == ()


def test_the_number_of_elements_is_a_number() -> None:
    """`x.size` can be called, too; nowhere may it be taken for a function."""
    x = el.ones((3, 7))
    f = el.jit(lambda x: el.segment_max(el.exp(x.reshape(x.size)), el.arange(x.size) % 4, x.size))
    assert f(x).shape == (21,)
    assert el.scan(lambda c, _: (c + 1, c), 0, None, length=x.size)[0].item() == 21
    assert el.fori_loop(0, x.size, lambda i, s: s + i, 0).item() == 210


def test_random_numbers_like_a_tensor() -> None:
    x = el.ones((2, 3), dtype=el.float64)
    key = el.random.key(3)
    assert_bitwise_equal(el.randn_like(x, key=key), el.randn(2, 3, dtype=el.float64, key=key))
    assert_bitwise_equal(el.rand_like(x, dtype=el.float32, key=key), el.rand(2, 3, key=key))


def test_texts_of_control_flow() -> None:
    x = el.ones(3)
    cases = [
        (lambda: el.cond(x.sum() > 0, x, -x), "`true_fun` must be a function, received Tensor"),
        (lambda: el.cond(x > 0, lambda: x, lambda: -x), r"or reduce it, `\.all\(\)`"),
        (lambda: el.scan(lambda c, x: c, 0, x), r"a pair \(carry, y\), received \*"),
        (lambda: el.scan(lambda c, x: (c, x), 0, [1.0]), "make one tensor of it"),
        (lambda: el.scan(lambda c, x: ((c[0], c[1] + 0.5), x), (0, 0), x), r"differ at \[1\]"),
        (lambda: el.scan(lambda c, x: (c + 0.5, x), 0, x), r"\(0\.0, not 0\)"),
        (lambda: el.while_loop(lambda s: True, lambda s: x, 0.0), "keep the shape of the first"),
        (lambda: el.fori_loop(0, 2.5, lambda i, s: s, x), "`upper` must be an integer"),
        (lambda: el.grad(lambda x: None)(x), "is a `return` missing"),
        (lambda: el.grad(lambda x: (x.sum(), 1))(x), r"received \(\*, \*\)[\s\S]*has_aux"),
        (lambda: el.grad(lambda x: x.sum(), has_aux=True)(x), r"\(value, aux\), received \*"),
        (lambda: el.grad(lambda x: x.sum())(x=x), "by position"),
        (lambda: el.jit(lambda x, i: x[i : i + 2])(x, 1), r"el\.dynamic_slice\(x, starts, sizes\)"),
        (lambda: el.jit(lambda n: el.zeros(n))(3), "static_argnums"),
        (lambda: el.jit(lambda x: np.asarray(x))(x), "in the place of numpy's"),
        (lambda: el.jit(lambda x: f"{x.sum():.2f}")(x), "disable_jit"),
    ]
    for call, text in cases:
        with pytest.raises(el.ElinvarError, match=text):
            call()


def test_a_cotangent_of_another_shape_is_refused() -> None:
    total = el.custom_vjp(lambda x: x.sum())
    total.defvjp(lambda x: (x.sum(), None), lambda residuals, g: (g,))
    with pytest.raises(ValueError, match=r"a cotangent of f32\[3\] cannot be f32\[\]"):
        el.grad(total)(el.ones(3))


def test_names_of_others_lead_here() -> None:
    for other, name in (("svd", "linalg.svd"), ("PRNGKey", "random.key"), ("tree_map", "tree.map")):
        with pytest.raises(AttributeError, match=rf"it is called {name} here"):
            getattr(el, other)


def test_what_people_of_jax_write() -> None:
    w = el.asarray([1.0, 2.0])

    @el.checkpoint
    def layer(x, w):
        return el.tanh(x * w)

    slope = el.grad(lambda w: layer(el.ones(2), w).sum())(w)
    assert_bitwise_equal(slope, el.grad(lambda w: el.tanh(el.ones(2) * w).sum())(w))
    assert el.checkpoint(lambda: w * 2).tolist() == [2.0, 4.0]  # it needs no arguments: it is called
    assert round(el.asarray(2.6)).item() == 3 and abs(round(el.asarray(2.66), 1).item() - 2.7) < 1e-6
    with pytest.raises(el.ElinvarError, match=r"el\.concat\(\[x, y\]\)"):
        el.concat(w, w)
    with pytest.raises(el.ElinvarError, match=r"take its `\.real`"):
        el.grad(lambda x: (x.conj() * x).sum())(el.asarray([1 + 2j]))
    one_row = el.asarray([[1.0, 2.0, 4.0]])  # one observation of three variables, as in NumPy 2.2
    assert el.cov(one_row, rowvar=False, ddof=0).tolist() == [[0.0] * 3] * 3
