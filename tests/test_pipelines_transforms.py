"""Augmentations: the same for a sample as for a batch, seeded, and what they say they do."""

from typing import Any

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError
from elinvar.data import transforms as T
from elinvar.data.counters import Draws

LAYOUTS = {"first": (20, 3, 12, 10), "last": (20, 12, 10, 3)}


def images(layout: str, dtype: Any = np.uint8) -> np.ndarray:
    found = np.random.default_rng(0).integers(0, 256, LAYOUTS[layout]).astype(np.uint8)
    return found if dtype == np.uint8 else (found / 255).astype(dtype)


ALL = [
    T.Flip(), T.Flip(0.3, vertical=True), T.Crop(padding=2), T.Crop(6), T.Crop((5, 7), 1, "reflect"), T.Cutout(4), T.Cutout(3, 9, 0.5),
    T.Brightness(0.4), T.Contrast(0.4), T.Normalise([0.1, 0.2, 0.3], 0.5),
]  # fmt: skip


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_samples_batches_and_layouts_agree(transform: Any, layout: str, dtype: Any) -> None:
    data, labels = images(layout, dtype), np.arange(20)
    base = el.data.from_arrays(data, labels).shuffle(1)
    whole = [x.numpy() for x, _ in base.batch(7).augment(transform, seed=3)]
    single = [x.numpy() for x, _ in base.augment(transform, seed=3).batch(7)]
    other = [x.numpy() for x, _ in base.batch(4).augment(transform, seed=3).workers(1)]
    assert all(np.array_equal(a, b) for a, b in zip(whole, single))
    assert np.array_equal(np.concatenate(whole), np.concatenate(other))
    assert whole[0].dtype == (np.float32 if isinstance(transform, T.Normalise) else dtype)
    if layout == "first":
        turned = el.data.from_arrays(np.moveaxis(data, 1, -1), labels).shuffle(1).batch(7).augment(transform, seed=3)
        assert all(np.array_equal(np.moveaxis(a, 1, -1), b[0].numpy()) for a, b in zip(whole, turned))
    if not isinstance(transform, T.Normalise):
        again = [x.numpy() for x, _ in base.batch(7).augment(transform, seed=4)]
        assert not np.array_equal(whole[0], again[0])


def draws(count: int = 1000, seed: int = 0) -> Draws:
    return Draws(seed, np.arange(count), 0)


def test_flips() -> None:
    data = np.arange(1000 * 2 * 3, dtype=np.float32).reshape(1000, 1, 2, 3)
    found = T.Flip(channels_last=False)(data, draws())
    flipped = (found == data[..., ::-1]).all((1, 2, 3))
    assert ((found == data).all((1, 2, 3)) ^ flipped).all() and 420 < flipped.sum() < 580
    assert np.array_equal(T.Flip(1.0, vertical=True, channels_last=False)(data, draws()), data[:, :, ::-1])
    assert np.array_equal(T.Flip(0.0, channels_last=False)(data, draws()), data)


def test_crops_reach_every_place() -> None:
    data = np.broadcast_to(np.arange(1.0, 26).reshape(5, 5), (1000, 1, 5, 5))
    found = T.Crop(3)(data, draws())
    assert {int(x) for x in found[:, 0, 0, 0]} == {1, 2, 3, 6, 7, 8, 11, 12, 13}
    assert (found[:, 0, 1, 1] - found[:, 0, 0, 0] == 6).all()
    padded = T.Crop(padding=1)(data, draws())
    assert padded.shape == data.shape and (padded == 0).any() and 25 in padded[:, 0, 4, 4]


def test_cutout_and_light() -> None:
    data = np.full((1000, 1, 8, 8), 200, np.uint8)
    found = T.Cutout(3)(data, draws())
    holes = (found == 0).sum((1, 2, 3))
    assert holes.max() == 9 and holes.min() >= 4
    bright = T.Brightness(0.5)(data, draws())
    assert bright.dtype == np.uint8 and bright.min() >= 100 and bright.max() == 255
    assert np.array_equal(T.Contrast(0.5)(data, draws()), data)  # an even image has no contrast


