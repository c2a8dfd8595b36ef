"""The tape: which operations made a tensor, kept for backward.

    Leaf       the end of the tape at a tensor whose `requires_grad` is set
    TapeNode   one operation: what differentiates it, snapshots of its operands and results

Nodes are numbered; a node's number is above those of all nodes it depends on. Whether operations
are recorded is a mode of the thread: `no_grad`, `enable_grad`, `set_grad_enabled`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, ParamSpec, Self, TypeVar, overload
from weakref import ref

from elinvar.core.errors import GradientError, fail
from elinvar.core.source import Source, source_of, user_place
from elinvar.ops.record import Absent, Op
from elinvar.tensor.cell import Snapshot, snapshot, state
from elinvar.tensor.derivative import Rule, rule_for
from elinvar.transforms.control import influenced

P = ParamSpec("P")
R = TypeVar("R")
_new = object.__new__
next_serial: Callable[[], int] = itertools.count().__next__

# derive(operands, results, cotangents) -> one cotangent or None for each operand
Derive = Callable[[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]], Any]


class Leaf:
    """The tape's end at a tensor that requires a gradient."""

    __slots__ = ("__weakref__", "cell", "hooks", "serial")

    cell: ref[Any]
    serial: int

    is_leaf = True
    is_pinned = True  # its tensor must not be changed while gradients are recorded
    count = 1

    def __init__(self, cell: Any) -> None:
        self.cell = ref(cell)
        self.hooks: dict[int, tuple[int, Any]] | None = None
        self.serial = next_serial()


class Boundary(Leaf):
    """The end of a trace's tape at a tensor that has a tape of its own outside of the trace."""

    __slots__ = ()

    is_pinned = False


class Derivative:
    """A Derive function that also says what forward mode does.

    `push(operands, results, tangents)` gives one tangent or None for each result. A Derive function
    without it is transposed instead.
    """

    __slots__ = ("derive", "push")

    def __init__(self, derive: Derive, push: Derive) -> None:
        self.derive, self.push = derive, push

    def __call__(self, operands: Any, results: Any, cotangents: Any) -> Any:
        return self.derive(operands, results, cotangents)


class TapeNode:
    """One recorded operation. `rule` is a Rule, an Op with `params`, or a Derive function."""

    __slots__ = (
        "__weakref__",
        "_place",
        "count",
        "hooks",
        "name",
        "operands",
        "params",
        "results",
        "rule",
        "serial",
    )

    name: str
    rule: Any
    params: Any
    count: int
    serial: int

    is_leaf = False
    is_pinned = False

    def __init__(self, name: str, rule: Any, params: Any, operands: Any, results: Any) -> None:
        self.name = name
        self.rule = rule
        self.params = params
        self.operands: tuple[Snapshot, ...] | None = operands
        self.results: tuple[Snapshot, ...] | None = results
        self.count = len(results)
        self.serial = next_serial()
        self.hooks: dict[int, tuple[int, Any]] | None = None
        self._place = user_place(4)

    @property
    def source(self) -> Source | None:
        """The user's line that called the operation."""
        return source_of(self._place)

    def release(self) -> None:
        """Forget the values; a later backward through this node is refused."""
        self.operands = self.results = None

    def __repr__(self) -> str:
        return f"<{self.name} on the tape>"


def record(op: Op, operands: Any, params: Any, results: Any, entry: Any) -> None:
    """Put a primitive on the tape, if gradients are wanted here and can flow.

    `entry`: what ran it at once; None under a trace.
    """
    if not state.grad_enabled:
        return
    if op.family == "control":
        mask = _reached(op, operands, params, len(results))
        _attach(op.name, op, operands, params, results, mask)
    elif op.name == "stop_gradient":
        return
    elif entry is None:
        _attach(op.name, op, operands, params, results)
    else:
        wanted = tuple([x._node is not None for x in operands])
        rule = entry.rules.get(wanted)
        if rule is None:
            layouts = tuple([x._layout for x in operands])
            made = tuple([y._layout for y in results])
            rule = entry.rules[wanted] = rule_for(op, params, layouts, made, wanted)
        if rule.carries:
            record_rule(rule, operands, results, 4)


def record_rule(rule: Rule, operands: Any, results: Any, inner: int = 5) -> None:
    """Put a primitive on the tape that ran at once, with the memory that its rule reads.

    `inner`: how many frames of this package are above the user's, at least.
    """
    node = _new(TapeNode)
    node.name = rule.name
    node.rule = rule
    node.params = rule.params
    held = []
    blanks = rule.blank_operands
    for number, x in enumerate(operands):
        above = x._node
        if rule.keep_operands[number]:
            slot = 0 if above is None else x._slot
            held.append((x._buffer, x._address, x._layout, None, above, slot))
        elif above is None:
            held.append(blanks[number])
        else:
            held.append((None, 0, x._layout, None, above, x._slot))
    node.operands = tuple(held)
    node.results = rule.blank_results or tuple([snapshot(y) for y in results])
    node.count = len(results)
    node.serial = next_serial()
    node.hooks = None
    node._place = user_place(inner)
    for slot, result in enumerate(results):
        if result._layout.dtype.kind in "fc":
            result._node = node
            result._slot = slot


