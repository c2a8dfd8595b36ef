"""jit: what is traced, what is read and written, when it is traced anew, what it refuses."""

import dataclasses
import gc
import threading
import weakref
from typing import NamedTuple

import numpy as np
import pytest

import elinvar as el
from elinvar.core.errors import GradientError, LeakedTensorError, TraceError
from elinvar.tensor.trace import is_tracing, note_guard, outside_trace


def leaf(*values):
    return el.Tensor(list(values), requires_grad=True)


# arguments and results


class Pair(NamedTuple):
    first: object
    second: object


@dataclasses.dataclass
class Box:
    inside: object
    label: str


def test_nested_arguments_and_results():
    @el.jit
    def run(pair, box, *, named, nothing):
        assert nothing is None and box.label == "b"
        return {"sum": pair.first + box.inside, "list": [named, 3, "text", None], "pair": Pair(pair.second, (1.5,))}

    for _ in range(2):
        found = run(Pair(el.ones(2), el.zeros(1)), Box(el.ones(2), "b"), named=el.zeros(3), nothing=None)
        assert found["sum"].tolist() == [2, 2]
        assert found["list"][1:] == [3, "text", None] and found["list"][0].shape == (3,)
        assert isinstance(found["pair"], Pair) and found["pair"].second == (1.5,)
    assert run.compilations == 1


def test_numbers_and_arrays_are_inputs():
    @el.jit
    def run(x, scale, count):
        return x * scale + count

    x = np.arange(3, dtype=np.float32)
    assert run(x, 2.0, 1).tolist() == [1, 3, 5]
    assert run(x + 1, 0.5, 7).tolist() == [7.5, 8, 8.5]
    assert run.compilations == 1


def test_static_values():
    @el.jit
    def run(x, mode, flag=True):
        return x + 1.0 if mode == "up" and flag else x - 1.0

    x = el.zeros(())
    assert [run(x, "up").item(), run(x, "down").item(), run(x, "up", flag=False).item()] == [1, -1, -1]
    run(x, "up")
    assert run.compilations == 3


def test_static_arguments_by_number_and_name():
    @el.jit(static_argnums=1)
    def first(x, n):
        return sum((x for _ in range(n)), el.zeros(()))

    @el.jit(static_argnames=("n",))
    def second(x, n):
        return sum((x for _ in range(n)), el.zeros(()))

    for run in (first, second):
        assert run(el.ones(()), 3).item() == 3
        assert run(el.ones(()), 4).item() == 4
        assert run(el.ones(()), 3).item() == 3
        assert run.compilations == 2
    assert second(el.ones(()), n=3).item() == 3


def test_static_values_of_different_types_are_different():
    run = el.jit(lambda x, n: x * float(n), static_argnums=1)
    assert [run(el.ones(()), v).item() for v in (1, True, 1.0)] == [1, 1, 1]
    assert run.compilations == 3


def test_unhashable_static_arguments_are_named():
    run = el.jit(lambda x, names: x, static_argnames="names")
    with pytest.raises(TraceError, match=r"argument 'names' is static and must be hashable, received list"):
        run(el.ones(()), ["a"])
    other = el.jit(lambda x, options: x)
    with pytest.raises(TraceError, match=r"argument 'options' is static and must be hashable, received set"):
        other(el.ones(()), {1, 2})


def test_arguments_that_are_returned_are_the_same_objects():
    w = el.ones(2)
    run = el.jit(lambda x: (x, w, x + w))
    x = el.zeros(2)
    for _ in range(2):
        found = run(x)
        assert found[0] is x and found[1] is w


def test_methods():
    class Scale:
        def __init__(self, by):
            self.by = by

        @el.jit
        def run(self, x):
            return x * self.by

    two, three = Scale(el.asarray(2.0)), Scale(el.asarray(3.0))
    assert [two.run(1.0).item(), three.run(1.0).item(), two.run(5.0).item()] == [2, 3, 10]
    assert Scale.run.compilations == 2


def test_views_as_arguments_and_captured():
    base = el.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    held = base.T
    run = el.jit(lambda x: x @ held)
    np.testing.assert_array_equal(run(base[:, ::-1]).numpy(), base.numpy()[:, ::-1] @ base.numpy().T)


# cells


def test_captured_tensors_are_inputs_not_constants():
    w = el.ones(2)
    run = el.jit(lambda x: x * w)
    assert run(el.ones(2)).tolist() == [1, 1]
    w.assign(el.asarray([2.0, 3.0]))
    assert run(el.ones(2)).tolist() == [2, 3]
    assert run.compilations == 1


