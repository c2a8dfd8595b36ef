"""Slices are values: a write that nobody could see is refused, one that may mislead is told."""

import copy
import gc
import operator
import pickle
import warnings
import weakref

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import LostWriteError, OutOfBoundsError
from elinvar.tensor import lost

pytestmark = pytest.mark.any_level

i, mask = 1, [True, False, True]


def matrix():
    return el.asarray(np.arange(12, dtype=np.float32).reshape(3, 4))


# each is a function of x: (its text is its statement, what the error says to write)
def item_of_item(x):
    x[0][1] = 5


def item_of_names(x):
    x[i][i] = 5


def item_of_slice(x):
    x[1:][0] = 5


def item_of_view(x):
    x.view(-1)[3] = 0


def item_of_transpose(x):
    x.T[0] = 1


def item_in_place(x):
    x[0][1] += 5


def item_of_permuted(x):
    x.permute(1, 0)[0] = 1


def zeros_of_slice(x):
    x[:, :2].zero_()


def copied_slice(x):
    x[1:].copy_(el.ones(4))


def filled_row(x):
    x[i].fill_(0)


def filled_as_in_numpy(x):
    x[i].fill(0)


def added_rows(x):
    x[:2].add_(1)


def drawn_rows(x):
    x[:2].normal_(0.0, std=0.1)


def turned_in_place(x):
    x.T.mul_(2)


def flat_in_place(x):
    x.view(-1).clamp_(min=1)


def two_in_place(x):
    x[0].mul_(2).add_(1)


def filled_indices(x):
    x[[0, 2]].fill_(1)


def over_lines(x):
    x[
        0
    ].fill_(
        1
    )


def over_two_lines(x):
    (x[0]
        .fill_(1))  # fmt: skip


def initialised(x):
    el.nn.init.zeros_(x[:2])


def diagonal(x):
    el.fill_diagonal(x[:2], 1.0, inplace=True)


LOST = [
    (item_of_item, "write `x[0, 1] = …`"),
    (item_of_names, "write `x[i, i] = …`"),
    (item_of_slice, "write `part = x[1:]`, `part[0] = …`, `x[1:] = part`"),
    (item_of_view, "write `part = x.view(-1)`, `part[3] = …`, `x.copy_(part.reshape(x.shape))`"),
    (item_of_transpose, "write `part = x.T`, `part[0] = …`, `x.copy_(part.T)`"),
    (item_in_place, "write `x[0, 1] = …`"),
    (item_of_permuted, "`part = x.permute(1, 0)`, `part[0] = …`"),
    (zeros_of_slice, "write `x[:, :2] = 0`"),
    (copied_slice, "write `x[1:] = el.ones(4)`"),
    (filled_row, "write `x[i] = 0`"),
    (filled_as_in_numpy, "write `x[i] = 0`"),
    (added_rows, "write `x[:2] += 1`"),
    (drawn_rows, "write `x[:2] = x[:2].normal_(0.0, std=0.1)`"),
    (turned_in_place, "write `x.copy_(x.T.mul_(2).T)`"),
    (flat_in_place, "write `x.copy_(x.view(-1).clamp_(min=1).reshape(x.shape))`"),
    (two_in_place, "write `x[0] = x[0].mul_(2).add_(1)`"),
    (filled_indices, "write `x[[0, 2]] = 1`"),
    (over_lines, "write `x[0] = 1`"),
    (over_two_lines, "write `x[0] = 1`"),
    (initialised, "write `x[:2] = el.nn.init.zeros_(x[:2])`"),
    (diagonal, "write `x[:2] = el.fill_diagonal(x[:2], 1.0, inplace=True)`"),
]


@pytest.mark.parametrize("kind", ["tensor", "parameter"])
@pytest.mark.parametrize(("function", "hint"), LOST, ids=lambda v: getattr(v, "__name__", ""))
def test_refused(function, hint, kind):
    x = matrix() if kind == "tensor" else el.nn.Parameter(matrix())
    for _ in range(2 if kind == "parameter" else 20):  # also once the interpreter has warmed up
        with el.no_grad(), pytest.raises(LostWriteError) as caught:
            function(x)
    text = str(caught.value)
    assert "nobody can see this write" in text and hint in text
    if function not in (over_lines, over_two_lines):
        assert f"test_lost_writes.py:{function.__code__.co_firstlineno + 1} in" in text
    assert x.tolist() == matrix().tolist()


@pytest.mark.parametrize(("function", "hint"), LOST, ids=lambda v: getattr(v, "__name__", ""))
def test_refused_in_a_trace(function, hint):
    x = matrix()
    for wrapped, given in (
        (el.jit(function), x),
        (el.vmap(function), el.stack([x, x])),
        (el.grad(lambda x: function(x) or x.sum()), x),
    ):
        with pytest.raises(LostWriteError) as caught:
            wrapped(given)
        assert hint in str(caught.value)


