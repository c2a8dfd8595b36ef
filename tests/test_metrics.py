"""Metrics against scikit-learn, in pieces of any size, in eager and in compiled code."""

import math

import numpy as np
import pytest
import sklearn.metrics as truth
from hypothesis import given, settings
from hypothesis import strategies as st

import elinvar as el
from elinvar import metrics


def in_pieces(metric, output, target, sizes, compiled):
    """The figure of arrays that come in batches of these sizes."""
    update = el.jit(lambda x, y: metric.update(x, y)) if compiled and metric.compiled else metric.update
    start = 0
    for size in [*sizes, len(target)]:
        if start < len(target):
            update(el.asarray(output[start : start + size]), el.asarray(target[start : start + size]))
        start += size
    return metric.compute()


def many(seed: int, count: int, kinds: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = np.round(random.standard_normal((count, kinds)), 1).astype(np.float32)  # with ties
    return scores, random.integers(0, kinds, count)


MANY = {
    "accuracy": (metrics.Accuracy, lambda s, y: truth.accuracy_score(y, s.argmax(1))),
    "top_k": (lambda: metrics.TopKAccuracy(2), None),
    "f1 macro": (metrics.F1, lambda s, y: truth.f1_score(y, s.argmax(1), average="macro", zero_division=0)),
    "f1 weighted": (lambda: metrics.F1("weighted"), lambda s, y: truth.f1_score(y, s.argmax(1), average="weighted", zero_division=0)),
    "f1 micro": (lambda: metrics.F1("micro"), lambda s, y: truth.f1_score(y, s.argmax(1), average="micro")),
    "precision": (metrics.Precision, lambda s, y: truth.precision_score(y, s.argmax(1), average="macro", zero_division=0)),
    "recall": (metrics.Recall, lambda s, y: truth.recall_score(y, s.argmax(1), average="macro", zero_division=0)),
    "confusion": (metrics.ConfusionMatrix, lambda s, y: truth.confusion_matrix(y, s.argmax(1), labels=range(s.shape[1]))),
    "perplexity": (metrics.Perplexity, lambda s, y: math.exp(truth.log_loss(y, np.exp(s.astype(float)) / np.exp(s.astype(float)).sum(1, keepdims=True), labels=range(s.shape[1])))),
    "auroc": (metrics.AUROC, None),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", MANY)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 40), sizes=st.lists(st.integers(1, 9), max_size=5))
def test_many_classes(name, compiled, seed, count, sizes) -> None:
    make, expected = MANY[name]
    scores, target = many(seed, count, 4)
    found = in_pieces(make(), scores, target, sizes, compiled)
    if name == "top_k":
        ranks = np.argsort(-scores, axis=1, kind="stable")[:, :2]
        wanted = (ranks == target[:, None]).any(1).mean()
    elif name == "auroc":
        if len(set(target)) < 4:
            assert math.isnan(found)
            return
        wanted = np.mean([truth.roc_auc_score(target == k, scores[:, k]) for k in range(4)])
    else:
        wanted = expected(scores, target)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


TWO = {
    "accuracy": (metrics.Accuracy, lambda s, y: truth.accuracy_score(y, s > 0)),
    "f1": (lambda: metrics.F1("binary"), lambda s, y: truth.f1_score(y, s > 0, zero_division=0)),
    "auroc": (metrics.AUROC, lambda s, y: truth.roc_auc_score(y, s)),
    "average_precision": (metrics.AveragePrecision, lambda s, y: truth.average_precision_score(y, s)),
}


@pytest.mark.parametrize("name", TWO)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 40), sizes=st.lists(st.integers(1, 9), max_size=5), column=st.booleans())
def test_two_classes(name, seed, count, sizes, column) -> None:
    make, expected = TWO[name]
    scores, target = many(seed, count, 2)
    target[0], target[1] = 0, 1
    scores = scores[:, :1] if column else scores[:, 0]
    found = in_pieces(make(), scores, target, sizes, False)
    np.testing.assert_allclose(found, expected(scores.reshape(-1), target), rtol=1e-9)


NUMBERS = {
    "mse": (metrics.MSE, truth.mean_squared_error),
    "rmse": (metrics.RMSE, truth.root_mean_squared_error),
    "mae": (metrics.MAE, truth.mean_absolute_error),
    "r2": (metrics.R2, truth.r2_score),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", NUMBERS)
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(2, 40),
    sizes=st.lists(st.integers(1, 9), max_size=5),
    columns=st.sampled_from([None, 1, 3]),
    shift=st.sampled_from([0.0, 1e4]),
)
def test_numbers(name, compiled, seed, count, sizes, columns, shift) -> None:
    make, expected = NUMBERS[name]
    random = np.random.default_rng(seed)
    shape = (count,) if columns is None else (count, columns)
    target = (random.standard_normal(shape) + shift).astype(np.float32)
    output = target + random.standard_normal(shape).astype(np.float32)
    found = in_pieces(make(), output, target, sizes, compiled)
    wanted = expected(target.astype(float), output.astype(float))
    if columns and name == "rmse":
        wanted = math.sqrt(truth.mean_squared_error(target.astype(float), output.astype(float)))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_places_of_a_sequence_and_ignored_ones() -> None:
    random = np.random.default_rng(0)
    scores = random.standard_normal((3, 5, 7)).astype(np.float32)  # (N, K, T)
    target = random.integers(0, 5, (3, 7))
    target[1, 2:] = -100
    counted = target != -100
    right = (scores.argmax(1) == target)[counted].mean()
    assert metrics.Accuracy(ignore_index=-100)(el.asarray(scores), el.asarray(target)) == right
    loss = el.nn.functional.cross_entropy(el.asarray(scores), el.asarray(target))
    found = metrics.Perplexity()(el.asarray(scores), el.asarray(target))
    assert math.isclose(found, math.exp(loss.item()), rel_tol=1e-6)


def test_state_goes_on() -> None:
    scores, target = many(1, 30, 4)
    for make in (*(pair[0] for pair in MANY.values()), metrics.R2):
        output, wanted = (scores, target) if make is not metrics.R2 else (scores[:, 0], scores[:, 1])
        whole, first, second = make(), make(), make()
        for piece in (slice(0, 11), slice(11, 30)):
            whole.update(el.asarray(output[piece]), el.asarray(wanted[piece]))
        first.update(el.asarray(output[:11]), el.asarray(wanted[:11]))
        second.load_state_dict(first.state_dict())
        second.update(el.asarray(output[11:]), el.asarray(wanted[11:]))
        np.testing.assert_array_equal(second.compute(), whole.compute())


def test_nothing_gives_nan_not_an_error() -> None:
    for kind in (metrics.Accuracy, metrics.F1, metrics.AUROC, metrics.MSE, metrics.R2, metrics.Perplexity):
        assert math.isnan(kind().compute())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: metrics.Accuracy()(el.zeros((4, 3)), el.zeros(5, dtype=el.int64)), "does not fit target"),
        (lambda: metrics.Accuracy()(el.zeros(4), el.zeros(4)), "take mse, mae or r2"),
        (lambda: metrics.MSE()(el.zeros((4, 3)), el.zeros(4)), "have different shapes"),
        (lambda: metrics.F1("makro"), "'macro'"),
        (lambda: metrics.TopKAccuracy(0), "k must be 1 or more"),
        (lambda: metrics.get("f2"), "did you mean 'f1'"),
        (lambda: metrics.F1("binary")(el.zeros((4, 3)), el.zeros(4, dtype=el.int64)), "needs two classes, there are 3"),
    ],
)
def test_bad_input(call, text) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert text in str(caught.value)
