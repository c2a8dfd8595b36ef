"""Shapes and dtypes in annotations: jaxtyping on tensors, checked when the program runs."""

# ruff: noqa: F722 (the names of sizes are no names of Python)

from types import SimpleNamespace

import pytest

import elinvar as el
from elinvar import nn

pytestmark = pytest.mark.any_level

jaxtyping = pytest.importorskip("jaxtyping")
from jaxtyping import (  # noqa: E402
    Bool,
    Complex,
    Complex64,
    Float,
    Float32,
    Float64,
    Inexact,
    Int,
    Int32,
    Integer,
    Num,
    Shaped,
    TypeCheckError,
    UInt8,
    jaxtyped,
)


def checker(name):
    package = pytest.importorskip(name)
    return package.beartype if name == "beartype" else package.typechecked


@pytest.fixture(params=["beartype", "typeguard"])
def checked(request):
    return jaxtyped(typechecker=checker(request.param))


@pytest.mark.parametrize(
    ("dtype", "right", "wrong"),
    [
        (el.float32, (Float, Float32, Inexact, Num, Shaped), (Int, Float64, Bool, Complex)),
        (el.float64, (Float, Float64, Num), (Float32, Integer)),
        (el.float16, (Float, Inexact), (Float32, Int)),
        (el.bfloat16, (Float, Inexact), (Float32, Int)),
        (el.int64, (Int, Integer, Num), (Float, Int32, UInt8)),
        (el.int32, (Int, Int32, Integer), (UInt8,)),
        (el.uint8, (UInt8, Integer, Num), (Int, Float)),
        (el.bool, (Bool, Shaped), (Int, Num)),
        (el.complex64, (Complex, Complex64, Inexact, Num), (Float, Int)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_dtypes(dtype, right, wrong):
    x = el.ones((2, 3), dtype=dtype)
    for kind in right:
        assert isinstance(x, kind[el.Tensor, "rows columns"]), kind
    for kind in wrong:
        assert not isinstance(x, kind[el.Tensor, "rows columns"]), kind


def test_shapes():
    x = el.ones((2, 3, 3))
    for dims in ("a b b", "2 3 3", "... 3", "*batch b b", "a _ _", "2 b b"):
        assert isinstance(x, Float[el.Tensor, dims]), dims
    for dims in ("a a b", "a b", "2 3 4", "a b b c"):
        assert not isinstance(x, Float[el.Tensor, dims]), dims
    assert not isinstance(x.numpy(), Float[el.Tensor, "..."])
    assert isinstance(el.asarray(1.0), Float[el.Tensor, ""])
    assert isinstance(nn.Parameter(x), Float[el.Tensor, "a b b"])
    assert isinstance(nn.Linear(3, 4).weight, Float[nn.Parameter, "out features"])


@pytest.fixture
def functions(checked):
    """Annotated functions; `turned` says that it turns its argument, and does not."""

    @checked
    def product(
        x: Float[el.Tensor, "batch features"], weight: Float[el.Tensor, "features out"]
    ) -> Float[el.Tensor, "batch out"]:
        return x @ weight

    @checked
    def turned(x: Float[el.Tensor, "rows columns"]) -> Float[el.Tensor, "columns rows"]:
        return x

    @checked
    def shorter(x: Float[el.Tensor, "batch n"]) -> Float[el.Tensor, "batch n-1"]:
        return x[:, 1:]

    @checked
    def three(x: Float[el.Tensor, "batch 3"]) -> Float[el.Tensor, "batch 3"]:
        return x * 2

    @checked
    def total(x: Float[el.Tensor, "3"]) -> Float[el.Tensor, ""]:
        return x.sum()

    return SimpleNamespace(
        product=product, turned=turned, shorter=shorter, three=three, total=total
    )


def test_functions(functions):
    function = functions.product
    x, weight = el.ones((2, 3)), el.ones((3, 4))
    assert function(x, weight).shape == (2, 4)
    with pytest.raises(TypeCheckError, match="features=3"):
        function(x, x)
    with pytest.raises(TypeCheckError, match="parameter 'x'"):
        function(x.long(), weight)
    with pytest.raises(TypeCheckError, match="return value"):
        functions.turned(x)
    assert functions.shorter(x).shape == (2, 2)


def test_under_jit_sizes_are_numbers_until_they_are_open(functions):
    """A trace is checked, a run is not: what was traced once costs nothing any more."""
    function, weight = el.jit(functions.product), el.ones((3, 4))
    shapes = [function(el.ones((size, 3)), weight).shape for size in (2, 3, 5, 7)]
    assert shapes == [(2, 4), (3, 4), (5, 4), (7, 4)] and function.compilations == 2
    with pytest.raises(TypeCheckError, match=r"Tensor\(f32\[2,3\], traced\)"):
        function(el.ones((2, 3)), el.ones((2, 3)))
    with pytest.raises(TypeCheckError, match="return value"):
        el.jit(functions.turned)(weight)
    gradient = el.grad(lambda x: function(x, weight).sum())(el.ones((2, 3)))
    assert gradient.shape == (2, 3)


def test_under_jit_with_open_sizes_dims_are_symbols(functions):
    """A name in an annotation then stands for a name of the program; a number is another size."""
    function = el.jit(functions.product, specs=("f32[batch,k]", "f32[k,4]"))
    assert function(el.ones((5, 3)), el.ones((3, 4))).shape == (5, 4)
    assert function.compilations == 1
    with pytest.raises(TypeCheckError, match="rows=n"):
        el.jit(functions.turned, specs="f32[n,m]").lower()
    el.jit(functions.turned, specs="f32[n,n]").lower()
    assert el.jit(functions.shorter, specs="f32[n,m]")(el.ones((4, 5))).shape == (4, 4)

    assert el.jit(functions.three, specs="f32[n,3]")(el.ones((2, 3))).shape == (2, 3)
    with pytest.raises(TypeCheckError, match="parameter 'x'"):
        el.jit(functions.three, specs="f32[n,m]").lower()


def test_under_vmap_an_example_has_no_batch(functions):
    assert el.vmap(functions.total)(el.ones((5, 3))).tolist() == [3.0] * 5


def test_modules(checked):
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 4)

        @checked
        def forward(self, x: Float[el.Tensor, "*batch 3"]) -> Float[el.Tensor, "*batch 4"]:
            return self.linear(x)

    layer = Layer()
    assert layer(el.ones((2, 5, 3))).shape == (2, 5, 4)
    assert el.jit(layer.__call__)(el.ones((2, 3))).shape == (2, 4)
    with pytest.raises(TypeCheckError):
        layer(el.ones((2, 4)))
