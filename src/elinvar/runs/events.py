"""Figures of a run for TensorBoard, through tensorboardX where that is installed."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Events:
    """Writes scalars to an event file in a folder; does nothing without tensorboardX.

    Args:
        folder: where. The file is made at the first figure.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._wanted = importlib.util.find_spec("tensorboardX") is not None

    def add(self, kind: str, step: int, row: Mapping[str, Any]) -> None:
        """Add the figures of an epoch or a step."""
        if not self._wanted:
            return
        if self._writer is None:
            try:
                logging.getLogger("tensorboardX").setLevel(logging.ERROR)
                module = importlib.import_module("tensorboardX")
                self._writer = module.SummaryWriter(
                    str(self._folder), purge_step=step, flush_secs=10
                )
            except Exception:  # a package that does not work here is as one that is not there
                self._wanted = False
                return
        for name, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def flush(self) -> None:
        """Hand over to the system what waits."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