def test_written_cells_are_outputs():
    count, last = el.zeros(()), el.zeros(2)

    @el.jit
    def run(x):
        count.assign(count + 1.0)
        last.assign(x)  # written and never read
        return count * 10.0

    assert [run(el.ones(2) * float(n)).item() for n in range(3)] == [10, 20, 30]
    assert count.item() == 3 and last.tolist() == [2, 2]
    assert run.compilations == 1


def test_arguments_can_be_changed_in_place():
    @el.jit
    def run(x):
        x += 1.0
        x[0] = 7.0

    x = el.zeros(3)
    run(x)
    run(x)
    assert x.tolist() == [7, 2, 2]


def test_tensors_made_inside_from_data_are_the_same_every_time():
    @el.jit
    def run(x):
        counter = el.asarray([1.0])
        counter += 1.0
        return x + counter

    assert [run(el.zeros(1)).item() for _ in range(3)] == [2, 2, 2]


def test_random_numbers_go_on():
    run = el.jit(lambda: el.rand(3))
    el.manual_seed(5)
    compiled = [run().tolist() for _ in range(3)]
    el.manual_seed(5)
    assert compiled == [el.rand(3).tolist() for _ in range(3)]


def test_state_made_outside_of_the_trace():
    class Lazy:
        total = None

    lazy = Lazy()

    @el.jit
    def run(x):
        if lazy.total is None:
            with outside_trace():
                lazy.total = el.zeros_like(x)
        lazy.total.assign(lazy.total + x)

    for _ in range(3):
        run(el.ones(2))
    assert lazy.total.tolist() == [3, 3]


def test_an_exception_restores_all_cells():
    w, v = leaf(1.0), el.zeros(1)

    @el.jit
    def run(x):
        v.assign(w * x)
        (w * x).sum().backward()
        raise ValueError("stop")

    with el.no_grad(), pytest.raises(ValueError, match="stop"):
        with el.enable_grad():
            run(el.ones(1))
    assert v.tolist() == [0] and not v.requires_grad and w.grad is None
    assert w.tolist() == [1] and not is_tracing()
    assert (w + v).tolist() == [1]


# training steps


def test_a_training_step_gives_the_bits_of_eager():
    rng = np.random.default_rng(0)
    start = [rng.normal(size=s).astype(np.float32) for s in ((4, 8), (8,), (8, 1))]
    data = [(rng.normal(size=(16, 4)).astype(np.float32), rng.normal(size=(16, 1)).astype(np.float32)) for _ in range(4)]

    def train(compile_):
        weights = [el.Tensor(a, requires_grad=True) for a in start]
        moments = [el.zeros_like(w) for w in weights]

        def step(x, y, rate):
            hidden = (x @ weights[0] + weights[1]).clip(0.0)
            loss = ((hidden @ weights[2] - y) * (hidden @ weights[2] - y)).mean()
            for w in weights:
                w.grad = None
            loss.backward()
            with el.no_grad():
                for w, m in zip(weights, moments, strict=True):
                    m.assign(m * 0.9 + w.grad)
                    w.assign(w - m * rate)
            return loss

        run = compile_(step)
        losses = [run(x, y, 0.05).item() for x, y in data]
        return losses, [w.numpy() for w in weights], [w.grad.numpy() for w in weights], run

    eager, compiled = train(lambda f: f), train(el.jit)
    assert compiled[0] == eager[0]
    for a, b in zip(eager[1] + eager[2], compiled[1] + compiled[2], strict=True):
        np.testing.assert_array_equal(a, b)
    assert compiled[3].compilations == 1


def test_gradients_accumulate_over_calls():
    w = leaf(1.0, 2.0)

    @el.jit
    def run(x):
        (w * x).sum().backward()

    run(el.ones(2))
    assert w.grad.tolist() == [1, 1]
    run(el.ones(2))
    run(el.ones(2))
    assert w.grad.tolist() == [3, 3]
    assert run.compilations == 2  # without and with a gradient at the start


def test_gradients_of_arguments():
    x = leaf(1.0, 2.0)
    run = el.jit(lambda v: (v * v).sum().backward())
    run(x)
    assert x.grad.tolist() == [2, 4]
    run(x)
    assert x.grad.tolist() == [4, 8]


def test_setting_grad_to_none_inside():
    w = leaf(1.0)
    w.grad = el.ones(1)

    @el.jit
    def clear():
        w.grad = None

    clear()
    assert w.grad is None


