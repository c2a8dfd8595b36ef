"""Shapes and symbolic dimensions: a dimension is an int or an exact polynomial in named sizes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral
from typing import Any

from elinvar.core.errors import AxisError, ShapeError, TraceError, ValueRangeError, fail

# A monomial is a sorted tuple of symbol names, with repeats: ("B", "T") is B·T.
Monomial = tuple[str, ...]
# The smallest and the largest size that a name may have; None: as large as you like.
Range = tuple[int, int | None]
LARGEST = (1 << 63) - 1  # sizes, offsets and numbers of bytes are 64-bit integers
_NO_RANGES: Mapping[str, Range] = {}
SIZE_HINT = (
    "loop with `scan` or `while_loop`, choose with `where` or `cond`; or compile each size by "
    "itself: a static argument, or `el.jit(…, infer_dims=False)` without specs"
)


class Dim:
    """A symbolic dimension: a polynomial with integer coefficients over named sizes.

    `Dim("B")` is a size called B. Sums, differences and products are exact and print as written:
    `Dim("T") - 1` prints `T-1`. Two dims are equal when their polynomials are.

    Args:
        name: an identifier.
        min, max: the sizes that a specification of arguments (`TensorSpec`) admits. They say
            nothing about the dim as a number: equal names are equal dims.
        terms: the polynomial, instead of a name.
        ranges: of its names, where some were given.

    Example:
        >>> import elinvar as el
        >>> length = el.Dim("length", min=1, max=512)
        >>> 2 * length - 1, length == el.Dim("length")
        (2*length-1, True)
    """

    __slots__ = ("_hash", "_text", "ranges", "terms")

    ranges: dict[str, Range] | Mapping[str, Range]
    terms: dict[Monomial, int]

    def __init__(
        self,
        name: str | None = None,
        min: int = 0,
        max: int | None = None,
        *,
        terms: Mapping[Monomial, int] | None = None,
        ranges: Mapping[str, Range] = _NO_RANGES,
    ):
        if terms is None:
            if not isinstance(name, str) or not name.isidentifier():
                fail(ShapeError, "Dim", f"a dim's name must be an identifier, received {name!r}")
            terms = {(name,): 1}
            if (min, max) != (0, None):
                ranges = {name: _checked_range(name, min, max)}
        self.ranges = ranges
        self.terms = dict(sorted(terms.items()))
        self._hash = hash(tuple(self.terms.items()))
        self._text: str | None = None

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Dim) and self.terms == other.terms:
            return True
        assumed = _assumptions.get()
        if assumed is None or not isinstance(other, Dim | int) or _asked_by_ourselves():
            return False
        return assumed.are_equal(self, other)

    def __add__(self, other: DimLike) -> DimLike:
        if not isinstance(other, Dim | Integral):
            return NotImplemented  # tensors and index expressions know how to add a dim
        if isinstance(other, int) and other == 0:
            return self
        total = dict(self.terms)
        for monomial, factor in _terms(other).items():
            total[monomial] = total.get(monomial, 0) + factor
        return _simplest(total, _ranges_of(self, other))

    __radd__ = __add__

    def __neg__(self) -> DimLike:
        negative = {monomial: -factor for monomial, factor in self.terms.items()}
        return _simplest(negative, self.ranges)

    def __sub__(self, other: DimLike) -> DimLike:
        if not isinstance(other, Dim | Integral):
            return NotImplemented
        return self + -other

    def __rsub__(self, other: DimLike) -> DimLike:
        return -self + other

    def __mul__(self, other: DimLike) -> DimLike:
        if type(other) is int and other:
            if other == 1:
                return self
            scaled = {monomial: factor * other for monomial, factor in self.terms.items()}
            return Dim(terms=scaled, ranges=self.ranges)
        if not isinstance(other, Dim | Integral):
            return NotImplemented
        total: dict[Monomial, int] = {}
        for left, a in self.terms.items():
            for right, b in _terms(other).items():
                monomial = tuple(sorted(left + right))
                total[monomial] = total.get(monomial, 0) + a * b
        return _simplest(total, _ranges_of(self, other))

    __rmul__ = __mul__

    def __pow__(self, other: int) -> DimLike:
        if not isinstance(other, Integral) or other < 0:
            return NotImplemented
        total: DimLike = 1
        for _ in range(int(other)):
            total = total * self
        return total

    def __floordiv__(self, other: DimLike) -> DimLike:
        """Exact division; refused where the quotient is no polynomial."""
        if not isinstance(other, Dim | Integral):
            return NotImplemented
        found = _quotient(self.terms, _terms(other))
        if found is not None:
            return _simplest(found, _ranges_of(self, other))
        fail(ShapeError, "Dim", f"{self} is not known to be divisible by {other}")

    def __mod__(self, other: DimLike) -> DimLike:
        """0 where the division is exact; refused elsewhere."""
        return self - (self // other) * other

    def __divmod__(self, other: DimLike) -> tuple[DimLike, DimLike]:
        return self // other, self % other

    def __lt__(self, other: DimLike) -> bool:
        return _is_below(self, other, "<")

    def __ge__(self, other: DimLike) -> bool:
        return not _is_below(self, other, "≥")

    def __gt__(self, other: DimLike) -> bool:
        return _is_below(other, self, ">")

    def __le__(self, other: DimLike) -> bool:
        return not _is_below(other, self, "≤")

    def least(self) -> int | None:
        """The smallest value for sizes within their ranges, as far as it is easily seen."""
        shifted: DimLike = 0
        for monomial, factor in self.terms.items():
            term: DimLike = factor
            for name in monomial:  # each size as its least plus what it has above that
                term = term * (Dim(name) + self.ranges.get(name, (0, None))[0])
            shifted = shifted + term
        total = 0
        for monomial, factor in _terms(shifted).items():
            if factor < 0:
                for name in monomial:
                    low, high = self.ranges.get(name, (0, None))
                    if high is None:
                        return None
                    factor *= high - low
                total += factor
            elif not monomial:
                total += factor
        return total

    def __repr__(self) -> str:
        if self._text is None:
            self._text = self._written()
        return self._text

    def _written(self) -> str:
        parts = []
        for monomial, factor in sorted(self.terms.items(), key=lambda t: (-len(t[0]), t[0])):
            body = "*".join(monomial)
            if not monomial:
                text = str(abs(factor))
            else:
                text = body if abs(factor) == 1 else f"{abs(factor)}*{body}"
            parts.append(("-" if factor < 0 else "+", text))
        first_sign, first = parts[0]
        head = f"-{first}" if first_sign == "-" else first
        return head + "".join(f"{sign}{text}" for sign, text in parts[1:])

    def names(self) -> set[str]:
        """The sizes that the dim depends on."""
        return {name for monomial in self.terms for name in monomial}

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The dim's value for given sizes."""
        total = 0
        for monomial, factor in self.terms.items():
            for name in monomial:
                factor *= sizes[name]
            total += factor
        return total


