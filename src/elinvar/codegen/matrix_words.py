"""Words for kernels of matrix factorizations: variables, endless loops, vectors along rows.

Matrices lie in row-major order. Numbers of rows and columns are i64 names, as in `Body`; elements
are `Scalar`s. A row is worked off in vectors of several widths, widest first, then one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from elinvar.codegen.body import Body
from elinvar.codegen.heavy import load, store
from elinvar.codegen.llvm_scalars import LLVMHandler, llvm_type, memory_type
from elinvar.core.dtypes import DType, float64, int64
from elinvar.ops.scalars import Scalar, fma, select

WHOLE = 8  # lanes of the vectors of which rows in scratch memory are made


class Variable:
    """A number that changes."""

    def __init__(self, words: Words, dtype: DType, lanes: int) -> None:
        self.words, self.dtype, self.lanes = words, dtype, lanes
        self.kind = llvm_type(dtype, lanes)
        self.slot = words.stack_slot(self.kind, "v")

    def get(self) -> Scalar:
        payload = self.words.instruction(f"load {self.kind}, ptr {self.slot}, align 64")
        return Scalar(LLVMHandler(self.words, self.lanes), self.dtype, payload)

    def set(self, value: Scalar | float) -> None:
        if not isinstance(value, Scalar):
            value = self.words.number(value, self.dtype, self.lanes)
        self.words.emit(f"store {self.kind} {value.payload}, ptr {self.slot}, align 64")


class Counter:
    """An i64 that changes, as a name."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.slot = words.stack_slot("i64", "k", 8)

    def get(self) -> str:
        return self.words.instruction(f"load i64, ptr {self.slot}, align 8", "k")

    def set(self, value: str) -> None:
        self.words.emit(f"store i64 {value}, ptr {self.slot}, align 8")

    def add(self, value: str) -> None:
        self.set(self.words.add(self.get(), value))


class Words(Body):
    """A function body with the words of this file."""

    __slots__ = ()
    has_vectors = True

    def number(self, value: float, dtype: DType, lanes: int = 1) -> Scalar:
        handler = LLVMHandler(self, lanes)
        return Scalar(handler, dtype, handler.instruction("const", dtype, (value,)))

    def variable(self, dtype: DType, value: Scalar | float = 0.0, lanes: int = 1) -> Variable:
        found = Variable(self, dtype, lanes)
        found.set(value)
        return found

    def counter(self, value: str = "0") -> Counter:
        found = Counter(self)
        found.set(value)
        return found

    def at(self, pointer: str, dtype: DType, offset: str) -> str:
        """The address of an element."""
        text = f"getelementptr inbounds {memory_type(dtype)}, ptr {pointer}, i64 {offset}"
        return self.instruction(text, "p")

    def load(self, pointer: str, dtype: DType, offset: str, lanes: int = 1) -> Scalar:
        return load(self, pointer, dtype, offset, lanes)

    def store(self, pointer: str, offset: str, value: Scalar, lanes: int = 1) -> None:
        store(self, pointer, offset, value, lanes)

    def load_count(self, pointer: str, offset: str = "0") -> str:
        """An i64 from memory, as a name."""
        found: str = load(self, pointer, int64, offset).payload
        return found

    def store_count(self, pointer: str, offset: str, value: str) -> None:
        store(self, pointer, offset, Scalar(LLVMHandler(self, 1), int64, value))

    def is_less(self, left: str, right: str) -> str:
        return self.instruction(f"icmp slt i64 {left}, {right}", "c")

    def is_equal(self, left: str, right: str) -> str:
        return self.instruction(f"icmp eq i64 {left}, {right}", "c")

    def negated(self, condition: str) -> str:
        return self.instruction(f"xor i1 {condition}, true", "c")

    def both(self, left: str, right: str) -> str:
        return self.instruction(f"and i1 {left}, {right}", "c")

    def choose(self, condition: str, yes: str, no: str) -> str:
        return self.instruction(f"select i1 {condition}, i64 {yes}, i64 {no}", "n")

    def down(self, value: str, step: int) -> str:
        """The largest multiple of a power of two up to a number."""
        return self.instruction(f"and i64 {value}, {-step}", "n")

    def splat(self, value: Scalar, lanes: int) -> Scalar:
        """The same number in all lanes."""
        if lanes == 1:
            return value
        kind, element = llvm_type(value.dtype, lanes), llvm_type(value.dtype)
        one = self.instruction(f"insertelement {kind} poison, {element} {value.payload}, i64 0")
        zeros = f"<{lanes} x i32> zeroinitializer"
        payload = self.instruction(f"shufflevector {kind} {one}, {kind} poison, {zeros}")
        return Scalar(LLVMHandler(self, lanes), value.dtype, payload)

    def added_up(self, value: Scalar, lanes: int) -> Scalar:
        """The sum of all lanes, by halves."""
        payload = value.payload
        while lanes > 1:
            half = lanes // 2
            kind = llvm_type(value.dtype, lanes)
            parts = []
            for first in (0, half):
                places = ", ".join(f"i32 {first + n}" for n in range(half))
                text = f"shufflevector {kind} {payload}, {kind} poison, <{half} x i32> <{places}>"
                parts.append(self.instruction(text))
            if half == 1:
                narrow = llvm_type(value.dtype)
                parts = [
                    self.instruction(f"extractelement <1 x {narrow}> {part}, i64 0")
                    for part in parts
                ]
            element = llvm_type(value.dtype, half)
            payload = self.instruction(f"fadd {element} {parts[0]}, {parts[1]}")
            lanes = half
        return Scalar(LLVMHandler(self, 1), value.dtype, payload)

    def lanes_from(self, first: str, place: str, lanes: int) -> Scalar:
        """For each lane whether its number, counted from `first`, is at least `place`."""
        handler = LLVMHandler(self, lanes)
        counts = ", ".join(f"i64 {n}" for n in range(lanes))
        kind = llvm_type(int64, lanes)
        start = self.splat(Scalar(LLVMHandler(self, 1), int64, first), lanes).payload
        own = self.instruction(f"add {kind} {start}, <{counts}>")
        least = self.splat(Scalar(LLVMHandler(self, 1), int64, place), lanes)
        return Scalar(handler, int64, own) >= least

    @contextmanager
    def forever(self, hint: str = "again") -> Iterator[str]:
        """A loop that ends where `leave` is called with the label that this yields."""
        head, end = self.new_label(f"{hint}.head"), self.new_label(f"{hint}.end")
        self.emit(f"br label %{head}")
        self.start(head)
        with self.scope():
            yield end
        self.emit(f"br label %{head}")
        self.start(end)

    def leave(self, end: str, condition: str) -> None:
        """Go to the end of a loop if the condition holds."""
        stay = self.new_label("stay")
        self.emit(f"br i1 {condition}, label %{end}, label %{stay}")
        self.start(stay)

    def along(
        self, low: str, high: str, widths: tuple[int, ...], act: Callable[[str, int], None]
    ) -> None:
        """act(column, lanes) for all columns, in vectors of these widths, widest first."""
        for width in widths:
            if width == 1:
                with self.loop(low, high, 1, "j") as column:
                    act(column, 1)
                return
            count = self.sub(high, low)
            stop = self.add(low, self.down(self.maximum(count, "0"), width))
            with self.loop(low, stop, width, "j") as column:
                act(column, width)
            low = stop

    def by_fours(self, low: str, high: str, act: Callable[[str, int], None]) -> None:
        """act(row, count) for all rows, four at once, then one by one."""
        stop = self.add(low, self.down(self.sub(high, low), 4))
        with self.loop(low, stop, 4, "i") as i:
            act(i, 4)
        with self.loop(stop, high, 1, "i") as i:
            act(i, 1)

    def hypot(self, x: Scalar, y: Scalar) -> Scalar:
        """√(x² + y²) of numbers whose squares are normal."""
        return fma(x, x, y * y).sqrt()

    def copied(self, source: str, target: str, dtype: DType, count: str) -> None:
        """A run of elements, copied."""

        def move(place: str, lanes: int) -> None:
            self.store(target, place, self.load(source, dtype, place, lanes), lanes)

        self.along("0", count, (WHOLE, 1), move)

    def dot(self, x: str, y: str, dtype: DType, low: str, high: str) -> Scalar:
        """Σ x·y over a run of elements in 8 lanes, then what is left one by one."""
        totals = {lanes: self.variable(dtype, 0.0, lanes) for lanes in (8, 1)}

        def add(place: str, lanes: int) -> None:
            a, b = (self.load(z, dtype, place, lanes) for z in (x, y))
            totals[lanes].set(fma(a, b, totals[lanes].get()))

        self.along(low, high, (8, 1), add)
        return self.added_up(totals[8].get(), 8) + totals[1].get()

    def filled(self, target: str, value: Scalar, low: str, high: str) -> None:
        """A run of elements, all the same."""

        def put(place: str, lanes: int) -> None:
            self.store(target, place, self.splat(value, lanes), lanes)

        self.along(low, high, (WHOLE, 1), put)


