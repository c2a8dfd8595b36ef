"""jit: trace ordinary Python once, run one compiled program from then on.

    @el.jit
    def step(x, y):
        loss = loss_of(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

The trace finds what the function depends on and what it changes: every tensor from outside that is
read is an input of the program, every one that is rebound (by `assign`, `x += y`, an optimizer, a
random generator) and every `.grad` that is set is an output. Nothing captured is baked in.

Arguments may be nested containers. Tensors, numpy arrays, floats and ints are inputs (a float is a
0-d float32, an int a 0-d int64); all else is static: a new value means a new trace. So does a new
structure, rank or dtype, a changed `training` flag of a module that was asked, and a captured
tensor whose type or `requires_grad` changed. New sizes mean one more trace, in which they are
symbols.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeVar, overload

import numpy as np

from elinvar.core import tree
from elinvar.core.dtypes import as_dtype
from elinvar.core.errors import DTypeError, TraceError, ValueRangeError, fail
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.tensor.cell import Cell, state, traces
from elinvar.tensor.dispatch import scalar
from elinvar.tensor.engine import NUMERICS
from elinvar.tensor.program import JitProgram, need, trace_program
from elinvar.tensor.storage import from_numpy

P = ParamSpec("P")
R = TypeVar("R")
MOST_PROGRAMS = 4096  # kinds of arguments that one function remembers
_tracing = threading.RLock()  # a trace changes cells that other threads may read


class Static:
    """An argument that is part of the key of a program. 1, 1.0 and True are different."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Static) or type(self.value) is not type(other.value):
            return False
        return self.value is other.value or bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return repr(self.value)


class Call:
    """The arguments of one call, sorted into tensors, static values and their structure."""

    __slots__ = ("given", "key", "kind", "leaves", "structure", "tensors")

    def __init__(self, tensors: list[Any], given: Any, leaves: Any, structure: Any) -> None:
        self.tensors = tensors  # one for each input
        self.given = given  # what the caller passed for each of them
        self.leaves = leaves  # all leaves; None where a tensor goes
        self.structure = structure
        needs = [need(x._node) for x in tensors]
        rest = (
            *(needs if any(needs) else ()),
            *([] if leaves is None else leaves),
            state.grad_enabled,
        )
        self.key: Any = (structure, *[x._layout for x in tensors], *rest)
        self.kind: Any = (structure, *[(x.dtype, x.ndim) for x in tensors], *rest)


class Family:
    """The programs for arguments that differ in sizes only.

    The first call is traced with its sizes as numbers. When a call comes with other sizes, the axes
    that changed become symbols, and that one program serves all sizes from then on, except for 1,
    which has a program of its own: see `_comparable`. Where the
    function needs its sizes as numbers (as in `range(x.shape[0])`), each size has its own program.
    """

    def __init__(self) -> None:
        self.programs: list[JitProgram] = []  # with symbols
        self.shapes: list[Any] = []  # traced with numbers
        self.needs_numbers = False

    def accepting(self, call: Call) -> JitProgram | None:
        """A program with symbols that can serve the call."""
        shapes = [x.shape for x in call.tensors]
        for program in self.programs:
            if program.accepts_shapes(shapes) and program.is_valid(call.given):
                return program
        return None

    def _comparable(self, shapes: list[Any]) -> Any:
        """The last shapes that were traced with numbers and differ in no axis of size 1.

        An axis of size 1 does not count in the order of a sum, so size 1 has a program of its own.
        """
        for old in reversed(self.shapes):
            pairs = [pair for x, y in zip(old, shapes, strict=True) for pair in zip(x, y)]
            if not any(1 in pair and pair[0] != pair[1] for pair in pairs):
                return old
        return None

    def symbolic_types(self, call: Call) -> list[TensorType] | None:
        """The arguments' types with a symbol for each size that changed; None at first."""
        shapes = [x.shape for x in call.tensors]
        if self.needs_numbers or not self.shapes or shapes in self.shapes:
            return None
        before = self._comparable(shapes)
        if before is None:
            return None
        symbols: dict[tuple[int, int], Dim] = {}
        types = []
        for x, old in zip(call.tensors, before, strict=True):
            dims = []
            for pair in zip(old, x.shape, strict=True):
                if pair[0] != pair[1] and pair not in symbols:
                    symbols[pair] = Dim(f"n{len(symbols)}")
                dims.append(symbols.get(pair, pair[1]))
            types.append(TensorType(x.dtype, tuple(dims)))
        return types