def _reached(op: Op, operands: Any, params: Any, count: int) -> list[bool]:
    """For each result of a control op, whether it depends on an operand that wants a gradient."""
    active = {n for n, x in enumerate(operands) if x._node is not None}
    if op.name == "cond":
        inner = frozenset(n - 1 for n in active if n)
        reached = influenced(params["true"], inner) | influenced(params["false"], inner)
    elif op.name == "custom":
        reached = set(range(count)) if any(n < params["moving"] for n in active) else set()
    else:
        while True:  # a carry may be reached through another one, a step later
            reached = influenced(params["body"], frozenset(active))
            more = active | {n for n in reached if n < params["carry"]}
            if more == active:
                break
            active = more
        reached |= {n for n in active if n < params["carry"]}
    return [n in reached for n in range(count)]


def record_call(
    name: str,
    derive: Derive,
    operands: Any,
    results: Any,
    differentiable: Any = None,
    keep_results: bool = True,
) -> None:
    """Put a function with its own derivative on the tape as one node.

    Args:
        derive: (operands, results, cotangents) → one cotangent or None for each operand.
        differentiable: for each result whether a gradient flows through it; None: all floats.
        keep_results: whether `derive` gets the results (else an empty tuple).
    """
    if state.grad_enabled:
        _attach(name, derive, operands, None, results, differentiable, keep_results)


def _attach(
    name: str,
    rule: Any,
    operands: Any,
    params: Any,
    results: Any,
    differentiable: Any = None,
    keep_results: bool = True,
) -> None:
    node = None
    for slot, result in enumerate(results):
        if result.dtype.kind in "fc" and (differentiable is None or differentiable[slot]):
            if node is None:
                held = tuple([snapshot(x) for x in operands])
                made = tuple([snapshot(y) for y in results]) if keep_results else ()
                node = TapeNode(name, rule, params, held, made)
                node.count = len(results)
            result._node = node
            result._slot = slot


_hook_numbers = itertools.count().__next__


class HookHandle:
    """Returned by `register_hook`; `remove()` takes the hook away. Also a context manager."""

    __slots__ = ("_node", "_number")

    def __init__(self, node: Any, number: int) -> None:
        self._node, self._number = ref(node), number

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        node = self._node()
        if node is not None and node.hooks is not None:
            node.hooks.pop(self._number, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def add_hook(tensor: Any, hook: Callable[[Any], Any]) -> HookHandle:
    """Call `hook(gradient)` when the gradient of `tensor` is known; its result replaces it."""
    node = tensor._node
    if node is None:
        text = "a hook needs a tensor that requires a gradient"
        fail(GradientError, "register_hook", text, "call `requires_grad_()` first")
    if node.hooks is None:
        node.hooks = {}
    number = _hook_numbers()
    node.hooks[number] = (tensor._slot, hook)
    return HookHandle(node, number)


class GradMode:
    """Switches recording for the running thread; a context manager and a decorator.

    Example:
        >>> import elinvar as el
        >>> x = el.Tensor([1.0, 2.0], requires_grad=True)
        >>> with el.no_grad():
        ...     y = x * 2
        >>> y.requires_grad
        False
    """

    __slots__ = ("_before", "_enabled")

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(state.grad_enabled)
        state.grad_enabled = self._enabled

    def __exit__(self, *_: object) -> None:
        state.grad_enabled = self._before.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        enabled = self._enabled

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            with GradMode(enabled):
                return function(*args, **kwargs)

        return wrapped


class no_grad(GradMode):
    """Within, operations are not recorded: results do not require gradients."""

    __slots__ = ()

    @overload
    def __new__(cls, function: Callable[P, R]) -> Callable[P, R]: ...  # type: ignore[misc]
    @overload
    def __new__(cls, function: None = None) -> Self: ...
    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        mode = super().__new__(cls)
        if function is None:
            return mode
        mode.__init__()  # type: ignore[misc]
        return mode(function)

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        super().__init__(False)


class inference_mode(no_grad):
    """The same as `no_grad`; PyTorch's second name for it."""

    __slots__ = ()


class enable_grad(GradMode):
    """Within, operations are recorded, also inside `no_grad`."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(True)


def set_grad_enabled(enabled: bool) -> GradMode:
    """A context in which recording is on or off."""
    return GradMode(enabled)


def is_grad_enabled() -> bool:
    """Whether operations are recorded in the running thread."""
    return state.grad_enabled


def no_derivative(rule: Absent, name: str, source: Source | None) -> None:
    """Refuse to differentiate an op whose record says that it has no derivative."""
    fail(GradientError, name, f"has no derivative: {rule.reason}", None, source)
