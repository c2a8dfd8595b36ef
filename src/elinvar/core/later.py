"""Methods that are imported when they are first used, so that `import elinvar` stays quick."""

from __future__ import annotations

import importlib
from typing import Any


class Later:
    """Stands for a function of a module in a class; the first use puts the function in its place.

    Args:
        module: where the function is; its name there is the one that it has in the class, unless
            `name` says otherwise.
    """

    def __init__(self, module: str, name: str | None = None) -> None:
        self.module, self.name = module, name
        self.owner: Any = None
        self.attribute = ""

    def __set_name__(self, owner: Any, name: str) -> None:
        self.owner, self.attribute = owner, name

    def load(self) -> Any:
        """The function itself."""
        found = getattr(importlib.import_module(self.module), self.name or self.attribute)
        setattr(self.owner, self.attribute, found)
        return found

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        found = self.load()
        return found if instance is None else found.__get__(instance, owner)
