"""What the user's own statement says, for errors that show how to write it otherwise.

Both functions look at a frame that is just calling: which instruction runs, and what comes next.
"""

from __future__ import annotations

import ast
import itertools
import linecache
from opcode import opmap
from types import CodeType, FrameType

_CACHE = opmap.get("CACHE", 0)
_DROPPING = {opmap["POP_TOP"], opmap.get("PRINT_EXPR", -1)}  # the second until Python 3.11
_INTRINSIC, _PRINT = opmap.get("CALL_INTRINSIC_1", -1), 1  # from Python 3.12 on
MOST_KEPT = 4096
_dropped: dict[tuple[CodeType, int], bool] = {}
_expressions: dict[tuple[CodeType, int], ast.expr | None] = {}


def drops_result(frame: FrameType) -> bool:
    """Whether the frame's running call is a statement: nothing reads what it returns.

    At Python's prompt it is printed, and that is all.
    """
    key = (frame.f_code, frame.f_lasti)
    found = _dropped.get(key)
    if found is None:
        code = frame.f_code.co_code
        place = frame.f_lasti + 2
        while place < len(code) and code[place] == _CACHE:  # of the call itself
            place += 2
        found = place < len(code) and code[place] in _DROPPING
        if place + 1 < len(code) and code[place] == _INTRINSIC:
            found = code[place + 1] == _PRINT
        if len(_dropped) >= MOST_KEPT:
            _dropped.clear()
        _dropped[key] = found
    return found


def running_expression(frame: FrameType) -> ast.expr | None:
    """The expression that the frame's running instruction computes, or assigns to.

    None where the source cannot be read.
    """
    key = (frame.f_code, frame.f_lasti)
    if key not in _expressions:
        if len(_expressions) >= MOST_KEPT:
            _expressions.clear()
        _expressions[key] = _expression(frame)
    return _expressions[key]


def _expression(frame: FrameType) -> ast.expr | None:
    code = frame.f_code
    place = next(itertools.islice(code.co_positions(), frame.f_lasti // 2, None), None)
    if place is None:
        return None
    first, last, start, end = place
    if first is None or last is None or start is None or end is None:
        return None
    lines = linecache.getlines(code.co_filename, frame.f_globals)
    if len(lines) < last:
        return None
    try:
        text = lines[last - 1].encode()
        if first == last and not text[:start].rstrip().endswith(b"."):
            return ast.parse(b"(" + text[start:end] + b")", mode="eval").body
        whole = ast.parse("".join(lines))
    except (SyntaxError, ValueError):  # the file has changed
        return None
    for node in ast.walk(whole):  # calls over several lines are said to begin at the method's name
        if isinstance(node, ast.Call | ast.Subscript):
            if (node.end_lineno, node.end_col_offset) == (last, end):
                return node
    return None
