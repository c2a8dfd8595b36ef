"""Indexing and assignment against numpy, on indices that hypothesis makes up; gradients; errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elinvar as el
from elinvar.core import errors

QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)
bounds = st.none() | st.integers(-6, 6)
slices = st.builds(slice, bounds, bounds, st.none() | st.sampled_from([1, 2, 3, -1, -2]))


@st.composite
def indexed(draw, with_arrays=True):
    """A numpy array and an index that fits it."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1
    joint = draw(st.lists(st.integers(1, 3), min_size=0, max_size=2))
    key, axis = [], 0
    used_dots = False
    while axis < len(shape) and draw(st.integers(0, 9)):
        dim = shape[axis]
        kinds = ["int", "slice", "none", "dots"] + ["array", "list", "mask", "tuple", "bool"] * with_arrays
        kind = draw(st.sampled_from(kinds))
        if kind == "none":
            key.append(None)
            continue
        if kind == "dots":
            if not used_dots:
                key.append(Ellipsis)
                axis += draw(st.integers(0, len(shape) - axis))
                used_dots = True
            continue
        places = st.integers(-dim, dim - 1)
        if kind == "int":
            key.append(draw(places))
        elif kind == "slice":
            key.append(draw(slices))
        elif kind == "bool":
            truth = draw(st.booleans())
            key.append(draw(st.sampled_from([truth, np.bool_(truth), np.array(truth)])))
            continue
        elif kind == "tuple":
            key.append(tuple(draw(st.lists(places, min_size=joint[-1], max_size=joint[-1]))) if joint else range(1))
        elif kind == "list":
            key.append(draw(st.lists(places, min_size=joint[-1], max_size=joint[-1])) if joint else [0])
        elif kind == "array":
            sizes = [1 if draw(st.booleans()) else size for size in joint]
            flat = draw(st.lists(places, min_size=int(np.prod(sizes)), max_size=int(np.prod(sizes))))
            key.append(np.array(flat, np.int64).reshape(sizes))
        elif draw(st.integers(0, 3)) == 0:
            flat = draw(st.lists(st.booleans(), min_size=dim, max_size=dim))
            key.append(np.array(flat))
        else:
            continue
        axis += 1
    return array, tuple(key)


def as_tensors(key):
    return tuple(el.asarray(item) if isinstance(item, np.ndarray) else item for item in key)


@QUICK
@given(indexed())
def test_getitem_is_numpys(case):
    array, key = case
    try:
        expected = array[key]
    except IndexError:
        with pytest.raises((errors.ShapeError, errors.OutOfBoundsError)):
            el.asarray(array)[key]
        return
    for given_key in (key, as_tensors(key)):
        found = np.asarray(el.asarray(array)[given_key])
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)


@QUICK
@given(indexed(), st.randoms(use_true_random=False))
def test_setitem_is_numpys(case, random):
    array, key = case
    try:
        shape = array[key].shape
    except IndexError:
        return
    count = np.zeros(array.shape)
    np.add.at(count, key, 1)
    if count.max(initial=0) > 1:
        return  # numpy does not say which of equal places counts
    shape = [1 if random.random() < 0.3 else dim for dim in shape]
    value = -np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    value = value[(0,) * random.randint(0, 1 if shape and shape[0] == 1 else 0)]
    expected = array.copy()
    expected[key] = value
    x, y = el.asarray(array), el.asarray(array).clone().requires_grad_()
    x[key] = el.asarray(value)
    np.testing.assert_array_equal(np.asarray(x), expected)
    z = y * 1.0
    z[as_tensors(key)] = el.asarray(value)  # the way that gradients need
    np.testing.assert_array_equal(np.asarray(z.detach()), expected)


@settings(QUICK, max_examples=40)
@given(indexed())
def test_gradients_of_reading_and_writing(case):
    array, key = case
    try:
        picked = array[key]
    except IndexError:
        return
    weights = np.arange(picked.size, dtype=np.float32).reshape(picked.shape) + 1
    x = el.tensor(array, requires_grad=True)
    (x[key] * el.asarray(weights)).sum().backward()
    expected = np.zeros_like(array)
    np.add.at(expected, key, weights)
    np.testing.assert_array_equal(np.asarray(x.grad), expected)

    count = np.zeros(array.shape)
    np.add.at(count, key, 1)
    if count.max(initial=0) > 1:
        return
    x = el.tensor(array, requires_grad=True)
    v = el.tensor(np.ones_like(picked), requires_grad=True)
    y = x * 2.0
    y[key] = v * 3.0
    (y * y).sum().backward()
    mask = count == 0
    if x.grad is None:  # all of x was replaced
        assert not mask.any()
    else:
        np.testing.assert_array_equal(np.asarray(x.grad), np.where(mask, 8 * array, 0))
    np.testing.assert_array_equal(np.asarray(v.grad), np.full_like(picked, 18))