def padded(words: Words, size: str) -> str:
    """The length of rows in scratch memory: whole vectors, and one more, or the rows of a matrix
    whose size is a power of two would all want the same places in the cache."""
    return words.add(words.down(words.add(size, str(WHOLE - 1)), WHOLE), str(WHOLE))


def recorded(
    words: Words, places: str, turns: str, count: Counter, rows: tuple[str, str],
    cosine: Scalar, sine: Scalar,
) -> None:  # fmt: skip
    """Note a rotation: row a becomes c a + s b, row b becomes c b - s a.

    Rounding left c² + s² near 1; half of what is missing goes back to each, or lengths would drift.
    """
    one, two = cosine * cosine, sine * sine
    rest = fma(cosine, cosine, -one) + fma(sine, sine, -two)  # the squares are one + two + rest
    missing = ((one.like(1.0) - one.max(two)) - one.min(two) - rest) * 0.5
    cosine, sine = fma(cosine, missing, cosine), fma(sine, missing, sine)
    first = words.mul(count.get(), "2")
    second = words.add(first, "1")
    words.store_count(places, first, rows[0])
    words.store_count(places, second, rows[1])
    words.store(turns, first, cosine)
    words.store(turns, second, sine)
    count.add("1")


def reflection(
    words: Words, own: Scalar, total: Scalar, least: float
) -> tuple[Scalar, Scalar, Scalar]:
    """(β, τ, 1 / (α - β)) of Householder's reflection for α and the sum of squares below it.

    Where the squares are too small to be accurate the numbers below α count as 0, and τ is 0.
    """
    is_small = total < least
    norm = fma(own, own, total).sqrt()
    left = -norm.copysign(own)
    safe = select(is_small, 1.0, left)
    factor = select(is_small, 0.0, (left - own) / safe)
    scale = select(is_small, 0.0, words.number(1.0, own.dtype) / select(is_small, 1.0, own - left))
    return select(is_small, own, left), factor, scale


def negligible(dtype: DType) -> float:
    """Up to which a sum of squares is too small to be accurate, in matrices of size 1."""
    return 2.0**-930 if dtype is float64 else 2.0**-95
