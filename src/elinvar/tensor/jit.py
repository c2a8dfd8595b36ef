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
symbols (`family.py`); with a specification (`specs.py`) the first trace serves all of them.
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
from elinvar.core.shapes import assuming
from elinvar.graph.sizes import resolve_sizes
from elinvar.tensor.cell import Cell, state, traces
from elinvar.tensor.dispatch import scalar
from elinvar.tensor.engine import NUMERICS
from elinvar.tensor.family import Family, Teller
from elinvar.tensor.fitting import Slot, Specification
from elinvar.tensor.program import JitProgram, examine_call, need, sizes_as_numbers, trace_program
from elinvar.tensor.storage import from_numpy
from elinvar.tensor.watching import watch

P = ParamSpec("P")
R = TypeVar("R")
MOST_PROGRAMS = 4096  # kinds of arguments that one function remembers
tracing_lock = threading.RLock()  # a trace changes cells that other threads may read


class Static:
    """An argument that is part of the key of a program. 1, 1.0 and True are different."""

    __slots__ = ("value",)

    value: Any

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

    tensors: list[Any]
    given: Any
    leaves: Any
    structure: Any

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
            state.autocast,
        )
        self.key: Any = (structure, *[x._layout for x in tensors], *rest)
        self.kind: Any = (structure, *[(x.dtype, x.ndim) for x in tensors], *rest)


