"""el.tree, containers of one's own, and containers in the transforms."""

import collections
import dataclasses
from typing import Any, NamedTuple

import pytest

import elinvar as el
from elinvar.core.errors import DTypeError, GradientError, ShapeError


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Plain:
    weight: Any
    bias: Any = None


@dataclasses.dataclass(frozen=True)
class Layer:
    weight: Any
    name: str


class Pair:
    def __init__(self, a, b, tag):
        self.a, self.b, self.tag = a, b, tag


el.tree.register_dataclass(Layer, meta_fields=["name"])
el.tree.register_pytree_node(Pair, lambda p: ((p.a, p.b), p.tag), lambda tag, ab: Pair(*ab, tag))


def test_functions():
    x = {"a": 1, "b": (2, [3, None]), "c": Point(4, 5), "d": Plain(6)}
    leaves, structure = el.tree.flatten(x)
    assert leaves == el.tree.leaves(x) == [1, 2, 3, 4, 5, 6]
    assert el.tree.unflatten(structure, range(1, 7)) == x
    doubled = el.tree.map(lambda n: 2 * n, x)
    assert doubled["c"] == Point(8, 10) and doubled["d"] == Plain(12)
    assert el.tree.map(lambda a, b: a + b, x, doubled)["b"] == (6, [9, None])
    assert el.tree.reduce(lambda a, b: a * b, x) == 720 and el.tree.reduce(max, (), 3) == 3
    assert el.tree.all((1, True)) and not el.tree.all((1, [0]))
    assert el.tree.structure(Layer(1, "a")) == el.tree.structure(Layer(2, "a"))
    assert el.tree.structure(Layer(1, "a")) != el.tree.structure(Layer(1, "b"))


def test_refused():
    with pytest.raises(ShapeError, match=r"\[tree.map\] container 1 must have the structure of the first: expected {'a': \*}, received \(\*,\)"):
        el.tree.map(lambda a, b: a, {"a": 1}, (1,))
    with pytest.raises(ShapeError, match=r"\[tree.unflatten\] expected 2 leaves, received 1"):
        el.tree.unflatten(el.tree.structure((1, 2)), [1])
    with pytest.raises(ShapeError, match=r"\[tree.reduce\] there are no leaves"):
        el.tree.reduce(max, ())
    with pytest.raises(ShapeError, match=r"\[tree.transpose\] expected 2 times 3 leaves, received 4"):
        el.tree.transpose(el.tree.structure((1, 2)), el.tree.structure((1, 2, 3)), ((1, 2), (3, 4)))
    with pytest.raises(DTypeError, match="expected a dataclass, received"):
        el.tree.register_dataclass(Pair)
    with pytest.raises(DTypeError, match=r"the fields are \['weight', 'bias'\], received \['weight'\] and \[\]"):
        el.tree.register_dataclass(Plain, data_fields=["weight"])
    with pytest.raises(DTypeError, match="expected a class, received int"):
        el.tree.register_pytree_node(3, None, None)


@pytest.mark.parametrize("how", [lambda f: f, el.jit], ids=["eager", "jit"])
def test_containers_in_transforms(how):
    w = el.asarray([1.0, 2.0])
    layer, pair = Layer(w, "first"), Pair(w * 3, {"k": w}, "p")

    def loss(layer, pair):
        scale = 2.0 if layer.name == "first" else 5.0
        return ((layer.weight * pair.a + pair.b["k"]) * scale).sum()

    by_layer, by_pair = how(el.grad(loss, (0, -1)))(layer, pair)
    assert by_layer.name == "first" and by_layer.weight.tolist() == [6, 12]
    assert by_pair.tag == "p" and by_pair.a.tolist() == [2, 4] and by_pair.b["k"].tolist() == [2, 2]
    assert how(el.grad(loss))(Layer(w, "second"), pair).weight.tolist() == [15, 30]
    _, tangent = how(lambda a, b: el.jvp(lambda v: v, (a,), (b,)))(layer, layer)
    assert isinstance(tangent, Layer) and tangent.weight.tolist() == [1, 2]
    last, _ = how(lambda p: el.scan(lambda c, _: (Plain(c.weight * 2.0, c.bias), None), p, length=2))(Plain(w, w))
    assert isinstance(last, Plain) and last.weight.tolist() == [4, 8]
    with pytest.raises(GradientError, match=r"expected Layer\(first\)\(\*\), received Layer\(second\)\(\*\)|structure of its primal"):
        el.jvp(lambda v: v, (layer,), (Layer(w, "second"),))
    stopped = el.grad(lambda v: (el.stop_gradient(Plain(v, {"a": v})).weight * v).sum())
    assert how(stopped)(w).tolist() == [1, 2]
    assert el.stop_gradient(2.0).item() == 2


def test_grad_takes_keywords_and_refuses_other_argnums():
    f = lambda x, *, scale: (x * x).sum() * scale  # noqa: E731
    assert el.grad(f)(el.ones(2), scale=3.0).tolist() == [6, 6]
    value, gradient = el.value_and_grad(f)(el.ones(2), scale=el.asarray(2.0))
    assert value.item() == 4 and gradient.tolist() == [4, 4]
    with pytest.raises(DTypeError, match="argnums must be an int or a tuple of ints, received 'x'"):
        el.grad(f, argnums="x")
    with pytest.raises(GradientError, match="argnums names argument -3, but 2 were passed"):
        el.grad(lambda x, y: x.sum(), argnums=-3)(el.ones(2), el.ones(2))


def test_defaultdicts_keep_their_factory():
    held = collections.defaultdict(list, a=[el.ones(2)], b=3.0)
    found = el.tree.map(lambda x: x * 2, held)
    assert type(found) is collections.defaultdict and found["new"] == [] and found["b"] == 6
    assert el.jit(lambda d: d)(held)["a"][0].tolist() == [1, 1]
    assert [path for path, _ in el.tree.leaves_with_path(held)] == [("a", 0), ("b",)]
