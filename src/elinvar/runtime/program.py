"""Programs: lists of kernel launches behind one native call.

A program is encoded as an array of 64-bit words inside of a `bytes` object and run by a small
interpreter written in LLVM text. Python sees a builtin function that takes addresses as ints:

    program(address0, address1, …)

The builtin's `self` is the `bytes` object, so the words live exactly as long as the program.

    header    arguments · slots of the largest launch · counters · flags · number of the program
              · work that it may do before it asks for better code · list of items
    item      operation · position of the next item · a · b · c · slots · moves
              · (external + 1, offset) for each slot · (slot, counter, stride) for each move
    launch    a = kernel, b = tasks, c = parallel + 2 · final + 4 · work
              several kernels together: a = `elinvar_program_together`; before the members' slots
              stand others: where the parts of each task begin (and where the last one's end), then
              the parts: kernel, where its slots begin, first task, end, member
    cond      a, b = lists for true and false; slot 0 = address of the predicate
    while     a = condition list, b = body list, c = counter; slot 0 = address of the predicate
    for       a = body list, b = trips, c = counter
    end       operation 0

Each loop owns two counters: how many iterations have begun before this one, and that modulo two.
They keep their last value (the number of iterations) when the loop is over.
"""

from __future__ import annotations

import _thread
import ctypes
import functools
import itertools
import os
import threading
import weakref
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from elinvar.core.errors import GraphError, fail
from elinvar.core.log import log
from elinvar.runtime import native, platform_text, pool, program_text
from elinvar.runtime.builtin import METH_FASTCALL, BuiltinMaker, keep_for_ever

_END, _LAUNCH, _COND, _WHILE, _FOR = range(5)
_RELEASE, _PARALLEL, _COUNTED = 1, 2, 4
_WORD = 1 << 64
_numbers = itertools.count(1)


class Move(NamedTuple):
    """How a slot moves with a loop: `stride` is added for each iteration that came before.

    With `parity` it is added in every second iteration only, which makes two buffers take turns.
    """

    loop: int
    stride: int
    parity: bool = False


Slot = tuple[int, int] | tuple[int, int, Sequence[Move]]
"""`(external, offset)`: the address given as argument `external`, plus `offset` bytes;
`(-1, number)`: the number itself; a third entry holds the moves."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Run tasks `0 ≤ t < tasks` of the kernel at address `kernel`.

    `parallel` lets the thread pool share the tasks out; otherwise they are one call. From a `final`
    launch on nothing stops the program: memory is overwritten that must not be left half written.
    `work`: about how many elements it computes.
    """

    kernel: int
    tasks: int
    slots: Sequence[Slot]
    parallel: bool = False
    final: bool = False
    work: int = 0


@dataclass(frozen=True, slots=True)
class Together:
    """Launches that do not touch what another of them writes, as one that the pool shares out.

    `tasks` says how: each is a list of parts `(member, first, end)`, tasks of one of the members.
    """

    members: Sequence[Launch]
    tasks: Sequence[Sequence[tuple[int, int, int]]]
    final: bool = False


@dataclass(frozen=True, slots=True)
class Cond:
    """Run `true` when the byte that `predicate` points to is not zero, else `false`."""

    predicate: Slot
    true: Sequence[Item]
    false: Sequence[Item]


@dataclass(frozen=True, slots=True)
class While:
    """Run `condition`, then `body`, for as long as the byte at `predicate` is not zero."""

    loop: int
    condition: Sequence[Item]
    predicate: Slot
    body: Sequence[Item]


@dataclass(frozen=True, slots=True)
class For:
    """Run `body` `trips` times; with `reverse`, moves inside count down from `trips - 1`."""

    loop: int
    trips: int
    body: Sequence[Item]
    reverse: bool = False


Item = Launch | Together | Cond | While | For


def work_of(items: Sequence[Item]) -> int:
    """The work of a list of items at least: what stands in `while` is counted once."""
    total = 0
    for item in items:
        if isinstance(item, Launch):
            total += item.work
        elif isinstance(item, Together):
            total += work_of(item.members)
        elif isinstance(item, Cond):
            total += max(work_of(item.true), work_of(item.false))
        elif isinstance(item, While):
            total += work_of(item.condition) + work_of(item.body)
        else:
            total += item.trips * work_of(item.body)
    return total


class Encoded(NamedTuple):
    """The words of a program: `number` tells it from all others, `positions` are those of its
    launches, in the order in which they were given. `together`: the position of several kernels'
    common launch → those of its members."""

    words: array[int]
    number: int
    positions: list[int]
    together: dict[int, list[int]]


