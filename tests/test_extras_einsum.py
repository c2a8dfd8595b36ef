"""einsum: every form, orders of joining, and what has to hold for the bits."""

import itertools

import numpy as np
import pytest

import elinvar as el
from elinvar.core import errors
from elinvar.tensor.einsum_path import cost_of, path_of
from tests.extras import bits, check_gradient, check_jit, same

pytestmark = pytest.mark.any_level

RNG = np.random.default_rng(2)


def arrays(*shapes):
    return [RNG.standard_normal(shape) for shape in shapes]


FORMS = {
    "product": ("ij,jk->ik", (3, 4), (4, 5)), "implicit": ("ij,jk", (3, 4), (4, 5)),
    "diagonal": ("iij->ij", (3, 3, 2)), "trace": ("ii", (3, 3)), "three equal": ("iii->i", (3, 3, 3)),
    "ellipsis": ("...ij,...jk->...ik", (2, 3, 4), (4, 5)), "ellipsis implicit": ("...j,j", (2, 3, 4), (4,)),
    "ellipsis kept": ("i...->...", (2, 3, 4)),
    "broadcast": ("...i,...i->...", (2, 1, 4), (3, 4)), "sum": ("ijk->", (2, 3, 4)), "outer": ("i,j,k->ijk", (2,), (3,), (4,)),
    "chain": ("ab,bc,cd,de->ae", (2, 3), (3, 4), (4, 5), (5, 2)), "vector last": ("ij,jk,k->i", (5, 6), (6, 7), (7,)),
    "hadamard": ("ij,ij,ij->ij", (3, 4), (3, 4), (3, 4)), "bilinear": ("bi,oij,bj->bo", (4, 2), (3, 2, 5), (4, 5)),
    "spaces": (" i j , j -> i ", (3, 4), (4,)), "repeated and summed": ("iij,jk->k", (3, 3, 2), (2, 4)),
    "scalar": (",ij->ij", (), (2, 3)), "capitals": ("aB,Bc->ca", (2, 3), (3, 4)),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_forms(name):
    equation, *shapes = FORMS[name]
    xs = arrays(*shapes)
    expected = np.einsum(equation.replace(" ", ""), *xs)
    for optimize in ("structure", False, True, "greedy"):
        found = check_jit(lambda *v, o=optimize: el.einsum(equation, *v, optimize=o), xs)
        same(found, expected, 1e-10)
    if len(xs) < 4:
        check_gradient(lambda *v: el.einsum(equation, *v), xs)


LISTS = [
    (((3, 4), (4, 5)), ([0, 1], [1, 2]), [0, 2]), (((3, 4), (4, 5)), ([5, 9], [9, 2]), None),
    (((2, 3, 4), (4,)), ([..., 1], [1]), [...]), (((3, 3),), ([0, 0],), []), (((3, 3),), ([7, 7],), None),
]  # fmt: skip


@pytest.mark.parametrize("row", range(len(LISTS)))
def test_lists_of_numbers(row):
    shapes, lists, result = LISTS[row]
    xs = arrays(*shapes)
    mixed = [item for pair in zip(xs, lists, strict=True) for item in pair]
    given = [el.asarray(item) if isinstance(item, np.ndarray) else item for item in mixed]
    tail = [] if result is None else [result]
    same(el.einsum(*given, *tail), np.einsum(*mixed, *tail), 1e-10)


def all_paths(count):
    """Every order of joining by pairs."""
    if count == 1:
        yield []
        return
    for step in itertools.combinations(range(count), 2):
        for rest in all_paths(count - 1):
            yield [step, *rest]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_the_cheapest_order(seed):
    """No other order takes fewer products; the greedy one is an order at all."""
    rng = np.random.default_rng(seed)
    letters = "abcdef"
    terms = [tuple(rng.permutation(list(letters))[: rng.integers(1, 4)]) for _ in range(4)]
    used = sorted({x for term in terms for x in term})
    result = tuple(used[: rng.integers(0, 3)])
    sizes = {x: int(rng.integers(1, 9)) for x in used}
    best = min(cost_of(path, terms, result, sizes)[0] for path in all_paths(4))
    found = path_of("", terms, result, sizes, "optimal")
    assert cost_of(found, terms, result, sizes)[0] == best
    shapes = [tuple(sizes[x] for x in term) for term in terms]
    xs = arrays(*shapes)
    equation = f"{','.join(''.join(t) for t in terms)}->{''.join(result)}"
    for optimize in ("optimal", "greedy", "structure"):
        same(el.einsum(equation, *map(el.asarray, xs), optimize=optimize), np.einsum(equation, *xs), 1e-10)


def test_many_operands():
    xs = arrays(*[(2, 2)] * 12)
    letters = "abcdefghijklm"
    equation = ",".join(letters[i : i + 2] for i in range(12)) + "->am"
    same(el.einsum(equation, *map(el.asarray, xs)), np.einsum(equation, *xs, optimize=True), 1e-10)


def test_the_default_order_does_not_depend_on_sizes():
    """So a batch has the bits of its rows, and a program for all sizes those of one for some."""
    x, w, y = (el.asarray(a) for a in arrays((40, 3), (3, 50), (40, 50)))
    whole = el.einsum("bi,ij,bj->b", x, w, y)
    rows = [el.einsum("bi,ij,bj->b", x[i : i + 1], w, y[i : i + 1]) for i in range(40)]
    assert bits(el.concat(rows)) == bits(whole)
    compiled = el.jit(lambda x, w, y: el.einsum("bi,ij,bj->b", x, w, y))
    assert bits(compiled(x, w, y)) == bits(whole)
    assert bits(compiled(x[:7], w, y[:7])) == bits(whole[:7])


def test_paths():
    xs = [el.asarray(a) for a in arrays((5, 6), (6, 7), (7,))]
    path, text = el.einsum_path("ij,jk,k->i", *xs)
    assert path == ["einsum_path", (1, 2), (0, 1)] and "products" in text
    expected = el.einsum("ij,jk,k->i", *xs)
    same(el.einsum("ij,jk,k->i", *xs, optimize=path), np.asarray(expected), 1e-10)
    same(el.einsum("ij,jk,k->i", *xs, optimize=[(0, 1, 2)]), np.asarray(expected), 1e-10)
    assert el.einsum_path("ij,jk,k->i", *xs, optimize=False)[0][1:] == [(0, 1), (0, 1)]


def test_opt_einsum():
    """Its strategies give orders, and it contracts our tensors itself."""
    opt_einsum = pytest.importorskip("opt_einsum")
    xs = arrays((5, 6), (6, 7), (7, 3), (3,))
    equation = "ij,jk,kl,l->i"
    mine = [el.asarray(x) for x in xs]
    same(el.einsum(equation, *mine, optimize="dp"), np.einsum(equation, *xs), 1e-10)
    found = opt_einsum.contract(equation, *mine)
    assert isinstance(found, el.Tensor)
    same(found, np.einsum(equation, *xs), 1e-10)
    path, _ = opt_einsum.contract_path(equation, *mine)
    same(el.einsum(equation, *mine, optimize=path), np.einsum(equation, *xs), 1e-10)
    batched = opt_einsum.contract("bij,bjk,bk->bi", *map(el.asarray, arrays((2, 3, 4), (2, 4, 5), (2, 5))))
    assert batched.shape == (2, 3)


BAD = {
    "operands": (lambda: el.einsum("ij,jk", el.ones((2, 2))), errors.ValueRangeError, "names 2 operands, received 1"),
    "sizes": (lambda: el.einsum("ij,jk", el.ones((2, 3)), el.ones((4, 5))), errors.ShapeError, "axis 'j' has two sizes, 3 ≠ 4"),
    "letter": (lambda: el.einsum("i1", el.ones((2, 2))), errors.ValueRangeError, "'1' is no letter"),
    "twice": (lambda: el.einsum("ij->ii", el.ones((2, 2))), errors.ValueRangeError, "a letter stands twice in the result"),
    "unknown": (lambda: el.einsum("ij->ik", el.ones((2, 2))), errors.ValueRangeError, "no operand has an axis 'k'"),
    "rank": (lambda: el.einsum("ijk", el.ones((2, 2))), errors.ShapeError, "'ijk' names"),
    "numbers": (lambda: el.einsum(el.ones(2), ["a"]), errors.ValueRangeError, "a list of axis numbers 0 … 51"),
    "path": (lambda: el.einsum("i,i,i", *[el.ones(2)] * 3, optimize=[(0, 7)]), errors.ValueRangeError, "does not fit 3 operands"),
    "nothing": (lambda: el.einsum(), errors.ValueRangeError, "expected an equation"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_refusals(name):
    action, kind, text = BAD[name]
    with pytest.raises(kind) as caught:
        action()
    assert text in str(caught.value)
