"""What a kilowatt-hour will cost in carbon, hour by hour."""

from __future__ import annotations

import bisect
import csv
import itertools
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from elinvar.carbon.asking import Patience, discreet
from elinvar.carbon.grid import GREATEST, POUNDS_A_MWH
from elinvar.carbon.providers import ELECTRICITY_MAPS, WATTTIME, ElectricityMaps, WattTime
from elinvar.carbon.times import HOUR, parsed, zone_named
from elinvar.core.errors import DataError, ValueRangeError, fail

MOST_POINTS = 1_000_000  # nine years of five minutes each
OLDEST = 6 * HOUR  # a forecast that ended before: its provider stands still
UNITS = {"g/kWh": 1.0, "kg/MWh": 1.0, "lb/MWh": POUNDS_A_MWH}
TIMES = ("time", "datetime", "timestamp", "point_time", "date", "from", "start")
VALUES = ("intensity", "carbon", "moer", "gco2", "co2", "value", "grams")


@dataclass(frozen=True, slots=True)
class Forecast:
    """Grams of CO₂e a kilowatt-hour, constant between two moments; there may be gaps.

    Made by `from_csv`, `from_watttime`, `from_electricity_maps` or `of`.

    Attributes:
        starts, ends: of each piece, seconds since 1970 (UTC), in order.
        grams: of each piece, for a kilowatt-hour.
        source: whence it is.
        made_at: when it was made, where its source says so.

    Example:
        >>> forecast = Forecast.of([(0.0, 100.0), (3600.0, 50.0)])
        >>> forecast.at(5000.0), forecast.at(7300.0), forecast.mean
        (50.0, None, 75.0)
    """

    starts: tuple[float, ...]
    ends: tuple[float, ...]
    grams: tuple[float, ...]
    source: str = "given"
    made_at: float | None = None
    again: Callable[[], Forecast] | None = field(default=None, repr=False, compare=False)

    @staticmethod
    def of(
        points: Iterable[tuple[float, float | None]],
        *,
        step: float | None = None,
        source: str = "given",
        made_at: float | None = None,
    ) -> Forecast:
        """A forecast of (moment, grams a kilowatt-hour), in any order.

        Each value holds until the next moment, but for no longer than a step; what is longer is a
        gap. So are values that are NaN or None.

        Args:
            points: moments as seconds since 1970.
            step: seconds; by default the median distance of the moments, an hour of a single one.

        Raises:
            DataError: there is no value, one lies outside of 0 … 5000 g/kWh, or a moment comes
                twice.
        """
        held = sorted(points, key=lambda point: point[0])
        if len(held) > MOST_POINTS:
            fail(DataError, "Forecast", f"more than {MOST_POINTS:,} points")
        moments = [moment for moment, _ in held]
        for one, two in itertools.pairwise(moments):
            if one == two:
                text = f"the moment {one:.0f} (seconds since 1970) comes twice"
                fail(DataError, "Forecast", text, "are these times of a zone with summer time?")
        distances = [b - a for a, b in itertools.pairwise(moments)]
        if step is None:
            step = sorted(distances)[len(distances) // 2] if distances else HOUR
        if not held:
            fail(DataError, "Forecast", "there is no value in it")
        pieces = []
        for (start, value), distance in zip(held, [*distances, step], strict=True):
            if value is None or math.isnan(value):
                continue
            if not 0 <= value <= GREATEST:
                text = f"{value:g} g CO₂e/kWh at {start:.0f} is no intensity of a grid"
                fail(DataError, "Forecast", text, "is it in another unit?")
            pieces.append((start, start + min(distance, step), float(value)))
        if not pieces:
            fail(DataError, "Forecast", "there is no value in it")
        starts, ends, grams = zip(*pieces, strict=True)
        return Forecast(starts, ends, grams, source, made_at)

    @staticmethod
    def from_csv(
        path: str | os.PathLike[str],
        *,
        time: str | None = None,
        intensity: str | None = None,
        units: str = "g/kWh",
        timezone: str | None = None,
    ) -> Forecast:
        """A forecast (or a record) from a CSV file with a head.

        Args:
            path: the file.
            time: the column of times in ISO 8601, or seconds since 1970; by default the first
                whose name begins like a time's.
            intensity: the column of numbers; by default the first whose name says so. Empty cells
                and `nan` are gaps.
            units: `g/kWh`, `kg/MWh` or `lb/MWh`.
            timezone: of times without an offset, such as `Europe/Paris`. The hour that comes twice
                in autumn is read in the order of the file.

        Raises:
            DataError: the file is not of this kind; the text names the line.

        Example:
            >>> import pathlib, tempfile
            >>> file = pathlib.Path(tempfile.mkdtemp()) / "grid.csv"
            >>> lines = "time,intensity", "2026-11-29T08:00Z,200", "2026-11-29T09:00Z,90"
            >>> _ = file.write_text("\\n".join(lines))
            >>> Forecast.from_csv(file).grams
            (200.0, 90.0)
        """
        if units not in UNITS:
            text = f"units must be one of {', '.join(map(repr, UNITS))}, received {units!r}"
            fail(ValueRangeError, "Forecast", text)
        zone = None if timezone is None else zone_named(timezone, "Forecast")
        name = os.fspath(path)
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                points = _points(csv.reader(file), name, (time, intensity), UNITS[units], zone)
        except (UnicodeDecodeError, csv.Error) as error:
            fail(DataError, "Forecast", f"{name!r} is no CSV file in UTF-8: {error}")
        found = Forecast.of(points, source=Path(name).name)
        return replace(
            found,
            again=lambda: Forecast.from_csv(
                path, time=time, intensity=intensity, units=units, timezone=timezone
            ),
        )

    @staticmethod
    def from_watttime(
        region: str,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        hours: int = 24,
        signal: str = "co2_moer",
        url: str = WATTTIME,
        patience: Patience | None = None,
    ) -> Forecast:
        """WattTime's forecast for a region: `/v3/forecast`, pounds a megawatt-hour.

        Args:
            region: such as `CAISO_NORTH`.
            username, password: of an account. A token is had for them (`/login`), and had anew
                when it has expired.
            token: in their place.
            hours: ahead, 1 … 72.
            signal: its type.
            url: of the server.
            patience: how often and how long it is asked.

        Raises:
            RemoteError: the server does not answer, or refuses.
            DataError: its answer is not a forecast, or its clock is not ours.
        """
        asked = patience or Patience()
        with discreet():
            found = WattTime(region, username, password, token, hours, signal, url, asked)
        return _asked(found)

    @staticmethod
    def from_electricity_maps(
        zone: str,
        *,
        token: str,
        hours: int = 24,
        url: str = ELECTRICITY_MAPS,
        patience: Patience | None = None,
    ) -> Forecast:
        """Electricity Maps' forecast for a zone: `/v3/carbon-intensity/forecast`, g CO₂e/kWh.

        Args:
            zone: such as `FR` or `US-CAL-CISO`.
            token: of an account whose plan has forecasts.
            hours: ahead: 6, 24, 48 or 72.
            url: of the server.
            patience: how often and how long it is asked.

        Raises:
            RemoteError: the server does not answer, or refuses.
            DataError: its answer is not a forecast, or its clock is not ours.
        """
        with discreet():
            found = ElectricityMaps(zone, token, hours, url, patience or Patience())
        return _asked(found)

    @property
    def start(self) -> float:
        """The first moment."""
        return self.starts[0]

    @property
    def end(self) -> float:
        """The moment after the last piece."""
        return self.ends[-1]

    @property
    def mean(self) -> float:
        """Over all time that it knows."""
        spans = np.asarray(self.ends) - np.asarray(self.starts)
        return float(np.dot(spans, self.grams) / spans.sum())

    def at(self, moment: float) -> float | None:
        """The value at a moment; None in a gap and outside."""
        place = bisect.bisect_right(self.starts, moment) - 1
        return self.grams[place] if place >= 0 and moment < self.ends[place] else None

    def averages(self, edges: Any, unknown: float) -> npt.NDArray[np.float64]:
        """The means between moments (an array) that follow each other; see `average`."""
        moments = np.asarray(edges, dtype=np.float64)
        first = max(bisect.bisect_right(self.starts, moments[0]) - 1, 0)
        last = bisect.bisect_left(self.starts, moments[-1])
        starts, ends, grams = self.starts[first:last], self.ends[first:last], self.grams[first:last]
        bounds = np.empty(2 * len(starts) + 2)
        bounds[0], bounds[-1] = moments[0], moments[-1]
        bounds[1:-1:2], bounds[2:-1:2] = starts, ends
        np.clip(bounds, moments[0], moments[-1], out=bounds)
        slopes = np.full(len(bounds) - 1, unknown)  # of the gaps, and between them of the pieces
        slopes[1::2] = grams
        sums = np.concatenate(([0.0], np.cumsum(np.diff(bounds) * slopes)))
        found: npt.NDArray[np.float64] = np.diff(np.interp(moments, bounds, sums))
        return found / np.diff(moments)

    def average(self, start: float, end: float, unknown: float | None = None) -> float:
        """The mean between two moments; what is not known counts as `unknown`, or as the mean."""
        unknown = self.mean if unknown is None else unknown
        if end <= start:
            found = self.at(start)
            return unknown if found is None else found
        return float(self.averages((start, end), unknown)[0])

    def renewed(self) -> Forecast:
        """Asked for anew, where it was read from a file or a server; else itself."""
        return self if self.again is None else self.again()

    def followed_by(self, newer: Forecast) -> Forecast:
        """The newer one, and before its beginning what this one said."""
        kept = [
            (start, min(end, newer.start), grams)
            for start, end, grams in zip(self.starts, self.ends, self.grams, strict=True)
            if start < newer.start
        ]
        starts, ends, values = zip(*kept, strict=True) if kept else ((), (), ())
        return replace(
            newer,
            starts=(*starts, *newer.starts),
            ends=(*ends, *newer.ends),
            grams=(*values, *newer.grams),
        )


def _asked(provider: WattTime | ElectricityMaps) -> Forecast:
    """A provider's newest forecast, which can be asked for anew."""
    with discreet():
        points, step, source, made_at = provider.ask()
        found = Forecast.of(points, step=step, source=source, made_at=made_at)
    ago = provider.patience.clock() - found.end
    if ago > OLDEST:
        text = f"the newest forecast ended {ago / HOUR:.0f} hours ago"
        hint = "the provider stands still, or this machine's clock is wrong"
        fail(DataError, "Forecast", text, hint)
    return replace(found, again=lambda: _asked(provider))


def _column(head: Sequence[str], wish: str | None, known: Sequence[str], file: str) -> int:
    names = [name.strip() for name in head]
    if wish is not None:
        if wish in names:
            return names.index(wish)
    else:
        for number, name in enumerate(names):
            plain = name.lower().replace(" ", "_")
            is_time = known is TIMES
            if plain.startswith(tuple(known)) or (not is_time and any(k in plain for k in known)):
                return number
    what = repr(wish) if wish else f"of {'times' if known is TIMES else 'intensities'}"
    text = f"{file!r} has no column {what}; its columns are {', '.join(names)[:200]}"
    fail(DataError, "Forecast", text, "pass time='…' and intensity='…'")


def _points(
    rows: Iterable[list[str]],
    file: str,
    wishes: tuple[str | None, str | None],
    factor: float,
    zone: ZoneInfo | None,
) -> list[tuple[float, float | None]]:
    lines = iter(rows)
    head = next(lines, None)
    if head is None:
        fail(DataError, "Forecast", f"{file!r} is empty")
    when, what = _column(head, wishes[0], TIMES, file), _column(head, wishes[1], VALUES, file)
    found: list[tuple[float, float | None]] = []
    seen: set[float] = set()
    for number, row in enumerate(lines, 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(found) >= MOST_POINTS:
            fail(DataError, "Forecast", f"{file!r} has more than {MOST_POINTS:,} lines")
        try:
            moment = parsed(row[when], zone)
            if moment in seen and zone is not None:
                moment = parsed(row[when], zone, fold=1)
            cell = row[what].strip().lower()
            value = None if cell in ("", "nan", "null", "none") else float(cell) * factor
        except (IndexError, ValueError) as error:
            why = str(error).splitlines()[0].removeprefix("[carbon] ")
            why = "too few cells" if isinstance(error, IndexError) else why
            fail(DataError, "Forecast", f"{file!r}, line {number}: {why}")
        seen.add(moment)
        found.append((moment, value))
    return found