def test_backward_through_a_jitted_function():
    w = leaf(1.0, 2.0)
    run = el.jit(lambda x: (x * x * w, x.detach() * 2.0))
    x = leaf(3.0, 4.0)
    y, z = run(x)
    assert y.requires_grad and not z.requires_grad
    y.sum().backward()
    assert w.grad.tolist() == [9, 16] and x.grad.tolist() == [6, 16]
    with el.no_grad():
        assert not run(x)[0].requires_grad
    assert not run(x.detach())[1].requires_grad


def test_the_loss_of_a_whole_step_needs_no_tape():
    w = leaf(1.0)

    @el.jit
    def run():
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert not run().requires_grad


def test_backward_cannot_leave_the_trace():
    w = leaf(1.0, 2.0)
    outside = w * 2.0
    run = el.jit(lambda: (outside * 3.0).sum().backward())
    with pytest.raises(GradientError, match="which was computed outside of it"):
        run()
    assert w.grad is None
    value = el.jit(lambda: (outside * 3.0).sum())
    value().backward()
    assert w.grad.tolist() == [6, 6]


# when a function is traced anew


def test_traced_anew_for_a_new_structure_rank_or_dtype_only():
    run = el.jit(lambda xs: sum(xs[1:], xs[0]))
    run([el.ones(2), el.ones(2)])
    run([el.zeros(2), el.ones(2)])
    assert run.compilations == 1
    run([el.ones(2)])
    run((el.ones(2),))
    run([el.ones((2, 2))])
    run([el.ones(2, dtype=el.float64)])
    assert run.compilations == 5


