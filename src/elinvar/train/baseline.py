"""The honest baseline: gradient-boosted trees on the same data, beside the network."""

from __future__ import annotations

import importlib.util
import io
import pickle
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from elinvar.carbon import track
from elinvar.core.errors import DataError, ValueRangeError, fail
from elinvar.metrics.ranking import auroc
from elinvar.nn.module import Module
from elinvar.nn.summary import readable, table
from elinvar.tensor.tensor import Tensor

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Contender:
    """One side of the comparison.

    Attributes:
        name: what it is.
        score: accuracy for classes, R² for numbers, on the test data.
        seconds, joules: of training; `estimated` says whether the energy is no measurement.
        nbytes: size of the trained model.
        predict_seconds: for all test samples.
        trained_here: whether training was measured.
        auroc: of two classes; None for more classes and for numbers.
    """

    name: str
    score: float
    seconds: float
    joules: float
    estimated: bool
    nbytes: int
    predict_seconds: float
    trained_here: bool = True
    auroc: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Trees and network side by side; prints as a table with a verdict."""

    measure: str
    contenders: tuple[Contender, ...]
    samples: int

    @property
    def verdict(self) -> str:
        """Who wins, in a sentence; of two classes also by AUROC, where most samples are of one."""
        return self._by_score() + self._by_auroc()

    def _by_auroc(self) -> str:
        areas = [(one.auroc, one.name) for one in self.contenders if one.auroc is not None]
        if len(areas) < 2:
            return ""
        (first, name), (second, _) = sorted(areas, reverse=True)[:2]
        return f"; by AUROC {name} is ahead by {first - second:.4f}"

    def _by_score(self) -> str:
        best = max(self.contenders, key=lambda one: one.score)
        others = [one for one in self.contenders if one is not best]
        if not others:
            return f"{best.name}: {self.measure} {best.score:.4f}"
        other = others[0]
        margin = best.score - other.score
        error = np.sqrt(max(best.score * (1 - best.score), 1e-12) / self.samples)
        measured = best.trained_here and other.trained_here
        if self.measure == "accuracy" and margin < 2 * error:
            if not measured:
                return "no difference beyond chance"
            cheap = min(self.contenders, key=lambda one: one.joules)
            return f"no difference beyond chance; {cheap.name} took less energy"
        text = f"{best.name} wins by {margin:.4f} of {self.measure}"
        if not measured:
            return text
        ratio = best.joules / max(other.joules, 1e-9)
        return f"{text}, for {ratio:.2g} times the energy of training"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rows = [asdict(one) for one in self.contenders]
        return {"measure": self.measure, "contenders": rows, "verdict": self.verdict}

    def __str__(self) -> str:
        has_area = any(one.auroc is not None for one in self.contenders)
        head = ["", self.measure, *(["AUROC"] if has_area else [])]
        head += ["training", "energy", "size", "prediction"]
        rows = [
            [
                one.name,
                f"{one.score:.4f}",
                *(["–" if one.auroc is None else f"{one.auroc:.4f}"] if has_area else []),
                f"{one.seconds:.1f} s" if one.trained_here else "–",
                _energy(one) if one.trained_here else "–",
                readable(one.nbytes),
                f"{one.predict_seconds * 1e6 / self.samples:,.1f} µs a sample",
            ]
            for one in self.contenders
        ]
        return f"{table(head, rows, right=len(head) - 1)}\n{self.verdict}"


def _energy(one: Contender) -> str:
    return f"{one.joules:,.0f} J{' (estimated)' if one.estimated else ''}"


def rows_of(pair: Pair) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Inputs as rows of numbers, and targets as one column."""
    x, y = (z.numpy() if isinstance(z, Tensor) else np.asarray(z) for z in pair)
    if len(x) != len(y) or not len(x):
        fail(DataError, "baseline", f"{len(x)} inputs and {len(y)} targets")
    return x.reshape(len(x), -1), y.reshape(len(y), -1)[:, 0]


def trees(
    train: Pair,
    test: Pair,
    *,
    max_iter: int = 100,
    seed: int = 0,
    categorical: Sequence[int] | None = None,
) -> tuple[Contender, str]:
    """Gradient-boosted trees (scikit-learn's, by histograms) fitted on arrays.

    Args:
        train, test: (inputs, targets); images become rows. Integer targets are classes.
        max_iter: rounds of boosting.
        seed: of the fit.
        categorical: columns whose numbers are codes of categories: whole numbers from 0 on, at
            most 255 of them.

    Returns:
        The figures, and which measure the score is.
    """
    if importlib.util.find_spec("sklearn") is None:
        text = "the baseline needs scikit-learn"
        fail(ValueRangeError, "baseline", text, 'pip install "elinvar[data]"')
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x, y = rows_of(train)
    test_x, test_y = rows_of(test)
    is_class = y.dtype.kind in "iub"
    kind = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    columns = None if categorical is None else checked_columns(categorical, x.shape[1])
    model = kind(max_iter=max_iter, random_state=seed, categorical_features=columns)
    with track() as training:
        model.fit(x, y)
    with track() as prediction:
        score = float(model.score(test_x, test_y))
    area = None
    if is_class and list(model.classes_) == [0, 1]:
        area = auroc(model.predict_proba(test_x)[:, 1], test_y == 1)
    buffer = io.BytesIO()
    pickle.dump(model, buffer)  # for its size alone: nothing is ever loaded so
    name = f"boosted trees ({model.n_iter_} rounds)"
    found = Contender(
        name, score, training.seconds, training.joules, training.estimated,
        buffer.tell(), prediction.seconds, auroc=area,
    )  # fmt: skip
    return found, "accuracy" if is_class else "R²"


def checked_columns(categorical: Sequence[int], count: int) -> list[int]:
    """The numbers of columns of categories.

    Raises:
        ValueRangeError: there is no such column.
    """
    for column in categorical:
        if not isinstance(column, int) or not 0 <= column < count:
            text = f"categorical must be columns from 0 to {count - 1}, received {column!r}"
            fail(ValueRangeError, "baseline", text)
    return list(categorical)


def network(
    model: Module,
    fit: Callable[[], Any] | None,
    score: Callable[[], float | tuple[float, float]],
    name: str = "network",
) -> Contender:
    """The figures of a network.

    Args:
        model: whose size is taken.
        fit: trains it; None if it is trained already.
        score: gives its score on the test data; of two classes it may give AUROC, too.
    """
    with track() as training:
        if fit is not None:
            fit()
    with track() as prediction:
        found = score()
    score_found, area = found if isinstance(found, tuple) else (found, None)
    nbytes = sum(p.numpy().nbytes for p in model.state_dict().values())
    return Contender(
        name, score_found, training.seconds, training.joules, training.estimated, nbytes,
        prediction.seconds, fit is not None, area,
    )  # fmt: skip
