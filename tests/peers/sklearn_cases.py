"""scikit-learn on tensors, beside itself on the same numpy arrays.

`python -m tests.peers.sklearn_cases` prints one line of JSON: each name with "" or what went wrong.
It is a process of its own, for SciPy reads SCIPY_ARRAY_API when it is imported.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
import warnings
from typing import Any

import numpy as np

import elinvar as el

# name: (module, keywords)
ESTIMATORS = {
    "Binarizer": ("preprocessing", {"threshold": 0.3}),
    "GaussianNB": ("naive_bayes", {}),
    "KernelCenterer": ("preprocessing", {}),
    "LinearDiscriminantAnalysis": ("discriminant_analysis", {}),
    "LogisticRegression": ("linear_model", {}),
    "MaxAbsScaler": ("preprocessing", {}),
    "MinMaxScaler": ("preprocessing", {"feature_range": (-1, 2)}),
    "Normalizer": ("preprocessing", {}),
    "Nystroem": ("kernel_approximation", {"n_components": 5, "random_state": 0}),
    "PCA": ("decomposition", {"n_components": 3, "svd_solver": "full"}),
    "PCA covariance": ("decomposition", {"n_components": 3, "svd_solver": "covariance_eigh"}),
    "PoissonRegressor": ("linear_model", {"alpha": 0.1}),
    "PolynomialFeatures": ("preprocessing", {"degree": 2}),
    "Ridge": ("linear_model", {"solver": "svd"}),
    "RidgeCV": ("linear_model", {}),
    "RidgeClassifier": ("linear_model", {"solver": "svd"}),
    "RidgeClassifierCV": ("linear_model", {}),
    "StandardScaler": ("preprocessing", {}),
    "GaussianMixture": (
        "mixture",
        {"n_components": 2, "covariance_type": "diag", "init_params": "random", "random_state": 0},
    ),
}
METHODS = (
    "transform predict predict_proba predict_log_proba decision_function score_samples".split()
)
METRICS = {
    "classification": """accuracy_score balanced_accuracy_score brier_score_loss confusion_matrix
        f1_score hamming_loss jaccard_score precision_score recall_score zero_one_loss""".split(),
    "regression": """d2_tweedie_score explained_variance_score max_error mean_absolute_error
        mean_absolute_percentage_error mean_squared_error mean_squared_log_error median_absolute_error
        r2_score root_mean_squared_error""".split(),
    "pairwise": """cosine_distances cosine_similarity euclidean_distances laplacian_kernel
        linear_kernel manhattan_distances polynomial_kernel rbf_kernel sigmoid_kernel""".split(),
}
OTHERS = ("train_test_split", "cross_val_score", "GridSearchCV", "Pipeline", "LabelEncoder")
NAMES = (*ESTIMATORS, *(f"metrics.{name}" for names in METRICS.values() for name in names), *OTHERS)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4))
CLASSES = (X[:, 0] + 0.1 * RNG.normal(size=30) > 0).astype(np.int64)
TARGET = X @ np.array([1.0, -2.0, 0.5, 0.0]) + 0.1


# made of singular vectors: columns of either sign are right
FREE = {"LinearDiscriminantAnalysis": ("scalings_", "transform")}


def agree(
    found: Any,
    expected: Any,
    what: str,
    rtol: float = 1e-6,
    signs_are_free: tuple[str, ...] = (),
) -> None:
    if isinstance(expected, np.ndarray):
        assert type(found) is el.Tensor, f"{what} is {type(found).__name__}"
    found, expected = np.asarray(found), np.asarray(expected)
    if what in signs_are_free:
        found = found * np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-8, err_msg=what)


def tensors(*arrays: Any) -> tuple[Any, ...]:
    return tuple(el.asarray(x) for x in arrays)


def estimator(name: str) -> None:
    module, keywords = ESTIMATORS[name]
    kind = getattr(importlib.import_module(f"sklearn.{module}"), name.split()[0])
    x, y = X, CLASSES
    if name in ("Ridge", "RidgeCV"):
        y = TARGET
    elif name == "PoissonRegressor":
        y = np.exp(TARGET / 4)
    elif name == "KernelCenterer":
        x = X @ X.T
    expected, found = kind(**keywords).fit(x, y), kind(**keywords).fit(*tensors(x, y))
    for key, value in vars(expected).items():
        if key.endswith("_") and isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
            agree(getattr(found, key), value, key, 1e-4, FREE.get(name, ()))
    for method in METHODS:
        if hasattr(expected, method):
            given = getattr(found, method)(el.asarray(x))
            agree(given, getattr(expected, method)(x), method, 1e-4, FREE.get(name, ()))
    if hasattr(expected, "inverse_transform"):
        inner = expected.transform(x)
        back = found.inverse_transform(el.asarray(inner))
        agree(back, expected.inverse_transform(inner), "inverse_transform")


def metric(name: str) -> None:
    metrics = importlib.import_module("sklearn.metrics")
    if name in METRICS["pairwise"]:
        function = getattr(importlib.import_module("sklearn.metrics.pairwise"), name)
        given: tuple[Any, ...] = (X, X[:7])
    elif name in METRICS["regression"]:
        function, given = getattr(metrics, name), (np.exp(TARGET), np.exp(TARGET) + abs(X[:, 1]))
    else:
        function, given = getattr(metrics, name), (CLASSES, np.roll(CLASSES, 3))
        if name == "brier_score_loss":
            given = (CLASSES, np.clip(abs(X[:, 1]), 0, 1))
    agree(function(*tensors(*given)), function(*given), name)


def other(name: str) -> None:
    linear = importlib.import_module("sklearn.linear_model")
    selection = importlib.import_module("sklearn.model_selection")
    preprocessing = importlib.import_module("sklearn.preprocessing")
    x, y = tensors(X, TARGET)
    if name == "train_test_split":
        parts = selection.train_test_split(x, y, random_state=0)
        for a, b in zip(parts, selection.train_test_split(X, TARGET, random_state=0), strict=True):
            agree(a, b, name)
    elif name == "cross_val_score":
        model = linear.Ridge(solver="svd")
        agree(selection.cross_val_score(model, x, y).tolist(), list(selection.cross_val_score(model, X, TARGET)), name)
    elif name == "GridSearchCV":
        search = selection.GridSearchCV(linear.Ridge(solver="svd"), {"alpha": [0.1, 1.0, 10.0]})
        assert search.fit(X, TARGET).best_params_ == search.fit(x, y).best_params_
    elif name == "Pipeline":
        pipeline = importlib.import_module("sklearn.pipeline").make_pipeline(
            preprocessing.StandardScaler(), linear.Ridge(solver="svd")
        )
        expected = pipeline.fit(X, TARGET).predict(X)
        agree(pipeline.fit(x, y).predict(x), expected, name)
    else:
        labels = preprocessing.LabelEncoder().fit(el.asarray(CLASSES * 5))
        agree(labels.transform(el.asarray(CLASSES * 5)), CLASSES, name)


def run(name: str) -> str:
    from sklearn import config_context

    try:
        with config_context(array_api_dispatch=True), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if name in ESTIMATORS:
                estimator(name)
            elif name.startswith("metrics."):
                metric(name.removeprefix("metrics."))
            else:
                other(name)
    except Exception:
        return traceback.format_exc()[-1500:]
    return ""


if __name__ == "__main__":
    assert os.environ.get("SCIPY_ARRAY_API") == "1"
    json.dump({name: run(name) for name in NAMES}, sys.stdout)