def test_new_sizes_share_one_program():
    run = el.jit(lambda x, y: ((x * y).sum(axis=0), x.mean(), x.reshape(-1)))
    for n in (4, 7, 1, 12, 300, 4):
        x = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)
        found = run(x, x + 1)
        plain = run.function(el.asarray(x), el.asarray(x + 1))
        for a, b in zip(found, plain, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert run.compilations == 2  # the first size, and all others


def test_functions_that_need_sizes_as_numbers_get_a_program_each():
    @el.jit
    def run(x):
        total = x[0]
        for i in range(1, x.shape[0]):
            total = total + x[i]
        return total, x.shape[0]

    for n in (2, 3, 4, 3):
        total, size = run(el.ones((n, 2)))
        assert total.tolist() == [n, n] and size == n and type(size) is int
    assert run.compilations == 3


def test_guards():
    class Switch:
        @property
        def on(self):
            note_guard(self, "state", self.state)
            return self.state

    switch = Switch()
    switch.state = True
    run = el.jit(lambda x: x + 1.0 if switch.on else x - 1.0)
    assert run(el.zeros(())).item() == 1
    switch.state = False
    assert run(el.zeros(())).item() == -1
    switch.state = True
    assert run(el.zeros(())).item() == 1
    assert run.compilations == 2


def test_training_mode_of_modules_is_a_guard():
    model = el.nn.Dropout(0.5)
    run = el.jit(lambda x: model(x))
    x = el.ones(1000)
    assert (run(x).numpy() == 0).any()
    model.eval()
    assert (run(x).numpy() == 1).all()
    model.train()
    assert (run(x).numpy() == 0).any()
    assert run.compilations == 2


def test_captured_tensors_are_guarded():
    w = leaf(1.0, 2.0)
    run = el.jit(lambda: (w * 2.0).sum())
    run()
    w.requires_grad_(False)
    assert not run().requires_grad
    assert run.compilations == 2
    w._rebind(el.ones(5))
    assert run().item() == 10
    assert run.compilations == 3


def test_modes_are_part_of_the_key():
    w = leaf(1.0)
    run = el.jit(lambda: w * 2.0)
    assert run().requires_grad
    with el.no_grad():
        assert not run().requires_grad
    assert run().requires_grad
    assert run.compilations == 2


# what a trace refuses


ESCAPES = {
    "bool": lambda x: 1 if x.sum() > 0 else 0,
    "float": lambda x: float(x.sum()),
    "item": lambda x: x.sum().item(),
    "numpy": lambda x: x.numpy(),
    "tolist": lambda x: x.tolist(),
    "int": lambda x: range(int(x.sum())),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_python_cannot_see_values(name):
    run = el.jit(ESCAPES[name])
    with pytest.raises(TraceError, match=r"(?s)a traced .* test_jit.py:\d+ in <lambda>.*hint: .*`?where`?"):
        run(el.ones(2))
    assert not is_tracing()


def test_captured_tensors_have_no_values_inside_either():
    w = el.ones(())
    with pytest.raises(TraceError):
        el.jit(lambda x: x * w.item())(el.ones(2))
    assert w.item() == 1


def test_leaked_tensors():
    kept = []
    el.jit(lambda x: kept.append(x * 2.0))(el.ones(2))
    for use in (lambda x: x + 1.0, lambda x: x.numpy(), lambda x: el.jit(lambda y: y * 2.0)(x), lambda x: el.exp(x)):
        with pytest.raises(LeakedTensorError, match=r"a traced f32\[2\] is used after its trace ended"):
            use(kept[0])


def test_leaked_into_another_trace():
    kept = []
    el.jit(lambda x: kept.append(x * 2.0))(el.ones(2))
    with pytest.raises(LeakedTensorError):
        el.jit(lambda x: x + kept[0])(el.ones(2))


def test_other_threads_go_on_while_one_traces():
    started, done = threading.Event(), threading.Event()
    found = []

    def work():
        started.wait(10)
        found.append((el.ones(2) + 1.0).tolist())
        done.set()

    thread = threading.Thread(target=work)
    thread.start()

    @el.jit
    def run(x):
        started.set()
        assert done.wait(10)
        return x * 2.0

    assert run(el.ones(2)).tolist() == [2, 2]
    thread.join()
    assert found == [[2, 2]]


def test_two_threads_call_one_function():
    w = el.ones(4)
    run = el.jit(lambda x: (x * w).sum())
    found = []

    def work():
        found.extend(run(el.ones(4)).item() for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [4.0] * 80 and run.compilations == 1


# memory


def test_state_is_updated_in_place_when_nobody_else_holds_it():
    w = el.asarray(np.arange(4, dtype=np.float32))

    @el.jit
    def run():
        w.assign(w * 2.0)

    run()
    address = w._address
    run()
    assert w._address == address and w.tolist() == [0, 4, 8, 12]
    view = w.numpy()
    other = w.detach()
    run()
    assert w._address != address and w.tolist() == [0, 8, 16, 24]
    assert view.tolist() == other.tolist() == [0, 4, 8, 12]


# nesting and looking inside


def test_nested_jit_is_one_program():
    inner = el.jit(lambda x, k: x * k)
    outer = el.jit(lambda x: inner(x, 3.0) + 1.0)
    assert outer(el.ones(2)).tolist() == [4, 4]
    assert inner.compilations == 0 and outer.compilations == 1


def test_lower_shows_all_stages():
    shown = el.jit(lambda x: (x + 1.0).sum()).lower(el.ones(3))
    assert "add" in shown.graph and "test_jit.py" in shown.graph
    assert len(shown.optimized.nodes) >= 2
    assert shown.loops and "define" in shown.llvm and shown.assembly


def test_programs_go_with_their_function():
    w = el.ones(3)
    run = el.jit(lambda x: x * w)
    run(el.ones(3))
    seen = weakref.ref(run)
    del run
    gc.collect()
    assert seen() is None


def test_size_one_has_the_bits_of_eager_code():
    """An axis of size 1 does not count in the order of a sum, whatever program runs."""
    random = np.random.default_rng(0)
    total = el.jit(lambda x: (x * 1.5).sum(axis=0))
    for size in (2, 3, 5, 1, 7, 1):
        x = el.asarray(random.standard_normal((1000, size)).astype(np.float32))
        eager = (x * 1.5).sum(axis=0)
        assert total(x).numpy().tobytes() == eager.numpy().tobytes()
    assert total.compilations == 2

    first_one = el.jit(lambda x: (x * 1.5).sum(axis=0))
    for size in (1, 4, 6, 9):
        x = el.asarray(random.standard_normal((1000, size)).astype(np.float32))
        assert first_one(x).numpy().tobytes() == (x * 1.5).sum(axis=0).numpy().tobytes()
    assert first_one.compilations == 2


def test_gradients_of_tensors_made_inside_compile_nothing_again():
    weight = el.randn(4, 4)

    @el.jit
    def gradient(x):
        inside = x.detach()
        inside.requires_grad_()
        (inside @ weight).sum().backward()
        return inside.grad

    for count in (3, 3, 3):
        x = el.randn(count, 4)
        assert gradient(x).tolist() == gradient.function(x).tolist()
    assert gradient.compilations == 1
