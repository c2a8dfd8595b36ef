"""The user's own file and line, and the path of the module that is running."""

from __future__ import annotations

import functools
import itertools
import linecache
import os
import sys
import threading
from dataclasses import dataclass
from itertools import pairwise
from types import CodeType, TracebackType
from typing import Any

_STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_INSIDE: dict[str, bool] = {}  # by file: code is equal to that of another file with the same text


@dataclass(frozen=True, slots=True)
class Source:
    """A place in the user's code: file, line and function."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line} in {self.function}"

    def describe(self) -> str:
        """The place with the text of its line, where the file can be read."""
        text = linecache.getline(self.file, self.line).strip()
        return f"{self}: {text}" if text else str(self)


@functools.lru_cache(4096)
def derived(source: Source | None, what: str) -> Source | None:
    """The same line, for what is derived from it (`backward`, `tangent`): for profiles and
    printed graphs."""
    return source and Source(source.file, source.line, f"{source.function}, {what}")


_RUNNERS = tuple(  # of the standard library: what calls functions for us
    os.path.join(_STANDARD, name)
    for name in ("functools.py", "threading.py", "multiprocessing", "concurrent")
)


def is_inside(code: CodeType) -> bool:
    """Whether code is of this package, and not the user's."""
    name = code.co_filename
    known = _INSIDE.get(name)
    if known is None:
        known = name.startswith((_PACKAGE, "<frozen", "<string>", *_RUNNERS))
        _INSIDE[name] = known
    return known


def user_source() -> Source | None:
    """The innermost frame outside of this package, or None when there is none."""
    frame = sys._getframe(1)
    known = _INSIDE.get
    while frame is not None:
        code = frame.f_code
        inside = known(code.co_filename)
        if inside is None:
            inside = is_inside(code)
        if not inside:
            return _source_at(code.co_filename, frame.f_lineno, code.co_name)
        frame = frame.f_back  # type: ignore[assignment]
    return None


@functools.lru_cache(4096)
def _source_at(file: str, line: int, function: str) -> Source:
    return Source(file, line, function)


def raised_at(traceback: TracebackType | None) -> Source | None:
    """The innermost place outside of this package that an exception came through."""
    found = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_inside(code):
            found = Source(code.co_filename, traceback.tb_lineno, code.co_name)
        traceback = traceback.tb_next
    return found


def user_place(inner: int = 1) -> tuple[CodeType, int] | None:
    """The same place, unread: cheap enough to keep for every recorded operation.

    `inner`: how many of the innermost frames are known to be of this package; skipping them is
    cheap, looking at them is not.
    """
    try:
        frame = sys._getframe(inner)
    except ValueError:  # the stack is not that deep
        frame = sys._getframe(1)
    known = _INSIDE.get
    while frame is not None:
        code = frame.f_code
        inside = known(code.co_filename)
        if inside is None:
            inside = is_inside(code)
        if not inside:
            return code, frame.f_lasti
        frame = frame.f_back  # type: ignore[assignment]
    return None


def source_of(place: tuple[CodeType, int] | None) -> Source | None:
    """What `user_place` kept, as a Source."""
    if place is None:
        return None
    code, instruction = place
    return _source_at(code.co_filename, _line_of(code, instruction), code.co_name)


@functools.lru_cache(4096)
def _line_of(code: CodeType, instruction: int) -> int:
    line = next(itertools.islice(code.co_positions(), instruction // 2, None), (None,))[0]
    return line or code.co_firstlineno


class RunningModules(threading.local):
    """The modules that run in this thread, outermost first. `nn.Module` pushes and pops."""

    def __init__(self) -> None:
        self.stack: list[Any] = []


running_modules: RunningModules = RunningModules()


def module_path() -> str:
    """The dotted path of the innermost running module below the outermost, as in `layers.3.attn`.

    Names are looked up here, when an error needs them, so that a call costs a push and a pop.
    """
    steps = pairwise(running_modules.stack)
    names = (parent.path_to(child) for parent, child in steps if parent is not child)
    return ".".join(name for name in names if name)
