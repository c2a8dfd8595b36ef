"""Hooks around a module's forward, and the handle that takes a hook off again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

_serial = itertools.count()


class RemovableHandle:
    """Takes a hook off its module: `handle.remove()`, or at the end of a `with` block.

    Example:
        >>> import elinvar as el
        >>> layer, shapes = el.nn.Linear(2, 3), []
        >>> with layer.register_forward_hook(lambda module, args, out: shapes.append(out.shape)):
        ...     _ = layer(el.ones((4, 2)))
        >>> shapes
        [(4, 3)]
    """

    id: int

    def __init__(self, hooks: dict[int, Any], hook: Any, prepend: bool = False) -> None:
        self.id = next(_serial)
        self._hooks = hooks
        if prepend:
            later = dict(hooks)
            hooks.clear()
            hooks[self.id] = hook
            hooks.update(later)
        else:
            hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook off. Removing twice does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one module, in the order in which they run."""

    def __init__(self) -> None:
        self.before: dict[int, tuple[Callable[..., Any], bool]] = {}
        self.after: dict[int, tuple[Callable[..., Any], bool]] = {}

    def run(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The module's forward with the hooks around it."""
        for hook, with_kwargs in tuple(self.before.values()):
            if with_kwargs:
                found = hook(module, args, kwargs)
                if found is not None:
                    args, kwargs = found
            else:
                found = hook(module, args)
                if found is not None:
                    args = found if isinstance(found, tuple) else (found,)
        output = module.forward(*args, **kwargs)
        for hook, with_kwargs in tuple(self.after.values()):
            extra = (kwargs,) if with_kwargs else ()
            found = hook(module, args, *extra, output)
            if found is not None:
                output = found
        return output
