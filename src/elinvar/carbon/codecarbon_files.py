"""Tables that codecarbon brings, read as files: importing it takes seconds and opens a log."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def file_of(name: str, package: str = "codecarbon") -> Path | None:
    """A file of an installed package; None where it is missing. Nothing is imported.

    Args:
        name: the path in the package's folder.
        package: codecarbon, or a package that comes with it.
    """
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    for folder in (found and found.submodule_search_locations) or ():
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    return None
