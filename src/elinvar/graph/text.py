"""Read a graph from its printed text; the grammar, in the order of reading:

    graph     = "graph" label "(" [ input { "," input } ] ")" "{" { node } "return" [ values ] "}"
    input     = value [ string ] ":" type
    node      = values ":" type { "," type } "=" op [ values ] [ params ] [ source ]
    source    = "# file:line in function"
    params    = "{" name ":" param { "," name ":" param } "}"
    param     = int | float | "complex" "(" float "," float ")" | "True" | "False" | "None" | string
              | dtype | dim | tuple | graph
    values    = value { "," value }           value = "%" digits            label = name | string

A text may come from outside: its nesting is bounded, every type is derived again by the op's rule
and compared with the written one, and whatever is wrong raises GraphError with its line.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple, NoReturn

from elinvar.core import dtypes
from elinvar.core.errors import ElinvarError, GraphError, fail
from elinvar.core.shapes import Dim, parse_dim
from elinvar.core.source import Source
from elinvar.core.types import TensorType, parse_type
from elinvar.graph.ir import Graph, Node, Value
from elinvar.graph.printing import format_param, print_graph
from elinvar.ops.record import Op
from elinvar.ops.table import BY_NAME

__all__ = ["derived_types", "format_param", "parse_graph", "print_graph"]

_DEEPEST = 100
_DIGITS = 40  # of one integer: params are at most 64 bits wide
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<comment>\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<value>%\d+)
      | (?P<type>[a-z]+\d*\[[^\]\n]*\])
      | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<name>[^\W\d]\w*)
      | (?P<mark>[(){}:,=*+-])""",
    re.VERBOSE,
)
_SOURCE = re.compile(r"#\s*(.+):(\d+) in (.+)")
_WORDS: dict[str, Any] = {
    "True": True,
    "False": False,
    "None": None,
    "inf": math.inf,
    "nan": math.nan,
    **{dtype.short: dtype for dtype in dtypes.ALL},
}


class _Token(NamedTuple):
    kind: str
    text: str
    line: int
    source: Source | None = None  # from the comment that follows on the same line


def parse_graph(text: str) -> Graph:
    """The graph that `print_graph` would print as `text`.

    Raises:
        GraphError: the text is malformed or its types are wrong.

    Example:
        >>> graph = parse_graph("graph main(%0: f32[B]) { return %0 }")
        >>> graph.output_types
        (f32[B],)
    """
    reader = _Reader(text)
    graph = reader.graph(0)
    if reader.kind != "end":
        reader.refuse("the end of the text")
    return graph


def derived_types(
    op: Op, types: tuple[TensorType, ...], params: dict[str, Any], stage: str
) -> tuple[TensorType, ...]:
    """The op's result types for params that may be malformed: every fault is an ElinvarError."""
    if not set(op.params) - set(op.optional) <= set(params) <= set(op.params):
        named = ", ".join(op.params) or "none"
        fail(GraphError, stage, f"{op.name} takes the params {named}; received {sorted(params)}")
    try:
        return op.result_types(types, params)
    except ElinvarError:
        raise
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        fail(GraphError, stage, f"{op.name} refuses its operands or params: {error}")


