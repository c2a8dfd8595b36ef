"""Ctrl-C and SIGTERM while a Trainer trains: the first asks to stop, the second Ctrl-C stops."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn

WATCHED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C; the text says where it was saved and how to go on."""


class Waited(KeyboardInterrupt):
    """The first signal came while a batch was waited for: there is no step to be finished."""


def leave(by: signal.Signals, where: str, saved: str, trouble: Exception | None) -> NoReturn:
    """End training after a signal.

    Args:
        by: the signal.
        where: how far training came.
        saved: the file or folder to go on from.
        trouble: why there is none.

    Raises:
        Interrupted: it was Ctrl-C.
        SystemExit: it was SIGTERM.
    """
    text = f"stopped by {by.name} after {where}; "
    if trouble is None:
        text += f"saved {saved}; go on with fit(…, resume={saved!r})"
    else:
        text += f"not saved: {' '.join(str(trouble).split()) or type(trouble).__name__}"
    if by.name == "SIGTERM":
        print(f"[Trainer] {text}", file=sys.stderr)
        raise SystemExit(128 + by) from trouble
    raise Interrupted(text) from trouble


def pending() -> bool:
    """Whether a signal asks the training that runs in this thread to stop."""
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers = (getattr(signal.getsignal(number), "__self__", None) for number in WATCHED)
    return any(isinstance(one, Signals) and one.received is not None for one in handlers)


class Signals:
    """Within, the first SIGINT or SIGTERM sets `received`; a second SIGINT raises at once.

    Outside of the main thread Python allows no handlers, so nothing is watched there.

    Attributes:
        received: the signal, or None.
        waits: whether a batch is waited for; then the first signal raises `Waited`.
    """

    waits: bool

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.waits = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in WATCHED:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        if self.waits:
            self.waits = False
            raise Waited
        if number == signal.SIGINT:
            text = "stopping after this step or validation (Ctrl-C again stops now)"
            print(f"\n{text}", file=sys.stderr)