def make_program(
    items: Sequence[Item], arguments: int, release: bool | None = None
) -> Callable[..., None]:
    """A builtin function that runs `items` in order: `encode_program`, then `program_of`.

    Args:
        items: launches and control items.
        arguments: how many addresses the function takes.
        release: whether other Python threads may run meanwhile, and Ctrl-C is looked for. By
            default only programs with parallel launches or loops do, since it costs a little.

    Raises:
        GraphError: a slot names an argument that does not exist, or a loop number is used twice.

    Example:
        >>> make_program([], arguments=0)()
    """
    return program_of(encode_program(items, arguments, release))


def encode_program(
    items: Sequence[Item], arguments: int, release: bool | None = None, allowed: int = 0
) -> Encoded:
    """The words of a program; see `make_program`. `allowed`: the work after which it asks for
    better code (see `program_of`)."""
    encoder = _Encoder(arguments)
    words = encoder.encode(items)
    releases = encoder.releases if release is None else release
    words[3] = (_RELEASE if releases else 0) | (_PARALLEL if encoder.parallel else 0)
    words[3] |= _COUNTED if allowed else 0
    words[4], words[5] = next(_numbers), allowed
    return Encoded(array("q", words), words[4], encoder.positions, encoder.together)


def program_of(
    encoded: Encoded, better: Callable[[], Encoded] | None = None
) -> Callable[..., None]:
    """The builtin function that runs the words.

    When the program has done the work that it is allowed, `better` is asked for other words, which
    differ in the addresses of kernels alone: whoever runs the program then goes on with those.
    """
    words = encoded.words.tobytes()
    call = _maker()(words)
    if better is not None:
        _better[encoded.number] = words, better
        weakref.finalize(call, _better.pop, encoded.number, None).atexit = False
    return call


_better: dict[int, tuple[bytes, Callable[[], Encoded]]] = {}  # by the number of the program


@keep_for_ever
def _on_spent(number: int) -> None:
    """Called by the native side when a program has done the work that it is allowed. Nothing may be
    raised here: the program could have overwritten half of its state."""
    found = _better.pop(number, None)
    if found is None:
        return
    words, better = found
    try:
        _overwrite(words, better().words)
    except KeyboardInterrupt:
        _thread.interrupt_main()
    except Exception:
        log.warning("no better code for a program", exc_info=True)


def _overwrite(words: bytes, others: array[int]) -> None:
    """Change the words of a program, which may be running, into others: one store for each that
    differs, but for the program's number."""
    address = ctypes.pythonapi.PyBytes_AsString
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object]
    memory = (ctypes.c_int64 * len(others)).from_address(address(words))
    for position, word in enumerate(others):
        if position != 4 and memory[position] != word:
            memory[position] = word


