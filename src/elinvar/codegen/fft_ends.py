"""What stands before and behind transforms: real numbers in pairs, and chirps.

Real numbers of even count n = 2m are transformed as z[j] = x[2j] + i x[2j+1]. With w = exp(-2πi/n),
for 0 < k < m,

    split    X[k] = (z[k] + z̄[m-k]) / 2  -  i wᵏ (z[k] - z̄[m-k]) / 2
    merge    z[k] = (X[k] + X̄[m-k])  +  i w⁻ᵏ (X[k] - X̄[m-k])

and at k = 0 X[0] and X[m] are real. Lengths with a prime factor above 13 are a circular convolution
with a chirp, exp(-πi j²/n), of which these kernels do the products before and behind.

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
from elinvar.ops.scalars import Scalar, fma

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

    def reversed(self, value: Complex, lanes: int) -> Complex:
        """Lanes in the other order."""
        if lanes == 1:
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

    def mirrored(self, low: str, high: str, act: Callable[[str, str, str, int], None]) -> None:
        """act(k, place of k, place of the mirrored vector's start, lanes) for all 0 < k < m."""
        body = self.body
        if self.rows:

            def each(k: str, lanes: int) -> None:
                other = body.sub(body.sub("%half", k), str(lanes - 1))
                act(k, k, other, lanes)

            self.along(low, high, each)
            return
        with body.loop(low, high, hint="k") as k:
            line = body.mul(k, "%inner")
            other = body.mul(body.sub("%half", k), "%inner")
            self.along(
                "0", "%inner", lambda i, lanes: act(k, body.add(line, i), body.add(other, i), lanes)
            )

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
    """Slots: planes z, target X, table; m, inner, entries, plane, scale. Tasks: outer.

    A task's lines 0 < k < m are all in one: there are as many tasks as rows.
    """

    def text(self) -> str:
        body, w = self.body, self.w
        self.start()
        half = w.scalar(body.instruction(f"fmul {w.element} {self.scale.payload}, 0.5"), 1)
        with body.loop("%begin", "%end", hint="task") as task:
            near = body.mul(body.mul(task, "%half"), "%inner")
            source = Planes(w.pointer("%z", near), w.pointer("%z", body.add(near, "%plane")))
            far = body.mul(body.mul(task, body.add("%half", "1")), body.mul("%inner", "2"))
            target = w.pointer("%x", far)

            def ends(zero: str, last: str, lanes: int) -> None:
                re, im = w.complex(source, zero, lanes)
                none = re.const(0.0)
                scale = w.splat(self.scale, lanes)
                self.put_pair(target, zero, ((re + im) * scale, none), lanes)
                self.put_pair(target, last, ((re - im) * scale, none), lanes)

            def each(k: str, place: str, other: str, lanes: int) -> None:
                a, b = w.complex(source, place, lanes), w.complex(source, other, lanes)
                even, odd = _mixed(a, self.reversed(b, lanes) if self.rows else b)
                c, s = self.root(k, lanes)
                factor = w.splat(half, lanes)
                re = (even[0] + fma(c, odd[1], s * odd[0])) * factor
                im = (even[1] + fma(s, odd[1], -(c * odd[0]))) * factor
                self.put_pair(target, place, (re, im), lanes)

            self.first(ends)
            self.mirrored("1", "%half", each)
        return self.module(
            ["%z", "%x", "%table"], ["%half", "%inner", "%entries", "%plane", "%scale"]
        )


class _Merge(_Ends):
    """Slots: source X, planes z, table; m, inner, entries, plane. Tasks: outer."""

    def text(self) -> str:
        body, w = self.body, self.w
        with body.loop("%begin", "%end", hint="task") as task:
            near = body.mul(body.mul(task, "%half"), "%inner")
            target = Planes(w.pointer("%z", near), w.pointer("%z", body.add(near, "%plane")))
            far = body.mul(body.mul(task, body.add("%half", "1")), body.mul("%inner", "2"))
            source = w.pointer("%x", far)

            def ends(zero: str, last: str, lanes: int) -> None:
                a, b = self.pair(source, zero, lanes), self.pair(source, last, lanes)
                w.put(target, zero, (a[0] + b[0], a[0] - b[0]), lanes)

            def each(k: str, place: str, other: str, lanes: int) -> None:
                a, b = self.pair(source, place, lanes), self.pair(source, other, lanes)
                even, odd = _mixed(a, self.reversed(b, lanes) if self.rows else b)
                c, s = self.root(k, lanes)
                re = even[0] + fma(s, odd[0], -(c * odd[1]))
                im = even[1] + fma(s, odd[1], c * odd[0])
                w.put(target, place, (re, im), lanes)

            self.first(ends)
            self.mirrored("1", "%half", each)
        return self.module(["%x", "%z", "%table"], ["%half", "%inner", "%entries", "%plane"])


class _Chirp(_Ends):
    """Slots: source, target, table; n, padded, inner, plane, scale, swaps. Tasks: outer.

    `into`: pairs times chirp into planes, zeros behind; else planes times chirp into pairs. With
    `swaps` the pairs' parts are exchanged.
    """

    def text(self, into: bool) -> str:
        body, w = self.body, self.w
        self.start()
        table = Planes("%table", w.pointer("%table", "%length"))
        keeps = w.test("eq", "%swaps", "0")
        with body.loop("%begin", "%end", hint="task") as task:
            near = body.mul(body.mul(task, "%padded"), "%inner")
            planes = w.pointer("%source" if not into else "%target", near)
            planes_ = Planes(planes, w.pointer(planes, "%plane"))
            far = body.mul(body.mul(task, "%length"), body.mul("%inner", "2"))
            pairs = w.pointer("%source" if into else "%target", far)

            def exchanged(value: Complex, lanes: int) -> Complex:
                return w.exchanged(keeps, value, lanes)

            def act(place: str, factor: Complex, lanes: int) -> None:
                if into:
                    value = exchanged(self.pair(pairs, place, lanes), lanes)
                    w.put(planes_, place, multiply(value, factor), lanes)
                else:
                    value = multiply(w.complex(planes_, place, lanes), factor)
                    value = exchanged(self.scaled(value, lanes), lanes)
                    self.put_pair(pairs, place, value, lanes)

            if self.rows:
                self.along(
                    "0", "%length", lambda j, lanes: act(j, w.complex(table, j, lanes), lanes)
                )
            else:
                with body.loop("0", "%length", hint="j") as j:
                    line = body.mul(j, "%inner")
                    factor = w.complex(table, j, 1)

                    def spread(i: str, lanes: int, line: str = line) -> None:
                        pair = w.splat(factor[0], lanes), w.splat(factor[1], lanes)
                        act(body.add(line, i), pair, lanes)

                    self.along("0", "%inner", spread)
            if into:
                zero = w.scalar("0.0", 1)

                def clear(place: str, lanes: int) -> None:
                    none: Scalar = w.splat(zero, lanes)
                    w.put(planes_, place, (none, none), lanes)

                low, high = body.mul("%length", "%inner"), body.mul("%padded", "%inner")
                self.along(low, high, clear)
        sizes = ["%length", "%padded", "%inner", "%plane", "%scale", "%swaps"]
        return self.module(["%source", "%target", "%table"], sizes)


def split_text(name: str, dtype: DType, vector_bits: int, rows: bool) -> str:
    """Kernel: half-length transforms of pairs → transforms of real numbers."""
    return _Split(name, dtype, vector_bits, rows).text()


def merge_text(name: str, dtype: DType, vector_bits: int, rows: bool) -> str:
    """Kernel: the reverse of `split_text`, without the factor 1/2."""
    return _Merge(name, dtype, vector_bits, rows).text()


def chirp_text(name: str, dtype: DType, vector_bits: int, rows: bool, into: bool) -> str:
    """Kernel: products with a chirp, into planes or out of them."""
    return _Chirp(name, dtype, vector_bits, rows).text(into)
