"""The line about compiling: when it is shown, where, and what stays of it."""

from __future__ import annotations

import io
import sys
import time
from types import ModuleType

import pytest

from elinvar.core.settings import Settings, settings
from elinvar.runtime import progress
from elinvar.runtime.progress import Progress


class Terminal(io.StringIO):
    """A text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds take 20 ms."""
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(progress, "_TERMINAL_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_LOG_SECONDS", 0.01)
    monkeypatch.delitem(sys.modules, "rich.live", raising=False)
    say(monkeypatch, "warning")


def say(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    values = {name: getattr(settings, name) for name in Settings.__slots__}
    monkeypatch.setattr(progress, "settings", Settings(**{**values, "log_level": level}))


def told(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, done: int = 3) -> str:
    """What stands on the stream when compiling took long."""
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(38) as shown:
        shown.done = done
        limit = time.monotonic() + 5
        while "compiling" not in stream.getvalue() and time.monotonic() < limit:
            if shown._teller is None:
                break
            time.sleep(0.005)
    return stream.getvalue()


def test_a_terminal_shows_a_line_and_erases_it(monkeypatch: pytest.MonkeyPatch) -> None:
    text = told(monkeypatch, Terminal())
    assert text.startswith("\r\x1b[2Kelinvar: compiling, 3 of 38 kernels, 0 s")
    assert text.endswith("\r\x1b[2K") and "\n" not in text


def test_a_file_stays_empty_unless_the_log_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, io.StringIO()) == ""
    say(monkeypatch, "info")
    text = told(monkeypatch, io.StringIO())
    assert text.splitlines()[0] == "elinvar: compiling, 3 of 38 kernels, 0 s" and "\x1b" not in text


def test_a_bar_of_rich_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.live", ModuleType("rich.live"))
    assert told(monkeypatch, Terminal()) == ""
    say(monkeypatch, "debug")
    assert "3 of 38" in told(monkeypatch, Terminal())


def test_what_is_quick_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_SECONDS", 5.0)
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    start = time.monotonic()
    with Progress(2):
        time.sleep(0.01)
    assert stream.getvalue() == "" and time.monotonic() - start < 2


def test_a_stream_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Terminal()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress(1):
            pass
