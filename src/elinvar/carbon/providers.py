"""The answers of two providers of forecasts: WattTime and Electricity Maps.

WattTime's signal is marginal: what a kilowatt-hour more causes. Electricity Maps' is the average
of all electricity that is used in a zone, by default over the plants' whole life.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple, NoReturn

from elinvar.carbon.asking import Patience, json_from
from elinvar.carbon.grid import POUNDS_A_MWH
from elinvar.carbon.times import HOUR, parsed
from elinvar.core.errors import DataError, RemoteError, ValueRangeError, fail

MOST_POINTS = 100_000  # 72 hours of 5 minutes are 864
WATTTIME = "https://api.watttime.org"
ELECTRICITY_MAPS = "https://api.electricitymaps.com"
WATTTIME_UNITS = {"lbs_co2_per_mwh": POUNDS_A_MWH}


class Series(NamedTuple):
    """What an answer says: (moment, g CO₂e/kWh) of each point, the length of one, whence, when."""

    points: list[tuple[float, float | None]]
    step: float | None
    source: str
    made_at: float | None


class WattTime:
    """Asks WattTime for forecasts of a region; see `Forecast.from_watttime`."""

    def __init__(
        self,
        region: str,
        username: str | None,
        password: str | None,
        token: str | None,
        hours: int,
        signal: str,
        url: str,
        patience: Patience,
    ) -> None:
        self._op = "Forecast.from_watttime"
        if token is None and (username is None or password is None):
            fail(ValueRangeError, self._op, "it needs a username and a password, or a token")
        _check_hours(self._op, hours, range(1, 73))
        self._region, self._signal = region, signal
        self._login = None if username is None or password is None else (username, password)
        self._token = None if token is None else _header(token, self._op)
        self._parameters = {"region": region, "signal_type": signal, "horizon_hours": hours}
        self._url, self.patience = url.rstrip("/"), patience

    def ask(self) -> Series:
        """The newest forecast."""
        fresh = self._token is None
        if self._token is None:
            self._token = self._new_token()
        try:
            return self._ask()
        except RemoteError as error:
            if error.status != 401 or fresh or self._login is None:
                raise
        self._token = self._new_token()  # the old one has expired, as it does after half an hour
        return self._ask()

    def _ask(self) -> Series:
        headers = {"Authorization": f"Bearer {self._token}"}
        address = f"{self._url}/v3/forecast"
        answer = json_from(self._op, address, self._parameters, headers, self.patience)
        return watttime_answer(answer, self._region, self._signal)

    def _new_token(self) -> str:
        assert self._login is not None
        pair = base64.b64encode(":".join(self._login).encode()).decode()
        headers = {"Authorization": f"Basic {pair}"}
        answer = json_from(self._op, f"{self._url}/login", {}, headers, self.patience)
        found = answer.get("token") if isinstance(answer, dict) else None
        if not isinstance(found, str) or not found or len(found) > 10_000:
            fail(DataError, self._op, "the answer to the login has no token")
        return _header(found, self._op)


class ElectricityMaps:
    """Asks Electricity Maps for forecasts of a zone; see `Forecast.from_electricity_maps`."""

    def __init__(self, zone: str, token: str, hours: int, url: str, patience: Patience) -> None:
        self._op = "Forecast.from_electricity_maps"
        _check_hours(self._op, hours, (6, 24, 48, 72))
        self._zone, self._parameters = zone, {"zone": zone, "horizonHours": hours}
        self._headers = {"auth-token": _header(token, self._op)}
        self._url, self.patience = f"{url.rstrip('/')}/v3/carbon-intensity/forecast", patience

    def ask(self) -> Series:
        """The newest forecast."""
        found = json_from(self._op, self._url, self._parameters, self._headers, self.patience)
        return electricity_maps_answer(found, self._zone)


def watttime_answer(answer: Any, region: str | None = None, signal: str = "co2_moer") -> Series:
    """The forecast in an answer of `/v3/forecast`, as `json.load` gives it.

    Raises:
        DataError: it is none.

    Example:
        >>> meta = {"region": "CAISO_NORTH", "units": "lbs_co2_per_mwh", "signal_type": "co2_moer"}
        >>> data = [{"point_time": "2026-11-29T00:00:00+00:00", "value": 1000.0}]
        >>> watttime_answer({"data": data, "meta": meta}).points
        [(1795910400.0, 453.59237)]
    """
    op = "Forecast.from_watttime"
    meta = _part(answer, "meta", dict, op)
    units = meta.get("units")
    factor = WATTTIME_UNITS.get(units) if isinstance(units, str) else None
    if factor is None:
        hint = "the signal index is a rank, not an intensity: ask for /v3/forecast of co2_moer"
        fail(DataError, op, f"the answer is in {units!r:.60}, not in lbs_co2_per_mwh", hint)
    _check_same(meta.get("region"), region, "region", op)
    _check_same(meta.get("signal_type"), signal, "signal_type", op)
    step = meta.get("data_point_period_seconds")
    if step is not None and (_number(step) is None or not 1 <= step <= 24 * HOUR):
        fail(DataError, op, f"data_point_period_seconds is {step!r:.60}, not a length of time")
    points = _rows(_part(answer, "data", list, op), "point_time", "value", factor, op)
    source = f"WattTime, {region or meta.get('region')}, marginal"
    made_at = _moment(meta.get("generated_at"), op)
    return Series(points, step, source, made_at)


def electricity_maps_answer(answer: Any, zone: str | None = None) -> Series:
    """The forecast in an answer of `/v3/carbon-intensity/forecast`, as `json.load` gives it.

    Raises:
        DataError: it is none.

    Example:
        >>> one = {"carbonIntensity": 56, "datetime": "2026-11-29T00:00:00.000Z"}
        >>> electricity_maps_answer({"zone": "FR", "forecast": [one]}).points
        [(1795910400.0, 56.0)]
    """
    op = "Forecast.from_electricity_maps"
    rows = _part(answer, "forecast", list, op)
    _check_same(answer.get("zone"), zone, "zone", op)
    points = _rows(rows, "datetime", "carbonIntensity", 1.0, op)
    source = f"Electricity Maps, {zone or answer.get('zone')}, average"
    return Series(points, None, source, _moment(answer.get("updatedAt"), op))


def _rows(
    rows: list[Any], time: str, value: str, factor: float, op: str
) -> list[tuple[float, float | None]]:
    if len(rows) > MOST_POINTS:
        fail(DataError, op, f"the answer has {len(rows):,} points")
    found: list[tuple[float, float | None]] = []
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get(time), str):
            _malformed(op, f"point {place} has no {time}", row)
        number = row.get(value)
        if number is not None and _number(number) is None:
            _malformed(op, f"{value} of point {place} is no number", row)
        found.append((parsed(row[time], None), None if number is None else number * factor))
    return found


def _part(answer: Any, name: str, kind: type, op: str) -> Any:
    found = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(found, kind):
        _malformed(op, f"the answer has no {name!r}", answer)
    return found


def _malformed(op: str, text: str, received: Any) -> NoReturn:
    names = ", ".join(map(str, received)) if isinstance(received, dict) else repr(received)
    fail(DataError, op, f"{text}; received {names:.80}", "is it the right address?")


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) < 1e9 else None


def _moment(value: Any, op: str) -> float | None:
    return parsed(value, None) if isinstance(value, str) else None


def _check_same(said: Any, wanted: str | None, name: str, op: str) -> None:
    if wanted is not None and said is not None and said != wanted:
        fail(DataError, op, f"the answer is for {name} {said!r:.60}, not {wanted!r}")


def _check_hours(op: str, hours: int, allowed: Any) -> None:
    if hours not in allowed:
        text = "1 to 72" if isinstance(allowed, range) else ", ".join(map(str, allowed))
        fail(ValueRangeError, op, f"hours must be {text}, received {hours!r:.40}")


def _header(value: str | None, op: str) -> str:
    """A token that can stand in a header; a line break in it would begin another."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        fail(ValueRangeError, op, "the token has characters that no token has")
    return value.strip()
