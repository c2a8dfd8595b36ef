"""References of records against simpler ones, and Philox against known answers."""

import numpy as np
import pytest

from elinvar.core.dtypes import float64, uint32, uint64
from elinvar.core.types import TensorType
from elinvar.ops import random
from elinvar.ops.scalars import Scalar
from elinvar.ops.table import BY_NAME

# ---- references against simpler ones ------------------------------------------------------------


def convolution_by_loops(x, w, p):
    """The definition, element by element."""
    if p["channels_last"]:
        return np.moveaxis(convolution_by_loops(x, w, p | {"channels_last": False}), 1, -1)
    kind = BY_NAME["convolution"]
    types = tuple(TensorType(float64, a.shape) for a in (x, w))
    result = np.zeros(kind.result_types(types, p)[0].shape)
    parts = max(p["groups"], p["batch_groups"])
    for n, o, *place in np.ndindex(*result.shape):
        part = o // (w.shape[0] // parts)
        row = n + part * result.shape[0] if p["batch_groups"] > 1 else n
        first = part * w.shape[1] if p["groups"] > 1 else 0
        for c, *k in np.ndindex(*w.shape[1:]):
            at = [
                q * s + j * d - low
                for q, s, j, d, low in zip(
                    place, p["stride"], k, p["dilation"], p["low"], strict=True
                )
            ]
            spread = zip(at, p["input_dilation"], x.shape[2:], p["high"], strict=True)
            if all(a % d == 0 and 0 <= a // d < m for a, d, m, _ in spread):
                source = tuple(a // d for a, d in zip(at, p["input_dilation"], strict=True))
                result[(n, o, *place)] += x[(row, first + c, *source)] * w[(o, c, *k)]
    return result


def test_convolution_reference_follows_the_definition():
    op = BY_NAME["convolution"]
    for sample in op.samples():
        if sample.operands[0].dtype == np.float64:
            expected = convolution_by_loops(*sample.operands, sample.params)
            found = op.reference(*sample.operands, **sample.params)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_contract_reference_agrees_with_einsum():
    op = BY_NAME["contract"]
    for sample in op.samples():
        x, y = sample.operands
        if x.dtype != np.float64:
            continue
        left, right = list(range(x.ndim)), [100 + dim for dim in range(y.ndim)]
        for pairs in sample.params.values():
            for i, j in zip(*pairs, strict=True):
                right[j] = i
        batch, axes = sample.params["batch"], sample.params["axes"]
        letters = {label: chr(97 + k) for k, label in enumerate(dict.fromkeys(left + right))}
        kept = [left[i] for i in batch[0]]
        kept += [label for i, label in enumerate(left) if i not in (*batch[0], *axes[0])]
        kept += [label for j, label in enumerate(right) if j not in (*batch[1], *axes[1])]
        one, two, out = ("".join(letters[k] for k in part) for part in (left, right, kept))
        expected = np.einsum(f"{one},{two}->{out}", x, y)
        np.testing.assert_allclose(op.reference(x, y, **sample.params), expected, atol=1e-12)


def test_fold_is_the_adjoint_of_windows():
    windows, fold = BY_NAME["windows"], BY_NAME["fold"]
    for sample in windows.samples():
        (x,) = sample.operands
        if x.dtype != np.float64:
            continue
        y = np.random.default_rng(3).normal(size=windows.reference(x, **sample.params).shape)
        back = fold.reference(y, shape=x.shape, **sample.params)
        left = np.sum(windows.reference(x, **sample.params) * y)
        np.testing.assert_allclose(left, np.sum(x * back), rtol=1e-12)


def test_sorting_is_stable_with_nan_last():
    x = np.array([np.nan, 2.0, 1.0, np.nan, 2.0, -0.0, 0.0])
    argsort, top_k = BY_NAME["argsort"].reference, BY_NAME["top_k"].reference
    assert argsort(x, axis=0, descending=False).tolist() == [5, 6, 2, 1, 4, 0, 3]
    assert argsort(x, axis=0, descending=True).tolist() == [1, 4, 2, 5, 6, 0, 3]
    assert top_k(x, k=4)[1].tolist() == [0, 3, 1, 4]


# ---- Philox -------------------------------------------------------------------------------------

ONES = 0xFFFFFFFF
KNOWN = [  # (counter, key, words): known answers of the Random123 library
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
]


class Whole:
    """A handler of scalar instructions on unsigned Python ints."""

    def instruction(self, name, dtype, arguments):
        a, b, *rest = (*(getattr(x, "payload", x) for x in arguments), 0)
        found = {
            "const": lambda: a, "cast": lambda: a, "add": lambda: a + b, "mul": lambda: a * b,
            "and": lambda: a & b, "xor": lambda: a ^ b, "shr": lambda: a >> b,
            "eq": lambda: a == b, "lt": lambda: a < b, "select": lambda: b if a else rest[0],
        }[name]()  # fmt: skip
        return found if isinstance(found, bool) else found & ((1 << dtype.bits) - 1)

    def scalar(self, value, dtype):
        return Scalar(self, dtype, value)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_philox_gives_the_known_answers(counter, key, words):
    assert tuple(int(word) for word in random.philox_words(counter, key)) == words
    handler = Whole()
    found = random.philox_block(
        tuple(handler.scalar(word, uint32) for word in counter),
        tuple(handler.scalar(word, uint32) for word in key),
    )
    assert tuple(scalar.payload for scalar in found) == words


def test_philox_in_scalars_agrees_with_the_reference():
    op, handler = BY_NAME["random_bits"], Whole()
    for sample in op.samples():
        key, counter = (handler.scalar(int(word), uint64) for word in sample.operands[0])
        for linear, expected in enumerate(op.reference(*sample.operands, **sample.params).flat):
            found = op.lowering(handler.scalar(linear, uint64), key, counter)
            assert found.dtype is uint32
            assert found.payload == int(expected)
