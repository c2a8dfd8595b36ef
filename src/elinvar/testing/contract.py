"""The numerics contract, for functions of one's own: the same bits, however they are run.

Each check calls the function several times, from the same state: tensors that it rebinds (weights,
moments, a random generator's state) get their content back after every call, and what they held at
its end is compared like a result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, TypeVarTuple, Unpack

from elinvar.core import tree
from elinvar.core.errors import CheckError, ShapeError, ValueRangeError, fail
from elinvar.runtime.pool import get_num_threads, set_num_threads
from elinvar.tensor.cell import Cell, detached, restore, state
from elinvar.tensor.jit import Jit, jit
from elinvar.testing.comparing import first_difference

X = TypeVar("X")
Xs = TypeVarTuple("Xs")
Written = dict[int, tuple[Any, Any]]  # id → (cell, what it held before)


class Run(NamedTuple):
    """One call: its results, and the tensors that it rebound with what they held at the end."""

    results: Any
    written: Written
    after: dict[int, Any]


def run(function: Callable[..., Any], args: Any, kwargs: Any) -> Run:
    """Call a function and put back what it rebound."""
    changes: dict[int, Any] = {}
    before, state.changes = state.changes, changes
    try:
        found = function(*args, **kwargs)
    finally:
        state.changes = before
    results = tree.map_tree(lambda x: detached(x) if isinstance(x, Cell) else x, found)
    alive = [(reference(), content) for reference, content in changes.values()]
    made = {id(x) for x in tree.flatten(found)[0]}
    written = {id(x): (x, old) for x, old in alive if x is not None}
    after = {key: detached(x) for key, (x, _) in written.items() if key not in made}
    for cell, old in written.values():
        _hold(cell, old)
    return Run(results, {key: written[key] for key in after}, after)


def _hold(cell: Any, content: Any) -> None:
    """Let a cell hold what it held before."""
    old = restore(content)
    cell._buffer, cell._address = old._buffer, old._address
    cell._layout, cell._value = old._layout, old._value
    cell._node = old._node
    if old._node is not None:
        cell._slot = old._slot


def _same(op: str, expected: Run, found: Run, what: str) -> None:
    """Refuse two calls with different bits."""
    text = first_difference(op, expected.results, found.results)
    if text is None:
        for key, (cell, old) in {**expected.written, **found.written}.items():
            one, other = (side.after.get(key) for side in (expected, found))
            held = restore(old)
            one, other = (held if x is None else x for x in (one, other))
            text = first_difference(op, one, other)
            if text is not None:
                text = f"in a tensor that the function changes, {cell._type}: {text}"
                break
    if text is not None:
        fail(CheckError, op, f"{what}: {text}")


def assert_eager_equals_jit(
    function: Callable[[Unpack[Xs]], Any], *args: *Xs, **kwargs: Any
) -> None:
    """Raise unless a function gives the same bits eager and under `el.jit`.

    The jitted function runs twice, so that programs that overwrite old state take part.

    Args:
        function: of tensors; may rebind tensors from outside, which get their content back. What it
            leaves in `.grad` stays, so a training step should call `zero_grad()` first.
        args, kwargs: what to call it with.

    Raises:
        CheckError: they differ; the text has the first element.

    Example:
        >>> import elinvar as el
        >>> el.testing.assert_eager_equals_jit(lambda x: (x * 1.1).exp().sum(), el.arange(9.0))
    """
    op = "assert_eager_equals_jit"
    plain: Any = function.function if isinstance(function, Jit) else function
    compiled: Any = function if isinstance(function, Jit) else jit(plain)
    expected = run(plain, args, kwargs)
    for _ in range(2):
        _same(op, expected, run(compiled, args, kwargs), "eager (left) and jitted (right) differ")


def assert_same_on_threads(
    function: Callable[[Unpack[Xs]], Any],
    *args: *Xs,
    threads: Sequence[int] = (1, 2, 3),
    **kwargs: Any,
) -> None:
    """Raise unless a function gives the same bits on every number of threads.

    Args:
        function: of tensors; what it rebinds gets its content back.
        args, kwargs: what to call it with.
        threads: the numbers of threads to try. The number of before is restored.

    Raises:
        CheckError: they differ; the text has the first element.

    Example:
        >>> import elinvar as el
        >>> el.testing.assert_same_on_threads(lambda x: x @ x.mT, el.ones((64, 64)))
    """
    op = "assert_same_on_threads"
    counts = tuple(threads)
    if not counts:
        fail(ValueRangeError, op, "expected at least one number of threads, received none")
    before = get_num_threads()
    try:
        set_num_threads(counts[0])
        expected = run(function, args, kwargs)
        for count in counts[1:]:
            set_num_threads(count)
            what = f"{counts[0]} (left) and {count} threads (right) differ"
            _same(op, expected, run(function, args, kwargs), what)
    finally:
        set_num_threads(before)


def assert_batch_equals_rows(
    function: Callable[[X, Unpack[Xs]], Any], batch: X, *args: *Xs, **kwargs: Any
) -> None:
    """Raise unless a function gives each row of a batch the bits that it gives the row alone.

    Args:
        function: called with a batch, and with each of its rows as a batch of one; every result
            must have the batch as its leading axis.
        batch: a tensor, or a container of tensors with equal leading sizes.
        args, kwargs: further arguments, the same in all calls.

    Raises:
        CheckError: a row differs; the text names it.
        ShapeError: the batch or a result has no such leading axis.

    Example:
        >>> import elinvar as el
        >>> weight = el.ones((8, 3))
        >>> el.testing.assert_batch_equals_rows(lambda x: x @ weight, el.ones((5, 8)))
    """
    op = "assert_batch_equals_rows"
    sizes = {x.shape[:1] for x in tree.flatten(batch)[0] if hasattr(x, "shape")}
    if len(sizes) != 1 or () in sizes:
        text = "expected tensors with one leading size"
        fail(ShapeError, op, f"{text}, received {sorted(sizes) or 'no tensor'}")
    count = sizes.pop()[0]
    whole = run(function, (batch, *args), kwargs)
    result: Any
    for result in tree.flatten(whole.results)[0]:
        if not isinstance(result, Cell) or result.shape[:1] != (count,):
            found = result._type if isinstance(result, Cell) else type(result).__name__
            fail(ShapeError, op, f"a result has no leading axis of size {count}: {found}")
    for row in range(count):

        def cut(x: Any, row: int = row) -> Any:
            return x[row : row + 1] if hasattr(x, "shape") else x

        alone = run(function, (tree.map_tree(cut, batch), *args), kwargs)
        unlike = first_difference(op, tree.map_tree(cut, whole.results), alone.results)
        if unlike is not None:
            what = f"row {row} of the batch (left) and alone (right) differ"
            fail(CheckError, op, f"{what}: {unlike}")
