"""Index arithmetic: sums of integer multiples of atoms, simplified as they are built.

    Lin    constant + Σ coefficient · atom; coefficients are ints or dims
    atoms  Var (a loop variable, 0 ≤ v < extent) · Div · Mod · Loaded (read from memory) · Clamped
    Cond   a conjunction of comparisons

Ops' index maps (ops/indexing.py) are evaluated on these; the emitter turns them into addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from elinvar.core.shapes import Dim, DimLike


class Var:
    """A loop variable with its extent. Identity is identity."""

    __slots__ = ("extent", "name")

    extent: DimLike
    name: str

    def __init__(self, name: str, extent: DimLike) -> None:
        self.name, self.extent = name, extent

    def __repr__(self) -> str:
        return self.name


class Atom:
    """A term that is no loop variable: `div`, `mod`, `load` or `clamp` with its arguments."""

    __slots__ = ("_hash", "args", "kind")

    args: tuple[Any, ...]
    kind: str

    def __init__(self, kind: str, *args: Any) -> None:
        self.kind, self.args = kind, args
        self._hash = hash((kind, args))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and self.kind == other.kind and self.args == other.args

    def __repr__(self) -> str:
        symbol = {"div": "//", "mod": "%"}.get(self.kind)
        if symbol:
            return f"({self.args[0]}){symbol}{self.args[1]}"
        return f"{self.kind}({', '.join(map(str, self.args))})"


def nonnegative(value: DimLike) -> bool:
    """True when a dim expression is provably ≥ 0 (sizes are ≥ 0)."""
    if isinstance(value, Dim):
        return all(factor >= 0 for factor in value.terms.values())
    return value >= 0


def divides(value: DimLike, divisor: DimLike) -> DimLike | None:
    """value / divisor when that is exact, else None."""
    if isinstance(value, int) and isinstance(divisor, int):
        return value // divisor if divisor and value % divisor == 0 else None
    if value == 0:
        return 0
    if value == divisor:
        return 1
    value_terms = value.terms if isinstance(value, Dim) else {(): value}
    divisor_terms = divisor.terms if isinstance(divisor, Dim) else {(): divisor}
    if len(divisor_terms) != 1:
        return None
    ((names, factor),) = divisor_terms.items()
    quotient: DimLike = 0
    for monomial, coefficient in value_terms.items():
        left = list(monomial)
        for name in names:
            if name not in left:
                return None
            left.remove(name)
        if factor == 0 or coefficient % factor:
            return None
        term: DimLike = coefficient // factor
        for name in left:
            term = term * Dim(name)
        quotient = quotient + term
    return quotient


class Lin:
    """A linear form over atoms. Immutable; equal forms are equal."""

    __slots__ = ("_hash", "const", "terms")

    const: DimLike

    def __init__(self, const: DimLike = 0, terms: Mapping[Any, DimLike] | None = None) -> None:
        self.const = const
        self.terms: dict[Any, DimLike] = {a: c for a, c in (terms or {}).items() if c != 0}
        self._hash = hash((const, frozenset(self.terms.items())))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lin) and self.const == other.const and self.terms == other.terms

    def __repr__(self) -> str:
        parts = [f"{c}*{a}" if c != 1 else f"{a}" for a, c in self.terms.items()]
        if self.const != 0 or not parts:
            parts.append(str(self.const))
        return " + ".join(parts)

    @property
    def is_zero(self) -> bool:
        return not self.terms and type(self.const) is int and self.const == 0

    def __add__(self, other: Any) -> Lin:
        other = lin(other)
        if other.is_zero:
            return _rejoined(self)
        if self.is_zero:
            return _rejoined(other)
        terms = dict(self.terms)
        for atom, coefficient in other.terms.items():
            terms[atom] = terms.get(atom, 0) + coefficient
        return _rejoined(Lin(self.const + other.const, terms))

    __radd__ = __add__

    def __neg__(self) -> Lin:
        return self * -1

    def __sub__(self, other: Any) -> Lin:
        return self + -lin(other)

    def __rsub__(self, other: Any) -> Lin:
        return -self + other

    def __mul__(self, factor: Any) -> Lin:
        if type(factor) is int and factor == 1:
            return self
        if isinstance(factor, Lin):
            if not factor.terms:
                factor = factor.const
            elif not self.terms:
                return factor * self.const
            else:
                raise TypeError("a product of two indices is not linear")
        return Lin(self.const * factor, {a: c * factor for a, c in self.terms.items()})

    __rmul__ = __mul__

    def __floordiv__(self, divisor: DimLike) -> Lin:
        return _split(self, divisor)[0]

    def __mod__(self, divisor: DimLike) -> Lin:
        return _split(self, divisor)[1]

    def lt(self, other: Any) -> Cond:
        return compare("lt", self, lin(other))

    def le(self, other: Any) -> Cond:
        return compare("le", self, lin(other))

    def gt(self, other: Any) -> Cond:
        return compare("lt", lin(other), self)

    def ge(self, other: Any) -> Cond:
        return compare("le", lin(other), self)

    def eq(self, other: Any) -> Cond:
        return compare("eq", self, lin(other))

    def substitute(self, mapping: Callable[[Any], Lin | None]) -> Lin:
        """Replace atoms, also inside of div, mod, load and clamp."""
        result = Lin(self.const)
        for atom, coefficient in self.terms.items():
            result = result + _substitute_atom(atom, mapping) * coefficient
        return result

    def depends_on(self, var: Var) -> bool:
        return any(atom_depends(atom, var) for atom in self.terms)

    def bounds(self) -> tuple[DimLike, DimLike] | None:
        """Inclusive lower and upper bound, or None when unknown."""
        low = high = self.const
        for atom, coefficient in self.terms.items():
            limit = _atom_limit(atom)
            if limit is None:
                return None
            if nonnegative(coefficient):
                high = high + coefficient * limit
            elif nonnegative(-1 * coefficient):
                low = low + coefficient * limit
            else:
                return None
        return low, high


def _rejoined(value: Lin) -> Lin:
    """c·d·(x // d) + c·(x % d) → c·x."""
    for atom, factor in value.terms.items():
        if isinstance(atom, Atom) and atom.kind == "mod":
            inside, divisor = atom.args
            quotient = Atom("div", inside, divisor)
            if value.terms.get(quotient, 0) == factor * divisor:
                kept = {a: c for a, c in value.terms.items() if a != atom and a != quotient}
                return Lin(value.const, kept) + inside * factor
    return value


def lin(value: Any) -> Lin:
    """A Lin from a Lin, a Var, an int or a Dim."""
    if isinstance(value, Lin):
        return value
    if isinstance(value, Var | Atom):
        return Lin(0, {value: 1})
    return Lin(value)


def variable(var: Var) -> Lin:
    """The index that is a loop variable; 0 when its extent is 1."""
    return Lin(0) if var.extent == 1 else Lin(0, {var: 1})


def _atom_limit(atom: Any) -> DimLike | None:
    """The largest value of an atom whose smallest is 0."""
    if isinstance(atom, Var):
        return atom.extent - 1
    if atom.kind in ("mod", "clamp"):
        return atom.args[1] - 1
    if atom.kind == "div":
        bounds = atom.args[0].bounds()
        if bounds is None or not isinstance(bounds[1], int) or not isinstance(atom.args[1], int):
            return None
        return bounds[1] // atom.args[1]
    return None


def atom_depends(atom: Any, var: Var) -> bool:
    if isinstance(atom, Var):
        return atom is var
    for argument in atom.args:
        if isinstance(argument, Lin | Cond) and argument.depends_on(var):
            return True
        if isinstance(argument, tuple) and any(
            isinstance(item, Lin) and item.depends_on(var) for item in argument
        ):
            return True
    return False


def _substitute_atom(atom: Any, mapping: Callable[[Any], Lin | None]) -> Lin:
    found = mapping(atom)
    if found is not None:
        return found
    if isinstance(atom, Var):
        return Lin(0, {atom: 1})
    if atom.kind == "div":
        return atom.args[0].substitute(mapping) // atom.args[1]
    if atom.kind == "mod":
        return atom.args[0].substitute(mapping) % atom.args[1]
    arguments = tuple(
        argument.substitute(mapping)
        if isinstance(argument, Lin | Cond)
        else tuple(item.substitute(mapping) for item in argument)
        if isinstance(argument, tuple)
        else argument
        for argument in atom.args
    )
    return Lin(0, {Atom(atom.kind, *arguments): 1})


def _without_negatives(quotient: Lin, rest: Lin, divisor: int) -> tuple[Lin, Lin]:
    """The same quotient · divisor + rest, with no negative factor in the rest: machines round
    towards zero, and a variable that was split may leave `i - 1` to be divided."""
    for atom, factor in [(None, rest.const), *rest.terms.items()]:
        if isinstance(factor, int) and factor < 0:
            part = (Lin(1) if atom is None else Lin(0, {atom: 1})) * (factor // divisor)
            quotient, rest = quotient + part, rest - part * divisor
    return quotient, rest


def _split(value: Lin, divisor: DimLike) -> tuple[Lin, Lin]:
    """Quotient and remainder by a positive divisor, simplified where ranges allow."""
    if divisor == 1:
        return value, Lin(0)
    quotient, rest = Lin(0), Lin(0)
    for atom, coefficient in value.terms.items():
        exact = divides(coefficient, divisor)
        if exact is not None:
            quotient = quotient + Lin(0, {atom: exact})
        else:
            rest = rest + Lin(0, {atom: coefficient})
    exact = divides(value.const, divisor)
    if exact is not None:
        quotient = quotient + exact
    else:
        rest = rest + value.const
    if not rest.terms and isinstance(rest.const, int) and isinstance(divisor, int):
        return quotient + rest.const // divisor, Lin(rest.const % divisor)
    bounds = rest.bounds()
    if bounds is not None and nonnegative(bounds[0]) and nonnegative(divisor - 1 - bounds[1]):
        return quotient, rest
    if isinstance(divisor, int):
        quotient, rest = _without_negatives(quotient, rest, divisor)
        bounds = rest.bounds()
        if bounds is not None and nonnegative(divisor - 1 - bounds[1]):
            return quotient, rest
    return (
        quotient + Lin(0, {Atom("div", rest, divisor): 1}),
        Lin(0, {Atom("mod", rest, divisor): 1}),
    )


class Cond:
    """A conjunction of comparisons (kind, left, right); empty: always true."""

    __slots__ = ("tests",)

    tests: frozenset[tuple[str, Lin, Lin]]

    def __init__(self, tests: frozenset[tuple[str, Lin, Lin]] = frozenset()) -> None:
        self.tests = tests

    def __and__(self, other: Cond | None) -> Cond:
        return self if other is None else Cond(self.tests | other.tests)

    __rand__ = __and__

    def __hash__(self) -> int:
        return hash(self.tests)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cond) and self.tests == other.tests

    def __repr__(self) -> str:
        sign = {"lt": "<", "le": "≤", "eq": "="}
        return " & ".join(sorted(f"{a} {sign[k]} {b}" for k, a, b in self.tests)) or "true"

    def substitute(self, mapping: Callable[[Any], Lin | None]) -> Cond:
        tests = Cond()
        for kind, left, right in self.tests:
            tests = tests & compare(kind, left.substitute(mapping), right.substitute(mapping))
        return tests

    def depends_on(self, var: Var) -> bool:
        return any(a.depends_on(var) or b.depends_on(var) for _, a, b in self.tests)


TRUE = Cond()


def compare(kind: str, left: Lin, right: Lin) -> Cond:
    """left (lt | le | eq) right, dropped where it always holds.

    What cannot change the outcome is left out: with 0 ≤ j < 32, 512 ≤ 32·i + j means 16 ≤ i.
    """
    difference = right - left
    bounds = difference.bounds()
    if bounds is not None:
        low, high = bounds
        if kind == "le" and nonnegative(low):
            return TRUE
        if kind == "lt" and nonnegative(low - 1):
            return TRUE
        if kind == "eq" and low == 0 and high == 0:
            return TRUE
    if kind != "eq":
        shorter = _without_small_terms(difference - (kind == "lt"))
        if shorter is not None:
            return compare("le", Lin(0), shorter)
    return Cond(frozenset([(kind, left, right)]))


def _without_small_terms(value: Lin) -> Lin | None:
    """A form with fewer terms that is ≥ 0 where `value` is, None where none is known.

    d·B + R ≥ 0 for an integer B means B + ⌊R / d⌋ ≥ 0; this helps where R has one such quotient.
    """
    factors = {a: factor for a, factor in value.terms.items() if isinstance(factor, int)}
    if len(factors) < 2 or len(factors) < len(value.terms):
        return None
    divisor = max(map(abs, factors.values()))
    big = {atom: factor // divisor for atom, factor in factors.items() if factor % divisor == 0}
    small = Lin(value.const, {a: factor for a, factor in factors.items() if a not in big})
    bounds = small.bounds()
    if divisor < 2 or not small.terms or bounds is None:
        return None
    low, high = bounds
    if not (isinstance(low, int) and isinstance(high, int)) or low // divisor != high // divisor:
        return None
    return Lin(low // divisor, big)


class IndexBuilder:
    """What ops' index maps receive as `ix`."""

    def __init__(self, load: Callable[[int, tuple[Lin, ...]], Lin] | None = None) -> None:
        self._load = load

    def load(self, operand: int, index: tuple[Any, ...]) -> Lin:
        """An index that is read from an operand."""
        assert self._load is not None
        return self._load(operand, tuple(lin(i) for i in index))

    @staticmethod
    def clamp(value: Any, size: DimLike) -> Lin:
        """`value` moved into 0 … size-1."""
        return Lin(0, {Atom("clamp", lin(value), size): 1})
