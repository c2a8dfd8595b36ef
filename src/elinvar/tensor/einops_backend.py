"""einops: its functions take tensors as they are, once both packages are imported.

einops asks every subclass of its `AbstractBackend` whether a tensor is its own. Ours is defined
when `einops._backends` is there: at once, if einops was imported first; else when it is imported,
which a finder at the head of `sys.meta_path` notices, steps aside and lets happen. einops itself is
never imported from here.
"""

from __future__ import annotations

import sys
from typing import Any

from elinvar.tensor import creation, manipulation, reductions
from elinvar.tensor.einsum import einsum
from elinvar.tensor.tensor import Tensor

_MODULE = "einops._backends"
_REDUCTIONS = {
    name: getattr(reductions, name) for name in ("min", "max", "sum", "mean", "prod", "any", "all")
}
_defined: list[Any] = []  # a class knows its subclasses only as long as somebody holds them


class _Waiting:
    """A finder that finds nothing: it waits for einops."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The spec of einops' backends, changed so that ours is defined after them."""
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                _define_after(spec.loader)
                return spec
        return None


def _define_after(loader: Any) -> None:
    """Let a module's loader define our backend when it has run the module."""
    run = loader.exec_module

    def run_and_define(module: Any) -> None:
        run(module)
        define_backend(module.AbstractBackend)

    loader.exec_module = run_and_define


def offer_backend() -> None:
    """Define the backend now or when einops is imported. Called once, by the package."""
    module = sys.modules.get(_MODULE)
    if module is not None:
        define_backend(module.AbstractBackend)
    elif not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())


def define_backend(base: Any) -> Any:
    """The class that einops finds among the subclasses of its `AbstractBackend`."""

    class ElinvarBackend(base):
        framework_name = "elinvar"

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, Tensor)

        def from_numpy(self, x: Any) -> Any:
            return creation.asarray(x)

        def to_numpy(self, x: Any) -> Any:
            return x.detach().numpy()

        def arange(self, start: int, stop: int) -> Any:
            return creation.arange(start, stop)

        def reshape(self, x: Any, shape: Any) -> Any:
            return manipulation.reshape(x, tuple(shape))

        def transpose(self, x: Any, axes: Any) -> Any:
            return manipulation.permute_dims(x, tuple(axes))

        def reduce(self, x: Any, operation: str, reduced_axes: Any) -> Any:
            return _REDUCTIONS[operation](x, axis=tuple(reduced_axes))

        def stack_on_zeroth_dimension(self, tensors: list[Any]) -> Any:
            return manipulation.stack(tensors)

        def add_axis(self, x: Any, new_position: int) -> Any:
            return manipulation.expand_dims(x, axis=new_position)

        def add_axes(self, x: Any, n_axes: int, pos2len: dict[int, int]) -> Any:
            for position in sorted(pos2len):
                x = manipulation.expand_dims(x, axis=position)
            shape = [pos2len.get(axis, x.shape[axis]) for axis in range(n_axes)]
            return manipulation.broadcast_to(x, tuple(shape))

        def tile(self, x: Any, repeats: Any) -> Any:
            return manipulation.tile(x, tuple(repeats))

        def concat(self, tensors: list[Any], axis: int) -> Any:
            return manipulation.concat(tensors, axis=axis)

        def is_float_type(self, x: Any) -> bool:
            return x.dtype.kind in "fc"

        def einsum(self, pattern: str, *x: Any) -> Any:
            return einsum(pattern, *x)

    _defined.append(ElinvarBackend)
    return ElinvarBackend
