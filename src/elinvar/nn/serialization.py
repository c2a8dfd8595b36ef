"""Saving and loading: modules, state dicts and whole checkpoints as safetensors files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from elinvar.core.errors import DTypeError, StateError, fail
from elinvar.nn import safetensors
from elinvar.tensor.tensor import Tensor

_KEY = "elinvar.structure"  # the metadata entry that holds the nested structure
DEEPEST = 32


def save(obj: Any, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Save a module, a state dict, or any nesting of dicts and lists of tensors and numbers.

    A module and a flat dict of tensors give a file that every safetensors reader understands, so
    PyTorch loads it with `safetensors.torch.load_file`. What is nested deeper (an optimizer's
    state, a whole checkpoint) keeps its structure as text in the file's metadata.

    Args:
        obj: a module or optimizer (what `state_dict()` gives is saved), or a dict.
        path: the file; one of the same name is replaced when the new one is complete.
        metadata: texts to keep in the file's header.

    Example:
        >>> import elinvar as el, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> model = el.nn.Linear(3, 2)
        >>> el.save({"model": model, "epoch": 7}, path)
        >>> checkpoint = el.load(path)
        >>> checkpoint["epoch"], list(checkpoint["model"])
        (7, ['weight', 'bias'])
    """
    safetensors.write(path, *_laid_out(obj, metadata))


def chunks(obj: Any, metadata: Mapping[str, str] | None = None) -> Iterator[Any]:
    """The bytes of the file that `save` would write, piece by piece.

    What is in the object may change as soon as this returns: the pieces are those of now.
    """
    return safetensors.chunks(*_laid_out(obj, metadata))


def _laid_out(
    obj: Any, metadata: Mapping[str, str] | None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and the metadata that say how they belong together."""
    value = _plain(obj, 0)
    texts = {str(name): str(text) for name, text in (metadata or {}).items()}
    if isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(item, Tensor) for name, item in value.items()
    ):
        return value, {"format": "pt", **texts}
    tensors: dict[str, Tensor] = {}
    structure = _encode(value, "", tensors)
    return tensors, {_KEY: json.dumps(structure), **texts}


def load(path: str | os.PathLike[str]) -> Any:
    """Load what `save` saved, or any other safetensors file as a dict of tensors by name.

    Raises:
        StateError: the file is damaged or no safetensors file.

    Example:
        >>> import elinvar as el, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> model = el.nn.Linear(3, 2)
        >>> el.save(model, path)
        >>> el.nn.Linear(3, 2).load_state_dict(el.load(path))
        <All keys matched>
    """
    tensors, metadata = safetensors.read(path)
    if _KEY not in metadata:
        return tensors
    try:
        structure = json.loads(metadata[_KEY])
        return _decode(structure, tensors, 0)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        fail(StateError, "load", f"{os.fspath(path)!r}: its structure is damaged ({error!r})")


def _plain(value: Any, depth: int) -> Any:
    """Modules, optimizers and schedules give way to their state dicts, tuples stay."""
    if depth > DEEPEST:
        text = f"more than {DEEPEST} levels of nesting"
        fail(StateError, "save", text, "does a dict or list contain itself?")
    if hasattr(value, "state_dict") and not isinstance(value, Mapping):
        return _plain(value.state_dict(), depth)
    if isinstance(value, Mapping):
        return {name: _plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_plain(item, depth + 1) for item in value])
    return value


def _encode(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """JSON in which a tensor is {"tensor": name}; tensors are collected by name.

    Dicts become {"dict": [[key, value], …]}, so that keys keep their type and order.
    """
    if len(path.split(".")) > DEEPEST:
        fail(StateError, "save", f"more than {DEEPEST} levels of nesting at {path}")
    if isinstance(value, Tensor):
        name = path or "value"
        while name in tensors:  # {"a.b": x, "a": {"b": y}}
            name += "_"
        tensors[name] = value
        return {"tensor": name}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        if not all(isinstance(key, (str, int)) for key in value):
            fail(DTypeError, "save", f"keys must be strings or ints, at {path or 'the top'}")
        rows = [[key, _encode(item, _join(path, key), tensors)] for key, item in value.items()]
        return {"dict": rows}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, _join(path, place), tensors) for place, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    text = f"cannot save {type(value).__name__} at {path or 'the top'}"
    fail(DTypeError, "save", text, "save tensors, numbers, strings, and dicts and lists of them")


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _decode(value: Any, tensors: dict[str, Tensor], depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels of nesting")
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise ValueError("a bare list")
        return value
    ((kind, items),) = value.items()
    if kind == "tensor":
        return tensors[items]
    if kind == "dict":
        return {key: _decode(item, tensors, depth + 1) for key, item in items}
    found = [_decode(item, tensors, depth + 1) for item in items]
    return {"list": list, "tuple": tuple}[kind](found)