DimLike = int | Dim
Shape = tuple[DimLike, ...]


def _terms(value: DimLike) -> Mapping[Monomial, int]:
    if isinstance(value, Dim):
        return value.terms
    return {(): int(value)}


def _is_below(one: DimLike, two: DimLike, sign: str) -> bool:
    """Whether one < two, where that is so for all sizes or for none."""
    for value in (one, two):
        if not isinstance(value, Dim | Integral):
            text = f"a size is compared with {type(value).__name__}"
            fail(TraceError, "Dim", text)
    answer = is_never_negative(two - one - 1)
    if answer is not None:
        return answer
    shown = (one, two) if sign in "<≥" else (two, one)
    text = f"whether {shown[0]} {sign} {shown[1]} depends on the sizes of the call"
    fail(TraceError, "Dim", text, "give a range: `el.Dim(name, min=…, max=…)`; or " + SIZE_HINT)


class Assumptions:
    """What a trace takes for granted of sizes, since it is so for those of the call at hand.

    Attributes:
        sizes: of the call.
        needed: dims that must not be negative, for another call to be of that kind.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.needed: dict[Dim, None] = {}

    def decide(self, dim: Dim) -> bool | None:
        """Whether the dim is not negative in this call; None where a size is not known."""
        if not dim.names() <= set(self.sizes):
            return None
        answer = dim.evaluate(self.sizes) >= 0
        needed = dim if answer else -1 * dim - 1
        assert isinstance(needed, Dim)
        self.needed[needed] = None
        return answer

    def are_equal(self, one: Dim, other: DimLike) -> bool:
        """Whether two sizes are equal in this call, where a user's code asks; noted as needed."""
        above = one - other
        below = other - one
        if not isinstance(above, Dim) or not isinstance(below, Dim):
            return above == 0
        for difference in (above - 1, below - 1):
            least = difference.least() if isinstance(difference, Dim) else difference
            if least is not None and least >= 0:
                return False  # whatever the sizes
        if not above.names() <= set(self.sizes):
            return False
        value = above.evaluate(self.sizes)
        needed = [above, below] if value == 0 else [above - 1 if value > 0 else below - 1]
        for dim in needed:
            assert isinstance(dim, Dim)
            self.needed[dim] = None
        return value == 0


