"""Which inner values a checkpoint keeps.

A policy is a function `(op, *types, **params) -> bool`: it is asked for each primitive that the
function runs, by its name, with the operands' types and the params, whether its results are kept.
For `checkpoint_name(x, name)` it is asked with the op "name", the type of x and `name=`.

A `Recorder` sees to the operations while the function runs. In the first run it keeps what the
policy says, in the second it gives that back in the place of running the operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.errors import GradientError, fail
from elinvar.ops.record import Op
from elinvar.tensor import tape
from elinvar.tensor.cell import Snapshot, current_trace, detached, restore, snapshot, state
from elinvar.tensor.convert import tensor_of
from elinvar.tensor.dispatch import apply

Policy = Callable[..., bool]
_PRODUCTS = ("contract", "convolution", "attention")


def everything_saveable(op: str, *types: Any, **params: Any) -> bool:
    """Keep all: the same as no checkpoint."""
    return True


def nothing_saveable(op: str, *types: Any, **params: Any) -> bool:
    """Keep the arguments alone, as `checkpoint` does without a policy."""
    return False


def dots_saveable(op: str, *types: Any, **params: Any) -> bool:
    """Keep the results of products: matrix products, convolutions, attention."""
    return op in _PRODUCTS


def dots_with_no_batch_dims_saveable(op: str, *types: Any, **params: Any) -> bool:
    """Keep the results of matrix products without batch dimensions: those with weights."""
    return op == "contract" and not params["batch"][0]


def save_only_these_names(*names: str) -> Policy:
    """Keep what `checkpoint_name` gave one of these names."""
    chosen = frozenset(names)

    def policy(op: str, *types: Any, **params: Any) -> bool:
        return op == "name" and params["name"] in chosen

    return policy


def save_any_names_but_these(*names: str) -> Policy:
    """Keep what `checkpoint_name` gave any other name."""
    others = frozenset(names)

    def policy(op: str, *types: Any, **params: Any) -> bool:
        return op == "name" and params["name"] not in others

    return policy


def save_from_both_policies(first: Policy, second: Policy) -> Policy:
    """Keep what one of two policies keeps."""

    def policy(op: str, *types: Any, **params: Any) -> bool:
        return first(op, *types, **params) or second(op, *types, **params)

    return policy


__all__ = [
    "dots_saveable",
    "dots_with_no_batch_dims_saveable",
    "everything_saveable",
    "nothing_saveable",
    "save_any_names_but_these",
    "save_from_both_policies",
    "save_only_these_names",
]


class Recorder:
    """The first run: numbers the operations and keeps results of some.

    Attributes:
        kept: the number of an operation → its name and its results;
        named: the number of a name → its value.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.outer: Any = None
        self.count = self.names = 0
        self.kept: dict[int, tuple[str, list[Snapshot]]] = {}
        self.named: dict[int, Snapshot] = {}
        self._makers: dict[Any, tuple[int, str, list[Any]]] = {}

    def apply(self, op: Op, operands: Any, params: dict[str, Any]) -> Any:
        """Run an operation; keep its results if the policy says so."""
        if not operands:  # a number, say, which is made once and not in the second run
            return _applied(self, op, operands, params)
        number, self.count = self.count, self.count + 1
        found = _applied(self, op, operands, params)
        results = list(found) if isinstance(found, tuple) else [found]
        node = results[0]._node if results else None
        if node is not None:
            if self.policy(op.name, *[x._type for x in operands], **params):
                self.kept[number] = op.name, [_content(y) for y in results]
            else:
                self._makers[node] = number, op.name, results
        return found

    def name(self, x: Any, name: str) -> Any:
        """Keep a value by its name: the results of the operation that made it, if that is known."""
        number, self.names = self.names, self.names + 1
        if x._node is not None and self.policy("name", x._type, name=name):
            maker = self._makers.get(x._node)
            if maker is None:
                self.named[number] = _content(x)
            else:
                place, op, results = maker
                self.kept[place] = op, [_content(y) for y in results]
        return x

    def finish(self) -> None:
        """Forget what only the first run needs."""
        self._makers = {}

    def again(self) -> _Again:
        """What sees to the operations in a second run."""
        return _Again(self)


class _Again:
    """A second run: operations whose results were kept are not run, but go on the tape."""

    def __init__(self, first: Recorder) -> None:
        self.first = first
        self.outer: Any = None
        self.count = self.names = 0

    def apply(self, op: Op, operands: Any, params: dict[str, Any]) -> Any:
        if not operands:
            return _applied(self, op, operands, params)
        number, self.count = self.count, self.count + 1
        known = self.first.kept.get(number)
        if known is None:
            return _applied(self, op, operands, params)
        name, contents = known
        if name != op.name:
            text = f"ran otherwise the second time: {op.name} in the place of {name}"
            hint = "the function must do the same on the same arguments"
            fail(GradientError, "checkpoint", text, hint)
        results = [_here(content) for content in contents]
        if any(x._node is not None for x in operands):
            tape.record(op, operands, params, results, None)
        return results[0] if len(results) == 1 else tuple(results)

    def name(self, x: Any, name: str) -> Any:
        number, self.names = self.names, self.names + 1
        content = self.first.named.get(number)
        if content is None:
            return x
        found = _here(content)
        found._node = x._node
        if x._node is not None:
            found._slot = x._slot
        return found


def _applied(recorder: Any, op: Op, operands: Any, params: dict[str, Any]) -> Any:
    """Run an operation, under the eyes of the recorder around this one, if there is one."""
    state.recorder = recorder.outer
    try:
        return apply(op, operands, params)
    finally:
        state.recorder = recorder


def _content(x: Any) -> Snapshot:
    """What a tensor holds, without its tape."""
    return (*snapshot(x)[:4], None, 0)


def _here(content: Snapshot) -> Any:
    """A new tensor with a kept content, in the running trace if there is one."""
    x = restore(content)
    trace = current_trace()
    return x if trace is None or x._buffer is trace else detached(x)


def checkpoint_name(x: Any, name: str) -> Any:
    """x itself, under a name by which a policy of `checkpoint` may keep it.

    With `checkpoint_policies.save_only_these_names` the operation that made x does not run again.

    Example:
        >>> import elinvar as el
        >>> policy = el.checkpoint_policies.save_only_these_names("hidden")
        >>> layer = el.checkpoint(
        ...     lambda x: el.checkpoint_name(el.exp(x), "hidden") * x, policy=policy
        ... )
        >>> el.grad(lambda x: layer(x).sum())(el.zeros(2)).tolist()
        [1.0, 1.0]
    """
    found = tensor_of("checkpoint_name", x)
    recorder = state.recorder
    return found if recorder is None else recorder.name(found, name)
