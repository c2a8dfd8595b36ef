"""The account of a training run: energy and carbon in all, by epoch, by thousand predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from elinvar.carbon.grid import Intensity
from elinvar.carbon.meter import Meter, Reading, in_words
from elinvar.core.errors import DataError, fail

INTERVAL = 1.0  # seconds between two readings for the eye
_CARRIED = ("joules", "seconds", "grams")


class Account:
    """Energy and carbon of a run, also of one that was stopped and goes on.

    Args:
        meter: what to read; by default one of its own.

    Example:
        >>> account = Account()
        >>> account.start()
        >>> account.begin_epoch()
        >>> sorted(account.epoch())
        ['energy_joules', 'grams_co2e']
        >>> account.stop()
        >>> account.total.joules > 0
        True
    """

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter
        self._before = dict.fromkeys(_CARRIED, 0.0)
        self._before_estimated = False
        self._before_assumed = False
        self._epoch: Reading | None = None
        self._predicted = [0.0, 0.0, 0.0, 0.0]  # joules, grams, seconds, samples
        self._first_predicted: list[float] | None = None  # may have compiled: a stopgap
        self._shown, self._shown_at = "", 0.0
        self._notes: dict[str, Any] = {}

    @property
    def meter(self) -> Meter:
        """The meter; it is made when it is needed first."""
        if self._meter is None:
            self._meter = Meter()
        return self._meter

    def start(self) -> None:
        """Count from now on."""
        self.meter.start()

    def stop(self) -> None:
        """Count no further."""
        self.meter.stop()

    def begin_epoch(self) -> None:
        """An epoch begins here."""
        self._epoch = self.meter.read()

    def epoch(self) -> dict[str, float]:
        """The figures of the epoch so far, for `trainer.logs`."""
        now = self.meter.read()
        since = now if self._epoch is None else now - self._epoch
        # A measurement that takes the place of a first estimate may be less than that was.
        return {"energy_joules": max(since.joules, 0.0), "grams_co2e": max(since.grams, 0.0)}

    @property
    def total(self) -> Reading:
        """Of the whole run, also before it was stopped."""
        now = self.meter.read()
        return Reading(
            now.joules + self._before["joules"],
            now.seconds + self._before["seconds"],
            now.grams + self._before["grams"],
            now.estimated or self._before_estimated,
            now.source,
            now.grid,
            now.assumed or self._before_assumed,
        )

    def running(self) -> str:
        """The figures so far in words, for a progress bar; read anew once a second."""
        now = time.monotonic()
        if not self._shown or now - self._shown_at > INTERVAL:
            self._shown, self._shown_at = str(self.total), now
        return self._shown

    def use(self, intensity: Intensity) -> None:
        """What a kilowatt-hour costs from now on, such as a forecast for this hour."""
        self.meter.intensity = intensity

    # ---- predictions ---------------------------------------------------------------------------

    @contextmanager
    def predicting(self) -> Iterator[Callable[[int], None]]:
        """Within, predictions are made; call what it gives with the number of samples of each
        batch. Works outside of `start` and `stop`, too."""
        counted = 0

        def count(samples: int) -> None:
            nonlocal counted
            counted += samples

        meter = self.meter
        meter_ran = meter.running
        before = meter.start().read()
        try:
            yield count
        finally:
            took = (meter.read() if meter_ran else meter.stop()) - before
            if counted:
                figures = [took.joules, took.grams, took.seconds, float(counted)]
                if self._first_predicted is None and not self._predicted[3]:
                    self._first_predicted = figures
                else:
                    self._predicted = [a + b for a, b in zip(self._predicted, figures, strict=True)]

    @property
    def per_thousand(self) -> Predictions | None:
        """The figures of a thousand predictions, of all that were made; None before any.

        Looks at validation data count as predictions. The first time may have compiled, so it
        counts only as long as it is the only one."""
        found = self._predicted if self._predicted[3] else self._first_predicted
        if found is None:
            return None
        joules, grams, seconds, samples = found
        now, share = self.meter.read(), 1000.0 / samples
        return Predictions(
            joules * share,
            grams * share,
            seconds * share,
            int(samples),
            now.estimated,
            now.source,
            now.grid,
            now.assumed,
        )

    # ---- state ---------------------------------------------------------------------------------

    def note(self, name: str, value: Any) -> None:
        """Keep something that belongs to the account, such as what waiting has saved."""
        self._notes[name] = value

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a manifest or JSON."""
        total, thousand = self.total, self.per_thousand
        found: dict[str, Any] = {
            "energy_joules": total.joules,
            "seconds": total.seconds,
            "grams_co2e": total.grams,
            "estimated": total.estimated,
            "source": total.source,
            "grid": total.grid,
            "grid_assumed": total.assumed,
        }
        if thousand is not None:
            found["joules_per_thousand_predictions"] = thousand.joules
            found["grams_co2e_per_thousand_predictions"] = thousand.grams
        return {**found, **self._notes}

    def summary(self) -> str:
        """A line for the end of a run.

        Example: `this run: 1.2 Wh, 0.57 g CO₂e (estimated); 1,000 predictions: 2.1 mg CO₂e`
        """
        thousand = self.per_thousand
        tail = "" if thousand is None else f"; 1,000 predictions: {thousand.short}"
        return f"this run: {self.total}{tail}"

    def state_dict(self) -> dict[str, Any]:
        """What was taken so far, for a run that goes on later."""
        total = self.total
        return {
            **{name: getattr(total, name) for name in _CARRIED},
            "estimated": total.estimated,
            "assumed": total.assumed,
            "predicted": list(self._predicted),
            "first_predicted": self._first_predicted,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave: what this process took so far counts on top of it
        only from now on."""
        now = self.meter.read()
        for name in _CARRIED:
            self._before[name] = float(state_dict[name]) - getattr(now, name)
        self._before_estimated = bool(state_dict["estimated"])
        self._before_assumed = bool(state_dict["assumed"])
        self._predicted = [float(value) for value in state_dict["predicted"]]
        first = state_dict.get("first_predicted")
        self._first_predicted = None if first is None else [float(value) for value in first]


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a thousand predictions take.

    Attributes:
        joules, grams, seconds: of a thousand.
        samples: how many were measured.
        estimated, source, grid, assumed: see `Reading`.
    """

    joules: float
    grams: float
    seconds: float
    samples: int
    estimated: bool
    source: str
    grid: str
    assumed: bool

    @property
    def short(self) -> str:
        """Energy and carbon, without what they are worth."""
        return in_words(self.joules, self.grams, False, False)

    def __str__(self) -> str:
        text = in_words(self.joules, self.grams, self.estimated, self.assumed)
        return f"1,000 predictions: {text}"


def per_thousand(
    predict: Callable[[Any], Any],
    batch: Any,
    *,
    samples: int | None = None,
    seconds: float = 1.0,
    place: float | str | Intensity | None = None,
) -> Predictions:
    """Energy and carbon of a thousand predictions.

    Args:
        predict: a model, `trainer.predict`, or another function of a batch.
        batch: inputs; of a tuple or dict the first has the number of samples.
        samples: in a batch, where it cannot be seen.
        seconds: how long to predict; the first call, which may compile, does not count.
        place: see `Meter`.

    Raises:
        DataError: there is no sample in the batch, or their number cannot be seen.

    Example:
        >>> import elinvar as el
        >>> model = el.nn.Linear(4, 2)
        >>> found = el.carbon.per_thousand(model, el.ones(8, 4), seconds=0.01, place=56.0)
        >>> found.grams > 0 and found.samples >= 8
        True
    """
    count = _samples(batch) if samples is None else samples
    if count < 1:
        fail(DataError, "carbon.per_thousand", "the batch has no sample")
    predict(batch)
    account = Account(Meter(place))
    account._first_predicted = [0.0] * 4  # the call above was the one that compiled
    with account.predicting() as told:
        end = time.perf_counter() + seconds
        while True:
            predict(batch)
            told(count)
            if time.perf_counter() >= end:
                break
    found = account.per_thousand
    assert found is not None
    return found


def _samples(batch: Any) -> int:
    """The length of the first array in a batch."""
    while isinstance(batch, Mapping | tuple | list) and not hasattr(batch, "shape"):
        if not batch:
            return 0
        inner = next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0]
        if not hasattr(inner, "shape") and not isinstance(inner, Mapping | Sequence):
            return len(batch)  # a list of numbers
        batch = inner
    shape = getattr(batch, "shape", None)
    if not shape:
        text = f"the number of samples cannot be seen in {type(batch).__name__}"
        fail(DataError, "carbon.per_thousand", text, "pass samples=…")
    return int(shape[0])
