"""Recording what programs do: events of the native side, and what they mean.

A program that `Compiled.bind` makes is registered here under its number, with its launches and what
each of them costs. While a recording is open, the native side notes each launch (`timing_text.py`);
`stop` gives the events as arrays and remembers the programs that they name.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from elinvar.core.errors import ElinvarError, fail
from elinvar.core.source import Source
from elinvar.runtime import memory, program
from elinvar.runtime.builtin import keep_for_ever
from elinvar.runtime.timing_text import EVENT_WORDS, HEADER_WORDS

CAPACITY = 1 << 19  # events of one block of memory, which is 24 MB when all of it is used
_WAIT_SECONDS = 1.0
Events = np.ndarray[Any, np.dtype[np.int64]]


class Launch(NamedTuple):
    """One launch of a program, for given sizes."""

    kernel: str
    label: str
    flops: int
    nbytes: int
    wide: bool  # double precision
    source: Source | None


@dataclass(frozen=True, slots=True)
class Program:
    """A registered program: its graph's name, and its launches by their position in the words.

    `together`: the position of a common launch of several kernels → those of its members.
    """

    name: str
    positions: Sequence[int]
    describe: Callable[[], Sequence[Launch]]
    together: Mapping[int, Sequence[int]] = field(default_factory=dict)

    def launches(self) -> dict[int, Launch]:
        """Position → launch."""
        return dict(zip(self.positions, self.describe(), strict=True))


class Run(NamedTuple):
    """One call of a program: where the user called it, and the memory in use at that moment."""

    place: Any
    live: int


@dataclass(slots=True)
class _State:
    programs: dict[int, Program] = field(default_factory=dict)
    retired: list[int] = field(default_factory=list)  # dropped while a recording is open
    active: Recording | None = None
    last: list[Events] = field(default_factory=list)  # memory that late programs may still write to
    lock: threading.RLock = field(default_factory=threading.RLock)


_state = _State()


def register(number: int, entry: Program) -> None:
    """Remember what a program's launches are."""
    _state.programs[number] = entry


def named_program(
    label: str, items: Sequence[program.Item], arguments: int, release: bool
) -> Callable[..., None]:
    """`make_program` of a list that no graph describes, with a name for profiles.

    Example:
        >>> named_program("nothing", [], 0, False)()
    """
    encoded = program.encode_program(items, arguments, release)
    launches = [Launch(label, label, 0, 0, False, None)] * len(encoded.positions)
    entry = Program(label, encoded.positions, lambda: launches, encoded.together)
    register(encoded.number, entry)
    call = program.program_of(encoded)
    weakref.finalize(call, forget, encoded.number).atexit = False
    return call


def forget(number: int) -> None:
    """The program is gone; an open recording still knows it."""
    if _state.active is None:
        _state.programs.pop(number, None)
    else:
        _state.retired.append(number)


def is_open() -> bool:
    """Whether a recording is open."""
    return _state.active is not None


@keep_for_ever
def _on_run() -> int:
    """Called by the native side when a program begins."""
    active = _state.active
    return -1 if active is None else active.begin()


class Recording:
    """Everything that programs do between `start` and `stop`.

    Args:
        place: says where in the user's code a program is called.

    Attributes:
        runs: one for each call of a program.
        began, ended: `time.monotonic_ns()` at start and stop.
        programs: those that the events name, after `stop`.
        dropped: how many events found no room.
    """

    began: int
    ended: int
    dropped: int

    def __init__(self, place: Callable[[], Any]) -> None:
        self.runs: list[Run] = []
        self.began = self.ended = 0
        self.programs: dict[int, Program] = {}
        self.dropped = 0
        self._place = place
        self._blocks: list[Events] = []

    def start(self) -> None:
        """Begin. Only one recording can be open.

        Raises:
            ElinvarError: another one is open.
        """
        with _state.lock:
            if _state.active is not None:
                fail(ElinvarError, "profile", "another profile is being taken", "close it first")
            _state.last = [block for block in _state.last if block[2]]
            _state.active = self
        self._add_block()
        self.began = time.monotonic_ns()

    def stop(self) -> Events:
        """End. Gives all events, one in a row: see `timing_text.py` for the columns."""
        self.ended = time.monotonic_ns()
        program.set_timing(None, _address(self._blocks[-1]))
        try:
            limit = time.monotonic() + _WAIT_SECONDS
            while any(block[2] for block in self._blocks) and time.monotonic() < limit:
                time.sleep(0.0005)  # programs of other threads
        finally:
            events = self._collect()
        return events

    def _collect(self) -> Events:
        """Read the events, and let another recording begin."""
        rows = []
        for block in self._blocks:
            used = min(int(block[0]), int(block[1]))
            self.dropped += max(0, int(block[0]) - used)
            words = block[HEADER_WORDS : HEADER_WORDS + used * EVENT_WORDS]
            rows.append(words.reshape(used, EVENT_WORDS).copy())
        with _state.lock:
            _state.last += self._blocks
            self._blocks = []
            _state.active = None
            events: Events = np.concatenate(rows)
            known = _state.programs
            named = np.unique(events[:, 1]).tolist()
            self.programs = {number: known[number] for number in named if number in known}
            for number in _state.retired:
                known.pop(number, None)
            _state.retired.clear()
        return events

    def begin(self) -> int:
        """A program begins: its number among the runs. Makes more room where it gets scarce."""
        block = self._blocks[-1]
        if 2 * block[0] > block[1]:
            self._add_block()
        self.runs.append(Run(self._place(), memory.statistics().live))
        return len(self.runs) - 1

    def _add_block(self) -> None:
        # zeros: an event that is still being written when we stop belongs to no program
        block: Events = np.zeros(HEADER_WORDS + CAPACITY * EVENT_WORDS, np.int64)
        block[1] = CAPACITY
        self._blocks.append(block)
        program.set_timing(_on_run, _address(block))


def _address(block: Events) -> int:
    address: int = block.__array_interface__["data"][0]
    return address
