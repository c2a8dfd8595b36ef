"""`el.func` and the words of `torch.func` at the top level."""

import inspect

import numpy as np
import pytest

import elinvar as el
from elinvar import nn

pytestmark = pytest.mark.any_level


def same_bits(a, b):
    return a.numpy().tobytes() == b.numpy().tobytes()


SIGNATURES = {  # those of torch.func
    "vmap": "(func, in_dims=0, out_dims=0, randomness='error', *, chunk_size=None)",
    "grad": "(func, argnums=0, has_aux=False)",
    "grad_and_value": "(func, argnums=0, has_aux=False)",
    "vjp": "(func, *primals, *, has_aux=False)",
    "jvp": "(func, primals, tangents, *, strict=False, has_aux=False)",
    "linearize": "(func, *primals)",
    "jacrev": "(func, argnums=0, *, has_aux=False, chunk_size=None)",
    "jacfwd": "(func, argnums=0, has_aux=False, *, randomness='error')",
    "hessian": "(func, argnums=0)",
    "functionalize": "(func, *, remove='mutations')",
    "functional_call": "(module, parameter_and_buffer_dicts, args=None, kwargs=None, *, "
    "tie_weights=True, strict=False)",
    "stack_module_state": "(models)",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_calls_that_pytorch_takes(name):
    """Its positional parameters stand where PyTorch has them; its keywords are there."""
    mine = list(inspect.signature(getattr(el.func, name)).parameters.values())
    positional, _, keywords = SIGNATURES[name].strip("()").partition("*, ")
    places = [part.partition("=")[0] for part in positional.split(", ") if part]
    for place, word in enumerate(places):
        star = word.startswith("*")
        assert mine[place].kind == (
            inspect.Parameter.VAR_POSITIONAL if star else inspect.Parameter.POSITIONAL_OR_KEYWORD
        )
        if place and not star and name != "functional_call":
            assert mine[place].name == word
    names = {parameter.name for parameter in mine}
    assert {part.partition("=")[0] for part in keywords.split(", ") if part} <= names


def test_all_names_are_there():
    assert sorted(el.func.__all__) == sorted(SIGNATURES)
    assert el.func.functional_call is el.functional_call
    assert el.func.stack_module_state is el.stack_module_state


def example(x, y):
    return (el.tanh(x) * y).sum(), x + y


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("wrap", [lambda f: f, el.jit], ids=["eager", "jit"])
def test_chunks_have_the_bits_of_all_at_once(chunk_size, wrap):
    x, y = el.randn(7, 3), el.randn(3, 7)
    whole = el.vmap(example, in_axes=(0, 1), out_axes=(0, -1))(x, y)
    parts = wrap(el.vmap(example, in_dims=(0, 1), out_dims=(0, -1), chunk_size=chunk_size))(x, y)
    for a, b in zip(whole, parts, strict=True):
        assert a.shape == b.shape and same_bits(a, b)


def test_chunks_and_everything_else():
    x = el.randn(5, 3)
    state = {"x": x.numpy(), "n": el.asarray(2.0)}
    mapped = el.vmap(
        lambda s, *, k: {"y": s["x"] * s["n"] + k, "n": s["n"]},
        in_axes=({"x": 0, "n": None},), out_axes={"y": 0, "n": None}, chunk_size=2,
    )  # fmt: skip
    found = mapped(state, k=el.ones(5))
    assert same_bits(found["y"], x * 2.0 + 1) and found["n"].item() == 2.0
    el.manual_seed(3)
    drawn = el.vmap(lambda x: x + el.rand(2), randomness="different", chunk_size=2)(el.zeros(5))
    el.manual_seed(3)
    assert drawn.tolist() == [el.rand(2).tolist() for _ in range(5)]
    assert el.vmap(lambda: el.ones(2), axis_size=5, chunk_size=2)().shape == (5, 2)
    w = el.randn(3).requires_grad_()
    el.vmap(lambda v: (v * w).sum(), chunk_size=2)(x).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), x.numpy().sum(0), rtol=1e-5)
    rows = el.jacrev(el.tanh)(x[0]), el.jacrev(el.tanh, chunk_size=2)(x[0])
    assert same_bits(*rows)


def test_chunks_that_are_refused():
    for options in ({"chunk_size": 0}, {"chunk_size": True}, {"chunk_size": 2.0}):
        with pytest.raises(ValueError, match="chunk_size must be a positive int"):
            el.vmap(el.sin, **options)
    for options in ({"axis_name": "n"}, {"randomness": "same"}):
        with pytest.raises(ValueError, match="examples of different chunks cannot hear"):
            el.vmap(el.sin, chunk_size=2, **options)
    mapped = el.jit(el.vmap(el.sin, chunk_size=2), specs=("f32[batch]",))
    with pytest.raises(RuntimeError, match="batch, must be known to be cut into chunks"):
        mapped(el.ones(3))


def test_functions_of_el_func():
    x = el.asarray([1.0, 2.0])
    f = lambda x: (x * x * x).sum()  # noqa: E731
    gradient, value = el.func.grad_and_value(f)(x)
    assert gradient.tolist() == [3, 12] and value.item() == 9
    gradient, (value, aux) = el.func.grad_and_value(lambda x: (f(x), "aux"), has_aux=True)(x)
    assert gradient.tolist() == [3, 12] and value.item() == 9 and aux == "aux"
    assert el.func.jvp(f, (x,), (el.ones(2),))[1].item() == 15
    assert el.func.jvp(lambda x: (f(x), 1), (x,), (el.ones(2),), has_aux=True)[2] == 1
    with pytest.raises(ValueError, match="strict=True"):
        el.func.jvp(f, (x,), (x,), strict=True)
    assert el.func.hessian(f)(x).tolist() == [[6, 0], [0, 12]]
    assert el.func.functionalize(f) is f
    with pytest.raises(ValueError, match="remove must be"):
        el.func.functionalize(f, remove="views")
    assert el.func.vmap(f, 0, 0, "same")(el.ones((2, 3))).tolist() == [3, 3]
    assert el.func.linearize(f, x)[1](el.ones(2)).item() == 15
    dropout = nn.Dropout(0.5)
    assert el.func.jacfwd(dropout, randomness="same")(el.ones(4)).shape == (4, 4)
    with pytest.raises(RuntimeError, match="randomness"):
        el.jacfwd(dropout)(el.ones(4))
