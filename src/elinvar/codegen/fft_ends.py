"""What stands before and behind transforms: real numbers in pairs, and chirps.

Real numbers of even count n = 2m are transformed as z[j] = x[2j] + i x[2j+1]. With w = exp(-2πi/n),
for 0 < k < m,

    split    X[k] = (e + t) / 2, X[m-k] = conj(e - t) / 2    with e, o = z[k] ± z̄[m-k], t = -i wᵏ o
    merge    z[k] =  e + t,      z[m-k] = conj(e - t)        with e, o = X[k] ± X̄[m-k], t = i w⁻ᵏ o

and at k = 0 X[0] and X[m] are real. Where m is even, k = m/2 is its own mirror image.

Lengths with a prime factor above 13 are a circular convolution with a chirp, exp(-πi j²/n), of
which these kernels do the products before and behind.

All kernels: dense [outer, numbers, inner], where `planes` are real parts and then, %plane elements
behind, imaginary parts, and other complex numbers lie in pairs. Vectors run along the inner axis,
or, in the `rows` kernels, along the numbers, where the inner axis has size 1.

Source: L. I. Bluestein, A linear filtering approach to the computation of discrete Fourier
transform (1970).
"""

from __future__ import annotations

from collections.abc import Callable

from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.butterflies import Complex, multiply
from elinvar.codegen.complex_vectors import Planes, Writer
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.core.dtypes import DType
from elinvar.ops.scalars import fma

Act = Callable[[str, int], None]


class _Ends:
    def __init__(self, name: str, dtype: DType, vector_bits: int, rows: bool) -> None:
        self.name, self.dtype, self.rows = name, dtype, rows
        self.body = Body()
        self.lanes = vector_bits // dtype.bits
        self.w = Writer(self.body, dtype, self.lanes)

    def module(self, pointers: list[str], sizes: list[str]) -> str:
        self.body.emit("ret void")
        return kernel_module(self.name, self.body, pointers, sizes)

    def start(self) -> None:
        body = self.body
        double = body.instruction("bitcast i64 %scale to double")
        if self.dtype.bits == 32:
            double = body.instruction(f"fptrunc double {double} to float")
        self.scale = self.w.scalar(double, 1)

    def along(self, low: str, high: str, act: Act) -> None:
        """`act` on vectors, then on single numbers, of a range."""
        body, wide = self.body, str(self.lanes)
        whole = body.mul(body.div(body.sub(high, low), wide), wide)
        stop = body.add(low, body.maximum(whole, "0"))
        with body.loop(low, stop, self.lanes, "v") as place:
            act(place, self.lanes)
        with body.loop(stop, high, 1, "v") as place:
            act(place, 1)

    # numbers in memory

    def pair(self, base: str, index: str, lanes: int) -> Complex:
        """Complex numbers that lie in pairs."""
        w, at = self.w, self.body.mul(index, "2")
        if lanes == 1:
            return w.load(base, at, 1), w.load(base, self.body.add(at, "1"), 1)
        re, im = w.apart(w.raw(base, at, 2 * lanes))
        return w.scalar(re, lanes), w.scalar(im, lanes)

    def put_pair(self, base: str, index: str, value: Complex, lanes: int) -> None:
        w, at = self.w, self.body.mul(index, "2")
        if lanes == 1:
            w.store(base, at, value[0].payload, 1)
            w.store(base, self.body.add(at, "1"), value[1].payload, 1)
        else:
            w.store(base, at, w.together(value[0].payload, value[1].payload), 2 * lanes)

    def facing(self, value: Complex, lanes: int) -> Complex:
        """A vector of mirror images with its lanes in order, or back: along rows they run down."""
        if lanes == 1 or not self.rows:
            return value
        kind = llvm_type(self.dtype, lanes)
        picks = ", ".join(f"i32 {n}" for n in reversed(range(lanes)))
        found = []
        for part in value:
            text = f"shufflevector {kind} {part.payload}, {kind} poison, <{lanes} x i32> <{picks}>"
            found.append(self.w.scalar(self.body.instruction(text), lanes))
        return found[0], found[1]

    def root(self, place: str, lanes: int) -> Complex:
        """Entries of the table, along the lanes of a row or one for all."""
        table = Planes("%table", self.w.pointer("%table", "%entries"))
        if self.rows:
            return self.w.complex(table, place, lanes)
        return self.w.complex_splat(table, place, lanes)

    def scaled(self, value: Complex, lanes: int) -> Complex:
        scale = self.w.splat(self.scale, lanes)
        return value[0] * scale, value[1] * scale

    def mirrored(self, part: str, act: Callable[[str, str, str, int], None]) -> None:
        """act(k, place of k, where the mirrored vector starts, lanes) for one block of
        0 < k ≤ m/2."""
        body = self.body
        pairs = body.div(body.sub("%half", "1"), "2")
        low = body.add(body.mul(part, "%block"), "1")
        high = body.minimum(body.add(low, "%block"), body.add(pairs, "1"))
        even = body.mul(body.add(pairs, "1"), "2")
        is_first = self.w.test("eq", part, "0")
        middle = self.w.both(is_first, self.w.test("eq", even, "%half"))
        if self.rows:

            def each(k: str, lanes: int) -> None:
                act(k, k, body.sub(body.sub("%half", k), str(lanes - 1)), lanes)

            self.along(low, high, each)
            with body.when(middle):
                each(body.div("%half", "2"), 1)
            return

        def line(k: str) -> None:
            here, there = body.mul(k, "%inner"), body.mul(body.sub("%half", k), "%inner")

            def spread(i: str, lanes: int) -> None:
                act(k, body.add(here, i), body.add(there, i), lanes)

            self.along("0", "%inner", spread)

        with body.loop(low, high, hint="k") as k:
            line(k)
        with body.when(middle):
            line(body.div("%half", "2"))

    def blocks(self, count: str) -> str:
        """How many blocks a range has, one at least."""
        body = self.body
        whole = body.div(body.add(count, body.sub("%block", "1")), "%block")
        return body.maximum(whole, "1")

    def first(self, act: Callable[[str, str, int], None]) -> None:
        """act(place of 0, place of m, lanes)"""
        body = self.body
        if self.rows:
            act("0", "%half", 1)
        else:
            last = body.mul("%half", "%inner")
            self.along("0", "%inner", lambda i, lanes: act(i, body.add(last, i), lanes))


