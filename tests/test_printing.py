"""What `repr` shows."""

import numpy as np
import pytest

import elinvar as el
from elinvar.core import errors

ROWS = {
    "floats": (lambda: el.asarray([[1.0, 2.0], [3.0, 4.0]]), """\
Tensor([[1.0000, 2.0000],
        [3.0000, 4.0000]], shape=(2, 2), dtype=float32)"""),
    "signs": (lambda: el.asarray([-1.0, 10.5]), "Tensor([-1.0000, 10.5000], shape=(2,), dtype=float32)"),
    "number": (lambda: el.asarray(3.5), "Tensor(3.5000, shape=(), dtype=float32)"),
    "ints": (lambda: el.asarray([[1, 20], [300, -4]]), """\
Tensor([[  1,  20],
        [300,  -4]], shape=(2, 2), dtype=int64)"""),
    "bool": (lambda: el.asarray([True, False]), "Tensor([ True, False], shape=(2,), dtype=bool)"),
    "empty": (lambda: el.zeros((0, 3)), "Tensor([], shape=(0, 3), dtype=float32)"),
    "special": (lambda: el.asarray([1.0, el.nan, -el.inf]), "Tensor([1.0000,    nan,   -inf], shape=(3,), dtype=float32)"),
    "small": (lambda: el.asarray([1e-5, 2e-5]), "Tensor([1.0000e-05, 2.0000e-05], shape=(2,), dtype=float32)"),
    "large": (lambda: el.asarray([1e9, 1.0]), "Tensor([1.0000e+09, 1.0000e+00], shape=(2,), dtype=float32)"),
    "bfloat16": (lambda: el.asarray([1.5], dtype=el.bfloat16), "Tensor([1.5000], shape=(1,), dtype=bfloat16)"),
    "gradient": (lambda: el.tensor([1.0], requires_grad=True), "Tensor([1.0000], shape=(1,), dtype=float32, requires_grad=True)"),
    "cube": (lambda: el.arange(8).reshape(2, 2, 2), """\
Tensor([[[0, 1],
         [2, 3]],

        [[4, 5],
         [6, 7]]], shape=(2, 2, 2), dtype=int64)"""),
    "shortened": (lambda: el.arange(10000), "Tensor([   0,    1,    2, ..., 9997, 9998, 9999], shape=(10000,), dtype=int64)"),
    "shortened matrix": (lambda: el.zeros((100, 100), dtype=el.int8), """\
Tensor([[0, 0, 0, ..., 0, 0, 0],
        [0, 0, 0, ..., 0, 0, 0],
        [0, 0, 0, ..., 0, 0, 0],
        ...,
        [0, 0, 0, ..., 0, 0, 0],
        [0, 0, 0, ..., 0, 0, 0],
        [0, 0, 0, ..., 0, 0, 0]], shape=(100, 100), dtype=int8)"""),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_text(name):
    make, text = ROWS[name]
    assert repr(make()) == text
    assert str(make()) == text


def test_long_rows_are_broken():
    text = repr(el.arange(40))
    assert all(len(line) <= 81 for line in text.splitlines()[:-1]) and len(text.splitlines()) == 3
    assert text.splitlines()[1].startswith("        ")


def test_options():
    before = el.set_printoptions(precision=1, threshold=4, edgeitems=1)
    try:
        assert repr(el.asarray([1.0, 2.0])) == "Tensor([1.0, 2.0], shape=(2,), dtype=float32)"
        assert "..." in repr(el.arange(5))
        with pytest.raises(errors.ValueRangeError, match="unknown option digits"):
            el.set_printoptions(digits=3)
    finally:
        el.set_printoptions(precision=before.precision, threshold=before.threshold, edgeitems=before.edgeitems)


def test_traced_tensors_print_their_type():
    seen = []
    el.jit(lambda x: seen.append(repr(x)) or x + 1)(el.ones((8, 10)))
    assert seen == ["Tensor(f32[8,10], traced)"]


def test_views_print_their_own_elements():
    x = el.asarray(np.arange(6).reshape(2, 3))
    assert repr(x.T[1]) == "Tensor([1, 4], shape=(2,), dtype=int64)"


def test_subclasses_print_their_name():
    assert "Parameter([1.0000]" in repr(el.nn.Parameter(el.ones(1)))
