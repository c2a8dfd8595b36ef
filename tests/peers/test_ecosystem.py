"""Packages that take tensors as they are: einops, einx, opt_einsum, xarray. Values, gradients, jit."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import elinvar as el

pytestmark = pytest.mark.any_level

ROOT = Path(__file__).resolve().parent.parent.parent


def draw(*shape, dtype=np.float32):
    return el.asarray(np.random.default_rng(0).normal(size=shape).astype(dtype))


def agree(function, *arrays, exact=False):
    """A function of tensors gives what it gives for numpy arrays, eager and under jit, and has the
    right gradient by the first."""
    tensors = [el.asarray(x) for x in arrays]
    found, expected = function(*tensors), function(*arrays)
    assert type(found) is el.Tensor
    el.testing.assert_allclose(found, expected, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)
    el.testing.assert_eager_equals_jit(function, *tensors)
    if found.dtype.is_floating:
        wide = tuple(x.double() if x.dtype.is_floating else x for x in tensors)
        el.testing.check_grads(function, wide, order=1)
        el.testing.assert_eager_equals_jit(el.grad(lambda *xs: (function(*xs) ** 2).sum()), *tensors)


def numbers(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


# ---- einops ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "sizes", "shape"),
    [
        ("a b -> b a", {}, (4, 6)),
        ("a (b c) -> b (a c)", {"b": 2}, (4, 6)),
        ("b c (h p) (w q) -> b (h w) (c p q)", {"p": 2, "q": 3}, (2, 3, 4, 6)),
        ("a b ... -> ... (b a) 1", {}, (2, 3, 4, 5)),
        ("() a -> a", {}, (1, 5)),
    ],
)
def test_einops_rearrange(pattern, sizes, shape):
    einops = pytest.importorskip("einops")
    agree(lambda x: einops.rearrange(x, pattern, **sizes), numbers(*shape), exact=True)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod"])
def test_einops_reduce(name):
    einops = pytest.importorskip("einops")
    agree(lambda x: einops.reduce(x, "b (h p) c -> b h", name, p=2), numbers(2, 4, 3))


def test_einops_reduce_of_bools_and_by_a_function():
    einops = pytest.importorskip("einops")
    x = draw(4, 6)
    assert einops.reduce(x > 0, "a b -> a", "any").tolist() == (x > 0).any(1).tolist()
    assert einops.reduce(x > 0, "a b -> a", "all").tolist() == (x > 0).all(1).tolist()
    found = einops.reduce(x, "a b -> a", lambda x, axes: el.logsumexp(x, axis=axes))
    assert found.shape == (4,)
    with pytest.raises(RuntimeError, match="reduce_mean is not available"):
        einops.reduce(el.arange(4), "a -> ", "mean")


def test_einops_repeat_pack_einsum_and_the_rest():
    einops = pytest.importorskip("einops")
    agree(lambda x: einops.repeat(x, "a b -> a 3 (b n)", n=2), numbers(4, 6), exact=True)
    agree(lambda x: einops.rearrange([x, 2 * x], "k a b -> a (k b)"), numbers(4, 6), exact=True)
    agree(lambda x, y: einops.pack([x, y], "a *")[0], numbers(4, 6), numbers(4, 2, 3), exact=True)
    agree(lambda x, y: einops.einsum(x, y, "b i, i o -> b o"), numbers(4, 6), numbers(6, 3))
    x = draw(2, 3, 4)
    packed, shapes = einops.pack([x, x[:, :1]], "b * d")
    assert [y.shape for y in einops.unpack(packed, shapes, "b * d")] == [(2, 3, 4), (2, 1, 4)]
    assert einops.parse_shape(x, "a _ b") == {"a": 2, "b": 4}
    assert type(einops.asnumpy(x)) is np.ndarray
    assert einops.repeat(x, "a b c -> a n b c", n=1000)._layout.strides[1] == 0  # no memory


def test_einops_with_open_sizes():
    einops = pytest.importorskip("einops")
    function = el.jit(
        lambda x: einops.rearrange(x, "a (h b) c -> (a h) b c", h=3), specs="f32[batch,3*t,5]"
    )
    for batch, size in ((1, 3), (4, 6), (0, 9)):
        x = draw(batch, size, 5)
        expected = einops.rearrange(x, "a (h b) c -> (a h) b c", h=3)
        el.testing.assert_bitwise_equal(function(x), expected)
    assert function.compilations == 1


@pytest.mark.parametrize("first", ["einops", "elinvar"])
def test_einops_in_either_order(first):
    pytest.importorskip("einops")
    second = {"einops": "elinvar", "elinvar": "einops"}[first]
    code = (
        f"import {first}, {second}, sys; before = list(sys.meta_path)\n"
        "x = einops.rearrange(elinvar.ones((2, 3)), 'a b -> b a')\n"
        "import einops._backends as b, inspect\n"
        "print(x.shape, 'get_backend' in inspect.getsource(b),\n"
        "      any('elinvar' in type(f).__module__ for f in sys.meta_path))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "(3, 2) True False"


# ---- einx and opt_einsum --------------------------------------------------------------------------


def test_einx():
    pytest.importorskip("array_api_compat")
    einx = pytest.importorskip("einx")
    x, w = numbers(4, 6), numbers(6, 3)
    agree(lambda x: einx.id("a (b c) -> b (a c)", x, b=2), x, exact=True)
    agree(lambda x: einx.sum("a [b]", x), x)
    agree(lambda x: einx.mean("[a] b", x), x)
    agree(lambda x: einx.softmax("a [b]", x), x)
    agree(lambda x, y: einx.add("a b, b", x, y), x, numbers(6))
    agree(lambda x, w: einx.dot("a [b], [b] c -> a c", x, w), x, w)
    agree(lambda x, i: einx.get_at("[n] b, i -> i b", x, i), x, np.array([0, 2]), exact=True)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ab,bc,cd->ad", ((4, 6), (6, 3), (3, 2))),
        ("ab,cb->", ((4, 6), (3, 6))),
        ("abb,cb->ac", ((2, 3, 3), (3, 3))),
        ("bij,bjk,k->bi", ((2, 3, 4), (2, 4, 5), (5,))),
        ("ab->ba", ((4, 6),)),
    ],
)
def test_opt_einsum(equation, shapes):
    opt_einsum = pytest.importorskip("opt_einsum")
    agree(lambda *xs: opt_einsum.contract(equation, *xs), *(numbers(*shape) for shape in shapes))


def test_opt_einsum_expressions():
    opt_einsum = pytest.importorskip("opt_einsum")
    expression = opt_einsum.contract_expression("ab,bc->ac", (4, 6), (6, 3))
    x, w = draw(4, 6), draw(6, 3)
    el.testing.assert_allclose(expression(x, w), x @ w)
    with opt_einsum.shared_intermediates():
        found = opt_einsum.contract("ab,bc,cd->ad", x, w, draw(3, 2))
    el.testing.assert_allclose(found, x @ w @ draw(3, 2), atol=1e-5)


# ---- xarray ---------------------------------------------------------------------------------------


def test_xarray():
    xarray = pytest.importorskip("xarray")

    def table(x):
        return xarray.DataArray(x, dims=("a", "b"), coords={"a": [10, 20, 30, 40]})

    x, y = numbers(4, 6), numbers(6)
    agree(lambda x: (table(x) * 2 - 1).transpose("b", "a").data, x)
    agree(lambda x: (table(x) - table(x).mean("a", skipna=False)).data, x)
    agree(lambda x: table(x).sum("b").data, x)
    agree(lambda x: table(x).sel(a=20).isel(b=slice(1, 4)).data, x, exact=True)
    agree(lambda x, y: (table(x) + xarray.DataArray(y, dims="b")).data, x, y)
    agree(lambda x: xarray.dot(table(x), table(x).rename(a="c"), dim="b").data, x)
    agree(lambda x: xarray.concat([table(x), table(x)], "c").data, x, exact=True)
    found = xarray.Dataset({"x": table(el.asarray(x))}).max("a", skipna=False)["x"].data
    assert type(found) is el.Tensor and found.tolist() == x.max(0).tolist()
    assert "Tensor" in repr(table(el.asarray(x)))
    y = np.where(x > 1, np.float32("nan"), x)
    for reduced in (
        lambda t: t.mean("a"), lambda t: t.sum("b"), lambda t: t.std("a", ddof=1), lambda t: t.var(),
        lambda t: t.max("a"), lambda t: t.min(), lambda t: t.median("b"), lambda t: t.prod("a"),
    ):  # fmt: skip
        found, expected = reduced(table(el.asarray(y))).data, reduced(table(y)).data
        el.testing.assert_allclose(found, np.asarray(expected), rtol=1e-5, atol=1e-6)
    agree(lambda y: table(y).mean("a").data, x)


# ---- autoray --------------------------------------------------------------------------------------


def test_autoray():
    autoray = pytest.importorskip("autoray")
    importlib.import_module("autoray_names")

    def program(x, w):
        do = autoray.do
        y = do("tensordot", do("tanh", x), w, 1)
        y = do("concatenate", [y, do("power", y, 2)], axis=1)
        return do("sum", do("tril", y, -1), 0) + do("linalg.norm", y)

    agree(program, numbers(4, 6), numbers(6, 3))
    assert autoray.infer_backend(el.ones(2)) == "elinvar"
    u, s, _ = autoray.do("linalg.svd", el.ones((4, 3)))
    assert u.shape == (4, 3) and s.shape == (3,)
    assert [part.shape for part in autoray.do("split", el.ones((6, 2)), 3)] == [(2, 2)] * 3


# ---- the page -------------------------------------------------------------------------------------


def test_the_page_is_true():
    """docs/ecosystem.md, whose blocks need packages that the other tests do not have."""
    for name in ("beartype", "einops", "einx", "array_api_compat", "jaxtyping", "opt_einsum", "xarray"):
        pytest.importorskip(name)
    text = (ROOT / "docs" / "ecosystem.md").read_text()
    blocks = re.findall(r"^```py\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