@dataclass(slots=True)
class _Encoder:
    """Builds the words of one program."""

    arguments: int
    words: list[int] = field(default_factory=list)
    most_slots: int = 1
    loops: int = 0
    parallel: bool = False
    releases: bool = False
    positions: list[int] = field(default_factory=list)
    together: dict[int, list[int]] = field(default_factory=dict)
    open_loops: set[int] = field(default_factory=set)
    reversed: dict[int, int] = field(default_factory=dict)  # open reversed loop → its trips

    def encode(self, items: Sequence[Item]) -> list[int]:
        self.words = [self.arguments] + [0] * (program_text.HEADER_WORDS - 1)
        self._list(items)
        self.words[1] = self.most_slots
        self.words[2] = 2 * self.loops
        return self.words

    def _list(self, items: Sequence[Item]) -> int:
        start = len(self.words)
        for item in items:
            self._item(item)
        self.words.append(_END)
        return start

    def _item(self, item: Item) -> None:
        words = self.words
        at = len(words)
        if isinstance(item, Launch):
            self.positions.append(at)
            self.parallel |= item.parallel
            self.releases |= item.parallel
            manner = item.parallel + 2 * item.final + 4 * item.work
            words += (_LAUNCH, 0, item.kernel, item.tasks, manner)
            self._slots(item.slots)
        elif isinstance(item, Together):
            own = [at + 1 + member for member in range(len(item.members))]
            self.positions += own
            self.together[at] = own
            self.parallel = self.releases = True
            kernel = _addresses()["elinvar_program_together"]
            manner = 1 + 2 * item.final + 4 * work_of(item.members)
            words += (_LAUNCH, 0, kernel, len(item.tasks), manner)
            self._slots(_slots_together(item))
        elif isinstance(item, Cond):
            words += (_COND, 0, 0, 0, 0)
            self._slots([item.predicate])
            words[at + 2] = self._list(item.true)
            words[at + 3] = self._list(item.false)
        elif isinstance(item, While):
            words += (_WHILE, 0, 0, 0, self._open(item.loop))
            self._slots([item.predicate])
            words[at + 2] = self._list(item.condition)
            words[at + 3] = self._list(item.body)
            self.open_loops.remove(item.loop)
        else:
            words += (_FOR, 0, 0, item.trips, self._open(item.loop))
            self._slots([])
            if item.reverse:
                self.reversed[item.loop] = item.trips
            words[at + 2] = self._list(item.body)
            self.reversed.pop(item.loop, None)
            self.open_loops.remove(item.loop)
        words[at + 1] = len(words)

    def _open(self, loop: int) -> int:
        """The number of a loop's first counter; the loop counts as open from here on."""
        if loop in self.open_loops:
            fail(GraphError, "program", f"loop {loop} is used inside of itself")
        self.open_loops.add(loop)
        self.loops = max(self.loops, loop + 1)
        self.releases = True
        return 2 * loop

    def _slots(self, slots: Sequence[Slot]) -> None:
        words = self.words
        moves: list[int] = []
        self.most_slots = max(self.most_slots, len(slots))
        words += (len(slots), 0)
        count_at = len(words) - 1
        for number, slot in enumerate(slots):
            external, offset = slot[0], slot[1]
            if not -1 <= external < self.arguments:
                fail(GraphError, "program", f"slot {number} names argument {external}")
            if len(slot) == 3:
                for loop, stride, parity in slot[2]:
                    if loop in self.reversed and not parity:
                        offset += (self.reversed[loop] - 1) * stride
                        stride = -stride
                    moves += (number, 2 * loop + parity, stride)
                    self.loops = max(self.loops, loop + 1)
            words.append(external + 1)
            words.append(_signed(offset))
        words[count_at] = len(moves) // 3
        words += moves


def _slots_together(item: Together) -> list[Slot]:
    """What stands in the slots of a common launch; see the top of this file."""
    parts = [part for task in item.tasks for part in task]
    starts = itertools.accumulate((len(task) for task in item.tasks), initial=0)
    first = len(item.tasks) + 1
    slots: list[Slot] = [(-1, first + program_text.PART_WORDS * start) for start in starts]
    after = first + program_text.PART_WORDS * len(parts)
    counts = [len(member.slots) for member in item.members]
    own = list(itertools.accumulate(counts, initial=after))
    for member, begin, end in parts:
        numbers = (item.members[member].kernel, own[member], begin, end, member)
        slots += [(-1, number) for number in numbers]
    return [*slots, *(slot for member in item.members for slot in member.slots)]


def _signed(number: int) -> int:
    """A 64-bit word as the signed number that has the same bits."""
    number %= _WORD
    return number - _WORD if number >= _WORD // 2 else number


@functools.cache
def _maker() -> BuiltinMaker:
    """Makes a program of its words."""
    return BuiltinMaker("program", _addresses()["elinvar_program_call"], METH_FASTCALL)


def set_timing(on_run: Callable[[], int] | None, events: int) -> None:
    """Time every program that begins from now on (see `timing_text.py`), or none any more.

    Args:
        on_run: called when a program begins; gives the number that its events carry. It must
            never be freed.
        events: address of the memory for the events; it must live until the runs under way end.
    """
    function = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
    address = None if on_run is None else id(on_run)
    function(_addresses()["elinvar_program_set_timing"])(address, events)


@functools.cache
def _addresses() -> dict[str, int]:
    """The native functions; the first call loads the interpreter."""
    native.declare_symbols(pool.native_functions())
    native.declare_symbols(platform_text.c_functions())
    native.declare_symbols(platform_text.python_functions(program_text.PYTHON_FUNCTIONS))
    addresses = native.load(program_text.program_text(), program_text.FUNCTIONS, level=0)
    setup = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
    setup(addresses["elinvar_program_setup"])(
        id(None), id(TypeError), id(keep_for_ever(pool.start)), id(_on_spent)
    )
    set_main = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(addresses["elinvar_program_set_main_thread"])
    set_main(threading.main_thread().ident or 0)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: set_main(threading.get_ident()))
    set_started = ctypes.CFUNCTYPE(None, ctypes.c_int)
    pool.on_start(set_started(addresses["elinvar_program_set_pool_started"]))
    return addresses