@overload
def jit(
    function: Callable[P, R],
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    numerics: str = "exact",
) -> Jit[P, R]: ...
@overload
def jit(
    function: None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    numerics: str = "exact",
) -> Callable[[Callable[P, R]], Jit[P, R]]: ...
def jit(
    function: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    numerics: str = "exact",
) -> Any:
    """Compile a function: it is traced on the first call and runs as one program afterwards.

    Args:
        function: ordinary Python over tensors. It may call `backward()`, change tensors in place,
            step an optimizer and draw random numbers.
        static_argnums, static_argnames: arguments whose values the trace may use as Python values
            (sizes, flags); they must be hashable.
        numerics: "exact", or "fast" to give up the fixed order of sums and products for this
            program (see `docs/numerics.md`). A function that is traced inside of another jitted
            one is part of that program, whose word counts.

    Raises:
        TraceError: Python needs the value of a traced tensor, or a static argument is unhashable.
        ValueRangeError: `numerics` is another word.

    Example:
        >>> import elinvar as el
        >>> @el.jit
        ... def double_sum(x):
        ...     return (x + x).sum()
        >>> double_sum(el.asarray([1.0, 2.0])).item()
        6.0
        >>> double_sum.compilations
        1
    """
    if function is None:
        return functools.partial(
            jit,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
            numerics=_known_numerics(numerics),
        )
    if not callable(function):
        text = f"expected a function, received {type(function).__name__}"
        fail(DTypeError, "jit", text, "write `el.jit(function)` or `@el.jit`")
    numbers = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    return Jit(function, numbers, names, _known_numerics(numerics))


def _known_numerics(numerics: Any) -> str:
    """The word, if it is one of those that there are."""
    if not isinstance(numerics, str) or numerics not in NUMERICS:
        words = " or ".join(map(repr, NUMERICS))
        text = f"numerics must be {words}, received {numerics!r}"
        fail(ValueRangeError, "jit", text, "leave it out: then every sum has its fixed order")
    return numerics


