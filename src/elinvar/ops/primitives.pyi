# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.

from typing import Any, Generic

from typing_extensions import TypeVar

from elinvar.core.dtypes import DType
from elinvar.core.shapes import DimLike, Shape

V = TypeVar("V", default=Any)
Pairs = tuple[tuple[int, ...], tuple[int, ...]]

class Primitives(Generic[V]):
    """All primitives on values of one kind: operands first, params by keyword."""

    def negative(self, x: V, /) -> V:
        """The number with the opposite sign."""

    def abs(self, x: V, /) -> V:
        """The absolute value. Its derivative at 0 is 0."""

    def sign(self, x: V, /) -> V:
        """The sign: -1, 0 or 1; NaN stays NaN. Its derivative is 0 everywhere."""

    def sqrt(self, x: V, /) -> V:
        """The square root; NaN for negative numbers. Its derivative at 0 is infinite."""

    def floor(self, x: V, /) -> V:
        """The largest integer that is not above x."""

    def ceil(self, x: V, /) -> V:
        """The smallest integer that is not below x."""

    def trunc(self, x: V, /) -> V:
        """The integer part of x."""

    def round(self, x: V, /) -> V:
        """The nearest integer; halves go to the even one."""

    def add(self, x: V, y: V, /) -> V:
        """The sum; integers wrap around."""

    def subtract(self, x: V, y: V, /) -> V:
        """The difference; integers wrap around."""

    def multiply(self, x: V, y: V, /) -> V:
        """The product; integers wrap around."""

    def divide(self, x: V, y: V, /) -> V:
        """The quotient of floats, with IEEE's infinities and NaN."""

    def floor_divide(self, x: V, y: V, /) -> V:
        """The quotient rounded down, as Python's `//`. Integers give 0 for a zero divisor."""

    def remainder(self, x: V, y: V, /) -> V:
        """The remainder with the divisor's sign, as Python's `%`; exact for floats."""

    def maximum(self, x: V, y: V, /) -> V:
        """The larger number. NaN wins, and -0 < +0."""

    def minimum(self, x: V, y: V, /) -> V:
        """The smaller number. NaN wins, and -0 < +0."""

    def exp(self, x: V, /) -> V:
        """The exponential function."""

    def expm1(self, x: V, /) -> V:
        """The exponential function less 1, accurate near 0."""

    def log(self, x: V, /) -> V:
        """The natural logarithm; -∞ at 0 and NaN for negative numbers."""

    def log1p(self, x: V, /) -> V:
        """The natural logarithm of 1 + x, accurate near 0."""

    def log2(self, x: V, /) -> V:
        """The logarithm to base 2, exact for powers of two."""

    def log10(self, x: V, /) -> V:
        """The logarithm to base 10."""

    def sinh(self, x: V, /) -> V:
        """The hyperbolic sine."""

    def cosh(self, x: V, /) -> V:
        """The hyperbolic cosine."""

    def tanh(self, x: V, /) -> V:
        """The hyperbolic tangent."""

    def asinh(self, x: V, /) -> V:
        """The inverse hyperbolic sine."""

    def acosh(self, x: V, /) -> V:
        """The inverse hyperbolic cosine; NaN below 1."""

    def atanh(self, x: V, /) -> V:
        """The inverse hyperbolic tangent; ±∞ at ±1 and NaN beyond."""

    def erf(self, x: V, /) -> V:
        """The error function."""

    def sin(self, x: V, /) -> V:
        """The sine, accurate for every finite x."""

    def cos(self, x: V, /) -> V:
        """The cosine, accurate for every finite x."""

    def tan(self, x: V, /) -> V:
        """The tangent, accurate for every finite x."""

    def asin(self, x: V, /) -> V:
        """The inverse sine, in -π/2 … π/2; NaN beyond ±1."""

    def acos(self, x: V, /) -> V:
        """The inverse cosine, in 0 … π; NaN beyond ±1."""

    def atan(self, x: V, /) -> V:
        """The inverse tangent, in -π/2 … π/2."""

    def atan2(self, y: V, x: V, /) -> V:
        """The angle of the point (x, y), in -π … π. The gradient at the origin is 0."""

    def power(self, x: V, y: V, /) -> V:
        """x to the power y. x^0 = 1 for every x; a negative x needs an integer y, else NaN."""

    def equal(self, x: V, y: V, /) -> V:
        """Whether x = y, element by element; false where an operand is NaN."""

    def not_equal(self, x: V, y: V, /) -> V:
        """Whether x ≠ y, element by element; true where an operand is NaN."""

    def less(self, x: V, y: V, /) -> V:
        """Whether x < y, element by element; false where an operand is NaN."""

    def less_equal(self, x: V, y: V, /) -> V:
        """Whether x ≤ y, element by element; false where an operand is NaN."""

    def greater(self, x: V, y: V, /) -> V:
        """Whether x > y, element by element; false where an operand is NaN."""

    def greater_equal(self, x: V, y: V, /) -> V:
        """Whether x ≥ y, element by element; false where an operand is NaN."""

    def isfinite(self, x: V, /) -> V:
        """Whether a number is neither infinite nor NaN."""

    def bitwise_invert(self, x: V, /) -> V:
        """All bits flipped; for bool: not."""

    def bitwise_and(self, x: V, y: V, /) -> V:
        """The bits set in both operands; for bool: and."""

    def bitwise_or(self, x: V, y: V, /) -> V:
        """The bits set in an operand at least; for bool: or."""

    def bitwise_xor(self, x: V, y: V, /) -> V:
        """The bits set in one operand only; for bool: either but not both."""

    def shift_left(self, x: V, y: V, /) -> V:
        """The bits of x moved up by y places."""

    def shift_right(self, x: V, y: V, /) -> V:
        """The bits of x moved down by y places; signed numbers keep their sign."""

    def where(self, condition: V, x: V, y: V, /) -> V:
        """Elements of x where the condition holds, of y elsewhere."""

    def constant(self, *, value: Any, dtype: DType) -> V:
        """One number."""

    def cast(self, x: V, /, *, dtype: DType) -> V:
        """The same value in another dtype."""

    def bitcast(self, x: V, /, *, dtype: DType) -> V:
        """The same bits read as another dtype of the same width. There is no gradient."""

    def stop_gradient(self, x: V, /) -> V:
        """The same value, as a constant for differentiation."""

    def copysign(self, x: V, y: V, /) -> V:
        """The size of x with the sign of y."""

    def nextafter(self, x: V, y: V, /) -> V:
        """The next number of the dtype from x towards y. The gradient passes to x."""

    def complex(self, re: V, im: V, /) -> V:
        """The complex numbers with these parts."""

    def real(self, x: V, /) -> V:
        """The real part of complex numbers."""

    def imag(self, x: V, /) -> V:
        """The imaginary part of complex numbers."""

    def sum(self, x: V, /, *, axes: tuple[int, ...]) -> V:
        """The sum of the elements along some axes: y = Σ x."""

    def prod(self, x: V, /, *, axes: tuple[int, ...]) -> V:
        """The product of the elements along some axes: y = Π x."""

    def max(self, x: V, /, *, axes: tuple[int, ...]) -> V:
        """The largest element along some axes; NaN if there is one."""

    def min(self, x: V, /, *, axes: tuple[int, ...]) -> V:
        """The smallest element along some axes; NaN if there is one."""

    def any(self, x: V, /, *, axes: tuple[int, ...]) -> V:
        """Logical or: true if one element is, along some axes."""

    def all(self, x: V, /, *, axes: tuple[int, ...]) -> V:
        """Logical and: true if all elements are, along some axes."""

    def argmax(self, x: V, /, *, axis: int) -> V:
        """The index of the largest element along an axis, the first one if several are equal."""

    def argmin(self, x: V, /, *, axis: int) -> V:
        """The index of the smallest element along an axis, the first one if several are equal."""

    def cumsum(self, x: V, /, *, axis: int, reverse: bool) -> V:
        """The sum of each element and all before it along an axis."""

    def cumprod(self, x: V, /, *, axis: int, reverse: bool) -> V:
        """The product of each element and all before it along an axis."""

    def cummax(self, x: V, /, *, axis: int, reverse: bool) -> V:
        """The largest of each element and all before it along an axis."""

    def cummin(self, x: V, /, *, axis: int, reverse: bool) -> V:
        """The smallest of each element and all before it along an axis."""

    def reshape(self, x: V, /, *, shape: Shape) -> V:
        """The same elements in row-major order in another shape."""

    def permute(self, x: V, /, *, axes: tuple[int, ...]) -> V:
        """The dimensions in another order: dimension d of the result is dimension axes[d] of x."""

    def broadcast(self, x: V, /, *, shape: Shape) -> V:
        """x repeated along new leading dimensions and along dimensions of size 1."""

    def concatenate(self, *xs: V, axis: int) -> V:
        """The operands one after the other along an axis."""

    def flip(self, x: V, /, *, axes: tuple[int, ...]) -> V:
        """The elements in reverse order along some axes."""

    def slice(self, x: V, /, *, start: Shape, size: Shape, step: tuple[int, ...]) -> V:
        """Equally spaced elements: element i along an axis is x's element start + i·step."""

    def pad(self, x: V, value: V, /, *, low: Shape, high: Shape, interior: Shape) -> V:
        """x with a value put before, after and between its elements."""

    def windows(
        self,
        x: V,
        /,
        *,
        axes: tuple[int, ...],
        sizes: tuple[int, ...],
        strides: tuple[int, ...],
        dilations: tuple[int, ...],
    ) -> V:
        """All windows of x along some axes: y[k…, i…] = x[i·stride + k·dilation]."""

    def fold(
        self,
        y: V,
        /,
        *,
        shape: Shape,
        axes: tuple[int, ...],
        sizes: tuple[int, ...],
        strides: tuple[int, ...],
        dilations: tuple[int, ...],
    ) -> V:
        """The sum of overlapping windows, the adjoint of `windows`."""

    def contract(
        self,
        x: V,
        y: V,
        /,
        *,
        batch: Pairs,
        axes: Pairs,
        dtype: DType | None = None,
    ) -> V:
        """Sums of products over pairs of dimensions; matrix products and their kin."""

    def convolution(
        self,
        x: V,
        w: V,
        /,
        *,
        stride: Shape,
        low: Shape,
        high: Shape,
        dilation: Shape,
        input_dilation: Shape,
        groups: int,
        batch_groups: int,
        channels_inner: bool,
        channels_last: bool,
        dtype: DType | None = None,
    ) -> V:
        """Cross-correlation of inputs [N, C, …] with kernels [O, C/groups, …]."""

    def fft(self, x: V, /, *, axis: int, inverse: bool, scale: float) -> V:
        """The discrete Fourier transform along an axis."""

    def rfft(self, x: V, /, *, axis: int, scale: float) -> V:
        """The first half of the discrete Fourier transform of real numbers along an axis."""

    def irfft(self, x: V, /, *, axis: int, length: int, scale: float) -> V:
        """The real numbers to which half a spectrum belongs, but for a factor."""

    def attention(
        self,
        q: V,
        k: V,
        v: V,
        /,
        *masks: V,
        scale: float,
        causal: bool,
        offset: Any,
    ) -> tuple[V, V]:
        """Scaled dot-product attention, and the logarithm of each row's sum."""

    def attention_backward(
        self,
        q: V,
        k: V,
        v: V,
        log_sum: V,
        delta: V,
        g: V,
        /,
        *masks: V,
        scale: float,
        causal: bool,
        offset: Any,
    ) -> tuple[V, V, V]:
        """The derivative of `attention` for its three first operands."""

    def iota(self, *, size: DimLike, dtype: DType) -> V:
        """The numbers 0, 1, …, size - 1."""

    def size_of(self, *, dim: DimLike) -> V:
        """The value of a dimension that may be symbolic."""

    def gather(self, x: V, i: V, /, *, axis: int) -> V:
        """Slices of x picked by indices: y[a…, p…, b…] = x[a…, i[p…], b…]."""

    def scatter(self, x: V, i: V, u: V, /, *, axis: int, mode: str) -> V:
        """x with slices overwritten or increased where indices point: the adjoint of gather."""

    def sort(self, x: V, /, *, axis: int, descending: bool) -> V:
        """The elements in increasing or decreasing order along an axis."""

    def argsort(self, x: V, /, *, axis: int, descending: bool) -> V:
        """The indices that sort x along an axis."""

    def top_k(self, x: V, /, *, k: DimLike) -> tuple[V, V]:
        """The k largest elements along the last axis, in decreasing order, and their indices."""

    def barrier(self, x: V, /, *, tag: Any) -> V:
        """x itself, but never shared, moved or simplified away; for recomputing on purpose."""

    def random_bits(self, state: V, /, *, shape: Shape) -> V:
        """32 random bits for each element, a function of the state and the element's place."""

    def cond(self, predicate: V, /, *operands: V, true: Any, false: Any) -> Any:
        """One of two sub-graphs, chosen when the program runs."""

    def while_loop(self, *operands: V, condition: Any, body: Any, carry: int) -> Any:
        """A sub-graph that is repeated while another one says so."""

    def scan(
        self,
        *operands: V,
        body: Any,
        carry: int,
        sequences: int,
        length: DimLike,
        reverse: bool,
    ) -> Any:
        """A sub-graph that runs over the rows of sequences and carries a state along."""

    def custom(
        self,
        *operands: V,
        body: Any,
        derivative: Any,
        mode: str,
        moving: int,
        kernel: str | None = None,
    ) -> Any:
        """A sub-graph with a derivative of its own."""
