"""Moments as seconds since 1970 (UTC), read from what people and servers write."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from elinvar.core.errors import DataError, DTypeError, ValueRangeError, fail

HOUR = 3600.0
FIRST, LAST = 0.0, 4102444800.0  # 1970 … 2100: what lies beyond is a wrong unit
_AHEAD = re.compile(r"\+\s*(\d+(?:\.\d+)?)\s*([mhd])")
_UNITS = {"m": 60.0, "h": HOUR, "d": 24 * HOUR}


def zone_named(name: str, op: str) -> ZoneInfo:
    """A time zone such as `Europe/Paris`.

    Raises:
        ValueRangeError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f"there is no time zone {name!r}"
        fail(ValueRangeError, op, text, "write a name such as 'Europe/Paris' or 'UTC'")


def parsed(text: str, zone: ZoneInfo | None, fold: int = 0) -> float:
    """The moment that a text in ISO 8601 names, or a number of seconds since 1970.

    Args:
        text: such as `2026-11-29T08:00Z`, `2026-11-29 08:00:00+01:00`, `1764403200`.
        zone: of times without an offset.
        fold: 1 for the second of two equal times, when clocks are set back.

    Raises:
        DataError: it is no time, it has no offset and there is no zone, or no clock of the zone
            ever shows it.

    Example:
        >>> parsed("2026-11-29T08:00:00.000Z", None) - parsed("2026-11-29T08:00+01:00", None)
        3600.0
    """
    plain = text.strip()
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        try:
            seconds = float(plain)
        except ValueError:
            fail(DataError, "carbon", f"{text[:40]!r} is no time", "write 2026-11-29T08:00Z")
        return _in_bounds(seconds, text)
    if moment.tzinfo is None:
        if zone is None:
            said = f"the time {text[:40]!r} says no offset from UTC"
            fail(DataError, "carbon", said, "write 2026-11-29T08:00+01:00, or name a timezone")
        moment = moment.replace(tzinfo=zone, fold=fold)
        if moment.astimezone(UTC).astimezone(zone).replace(fold=0) != moment.replace(fold=0):
            said = f"no clock in {zone} shows {text[:40]!r}: it was set forward over it"
            fail(DataError, "carbon", said)
    try:
        return _in_bounds(moment.timestamp(), text)
    except (OverflowError, OSError):
        fail(DataError, "carbon", f"{text[:40]!r} is no time between 1970 and 2100")


def _in_bounds(seconds: float, text: str) -> float:
    if not (math.isfinite(seconds) and FIRST <= seconds <= LAST):
        fail(DataError, "carbon", f"{text[:40]!r} is no time between 1970 and 2100")
    return seconds


def moment(value: Any, now: float, op: str, name: str = "deadline") -> float:
    """The moment that a user means.

    Args:
        value: a `datetime` (without a zone: this machine's), a `timedelta` from now on, a text
            such as `2026-11-30T08:00` or `+12h`, or seconds since 1970.

    Example:
        >>> from datetime import timedelta
        >>> moment("+12h", 100.0, "CarbonAware"), moment(timedelta(days=1), 100.0, "CarbonAware")
        (43300.0, 86500.0)
    """
    if isinstance(value, str):
        ahead = _AHEAD.fullmatch(value.strip())
        if ahead:
            return now + float(ahead[1]) * _UNITS[ahead[2]]
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            text = f"{name} {value[:40]!r} is no time"
            fail(ValueRangeError, op, text, "write 2026-11-30T08:00, or +12h for twelve hours")
        return found.timestamp()  # without an offset it is this machine's time
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, timedelta):
        return now + value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = f"{name} must be a datetime, timedelta or text, received {type(value).__name__}"
        fail(DTypeError, op, text)
    return float(value)


def shown(seconds: float, zone: ZoneInfo | None = None) -> str:
    """A moment as people read it, in a zone; None for this machine's.

    Example:
        >>> shown(1795939200.0, ZoneInfo("UTC"))
        'Sun 29 Nov 2026 08:00 UTC'
    """
    found = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
    return f"{found:%a} {found.day} {found:%b %Y %H:%M %Z}"


def length(seconds: float) -> str:
    """A length of time as people read it.

    Example:
        >>> length(45), length(5400), length(200000)
        ('45 s', '1:30 h', '2 d 7:33 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    days, rest = divmod(minutes, 1440)
    hours, rest = divmod(rest, 60)
    return f"{days} d {hours}:{rest:02} h" if days else f"{hours}:{rest:02} h"
