"""A line on stderr while compiling takes long.

It appears after two seconds, where stderr is a terminal or `ELINVAR_LOG` is `info` or `debug`. A
terminal on which `rich` may be drawing is left alone.
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TextIO

from elinvar.core.settings import settings

FIRST_SECONDS = 2.0
_TERMINAL_SECONDS, _LOG_SECONDS = 0.25, 2.0
_ERASE = "\r\x1b[2K"


class Progress:
    """Tells how many of `total` kernels are compiled while its `with` block lasts.

    Args:
        total: how many there are.

    Attributes:
        done: how many are ready; whoever makes them counts.
    """

    done: int
    total: int

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self._start = time.monotonic()
        self._ended = threading.Event()
        self._teller: threading.Thread | None = None

    def __enter__(self) -> Progress:
        stream = _stream()
        if stream is not None:
            self._teller = threading.Thread(target=self._tell, args=(stream,), daemon=True)
            self._teller.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._teller is not None:
            self._teller.join()

    def _tell(self, stream: TextIO) -> None:
        terminal = stream.isatty()
        if self._ended.wait(FIRST_SECONDS):
            return
        try:
            while True:
                seconds = time.monotonic() - self._start
                text = f"elinvar: compiling, {self.done} of {self.total} kernels, {seconds:.0f} s"
                stream.write(_ERASE + text if terminal else text + "\n")
                stream.flush()
                if self._ended.wait(_TERMINAL_SECONDS if terminal else _LOG_SECONDS):
                    break
            if terminal:
                stream.write(_ERASE)
                stream.flush()
        except (OSError, ValueError):
            return  # stderr is gone


def _stream() -> TextIO | None:
    """Where progress is told; None where it is not."""
    stream = sys.stderr
    if stream is None or stream.closed:
        return None
    if settings.log_level.lower() in ("info", "debug"):
        return stream
    return stream if stream.isatty() and "rich.live" not in sys.modules else None
