"""Reverse mode through control operations: conditionals and scans of vector-Jacobian products.

    cond        the cotangents are a cond whose branches are the branches' own derivatives
    scan        a scan the other way round: step t runs the body again on the carry it had (a second
                forward scan stacks the carries and the results of products, which are not computed
                again; sharing merges it with the first) and passes the carry's cotangent on. A
                constant's cotangent is a sum over steps: where a step adds a product or a sum, what
                it is made of is stacked and the whole is one product or sum over all steps
                afterwards; else the steps' parts are added in a carry
    while_loop  has no derivative in reverse: how many steps to undo is not known
    custom      its own derivative, transposed where that goes forward

`derivative_of_graph` comes as an argument, because it in turn meets control operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from elinvar.core.dtypes import DType, is_narrow
from elinvar.core.errors import GradientError, fail
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, inline, reachable
from elinvar.ops.record import Namespace, ValueLike
from elinvar.transforms.transpose import through_custom

DerivativeOfGraph = Callable[[Graph, Sequence[int], Sequence[int]], Graph]
Cotangents = Sequence[Any]  # a value, or None where nothing flows


@dataclass(frozen=True, slots=True)
class Application:
    """One use of a control op: operands, the results' cotangents, params, the operands to serve."""

    name: str
    operands: Sequence[Any]
    cotangents: Cotangents
    params: dict[str, Any]
    needed: frozenset[int]


def influenced(graph: Graph, positions: Sequence[int] | frozenset[int]) -> set[int]:
    """The positions of floating outputs that depend smoothly on the inputs at `positions`."""
    active = {graph.inputs[position] for position in positions}
    for node in reachable(graph.outputs):
        if node.op_name != "stop_gradient" and any(v in active for v in node.operands):
            active.update(value for value in node.results if value.dtype.is_inexact)
    return {position for position, value in enumerate(graph.outputs) if value in active}


def differentiate_control(
    f: Namespace, use: Application, derivative_of_graph: DerivativeOfGraph
) -> list[Any]:
    """The cotangents of the operands of a control op (None where nothing flows).

    Args:
        f: the primitives, over graph values or tensors.
        use: the application to differentiate.
        derivative_of_graph: `(graph, wrt, outputs) -> graph`, see `differentiate.vjp_graph`.

    Raises:
        GradientError: a `while_loop` is differentiated.
    """
    if use.name == "while_loop":
        fail(
            GradientError,
            "while_loop",
            "reverse mode needs a fixed trip count: how many steps to undo is not known",
            "use `fori_loop` with bounds that are Python ints, or `scan` with the largest number "
            "of steps; forward mode (`jvp`) passes; or put `stop_gradient` before the loop",
        )
    if use.name == "custom":
        given = use.cotangents
        return through_custom(f, use.operands, given, use.params, "vjp", derivative_of_graph)
    rule = {"cond": _cond, "scan": _scan}[use.name]
    return rule(f, use, derivative_of_graph)


