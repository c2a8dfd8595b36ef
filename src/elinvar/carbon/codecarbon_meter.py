"""Energy that codecarbon measures where we have no way of our own: other systems, other chips.

It is set up and asked in a thread, for its import and its search for hardware take seconds, and
some of its readings do, too. It writes no file, no log and nothing to the network, and takes no
signal.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import threading
from pathlib import Path
from typing import Any

MEASURED = ("intel_rapl", "intel_power_gadget", "windows_emi")  # its ways that are no estimate
JOULES_PER_KWH = 3.6e6
INTERVAL = 10.0  # seconds between two readings


def useful(wants_gpu: bool) -> bool:
    """Whether codecarbon is there and could measure what `Counters` cannot.

    On Linux it reads the counters that we read, too; without them it estimates, as we do. Where
    the user works with codecarbon already, its one log is the user's, and we keep out of it.
    """
    if "codecarbon" in sys.modules or importlib.util.find_spec("codecarbon") is None:
        return False
    if wants_gpu and any(Path(name).exists() for name in ("/dev/nvidiactl", "/dev/kfd")):
        return True
    return not sys.platform.startswith("linux") or Path("/usr/bin/vcgencmd").exists()


class CodecarbonMeter:
    """What codecarbon has measured so far, at most `INTERVAL` seconds old.

    Attributes:
        cpu_joules: of the processor; None if it is not measured (or not yet).
        gpu_joules: of the graphics cards.
        source: in words.
        settled: whether it is known what is measured, if anything.
    """

    cpu_joules: float | None
    gpu_joules: float
    source: str
    settled: bool

    def __init__(self, interval: float = INTERVAL) -> None:
        self.cpu_joules, self.gpu_joules, self.source, self.settled = None, 0.0, "", False
        self._end, self._wake, self._fresh = (threading.Event() for _ in range(3))
        self._interval = interval
        self._measures_cpu = False
        self._thread = threading.Thread(target=self._work, name="elinvar-energy", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        tracker = None
        try:
            tracker = self._made()
            if not self.source:
                return  # it would estimate, as we do
            while not self._end.is_set():
                tracker.flush()
                self.settled = True
                self._fresh.set()
                self._wake.wait(self._interval)
                self._wake.clear()
        except Exception:
            self.cpu_joules = None  # another version, a driver that fails: there is an estimate
        finally:
            self.settled = True
            self._fresh.set()
            if tracker is not None:
                tracker.stop()

    def _made(self) -> Any:
        module = importlib.import_module("codecarbon")
        log = logging.getLogger("codecarbon")
        log.setLevel(logging.CRITICAL)
        log.handlers = [logging.NullHandler()]
        outputs = importlib.import_module("codecarbon.output_methods.base_output")
        sink = type("Sink", (outputs.BaseOutput,), {"out": self._take})()
        tracker = module.OfflineEmissionsTracker(
            country_iso_code="FRA",  # of no importance: we read energies
            force_carbon_intensity_g_co2e_kwh=0.0,
            measure_power_secs=self._interval,
            output_methods=[],
            output_handlers=[sink],
            emissions_endpoint=None,
            api_call_interval=-1,
            tracking_mode="machine",
            allow_multiple_runs=True,  # else it takes the signals, for the sake of a lock file
            log_level="critical",
        )
        tracker.start()
        parts = getattr(tracker, "_hardware", [])
        kinds = {type(part).__name__: part for part in parts}
        chips = {"AppleSiliconChip", "Raspberry"} & set(kinds)
        way = getattr(kinds.get("CPU"), "_mode", "")
        self._measures_cpu = bool(chips) or way in MEASURED
        names = [*sorted(chips), *([way] if way in MEASURED else [])]
        names += ["graphics cards"] if "GPU" in kinds else []
        self.source = ", ".join(names)
        return tracker

    def _take(self, total: Any, delta: Any) -> None:
        """Codecarbon's own way to tell: all energies so far, in kilowatt-hours."""
        if self._measures_cpu:
            self.cpu_joules = float(total.cpu_energy) * JOULES_PER_KWH
        self.gpu_joules = float(total.gpu_energy) * JOULES_PER_KWH

    def refresh(self, patience: float = 2.0) -> None:
        """Take a reading now, if it is set up; without waiting for longer than `patience`."""
        if self.settled and self._thread.is_alive():
            self._fresh.clear()
            self._wake.set()
            self._fresh.wait(patience)

    def close(self, patience: float = 2.0) -> None:
        """End; without waiting for longer than `patience` seconds."""
        self._end.set()
        self._wake.set()
        self._thread.join(patience)


_shared: list[CodecarbonMeter] = []


def shared() -> CodecarbonMeter:
    """The one of this process: it is set up once, and goes on."""
    if not _shared:
        _shared.append(CodecarbonMeter())
    return _shared[0]
