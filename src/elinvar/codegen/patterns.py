"""Indices whose lanes are apart by numbers that are known beforehand, in spite of divisions.

A vector of lanes that starts at a multiple of 16 sees j // 2 as 0, 0, 1, 1, … on top of a scalar.
So dilated padding and strided windows need no gather: their elements are picked out of neighbours
in memory, and masks of such lanes are constants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from elinvar.codegen.body import Body
from elinvar.kernels.index import Lin, Var, atom_depends


class Origin(NamedTuple):
    """What is known about the first lane's counter: its rest modulo a number; 0: the counter."""

    rest: int
    modulus: int


class Pattern(NamedTuple):
    """`base` (an i64 or a number) plus a known number for each lane."""

    base: str
    lanes: tuple[int, ...]


class Patterns:
    """Finds the patterns of index forms.

    Args:
        body: where the scalar part is computed.
        vector: the loop variable that runs along the lanes.
        origin: what is known about its counter.
        lanes: how many there are.
        scalar: the value of an atom that is the same in all lanes.
        hidden: further variables that stand for parts of `vector`; they have no pattern.
    """

    body: Body
    lanes: int
    origin: Origin
    vector: Any
    hidden: set[Any]

    def __init__(
        self,
        body: Body,
        vector: Var,
        origin: Origin,
        lanes: int,
        scalar: Callable[[Any], str],
        hidden: set[Var],
    ) -> None:
        self.body, self.vector, self.origin, self.lanes = body, vector, origin, lanes
        self.scalar, self.hidden = scalar, hidden

    def of(self, form: Lin) -> Pattern | None:
        """The pattern of a form, None where there is none."""
        if not isinstance(form.const, int):
            return None
        body, base, offsets = self.body, str(form.const), [0] * self.lanes
        for atom, factor in form.terms.items():
            found = self._of_atom(atom)
            if found is None or not isinstance(factor, int):
                return None
            base = body.add(base, body.mul(found.base, str(factor)))
            offsets = [a + factor * b for a, b in zip(offsets, found.lanes, strict=True)]
        return Pattern(base, tuple(offsets))

    def _of_atom(self, atom: Any) -> Pattern | None:
        if any(atom_depends(atom, var) for var in self.hidden):
            return None
        if not atom_depends(atom, self.vector):
            return Pattern(self.scalar(atom), (0,) * self.lanes)
        if atom is self.vector:
            start, modulus = self.origin
            return Pattern(self.scalar(atom) if modulus else str(start), tuple(range(self.lanes)))
        if atom.kind not in ("div", "mod") or not isinstance(atom.args[1], int):
            return None
        inner, divisor = atom.args
        rest = self._rest(inner, divisor)
        found = None if rest is None else self.of(inner)
        if found is None or rest is None:
            return None
        rest = (rest - found.lanes[0]) % divisor  # of the base; the first lane may be ahead of it
        ahead = [rest + lane for lane in found.lanes]
        if atom.kind == "mod":
            return Pattern("0", tuple(number % divisor for number in ahead))
        whole = self.body.sub(found.base, str(rest))
        if is_number(whole):
            base = str(int(whole) // divisor)
        else:
            base = self.body.div(whole, str(divisor))
        return Pattern(base, tuple(number // divisor for number in ahead))

    def _rest(self, form: Lin, divisor: int) -> int | None:
        """The first lane's value modulo a divisor."""
        if not isinstance(form.const, int):
            return None
        total = form.const
        for atom, factor in form.terms.items():
            if isinstance(factor, int) and factor % divisor == 0:
                continue
            known = self._rest_of_atom(atom, divisor, factor)
            if known is None:
                return None
            total = total + known
        rest: int = total % divisor
        return rest

    def _rest_of_atom(self, atom: Any, divisor: int, factor: Any) -> int | None:
        """factor · the first lane's value of an atom modulo a divisor."""
        if not isinstance(factor, int):
            return None
        if atom is self.vector:
            rest, modulus = self.origin
            return factor * rest if factor * modulus % divisor == 0 else None
        if isinstance(atom, Var) or atom.kind != "mod" or not isinstance(atom.args[1], int):
            return None
        inner = self._rest(atom.args[0], atom.args[1])
        return None if inner is None else factor * inner


def positions(pattern: Pattern) -> tuple[int, int, list[list[int]]]:
    """(lowest offset, width, lanes of each position) of what a pattern reads.

    The width is a power of two, and at least 2.
    """
    low, high = min(pattern.lanes), max(pattern.lanes)
    width = max(2, 1 << (high - low).bit_length())
    readers: list[list[int]] = [[] for _ in range(width)]
    for lane, offset in enumerate(pattern.lanes):
        readers[offset - low].append(lane)
    return low, width, readers


HOLDS: dict[str, Callable[[int], bool]] = {  # of the difference right - left
    "lt": lambda difference: difference > 0,
    "le": lambda difference: difference >= 0,
    "eq": lambda difference: difference == 0,
}


def is_small(pattern: Pattern) -> bool:
    """Whether the offsets fit i32 by far."""
    return max(map(abs, pattern.lanes)) < 1 << 29


def span(pattern: Pattern) -> int:
    """From the lowest to the highest offset."""
    return max(pattern.lanes) - min(pattern.lanes) + 1


def mask_text(flags: list[bool]) -> str:
    """A constant mask."""
    return "<" + ", ".join(f"i1 {str(flag).lower()}" for flag in flags) + ">"


def is_number(text: str) -> bool:
    """Whether an operand is a constant."""
    return text.lstrip("-").isdigit()


def shuffled(
    body: Body, element: str, width: int, payload: str, other: str, picks: list[int]
) -> str:
    """Lanes picked out of a vector; those from `width` on are the other's."""
    vector = f"<{width} x {element}>"
    mask = ", ".join(f"i32 {pick}" for pick in picks)
    return body.instruction(
        f"shufflevector {vector} {payload}, {vector} {other}, <{len(picks)} x i32> <{mask}>", "x"
    )


def joined(
    body: Body, element: str, width: int, left: str, right: str, order: list[int] | None = None
) -> str:
    """Two vectors as one, in order or in another."""
    order = order or list(range(2 * width))
    vector = f"<{width} x {element}>"
    mask = ", ".join(f"i32 {place}" for place in order)
    return body.instruction(
        f"shufflevector {vector} {left}, {vector} {right}, <{2 * width} x i32> <{mask}>", "x"
    )