def _as_tuple(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def _cond(f: Namespace, use: Application, derivative_of_graph: DerivativeOfGraph) -> list[Any]:
    predicate, *operands = use.operands
    wanted = [position - 1 for position in sorted(use.needed) if position > 0]
    flowing = [position for position, value in enumerate(use.cotangents) if value is not None]
    result: list[Any] = [None] * len(use.operands)
    if wanted and flowing:
        branches = {
            name: derivative_of_graph(use.params[name], wanted, flowing)
            for name in ("true", "false")
        }
        seeds = [use.cotangents[position] for position in flowing]
        found = _as_tuple(f.cond(predicate, *operands, *seeds, **branches))
        for position, value in zip(wanted, found, strict=True):
            result[position + 1] = value
    return result


@dataclass(frozen=True, slots=True)
class _Flow:
    """Which parts of a scan carry cotangents: positions among carries, sequences, constants, ys."""

    carries: list[int]
    sequences: list[int]
    constants: list[int]
    results: list[int]


def _scan_flow(use: Application) -> _Flow:
    body, carry = use.params["body"], use.params["carry"]
    stop = carry + use.params["sequences"]
    active = set(use.needed)
    while True:  # a carry may become active through another one, a step later
        reached = influenced(body, frozenset(active))
        more = active | {position for position in reached if position < carry}
        if more == active:
            break
        active = more
    return _Flow(
        carries=[position for position in range(carry) if position in active],
        sequences=[position for position in range(carry, stop) if position in active],
        constants=[position for position in range(stop, len(use.operands)) if position in active],
        results=[
            position
            for position in sorted(reached)
            if position >= carry and use.cotangents[position] is not None
        ],
    )


def _scan(f: Namespace, use: Application, derivative_of_graph: DerivativeOfGraph) -> list[Any]:
    params, operands = use.params, list(use.operands)
    carry, stop = params["carry"], params["carry"] + params["sequences"]
    flow = _scan_flow(use)
    result: list[Any] = [None] * len(operands)
    if not use.needed:
        return result
    seeds = [use.cotangents[i] for i in flow.carries]
    state = [
        f.zeros_like(operands[i]) if seed is None else seed
        for i, seed in zip(flow.carries, seeds, strict=True)
    ]
    reverse = _reverse_body(params["body"], carry, stop, flow, derivative_of_graph)
    body, sums = reverse.graph, reverse.sums
    state += [f.zeros_like(operands[one.position]) for one in sums if one.is_carried]
    saved = _stacked(f, operands, params, reverse.saved)
    sequences = [*saved[:carry], *operands[carry:stop]]
    sequences += [*(use.cotangents[i] for i in flow.results), *saved[carry:]]
    found = _as_tuple(
        f.scan(
            *state,
            *sequences,
            *operands[stop:],
            body=body,
            carry=len(state),
            sequences=len(sequences),
            length=params["length"],
            reverse=not params["reverse"],
        )
    )
    place = len(flow.carries)
    cotangents = dict(zip(flow.carries, found[:place], strict=True))
    stacked = found[len(state) :]
    cotangents |= dict(zip(flow.sequences, stacked, strict=False))
    for one in sums:
        parts = [found[place]] if one.is_carried else []
        place += one.is_carried
        parts += [term.over_all_steps(f, stacked, sequences) for term in one.terms]
        total = parts[0]
        for part in parts[1:]:
            total = f.add(total, part)
        cotangents[one.position] = total
    for position in use.needed:
        result[position] = cotangents.get(position)
    return result


@dataclass(frozen=True, slots=True)
class _Term:
    """A part of a constant's cotangent: a product or a sum over stacked values, then movement and
    rounding."""

    op: str
    operands: tuple[int, ...]  # n: the stacked result n; -1 - n: the sequence n that goes in
    dtypes: tuple[DType, ...]  # of the operands; what was widened is stacked as it was before
    params: dict[str, Any]
    movement: tuple[tuple[str, dict[str, Any]], ...]  # from the inside out

    def over_all_steps(self, f: Namespace, stacked: Sequence[Any], sequences: Sequence[Any]) -> Any:
        """The sum of the part over all steps, which are the leading axis of stacked values."""
        values = [stacked[n] if n >= 0 else sequences[-1 - n] for n in self.operands]
        for number, dtype in enumerate(self.dtypes):
            if values[number].dtype is not dtype:
                values[number] = f.cast(values[number], dtype=dtype)
        if self.op == "sum":
            axes = (0, *(axis + 1 for axis in self.params["axes"]))
            total = f.sum(*values, axes=axes)
        else:
            left, right = (_later(side) for side in self.params["batch"])
            x, y = (_later(side) for side in self.params["axes"])
            params = self.params | {"batch": (left, right), "axes": ((0, *x), (0, *y))}
            total = f.contract(*values, **params)
        for name, params in self.movement:
            total = getattr(f, name)(total, **params)
        return total


def _later(axes: Sequence[int]) -> tuple[int, ...]:
    """Axes behind a new leading one."""
    return tuple(axis + 1 for axis in axes)


@dataclass(frozen=True, slots=True)
class _Sum:
    """The cotangent of the constant at a position: terms, and perhaps a carry with the rest."""

    position: int
    terms: tuple[_Term, ...]
    is_carried: bool


def _stacked(
    f: Namespace, operands: list[Any], params: dict[str, Any], more: Sequence[Any]
) -> tuple[Any, ...]:
    """The carries that entered each step and values of the body, stacked along a leading axis."""
    body, carry = params["body"], params["carry"]
    wanted = (*body.inputs[:carry], *more)
    if not wanted:
        return ()
    stacking = Graph(body.inputs, body.outputs[:carry] + wanted, body.name)
    found = _as_tuple(f.scan(*operands, **(params | {"body": stacking})))
    return found[carry:]


@dataclass(frozen=True, slots=True)
class _Reverse:
    """The body of the reverse scan, what sums its terms make, and the saved values of the body."""

    graph: Graph
    sums: list[_Sum]
    saved: list[Any]


def _products(body: Graph) -> list[Any]:
    """The results of products; of one that is only rounded to 16 bits, the rounded one; of one that
    only an addition reads, the sum: the addition's other term is then not read again either."""
    readers: dict[Any, list[Any]] = {}
    for node in body.nodes:
        for operand in node.operands:
            readers.setdefault(operand, []).append(node)
    found: dict[Any, None] = {}  # without repetition: two products may have one sum
    for node in body.nodes:
        if node.op_name in ("contract", "convolution"):
            (value,) = node.results
            for is_next in (_is_rounding, _is_addition):
                reading = readers.get(value, [])
                if len(reading) == 1 and is_next(reading[0]) and value not in body.outputs:
                    (value,) = reading[0].results
            found[value] = None
    return list(found)


def _is_rounding(node: Any) -> bool:
    return node.op_name == "cast" and is_narrow(node.results[0].dtype)


def _casts_floats(node: Any) -> bool:
    kinds = (*node.operands, *node.results)
    return node.op_name == "cast" and all(value.dtype.kind == "f" for value in kinds)


def _is_addition(node: Any) -> bool:
    return bool(node.op_name == "add")


def _without_products(body: Graph, step: Graph) -> tuple[Graph, list[Any]]:
    """`step` with the results of the body's products as further inputs, and these results."""
    products = _products(body)
    builder = Builder(capture_source=False)
    inputs = [builder.input(TensorType(v.dtype, v.shape)) for v in step.inputs]
    forward = Graph(body.inputs, tuple(products), body.name)
    again = inline(builder, forward, inputs[: len(body.inputs)])
    outputs = inline(builder, step, inputs)
    used = set(reachable(outputs))
    kept = [(v, twin) for v, twin in zip(products, again, strict=True) if twin.node in used]
    new: dict[Any, Any] = {}
    result = Builder(capture_source=False)
    for value in (*inputs, *(twin for _, twin in kept)):
        new[value] = result.input(TensorType(value.dtype, value.shape))
    for node in reachable(outputs):
        if node.results[0] not in new:
            made = result.copy(node, tuple(new[operand] for operand in node.operands))
            new.update(zip(node.results, made, strict=True))
    return result.graph([new[value] for value in outputs], step.name), [v for v, _ in kept]


def _reverse_body(
    body: Graph, carry: int, stop: int, flow: _Flow, derivative_of_graph: DerivativeOfGraph
) -> _Reverse:
    """(cotangents of carries, carried sums; carries, slices, cotangents of ys, saved values;
    constants) → the new cotangents and sums; the cotangents of the slices, and what the terms of
    sums are made of."""
    builder = Builder(capture_source=False)

    def inputs(values: Sequence[ValueLike]) -> list[Any]:
        return [builder.input(TensorType(value.dtype, value.shape)) for value in values]

    wanted = (*flow.carries, *flow.constants, *flow.sequences)
    step = derivative_of_graph(body, wanted, (*flow.carries, *flow.results))
    step, saved = _without_products(body, step)
    middle = len(flow.carries)
    last = middle + len(flow.constants)
    fixed = set(step.inputs[stop : len(body.inputs)])
    is_carried = [bool(_split_terms(value, fixed)[1]) for value in step.outputs[middle:last]]
    carried = inputs([body.inputs[i] for i in flow.carries])
    kept = [i for i, keeps in zip(flow.constants, is_carried, strict=True) if keeps]
    totals = inputs([body.inputs[i] for i in kept])
    entering = inputs(body.inputs[:stop])
    seeds = inputs([body.outputs[i] for i in flow.results])
    known = inputs(saved)
    constants = inputs(body.inputs[stop:])
    found = inline(builder, step, (*entering, *constants, *carried, *seeds, *known))
    sequences = [*entering, *seeds, *known]
    stacked = list(found[last:])
    sums: list[_Sum] = []
    new: list[Any] = []

    def place(value: Any) -> int:
        if value in sequences:
            return -1 - sequences.index(value)
        if value not in stacked:
            stacked.append(value)
        return stacked.index(value)

    for position, value in zip(flow.constants, found[middle:last], strict=True):
        terms, rest = _split_terms(value, set(constants))
        made = tuple(
            _Term(
                node.op_name,
                tuple(place(_before_widening(operand)) for operand in node.operands),
                tuple(operand.dtype for operand in node.operands),
                dict(node.params),
                movement,
            )
            for node, movement in terms
        )
        if rest:
            more = rest[0]
            for part in rest[1:]:
                more = builder.f.add(more, part)
            new.append(builder.f.add(totals[len(new)], more))
        sums.append(_Sum(position, made, bool(rest)))
    graph = builder.graph([*found[:middle], *new, *stacked], f"{body.name}_reverse")
    return _Reverse(graph, sums, saved)


def _before_widening(value: Any) -> Any:
    """The 16-bit float that was widened, or the value itself."""
    node = value.node
    widened = _casts_floats(node) and is_narrow(node.operands[0].dtype)
    return node.operands[0] if widened else value


_Found = list[tuple[Any, tuple[tuple[str, dict[str, Any]], ...]]]


def _split_terms(value: Any, constants: set[Any]) -> tuple[_Found, list[Any]]:
    """(products and sums with the movement after them, other values) that add up to a value. What
    is rounded at each step is summed first and rounded once."""
    terms: _Found = []
    rest: list[Any] = []
    stack = [value]
    while stack:
        part = stack.pop()
        node = part.node
        if node.op_name == "add":
            stack += reversed(node.operands)
            continue
        movement: list[tuple[str, dict[str, Any]]] = []
        while node.op_name in ("permute", "reshape") or _casts_floats(node):
            movement.insert(0, (node.op_name, dict(node.params)))
            node = node.operands[0].node
        if node.op_name in ("contract", "sum") and not any(v in constants for v in node.operands):
            terms.append((node, tuple(movement)))
        else:
            rest.append(part)
    return terms, rest
