"""check_grads: derivatives held against differences of the function's own values.

    numerical    J·t ≈ (f(x + eps·t) - f(x - eps·t)) / (2·eps)      for a random direction t
    fwd          jvp(f, x, t)            against J·t, element by element
    rev          ⟨vjp(f, x)(c), t⟩       against ⟨c, J·t⟩ for random cotangents c

Every tensor among the arguments is moved alone, so that an error names it. Order n + 1 is order n
of the derivatives x ↦ jvp(f, x, t) and x ↦ vjp(f, x)(c), in all combinations of modes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn, TypeVar, TypeVarTuple, Unpack, overload

import numpy as np

from elinvar.core import tree
from elinvar.core.errors import CheckError, GradientError, ValueRangeError, fail
from elinvar.core.shapes import format_shape
from elinvar.tensor.cell import Cell
from elinvar.tensor.creation import asarray
from elinvar.tensor.gradients import vjp
from elinvar.tensor.random import default_generator
from elinvar.tensor.storage import from_numpy
from elinvar.tensor.tangents import jvp
from elinvar.testing.comparing import first_difference
from elinvar.testing.contract import run
from elinvar.testing.leaves import Array, numbers, paths

_OP = "check_grads"
_MODES = ("fwd", "rev")
_MOST_TRIED = 256  # elements that are moved one by one to find the worst of a wrong gradient
Function = Callable[..., list[Any]]
X = TypeVar("X")
Xs = TypeVarTuple("Xs")


class Precision(NamedTuple):
    """What differences in a dtype can tell: the step, the tolerance, the unit of rounding."""

    eps: float
    tolerance: float
    unit: float


_PRECISION = {
    "float64": Precision(2.0**-17, 1e-6, 2.0**-53),
    "float32": Precision(2.0**-8, 3e-3, 2.0**-24),
    "float16": Precision(2.0**-4, 6e-2, 2.0**-11),
    "bfloat16": Precision(2.0**-2, 2e-1, 2.0**-8),
}
_PRECISION |= {"complex128": _PRECISION["float64"], "complex64": _PRECISION["float32"]}


class Check(NamedTuple):
    """What stays the same through all orders."""

    paths: list[str]
    modes: tuple[str, ...]
    eps: float
    atol: float
    rtol: float
    scaled: bool  # atol is for results of size 1: larger ones may be off by more
    unit: float
    random: np.random.Generator


@overload
def check_grads(
    function: Callable[[Unpack[Xs]], Any],
    args: tuple[*Xs],
    order: int = 2,
    modes: str | Sequence[str] = _MODES,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    kwargs: dict[str, Any] | None = None,
    seed: int = 0,
) -> None: ...
@overload
def check_grads(
    function: Callable[[X], Any],
    args: X,
    order: int = 2,
    modes: str | Sequence[str] = _MODES,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    kwargs: dict[str, Any] | None = None,
    seed: int = 0,
) -> None: ...
def check_grads(
    function: Callable[..., Any],
    args: Any,
    order: int = 2,
    modes: str | Sequence[str] = _MODES,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    kwargs: dict[str, Any] | None = None,
    seed: int = 0,
) -> None:
    """Raise unless a function's derivatives agree with differences of its values.

    Numerically J·t ≈ (f(x + eps·t) - f(x - eps·t)) / 2 eps. Pass float64 tensors where you can: in
    float32 rounding leaves three digits.

    Args:
        function: of tensors or nested containers of them; it must be deterministic, change nothing
            outside, and be smooth around the arguments.
        args: a tuple of arguments (or one that is no tuple). Floating tensors and arrays are moved;
            integers, bools, strings and numbers of Python stay as they are.
        order: derivatives of order 1 to `order` are checked.
        modes: `"fwd"` (jvp), `"rev"` (vjp), or both; then also each of the other.
        eps: the step, times the size of large elements. By dtype: 2⁻¹⁷ for float64, 2⁻⁸ for
            float32.
        atol, rtol: |received - expected| ≤ atol + rtol · |expected|. By dtype: 1e-6 for float64,
            3e-3 for float32, with atol growing with the function's values.
        kwargs: keyword arguments, which stay as they are.
        seed: of the random directions.

    Raises:
        CheckError: a derivative is wrong, or the function gives other values the second time or
            changes a tensor. The text names argument, order, mode, direction and worst element.
        ValueRangeError: the tolerances are tighter than rounding in the arguments' dtype.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([0.5, 2.0], dtype=el.float64)
        >>> el.testing.check_grads(lambda x, n: (el.sin(x) * x).sum() / n, (x, 3))
    """
    args = args if type(args) is tuple else (args,)
    wanted = (modes,) if isinstance(modes, str) else tuple(modes)
    if not wanted or any(mode not in _MODES for mode in wanted):
        text = f"modes must be 'fwd', 'rev' or both, received {modes!r}"
        fail(ValueRangeError, _OP, text)
    if not isinstance(order, int) or order < 1:
        fail(ValueRangeError, _OP, f"order must be 1 or more, received {order!r}")
    leaves, structure = tree.flatten(args)
    places = [n for n, leaf in enumerate(leaves) if _is_smooth(leaf)]
    if not places:
        text = "expected a floating tensor among the arguments, received none"
        fail(GradientError, _OP, text, "pass `args` as a tuple of tensors")
    where = paths(args, "args")
    points = [asarray(leaves[n]).detach() for n in places]
    check = _settled([where[n] for n in places], points, wanted, eps, atol, rtol, seed)

    def moved(*xs: Any) -> list[Any]:
        given = list(leaves)
        for place, x in zip(places, xs, strict=True):
            given[place] = x
        found = function(*tree.unflatten(structure, given), **(kwargs or {}))
        return [y for y in tree.flatten(found)[0] if _is_smooth(y)]

    _need_pure(moved, points)
    _check(check, moved, points, order, 1, "")


def _is_smooth(leaf: Any) -> bool:
    """Whether something is an array that can be moved a little."""
    if isinstance(leaf, Cell):
        return leaf.dtype.kind in "fc"
    return isinstance(leaf, np.ndarray | np.generic) and (
        leaf.dtype.kind in "fc" or leaf.dtype.name == "bfloat16"
    )


def _settled(
    where: list[str],
    points: list[Any],
    modes: tuple[str, ...],
    eps: Any,
    atol: Any,
    rtol: Any,
    seed: int,
) -> Check:
    """The step and tolerances, refused where they ask for more than the dtype can give."""
    coarsest = max(points, key=lambda x: _PRECISION[x.dtype.name].unit).dtype.name
    usual = _PRECISION[coarsest]
    step = usual.eps if eps is None else float(eps)
    if not step > 0:
        fail(ValueRangeError, _OP, f"eps must be positive, received {eps!r}")
    given = [tolerance for tolerance in (atol, rtol) if tolerance is not None]
    least = 4 * usual.unit / step
    if given and max(given) < least:
        text = (
            f"atol={atol!r} and rtol={rtol!r} are too tight for {coarsest}: with eps={step:.3g} "
            f"rounding alone makes differences of {least:.1g}"
        )
        fail(ValueRangeError, _OP, text, "pass float64 tensors, or leave the tolerances out")
    absolute = usual.tolerance if atol is None else float(atol)
    relative = usual.tolerance if rtol is None else float(rtol)
    random = np.random.default_rng(seed)
    return Check(where, modes, step, absolute, relative, atol is None, usual.unit, random)


def _need_pure(function: Function, points: list[Any]) -> None:
    """Refuse a function that changes something, or whose values are not those of its arguments."""
    first = run(function, points, {})
    if not first.results:
        text = "the function gives no floating tensor, so there is nothing to differentiate"
        fail(GradientError, _OP, text)
    for cell, _ in first.written.values():
        drawn = cell is default_generator.state
        what = "draws random numbers" if drawn else f"changes a tensor from outside, {cell._type}"
        hint = "draw them before and pass them" if drawn else "pass it, and return the new one"
        fail(CheckError, _OP, f"the function {what}, so its values are not comparable", hint)
    unlike = first_difference(_OP, first.results, run(function, points, {}).results)
    if unlike is not None:
        text = f"the function gives other values when it is called again: {unlike}"
        fail(CheckError, _OP, text, "make it deterministic: no random numbers, no hidden state")


def _check(
    check: Check, function: Function, points: list[Any], order: int, now: int, trail: str
) -> None:
    """Hold the derivatives of `function` against differences; then theirs. `now`: their order."""
    values = function(*points)
    tangents = [_direction(check, x) for x in points]
    seeds = [_random(check, y.shape, y.dtype) for y in values]
    cotangents = [from_numpy(c, y.dtype) for c, y in zip(seeds, values, strict=True)]
    back: Any = None
    if "rev" in check.modes:
        back = vjp(function, *points)[1](cotangents)
    scale = max([1.0, *(float(np.abs(numbers(y)).max(initial=0.0)) for y in values)])
    for number in range(len(points)):
        case = _Case(check, function, points, number, tangents[number], now, scale)
        expected = case.numerical(case.direction)
        if "fwd" in check.modes:
            pushed = [x if n == number else np.zeros_like(x) for n, x in enumerate(tangents)]
            given = tuple(from_numpy(t, x.dtype) for t, x in zip(pushed, points, strict=True))
            received = jvp(function, tuple(points), given)[1]
            case.compare_forward(expected, received, f"fwd{trail}")
        if "rev" in check.modes:
            case.compare_reverse(expected, seeds, numbers(back[number]), f"rev{trail}")
    if order == 1:
        return
    ways = {"fwd": _pushed(function, points, tangents), "rev": _pulled(function, cotangents)}
    for mode in check.modes:
        _check(check, ways[mode], points, order - 1, now + 1, f" of {mode}{trail}")


def _pushed(function: Function, points: list[Any], tangents: list[Array]) -> Function:
    """x ↦ J(x)·t."""
    given = tuple(from_numpy(t, x.dtype) for t, x in zip(tangents, points, strict=True))
    return lambda *xs: jvp(function, xs, given)[1]


def _pulled(function: Function, cotangents: list[Any]) -> Function:
    """x ↦ J(x)ᵀ·c."""
    return lambda *xs: list(vjp(function, *xs)[1](cotangents))


def _random(check: Check, shape: Any, dtype: Any) -> Array:
    """Numbers of size 1/2 to 3/2 of either sign, so that no element goes unnoticed; those that the
    dtype has."""

    def drawn() -> Array:
        signs = check.random.integers(0, 2, shape) * 2.0 - 1.0
        return np.asarray(signs * check.random.uniform(0.5, 1.5, shape))

    found = drawn() + 1j * drawn() if dtype.kind == "c" else drawn()
    return numbers(from_numpy(found, dtype)).astype(found.dtype)


def _direction(check: Check, x: Any) -> Array:
    found = _random(check, x.shape, x.dtype)
    size = np.maximum(1.0, np.abs(numbers(x)).astype(np.float64))
    return numbers(from_numpy(found * size, x.dtype)).astype(found.dtype)


class _Case:
    """The derivative of a function by one of its arguments, in one direction."""

    def __init__(
        self,
        check: Check,
        function: Function,
        points: list[Any],
        number: int,
        direction: Array,
        order: int,
        scale: float,
    ) -> None:
        self.check, self.function, self.points = check, function, points
        self.number, self.direction, self.order, self.scale = number, direction, order, scale

    def numerical(self, direction: Array) -> list[Array]:
        """J·t from two values of the function, in float64."""
        eps, x = self.check.eps, self.points[self.number]
        base = numbers(x).astype(direction.dtype)
        ends = []
        for step in (eps, -eps):
            given = list(self.points)
            given[self.number] = from_numpy(base + step * direction, x.dtype)
            ends.append([_wide(y) for y in self.function(*given)])
        with np.errstate(all="ignore"):
            return [(up - down) / (2 * eps) for up, down in zip(*ends, strict=True)]

    def allowed(self, size: Any) -> Any:
        """How far a derivative of some size may be off."""
        check = self.check
        return check.atol * (self.scale if check.scaled else 1.0) + check.rtol * size

    def compare_forward(self, expected: list[Array], received: list[Any], mode: str) -> None:
        """Hold every element of J·t against the numerical one."""
        for number, (one, found) in enumerate(zip(expected, received, strict=True)):
            other = _wide(found)
            with np.errstate(all="ignore"):
                excess = np.abs(other - one) / self.allowed(np.abs(one))
            excess = np.where(np.isnan(one) & np.isnan(other), 0.0, excess)
            if not one.size or np.all(excess <= 1):
                continue
            at = int(np.argmax(np.where(np.isnan(excess), np.inf, excess)))
            place = tuple(int(i) for i in np.unravel_index(at, one.shape))
            which = f" of result {number}" if len(expected) > 1 else ""
            worst = f"worst element{which}: {format_shape(place)} of {found._type}"
            self.refuse(mode, one[place], other[place], worst)

    def compare_reverse(
        self, expected: list[Array], seeds: list[Array], gradient: Array, mode: str
    ) -> None:
        """Hold ⟨gradient, t⟩ against ⟨c, J·t⟩."""
        terms = [np.conj(c) * one for c, one in zip(seeds, expected, strict=True)]
        one = float(sum(np.real(term).sum() for term in terms))
        size = float(sum(np.abs(term).sum() for term in terms))
        wide = gradient.astype(np.complex128 if self.direction.dtype.kind == "c" else np.float64)
        other = float(np.real(np.conj(wide) * self.direction).sum())
        if np.isnan(one) and np.isnan(other) or abs(other - one) <= self.allowed(size):
            return
        self.refuse(mode, one, other, self._worst(seeds, wide))

    def _worst(self, seeds: list[Array], gradient: Array) -> str:
        """The element of the gradient that is most wrong, by moving them one by one."""
        count = gradient.size
        tried = np.unique(np.linspace(0, count - 1, min(count, _MOST_TRIED)).astype(int))
        found: list[tuple[float, str]] = []
        for at in tried:
            place = tuple(int(i) for i in np.unravel_index(at, gradient.shape))
            total: Any = 0.0
            for part in (1.0, 1j) if self.direction.dtype.kind == "c" else (1.0,):
                unit = np.zeros_like(self.direction)
                unit[place] = part
                moved = self.numerical(unit)
                pairs = zip(seeds, moved, strict=True)
                total += part * sum(float(np.real(np.conj(c) * one).sum()) for c, one in pairs)
            off = abs(total - gradient[place])
            text = f"{format_shape(place)}: expected {total:.9g}, received {gradient[place]:.9g}"
            found.append((np.inf if np.isnan(off) else off, text))
        most = "" if len(tried) == count else f" of {len(tried)} that were tried"
        return f"worst element{most}: {max(found)[1]}"

    def refuse(self, mode: str, expected: Any, received: Any, worst: str) -> NoReturn:
        """Say everything about a derivative that is wrong."""
        check, x = self.check, self.points[self.number]
        off = abs(received - expected)
        lines = [
            f"the derivative of order {self.order} by {check.paths[self.number]}, {x._type}, "
            f"is wrong in mode {mode!r}",
            f"    expected {expected:.9g} (from differences), received {received:.9g}, "
            f"off by {off:.3g}",
            f"    {worst}",
            f"    direction: {_shown(self.direction)}; eps={check.eps:.3g}, atol={check.atol:.3g}, "
            f"rtol={check.rtol:.3g}",
        ]
        hint = None
        if off <= 64 * check.unit * self.scale / check.eps and x.dtype.name != "float64":
            hint = f"rounding in {x.dtype.name} can make such differences: pass float64 tensors"
        fail(CheckError, _OP, "\n".join(lines), hint)


def _wide(y: Any) -> Array:
    """A result in double precision."""
    return numbers(y).astype(np.complex128 if y.dtype.kind == "c" else np.float64)


def _shown(direction: Array) -> str:
    """The first elements of a direction."""
    flat = direction.reshape(-1)
    shown = ", ".join(f"{value:.4g}" for value in flat[:4])
    return f"[{shown}{', …' if flat.size > 4 else ''}]"
