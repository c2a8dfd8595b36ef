"""Graphs as text: what is printed reads back; what is malformed is refused with its line."""

import math

import pytest
from graphs import graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from elinvar.core import dtypes
from elinvar.core import source as source_module
from elinvar.core.errors import ElinvarError, GraphError
from elinvar.core.shapes import Dim
from elinvar.core.source import Source
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, Node
from elinvar.graph.text import format_param, parse_graph, print_graph
from elinvar.graph.verify import verify
from elinvar.graph.walk import fingerprint, same_graph
from elinvar.ops.table import BY_NAME

GOLDEN = '''\
graph main(%0 "x": f32[B,4], %1: f32[4,10]) {
    %2: f32[B,10] = contract %0, %1 {batch: ((), ()), axes: ((1,), (0,))}     # model.py:41 in head
    %3, %4: f32[B,3], i64[B,3] = top_k %2 {k: 3}     # model.py:42 in <lambda>
    %5: f32[] = constant {value: -0.0, dtype: f32}
    %6: f32[10] = broadcast %5 {shape: (10,)}
    %7, %8: f32[10], f32[B,10] = scan %6, %2 {body: graph body(%0: f32[10], %1: f32[10]) {
        %2: f32[10] = add %0, %1
        return %2, %0
    }, carry: 1, sequences: 1, length: B, reverse: False}
    return %7, %8, %3, %4
}'''


def test_golden():
    graph = parse_graph(GOLDEN)
    assert str(graph) == GOLDEN
    assert graph.nodes[0].source == Source("model.py", 41, "head")
    assert graph.nodes[1].source == Source("model.py", 42, "<lambda>")
    assert graph.nodes[2].source is None
    assert graph.inputs[0].node.name == "x"
    assert repr(graph).startswith("<graph main (f32[B,4], f32[4,10]) -> (f32[10], ")
    verify(graph)


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_round_trip(graph):
    text = print_graph(graph)
    again = parse_graph(text)
    assert print_graph(again) == text
    assert same_graph(graph, again)
    assert fingerprint(graph) == fingerprint(again)
    assert again.input_types == graph.input_types and again.output_types == graph.output_types
    verify(graph)
    verify(again)


def params():
    simple = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**64), 2**64),
        st.floats(),
        st.text(),
        st.sampled_from(dtypes.ALL),
        st.sampled_from(("B", "T", "f32", "inf", "nan", "True", "graph")).map(Dim),
        st.builds(lambda a, b, c: a * Dim("B") * Dim("T") + b * Dim("i8") + c or 0,
                  st.integers(-3, 3), st.integers(-3, 3), st.integers(-9, 9)),
    )  # fmt: skip
    return st.recursive(simple, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=8)


def same(a, b):
    """Equality that tells 1 from 1.0 and True, 0.0 from -0.0, and lets NaN equal NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return (a != a and b != b) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return a == b


@given(params())
@settings(max_examples=200, deadline=None)
def test_params_round_trip(value):
    """Through the one op whose rule looks at no param: a barrier's tag."""
    text = f"graph main(%0: f32[]) {{ %1: f32[] = barrier %0 {{tag: {format_param(value)}}} return %1 }}"
    assert same(parse_graph(text).nodes[0].params["tag"], value)


def test_equal_nodes_stay_apart_and_equal_graphs_are_equal():
    kind = TensorType(dtypes.float32, (3,))
    x = Node(None, (), {}, (kind,)).results[0]
    twice = [Node(BY_NAME["exp"], (x,), {}, (kind,)).results[0] for _ in range(2)]
    apart, shared = Graph([x], twice), Graph([x], [twice[0], twice[0]])
    assert len(parse_graph(str(apart)).nodes) == 2
    assert not same_graph(apart, shared)
    assert fingerprint(apart) != fingerprint(shared)


def test_order_of_building_does_not_count():
    def build(swap):
        builder = Builder()
        x = builder.input(TensorType(dtypes.float32, (3,)))
        names = ["sin", "cos"][:: -1 if swap else 1]
        made = {name: getattr(builder.f, name)(x) for name in names}
        return builder.graph([made["sin"], made["cos"]])

    a, b = build(False), build(True)
    assert print_graph(a) != print_graph(b)
    assert same_graph(a, b) and fingerprint(a) == fingerprint(b)


def test_fingerprint_sees_what_differs():
    texts = [
        "graph m(%0: f32[3]) { %1: f32[3] = negative %0 return %1 }",
        "graph m(%0: f32[4]) { %1: f32[4] = negative %0 return %1 }",
        "graph m(%0: f64[3]) { %1: f64[3] = negative %0 return %1 }",
        "graph m(%0: f32[3]) { %1: f32[3] = abs %0 return %1 }",
        "graph m(%0: f32[3]) { %1: f32[3] = negative %0 return %1, %1 }",
        "graph m(%0: f32[3]) { %1: f32[3] = negative %0 return %0 }",
        "graph m(%0: f32[3], %1: f32[3]) { %2: f32[3] = add %0, %1 return %2 }",
        "graph m(%0: f32[3], %1: f32[3]) { %2: f32[3] = add %1, %0 return %2 }",
        "graph m() { %0: f32[] = constant {value: 0.0, dtype: f32} return %0 }",
        "graph m() { %0: f32[] = constant {value: -0.0, dtype: f32} return %0 }",
        "graph m() { %0: f32[] = constant {value: 0, dtype: f32} return %0 }",
    ]
    assert len({fingerprint(parse_graph(text)) for text in texts}) == len(texts)
    named = parse_graph('graph other(%0 "w": f32[3]) {\n%1: f32[3] = negative %0  # a.py:3 in f\nreturn %1 }')
    assert fingerprint(named) == fingerprint(parse_graph(texts[0]))


