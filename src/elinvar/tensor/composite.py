"""Composites: functions of tensors that run as one program.

    @composite
    def softmax(x, *, axis): ...

In eager mode the function is traced once for each kind of arguments, compiled as one program and
recorded as one node of the tape, whose derivative is a compiled program too. The trace has symbolic
sizes where it can (equal sizes share a symbol; 0 and 1 stay numbers), so one program serves all
sizes. Under a trace the function's operations are inlined; on the tape it is one node there too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from elinvar.core.errors import DTypeError, TraceError, fail
from elinvar.core.shapes import Dim, DimLike
from elinvar.core.source import is_inside
from elinvar.core.types import TensorType
from elinvar.tensor.backward import backward
from elinvar.tensor.cell import Cell, detached, state, traces
from elinvar.tensor.dispatch import apart
from elinvar.tensor.forward import push_forward
from elinvar.tensor.function import TracedFunction
from elinvar.tensor.tape import Derivative, Leaf, enable_grad, record_call
from elinvar.tensor.trace import Trace
from elinvar.tensor.walk import linked
from elinvar.tensor.watching import watch

P = ParamSpec("P")
R = TypeVar("R")
MOST_KEPT = 4096  # kinds of arguments that one composite remembers


@overload
def composite(function: Callable[P, R], *, symbols: Any = None) -> Callable[P, R]: ...
@overload
def composite(
    function: None = None, *, symbols: Any = None
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def composite(function: Callable[..., Any] | None = None, *, symbols: Any = None) -> Any:
    """Run a function of tensors as one compiled program.

    Args:
        function: takes tensors (or None, or Python values) as positional arguments and hashable
            Python values as keyword arguments; gives a tensor or a tuple of tensors. It must
            depend on nothing else, and must rebind no tensor from outside.
        symbols: which sizes the program leaves open: types of the tensors → types with symbols.
            All that it can, unless told (see `symbolic_types`).

    Example:
        >>> import elinvar as el
        >>> @el.composite
        ... def half_square(x):
        ...     return x * x * 0.5
        >>> half_square(el.asarray([2.0, 4.0])).tolist()
        [2.0, 8.0]
    """
    if function is None:
        return functools.partial(Composite, symbols=symbols)
    return Composite(function, symbols)


def _apart(found: Any, operands: list[Any]) -> Any:
    """Results that are cells of their own, as they are where the function runs as a program."""
    if isinstance(found, Cell):
        return apart(found, found) if any(found is x for x in operands) else found
    if isinstance(found, (tuple, list)):
        return tuple(_apart(item, operands) for item in found)
    return found


class Composite:
    """What `composite` returns: callable, with the programs traced so far."""

    def __init__(self, function: Callable[..., Any], symbols: Any = None) -> None:
        functools.update_wrapper(self, function)
        self._symbols = symbols or symbolic_types
        self.function = function
        self._entries: dict[Any, tuple[TracedFunction, bool]] = {}
        self._traced: dict[Any, tuple[TracedFunction, bool]] = {}

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else functools.partial(self, owner)

    def __call__(self, *args: Any, **static: Any) -> Any:
        if traces.active and (
            watch.on
            or state.trace is not None
            or state.recorder is not None
            or state.autocast is not None
        ):
            return self._slowly(args, static)
        try:
            key: Any = tuple([x._layout for x in args])
            tensors = list(args)
        except AttributeError:
            tensors = [arg for arg in args if isinstance(arg, Cell)]
            key = tuple([a._layout if isinstance(a, Cell) else (a, type(a)) for a in args])
        if static:
            key = (key, *static.items())
        try:
            entry = self._entries.get(key)
        except TypeError:
            self._need_hashable(args, static)
            raise
        if entry is None:
            entry = self._prepare(key, args, static)
        function, single = entry
        results = function(tensors)
        return results[0] if single else tuple(results)

    def _slowly(self, args: Any, static: Any) -> Any:
        """Call it under a trace, or while somebody casts or watches for NaN."""
        name = self.__name__  # type: ignore[attr-defined]
        if state.trace is None and state.recorder is None:
            tensors = [arg for arg in args if isinstance(arg, Cell)]
            key: Any = tuple([a._layout if isinstance(a, Cell) else (a, type(a)) for a in args])
            key = (key, state.autocast, *static.items())
            try:
                entry = self._entries.get(key)
            except TypeError:
                self._need_hashable(args, static)
                raise
            function, single = entry or self._prepare(key, args, static)
            if watch.on:
                results = function.examined(tensors, name)
                watch.note_tape(results)
            else:
                results = function(tensors)
            return results[0] if single else tuple(results)
        if not watch.on:
            return self._in_trace(args, static)
        before = state.composites
        state.composites = (*before, name)
        try:
            return self._in_trace(args, static)
        finally:
            state.composites = before

    def _in_trace(self, args: Any, static: Any) -> Any:
        """Inline the function, as one node of the tape: so gradients are added up within it first,
        in the order of eager mode, and the bits are the same."""
        operands = [x for x in args if isinstance(x, Cell)]
        taped = state.grad_enabled and any(x._node is not None for x in operands)
        in_region = state.trace is not None and state.trace.is_region
        if not taped or in_region:  # a region is differentiated as a graph
            return _apart(self.function(*args, **static), operands)
        fresh = [_leaf(x) for x in operands]
        policy = state.autocast
        outputs, single = self._inline(args, static, fresh)
        results = [detached(y) for y in outputs]

        def again(operands: Any) -> tuple[list[Any], list[Any], bool]:
            if not state.grad_enabled or all(x._node is None for x in operands):
                return fresh, outputs, False
            # the derivative is differentiated again: link it to the operands
            inner = [x if x._node is None else linked(x) for x in operands]
            before, state.autocast = state.autocast, policy
            try:
                return inner, self._inline(args, static, inner)[0], True
            finally:
                state.autocast = before

        def push(operands: Any, results: Any, tangents: Any) -> list[Any]:
            inner, found, _ = again(operands)
            return push_forward(inner, tangents, found, state.grad_enabled)

        def derive(operands: Any, results: Any, cotangents: Any) -> list[Any]:
            inner, found, create = again(operands)
            pairs = [
                (y, c)
                for y, c in zip(found, cotangents, strict=True)
                if c is not None and y._node is not None
            ]
            wanted = [n for n, x in enumerate(operands) if x._node is not None]
            gradients: list[Any] = [None] * len(operands)
            if pairs and wanted:
                outs, seeds = [y for y, _ in pairs], [c for _, c in pairs]
                chosen = [inner[n] for n in wanted]
                flowing = backward(outs, seeds, True, create, chosen) or []
                for n, gradient in zip(wanted, flowing, strict=True):
                    gradients[n] = gradient
            return gradients

        flows = [y._node is not None for y in outputs]
        name = self.__name__  # type: ignore[attr-defined]
        record_call(name, Derivative(derive, push), operands, results, flows)
        return results[0] if single else tuple(results)

    def _inline(self, args: Any, static: Any, tensors: list[Any]) -> tuple[list[Any], bool]:
        """Call the function with its tensors replaced."""
        places = iter(tensors)
        given = [next(places) if isinstance(x, Cell) else x for x in args]
        with enable_grad():
            outputs = self.function(*given, **static)
        single = isinstance(outputs, Cell)
        found = [outputs] if single else list(outputs)
        if any(not isinstance(y, Cell) for y in found):
            name = self.__name__  # type: ignore[attr-defined]
            fail(TraceError, name, f"a composite must return tensors, received {outputs!r:.60}")
        return found, single

    def _need_hashable(self, args: Any, static: Any) -> None:
        for name, value in (*enumerate(args), *static.items()):
            try:
                hash(value)
            except TypeError:
                text = f"argument {name} must be a tensor or hashable, received {value!r:.60}"
                fail(DTypeError, self.__name__, text)  # type: ignore[attr-defined]

    def _prepare(self, key: Any, args: Any, static: Any) -> tuple[TracedFunction, bool]:
        for arg in args:
            if isinstance(arg, Cell) and arg._layout is None:
                arg._buffer.refuse_outside(arg, self.__name__)  # type: ignore[attr-defined]
        plain = [arg._type for arg in args if isinstance(arg, Cell)]
        types = self._symbols(plain)
        others = tuple(None if isinstance(arg, Cell) else (arg, type(arg)) for arg in args)
        pattern = (tuple(types), others, tuple(static.items()), state.autocast)
        entry = self._traced.get(pattern)
        if entry is None:
            try:
                entry = self._traced[pattern] = self._trace(args, static, types)
            except Exception:  # the function needs its sizes as numbers, or is at fault
                entry = None
        if entry is None:
            entry = self._trace(args, static, plain)
        if len(self._entries) >= MOST_KEPT:
            self._entries.clear()
        self._entries[key] = entry
        return entry

    def _trace(self, args: Any, static: Any, types: Any) -> tuple[TracedFunction, bool]:
        name = self.__name__  # type: ignore[attr-defined]
        before = state.grad_enabled
        state.grad_enabled = True
        try:
            with Trace(name) as trace:
                inputs = [trace.input(kind) for kind in types]
                for x in inputs:
                    if x.dtype.kind in "fc":
                        x._node, x._slot = Leaf(x), 0
                places = iter(inputs)
                given = [next(places) if isinstance(arg, Cell) else arg for arg in args]
                outputs = self.function(*given, **static)
                single = isinstance(outputs, Cell)
                results = [outputs] if single else list(outputs)
                if any(not isinstance(y, Cell) for y in results):
                    text = f"a composite must return tensors, received {outputs!r:.60}"
                    fail(TraceError, name, text)
                stand_ins = [trace.stand_in(y) for y in results]
                if trace.written or trace.changed_gradients:
                    text = "a composite must not change tensors from outside"
                    fail(TraceError, name, text)
                held = trace.inputs
        finally:
            state.grad_enabled = before
        inputs = [*inputs, *(one.tensor for one in held)]
        cells = [one.cell for one in held]
        traced = TracedFunction(name, trace, inputs, stand_ins, cells)
        code = getattr(self.function, "__code__", None)
        traced.lines_are_own = code is not None and not is_inside(code)
        return traced, single


def _leaf(x: Any) -> Any:
    """A tensor equal to x at which backward stops, if x wants a gradient."""
    fresh = detached(x)
    if x._node is not None:
        fresh._node, fresh._slot = Leaf(fresh), 0
    return fresh


def symbolic_types(types: list[TensorType]) -> list[TensorType]:
    """The types with a symbol for each distinct size above 1.

    Example:
        >>> from elinvar.core.types import parse_type
        >>> symbolic_types([parse_type("f32[8,1,16]"), parse_type("f32[16]")])
        [f32[d0,1,d1], f32[d1]]
    """
    symbols: dict[DimLike, Dim] = {}
    found = []
    for kind in types:
        shape: list[DimLike] = []
        for size in kind.shape:
            if size not in (0, 1):
                if size not in symbols:
                    symbols[size] = Dim(f"d{len(symbols)}", min=2)
                shape.append(symbols[size])
            else:
                shape.append(size)
        found.append(TensorType(kind.dtype, tuple(shape)))
    return found
