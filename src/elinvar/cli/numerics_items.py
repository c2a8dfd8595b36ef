"""One line of the detailed report: a computation, its operands, its fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from elinvar.cli.numerics_inputs import Digest, generator
from elinvar.core.shapes import size
from elinvar.tensor import random
from elinvar.tensor.convert import cast
from elinvar.tensor.creation import arange
from elinvar.tensor.jit import jit
from elinvar.tensor.manipulation import reshape
from elinvar.tensor.tensor import Tensor

Operands = tuple[Tensor, ...]
Function = Callable[..., Any]


@dataclass(frozen=True)
class Item:
    """A function of tensors and the operands on which it is run.

    Attributes:
        name: what the report calls it.
        function: operands → a tensor or several.
        operands: `operands(source, count)` yields the operands of one run after the other; `source`
            is a generator that belongs to the item, `count` how many inputs a function of scalars
            gets.
        gradients: how many of the operands, from the first on, the results are differentiated by.
    """

    name: str
    function: Function
    operands: Callable[[random.Generator, int], Iterable[Operands]]
    gradients: int = 0

    def digest(self, count: int, compiled: bool | None = None) -> Digest:
        """Run it.

        Args:
            count: inputs for each function of scalars.
            compiled: as one program, or operation by operation; None: as is usual for it.
        """
        run = self.runner(compiled)
        found = Digest()
        random.manual_seed(0)
        for operands in self.operands(generator(self.name), count):
            found.add_all(flat(run(*operands)))
        return found

    def runner(self, compiled: bool | None) -> Function:
        """The function to call with operands."""
        function = self.function
        if self.gradients:
            function = with_gradients(function, self.gradients)
        return jit(function) if compiled else function


class Uncompiled(Item):
    """An item that asks for values on the way, which a trace does not have."""

    def runner(self, compiled: bool | None) -> Function:
        """The function to call with operands."""
        return super().runner(False)


def item(name: str, function: Function, operands: Function, gradients: int = 0) -> Item:
    """An item with one run, whose operands are `operands(source)`."""

    def once(source: random.Generator, count: int) -> Iterable[Operands]:
        made = operands(source)
        return [made if isinstance(made, tuple) else (made,)]

    return Item(name, function, once, gradients)


def with_gradients(function: Function, count: int) -> Function:
    """The function that also returns the gradients of its first `count` operands."""

    def both(*operands: Tensor) -> list[Tensor]:
        leaves = [x.detach().requires_grad_() for x in operands[:count]]
        results = flat(function(*leaves, *operands[count:]))
        results[0].backward(cotangent(results[0]))
        gradients: list[Any] = [leaf.grad for leaf in leaves]
        return [*results, *gradients]

    return both


def cotangent(x: Tensor) -> Tensor:
    """Numbers of the shape of x that every float represents: multiples of 1/8 from -3/4 to 3/4."""
    places = arange(size(x.shape)) * 5 % 13 - 6
    made: Tensor = reshape(cast(places, x.dtype) * 0.125, x.shape)
    return made


def flat(results: Any) -> list[Tensor]:
    """One tensor or several, nested ones too, as a list."""
    if isinstance(results, Tensor):
        return [results]
    found: Sequence[Any] = [x for part in results for x in flat(part)]
    return list(found)