class Jit(Generic[P, R]):
    """What `jit` returns: callable like the function.

    Attributes:
        compilations: how many times the function has been traced and compiled.
        numerics: the order in which its programs add.
    """

    def __init__(
        self,
        function: Callable[P, R],
        static_numbers: Any,
        static_names: Any,
        numerics: str = "exact",
    ) -> None:
        functools.update_wrapper(self, function)
        self.function, self.numerics = function, numerics
        self.name: str = getattr(function, "__name__", type(function).__name__)
        self.compilations = 0
        self._programs: dict[Any, list[JitProgram]] = {}
        self._families: dict[Any, Family] = {}
        self._parameters = _parameter_names(function)
        self._check_static(static_numbers, static_names)
        count = len(self._parameters)
        self._static_numbers = {n + count if n < 0 else n for n in static_numbers}
        self._static_numbers |= {
            number for number, name in enumerate(self._parameters) if name in static_names
        }
        self._only_tensors = not self._static_numbers
        self._static_names = set(static_names) | {
            self._parameters[n] for n in self._static_numbers if n < len(self._parameters)
        }

    def _check_static(self, numbers: Any, names: Any) -> None:
        """Refuse static arguments that the function does not have."""
        count = len(self._parameters)
        kinds = _parameter_kinds(self.function)
        for n in numbers:
            if not isinstance(n, int) or not (-count <= n < count or (n >= 0 and "*" in kinds)):
                text = f"static_argnums names argument {n!r}, the function has {count}"
                fail(ValueRangeError, self.name, text)
        for name in names:
            if name not in kinds and "**" not in kinds:
                text = f"static_argnames names {name!r}, which is no argument of the function"
                fail(ValueRangeError, self.name, text, f"it has {', '.join(self._parameters)}")

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else MethodType(self, owner)

    def __repr__(self) -> str:
        return f"<jit {self.name}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if traces.active and state.trace is not None:
            return self._inline(args, kwargs)
        if self._only_tensors and not kwargs:
            given: Any = args
            try:  # tensors that want no gradient
                key: Any = (len(args), *[x._layout for x in given], state.grad_enabled)
                known = self._programs.get(key, ())
            except AttributeError:
                known = ()
            for program in known:
                if all(x._node is None for x in given) and program.is_valid(given):
                    return program.run(given, given)
        call = self._sort(args, kwargs)
        for program in self._programs.get(call.key, ()):
            if program.is_valid(call.given):
                return program.run(call.tensors, call.given)
        return self._program(call).run(call.tensors, call.given)

    def _program(self, call: Call) -> JitProgram:
        """The program for a call; traced here unless there is one already."""
        with _tracing:
            for program in self._programs.get(call.key, ()):
                if program.is_valid(call.given):  # another thread traced it meanwhile
                    return program
            family = self._families.setdefault(call.kind, Family())
            found = family.accepting(call)
            if found is None:
                found = self._trace(call, family)
            if len(self._programs) >= MOST_PROGRAMS:
                self._programs.clear()  # those with symbols stay in their families
            self._programs.setdefault(call.key, []).insert(0, found)
            return found

    def _trace(self, call: Call, family: Family) -> JitProgram:
        self.compilations += 1
        types = family.symbolic_types(call)
        if types is not None:
            try:
                program = trace_program(self.function, self.name, call, types, self.numerics)
                program.compiled()
                family.programs.append(program)
                return program
            except Exception:  # the function needs its sizes as numbers, or is at fault
                family.needs_numbers = True
        program = trace_program(self.function, self.name, call, numerics=self.numerics)
        family.shapes.append([x.shape for x in call.tensors])
        return program

    # arguments

    def _sort(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        if not kwargs and self._only_tensors and all(isinstance(a, Cell) for a in args):
            for number, arg in enumerate(args):
                if arg._layout is None:
                    arg._buffer.refuse_outside(arg, self._argument(number))
            return Call(list(args), list(args), None, len(args))
        marked = [
            Static(arg) if number in self._static_numbers else arg
            for number, arg in enumerate(args)
        ]
        named = {
            name: Static(kwargs[name]) if name in self._static_names else kwargs[name]
            for name in sorted(kwargs)
        }
        leaves, structure = tree.flatten((marked, named))
        tensors, given = [], []
        for place, leaf in enumerate(leaves):
            tensor = as_input(leaf)
            if tensor is not None:
                tensors.append(tensor)
                given.append(leaf)
                leaves[place] = None
            elif not isinstance(leaf, Static):
                leaves[place] = Static(leaf)
        call = Call(tensors, given, leaves, structure)
        try:
            hash(call.key)
        except TypeError:
            self._refuse_unhashable(args, kwargs)
        return call

    def _inline(self, args: Any, kwargs: Any) -> Any:
        """Inside of another trace: call the function with the same kinds of arguments."""
        marked = [
            arg if number in self._static_numbers else tree.map_tree(_traced_input, arg)
            for number, arg in enumerate(args)
        ]
        named = {
            name: arg if name in self._static_names else tree.map_tree(_traced_input, arg)
            for name, arg in kwargs.items()
        }
        return self.function(*marked, **named)

    def _argument(self, number: int) -> str:
        return self._parameters[number] if number < len(self._parameters) else str(number)

    def _refuse_unhashable(self, args: Any, kwargs: Any) -> None:
        given = [(self._argument(n), arg) for n, arg in enumerate(args)] + list(kwargs.items())
        for name, arg in given:
            static = name in self._static_names
            for leaf in [arg] if static else tree.flatten(arg)[0]:
                try:
                    hash(leaf)
                except TypeError:
                    kind = type(leaf).__name__
                    text = f"argument {name!r} is static and must be hashable, received {kind}"
                    fail(TraceError, self.name, text, "pass tensors, numbers or tuples")

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> Lowered:
        """Trace and compile for these arguments without running; gives what can be looked at.

        Example:
            >>> import elinvar as el
            >>> shown = el.jit(lambda x: x + 1).lower(el.ones(3))
            >>> "add" in shown.graph
            True
        """
        return Lowered(self._program(self._sort(args, kwargs)))


def as_input(leaf: Any) -> Any:
    """The tensor of an argument that is an input; None for one that is static."""
    if isinstance(leaf, Cell):
        if leaf._layout is None:
            leaf._buffer.refuse_outside(leaf, "jit")
        return leaf
    if isinstance(leaf, np.ndarray | np.generic):
        return from_numpy(np.asarray(leaf))
    if type(leaf) is int or type(leaf) is float:
        return scalar(leaf, as_dtype(type(leaf)))
    return None


def _traced_input(leaf: Any) -> Any:
    if isinstance(leaf, Cell):
        return leaf
    tensor = as_input(leaf)
    return leaf if tensor is None else tensor


def _parameter_kinds(function: Any) -> set[str]:
    """The names of all parameters; `*` and `**` where there may be more than have names."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {"*", "**"}
    marks: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*"}
    marks[inspect.Parameter.VAR_KEYWORD] = "**"
    return {marks.get(kind.kind, kind.name) for kind in parameters}


def _parameter_names(function: Any) -> list[str]:
    try:
        kinds = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [kind.name for kind in kinds if kind.kind in positional]


class Lowered:
    """What the compiler made of a function, for reading. Every attribute is a text or a graph;
    `explain()` tells why the kernels are what they are."""

    def __init__(self, program: JitProgram) -> None:
        self._program = program

    @property
    def graph(self) -> str:
        """The traced graph as text."""
        return self._program.text()

    @property
    def optimized(self) -> Any:
        """The graph after all passes."""
        return self._program.compiled().optimized

    @property
    def loops(self) -> str:
        """The kernels in the order in which they run."""
        return _text(self._program.compiled().loops)

    def explain(self) -> str:
        """A text that tells, kernel by kernel, what was fused and why each stored value is stored.

        Values have the numbers of `print(optimized)`; lines are the user's.

        Example:
            >>> import elinvar as el
            >>> shown = el.jit(lambda x: el.sum(x * 2.0, axis=0)).lower(el.ones((300, 40)))
            >>> print(shown.explain().splitlines()[0].split("     #")[0])
            kernel 0: down columns over [300, 40]: multiply, sum
        """
        return self._program.compiled().explain()

    @property
    def llvm(self) -> str:
        """The LLVM text of all kernels."""
        return _text(self._program.compiled().llvm)

    @property
    def assembly(self) -> str:
        """The machine code of all kernels as assembly."""
        return _text(self._program.compiled().assembly)


def _text(found: Any) -> str:
    return found() if callable(found) else found
