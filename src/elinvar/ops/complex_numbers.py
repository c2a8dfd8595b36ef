"""Complex numbers: made of two real ones, and taken apart.

These three are all that kernels know of complex numbers; movement, `where` and control flow carry
them as wholes. Arithmetic is written with real operations on the parts (see complex_rules.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from elinvar.core.dtypes import COMPLEX, complex_of, float32, float64, int32
from elinvar.core.errors import DTypeError, fail
from elinvar.core.types import TensorType
from elinvar.ops.elementwise import XY, X, check_same, document, edge_values, generator, pairs
from elinvar.ops.record import BadSample, Op, Sample

_PARTS = (float32, float64)


def complex_samples(operands: int = 1, differentiable: bool = True) -> list[Sample]:
    """c64 and c128 operands, a 0-d and an empty one, and all pairs of edge values."""
    rng = generator()

    def draw(shape: tuple[int, ...], dtype: Any) -> tuple[Any, ...]:
        return tuple(
            (rng.uniform(-3, 3, shape) + 1j * rng.uniform(-3, 3, shape)).astype(dtype)
            for _ in range(operands)
        )

    found = [
        Sample(draw((3, 17), np.complex64), differentiable=differentiable),
        Sample(draw((40,), np.complex128), differentiable=differentiable),
        Sample(draw((), np.complex128), differentiable=differentiable),
        Sample(draw((0, 2), np.complex64), differentiable=False),
    ]
    for part, dtype in ((np.float32, np.complex64), (np.float64, np.complex128)):
        re, im = pairs(edge_values(part))
        edges = np.empty(re.shape, dtype)
        edges.real, edges.imag = re, im
        found.append(Sample((edges,) * operands, differentiable=False))
    return found


# ---- complex ------------------------------------------------------------------------------------


def _complex_type(re: TensorType, im: TensorType) -> TensorType:
    if re.dtype not in _PARTS:
        hint = "cast the parts with `.astype(el.float32)`"
        fail(DTypeError, "complex", f"expected float32 or float64 parts, received {re}", hint)
    check_same("complex", re, im)
    return re.with_dtype(complex_of(re.dtype))


def _complex_reference(re: Any, im: Any) -> Any:
    found = np.empty(re.shape, np.complex64 if re.dtype == np.float32 else np.complex128)
    found.real, found.imag = re, im
    return found


def _complex_samples() -> list[Sample]:
    rng = generator()
    found = []
    for dtype in (np.float32, np.float64):
        draw = [rng.uniform(-3, 3, (3, 17)).astype(dtype) for _ in range(2)]
        found.append(Sample(tuple(draw)))
        found.append(Sample(pairs(edge_values(dtype)), differentiable=False))
    found.append(Sample((np.array(1.5), np.array(-2.5))))
    found.append(Sample((np.zeros((0, 2), np.float32),) * 2, differentiable=False))
    return found


_F32, _I32 = TensorType(float32, (3,)), TensorType(int32, (3,))

COMPLEX_OP = Op(
    name="complex",
    family="elementwise",
    doc=document(
        "The complex numbers with these parts.",
        "z = x + i·y",
        XY,
        "float32 or float64 (z: complex64 or complex128)",
        ">>> z = el.asarray([1 + 2j])\n>>> (z.real + 1j * z.imag).tolist()\n[(1+2j)]",
    ),
    type_rule=_complex_type,
    reference=_complex_reference,
    derivative=lambda f, operands, results, cotangents: (
        f.real(cotangents[0]),
        f.imag(cotangents[0]),
    ),
    batching="family",
    lowering=lambda x, y: x.emit("complex", y, dtype=complex_of(x.dtype)),
    stablehlo="stablehlo.complex",
    samples=_complex_samples,
    bad_samples=lambda: [
        BadSample((_I32, _I32), {}, "expected float32 or float64 parts, received i32[3]"),
        BadSample((_F32, TensorType(float32, (4,))), {}, "shapes differ: f32[3] and f32[4]"),
        BadSample((_F32, TensorType(float64, (3,))), {}, "dtypes differ: f32[3] and f64[3]"),
    ],
)


# ---- real, imag ---------------------------------------------------------------------------------


def _part(name: str, words: str, formula: str, back: Callable[..., Any]) -> Op:
    def type_rule(x: TensorType) -> TensorType:
        if x.dtype not in COMPLEX:
            fail(DTypeError, name, f"expected a complex dtype, received {x}")
        return x.with_dtype(x.dtype.part)

    def derivative(f: Any, operands: Any, results: Any, cotangents: Any) -> Any:
        (g,) = cotangents
        return (back(f, g),)

    return Op(
        name=name,
        family="elementwise",
        doc=document(
            f"The {words} of complex numbers.",
            formula,
            X,
            "complex64 or complex128 (y: float32 or float64)",
            f">>> el.{name}(el.asarray([1 + 2j])).tolist()\n[{1.0 if name == 'real' else 2.0}]",
        ),
        type_rule=type_rule,
        reference=lambda x: np.ascontiguousarray(getattr(x, name)).reshape(x.shape),
        derivative=derivative,
        batching="family",
        lowering=lambda x: x.emit(name, dtype=x.dtype.part),
        stablehlo=f"stablehlo.{name}",
        samples=complex_samples,
        bad_samples=lambda: [BadSample((_F32,), {}, "expected a complex dtype, received f32[3]")],
    )


OPS: tuple[Op, ...] = (
    COMPLEX_OP,
    _part("real", "real part", "y = Re x", lambda f, g: f.complex(g, f.zeros_like(g))),
    _part("imag", "imaginary part", "y = Im x", lambda f, g: f.complex(f.zeros_like(g), g)),
)


def parts(f: Any, x: Any) -> tuple[Any, Any]:
    """Real and imaginary part; a real value has zeros for the latter."""
    if x.dtype.kind == "c":
        return f.real(x), f.imag(x)
    return x, f.zeros_like(x)
