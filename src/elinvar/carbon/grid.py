"""How much carbon a kilowatt-hour costs, where this machine stands."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from elinvar.carbon.codecarbon_files import file_of
from elinvar.core.errors import DataMissingError, DTypeError, ValueRangeError, fail
from elinvar.core.settings import settings

JOULES_PER_KWH = 3.6e6
POUNDS_A_MWH = 0.45359237  # grams a kilowatt-hour: 453.59237 g in 1000 kWh
WORLD = 473.0  # g CO₂e/kWh in 2024: Ember, Global Electricity Review 2025
GREATEST = 5000.0  # more than any grid: a wrong unit
HINT = "pass grams of CO₂e a kilowatt-hour, such as 56.0, or a country's code, such as 'FR'"


@dataclass(frozen=True, slots=True)
class Intensity:
    """Grams of CO₂e that a kilowatt-hour costs.

    Attributes:
        grams_per_kwh: the number.
        source: whence it is.
        assumed: nobody said where the machine stands.
    """

    grams_per_kwh: float
    source: str
    assumed: bool = False

    def grams(self, joules: float) -> float:
        """Of an energy.

        Example:
            >>> Intensity(100.0, "said").grams(3.6e6)
            100.0
        """
        return joules / JOULES_PER_KWH * self.grams_per_kwh


WORLD_AVERAGE = Intensity(WORLD, "the world's average of 2024 (Ember)", assumed=True)


def intensity(place: float | str | Intensity | None = None) -> Intensity:
    """The carbon that a kilowatt-hour costs.

    Args:
        place: a number of grams of CO₂e a kilowatt-hour; or a country's code of two or three
            letters, whose yearly average codecarbon's tables have (`pip install
            "elinvar[carbon]"`); None for what `ELINVAR_GRID` says, else for the world's average,
            which is then called an assumption. Nothing is asked of the network.

    Raises:
        DataMissingError: the country is not in the tables, or codecarbon is not installed.
        ValueRangeError: the number is no intensity.

    Example:
        >>> intensity(56.0).grams_per_kwh, intensity("473").assumed
        (56.0, False)
    """
    if isinstance(place, Intensity):
        return place
    if place is None:
        if not settings.grid:
            return WORLD_AVERAGE
        return _of(settings.grid, "ELINVAR_GRID")
    if isinstance(place, bool) or not isinstance(place, int | float | str):
        text = f"place must be a number or a country's code, received {type(place).__name__}"
        fail(DTypeError, "carbon.intensity", text, HINT)
    return _of(place, "as given")


def intensity_or_average() -> Intensity:
    """As `intensity()`, but a setting that cannot be used is said in `source` and never an error:
    training does not end because of its carbon's account."""
    try:
        return intensity()
    except (DataMissingError, ValueRangeError) as error:
        why = str(error).splitlines()[0].partition("] ")[2]
        return Intensity(WORLD, f"{WORLD_AVERAGE.source}, for {why}", assumed=True)


def _of(place: float | str, said_by: str) -> Intensity:
    try:
        number = float(place)
    except ValueError:
        assert isinstance(place, str)
        return _of_country(place.strip().upper())
    if not (math.isfinite(number) and 0 <= number <= GREATEST):
        text = f"an intensity lies between 0 and {GREATEST:g} g CO₂e/kWh, received {place}"
        fail(ValueRangeError, "carbon.intensity", text, HINT)
    return Intensity(number, said_by)


def _of_country(code: str) -> Intensity:
    table = file_of("data/private_infra/global_energy_mix.json")
    if table is None:
        text = f"the average of {code!r} is in codecarbon's tables, which are not installed"
        hint = 'pip install "elinvar[carbon]", or give a number of grams a kilowatt-hour'
        fail(DataMissingError, "carbon.intensity", text, hint)
    known: dict[str, Any] = json.loads(table.read_text(encoding="utf-8"))
    row = known.get(_three_letters(code) if len(code) == 2 else code)
    number = row.get("carbon_intensity") if isinstance(row, dict) else None
    if not isinstance(number, int | float) or not 0 <= number <= GREATEST:
        text = f"codecarbon's tables have no country {code!r}"
        fail(DataMissingError, "carbon.intensity", text, HINT)
    assert isinstance(row, dict)
    source = f"{row.get('country_name', code)}'s average of {row.get('year')}, by codecarbon"
    return Intensity(float(number), source)


def _three_letters(code: str) -> str:
    """A country's code of three letters, for one of two."""
    table = file_of("databases/iso3166-1.json", "pycountry")
    if table is not None:
        for row in json.loads(table.read_text(encoding="utf-8"))["3166-1"]:
            if row["alpha_2"] == code:
                return str(row["alpha_3"])
    return code
