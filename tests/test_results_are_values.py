"""A result is a value of its own: what is done to it in place does not reach the operand.

Most of all where a function has nothing to do: `x ** 1`, the sum over no axes, a join of one.
"""

import warnings

import numpy as np
import pytest

import elinvar as el

pytestmark = [
    pytest.mark.any_level,
    pytest.mark.filterwarnings("ignore::elinvar.ValueSemanticsWarning"),
]

FUNCTIONS = {
    "+x": lambda x: +x,
    "x ** 1": lambda x: x**1,
    "positive": el.positive,
    "astype": lambda x: x.astype(x.dtype),
    "el.astype": lambda x: el.astype(x, x.dtype),
    "asarray, copy": lambda x: el.asarray(x, copy=True),
    "reshape": lambda x: x.reshape(x.shape),
    "squeeze": lambda x: x.squeeze(),
    "flatten": lambda x: x[0].flatten(),
    "permute": lambda x: x.permute(0, 1),
    "permute_dims": lambda x: el.permute_dims(x, (0, 1)),
    "T": lambda x: x[0].T,
    "moveaxis": lambda x: el.moveaxis(x, 1, 1),
    "swapaxes": lambda x: x.swapaxes(1, 1),
    "el.swapaxes": lambda x: el.swapaxes(x, 1, 1),
    "expand": lambda x: x.expand(2, 3),
    "broadcast_to": lambda x: el.broadcast_to(x, (2, 3)),
    "broadcast_arrays": lambda x: el.broadcast_arrays(x, 1)[0],
    "atleast_1d": el.atleast_1d,
    "atleast_2d": el.atleast_2d,
    "atleast_3d": lambda x: el.atleast_3d(x[None]),
    "concat": lambda x: el.concat([x]),
    "vstack": lambda x: el.vstack([x]),
    "clip": el.clip,
    "real": el.real,
    "x.real": lambda x: x.real,
    "conj": el.conj,
    "x.conj": lambda x: x.conj(),
    "flip": lambda x: el.flip(x, axis=()),
    "roll": lambda x: el.roll(x, 0, axis=1),
    "roll, none": lambda x: el.roll(x, (), axis=()),
    "rot90": lambda x: el.rot90(x, 4),
    "repeat": lambda x: el.repeat(x, 1, axis=0),
    "tile": lambda x: el.tile(x, (1, 1)),
    "diff": lambda x: el.diff(x, n=0),
    "einsum": lambda x: el.einsum("ij->ij", x),
    "pad": lambda x: el.pad(x, 0),
    "nan_to_num": el.nan_to_num,
    "around": el.around,
    **{name: getattr(el, name) for name in ("floor", "ceil", "trunc", "round")},
    **{
        name: (lambda x, name=name: getattr(el, name)(x, axis=()))
        for name in ("sum", "prod", "max", "min", "any", "all", "logsumexp", "nanmax")
    },
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["bool", "int64", "float32", "complex64"])
def test_changes_do_not_reach_the_operand(name, dtype):
    x = el.asarray(np.asarray([[1, 0, 1], [0, 1, 1]], dtype))
    try:
        y = FUNCTIONS[name](x)
    except TypeError:
        pytest.skip("not for this dtype")
    before = x.tolist()
    y[...] = 1
    assert y is not x and x.tolist() == before
    y.fill_(0)
    assert x.tolist() == before and not y.any()


@pytest.mark.parametrize("name", sorted({*FUNCTIONS} - {"any", "all"}))
def test_the_same_in_programs_and_with_gradients(name):
    def changed(x):
        y = FUNCTIONS[name](x)
        y *= 3
        return (x * y.reshape(-1)[0]).sum()

    x = el.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    el.testing.assert_eager_equals_jit(changed, x)
    leaf = x.clone().requires_grad_()
    y = FUNCTIONS[name](leaf)
    assert y is not leaf
    if not y.requires_grad:
        return
    y.sum().backward()
    expected = el.grad(lambda x: FUNCTIONS[name](x).sum())(x)
    assert leaf.grad.tolist() == expected.tolist()


def test_what_views_elsewhere_is_worth_a_warning():
    """Programs may rely on it that a write to `x.swapaxes(0, 0)` changes x, as in numpy."""
    x = el.ones((2, 3))
    views = x.swapaxes(0, 0), el.moveaxis(x, 1, 1), el.broadcast_to(x, (2, 3)), el.atleast_1d(x)
    for line, y in enumerate(views):  # places of their own, for a warning comes once a line
        with pytest.warns(el.ValueSemanticsWarning, match="changes one tensor alone"):
            exec(f"y{line}[...] = 5.0", {f"y{line}": y, "__name__": "place"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y in (el.clip(x), x**1, x.astype("float32"), el.concat([x]), +x):
            exec("y[:] = 5.0", {"y": y, "__name__": "place"})
    assert x.tolist() == [[1.0] * 3] * 2


def test_powers_of_matrices():
    x = el.ones((2, 2))
    y = el.linalg.matrix_power(x, 1)
    y += 1
    assert x.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_captured_tensors_are_read_when_the_program_runs():
    x = el.asarray([1.0, 2.0])
    program = el.jit(lambda y: +x + y)
    assert program(el.zeros(2)).tolist() == [1.0, 2.0]
    x += 1
    assert program(el.zeros(2)).tolist() == [2.0, 3.0]


def test_what_is_documented_as_the_tensor_itself_is_it():
    x = el.ones(3)
    for y in (x.float(), x.to(el.float32), x.cpu(), x.contiguous(), el.asarray(x), x.astype("float32", copy=False)):
        assert y is x