NEST = "(" * 200 + ")" * 200
BAD = [
    ("", "line 1: expected 'graph', received the end of the text"),
    ("graph main(%0: f32[]) { return %0 } x", "expected the end of the text, received x"),
    ("graph main(%0: f32[3]) {\n%1: f32[3] = nothing %0 return %1 }", "line 2: expected the name of an op"),
    ("graph main(%0: f32[3]) { %1: f32[4] = abs %0 return %1 }", "abs gives f32[3], not f32[4]"),
    ("graph main(%0: f32[3]) { %1: f32[3] = abs %2 return %1 }", "a value that is defined above, received %2"),
    ("graph main(%0: f32[3]) { %0: f32[3] = abs %0 return %0 }", "a value that is not defined yet"),
    ("graph main(%0: f32[3]) { %1, %2: f32[3] = abs %0 return %1 }", "1 results need as many names"),
    ("graph main(%0: f32[3]) { %1: f32[3] = abs %0 {k: 1} return %1 }", "abs takes the params none; received ['k']"),
    ("graph main(%0: f32[3]) { %1: f32[] = sum %0 return %1 }", "sum takes the params axes"),
    ("graph main(%0: f32[3]) { %1: f32[] = sum %0 {axes: 3} return %1 }", "axes must be"),
    ("graph main(%0: f32[3]) { %1: f32[] = sum %0 {axes: (0,), axes: (0,)} return %1 }", "not given yet"),
    ("graph main(%0: f33[3]) { return %0 }", "expected a type such as f32[B,10]"),
    ("graph main(%0: f32[-3]) { return %0 }", "expected a type such as f32[B,10]"),
    ("graph main(%0: f32[3)) { return %0 }", "cannot read"),
    ("graph main(%0: f32[3]) { %1: f32[3] = barrier %0 {tag: 1 2} return %1 }", "expected a param's value"),
    ("graph main(%0: f32[3]) { %1: f32[3] = barrier %0 {tag: " + NEST + "} return %1 }", "levels of nesting"),
    ("graph main(%0: f32[3]) { %1: f32[3] = barrier %0 {tag: " + "9" * 5000 + "} return %1 }", "an integer of at most"),
    ("graph main(%0: f32[3]) { %1: f32[3] = barrier %0 {tag: \"\\x\"} return %1 }", "expected a string"),
    ("graph main(%0: f32[3]) { return %0 ", "expected '}', received the end of the text"),
    ("graph main(%0: f32[3]) { ? }", "line 1: cannot read '? }'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BAD, ids=range(len(BAD)))
def test_malformed_texts(text, expected):
    with pytest.raises(ElinvarError) as caught:
        parse_graph(text)
    assert expected in str(caught.value)


@given(st.text(alphabet="graphmin(){}%01:f32[B],=abs*+-\"#\n .", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text):
    for candidate in (text, GOLDEN.replace("{k: 3}", text), GOLDEN[: len(text) * 11]):
        try:
            parse_graph(candidate)
        except ElinvarError:
            pass


# ---- the verifier -------------------------------------------------------------------------------

KIND = TensorType(dtypes.float32, (3,))


def an_input():
    return Node(None, (), {}, (KIND,)).results[0]


def negated(x, kind=KIND, params=None):
    return Node(BY_NAME["negative"], (x,), params or {}, (kind,)).results[0]


def test_verifier_accepts():
    x = an_input()
    assert verify(Graph([x], [negated(x), x])).inputs == (x,)


def faulty():
    x, y = an_input(), an_input()
    yield Graph([x], [negated(y)]), "an input of another graph is used"
    yield Graph([x, x], [negated(x)]), "an input is listed twice"
    yield Graph([x, negated(x)], [x]), "an input must be an input node's result"
    yield Graph([x], [negated(x, TensorType(dtypes.float32, (4,)))]), "its types are f32[4]; by its rule f32[3]"
    yield Graph([x], [negated(x, KIND, {"axes": ()})]), "negative takes the params none; received ['axes']"
    late = negated(x)
    late.node.serial = x.node.serial - 1
    yield Graph([x], [late]), "is defined after it"
    foreign = negated(x)
    foreign.node.results = negated(x).node.results
    yield Graph([x], [negated(foreign)]), "is not a result of the node that it names"
    inner = Graph([y], [negated(x)])
    body = {"body": inner, "carry": 1, "sequences": 0, "length": 2, "reverse": False}
    yield Graph([x], Node(BY_NAME["scan"], (x,), body, (KIND,)).results), "an input of another graph"
    wrong = Node(BY_NAME["add"], (x,), {}, (KIND,))
    yield Graph([x], wrong.results), "add refuses its operands or params"


@pytest.mark.parametrize(("graph", "expected"), list(faulty()), ids=range(9))
def test_verifier_refuses(graph, expected):
    with pytest.raises(GraphError) as caught:
        verify(graph, "after pass fold")
    assert str(caught.value).startswith("[after pass fold] ")
    assert expected in str(caught.value)


def test_lines_of_files_with_the_same_text(tmp_path) -> None:
    """Python holds the code of two such files for equal, but a line is of its own file."""
    text = "def line(source):\n    return source.user_source(), source.source_of(source.user_place())\n"
    for name in ("one.py", "two.py"):
        space: dict = {}
        exec(compile(text, str(tmp_path / name), "exec"), space)
        for found in space["line"](source_module):
            assert (found.file, found.line) == (str(tmp_path / name), 2)