def test_windows() -> None:
    data = np.broadcast_to(np.arange(10), (500, 10))
    found = T.Window(4)(data, draws(500))
    assert (found - found[:, :1] == np.arange(4)).all() and set(found[:, 0]) == set(range(7))
    tokens = el.data.from_arrays(data.copy()).batch(5).augment(T.Window(4))
    assert next(iter(tokens)).shape == (5, 4)


@pytest.mark.parametrize("mixing", [T.Mixup(4), T.CutMix(4), T.Mixup(4, alpha=2.0)], ids=["mixup", "cutmix", "mixup2"])
def test_mixing_targets(mixing: Any) -> None:
    labels = np.arange(400) % 4
    data = np.broadcast_to(labels[:, None, None, None], (400, 1, 8, 8)).astype(np.float32)
    pipeline = el.data.from_arrays(data, labels).batch(100).augment(mixing, seed=1)
    for x, y in pipeline:
        assert y.shape == (100, 4) and y.dtype == el.float32
        assert np.allclose(y.numpy().sum(1), 1, atol=1e-6)
        assert np.allclose(x.numpy().mean((1, 2, 3)), y.numpy() @ np.arange(4), atol=1e-4)
    named = el.data.from_arrays({"image": data, "label": labels}).batch(100).augment(mixing, seed=1)
    assert next(iter(named))["label"].shape == (100, 4)


def test_shares_are_of_a_beta_distribution() -> None:
    for alpha in (0.2, 1.0, 3.0):
        shares = T.Mixup(2, alpha)._shares(draws(20_000))
        assert abs(shares.mean() - 0.5) < 0.02 and abs(shares.var() - 1 / (4 * (2 * alpha + 1))) < 0.01


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: T.Flip(2), ValueRangeError, "probability must be in 0 … 1, not 2"),
        (lambda: T.Crop(padding=-1), ValueRangeError, "padding must be 0 or more"),
        (lambda: T.Crop(50)(images("first"), draws(20)), ShapeError, "a window of 50 × 50 does not fit into 12 × 10"),
        (lambda: T.Flip()(np.ones((2, 3, 5, 3)), draws(2)), ShapeError, "does not say where channels stand"),
        (lambda: T.Flip()(np.ones((2, 3)), draws(2)), ShapeError, r"three axes each, received shape \[3\]"),
        (lambda: T.Normalise(0, 0), ValueRangeError, "std must be above 0"),
        (lambda: T.Normalise([1, 2], 1)(images("first"), draws(20)), ShapeError, "2 values for 3 channels"),
        (lambda: T.Window(11)(np.ones((2, 10)), draws(2)), ShapeError, "a window of 11 does not fit into length 10"),
        (lambda: T.Mixup(3, alpha=0), ValueRangeError, "alpha must be above 0"),
        (lambda: T.Mixup(3).mix(np.ones(3), None, draws(3)), DTypeError, "no target to mix"),
        (lambda: el.data.from_arrays(images("first")).augment(T.Mixup(2)), ValueRangeError, "Mixup mixes the samples of a batch"),
        (lambda: el.data.from_arrays(images("first")).augment("flip"), DTypeError, "expected transforms, received str"),
    ],
)  # fmt: skip
def test_refusals(make: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        make()


def test_draws_do_not_depend_on_neighbours() -> None:
    together = Draws(5, np.arange(10), np.arange(10) % 3)
    alone = [Draws(5, [i], i % 3) for i in range(10)]
    for _ in range(3):
        assert together.uniform().tolist() == [float(one.uniform()[0]) for one in alone]
    assert Draws(5, [1], 0, stage=1).uniform() != Draws(5, [1], 0, stage=2).uniform()
    assert Draws(2**40 + 5, [1], 0).uniform() != Draws(5, [1], 0).uniform()