def _asked_by_ourselves() -> bool:
    """Whether the comparison that runs stands in this package: there sizes that may differ are
    unequal, so that one program serves them all."""
    frame = sys._getframe(2)
    name = frame.f_globals.get("__name__", "")
    return name == _PACKAGE or name.startswith(f"{_PACKAGE}.")


_PACKAGE = __name__.partition(".")[0]
_assumptions: ContextVar[Assumptions | None] = ContextVar("assumptions", default=None)


@contextmanager
def assuming(sizes: Mapping[str, int]) -> Iterator[Assumptions]:
    """Within: what depends on the sizes of a call is decided by these, and noted."""
    token = _assumptions.set(Assumptions(sizes))
    try:
        found = _assumptions.get()
        assert found is not None
        yield found
    finally:
        _assumptions.reset(token)


def is_never_negative(value: DimLike) -> bool | None:
    """Whether value ≥ 0 for all sizes (True) or none (False). Where it depends on the sizes: the
    answer for the call that is traced, if that may decide (see `assuming`), or None."""
    if not isinstance(value, Dim):
        return value >= 0
    least = value.least()
    if least is not None and least >= 0:
        return True
    below = -1 * value - 1
    least = below.least() if isinstance(below, Dim) else below
    if least is not None and least >= 0:
        return False
    assumed = _assumptions.get()
    return None if assumed is None else assumed.decide(value)


def _checked_range(name: str, least: Any, most: Any) -> Range:
    """The range of a name, refused unless it is one of sizes."""
    for bound in (least, *(() if most is None else (most,))):
        if isinstance(bound, bool) or not isinstance(bound, int):
            text = f"min and max of {name!r} must be ints, received {bound!r}"
            fail(ValueRangeError, "Dim", text)
    if least < 0 or (most is not None and not least <= most <= LARGEST):
        text = f"{name!r} needs 0 ≤ min ≤ max < 2**63, received min={least}, max={most}"
        fail(ValueRangeError, "Dim", text)
    return least, most


