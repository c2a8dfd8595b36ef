"""Arithmetic on sizes that runs on numbers and on sizes which are not known yet.

What a launch needs to know (tasks, blocks, strides, bytes) is a function of the symbolic dims. Such
functions are written once, in Python, with the words of this file. For a program that is bound to
sizes they run on ints. For a program that leaves this process they run on `Size`s, and what they
leave is an expression that native code evaluates when sizes are known.

    most, least, ceil_div        max, min, division that rounds up
    choose                       `a if condition else b`
    both, either, invert, same   and, or, not, ==
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from elinvar.core.errors import GraphError, fail

_known: weakref.WeakValueDictionary[Any, Size] = weakref.WeakValueDictionary()


class Size:
    """A whole number that is not known yet: a word and its arguments.

    Equal expressions are one object. Comparisons give a `Size` that is 0 or 1.

    Example:
        >>> n = Size.named("n")
        >>> (2 * n + 1).at({"n": 5}), (n // 2 >= 3).at({"n": 5})
        (11, 0)
        >>> (n + 1) is (n + 1)
        True
    """

    __slots__ = ("__weakref__", "arguments", "word")
    word: str
    arguments: tuple[Any, ...]

    def __new__(cls, word: str, *arguments: Any) -> Size:
        key = (word, *arguments)
        found = _known.get(key)
        if found is None:
            found = object.__new__(cls)
            found.word, found.arguments = word, arguments
            _known[key] = found
        return found

    @staticmethod
    def named(name: str) -> Size:
        """The size of a symbolic dim."""
        return Size("name", name)

    def __add__(self, other: AnySize) -> AnySize:
        return self if _is(other, 0) else Size("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: AnySize) -> AnySize:
        return self if _is(other, 0) else Size("add", self, -1 * other)

    def __rsub__(self, other: AnySize) -> AnySize:
        return -1 * self + other

    def __neg__(self) -> AnySize:
        return -1 * self

    def __mul__(self, other: AnySize) -> AnySize:
        if _is(other, 0):
            return 0
        if _is(other, 1):
            return self
        if self.word == "mul" and isinstance(other, int) and isinstance(self.arguments[1], int):
            return self.arguments[0] * (self.arguments[1] * other)
        return Size("mul", self, other)

    __rmul__ = __mul__

    def __floordiv__(self, other: AnySize) -> AnySize:
        return self if _is(other, 1) else Size("div", self, other)

    def __rfloordiv__(self, other: AnySize) -> AnySize:
        return Size("div", other, self)

    def __mod__(self, other: AnySize) -> AnySize:
        return 0 if _is(other, 1) else Size("rem", self, other)

    def __rmod__(self, other: AnySize) -> AnySize:
        return Size("rem", other, self)

    def __lt__(self, other: AnySize) -> Any:
        return Size("less", self, other)

    def __gt__(self, other: AnySize) -> Any:
        return Size("less", other, self)

    def __le__(self, other: AnySize) -> Any:
        return Size("less", self, other + 1)

    def __ge__(self, other: AnySize) -> Any:
        return Size("less", other, self + 1)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Size):
            return self is other
        fail(GraphError, "size", f"whether {self} == {other} is not known yet; use `same`")

    def __ne__(self, other: object) -> Any:
        return self is not other if isinstance(other, Size) else invert(same(self, other))

    def __hash__(self) -> int:
        return id(self) >> 4

    def __bool__(self) -> bool:
        fail(GraphError, "size", f"{self} is not known yet; use `choose`")

    def __repr__(self) -> str:
        if self.word == "name":
            return str(self.arguments[0])
        return f"{self.word}({', '.join(map(str, self.arguments))})"

    def at(self, sizes: Mapping[str, int]) -> int:
        """The number for given sizes of the symbolic dims."""
        return int(value_of(self, sizes, {}))


AnySize = int | Size


def value_of(size: Any, sizes: Mapping[str, int], known: dict[Any, int]) -> int:
    """The number of an expression; `known` are those that have been computed before."""
    if not isinstance(size, Size):
        return int(size)
    if size not in known:
        if size.word == "name":
            known[size] = sizes[size.arguments[0]]
        elif size.word == "every":
            known[size] = int(bool((size.arguments[0].array(sizes) != 0).all()))
        else:
            given = [value_of(argument, sizes, known) for argument in size.arguments]
            known[size] = int(_MEANING[size.word](*given))
    return known[size]


_MEANING: dict[str, Callable[..., int]] = {
    "add": operator.add,
    "mul": operator.mul,
    "div": lambda a, b: a // b if b else 0,
    "rem": lambda a, b: a % b if b else 0,
    "min": min,
    "max": max,
    "less": operator.lt,
    "same": operator.eq,
    "choose": lambda condition, a, b: a if condition else b,
}


def _is(value: Any, number: int) -> bool:
    return not isinstance(value, Size) and value == number


def most(*values: Any) -> Any:
    """The largest."""
    return _fold("max", max, values)


def least(*values: Any) -> Any:
    """The smallest."""
    return _fold("min", min, values)


def _fold(word: str, plain: Callable[..., int], values: tuple[Any, ...]) -> Any:
    numbers = [value for value in values if not isinstance(value, Size)]
    unknown = list(dict.fromkeys(value for value in values if isinstance(value, Size)))
    if not unknown:
        return plain(numbers)
    total: Any = unknown[0]
    for value in unknown[1:]:
        total = Size(word, total, value)
    return Size(word, total, int(plain(numbers))) if numbers else total


def ceil_div(value: Any, divisor: Any) -> Any:
    """How many times `divisor` fits, the last one in part."""
    return -(-value // divisor)


def _made(value: Any) -> Any:
    """What a function without arguments gives; a number as it is, also one that can be called, as
    the number of elements of a tensor."""
    return value() if callable(value) and not isinstance(value, int) else value


def choose(condition: Any, first: Any, second: Any) -> Any:
    """`first` where the condition holds, else `second`. Either may be a function without arguments,
    which is then called only if it is needed."""
    if not isinstance(condition, Size):
        taken = first if condition else second
        return _made(taken)
    first, second = _made(first), _made(second)
    same_number = not isinstance(first, Size) and not isinstance(second, Size) and first == second
    if first is second or same_number:
        return first
    return Size("choose", condition, first, second)


def invert(condition: Any) -> Any:
    """Whether the condition does not hold."""
    return choose(condition, 0, 1) if isinstance(condition, Size) else not condition


def both(first: Any, second: Any) -> Any:
    """Whether both conditions hold; `second` may be a function, called if it is needed."""
    return choose(first, second, 0)


def either(first: Any, second: Any) -> Any:
    """Whether one of two conditions holds; `second` may be a function, called if it is needed."""
    return choose(first, 1, second)


def same(first: Any, second: Any) -> Any:
    """Whether two numbers are equal."""
    if isinstance(first, Size) or isinstance(second, Size):
        return 1 if first is second else Size("same", first, second)
    return first == second
