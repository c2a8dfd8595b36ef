"""The one meter of energy: measured where the hardware tells, else estimated and called so."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elinvar.carbon import counters as counters_
from elinvar.carbon import words
from elinvar.carbon.codecarbon_meter import CodecarbonMeter, shared, useful
from elinvar.carbon.grid import Intensity, intensity, intensity_or_average
from elinvar.carbon.processor import ProcessorTime, watts_per_core
from elinvar.core.errors import ValueRangeError, fail

RAPL = "counters of the processors (RAPL), of the whole machine"
OFTEN_ENOUGH = 60.0  # seconds: a counter must not begin anew twice between two readings


@dataclass(frozen=True, slots=True)
class Reading:
    """What a piece of work took.

    Attributes:
        joules: the energy.
        seconds: the time that passed.
        grams: CO₂e of the energy.
        estimated: the energy is no measurement.
        source: how the energy was found.
        grid: whence the carbon of a kilowatt-hour is known.
        assumed: nobody said where the machine stands, so the carbon is of an average.
    """

    joules: float
    seconds: float
    grams: float
    estimated: bool
    source: str
    grid: str
    assumed: bool

    def __sub__(self, earlier: Reading) -> Reading:
        """What was taken since an earlier reading of the same meter."""
        return Reading(
            self.joules - earlier.joules,
            self.seconds - earlier.seconds,
            self.grams - earlier.grams,
            self.estimated,
            self.source,
            self.grid,
            self.assumed,
        )

    def __str__(self) -> str:
        return in_words(self.joules, self.grams, self.estimated, self.assumed)


def in_words(joules: float, grams: float, estimated: bool, assumed: bool) -> str:
    """Energy and carbon, and what they are worth.

    Example:
        >>> in_words(4320.0, 0.57, True, False)
        '1.2 Wh, 0.57 g CO₂e (estimated)'
    """
    said = (("estimated", estimated), ("at the world's average", assumed))
    notes = ", ".join(text for text, holds in said if holds)
    tail = f" ({notes})" if notes else ""
    return f"{words.energy(joules)}, {words.carbon(grams)}{tail}"


class Meter:
    """Takes the energy of this process's work, and of its workers.

    In this order: the processors' own counters, if Linux lets us read them (then it is what all
    packages took, by whomever); what codecarbon measures, where it is installed and this is no
    plain Linux machine; else an estimate, `estimated`: the time on cores of this process and its
    child processes, times the watts of a busy core.

    Args:
        place: of `el.carbon.intensity`: where the machine stands.
        watts: of a busy core, for estimates; None for what is known of the processor.
        gpu: count graphics cards, too, as codecarbon measures them. Elinvar computes on
            processors, so what cards take is other work's, unless you say so.
        folder: where Linux shows the counters.

    A reading costs some ten microseconds (with worker processes some hundred); one a second is
    plenty.

    Example:
        >>> import elinvar as el
        >>> meter = el.carbon.Meter(place=56.0).start()
        >>> x = el.ones(100, 100) @ el.ones(100, 100)
        >>> reading = meter.stop()
        >>> reading.joules > 0 and reading.grams == reading.joules / 3.6e6 * 56.0
        True
    """

    def __init__(
        self,
        place: float | str | Intensity | None = None,
        *,
        watts: float | None = None,
        gpu: bool = False,
        folder: Path = counters_.FOLDER,
    ) -> None:
        if watts is not None and not 0 < watts < 1e4:
            text = f"watts of a busy core must be above 0, received {watts}"
            fail(ValueRangeError, "carbon.Meter", text)
        self._intensity = intensity_or_average() if place is None else intensity(place)
        self._watts = (watts, f"{watts:g} W a busy core, as given") if watts else None
        self._gpu, self._folder = gpu, folder
        self._lock = threading.Lock()
        self._time = ProcessorTime()
        self._counters: counters_.Counters | None = None
        self._codecarbon: CodecarbonMeter | None = None
        self._reader: threading.Thread | None = None
        self._end = threading.Event()
        self._running = False
        self._joules = self._grams = self._seconds = 0.0
        self._estimated = False
        self._source = ""
        self._clock = self._core_seconds = 0.0
        self._marks: dict[str, float] = {}
        self._provisional = (0.0, 0.0)  # joules and grams, until codecarbon is set up

    def start(self) -> Meter:
        """Begin, or go on after `stop`."""
        if self._running:
            return self
        with self._lock:
            found = counters_.Counters(self._folder)
            self._counters = found if found else None
            if self._codecarbon is None and useful(self._gpu):
                self._codecarbon = shared()
            if self._watts is None and self._counters is None:
                self._watts = watts_per_core()
            self._marks.clear()
            if self._codecarbon is not None and self._codecarbon.settled:
                self._codecarbon.refresh()
                self._marks["gpu"] = self._codecarbon.gpu_joules
                if self._codecarbon.cpu_joules is not None:
                    self._marks["codecarbon"] = self._codecarbon.cpu_joules
            self._clock, self._core_seconds = time.perf_counter(), self._time.read()
            self._running = True
        if self._counters is not None:
            self._end = threading.Event()
            self._reader = threading.Thread(
                target=self._read_now_and_then, args=(self._end,), name="elinvar-rapl", daemon=True
            )
            self._reader.start()
        return self

    def _read_now_and_then(self, end: threading.Event) -> None:
        while not end.wait(OFTEN_ENOUGH):
            self.read()

    def read(self) -> Reading:
        """All since the first `start`, without the time between `stop` and `start`."""
        with self._lock:
            if self._running:
                self._advance()
            return Reading(
                self._joules,
                self._seconds,
                self._grams,
                self._estimated or self._provisional[0] > 0,
                self._source,
                self._intensity.source,
                self._intensity.assumed,
            )

    def stop(self) -> Reading:
        """Read, and count no further."""
        if self._codecarbon is not None:
            self._codecarbon.refresh()
        found = self.read()
        self._running = False
        self._end.set()
        return found

    @property
    def running(self) -> bool:
        """Whether it counts."""
        return self._running

    @property
    def intensity(self) -> Intensity:
        """The carbon of a kilowatt-hour from now on; what was taken before keeps its own."""
        return self._intensity

    @intensity.setter
    def intensity(self, value: Intensity) -> None:
        with self._lock:
            if self._running:
                self._advance()
            self._intensity = value

    def _advance(self) -> None:
        """Add what was taken since the last time."""
        clock, core_seconds = time.perf_counter(), self._time.read()
        watch = self._codecarbon
        on_cores = core_seconds - self._core_seconds
        measured = None
        joules = self._counters.read() if self._counters else 0.0
        if self._counters:  # they may have gone just now
            measured = self._since("rapl", joules)
            source = RAPL
        elif watch is not None and watch.cpu_joules is not None:
            measured = self._since("codecarbon", watch.cpu_joules)
            source = f"codecarbon ({watch.source})"
            self._joules -= self._provisional[0]  # it measured that time, too
            self._grams -= self._provisional[1]
            self._provisional = (0.0, 0.0)
        if measured is None:
            if self._watts is None:
                self._watts = watts_per_core()
            measured = on_cores * self._watts[0]
            source = f"estimated: seconds on cores, {self._watts[1]}"
            if watch is None or watch.settled:
                self._estimated = True
            else:
                before, grams = self._provisional
                more = self._intensity.grams(measured)
                self._provisional = (before + measured, grams + more)
        if watch is not None and self._gpu:
            measured += self._since("gpu", watch.gpu_joules)
        self._joules += measured
        self._grams += self._intensity.grams(measured)
        self._seconds += clock - self._clock
        self._source = source
        self._clock, self._core_seconds = clock, core_seconds

    def _since(self, name: str, value: float) -> float:
        before = self._marks.get(name, 0.0)
        self._marks[name] = value
        return max(value - before, 0.0)


class Track:
    """What `track` gives: figures of the work so far; after the block, of all of it."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    @property
    def reading(self) -> Reading:
        """All figures, with their sources."""
        return self._meter.read()

    @property
    def joules(self) -> float:
        """The energy."""
        return self.reading.joules

    @property
    def seconds(self) -> float:
        """The time that passed."""
        return self.reading.seconds

    @property
    def grams(self) -> float:
        """CO₂e."""
        return self.reading.grams

    @property
    def estimated(self) -> bool:
        """Whether the energy is no measurement."""
        return self.reading.estimated

    def __str__(self) -> str:
        return str(self.reading)


@contextmanager
def track(
    place: float | str | Intensity | None = None, *, watts: float | None = None, gpu: bool = False
) -> Iterator[Track]:
    """Within, energy and carbon of the work are taken.

    Args:
        place, watts, gpu: see `Meter`.

    Example:
        >>> import elinvar as el
        >>> with el.carbon.track(place=56.0) as energy:
        ...     x = el.ones(100, 100) @ el.ones(100, 100)
        >>> energy.joules > 0 and energy.grams > 0
        True
    """
    meter = Meter(place, watts=watts, gpu=gpu).start()
    try:
        yield Track(meter)
    finally:
        meter.stop()
