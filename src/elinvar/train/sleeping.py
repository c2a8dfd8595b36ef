"""Waiting for hours without spinning, and waking at once for Ctrl-C and SIGTERM."""

from __future__ import annotations

import os
import select
import signal
import threading
import time

from elinvar.train.signals import WATCHED, pending

SLICE = 300.0  # seconds after which a sleeper looks at the clock: machines sleep, clocks are set


def wait(seconds: float) -> bool:
    """Sleep; whether a signal that ends training came meanwhile.

    The signals' own handlers run as always. The process takes no time on a core.
    """
    seconds = min(max(seconds, 0.0), SLICE)
    if threading.current_thread() is not threading.main_thread() or os.name == "nt":
        time.sleep(seconds)  # no handler runs in this thread, or pipes cannot be waited for
        return False
    reader, writer = os.pipe()
    try:
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            if pending():  # it came before there was a pipe to write to
                return True
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                if not select.select([reader], [], [], left)[0]:
                    return False
                if set(os.read(reader, 1024)) & set(WATCHED):
                    return True
        finally:
            signal.set_wakeup_fd(before)
    finally:
        os.close(reader)
        os.close(writer)
    return False