@pytest.mark.parametrize(("function", "hint"), LOST, ids=lambda v: getattr(v, "__name__", ""))
def test_what_the_hint_says_works(function, hint):
    """The statements of the hints do what the refused ones do to numpy's views."""
    if "…" not in hint and hint.startswith("write"):
        x = matrix()
        exec(hint.removeprefix("write `").removesuffix("`"), {"x": x, "el": el, "i": i})
        assert x.tolist() != matrix().tolist()
        assert x.shape == (3, 4)


def test_what_somebody_sees_passes():
    x = matrix()
    x[0] += 1
    x[0, 1:] *= 2
    x[1:] = x[1:].add_(1)
    y = x[0].zero_()
    assert y.tolist() == [0, 0, 0, 0] and x[0].tolist() == [1, 4, 6, 8]
    held = [x.clone(), {"a": x.clone()}]
    held[0][0] = 3
    held[1]["a"].zero_()
    assert held[0][0].tolist() == [3] * 4 and held[1]["a"].sum().item() == 0
    (lambda: x)()[0] = 7
    assert x[0].tolist() == [7] * 4
    operator.setitem(x, 0, 8)
    assert x[0].tolist() == [8] * 4
    doubled = x[0].mul_(2).tolist()
    assert doubled == [16] * 4
    layer = el.nn.Linear(2, 2)
    with el.no_grad():
        layer.weight[0] = 5
        layer.weight.fill_(1)
    layer.weight.sum().backward()
    layer.weight.grad[0] = 9
    layer.weight.grad.mul_(2)
    assert layer.weight.grad.tolist() == [[18, 18], [2, 2]]


def test_temporaries_that_are_no_views():
    """Useless, but nobody takes them for writes to something else."""
    x = matrix()
    (x * 2).add_(1)
    x.clone().zero_()
    el.empty(3).normal_()
    assert x.tolist() == matrix().tolist()


def test_what_is_wrong_otherwise_is_said_first():
    x = matrix()
    with pytest.raises(OutOfBoundsError, match="9 is out of bounds"):
        x[0][9] = 1
    with pytest.raises(OutOfBoundsError):
        el.zeros(3)[7] = 1


def test_without_source():
    x = matrix()
    space = {"x": x}
    with pytest.raises(LostWriteError, match="no name"):
        exec(compile("x[0][1] = 5", "<nowhere>", "exec"), space)
    with pytest.raises(LostWriteError, match="a slice is a value"):
        exec(compile("x[0].zero_()", "<nowhere>", "exec"), space)
    with pytest.raises(LostWriteError, match="a slice is a value"):
        exec(compile("x[0].zero_()", "<nowhere>", "single"), space)
    exec(compile("(x * 2).zero_()", "<nowhere>", "exec"), space)
    with pytest.raises(LostWriteError, match="a slice is a value"):
        el.jit(lambda x: exec(compile("x[0].zero_()", "<nowhere>", "exec"), {"x": x}))(x)


def test_counts_of_this_interpreter():
    assert -1 <= lost.counts.method <= 3 and -1 <= lost.counts.item <= 4
    if hasattr(__import__("sys"), "_is_gil_enabled"):
        return
    assert lost.counts.method > 0 and lost.counts.item > 0 and lost.counts.operator > 0


# ---- slices with a name -------------------------------------------------------------------------


def told(function, *arguments):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*arguments)
    assert all(one.category is el.ValueSemanticsWarning for one in caught)
    return result, [one.lineno - function.__code__.co_firstlineno for one in caught]


def test_a_named_slice_is_told_once():
    x = matrix()

    def rows():
        for row in x:
            row += 1
        row = x[0]
        row[0] = 5
        flat = x.view(-1)
        flat[0] = 5
        flat.add_(1)
        y = x.T
        y.zero_()

    assert told(rows)[1] == [2, 4, 6, 9]
    assert told(rows)[1] == []
    assert x.tolist() == matrix().tolist()


def test_a_named_slice_is_told_in_a_trace():
    def rows(x):
        row = x[0]
        row += 1
        y = x[1].clone()
        y += 1
        return row, y

    with pytest.warns(el.ValueSemanticsWarning, match="slices are values") as caught:
        row, y = el.jit(rows)(matrix())
    assert row.tolist() == [1, 2, 3, 4] and y.tolist() == [5, 6, 7, 8]
    assert [one.lineno for one in caught] == [rows.__code__.co_firstlineno + 2]


def test_nothing_is_told_where_nothing_would_differ():
    x = matrix()

    def harmless():
        row = x[0].clone()
        row += 1
        row = x[0] ** 1
        row += 1
        copy = x.clone()
        copy.view(-1)
        copy += 1
        q, k = (x * 2).chunk(2, -1)
        q *= 2
        k[0] = 1
        buffer = el.zeros(4)
        buffer.copy_(x[0])
        buffer *= 2
        p = el.nn.Parameter(x[0], requires_grad=False)
        p += 1
        turned = x.T
        x[0] = 1
        z = el.Tensor(x[1:])
        z += 1
        return turned

    assert told(harmless)[1] == []


# ---- .data and .detach() ------------------------------------------------------------------------


