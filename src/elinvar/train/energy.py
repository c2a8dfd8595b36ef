"""The energy that a piece of work takes: read from the processor where it tells, else estimated."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

_COUNTERS = Path("/sys/class/powercap")
WATTS_PER_CORE = 10.0  # of a busy core of a server or desktop, where the processor tells nothing


class Energy:
    """Within, the energy of the work is taken.

    Where Linux shows the processor's counters (RAPL) and we may read them, `joules` is what all
    processor packages took, by whomever; else it is the process's time on cores times 10 W, and
    `estimated` is True.

    Attributes:
        joules: the energy.
        seconds: the time that passed.
        estimated: whether it is no measurement.
    """

    joules: float
    seconds: float
    estimated: bool

    def __enter__(self) -> Energy:
        self._before = _counters()
        self._cpu, self._start = time.process_time(), time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        after = _counters()
        self.estimated = not self._before or set(after) != set(self._before)
        if self.estimated:
            self.joules = (time.process_time() - self._cpu) * WATTS_PER_CORE
        else:
            self.joules = sum(
                (after[name][0] - before) % limit / 1e6
                for name, (before, limit) in self._before.items()
            )


def _counters() -> dict[str, tuple[int, int]]:
    """Micro-joules of each processor package, and where its counter begins anew."""
    found = {}
    try:
        for zone in sorted(_COUNTERS.glob("intel-rapl:*")):
            if zone.name.count(":") == 1:  # parts of a package are counted in it
                limit = int((zone / "max_energy_range_uj").read_text()) + 1
                found[zone.name] = (int((zone / "energy_uj").read_text()), limit)
    except (OSError, ValueError):
        return {}
    return found
