"""Operations along named axes, which exist only while a function is traced for `vmap`.

    named_index       the place of the running example along a mapped axis
    named_sum         Σ over all examples of x
    named_gather      x of all examples, stacked in front
    named_permute     x of example source[i], for example i; zeros where source[i] is -1

One example alone cannot say what they are worth, so they stand in no table, and no program holds
them: batching the axis whose number is their param `axis` makes other operations of them
(`transforms/batch_named.py`). Their derivatives are of their own kind.
"""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import int64
from elinvar.core.types import TensorType
from elinvar.ops.record import Op, absent

_WHY = absent("exists only while a function is traced for vmap")


def _named(name: str, type_rule: Any, derivative: Any, params: tuple[str, ...]) -> Op:
    return Op(
        name=name,
        family="opaque",
        doc=__doc__ or "",
        type_rule=type_rule,
        reference=_WHY,
        derivative=derivative,
        batching=absent("batched by transforms, which know the axis"),
        lowering=_WHY,
        stablehlo=_WHY,
        samples=list,
        bad_samples=list,
        params=params,
    )


def _sum_derivative(f: Any, operands: Any, results: Any, cotangents: Any, **params: Any) -> Any:
    """Every example's result holds x, so x receives the cotangents of all."""
    return (f.apply(NAMED_SUM, *cotangents, **params),)


def _gather_derivative(f: Any, operands: Any, results: Any, cotangents: Any, **params: Any) -> Any:
    """Of the cotangents of all examples, summed, the row of this one."""
    total = f.apply(NAMED_SUM, *cotangents, axis=params["axis"])
    return (f.gather(total, f.apply(NAMED_INDEX, axis=params["axis"]), axis=0),)


def _permute_derivative(f: Any, operands: Any, results: Any, cotangents: Any, *, axis: int) -> Any:
    """The way back: `target` says where each example's x went."""
    _, source, target = operands
    return f.apply(NAMED_PERMUTE, *cotangents, target, source, axis=axis), None, None


NAMED_INDEX = _named(
    "named_index",
    lambda *, axis: TensorType(int64, ()),
    lambda f, operands, results, cotangents, **params: (),
    ("axis",),
)
NAMED_SUM = _named("named_sum", lambda x, *, axis: x, _sum_derivative, ("axis",))
NAMED_GATHER = _named(
    "named_gather",
    lambda x, *, axis, size: x.with_shape((size, *x.shape)),
    _gather_derivative,
    ("axis", "size"),
)
NAMED_PERMUTE = _named(
    "named_permute",
    lambda x, source, target, *, axis: x,
    _permute_derivative,
    ("axis",),
)
OPS = (NAMED_INDEX, NAMED_SUM, NAMED_GATHER, NAMED_PERMUTE)
