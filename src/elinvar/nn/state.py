"""State dicts: what a module holds, by path, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from elinvar.core.errors import DTypeError, StateError, fail
from elinvar.core.types import TensorType
from elinvar.nn.parameter import set_value
from elinvar.tensor.cell import detached
from elinvar.tensor.creation import asarray
from elinvar.tensor.tensor import Tensor

if TYPE_CHECKING:
    from elinvar.nn.module import Module


@contextmanager
def modes_kept(module: Module) -> Iterator[None]:
    """Within, parts may be set to train or evaluate; then each is as it was."""
    modes = [(part, part._training) for part in module.modules()]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


class IncompatibleKeys(NamedTuple):
    """Names that a state dict lacked, and names that the module does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched>"
        return f"IncompatibleKeys(missing={self.missing_keys}, unexpected={self.unexpected_keys})"


def collect(module: Module, prefix: str = "") -> dict[str, Tensor]:
    """Path → detached value of all parameters and persistent buffers."""
    return {path: detached(cell) for path, cell in cells_of(module, prefix)}


def cells_of(module: Module, prefix: str = "") -> list[tuple[str, Tensor]]:
    """Parameters and persistent buffers in PyTorch's order; shared ones under all their names."""
    found: list[tuple[str, Tensor]] = []
    dotted = f"{prefix}." if prefix and not prefix.endswith(".") else prefix
    found += [(dotted + name, cell) for name, cell in module._own("parameter")]
    found += [
        (dotted + name, cell)
        for name, cell in module._own("buffer")
        if name not in module._transient
    ]
    for name, child in module._own("module"):
        found += cells_of(child, dotted + name)
    return found


def load(module: Module, state: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Set the module's cells from `state`; all or nothing. See `Module.load_state_dict`."""
    if not isinstance(state, Mapping):
        fail(DTypeError, "load_state_dict", f"expected a dict, received {type(state).__name__}")
    cells = dict(cells_of(module, ""))
    missing = [path for path in cells if path not in state]
    unexpected = [path for path in state if path not in cells]
    values: list[tuple[Tensor, Tensor]] = []
    mismatched: list[str] = []
    for path, cell in cells.items():
        if path in state:
            value = _as_tensor(path, state[path])
            if tuple(value.shape) == tuple(cell.shape):
                values.append((cell, value))
            else:
                here, there = _type_of(cell), _type_of(value)
                mismatched.append(f"{path}: the module has {here}, the state has {there}")
    problems = _list("shapes differ", mismatched)
    if strict:
        problems += _list("missing from the state", missing)
        problems += _list("unknown to the module", unexpected)
    if problems:
        text = f"the state does not fit {type(module).__name__}:\n" + "\n".join(problems)
        fail(StateError, "load_state_dict", text, _hint(missing, unexpected, strict))
    for cell, value in values:
        set_value(cell, value.astype(cell.dtype))
    return IncompatibleKeys(missing, unexpected)


def _as_tensor(path: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return detached(value)
    try:
        return asarray(value)
    except (TypeError, ValueError):
        text = f"{path}: expected a Tensor or an array, received {type(value).__name__}"
        fail(DTypeError, "load_state_dict", text)


def _type_of(value: Tensor) -> TensorType:
    return TensorType(value.dtype, tuple(value.shape))


def _list(title: str, items: list[str]) -> list[str]:
    return [f"  {title} ({len(items)}):", *(f"    {item}" for item in items)] if items else []


def _hint(missing: list[str], unexpected: list[str], strict: bool) -> str | None:
    """Name a common prefix (as of a wrapped model) that explains the names, if there is one."""
    if not strict or not missing or not unexpected:
        return None
    for longer, shorter, how in ((unexpected, missing, "remove"), (missing, unexpected, "add")):
        prefix = longer[0].removesuffix(shorter[0])
        if prefix and prefix != longer[0] and prefix.endswith("."):
            if {name.removeprefix(prefix) for name in longer} == set(shorter):
                return f"{how} the prefix {prefix!r}"
    return "pass strict=False to load only the names that both have"
