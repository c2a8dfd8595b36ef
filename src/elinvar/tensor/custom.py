"""Functions with a derivative of their own: custom_vjp, custom_jvp.

On the tape such a function is one node that calls the user's rule. What the rule does not say is
found by transposition, for it is linear: reverse mode of a `custom_jvp`, forward mode of a
`custom_vjp`. Inside of the functions of `scan`, `cond` and `while_loop`, which are differentiated
as graphs, function and rule are traced into a `custom` operation that holds both.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack

from elinvar.core import tree
from elinvar.core.errors import DTypeError, GradientError, ShapeError, fail
from elinvar.core.source import user_source
from elinvar.tensor.backward import backward
from elinvar.tensor.cell import Cell, current_trace, detached, plain, state
from elinvar.tensor.control import Region
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.tape import Derivative, Leaf, enable_grad, no_grad, record_call

R = TypeVar("R")
Xs = TypeVarTuple("Xs")
Aux = TypeVar("Aux")


MOST_KEPT = 256  # graphs of one function for regions
MOST_ORDERS = 3  # how often a function that its own rule calls can be differentiated in a region


class _Depths(threading.local):
    """How many rules of a function run within each other."""

    def __init__(self) -> None:
        self.of: dict[Any, int] = {}

    def in_regions(self) -> int:
        """How many rules run within each other in regions: the order of the derivative."""
        return sum(depth for (_, what), depth in self.of.items() if what == "region")

    @contextmanager
    def one_more(self, rule: Any) -> Iterator[None]:
        """Within, one more rule of a function runs. `rule`: (the function, which of its rules)."""
        depth = self.of.get(rule, 0)
        self.of[rule] = depth + 1
        try:
            yield
        finally:
            self.of[rule] = depth
            if not depth:
                del self.of[rule]


_depths = _Depths()


class _Arguments:
    """The arguments of one call: those that have derivatives as tensors in containers, the rest."""

    def __init__(self, name: str, given: Sequence[Any], fixed: frozenset[int]) -> None:
        self.name = name
        self.given, self.fixed = list(given), fixed
        self.moving = [n for n in range(len(given)) if n not in fixed]
        self.leaves, self.structure = tree.flatten(tuple(given[n] for n in self.moving))
        self.places = [n for n, leaf in enumerate(self.leaves) if isinstance(leaf, Cell)]
        self.tensors = [self.leaves[n] for n in self.places]

    def nondiff(self) -> list[Any]:
        """The arguments that have no derivative."""
        return [self.given[n] for n in sorted(self.fixed)]

    def primals(self, tensors: Sequence[Any]) -> tuple[Any, ...]:
        """The other arguments, with these tensors."""
        leaves = list(self.leaves)
        for place, x in zip(self.places, tensors, strict=True):
            leaves[place] = x
        found: tuple[Any, ...] = tree.unflatten(self.structure, leaves)
        return found

    def all(self, tensors: Sequence[Any]) -> list[Any]:
        """All arguments in their order, with these tensors."""
        found = list(self.given)
        for n, value in zip(self.moving, self.primals(tensors), strict=True):
            found[n] = value
        return found

    def tangents(self, tangents: Sequence[Any]) -> tuple[Any, ...]:
        """Tangents in the containers of the primals; zeros for numbers."""
        leaves = [leaf if isinstance(leaf, Cell) else as_tensor(0.0) for leaf in self.leaves]
        for place, x in zip(self.places, tangents, strict=True):
            leaves[place] = x
        found: tuple[Any, ...] = tree.unflatten(self.structure, leaves)
        return found

    def per_tensor(self, found: Any) -> list[Any]:
        """The cotangents of the tensors, from one cotangent (or None) for each moving argument."""
        count = len(self.moving)
        if not isinstance(found, tuple) or len(found) != count:
            shown = tree.describe(tree.flatten(found)[1])
            text = f"the derivative must return a tuple with {count} entries, received {shown}"
            fail(GradientError, self.name, text)
        result: list[Any] = []
        for n, cotangent in zip(self.moving, found, strict=True):
            inside = tree.flatten(self.given[n])[0]
            parts = [None] * len(inside) if cotangent is None else tree.flatten(cotangent)[0]
            if len(parts) != len(inside):
                text = f"expected {len(inside)} cotangents for argument {n}, received {len(parts)}"
                fail(GradientError, self.name, text)
            result += [p for p, leaf in zip(parts, inside, strict=True) if isinstance(leaf, Cell)]
        return result


class _Custom:
    """What both kinds share: the arguments, and what happens in a region."""

    mode = "vjp"
    # function and rule depend on their tensors' types alone: a region's graphs may be used again
    is_pure = False

    def __init__(self, function: Callable[..., Any], nondiff_argnums: int | Iterable[int]) -> None:
        self._graphs: dict[Any, Any] = {}
        if not callable(function):
            text = f"expected a function, received {type(function).__name__}"
            fail(DTypeError, type(self).__name__, text)
        functools.update_wrapper(self, function)  # type: ignore[arg-type]
        self.function = function
        numbers = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else nondiff_argnums
        self._fixed = frozenset(numbers)
        self._name: str = getattr(function, "__name__", type(self).__name__)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Arguments:
        if kwargs:
            bound = inspect.signature(self.function).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        count = len(args)
        fixed = frozenset(n + count if n < 0 else n for n in self._fixed)
        if not all(0 <= n < count for n in fixed):
            text = f"nondiff_argnums names {sorted(self._fixed)}, but {count} arguments were passed"
            fail(GradientError, self._name, text)
        return _Arguments(self._name, args, fixed)

    def _flows(self, given: _Arguments) -> bool:
        """Whether a derivative may be asked for."""
        if not state.grad_enabled:
            return False
        trace = current_trace()
        in_region = trace is not None and trace.is_region
        return in_region or any(x._node is not None for x in given.tensors)

    def _in_region(self, given: _Arguments, rule: Any) -> Any:
        """The function as one `custom` operation of the region's graph.

        `rule(tensors, directions, structure)`: the derivative; None if there is none.
        """
        types = [x._type for x in given.tensors]
        key = None
        if self.is_pure:
            trace = current_trace()
            line = trace.line or user_source()
            key = (*types, _depths.in_regions(), line, state.grad_enabled, trace.is_mapped)
            if len(self._graphs) >= MOST_KEPT:
                self._graphs.clear()
        graphs = self._graphs.get(key)
        if graphs is None:
            graphs = self._region_graphs(given, rule, types)
            if self.is_pure and not graphs[-1]:
                self._graphs[key] = graphs
        body, derivative, mode, structure, cells = graphs
        operands = [*given.tensors, *(_stopped(cell) for cell in cells)]
        count = len(types)
        found = F.custom(*operands, body=body, derivative=derivative, mode=mode, moving=count)
        return tree.unflatten(structure, list(found) if isinstance(found, tuple) else [found])

    def _region_graphs(self, given: _Arguments, rule: Any, types: list[Any]) -> tuple[Any, ...]:
        """(the function's graph, its derivative's, the mode, the results' structure, cells read)"""
        body = Region(self._name, self.function, types, given.all)
        body.refuse_writes()
        results = [value.type for value in body.outputs]
        sources = results if self.mode == "vjp" else types
        moving = [kind for kind in sources if kind.dtype.is_inexact]
        count = len(types)

        def derived(*tensors: Any) -> Any:
            flowing = iter(tensors[count:])
            directions = [next(flowing) if kind.dtype.is_inexact else None for kind in sources]
            return rule(list(tensors[:count]), directions, body.structure)

        derivative = body
        # a rule that calls its own function has no end
        depth = _depths.in_regions() if self.is_pure else _depths.of.get((self, "region"), 0)
        if depth >= MOST_ORDERS:
            rule = None
        if rule is not None:
            with _depths.one_more((self, "region")):
                derivative = Region(self._name, derived, [*types, *moving], lambda xs: xs)
            derivative.refuse_writes()
        read = {key: cell for one in (body, derivative) for key, (cell, _) in one.read.items()}
        cells = list(read.values())
        inside = [body.value_of(cell) for cell in cells]
        graph = body.graph([*body.inputs, *inside], body.outputs)
        if rule is None:
            return graph, graph, "none", body.structure, cells
        outside = [derivative.value_of(cell) for cell in cells]
        inputs = [*derivative.inputs[:count], *outside, *derivative.inputs[count:]]
        how = derivative.graph(inputs, derivative.outputs)
        return graph, how, self.mode, body.structure, cells


def _stopped(x: Any) -> Any:
    return F.stop_gradient(x) if x.dtype.kind in "fc" else x


class custom_vjp(_Custom, Generic[*Xs, R]):
    """A function with a derivative of its own, given as reverse mode needs it.

    Args:
        function: of tensors (or containers of them), gives a tensor or a container.
        nondiff_argnums: arguments that have no derivative and need not be tensors. The pull-back
            gets them before all else.

    `defvjp(forward, pull_back)`: `forward(*args)` gives (result, residuals), `pull_back(residuals,
    cotangent)` one cotangent (or None) for each argument that has a derivative. Forward mode uses
    the transpose of the pull-back.

    Example:
        >>> import elinvar as el
        >>> @el.custom_vjp
        ... def straight(x):
        ...     return el.round(x)
        >>> straight.defvjp(lambda x: (el.round(x), None), lambda residuals, g: (g,))
        >>> el.grad(lambda x: straight(x).sum())(el.asarray([0.3, 1.7])).tolist()
        [1.0, 1.0]
    """

    mode = "vjp"

    def __init__(
        self, function: Callable[[Unpack[Xs]], R], nondiff_argnums: int | Iterable[int] = ()
    ) -> None:
        super().__init__(function, nondiff_argnums)
        self._forward: Any = None
        self._pull_back: Any = None

    def defvjp(self, forward: Callable[..., tuple[R, Aux]], pull_back: Callable[..., Any]) -> None:
        """Set the derivative; see the class."""
        self._forward, self._pull_back = forward, pull_back

    def __call__(self, *args: *Xs, **kwargs: Any) -> R:
        given = self._arguments(args, kwargs)
        if not self._flows(given):
            return self.function(*args, **kwargs)
        trace = current_trace()
        if trace is not None and trace.is_region:
            rule = None if self._forward is None else functools.partial(self._region_rule, given)
            return self._in_region(given, rule)
        if self._forward is None:
            hint = "call `.defvjp(forward, pull_back)`"
            fail(GradientError, self._name, "has no derivative yet", hint)
        saved: list[Any] = []
        if _depths.of.get((self, "forward"), 0):  # within its own forward: that runs when needed
            with no_grad():
                result = self.function(*given.all([plain(x) for x in given.tensors]))
        else:
            result, residuals = self._run_forward(given, given.tensors)
            saved.append(residuals)
        outputs, structure = tree.flatten(result)
        results = [detached(as_tensor(y)) for y in outputs]

        def derive(held: Any, made: Any, cotangents: Any) -> list[Any]:
            residuals = saved[0] if saved else self._run_forward(given, held)[1]
            return self._pulled(given, residuals, cotangents, made, structure)

        record_call(self._name, derive, given.tensors, results)
        return tree.unflatten(structure, results)

    def _run_forward(self, given: _Arguments, tensors: Sequence[Any]) -> Any:
        with _depths.one_more((self, "forward")):
            found = self._forward(*given.all(tensors))
        if not isinstance(found, tuple) or len(found) != 2:
            fail(GradientError, self._name, "`forward` must return (result, residuals)")
        return found

    def _pulled(
        self, given: _Arguments, residuals: Any, cotangents: Any, made: Any, structure: Any
    ) -> list[Any]:
        """One cotangent (or None) for each tensor among the arguments."""
        filled = [
            F.zeros_like(y) if c is None else c for y, c in zip(made, cotangents, strict=True)
        ]
        cotangent = tree.unflatten(structure, filled)
        found = given.per_tensor(self._pull_back(*given.nondiff(), residuals, cotangent))
        pairs = zip(found, given.tensors, strict=True)
        name = self._name
        return [c if _flows_not(c, x) else _fitting(name, "a cotangent", c, x) for c, x in pairs]

    def _region_rule(
        self, given: _Arguments, tensors: list[Any], cotangents: list[Any], structure: Any
    ) -> list[Any]:
        result, residuals = self._run_forward(given, tensors)
        made = [as_tensor(y) for y in tree.flatten(result)[0]]
        found = self._pulled(given, residuals, cotangents, made, structure)
        return [
            F.zeros_like(x) if c is None else c
            for x, c in zip(tensors, found, strict=True)
            if x.dtype.kind in "fc"
        ]


class custom_jvp(_Custom, Generic[*Xs, R]):
    """A function with a derivative of its own, given as forward mode needs it.

    Args:
        function: of tensors (or containers of them), gives a tensor or a container.
        nondiff_argnums: arguments that have no derivative and need not be tensors. The rule gets
            them before all else.

    `defjvp(rule)`: `rule(primals, tangents)` gives (result, tangent of the result). It must be
    linear in the tangents; reverse mode uses its transpose. `defjvps(*rules)`: one rule for each
    argument, `rule(tangent, result, *primals)`, or None where nothing flows; what they give is
    added.

    Example:
        >>> import elinvar as el
        >>> @el.custom_jvp
        ... def log1pexp(x):
        ...     return el.log1p(el.exp(x))
        >>> log1pexp.defjvps(lambda t, y, x: t * (1 - 1 / (1 + el.exp(x))))
        >>> el.grad(log1pexp)(el.asarray(100.0)).item()
        1.0
    """

    mode = "jvp"

    def __init__(
        self, function: Callable[[Unpack[Xs]], R], nondiff_argnums: int | Iterable[int] = ()
    ) -> None:
        super().__init__(function, nondiff_argnums)
        self._rule: Any = None

    def defjvp(self, rule: Callable[..., tuple[R, R]]) -> Callable[..., tuple[R, R]]:
        """Set the derivative; see the class. Gives the rule, so that it can decorate it."""
        self._rule = rule
        return rule

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Set the derivative by one rule for each argument; see the class."""
        if self._fixed:
            text = "`defjvps` cannot be used with nondiff_argnums"
            fail(GradientError, self._name, text, "use `defjvp`")

        def rule(primals: Any, tangents: Any) -> Any:
            if len(rules) != len(primals):
                text = (
                    f"expected {len(primals)} rules, one for each argument, received {len(rules)}"
                )
                fail(GradientError, self._name, text)
            result = self(*primals)
            parts = [
                one(t, result, *primals)
                for one, t in zip(rules, tangents, strict=True)
                if one is not None
            ]
            total = tree.map_tree(F.zeros_like, result) if not parts else parts[0]
            for part in parts[1:]:
                total = tree.map_tree(lambda a, b: a + b, total, part)
            return result, total

        self._rule = rule

    def __call__(self, *args: *Xs, **kwargs: Any) -> R:
        given = self._arguments(args, kwargs)
        if not self._flows(given):
            return self.function(*args, **kwargs)
        trace = current_trace()
        if trace is not None and trace.is_region:
            rule = None if self._rule is None else functools.partial(self._region_rule, given)
            return self._in_region(given, rule)
        if self._rule is None:
            fail(GradientError, self._name, "has no derivative yet", "call `.defjvp(rule)`")
        with no_grad():
            result = self.function(*given.all([plain(x) for x in given.tensors]))
        outputs, structure = tree.flatten(result)
        results = [detached(as_tensor(y)) for y in outputs]

        def push(held: Any, made: Any, tangents: Any) -> list[Any]:
            return self._pushed(given, held, tangents, made, structure)

        def derive(held: Any, made: Any, cotangents: Any) -> list[Any]:
            return self._transposed(given, held, cotangents, made, structure)

        record_call(self._name, Derivative(derive, push), given.tensors, results)
        return tree.unflatten(structure, results)

    def _pushed(
        self, given: _Arguments, tensors: Any, tangents: Any, made: Any, structure: Any
    ) -> list[Any]:
        """One tangent for each result."""
        filled = [
            F.zeros_like(x) if t is None else t for x, t in zip(tensors, tangents, strict=True)
        ]
        primals, directions = given.primals(tensors), given.tangents(filled)
        found = self._rule(*given.nondiff(), primals, directions)
        if not isinstance(found, tuple) or len(found) != 2:
            fail(GradientError, self._name, "the rule must return (result, tangent)")
        leaves, found_structure = tree.flatten(found[1])
        if found_structure != structure:
            text = "the tangent must have the structure of the result"
            shown = (
                f"expected {tree.describe(structure)}, received {tree.describe(found_structure)}"
            )
            fail(GradientError, self._name, f"{text}: {shown}")
        return [
            _fitting(self._name, "the tangent", t, y) if y.dtype.kind in "fc" else None
            for t, y in zip(leaves, made, strict=True)
        ]

    def _transposed(
        self, given: _Arguments, tensors: Any, cotangents: Any, made: Any, structure: Any
    ) -> list[Any]:
        """One cotangent for each tensor: what the rule makes of zeros is walked backward."""
        create = state.grad_enabled
        seeds = []
        for x in tensors:
            seed = plain(F.zeros_like(x))
            if x.dtype.kind in "fc" and x._node is not None:
                seed._node, seed._slot = Leaf(seed), 0
            seeds.append(seed)
        with enable_grad():
            pushed = self._pushed(given, tensors, seeds, made, structure)
        pairs = [
            (t, c)
            for t, c in zip(pushed, cotangents, strict=True)
            if t is not None and c is not None and t._node is not None
        ]
        found: list[Any] = [None] * len(seeds)
        if pairs:
            outputs, starts = [t for t, _ in pairs], [c for _, c in pairs]
            found = backward(outputs, starts, True, create, seeds) or found
        return found

    def _region_rule(
        self, given: _Arguments, tensors: list[Any], tangents: list[Any], structure: Any
    ) -> list[Any]:
        results = self.function(*given.all(tensors))
        made = [as_tensor(y) for y in tree.flatten(results)[0]]
        found = self._pushed(given, tensors, tangents, made, structure)
        return [t for t in found if t is not None]


def _flows_not(cotangent: Any, x: Any) -> bool:
    return cotangent is None or x.dtype.kind not in "fc"


def _fitting(name: str, what: str, given: Any, like: Any) -> Any:
    """A tangent or cotangent as a tensor of the type of what it belongs to."""
    x = as_tensor(given)
    if x.shape != like.shape:
        fail(ShapeError, name, f"{what} of {like._type} cannot be {x._type}")
    return x if x.dtype is like.dtype else F.cast(x, dtype=like.dtype)
