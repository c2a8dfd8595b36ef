"""The programs of one function for arguments that differ in sizes, and which sizes are symbols.

With a specification all sizes are known beforehand: one program serves every call. Without one the
first call is traced with its sizes as numbers. When a call comes with other sizes, the axes that
changed become symbols, and that one program serves all sizes from then on, 0 and 1 included. Axes
that had the same sizes in every call share a symbol; if that was chance, the call that shows it is
traced anew, with two. Where Python asks how a size compares with another (`if x.shape[1] > 64`),
the answer for the call at hand is what the program is for; calls with the other answer have another
one. Where the function needs its sizes as numbers (as in `range(x.shape[0])`), each size has its
own program.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elinvar.core.log import log
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.tensor.program import JitProgram

MOST_ATTEMPTS = 3  # failed traces with symbols, after which sizes stay numbers
OFF = "`el.jit(…, infer_dims=False)` turns this off"


class Family:
    """The programs for arguments that differ in sizes only."""

    def __init__(self, infers: bool = True) -> None:
        self.programs: list[JitProgram] = []  # with symbols
        self.attempts = MOST_ATTEMPTS if infers else 0  # that are left
        self._shapes: list[list[tuple[int, ...]]] = []  # of all calls that were traced

    def accepting(self, call: Any, any_sizes: bool = False) -> JitProgram | None:
        """A program with symbols that can serve the call; with `any_sizes`, one that is the only
        one for them, even if it will refuse some."""
        shapes = [x.shape for x in call.tensors]
        for program in self.programs:
            fits = any_sizes or program.accepts_shapes(shapes)
            if fits and program.is_valid(call.given):
                return program
        return None

    def note(self, call: Any) -> None:
        """Remember the sizes of a call that is about to be traced."""
        shapes = [x.shape for x in call.tensors]
        if shapes not in self._shapes:
            self._shapes.append(shapes)

    def candidates(self, call: Any) -> Iterator[list[TensorType]]:
        """The arguments' types with symbols for sizes that changed, to be tried in order."""
        if not self.attempts or len(self._shapes) < 2:
            return
        found: list[list[TensorType]] = []
        for last in (len(self._shapes), 1):  # alike in all calls; alike in this one
            types = self._types(call, last)
            is_known = any(
                program.argument_types == types
                and not program.needed
                and program.is_valid(call.given)
                for program in self.programs  # that do not fit these sizes
            )
            if types not in found and not is_known:
                found.append(types)
                yield types

    def _types(self, call: Any, last: int) -> list[TensorType]:
        symbols: dict[Any, Dim] = {}
        types = []
        for number, x in enumerate(call.tensors):
            dims: list[Any] = []
            for axis, size in enumerate(x.shape):
                history = [shapes[number][axis] for shapes in self._shapes]
                if len(set(history)) > 1:
                    key = (*history[len(history) - last :], size)
                    symbols.setdefault(key, Dim(f"n{len(symbols)}"))
                    dims.append(symbols[key])
                else:
                    dims.append(size)
            types.append(TensorType(x.dtype, tuple(dims)))
        return types


class Teller:
    """Says in the log, once for each function, which sizes became symbols, or why none could."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._said: set[str] = set()

    def _once(self, what: str) -> bool:
        is_new = what not in self._said
        self._said.add(what)
        return is_new

    def symbols(self, types: list[TensorType], where: list[str]) -> None:
        """One program serves all sizes."""
        if self._once("symbols"):
            shown = [
                f"{place}: {kind}"
                for place, kind in zip(where, types, strict=True)
                if any(isinstance(dim, Dim) for dim in kind.shape)
            ]
            text = "%s: one program for all sizes of %s; %s"
            log.info(text, self.name, ", ".join(shown), OFF)

    def numbers(self, error: Exception) -> None:
        """Every size is compiled anew."""
        if self._once("numbers"):
            reason = str(error).split("\n", 1)[0] or type(error).__name__
            text = "%s: sizes that no program serves are compiled one by one, as numbers: %s"
            log.info(text, self.name, reason)