@overload
def jit(
    function: Callable[P, R],
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    specs: Any = None,
    infer_dims: bool = True,
    numerics: str = "exact",
) -> Jit[P, R]: ...
@overload
def jit(
    function: None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    specs: Any = None,
    infer_dims: bool = True,
    numerics: str = "exact",
) -> Callable[[Callable[P, R]], Jit[P, R]]: ...
def jit(
    function: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    specs: Any = None,
    infer_dims: bool = True,
    numerics: str = "exact",
) -> Any:
    """Compile a function: it is traced on the first call and runs as one program afterwards.

    Args:
        function: ordinary Python over tensors. It may call `backward()`, change tensors in place,
            step an optimizer and draw random numbers.
        static_argnums, static_argnames: arguments whose values the trace may use as Python values
            (sizes, flags); they must be hashable.
        specs: the types of the arguments, with named sizes (`el.TensorSpec`, or texts such as
            "f32[batch,784]"): a tuple with an entry for each positional argument, None for a static
            one, or the entry of the only one. One program then serves all sizes.
        infer_dims: without specs, whether sizes that change become symbols by themselves.
        numerics: "exact", or "fast" to give up the fixed order of sums and products for this
            program (see `docs/numerics.md`). A function that is traced inside of another jitted
            one is part of that program, whose word counts.

    Raises:
        TraceError: Python needs the value of a traced tensor, or a size that is a symbol; or a
            static argument is unhashable.
        ShapeError, DTypeError: an argument does not fit its specification.
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
        >>> total = el.jit(lambda x: x.sum(), specs=el.TensorSpec(el.Dim("length")))
        >>> [total(el.ones(n)).item() for n in (0, 1, 5)], total.compilations
        ([0.0, 1.0, 5.0], 1)
    """
    if function is None:
        return functools.partial(
            jit,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
            specs=specs,
            infer_dims=infer_dims,
            numerics=_known_numerics(numerics),
        )
    if not callable(function):
        text = f"expected a function, received {type(function).__name__}"
        fail(DTypeError, "jit", text, "write `el.jit(function)` or `@el.jit`")
    numbers = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    given = _known_numerics(numerics)
    return Jit(function, numbers, names, specs, infer_dims, given)


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
        specs: as they were given.
    """

    function: Callable[P, R]
    numerics: str
    compilations: int

    def __init__(
        self,
        function: Callable[P, R],
        static_numbers: Any,
        static_names: Any,
        specs: Any = None,
        infer_dims: bool = True,
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
        self._infer_dims = infer_dims
        self._teller = Teller(self.name)
        self._specification: Specification | None = None
        self.specs = specs
        if specs is not None:
            self._specification = Specification(self.name, specs, self._parameters)

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
        if traces.active and (
            watch.on
            or state.trace is not None
            or state.recorder is not None
            or state.autocast is not None
            or state.by_steps
        ):
            return self._slowly(args, kwargs)
        if self._only_tensors and not kwargs:
            given: Any = args
            try:  # tensors that want no gradient
                key: Any = (len(args), *[x._layout for x in given], state.grad_enabled, None)
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
        return self._program(call, args, kwargs).run(call.tensors, call.given)

    def _slowly(self, args: Any, kwargs: Any) -> Any:
        """Call it under a trace, by steps, or while somebody casts or watches for NaN."""
        if state.trace is not None or state.recorder is not None or state.by_steps:
            return self._inline(args, kwargs)
        call = self._sort(args, kwargs)
        known = [p for p in self._programs.get(call.key, ()) if p.is_valid(call.given)]
        program = known[0] if known else self._program(call, args, kwargs)
        if not watch.on:
            return program.run(call.tensors, call.given)
        examine = functools.partial(
            examine_call, program, self.function, call, f"the jitted function {self.name}"
        )
        return program.run(call.tensors, call.given, examine)

    def _program(self, call: Call, args: Any, kwargs: Any) -> JitProgram:
        """The program for a call; traced here unless there is one already."""
        with tracing_lock:
            for program in self._programs.get(call.key, ()):
                if program.is_valid(call.given):  # another thread traced it meanwhile
                    return program
            types = None
            if self._specification is not None:
                types = self._specified_types(self._specification, call, args, kwargs)
            family = self._families.setdefault(call.kind, Family(self._infer_dims))
            found = family.accepting(call, any_sizes=types is not None)
            if found is None:
                found = self._trace(call, family, types)
            if len(self._programs) >= MOST_PROGRAMS:
                self._programs.clear()  # those with symbols stay in their families
            self._programs.setdefault(call.key, []).insert(0, found)
            return found

    def _specified_types(
        self, specification: Specification, call: Call, args: Any, kwargs: Any
    ) -> list[Any]:
        """The types to trace a call with; refused where it does not fit."""
        slots = self._slots(specification, args, kwargs)
        specification.fit(slots, call.tensors)
        return [specification.type_of(slot.spec) for slot in slots]

    def _slots(self, specification: Specification, args: Any, kwargs: Any) -> list[Slot]:
        marked, named = self._marked(args, kwargs)
        return specification.slots(marked, named, lambda leaf: as_input(leaf) is not None)

    def _trace(self, call: Call, family: Family, types: list[Any] | None) -> JitProgram:
        self.compilations += 1
        if types is not None:
            with sizes_as_numbers(self.name):
                program = trace_program(self.function, self.name, call, types, self.numerics)
            program.compiled()
            family.programs.append(program)
            return program
        family.note(call)
        failure: Exception | None = None
        for types in family.candidates(call):
            try:
                shapes = [x.shape for x in call.tensors]
                sizes = resolve_sizes(types, shapes)
                with sizes_as_numbers(self.name), assuming(sizes) as assumed:
                    program = trace_program(self.function, self.name, call, types, self.numerics)
                program.needed = tuple(assumed.needed)
                if not program.accepts_shapes(shapes):
                    continue
                program.compiled()
                family.programs.append(program)
                self._teller.symbols(types, self._places(call))
                return program
            except Exception as error:  # it needs its sizes as numbers, or is at fault
                failure = failure or error
        program = trace_program(self.function, self.name, call, numerics=self.numerics)
        if failure is not None:
            family.attempts -= 1
            self._teller.numbers(failure)
        return program

    def _places(self, call: Call) -> list[str]:
        """What to call the inputs: by their parameter where each is an argument."""
        plain = call.leaves is None or len(call.leaves) == len(call.tensors)
        named = plain and len(call.tensors) <= len(self._parameters)
        return [self._parameters[n] if named else str(n) for n in range(len(call.tensors))]

    # arguments

    def _sort(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        if not kwargs and self._only_tensors and all(isinstance(a, Cell) for a in args):
            for number, arg in enumerate(args):
                if arg._layout is None:
                    arg._buffer.refuse_outside(arg, self._argument(number))
            return Call(list(args), list(args), None, len(args))
        marked, named = self._marked(args, kwargs)
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

    def _marked(self, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with their static ones as such."""
        marked = [
            Static(arg) if number in self._static_numbers else arg
            for number, arg in enumerate(args)
        ]
        named = {
            name: Static(kwargs[name]) if name in self._static_names else kwargs[name]
            for name in sorted(kwargs)
        }
        return marked, named

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

        Where the arguments have specifications, none need be given.

        Example:
            >>> import elinvar as el
            >>> shown = el.jit(lambda x: x + 1).lower(el.ones(3))
            >>> "add" in shown.graph
            True
        """
        given: Any = args
        if self._specification is not None and not args and not kwargs:
            given = self._specification.examples()
        return Lowered(self._program(self._sort(given, kwargs), given, kwargs))


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
