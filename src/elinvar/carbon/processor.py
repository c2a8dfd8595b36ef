"""The processor's time that this process and its workers took, and what a second of it costs."""

from __future__ import annotations

import csv
import functools
import os
import re
import time
from pathlib import Path

from elinvar.carbon.codecarbon_files import file_of

WATTS_PER_CORE = 10.0  # of a busy core of a server or desktop, where nothing is known
PROC = Path("/proc")


class ProcessorTime:
    """Seconds on cores, of this process and of all its child processes: ended ones and running."""

    def __init__(self) -> None:
        self._most = 0.0

    def read(self) -> float:
        """Seconds so far; never less than the time before."""
        times = os.times()
        own = time.process_time() + times.children_user + times.children_system
        self._most = max(self._most, own + sum(map(_seconds_of, _children())))
        return self._most


def _children() -> list[int]:
    """The numbers of running child processes; none where the system does not say."""
    found: list[int] = []
    if hasattr(os, "waitid"):
        try:  # one call into the system tells whether there is any; none is taken from its parent
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return found
    try:
        for task in os.listdir(PROC / "self" / "task"):
            text = (PROC / "self" / "task" / task / "children").read_text()
            found += map(int, text.split())
    except (OSError, ValueError):
        pass  # a thread may end meanwhile
    return found


def _seconds_of(process: int) -> float:
    """What a child took, and its own children that ended; nothing if it is gone."""
    try:
        text = (PROC / str(process) / "stat").read_text()
        fields = text.rpartition(")")[2].split()  # a name may hold spaces and brackets
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


@functools.cache
def watts_per_core(cpuinfo: Path = PROC / "cpuinfo") -> tuple[float, str]:
    """Watts of a busy core, and where the number comes from.

    Where codecarbon is installed and knows the processor, its thermal design power is shared out
    among its cores. In a virtual machine we see some of a processor's cores and not how many there
    are, so nothing can be shared out.
    """
    unknown = WATTS_PER_CORE, f"{WATTS_PER_CORE:g} W a busy core"
    table = file_of("data/hardware/cpu_power.csv")
    try:
        text = cpuinfo.read_text()
    except OSError:
        return unknown
    models = re.findall(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    if table is None or not models or re.search(r"^flags\s*:.*\bhypervisor\b", text, re.MULTILINE):
        return unknown
    sockets = len(set(re.findall(r"^physical id\s*:\s*(\d+)$", text, re.MULTILINE))) or 1
    try:
        with table.open(newline="", encoding="utf-8") as file:
            known = {_plain(row["Name"]): float(row["TDP"]) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error):
        return unknown
    power = known.get(_plain(models[0]))
    if power is None or not 1 <= power <= 2000:
        return unknown
    found = power * sockets / len(models)
    return found, f"{found:.2g} W a busy core: {power:g} W of {models[0].strip()}, by codecarbon"


def _plain(name: str) -> str:
    """A processor's name without what its two writers add: `(R)`, `CPU`, cores, clock."""
    found = re.sub(r"\((r|tm)\)|@.*|\bwith\b.*", " ", name.lower())
    found = re.sub(r"\b(cpu|processor|\d+-core)\b", " ", found)
    return " ".join(found.split())
