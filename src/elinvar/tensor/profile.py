"""Profiles: where the time of programs goes, by kernel and by the user's line.

    with el.profile() as p:
        step(x, y)
    print(p)
    p.chrome_trace("trace.json")

While a profile is open, the native runner of programs notes the time of each launch, and of each
part of it on each thread. Otherwise it looks once for each program whether it should, which is all
that profiling costs. The limits that the table compares with are measured by kernels of our own
(`runtime/roofline.py`) when the first table is made.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from elinvar.core.errors import ElinvarError, fail
from elinvar.core.source import Source, source_of, user_place
from elinvar.runtime import memory
from elinvar.runtime.recording import Events, Launch, Recording
from elinvar.runtime.roofline import Roofline, roofline
from elinvar.runtime.timing_text import PART, PROGRAM, SHARED

_COLUMNS = ("kernel", "line", "calls", "ms", "share", "GFLOP/s", "GB/s", "roofline", "bound by")
_LABEL_WIDTH = 44


class Row(NamedTuple):
    """All launches of one kind from one line of the user's code.

    Attributes:
        kernel: what the kernel computes.
        name: the kernel's function, as `lower().llvm` shows it.
        source: the user's line; None where there is none.
        calls: how many launches.
        seconds: their time on the clock, all together.
        share: the part of the time of all kernels.
        flops, nbytes: arithmetic and memory traffic that they need at least, all together.
        roofline: the part of the machine's limit that was reached: least time / time.
        bound: what limits such a kernel on this machine, `memory` or `compute`.
    """

    kernel: str
    name: str
    source: Source | None
    calls: int
    seconds: float
    share: float
    flops: int
    nbytes: int
    roofline: float
    bound: str

    @property
    def gflops(self) -> float:
        """Billions of floating-point instructions in a second."""
        return self.flops / max(self.seconds, 1e-9) / 1e9

    @property
    def gbytes(self) -> float:
        """Billions of bytes in a second."""
        return self.nbytes / max(self.seconds, 1e-9) / 1e9


class _Event(NamedTuple):
    """An event of the native side with what it stands for."""

    kind: int
    run: int
    name: str
    launch: Launch | None
    source: Source | None
    start: int
    end: int
    thread: int


class Profile:
    """What `profile` returns: a context manager, then the result.

    Attributes:
        peak_memory: most bytes of tensors that were in use at a time while the profile was open.
        seconds: how long it was open.
    """

    peak_memory: int
    seconds: float

    def __init__(self) -> None:
        self.peak_memory = 0
        self.seconds = 0.0
        self._recording = Recording(lambda: user_place(3))
        self._events: Events | None = None
        self._threads: dict[int, str] = {}
        self._peak_before = 0

    def __enter__(self) -> Profile:
        if self._events is not None or self._recording.began:
            fail(ElinvarError, "profile", "a profile is taken once", "make a new one")
        self._peak_before = memory.statistics().peak
        self._recording.start()
        memory.reset_peak()
        return self

    def __exit__(self, *_: Any) -> None:
        self.peak_memory = memory.statistics().peak
        self._events = self._recording.stop()
        memory.raise_peak(self._peak_before)
        self._threads = {t.ident: t.name for t in threading.enumerate() if t.ident is not None}
        self.seconds = (self._recording.ended - self._recording.began) / 1e9

    def _all(self) -> Iterator[_Event]:
        """The events in the order in which they ended."""
        if self._events is None:
            fail(ElinvarError, "profile", "the profile is still open", "leave its `with` block")
        record = self._recording
        known = {number: entry.launches() for number, entry in record.programs.items()}
        busy: dict[tuple[int, int], int] = {}  # (run, position): time of the parts of a launch
        for run, number, what, start, end, thread in self._events.tolist():
            program = record.programs.get(number)
            if program is None or run < 0:
                continue  # not a program of a graph
            kind, position = what & 3, what >> 2
            members = [position] if kind != SHARED else program.together.get(position, [position])
            if kind == PART:
                busy[run, position] = busy.get((run, position), 0) + end - start
            times = [busy.pop((run, member), 0) for member in members] if kind != PART else [1]
            for member, begin, stop in _slices(members, times, start, end):
                launch = None if kind == PROGRAM else known[number].get(member)
                source = None if launch is None else launch.source
                if source is None:
                    source = source_of(record.runs[run].place)
                name = program.name if launch is None else launch.label
                yield _Event(kind, run, name, launch, source, begin, stop, thread)

    @property
    def rows(self) -> list[Row]:
        """One row for each kernel and line, the slowest first.

        Raises:
            ElinvarError: the profile is still open.
        """
        limits = roofline()
        found: dict[Any, list[Any]] = {}
        for event in self._all():
            launch = event.launch
            if launch is None or event.kind == PART:
                continue
            key = (launch.label, launch.kernel, event.source)
            row = found.setdefault(key, [0, 0, 0, 0, 0.0, {}])
            least, bound = limits.seconds(launch.flops, launch.nbytes, launch.wide)
            row[0] += 1
            row[1] += event.end - event.start
            row[2] += launch.flops
            row[3] += launch.nbytes
            row[4] += least
            row[5][bound] = row[5].get(bound, 0.0) + least
        total = sum(row[1] for row in found.values())
        rows = [
            Row(
                label, kernel, source, calls, elapsed / 1e9, elapsed / max(1, total), flops, nbytes,
                1e9 * least / max(1, elapsed), max(bounds, key=bounds.__getitem__),
            )
            for (label, kernel, source), (calls, elapsed, flops, nbytes, least, bounds)
            in found.items()
        ]  # fmt: skip
        return sorted(rows, key=lambda row: -row.seconds)

    def table(self, rows: int | None = 30) -> str:
        """The table that `print` shows.

        Args:
            rows: how many kernels, the slowest first; None for all.
        """
        limits = roofline()
        every = self.rows
        shown = every if rows is None else every[:rows]
        cells = [_COLUMNS, *(_cells(row) for row in shown)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS))]
        lines = [_aligned(line, widths) for line in cells]
        if len(every) > len(shown):
            rest = sum(row.seconds for row in every[len(shown) :])
            lines.append(f"… and {len(every) - len(shown)} more: {1e3 * rest:.3f} ms")
        return "\n".join([*lines, "", *self._summary(every, limits)])

    def _summary(self, rows: list[Row], limits: Roofline) -> list[str]:
        inside = [e.end - e.start for e in self._all() if e.kind == PROGRAM]
        kernels = sum(row.seconds for row in rows)
        between = max(0.0, sum(inside) / 1e9 - kernels)
        lines = [
            f"{len(inside)} programs, {sum(row.calls for row in rows)} launches: "
            f"{1e3 * kernels:.3f} ms in kernels, {1e3 * between:.3f} ms between them; "
            f"{1e3 * self.seconds:.3f} ms in all",
            f"most memory in use: {_bytes(self.peak_memory)}",
            f"limits of {limits.cpu}, threads: {limits.threads}: {limits.single / 1e9:.0f} GFLOP/s "
            f"(float64: {limits.double / 1e9:.0f}), {limits.rates[-1] / 1e9:.1f} GB/s from memory, "
            f"at most {max(limits.rates) / 1e9:.0f} GB/s from the caches",
        ]
        if self._recording.dropped:
            lines.append(f"{self._recording.dropped} events found no room and are missing")
        return lines

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        if self._events is None:
            return "<profile, open>" if self._recording.began else "<profile, not begun>"
        return f"<profile of {len(self._recording.runs)} programs, {1e3 * self.seconds:.3f} ms>"

    def chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the events as JSON for `chrome://tracing` and ui.perfetto.dev.

        Each thread is a track: on the calling one programs hold their launches, on all of them
        stand the parts that they computed. A counter shows the memory in use.

        Args:
            path: the file.

        Raises:
            ElinvarError: the profile is still open.
        """
        began, process = self._recording.began, os.getpid()
        events: list[dict[str, Any]] = []
        starts: dict[int, int] = {}
        for event in self._all():
            entry = {
                "name": event.name,
                "cat": ("program", "kernel", "kernel", "part")[event.kind],
                "ph": "X",
                "ts": (event.start - began) / 1e3,
                "dur": (event.end - event.start) / 1e3,
                "pid": process,
                "tid": event.thread,
                "args": _arguments(event),
            }
            events.append(entry)
            if event.kind == PROGRAM:
                starts[event.run] = event.start
        for number, start in sorted(starts.items()):
            live = {"bytes": self._recording.runs[number].live}
            at = (start - began) / 1e3
            counter = {"name": "memory in use", "ph": "C", "ts": at, "pid": process, "args": live}
            events.append(counter)
        for thread in {entry["tid"] for entry in events if "tid" in entry}:
            name = {"name": self._threads.get(thread, f"thread {thread}")}
            named = {"name": "thread_name", "ph": "M", "pid": process, "tid": thread, "args": name}
            events.append(named)
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