class _Reader:
    """A recursive descent over the tokens."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._position = 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._position]

    @property
    def kind(self) -> str:
        return self._token.kind

    def refuse(self, expected: str) -> NoReturn:
        token = self._token
        found = token.text or "the end of the text"
        fail(GraphError, "parse", f"line {token.line}: expected {expected}, received {found}")

    def _next(self, kind: str, expected: str) -> str:
        if self._token.kind != kind:
            self.refuse(expected)
        text = self._token.text
        self._position += 1
        return text

    def _mark(self, mark: str) -> None:
        if self._token.text != mark or self._token.kind not in ("mark", "name"):
            self.refuse(repr(mark))
        self._position += 1

    def _took(self, mark: str) -> bool:
        if self._token.kind == "mark" and self._token.text == mark:
            self._position += 1
            return True
        return False

    def _string(self) -> str:
        text = self._next("string", "a string")
        try:
            return str(json.loads(text))
        except json.JSONDecodeError:
            self._position -= 1
            self.refuse("a string")

    def graph(self, depth: int) -> Graph:
        """Read `graph name(inputs) { nodes return values }`."""
        self._mark("graph")
        label = self._string() if self.kind == "string" else self._next("name", "a name")
        values: dict[str, Value] = {}
        inputs: list[Value] = []
        self._mark("(")
        while not self._took(")"):
            inputs.append(self._input(values))
            if self._token.text != ")":
                self._mark(",")
        self._mark("{")
        while self._token.text != "return":
            self._node(values, depth)
        self._mark("return")
        outputs = self._values(values)
        self._mark("}")
        return Graph(inputs, outputs, label)

    def _input(self, values: dict[str, Value]) -> Value:
        key = self._new_name(values)
        name = self._string() if self.kind == "string" else ""
        self._mark(":")
        value = Node(None, (), {}, (self._type(),), name=name).results[0]
        values[key] = value
        return value

    def _new_name(self, values: dict[str, Value]) -> str:
        if self._token.text in values:
            self.refuse("a value that is not defined yet")
        return self._next("value", "a value such as %3")

    def _type(self) -> TensorType:
        text = self._next("type", "a type such as f32[B,10]")
        try:
            kind = parse_type(text)
            if all(isinstance(dim, Dim) or dim >= 0 for dim in kind.shape):
                return kind
        except (ElinvarError, ValueError):
            pass
        self._position -= 1
        self.refuse("a type such as f32[B,10]")

    def _values(self, values: dict[str, Value]) -> tuple[Value, ...]:
        found: list[Value] = []
        while self.kind == "value":
            if self._token.text not in values:
                self.refuse("a value that is defined above")
            found.append(values[self._next("value", "a value")])
            if not self._took(","):
                break
        return tuple(found)

    def _node(self, values: dict[str, Value], depth: int) -> None:
        line = self._token.line
        names = [self._new_name(values)]
        while self._took(","):
            names.append(self._new_name(values))
        self._mark(":")
        types = [self._type()]
        while self._took(","):
            types.append(self._type())
        self._mark("=")
        op = BY_NAME.get(self._token.text)
        if op is None:
            self.refuse("the name of an op")
        self._next("name", "the name of an op")
        operands = self._values(values)
        params = self._params(depth)
        source = self._tokens[self._position - 1].source
        derived = derived_types(op, tuple(v.type for v in operands), params, f"parse: line {line}")
        if derived != tuple(types):
            written, right = (", ".join(map(str, kinds)) for kinds in (types, derived))
            fail(GraphError, "parse", f"line {line}: {op.name} gives {right}, not {written}")
        if len(set(names)) != len(names) or len(names) != len(types):
            fail(GraphError, "parse", f"line {line}: {len(types)} results need as many names")
        node = Node(op, operands, params, derived, source)
        values.update(zip(names, node.results, strict=True))

    def _params(self, depth: int) -> dict[str, Any]:
        params: dict[str, Any] = {}
        if not self._took("{"):
            return params
        while True:
            if self._token.text in params:
                self.refuse("a param that is not given yet")
            key = self._next("name", "the name of a param")
            self._mark(":")
            params[key] = self._param(depth + 1)
            if self._took("}"):
                return params
            self._mark(",")

    def _param(self, depth: int) -> Any:
        if depth > _DEEPEST:
            self.refuse(f"at most {_DEEPEST} levels of nesting")
        token = self._token
        if token.kind == "string":
            return self._string()
        if token.kind == "name" and token.text == "graph":
            return self.graph(depth)
        if token.kind == "name" and token.text == "complex":
            return self._complex()
        if self._took("("):
            items: list[Any] = []
            while not self._took(")"):
                items.append(self._param(depth + 1))
                if self._token.text != ")":
                    self._mark(",")
            return tuple(items)
        return self._number_or_word()

    def _complex(self) -> complex:
        self._mark("complex")
        self._mark("(")
        re_ = self._number_or_word()
        self._mark(",")
        im = self._number_or_word()
        if not isinstance(re_, int | float) or not isinstance(im, int | float):
            self.refuse("two numbers")
        self._mark(")")
        return complex(re_, im)

    def _number_or_word(self) -> Any:
        parts: list[_Token] = []
        while self.kind in ("number", "name") or self._token.text in ("*", "+", "-"):
            parts.append(self._token)
            self._position += 1
        negative = len(parts) == 2 and parts[0].text == "-"
        if len(parts) == 1 or negative:
            word = parts[-1].text
            if parts[-1].kind == "number":
                number = self._number(word)
                return -number if negative else number
            if word in _WORDS and (not negative or word == "inf"):
                return -math.inf if negative else _WORDS[word]
        if parts:
            try:
                return parse_dim(" ".join(part.text for part in parts))
            except (ElinvarError, ValueError):
                self._position -= len(parts)
        self.refuse("a param's value")

    def _number(self, word: str) -> int | float:
        if not word.isdigit():
            return float(word)
        if len(word) > _DIGITS:
            self._position -= 1
            self.refuse(f"an integer of at most {_DIGITS} digits")
        return int(word)


def _tokens(text: str) -> list[_Token]:
    """All tokens; a comment that names a place in the user's code goes with the token before it."""
    tokens: list[_Token] = []
    line, position = 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position : position + 20]
            fail(GraphError, "parse", f"line {line}: cannot read {rest!r}")
        kind, body = str(match.lastgroup), match[0]
        if kind == "comment":
            place = _SOURCE.fullmatch(body.rstrip())
            if place and len(place[2]) <= _DIGITS and tokens and tokens[-1].line == line:
                source = Source(place[1], int(place[2]), place[3])
                tokens[-1] = tokens[-1]._replace(source=source)
        elif kind != "space":
            tokens.append(_Token(kind, body, line))
        line += body.count("\n")
        position = match.end()
    tokens.append(_Token("end", "", line))
    return tokens
