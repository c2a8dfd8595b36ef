"""The front of vmap: arguments and results as containers, their axes, eager calls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from elinvar.core import tree
from elinvar.core.errors import AxisError, DTypeError, ShapeError, TraceError, ValueRangeError, fail
from elinvar.core.shapes import Dim, DimLike
from elinvar.tensor.batching import SHARED, Mapped
from elinvar.tensor.cell import Cell, current_trace, state, traces
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.jit import Call, as_input, tracing_lock
from elinvar.tensor.program import examine_call, trace_program
from elinvar.tensor.watching import watch

P = ParamSpec("P")
R = TypeVar("R")
RANDOMNESS = ("error", "different", "same")
_UNSET: Any = object()


def vmap(
    function: Callable[P, R],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Any = None,
    axis_size: DimLike | None = None,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
    in_dims: Any = _UNSET,
    out_dims: Any = _UNSET,
) -> Callable[P, R]:
    """A function of one example as a function of many: result i is f(argument i).

    Its operations get a batch dimension; nothing is done in a loop. The bits are those of a loop.
    Tensors that the function reads from outside are the same for all examples. It composes with
    itself, `grad`, `vjp`, `jvp`, `backward`, `jit` and control flow, inside and outside.

    Args:
        function: of one example: tensors, or nested containers of them, in and out.
        in_axes: which axis of each argument counts the examples; None: the argument is the same for
            all. One int for all arguments, or a tuple with an entry for each: an int, None, or a
            container like the argument (or like its outer levels) of these. Tensors among keyword
            arguments are mapped along axis 0.
        out_axes: where the results have that axis, likewise. None: the result must be the same for
            all examples, and is given once.
        axis_name: a name for `psum`, `all_gather`, `axis_index` and their like.
        axis_size: how many examples; needed if no argument is mapped.
        randomness: what random numbers are inside: "error" refuses them, "different" draws others
            for each example, "same" the same for all.
        chunk_size: how many examples at most are done at once; None: all. Fewer take less memory,
            and the bits are the same.
        in_dims, out_dims: PyTorch's names of in_axes and out_axes.

    Raises:
        AxisError: an argument or a result has no such axis.
        ShapeError: arguments have different numbers of examples.
        TraceError: Python needs a value that differs between examples; a result shall be the same
            for all and is not; a tensor from outside would get another value from each example.

    Example:
        >>> import elinvar as el
        >>> rows, y = el.asarray([[1, 2], [3, 4]]), el.asarray([1, 10])
        >>> el.vmap(lambda x, y: (x * y).sum(), in_axes=(0, None))(rows, y).tolist()
        [21, 43]
    """
    if not callable(function):
        fail(DTypeError, "vmap", f"expected a function, received {type(function).__name__}")
    if randomness not in RANDOMNESS:
        words = ", ".join(map(repr, RANDOMNESS))
        fail(ValueRangeError, "vmap", f"randomness must be one of {words}, received {randomness!r}")
    in_axes = in_axes if in_dims is _UNSET else in_dims
    out_axes = out_axes if out_dims is _UNSET else out_dims
    options = Options(in_axes, out_axes, axis_name, axis_size, randomness)
    if chunk_size is not None:
        _check_chunks(chunk_size, options)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = _Call(function, options, args, kwargs)
        return call() if chunk_size is None else _in_chunks(call, chunk_size)

    return wrapped


class Options:
    """What vmap was told."""

    in_axes: Any
    axis_name: Any
    out_axes: Any
    axis_size: Any
    randomness: str

    def __init__(
        self, in_axes: Any, out_axes: Any, axis_name: Any, axis_size: Any, randomness: str
    ) -> None:
        self.in_axes, self.out_axes, self.axis_name = in_axes, out_axes, axis_name
        self.axis_size, self.randomness = axis_size, randomness
        if isinstance(in_axes, list):
            self.in_axes = tuple(in_axes)
        if not (in_axes is None or isinstance(in_axes, int | tuple | list)):
            text = f"in_axes must be an int, None or a tuple, received {in_axes!r:.60}"
            fail(ValueRangeError, "vmap", text)
        if axis_size is not None and not isinstance(axis_size, int | Dim):
            fail(ValueRangeError, "vmap", f"axis_size must be an int, received {axis_size!r:.60}")

    def of_size(self, size: int) -> Options:
        """The same for a part of the examples."""
        given = self.axis_size if self.axis_size is None else size
        return Options(self.in_axes, self.out_axes, None, given, self.randomness)


def _check_chunks(chunk_size: Any, options: Options) -> None:
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
        text = f"chunk_size must be a positive int or None, received {chunk_size!r:.60}"
        fail(ValueRangeError, "vmap", text)
    if options.axis_name is not None or options.randomness == "same":
        what = "axis_name" if options.axis_name is not None else 'randomness="same"'
        text = f"examples of different chunks cannot hear of each other, as {what} asks for"
        fail(ValueRangeError, "vmap", text, "leave chunk_size out")


def _in_chunks(call: _Call, chunk_size: int) -> Any:
    """A call, at most `chunk_size` examples at once."""
    size, options = call.size, call.options
    if not isinstance(size, int):
        text = f"the number of examples, {size}, must be known to be cut into chunks"
        fail(TraceError, "vmap", text, "leave chunk_size out, or pass infer_dims=False to jit")
    if size <= chunk_size:
        return call()
    parts = []
    structure: Any = None
    for start in range(0, size, chunk_size):
        leaves = list(call.leaves)
        for number, axis in enumerate(call.axes):
            if axis is not None:
                leaves[number] = _part(as_tensor(leaves[number]), axis, start, chunk_size)
        args, kwargs = tree.unflatten(call.structure, leaves)
        sized = options.of_size(min(chunk_size, size - start))
        found, structure = tree.flatten(_Call(call.function, sized, args, kwargs)())
        parts.append(found)
    axes = axes_of(options.out_axes, structure, "out_axes")
    joined = [
        first if axis is None else F.concatenate(first, *others, axis=axis % first.ndim)
        for axis, first, *others in zip(axes, *parts, strict=True)
    ]
    return tree.unflatten(structure, joined)


def _part(x: Any, axis: int, start: int, most: int) -> Any:
    """The examples of a chunk."""
    first = tuple([start if n == axis else 0 for n in range(x.ndim)])
    sizes = [min(most, dim - start) if n == axis else dim for n, dim in enumerate(x.shape)]
    return F.slice(x, start=first, size=tuple(sizes), step=(1,) * x.ndim)


class _Call:
    """One call: its leaves, with the axis of each that is mapped."""

    def __init__(self, function: Any, options: Options, args: Any, kwargs: Any) -> None:
        self.function, self.options = function, options
        in_axes = options.in_axes
        if isinstance(in_axes, tuple) and len(in_axes) != len(args):
            text = f"in_axes has {len(in_axes)} entries, but {len(args)} arguments were passed"
            fail(ValueRangeError, "vmap", text, "keyword arguments have no entry")
        self.leaves, self.structure = tree.flatten((args, kwargs))
        structures = self.structure.children
        axes = axes_of(in_axes, structures[0], "in_axes")
        self.names: list[str] = []
        for number, child in enumerate(structures[0].children):
            self.names += [f"argument {number}"] * count(child)
        for name, child in zip(kwargs, structures[1].children, strict=True):
            self.names += [f"argument {name!r}"] * count(child)
        axes += [0 if _is_array(leaf) else None for leaf in self.leaves[len(axes) :]]
        self.axes = axes
        self.size = self._check()

    def _check(self) -> DimLike:
        """Normalize the axes; the number of examples."""
        size, first = self.options.axis_size, "axis_size"
        for number, (leaf, axis) in enumerate(zip(self.leaves, self.axes, strict=True)):
            if axis is None:
                continue
            name = self.names[number]
            if not _is_array(leaf):
                text = f"in_axes maps {name} along axis {axis}, but it holds {leaf!r:.60}"
                fail(DTypeError, "vmap", text, "give it None in in_axes: the same for all examples")
            if not -leaf.ndim <= axis < leaf.ndim:
                text = f"in_axes maps {name} along axis {axis}, but it has {leaf.ndim} axes"
                kind = leaf._type if isinstance(leaf, Cell) else f"an array of shape {leaf.shape}"
                fail(AxisError, "vmap", f"{text}: {kind}", "None: the same for all examples")
            axis = self.axes[number] = axis % leaf.ndim
            found = leaf.shape[axis]
            if size is None:
                size, first = found, name
            elif size != found:
                text = f"the number of examples differs: {first} has {size}, {name} has {found}"
                fail(ShapeError, "vmap", f"{text} along axis {axis}")
        if size is None:
            text = "no argument is mapped, so the number of examples is not known"
            fail(ValueRangeError, "vmap", text, "map an argument in in_axes, or pass `axis_size=`")
        return size

    def __call__(self) -> Any:
        places = [n for n, leaf in enumerate(self.leaves) if _is_array(leaf)]
        if current_trace() is not None:
            return self._traced(places, [as_tensor(self.leaves[n]) for n in places])
        tensors = [as_input(self.leaves[n]) for n in places]
        if not traces.active and state.changes is None:
            return self._traced(places, tensors)

        def run(*stand_ins: Any) -> Any:
            return self._traced(places, list(stand_ins))

        call = Call(tensors, tensors, None, len(tensors))
        with tracing_lock:
            program = trace_program(run, "vmap", call)
        program.function.share_code()
        if watch.on:
            examine = functools.partial(examine_call, program, run, call, "vmap")
            return program.run(tensors, tensors, examine)
        return program.run(tensors, tensors)

    def _traced(self, places: list[int], tensors: list[Any]) -> Any:
        """The call, at once or in the running trace."""
        options = self.options
        leaves = list(self.leaves)
        rows, mapped = [], []
        for place, x in zip(places, tensors, strict=True):
            axis = self.axes[place]
            if axis is None:
                leaves[place] = x
            else:
                rows.append(moved(x, axis, 0))
                mapped.append(place)
        structure: Any = None

        def call(examples: list[Any]) -> list[Any]:
            nonlocal structure
            for place, example in zip(mapped, examples, strict=True):
                leaves[place] = example
            args, kwargs = tree.unflatten(self.structure, leaves)
            found, structure = tree.flatten(self.function(*args, **kwargs))
            return [_result(y) for y in found]

        made = Mapped("vmap", call, rows, self.size, options.axis_name, options.randomness)
        axes = axes_of(options.out_axes, structure, "out_axes")
        pairs = zip(made.results, axes, strict=True)
        return tree.unflatten(structure, [self._placed(y, kind, axis) for (y, kind), axis in pairs])

    def _placed(self, y: Any, kind: int, axis: Any) -> Any:
        """A result with the examples along an axis."""
        if axis is None:
            if kind != SHARED:
                text = "out_axes is None for a result that differs between examples"
                fail(TraceError, "vmap", f"{text}: {y._type}, examples in front")
            return y
        if kind == SHARED:
            y = F.broadcast(y, shape=(self.size, *y.shape))
        if not -y.ndim <= axis < y.ndim:
            kind_of = y._type.with_shape(y.shape[1:])
            text = f"out_axes puts the examples along axis {axis} of results {kind_of}"
            fail(AxisError, "vmap", text)
        return moved(y, 0, axis % y.ndim)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, Cell | np.ndarray | np.generic)


def _result(y: Any) -> Any:
    if not isinstance(y, Cell | np.ndarray | np.generic | bool | int | float):
        fail(TraceError, "vmap", f"the function must return tensors, received {y!r:.60}")
    return as_tensor(y)


def moved(x: Any, source: int, target: int) -> Any:
    """x with one axis moved to another place."""
    if source == target:
        return x
    order = [axis for axis in range(x.ndim) if axis != source]
    order.insert(target, source)
    return F.permute(x, axes=tuple(order))


def count(structure: Any) -> int:
    """How many leaves a structure has."""
    if not isinstance(structure, tree.Branch):
        return 1
    return sum(count(child) for child in structure.children)


def axes_of(prefix: Any, structure: Any, what: str) -> list[Any]:
    """For each leaf of a structure the axis that a container like its outer levels names."""
    if prefix is None or (isinstance(prefix, int) and not isinstance(prefix, bool)):
        return [prefix] * count(structure)
    if not isinstance(prefix, tuple | list | dict):
        fail(ValueRangeError, "vmap", f"{what} must hold ints and None, received {prefix!r:.60}")
    fits = isinstance(structure, tree.Branch) and len(prefix) == len(structure.children)
    keys: Any = structure.keys if fits else None
    if fits and keys is not None:
        fits = isinstance(prefix, dict) and set(prefix) == set(keys)
    elif fits:
        fits = not isinstance(prefix, dict)
    if not fits:
        shown = _shown(structure)
        fail(ValueRangeError, "vmap", f"{what} {prefix!r:.60} does not fit {shown}")
    found = []
    for number, child in enumerate(structure.children):
        found += axes_of(prefix[number if keys is None else keys[number]], child, what)
    return found


def _shown(structure: Any) -> str:
    """A structure in words, for errors."""
    if not isinstance(structure, tree.Branch):
        return "a tensor"
    name = structure.kind.__name__
    if structure.keys is not None:
        return f"a {name} with the keys {', '.join(map(repr, structure.keys))}"
    return f"a {name} of {len(structure.children)}"