def profile() -> Profile:
    """Measure what runs inside of a `with` block, eager operations and jitted functions.

    The result has `rows`, `table()` (which `print` shows), `chrome_trace(path)`, `peak_memory` and
    `seconds`. Rates are what a kernel needs at least (flops / time, bytes / time), so they can be
    held against the machine's limits: roofline = max(flops / peak, bytes / bandwidth) / time.

    Raises:
        ElinvarError: another profile is open.

    Example:
        >>> import elinvar as el
        >>> x = el.ones((64, 64))
        >>> with el.profile() as p:
        ...     y = x @ x + 1.0
        >>> sum(row.calls for row in p.rows) >= 2 and p.peak_memory > 0
        True
    """
    return Profile()


def _slices(
    members: Sequence[int], times: Sequence[int], start: int, end: int
) -> Iterator[tuple[int, int, int]]:
    """(member, start, end): the time of a common launch, cut in the ratio of the members' times.

    Example:
        >>> list(_slices([7, 8], [30, 10], 100, 120))
        [(7, 100, 115), (8, 115, 120)]
    """
    total = sum(times)
    weights = times if total else [1] * len(members)
    before, total = 0, total or len(members)
    for member, weight in zip(members, weights, strict=True):
        begin = start + (end - start) * before // total
        before += weight
        yield member, begin, start + (end - start) * before // total


def _arguments(event: _Event) -> dict[str, Any]:
    found: dict[str, Any] = {} if event.source is None else {"line": str(event.source)}
    launch = event.launch
    if launch is not None:
        found["kernel"] = launch.kernel
        if event.kind != PART:
            nanoseconds = max(1, event.end - event.start)
            found["GFLOP/s"] = round(launch.flops / nanoseconds, 3)
            found["GB/s"] = round(launch.nbytes / nanoseconds, 3)
            found["threads"] = "shared" if event.kind == SHARED else "one"
    return found


def _cells(row: Row) -> tuple[str, ...]:
    label = row.kernel
    if len(label) > _LABEL_WIDTH:
        label = label[: _LABEL_WIDTH - 1] + "…"
    return (
        label,
        "" if row.source is None else str(row.source),
        str(row.calls),
        f"{1e3 * row.seconds:.3f}",
        f"{100 * row.share:.1f}%",
        f"{row.gflops:.1f}",
        f"{row.gbytes:.1f}",
        f"{100 * row.roofline:.0f}%",
        row.bound,
    )


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    texts = [
        cell.ljust(width) if column < 2 or column == len(cells) - 1 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(texts).rstrip()


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