def test_masks():
    x = el.asarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    np.testing.assert_array_equal(np.asarray(x[x > 5]), np.arange(6, 12))
    rows = el.asarray([True, False, True])
    np.testing.assert_array_equal(np.asarray(x[rows]), np.asarray(x)[[0, 2]])
    np.testing.assert_array_equal(np.asarray(x[rows, 1]), [1, 9])
    y = x.clone()
    y[y > 5] = -1.0
    assert y.max().item() == 5.0
    y[rows] = el.asarray([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(np.asarray(y[2]), [1, 2, 3, 4])
    y[y < 3] = el.arange(5.0)[:int((y < 3).sum())] if int((y < 3).sum()) <= 5 else 0.0
    z = x.clone()
    z[z > 8] = el.asarray([7.0, 8.0, 9.0])
    np.testing.assert_array_equal(np.asarray(z[2]), [8, 7, 8, 9])


def test_assignment_under_jit():
    @el.jit
    def change(x, i, v):
        x = x * 1.0
        x[0] = v
        x[:, 1::2] = 0.0
        x[x > 100] = 100.0
        x[i, i] = -1.0
        return x

    x = np.arange(12, dtype=np.float32).reshape(3, 4) * 20
    i, v = np.array([1, 2]), np.float32(5)
    expected = x.copy()
    expected[0] = v
    expected[:, 1::2] = 0
    expected[expected > 100] = 100
    expected[i, i] = -1
    np.testing.assert_array_equal(np.asarray(change(el.asarray(x), el.asarray(i), el.asarray(v))), expected)


def test_reading_under_jit_takes_traced_indices():
    pick = el.jit(lambda x, i: x[i, ..., -1])
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    i = np.array([[1, -1], [0, 1]])
    np.testing.assert_array_equal(np.asarray(pick(el.asarray(x), el.asarray(i))), x[i, ..., -1])


def test_assignment_changes_no_view_and_no_other_tensor():
    x = el.zeros(4)
    row, twin = x[:2], x.clone()
    x[:2] = 1.0
    assert row.tolist() == [0.0, 0.0] and twin.tolist() == [0.0] * 4 and x.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_many_single_assignments_are_quick():
    x = el.zeros((20, 20))
    for i in range(20):
        for j in range(20):
            x[i, j] = float(i * 20 + j)
    np.testing.assert_array_equal(np.asarray(x), np.arange(400).reshape(20, 20))


ERRORS = {
    "int": (lambda x: x[3], errors.OutOfBoundsError, "[getitem] index 3 is out of bounds for axis 0 of size 3"),
    "negative": (lambda x: x[0, -5], errors.OutOfBoundsError, "index -5 is out of bounds for axis 1 of size 4"),
    "array": (lambda x: x[el.asarray([0, 9])], errors.OutOfBoundsError, "index 9 is out of bounds for axis 0 of size 3"),
    "list": (lambda x: x[:, [4]], errors.OutOfBoundsError, "index 4 is out of bounds for axis 1 of size 4"),
    "too many": (lambda x: x[0, 0, 0], errors.OutOfBoundsError, "too many indices: 3 for f32[3,4]"),
    "float": (lambda x: x[1.5], errors.DTypeError, "an index must be ints, slices"),
    "float tensor": (lambda x: x[el.ones(2)], errors.DTypeError, "indices must be integers, received f32[2]"),
    "mask": (lambda x: x[el.asarray([True, False])], errors.ShapeError, "mask bool[2] does not fit axes 0 to 0"),
    "step": (lambda x: x[::0], errors.ShapeError, "the step of a slice must not be 0"),
    "arrays": (lambda x: x[[0, 1], [0, 1, 2]], errors.ShapeError, "cannot be broadcast"),
    "value": (lambda x: x.__setitem__(0, el.ones(3)), errors.ShapeError, "[setitem] a value f32[3] does not broadcast to the indexed shape [4]"),
    "set": (lambda x: x.__setitem__(7, 0.0), errors.OutOfBoundsError, "[setitem] index 7 is out of bounds"),
    "traced mask": (lambda x: el.jit(lambda v: v[v > 0])(x), errors.TraceError, "depends on its values"),
    "traced values": (lambda x: el.jit(lambda v: v.__setitem__(v > 0, el.ones(5)))(x), errors.TraceError, "how many elements of mask bool[3,4] are True"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    action, kind, text = ERRORS[name]
    with pytest.raises(kind) as caught:
        action(el.ones((3, 4)))
    assert text in str(caught.value)


METHODS = {
    "gather": (lambda x, i: x.gather(1, i), lambda x, i: np.take_along_axis(x, i, 1)),
    "take": (lambda x, i: x.take(i), lambda x, i: x.take(i)),
    "index_select": (lambda x, i: x.index_select(1, i[0]), lambda x, i: x[:, i[0]]),
    "narrow": (lambda x, i: x.narrow(1, 1, 2), lambda x, i: x[:, 1:3]),
    "select": (lambda x, i: x.select(0, 2), lambda x, i: x[2]),
    "masked_select": (lambda x, i: x.masked_select(x > 4), lambda x, i: x[x > 4]),
    "masked_fill": (lambda x, i: x.masked_fill(x > 4, 9), lambda x, i: np.where(x > 4, 9, x)),
}


@pytest.mark.parametrize("name", METHODS)
def test_picking_methods(name):
    function, reference = METHODS[name]
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    i = np.array([[0, 3], [1, 1], [2, 0]])
    found = np.asarray(function(el.asarray(x), el.asarray(i)))
    expected = reference(x, i)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def test_scattering_methods():
    x, i = np.zeros((3, 4), np.float32), np.array([[0, 3], [1, 1], [2, 0]])
    source = np.arange(6, dtype=np.float32).reshape(3, 2) + 1
    t, ti, ts = el.asarray(x), el.asarray(i), el.asarray(source)
    expected = x.copy()
    np.put_along_axis(expected, i, source, 1)
    np.testing.assert_array_equal(np.asarray(t.scatter(1, ti, ts)), expected)
    added = x.copy()
    np.add.at(added, (np.arange(3)[:, None], i), source)
    np.testing.assert_array_equal(np.asarray(t.scatter_add(1, ti, ts)), added)
    rows = el.asarray([2, 0, 2])
    total = x.copy()
    np.add.at(total, [2, 0, 2], np.ones((3, 4)))
    np.testing.assert_array_equal(np.asarray(t.index_add(0, rows, el.ones((3, 4)))), total)
    assert t.index_fill(0, el.asarray([1]), 5).sum().item() == 20.0


# ---- eager and compiled, to second order ----------------------------------------------------------


@settings(QUICK, max_examples=60)
@given(indexed(with_arrays=False), st.booleans())
def test_bits_are_those_of_jit(case, whole):
    array, key = case
    try:
        picked = array[key]
    except IndexError:
        return
    array = np.where(array % 3 == 0, -0.0, array / 3).astype(np.float32)
    update = np.linspace(-1, 1, picked.size, dtype=np.float32).reshape(picked.shape)
    if not whole:
        update = update.reshape(-1)[:1].reshape(()) if update.size else np.float32(0.5)

    def run(x, v):
        x, v = x.clone().requires_grad_(), v.clone().requires_grad_()
        y = x * 1.0
        y[key] = v
        read = y[key] * y[key]
        ((y * y * y).sum() + read.sum() + (x[key] * 2.0).sum()).backward()
        none = el.zeros(())
        return [y.detach(), read.detach(), *(none if t.grad is None else t.grad for t in (x, v))]

    eager = run(el.asarray(array), el.asarray(update))
    traced = el.jit(run)(el.asarray(array), el.asarray(update))
    for one, other in zip(eager, traced, strict=True):
        assert one.shape == other.shape and one.numpy().tobytes() == other.numpy().tobytes()


@settings(QUICK, max_examples=40)
@given(indexed(with_arrays=False))
def test_second_derivatives(case):
    array, key = case
    try:
        picked = array[key]
    except IndexError:
        return
    x = el.tensor(array, requires_grad=True)
    v = el.tensor(np.full_like(picked, 0.5), requires_grad=True)
    y = x * x
    y[key] = v * v * v  # y³ below: x⁶ outside of the region, v⁹ inside
    (y * y * y).sum().backward(create_graph=True)
    count = np.zeros(array.shape)
    np.add.at(count, key, 1)
    free = count == 0
    for leaf, expected in ((x, np.where(free, 30 * array**4, 0)), (v, np.full_like(picked, 72 * 0.5**7))):
        slope, leaf.grad = leaf.grad, None
        if slope is None:
            assert not expected.any()
            continue
        slope.sum().backward(retain_graph=True)
        np.testing.assert_allclose(np.asarray(leaf.grad), expected, rtol=1e-5)
    z = el.tensor(array, requires_grad=True)
    (z[key] ** 3).sum().backward(create_graph=True)
    slope, z.grad = z.grad, None
    (slope * slope).sum().backward()
    np.testing.assert_allclose(np.asarray(z.grad), np.where(free, 0, 36 * array**3), rtol=1e-5)


def test_indices_are_checked_by_the_program_that_reads():
    x = el.asarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    plain = np.asarray(x)
    for kind in (np.int64, np.int32, np.uint8, np.int8):
        i, j = np.array([1, 0, 1], kind), np.array([[2], [0]], kind)
        np.testing.assert_array_equal(np.asarray(x[el.asarray(i)]), plain[i])
        np.testing.assert_array_equal(np.asarray(x[:, el.asarray(j)]), plain[:, j])
        np.testing.assert_array_equal(np.asarray(x[el.asarray(i), None, el.asarray(j)]), plain[i, None, j])
        np.testing.assert_array_equal(np.asarray(x.transpose(0, 2)[:, :, el.asarray(i)]), plain.T[:, :, i])
    low, high = el.asarray([0, -4]), el.asarray([[3]])
    for picture, text in (
        (lambda: x[high], "index 3 is out of bounds for axis 0 of size 2"),
        (lambda: x[:, low], "[getitem] index -4 is out of bounds for axis 1 of size 3"),
        (lambda: x[:, :, el.asarray([0]), None][:, low], "index -4 is out of bounds for axis 1"),
        (lambda: x[high * 0, low], "index -4 is out of bounds for axis 1 of size 3"),
        (lambda: x.__setitem__((slice(None), high), 1.0), "[setitem] index 3 is out of bounds for axis 1"),
        (lambda: el.take(x, low, axis=1), "[take] index -4 is out of bounds for axis 1 of size 3"),
    ):  # fmt: skip
        with pytest.raises(errors.OutOfBoundsError) as caught:
            picture()
        assert text in str(caught.value)
    np.testing.assert_array_equal(np.asarray(x), plain)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "int8", "bool"])
@pytest.mark.parametrize("shape", [(7,), (33, 5), (6, 4, 3), (40000,), (300, 200)])
def test_masks_pick_rows(dtype, shape):
    random = np.random.default_rng(5)
    x = el.asarray(random.integers(0, 2 if dtype == "bool" else 90, shape)).astype(getattr(el, dtype))
    plain = np.asarray(x)
    for rank in range(1, len(shape) + 1):
        for share in (0.0, 0.1, 0.9, 1.0):
            mask = random.random(shape[:rank]) < share
            np.testing.assert_array_equal(np.asarray(x[el.asarray(mask)]), plain[mask])
            turned = np.asarray(x.transpose(0, -1)[el.asarray(np.ascontiguousarray(mask.T))]) if rank == len(shape) == 2 else None
            if turned is not None:
                np.testing.assert_array_equal(turned, plain.T[mask.T])
            np.testing.assert_array_equal(np.asarray(x[::-1][el.asarray(mask)]), plain[::-1][mask])


def test_slices_of_other_kinds_are_refused_even_where_equal_ones_were_seen():
    x = el.arange(5.0)
    assert x[1:3].tolist() == [1.0, 2.0] and x[1].item() == 1.0
    for key in (slice(1.0, 3), 1.0, slice(1, 3, "1")):
        with pytest.raises(errors.DTypeError):
            x[key]
    assert x[True].shape == (1, 5) and x[False].shape == (0, 5)  # not those of 1 and 0
    assert x[np.int64(1) : np.int32(3)].tolist() == [1.0, 2.0] and x[np.int64(-1)].item() == 4.0
