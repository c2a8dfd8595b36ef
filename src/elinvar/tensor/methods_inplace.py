"""Methods of tensors that change them in place: a new value is computed and the cell rebound.

Shape and dtype stay: a result that would need another shape, or another kind of dtype (floats into
an integer tensor), is refused as in PyTorch. Operators refuse signed integers in an unsigned
tensor, too, as in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount
from typing import Any

from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.tensor import elementwise as ew
from elinvar.tensor import random
from elinvar.tensor.cell import Cell
from elinvar.tensor.convert import cast, constant, expand, is_number, tensor_of
from elinvar.tensor.creation import fresh
from elinvar.tensor.dispatch import F
from elinvar.tensor.lost import watch_method, watch_operator

_RANK = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
_STRICT_RANK = {"b": 0, "u": 1, "i": 2, "f": 3, "c": 4}


def rebound(op: str, x: Any, value: Any, rank: dict[str, int] = _RANK) -> Any:
    """Rebind x to a value of the same shape, cast to its dtype; returns x."""
    if value.dtype is not x.dtype:
        if rank[value.dtype.kind] > rank[x.dtype.kind]:
            text = f"a result {value._type} does not fit into {x._type} in place"
            hint = "use the form that returns a new tensor, or cast: `x = x.astype(…)`"
            fail(DTypeError, op, text, hint)
        value = F.cast(value, dtype=x.dtype)
    if value.shape != x.shape:
        text = f"a result {value._type} does not fit into {x._type} in place"
        fail(ShapeError, op, text, "use the form that returns a new tensor")
    x._rebind(value if value is not x else fresh(value))
    return x


def _in_place(name: str) -> Any:
    """The form with a trailing underscore of a method."""
    op = f"{name}_"

    def method(self: Any, *args: Any, **options: Any) -> Any:
        watch_method(getrefcount(self), op, self)
        return rebound(op, self, getattr(self, name)(*args, **options))

    method.__name__ = method.__qualname__ = op
    method.__doc__ = f"`{name}` in place: computes the new value and rebinds the tensor."
    return method


def in_place_operator(name: str, function: Callable[[Any, Any], Any]) -> Any:
    """`x += y` and the like."""

    def method(self: Any, other: Any) -> Any:
        watch_operator(getrefcount(self), name, self)
        return rebound(name, self, function(self, other), _STRICT_RANK)

    method.__name__ = method.__qualname__ = name
    return method


def _filled(op: str, x: Any, value: Any) -> Any:
    """x, all of whose elements are a number."""
    if is_number(value):
        filler = constant(op, value, x.dtype)
    else:
        filler = cast(tensor_of(op, value), x.dtype)
    return rebound(op, x, expand(filler, x.shape))


class InPlaceMethods(Cell):
    """Methods with a trailing underscore."""

    __slots__ = ()

    abs_, neg_, exp_, log_, sqrt_ = (_in_place(n) for n in ("abs", "neg", "exp", "log", "sqrt"))
    sin_, cos_, tanh_, sigmoid_ = (_in_place(n) for n in ("sin", "cos", "tanh", "sigmoid"))
    floor_, ceil_, round_, trunc_ = (_in_place(n) for n in ("floor", "ceil", "round", "trunc"))
    square_, rsqrt_, reciprocal_ = (_in_place(n) for n in ("square", "rsqrt", "reciprocal"))
    relu_, sign_, erf_, erfinv_ = (_in_place(n) for n in ("relu", "sign", "erf", "erfinv"))
    add_, sub_, mul_, div_ = (_in_place(n) for n in ("add", "sub", "mul", "div"))
    subtract_, multiply_, divide_ = (_in_place(n) for n in ("subtract", "multiply", "divide"))
    pow_, remainder_, floor_divide_ = (_in_place(n) for n in ("pow", "remainder", "floor_divide"))
    clamp_, clip_, lerp_ = (_in_place(n) for n in ("clamp", "clip", "lerp"))
    addcmul_, addcdiv_ = _in_place("addcmul"), _in_place("addcdiv")
    logical_not_, logical_and_ = _in_place("logical_not"), _in_place("logical_and")
    logical_or_, logical_xor_ = _in_place("logical_or"), _in_place("logical_xor")
    masked_fill_, nan_to_num_ = _in_place("masked_fill"), _in_place("nan_to_num")
    scatter_, scatter_add_ = _in_place("scatter"), _in_place("scatter_add")
    index_add_, index_copy_ = _in_place("index_add"), _in_place("index_copy")
    index_fill_ = _in_place("index_fill")
    cumsum_, cumprod_ = _in_place("cumsum"), _in_place("cumprod")
    tril_, triu_ = _in_place("tril"), _in_place("triu")

    def copy_(self, src: Any, non_blocking: bool = False) -> Any:
        """Take the values of another tensor, broadcast and cast to this one's shape and dtype."""
        watch_method(getrefcount(self), "copy_", self)
        value = cast(tensor_of("copy_", src), self.dtype)
        return rebound("copy_", self, expand(value, self.shape))

    def fill_(self, value: Any) -> Any:
        """Set all elements to a number."""
        watch_method(getrefcount(self), "fill_", self)
        return _filled("fill_", self, value)

    def fill(self, value: Any) -> None:
        """NumPy's form of `fill_`, without a result."""
        watch_method(getrefcount(self), "fill", self)
        _filled("fill", self, value)

    def zero_(self) -> Any:
        """Set all elements to zero."""
        watch_method(getrefcount(self), "zero_", self)
        return _filled("zero_", self, 0)

    def _need_floats(self, op: str) -> None:
        if self.dtype.kind != "f":
            fail(DTypeError, op, f"expected a floating tensor, received {self._type}")

    def uniform_(self, a: float = 0.0, b: float = 1.0, *, generator: Any = None) -> Any:
        """Fill with numbers from the uniform distribution on [a, b)."""
        watch_method(getrefcount(self), "uniform_", self)
        self._need_floats("uniform_")
        drawn = random.uniform(a, b, self.shape, dtype=self.dtype, generator=generator)
        return rebound("uniform_", self, drawn)

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
        """Fill with numbers from a normal distribution."""
        watch_method(getrefcount(self), "normal_", self)
        self._need_floats("normal_")
        if std < 0:
            fail(ValueRangeError, "normal_", f"std must not be negative, received {std}")
        drawn = random.normal(mean, std, self.shape, dtype=self.dtype, generator=generator)
        return rebound("normal_", self, drawn)

    def bernoulli_(self, p: float = 0.5, *, generator: Any = None) -> Any:
        """Fill with 1 with probability p, else 0."""
        watch_method(getrefcount(self), "bernoulli_", self)
        drawn = random.bernoulli(p, self.shape, dtype=self.dtype, generator=generator)
        return rebound("bernoulli_", self, drawn)

    def random_(self, low: int = 0, high: int | None = None, *, generator: Any = None) -> Any:
        """Fill with integers from the uniform distribution on low … high-1."""
        watch_method(getrefcount(self), "random_", self)
        if high is None:
            low, high = (0, low) if low else (0, 2 ** min(31, max(1, self.dtype.bits - 1)))
        drawn = random.randint(low, high, self.shape, generator=generator)
        return rebound("random_", self, cast(drawn, self.dtype))

    def exponential_(self, lambd: float = 1.0, *, generator: Any = None) -> Any:
        """Fill with numbers from an exponential distribution."""
        watch_method(getrefcount(self), "exponential_", self)
        drawn = random.exponential(self.shape, dtype=self.dtype, generator=generator)
        return rebound("exponential_", self, ew.divide(drawn, lambd))