def _mixed(a: Complex, b: Complex) -> tuple[Complex, Complex]:
    """a + b̄ and a - b̄."""
    return (a[0] + b[0], a[1] - b[1]), (a[0] - b[0], a[1] + b[1])


class _Split(_Ends):
    """Slots: planes z, target X, table; m, inner, entries, block, plane, scale.

    Tasks: outer × blocks of the k up to (m - 1) / 2.
    """

    def text(self) -> str:
        body, w = self.body, self.w
        self.start()
        half = w.scalar(body.instruction(f"fmul {w.element} {self.scale.payload}, 0.5"), 1)
        blocks = self.blocks(body.div(body.sub("%half", "1"), "2"))
        with body.loop("%begin", "%end", hint="task") as task:
            row, part = body.div(task, blocks), body.rem(task, blocks)
            near = body.mul(body.mul(row, "%half"), "%inner")
            source = Planes(w.pointer("%z", near), w.pointer("%z", body.add(near, "%plane")))
            far = body.mul(body.mul(row, body.add("%half", "1")), body.mul("%inner", "2"))
            target = w.pointer("%x", far)

            def ends(zero: str, last: str, lanes: int) -> None:
                re, im = w.complex(source, zero, lanes)
                none = re.const(0.0)
                scale = w.splat(self.scale, lanes)
                self.put_pair(target, zero, ((re + im) * scale, none), lanes)
                self.put_pair(target, last, ((re - im) * scale, none), lanes)

            def each(k: str, place: str, other: str, lanes: int) -> None:
                a, b = w.complex(source, place, lanes), w.complex(source, other, lanes)
                e, o = _mixed(a, self.facing(b, lanes))
                c, s = self.root(k, lanes)
                t = fma(c, o[1], s * o[0]), fma(s, o[1], -(c * o[0]))
                factor = w.splat(half, lanes)
                there = (e[0] - t[0]) * factor, (t[1] - e[1]) * factor
                self.put_pair(target, other, self.facing(there, lanes), lanes)
                self.put_pair(
                    target, place, ((e[0] + t[0]) * factor, (e[1] + t[1]) * factor), lanes
                )

            with body.when(w.test("eq", part, "0")):
                self.first(ends)
            self.mirrored(part, each)
        sizes = ["%half", "%inner", "%entries", "%block", "%plane", "%scale"]
        return self.module(["%z", "%x", "%table"], sizes)


