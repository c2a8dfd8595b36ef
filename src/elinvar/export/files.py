"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write files so that all are there as a whole, or none is."""
    written: dict[Path, Path] = {}
    try:
        for path, data in files.items():
            descriptor, other = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            written[path] = Path(other)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.chmod(other, 0o644)
        for path, complete in written.items():
            os.replace(complete, path)
    finally:
        for complete in written.values():
            complete.unlink(missing_ok=True)