def old_code(p):
    p.data.add_(1)
    p.data[0] = 7.0
    p.detach().mul_(2)
    p.data[1, 2] += 1
    named = p.data
    named.sub_(1)
    named[0, 0] = 9
    p.data.view(-1)
    p.data = p.data * 0.5
    p.detach().copy_(p + 1)
    el.nn.init.ones_(p.data[0].clone())


def test_data_writes_through():
    p = el.nn.Parameter(matrix())
    old_code(p)
    first = p.tolist()
    assert p.requires_grad and p.is_leaf
    expected = np.arange(12, dtype=np.float32).reshape(3, 4) + 1
    expected[0] = 7
    expected *= 2
    expected[1, 2] += 1
    expected -= 1
    expected[0, 0] = 9
    expected = expected * 0.5 + 1
    assert first == expected.tolist()
    q = el.nn.Parameter(matrix())
    el.jit(lambda: old_code(q))()
    assert q.tolist() == first and q.requires_grad
    el.nn.init.zeros_(p.data)
    assert p.sum().item() == 0


def test_an_argument_of_a_jitted_function_that_is_data():
    p = el.nn.Parameter(el.ones(3))

    @el.jit
    def bump(t):
        t.add_(1)
        t[0] = 5

    bump(p.data)
    bump(p.detach())
    assert p.tolist() == [5, 3, 3] and p.requires_grad


def test_gradient_descent_by_hand():
    w = el.nn.Parameter(el.ones(3))
    for _ in range(3):
        (w * w).sum().backward()
        w.data -= 0.25 * w.grad.data
        w.data.sub_(w.grad * 0.0)
        w.grad.data.zero_()
    assert w.tolist() == [0.125] * 3 and w.is_leaf and w.requires_grad


def test_gradients_through_data():
    w = el.ones(3).requires_grad_()
    (w * w).sum().backward()
    w.grad.data.zero_()
    assert w.grad.tolist() == [0, 0, 0]
    w.grad.detach()[1] = 4.0
    assert w.grad.tolist() == [0, 4, 0]
    y = w * 2
    y.data.zero_()
    assert y.tolist() == [0, 0, 0] and y.requires_grad
    y.sum().backward()
    assert w.grad.tolist() == [2, 6, 2]


def test_what_was_detached_keeps_what_it_holds():
    w = el.ones(3)
    before = w.detach()
    w += 1
    assert before.tolist() == [1, 1, 1]
    before += 5  # they have parted
    assert w.tolist() == [2, 2, 2] and before.tolist() == [6, 6, 6]
    again = w.data
    w[0] = 9
    again[1] = 3
    assert w.tolist() == [9, 2, 2] and again.tolist() == [2, 3, 2]


def test_detached_holds_no_tape():
    w = el.ones(3).requires_grad_()
    loss = (w * 2).sum()
    alive = weakref.ref(loss)
    kept = loss.detach()
    del loss
    gc.collect()
    assert alive() is None
    kept += 1
    assert kept.item() == 7


def test_detached_is_a_tensor():
    w = el.ones((2, 2)).requires_grad_()
    d = w.detach()
    assert isinstance(d, el.Tensor) and repr(d) == repr(el.ones((2, 2))) and not d.requires_grad
    for other in (copy.copy(d), copy.deepcopy(d), pickle.loads(pickle.dumps(d)), d.clone()):
        assert type(other) is el.Tensor
        other += 1
    assert w.tolist() == [[1, 1], [1, 1]]
    d.requires_grad_()
    (d * 3).sum().backward()
    assert d.grad.tolist() == [[3, 3], [3, 3]] and w.grad is None
    d.detach()[d.detach() > 0] = 4.0
    assert d.tolist() == [[4, 4], [4, 4]]
    e = w.detach()
    e[0] = e[1]
    assert w.tolist() == e.tolist()


def test_an_element_written_through_data_copies_nothing():
    w = el.nn.Parameter(el.zeros((100, 4)))
    w.data[0] = 1.0
    address = w._address
    for row in range(100):
        w.data[row] = float(row)
    assert w._address == address
    assert w.sum().item() == 4 * sum(range(100))


def test_state_dicts_are_values():
    layer = el.nn.Linear(2, 2)
    state = layer.state_dict()
    kept = layer.weight.tolist()
    state["weight"] += 1
    state["weight"].zero_()
    assert layer.weight.tolist() == kept


def test_numpy_refuses_by_itself():
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(matrix())[0] = 1


def test_data_in_a_checkpoint_and_in_vmap():
    w = el.ones(3).requires_grad_()

    def scaled(x):
        y = x * 1
        y.data.mul_(2)
        y.detach()[0] = 5
        return (y * x).sum()

    plain = el.grad(scaled)(w)
    w2 = el.ones(3).requires_grad_()
    el.checkpoint(scaled, w2).backward()
    assert w2.grad.tolist() == plain.tolist()
    rows = el.vmap(lambda x: scaled(x))(el.ones((2, 3)))
    assert rows.tolist() == [9, 9]
