"""Loads of which some lanes are off, compiled for AVX2: LLVM may not be made to cut them."""

import re

import numpy as np
import pytest

import elinvar as el
from elinvar.codegen.body import Body
from elinvar.codegen.masked import masked_load
from elinvar.core.dtypes import DType
from elinvar.runtime import llvm, native
from elinvar.runtime.cache import DiskCache
from elinvar.tensor.dispatch import F

FEATURES = "+avx2,+fma,+avx,+f16c,+bmi,+bmi2,+lzcnt,+sse4.2,+popcnt,+movbe"
CASES = [(8, 4, 5), (9, 4, 4), (8, 8, 0), (8, 0, 8), (9, 0, 8), (1, 15, 0), (16, 0, 16), (3, 8, 14)]
HAS_AVX2 = "+avx2" in llvm.host().features.split(",")


@pytest.fixture
def avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code for a machine with AVX2 and nothing more, if this one can run it; never from the disk."""
    monkeypatch.setattr(native._engine, "disk", DiskCache(None))
    if HAS_AVX2:
        target = llvm.Target(llvm.host().triple, "haswell", FEATURES)
        compiled = llvm.object_code
        monkeypatch.setattr(
            native, "object_code", lambda text, level=3: compiled(text, target, level)
        )


@pytest.mark.parametrize("dtype", [el.float32, el.float64, el.bfloat16, el.int8], ids=repr)
@pytest.mark.parametrize(("count", "low", "high"), CASES)
def test_padding(avx2: None, dtype: DType, count: int, low: int, high: int) -> None:
    """Rows of odd lengths, with lanes that are off whatever the row is."""
    x = np.arange(7 * count).reshape(7, count) % 100 + 1
    padded = el.jit(
        lambda x: F.pad(x, F.scalar(0, x.dtype), low=(1, low), high=(2, high), interior=(0, 0))
    )(el.asarray(x).astype(dtype))
    wanted = np.pad(x, ((1, 2), (low, high)))
    np.testing.assert_array_equal(padded.astype(el.int32).numpy(), wanted)


def test_dilated_convolution(avx2: None) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(-9, 9, (1, 3, 9, 9)), rng.integers(-9, 9, (6, 3, 3, 3))
    found = el.jit(lambda x, w: el.nn.functional.conv2d(x, w, padding=4, dilation=2))(
        el.asarray(x).astype(el.float32), el.asarray(w).astype(el.float32)
    )
    wide = np.pad(x, ((0, 0), (0, 0), (4, 4), (4, 4)))
    wanted = sum(
        np.einsum("nchw,oc->nohw", wide[:, :, i : i + 13, j : j + 13], w[:, :, i // 2, j // 2])
        for i in (0, 2, 4)
        for j in (0, 2, 4)
    )
    np.testing.assert_array_equal(found.numpy(), wanted)


@pytest.mark.parametrize(("element", "size"), [("float", 4), ("double", 8), ("i8", 1)])
@pytest.mark.parametrize("lanes", [3, 16, 17, 33, 64])
def test_only_loads_that_may_be_cut_are_wider_than_32_bytes(
    element: str, size: int, lanes: int
) -> None:
    body = Body()
    masked_load(body, "%p", element, size, lanes, "%mask", "x")
    if lanes & (lanes - 1) == 0:
        assert f"masked.load.v{lanes}x" in "".join(body.lines)
    body = Body()
    known = [2 * lane < lanes for lane in range(lanes)]
    masked_load(body, "%p", element, size, lanes, "%mask", "x", known)
    text = "\n".join(body.lines)
    widths = [int(width) for width in re.findall(r"masked\.load\.v(\d+)x", text)]
    assert widths and max(widths) * size <= 32 and sum(widths) >= lanes


def test_indices_before_the_first_byte() -> None:
    """Padding around rows that a table gives: no index is read before its tensor begins, where
    this step's indices stand at the start of a page."""
    el.manual_seed(0)
    table, convolution = el.nn.Embedding(20002, 32), el.nn.Conv1d(32, 64, 3, padding=1)
    head = el.nn.Linear(64, 1)
    weights = [*table.parameters(), *convolution.parameters(), *head.parameters()]
    optimizer = el.optim.AdamW(weights, lr=1e-3)

    @el.jit
    def step(tokens, target):
        optimizer.zero_grad()
        found = convolution(table(tokens).transpose(1, 2)).amax(2)
        loss = ((head(found).squeeze(1) - target) ** 2).mean()
        loss.backward()
        el.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        return loss

    tokens = np.random.default_rng(0).integers(0, 20002, (1, 64))
    losses = [step(el.asarray(tokens), el.ones(1)).item() for _ in range(2)]
    assert losses[1] < losses[0]