class _Merge(_Ends):
    """Slots: source X, planes z, table; m, inner, entries, block, plane. Tasks as in `_Split`."""

    def text(self) -> str:
        body, w = self.body, self.w
        blocks = self.blocks(body.div(body.sub("%half", "1"), "2"))
        with body.loop("%begin", "%end", hint="task") as task:
            row, part = body.div(task, blocks), body.rem(task, blocks)
            near = body.mul(body.mul(row, "%half"), "%inner")
            target = Planes(w.pointer("%z", near), w.pointer("%z", body.add(near, "%plane")))
            far = body.mul(body.mul(row, body.add("%half", "1")), body.mul("%inner", "2"))
            source = w.pointer("%x", far)

            def ends(zero: str, last: str, lanes: int) -> None:
                a, b = self.pair(source, zero, lanes), self.pair(source, last, lanes)
                w.put(target, zero, (a[0] + b[0], a[0] - b[0]), lanes)

            def each(k: str, place: str, other: str, lanes: int) -> None:
                a, b = self.pair(source, place, lanes), self.pair(source, other, lanes)
                e, o = _mixed(a, self.facing(b, lanes))
                c, s = self.root(k, lanes)
                t = fma(s, o[0], -(c * o[1])), fma(s, o[1], c * o[0])
                w.put(target, other, self.facing((e[0] - t[0], t[1] - e[1]), lanes), lanes)
                w.put(target, place, (e[0] + t[0], e[1] + t[1]), lanes)

            with body.when(w.test("eq", part, "0")):
                self.first(ends)
            self.mirrored(part, each)
        sizes = ["%half", "%inner", "%entries", "%block", "%plane"]
        return self.module(["%x", "%z", "%table"], sizes)


class _Chirp(_Ends):
    """Slots: source, target, table; n, padded, inner, block, plane, scale, swaps.

    `into`: pairs times chirp into planes, zeros behind; else planes times chirp into pairs. With
    `swaps` the pairs' parts are exchanged. Tasks: outer × blocks of the numbers that are written.
    """

    def text(self, into: bool) -> str:
        body, w = self.body, self.w
        self.start()
        self.chirps = Planes("%table", w.pointer("%table", "%length"))
        self.keeps = w.test("eq", "%swaps", "0")
        written = "%padded" if into else "%length"
        blocks = self.blocks(written)
        with body.loop("%begin", "%end", hint="task") as task:
            row, part = body.div(task, blocks), body.rem(task, blocks)
            near = body.mul(body.mul(row, "%padded"), "%inner")
            planes = w.pointer("%target" if into else "%source", near)
            far = body.mul(body.mul(row, "%length"), body.mul("%inner", "2"))
            pairs = w.pointer("%source" if into else "%target", far)
            low = body.mul(part, "%block")
            high = body.minimum(body.add(low, "%block"), written)
            inside = Planes(planes, w.pointer(planes, "%plane"))
            self._products(inside, pairs, low, body.minimum(high, "%length"), into)
            if into:
                self._clear(inside, body.maximum(low, "%length"), high)
        sizes = ["%length", "%padded", "%inner", "%block", "%plane", "%scale", "%swaps"]
        return self.module(["%source", "%target", "%table"], sizes)

    def _products(self, planes: Planes, pairs: str, low: str, high: str, into: bool) -> None:
        body, w = self.body, self.w

        def act(place: str, factor: Complex, lanes: int) -> None:
            if into:
                value = w.exchanged(self.keeps, self.pair(pairs, place, lanes), lanes)
                w.put(planes, place, multiply(value, factor), lanes)
                return
            value = self.scaled(multiply(w.complex(planes, place, lanes), factor), lanes)
            self.put_pair(pairs, place, w.exchanged(self.keeps, value, lanes), lanes)

        if self.rows:
            self.along(low, high, lambda j, lanes: act(j, w.complex(self.chirps, j, lanes), lanes))
            return
        with body.loop(low, high, hint="j") as j:
            line = body.mul(j, "%inner")
            factor = w.complex(self.chirps, j, 1)

            def spread(i: str, lanes: int) -> None:
                pair = w.splat(factor[0], lanes), w.splat(factor[1], lanes)
                act(body.add(line, i), pair, lanes)

            self.along("0", "%inner", spread)

    def _clear(self, planes: Planes, low: str, high: str) -> None:
        body, w = self.body, self.w

        def clear(place: str, lanes: int) -> None:
            none = w.splat(w.scalar("0.0", 1), lanes)
            w.put(planes, place, (none, none), lanes)

        first, last = body.mul(low, "%inner"), body.mul(high, "%inner")
        self.along(first, body.maximum(first, last), clear)


def split_text(name: str, dtype: DType, vector_bits: int, rows: bool) -> str:
    """Kernel: half-length transforms of pairs → transforms of real numbers."""
    return _Split(name, dtype, vector_bits, rows).text()


def merge_text(name: str, dtype: DType, vector_bits: int, rows: bool) -> str:
    """Kernel: the reverse of `split_text`, without the factor 1/2."""
    return _Merge(name, dtype, vector_bits, rows).text()


def chirp_text(name: str, dtype: DType, vector_bits: int, rows: bool, into: bool) -> str:
    """Kernel: products with a chirp, into planes or out of them."""
    return _Chirp(name, dtype, vector_bits, rows).text(into)