def merged_ranges(op: str, one: Mapping[str, Range], two: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges of two dims together; two ranges for one name are refused."""
    for name in one.keys() & two.keys():
        if one[name] != two[name]:
            a, b = (format_range(name, found[name]) for found in (one, two))
            fail(ValueRangeError, op, f"the dim {name!r} has two ranges: {a} and {b}")
    return {**one, **two}


def format_range(name: str, bounds: Range) -> str:
    """A range as a user reads it: `1 ≤ length ≤ 512`."""
    least, most = bounds
    return f"{least} ≤ {name}" + ("" if most is None else f" ≤ {most}")


def _ranges_of(one: Dim, two: DimLike) -> Mapping[str, Range]:
    if not isinstance(two, Dim) or not two.ranges or one.ranges is two.ranges:
        return one.ranges
    return two.ranges if not one.ranges else merged_ranges("Dim", one.ranges, two.ranges)


def _simplest(
    terms: Mapping[Monomial, int], ranges: Mapping[str, Range] = _NO_RANGES
) -> DimLike:
    kept = {monomial: factor for monomial, factor in terms.items() if factor}
    if not kept:
        return 0
    if set(kept) == {()}:
        return kept[()]
    return Dim(terms=kept, ranges=ranges)


def _quotient(
    terms: Mapping[Monomial, int], divisor: Mapping[Monomial, int]
) -> dict[Monomial, int] | None:
    """Long division of polynomials: each step removes the leading term. None with a remainder."""
    left, found = dict(terms), {}
    lead = max(divisor, key=_degree)
    if not divisor[lead]:
        return None
    while left:
        first = max(left, key=_degree)
        part = _without(first, lead)
        if part is None or left[first] % divisor[lead]:
            return None
        factor = found[part] = left[first] // divisor[lead]
        for monomial, c in divisor.items():
            product = tuple(sorted(part + monomial))
            left[product] = left.get(product, 0) - factor * c
            if not left[product]:
                del left[product]
    return found


def _degree(monomial: Monomial) -> tuple[int, list[tuple[int, ...]]]:
    """An order of monomials that products keep: by degree, then by names, earlier ones larger."""
    return len(monomial), [tuple(-ord(letter) for letter in name) + (1,) for name in monomial]


def _without(monomial: Monomial, part: Monomial) -> Monomial | None:
    left = list(monomial)
    for name in part:
        if name not in left:
            return None
        left.remove(name)
    return tuple(left)


def parse_dim(text: str) -> DimLike:
    """Read a dim as `repr` prints it: `3`, `B`, `2*B*T-1`."""
    total: DimLike = 0
    for sign_and_term in text.replace("-", "+-").split("+"):
        if not sign_and_term.strip():
            continue
        term: DimLike = 1
        body = sign_and_term.strip()
        if body.startswith("-"):
            term, body = -1, body[1:]
        for factor in body.split("*"):
            factor = factor.strip()
            term = term * (int(factor) if factor.isdigit() else Dim(factor))
        total = total + term
    return total


def size(shape: Iterable[DimLike]) -> DimLike:
    """The number of elements."""
    total: DimLike = 1
    for dim in shape:
        total = total * dim
    return total


def evaluate(dim: DimLike, sizes: Mapping[str, int]) -> int:
    """A dim's value for given sizes of its symbols."""
    return dim.evaluate(sizes) if isinstance(dim, Dim) else dim


def is_static(shape: Iterable[Any]) -> bool:
    """True when no dimension is symbolic."""
    return not any(isinstance(dim, Dim) for dim in shape)


def row_major_strides(shape: Shape) -> Shape:
    """Strides in elements of a dense row-major array."""
    strides: list[DimLike] = []
    step: DimLike = 1
    for dim in reversed(shape):
        strides.append(step)
        step = step * dim
    return tuple(reversed(strides))


def normalize_axis(op: str, axis: int, rank: int) -> int:
    """Map a possibly negative axis to 0 … rank-1."""
    try:
        index = axis.__index__()
    except AttributeError:
        fail(AxisError, op, f"axis must be an int, received {axis!r}")
    if not -rank <= index < rank:
        fail(AxisError, op, f"axis {index} is out of range for {rank} dimensions")
    return index % rank if rank else 0


def normalize_axes(op: str, axis: int | Iterable[int] | None, rank: int) -> tuple[int, ...]:
    """Map None, an int or several ints to a sorted tuple of distinct axes."""
    if axis is None:
        return tuple(range(rank))
    given = tuple(axis) if isinstance(axis, Iterable) else (axis,)
    axes = tuple(sorted(normalize_axis(op, item, rank) for item in given))
    if len(set(axes)) != len(axes):
        fail(AxisError, op, f"an axis is named twice in {tuple(given)}")
    return axes


def broadcast_shapes(op: str, *shapes: Shape) -> Shape:
    """The shape that all broadcast to, by the standard's rule."""
    rank = max((len(shape) for shape in shapes), default=0)
    result: list[DimLike] = []
    for position in range(rank):
        dim: DimLike = 1
        for shape in shapes:
            offset = position - (rank - len(shape))
            other = shape[offset] if offset >= 0 else 1
            if other == 1 or other == dim:
                continue
            if dim != 1:
                texts = " and ".join(format_shape(s) for s in shapes)
                text = f"shapes {texts} cannot be broadcast: {dim} ≠ {other}"
                fail(ShapeError, op, text, one_name(dim, other))
            dim = other
        result.append(dim)
    return tuple(result)


def one_name(*dims: DimLike) -> str | None:
    """A hint for sizes that have to be equal and are not known to be."""
    if not any(isinstance(dim, Dim) for dim in dims):
        return None
    return "if they are equal in every call, let one `el.Dim` stand for both"


def format_shape(shape: Iterable[DimLike]) -> str:
    """A shape as it is printed in types and errors: `[8,B]`."""
    return "[" + ",".join(str(dim) for dim in shape) + "]"
