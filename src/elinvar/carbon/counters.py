"""The processor's own energy counters, where Linux shows them and we may read them."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("/sys/class/powercap")
SAME = 1_000_000  # micro-joules: less than this between two packages is one counter read twice


class Counters:
    """The energy that all processor packages took since this object was made, by whomever.

    The counters are those of RAPL (running average power limit): one for each package, in
    micro-joules, beginning anew at a limit of some hundred kilojoules, which a busy server reaches
    in twenty minutes. So they must be read more often than that.

    Args:
        folder: where Linux shows them.
    """

    joules: float

    def __init__(self, folder: Path = FOLDER) -> None:
        self.joules = 0.0
        self._limits: dict[Path, int] = {}
        self._last: dict[Path, int] = {}
        try:
            for zone in sorted(folder.glob("intel-rapl:*")):
                if _is_package(zone):
                    self._limits[zone] = int((zone / "max_energy_range_uj").read_text()) + 1
            self._last = self._values()
        except (OSError, ValueError):
            self._limits.clear()
        for zone in _twins(self._last):
            del self._limits[zone], self._last[zone]

    def __bool__(self) -> bool:
        """Whether there are counters, and they could be read the last time."""
        return bool(self._limits)

    def _values(self) -> dict[Path, int]:
        return {zone: int((zone / "energy_uj").read_text()) for zone in self._limits}

    def read(self) -> float:
        """The joules so far. When a counter can no longer be read, there are none from then on."""
        try:
            now = self._values()
        except (OSError, ValueError):
            self._limits.clear()
            return self.joules
        for zone, value in now.items():
            self.joules += (value - self._last[zone]) % self._limits[zone] / 1e6
        self._last = now
        return self.joules


def _is_package(zone: Path) -> bool:
    """A whole processor: not a part of one, which is counted in it, and not the platform."""
    if zone.name.count(":") != 1:
        return False
    name = zone / "name"
    return not name.exists() or name.read_text().strip().startswith("package")


def _twins(values: dict[Path, int]) -> list[Path]:
    """Packages that show the counter of an earlier one: the dies of some processors do so."""
    found: list[Path] = []
    kept: list[int] = []
    for zone, value in values.items():
        if value and any(abs(value - other) < SAME for other in kept):
            found.append(zone)
        else:
            kept.append(value)
    return found
