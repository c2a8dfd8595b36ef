"""debug_nans: where a NaN is born, eager and compiled, in forward and backward, in loops and models."""

import numpy as np
import pytest
from machines import GPT

import elinvar as el
from elinvar import nn
from elinvar.core.errors import BadValueError, DTypeError
from elinvar.ops.table import BY_NAME
from elinvar.tensor import program, replaying, watching
from elinvar.tensor.cell import traces
from elinvar.tensor.watching import watch

pytestmark = pytest.mark.any_level

F = nn.functional
nan, inf = float("nan"), float("inf")


@pytest.fixture(autouse=True)
def everything_is_off_afterwards():
    yield
    assert not watch.on and not watch.infs and traces.active == 0


def caught(function, *args, inf=False):
    """The error that a function raises while somebody looks."""
    with pytest.raises(BadValueError) as found, el.debug_nans(inf=inf):
        function(*args)
    return found.value


def both(function, *args, inf=False):
    """The errors of a function eager and jitted; they blame the same operation and module."""
    eager, jitted = (caught(f, *args, inf=inf) for f in (function, el.jit(function)))
    assert (eager.op, eager.module, eager.indices) == (jitted.op, jitted.module, jitted.indices)
    assert "in the jitted function" in str(jitted) and "in the jitted function" not in str(eager)
    return eager, jitted


def draw(*shape, seed=0):
    return el.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


# ---- single operations ----------------------------------------------------------------------------


def test_the_operation_its_operands_and_the_line_are_named():
    x = el.asarray([[1.0, -2.0], [-3.0, 4.0]])

    def roots(x):
        y = x * 2
        return y.sqrt() + 1

    for error in both(roots, x):
        text = str(error)
        assert text.startswith("[sqrt] makes NaN: 2 of 4 values, the first at [0,1]\n")
        assert "    f32[2,2] = sqrt(f32[2,2])\n" in text
        assert "    result[0,1] = nan of -4\n    result[1,0] = nan of -6\n" in text
        assert "in roots: return y.sqrt() + 1" in text and "hint: the square root of a neg" in text
        assert error.op == "sqrt" and error.indices == ((0, 1), (1, 0))
        assert error.source.function == "roots" and error.source.file == __file__
        assert isinstance(error, FloatingPointError)


@pytest.mark.parametrize(
    ("function", "operands", "op"),
    [
        (lambda x, y: x - y, ([inf, 1.0], [inf, 1.0]), "subtract"),
        (lambda x, y: x / y, ([0.0, 1.0], [0.0, 1.0]), "divide"),
        (lambda x, y: x * y, ([inf, 1.0], [0.0, 1.0]), "multiply"),
        (lambda x, y: x @ y, ([inf, 1.0], [0.0, 1.0]), "contract"),
        (lambda x, y: el.concat([x, y]).sum(), ([inf, 1.0], [-inf, 1.0]), "sum"),
        (lambda x, y: el.pow(x, y), ([-1.0, 1.0], [0.5, 1.0]), "power"),
        (lambda x, y: el.acos(x) + y, ([2.0, 1.0], [0.0, 1.0]), "acos"),
        (lambda x, y: el.sin(x) + y, ([inf, 1.0], [0.0, 1.0]), "sin"),
        (lambda x, y: el.cumulative_sum(el.concat([x, y])), ([inf, 1.0], [-inf, 1.0]), None),
    ],
)
def test_births_by_operation(function, operands, op):
    error, _ = both(function, *(el.asarray(x) for x in operands))
    assert op is None or error.op == op


@pytest.mark.parametrize("dtype", [el.float16, el.bfloat16, el.float32, el.float64], ids=str)
def test_every_floating_dtype(dtype):
    error, _ = both(lambda x: el.log(x), el.asarray([1.0, -2.0], dtype=dtype))
    assert "result[1] = nan of -2" in str(error)


def test_complex_numbers():
    x = el.complex(el.asarray([inf, 1.0]), el.asarray([0.0, 1.0]))
    error, _ = both(lambda x: x * x, x)
    assert error.op == "multiply" and error.indices == ((0,),)


def test_operands_of_other_operations_are_summed_up():
    x = el.asarray([[inf, 1.0, nan], [2.0, -3.0, 1.0]])[:, :2]
    text = str(caught(lambda: x @ el.asarray([[0.0], [5.0]])))
    assert "operand 0: from -3 to 2, 1 infinite" in text and "operand 1: from 0 to 5" in text


def test_what_is_legitimate_is_not_reported():
    x = el.asarray([0.0, 2.0])
    with el.debug_nans():
        for run in (lambda f: f, el.jit):
            assert run(lambda x: el.log(x))(x).tolist()[0] == -inf
            assert run(lambda x: el.where(x > 0, el.log(x), 0.0))(x).tolist()[0] == 0
            mask = el.asarray([[0.0, -inf], [0.0, 0.0]])
            scores = run(lambda m: F.softmax(m + 1, -1))(mask)
            assert scores[0].tolist() == [1.0, 0.0]
            q = el.ones((1, 1, 3, 4))
            assert run(lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True))(q).shape
            # NaN that the user brings along is no birth, nor is what becomes of it
            missing = el.asarray([nan, 1.0])
            assert run(lambda x: el.where(el.isnan(x), 0.0, x * 2))(missing).tolist() == [0, 2]
            assert np.isnan(run(lambda x: (x * 2).sum())(missing).item())
            assert np.isnan(run(lambda: el.full((2,), nan) * 3)().tolist()).all()
    # a program is searched only if a NaN reaches a result
    with el.debug_nans():
        found = el.jit(lambda x: el.where(x > 0, el.sqrt(x), 0.0))(el.asarray([-1.0, 4.0]))
    assert found.tolist() == [0, 2]


def test_a_birth_beside_an_older_nan():
    x = el.asarray([nan, -1.0, 1.0])
    error, _ = both(lambda x: el.log(x), x)
    assert error.indices == ((1,),)


def test_only_births_that_reach_a_result_are_blamed():
    """The first NaN of the program is left out by `where`; the second one is at fault."""

    @el.jit
    def function(x):
        harmless = el.where(x > 0, el.sqrt(x), 0.0)
        return harmless + el.log(x + 0.5)

    assert caught(function, el.asarray([-1.0, 4.0])).op == "log"


def test_infinities_on_request():
    x = el.asarray([1000.0, 1.0])
    with el.debug_nans():
        el.exp(x)
    error, _ = both(lambda x: el.exp(x) * 2, x, inf=True)
    assert "[exp] makes infinity: 1 of 2 values" in str(error) and "overflows above" in str(error)
    assert "inf of 1, 0" in str(caught(lambda: 1 / el.asarray([0.0, 1.0]), inf=True))
    # where the infinity was, is no birth: a mask, say
    with el.debug_nans(inf=True):
        (el.asarray([-inf, 0.0]) + 1).sum()
    # a NaN is looked for where it came from: the infinity
    assert both(lambda x: el.exp(x) - el.exp(x), x, inf=True)[0].op == "exp"
    assert both(lambda x: el.exp(x) - el.exp(x), x)[0].op == "subtract"


def test_hints_are_about_operations_that_there_are():
    assert {*watching._NAN_HINTS, *watching._INF_HINTS} <= set(BY_NAME)


# ---- how to switch it -----------------------------------------------------------------------------


def test_context_decorator_and_switch():
    x = el.asarray(-1.0)
    assert np.isnan(el.log(x).item())

    @el.debug_nans
    def watched(x):
        return el.log(x)

    @el.debug_nans(inf=True)
    def strictly(x):
        return 1 / x

    with pytest.raises(BadValueError):
        watched(x)
    with pytest.raises(BadValueError):
        strictly(x * 0)
    assert watched.__name__ == "watched" and np.isnan(el.log(x).item())
    el.debug_nans(True)
    try:
        with pytest.raises(BadValueError):
            el.log(x)
        with el.debug_nans(False):
            el.log(x)
        with pytest.raises(BadValueError):
            el.log(x)
        with el.debug_nans(), el.debug_nans(inf=True), pytest.raises(BadValueError):
            1 / (x * 0)
        1 / (x * 0)
    finally:
        el.debug_nans(False)
    el.log(x)
    with el.debug_nans(True):
        assert watch.on
    assert not watch.on

    @el.debug_nans(False)
    def unwatched(x):
        return el.log(x)

    with el.debug_nans():
        unwatched(x)
        assert watch.on
    with pytest.raises(DTypeError, match="expected True, False or a function, received 3"):
        el.debug_nans(3)


def test_off_it_costs_nothing(monkeypatch):
    """Programs give a NaN and nobody looks: neither at operations nor at results."""

    def refuse(*_):
        raise AssertionError("somebody looked")

    for module, name in ((replaying, "born"), (replaying, "any_bad"), (program, "any_bad")):
        monkeypatch.setattr(module, name, refuse)
    x = el.Tensor([-1.0, 1.0], requires_grad=True)
    F.softmax(el.log(x), -1).sum().backward()
    el.jit(lambda x: el.log(x).sum())(x.detach())
    assert not len(watch.origins) or all(watch.origins)


# ---- programs -------------------------------------------------------------------------------------


def test_composites():
    error = caught(lambda: F.softmax(el.asarray([inf, 1.0]), -1))
    assert "in the composite softmax" in str(error) and error.op == "subtract"
    assert "test_debug_nans.py" in str(error)

    @el.composite
    def own(x):
        y = x + 1
        return el.log(y) * 2

    @el.composite
    def outer(x):
        return own(x) * 2

    for function in (own, outer):
        function(el.asarray([1.0]))
        error, jitted = both(lambda x, f=function: f(x), el.asarray([-3.0, 1.0]))
        for found in (error, jitted):
            assert f"in the composite {function.__name__}" in str(found)
            assert "in own: return el.log(y) * 2" in str(found)
    assert "in the composite own\n  in the composite outer" in str(jitted)


def test_programs_traced_before_and_programs_of_open_sizes():
    function = el.jit(lambda x: el.log(x - x.shape[0]).sum())
    for size in (3, 4, 5):
        function(10 + el.zeros(size))
    assert function.compilations == 2
    assert "log(f32[6])" in str(caught(function, el.zeros(6)))
    assert "log(f32[3])" in str(caught(function, el.zeros(3)))
    assert np.isnan(function(el.zeros(7)).item())
    assert function.compilations == 2


def test_a_refused_call_changes_nothing_and_donates_nothing():
    state = el.asarray([4.0, 9.0])
    count = el.asarray(0)

    @el.jit
    def step():
        count.assign(count + 1)
        state.assign(el.sqrt(state - 3.0))

    step()
    assert count.item() == 1
    kept = state.tolist()
    error = caught(step)
    assert error.op == "sqrt" and (state.tolist(), count.item()) == (kept, 1)
    step()
    assert np.isnan(state.numpy()).any() and count.item() == 2


def test_fast_programs():
    function = el.jit(lambda x: el.log(x).sum(), numerics="fast")
    assert caught(function, el.asarray([-1.0, 2.0])).op == "log"


def test_indices_are_clamped_as_in_the_program():
    function = el.jit(lambda x, i: el.log(el.take(x, i)))
    assert caught(function, el.asarray([1.0, -1.0]), el.asarray([0, 7])).op == "log"


# ---- loops ----------------------------------------------------------------------------------------


def test_iterations():
    xs = el.asarray([1.0, 1.0, 1.0])
    error, _ = both(lambda xs: el.scan(lambda c, x: (el.log(c - x), c), el.asarray(10.0), xs), xs)
    assert "in iteration 2 of scan" in str(error) and "el.log(c - x)" in str(error)
    error, _ = both(
        lambda xs: el.scan(lambda c, x: (el.log(c - x), c), el.asarray(10.0), xs, reverse=True), xs
    )
    assert "in iteration 0 of scan" in str(error)
    error, _ = both(
        lambda x: el.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, el.sqrt(c[1] - 1)), (el.asarray(0), x)),
        el.asarray(3.0),
    )  # fmt: skip
    assert "in iteration 2 of while_loop" in str(error)
    error, _ = both(lambda x: el.cond(x > 0, lambda x: el.log(-x), lambda x: x, x), el.asarray(3.0))
    assert "in the true branch of cond" in str(error)
    error, _ = both(
        lambda x: el.scan(
            lambda c, x: (el.fori_loop(0, 3, lambda i, c: el.log(c), c * x), c), el.asarray(9.0), x
        ),
        xs,
    )
    assert "in iteration 0 of scan\n  in iteration 1 of scan" in str(error)


def test_every_operation_with_sub_graphs_is_searched():
    assert {op.name for op in BY_NAME.values() if op.family == "control"} == set(replaying._INSIDE)


def test_switch_map_associative_scan_and_functions_with_a_rule_of_their_own():
    x = el.asarray([1.0, -1.0, 2.0])
    for function in (
        lambda x: el.map(lambda v: el.log(v), x),
        lambda x: el.switch(el.asarray(1), [lambda v: v, lambda v: el.log(v)], x),
        lambda x: el.associative_scan(lambda a, b: el.log(a) + b, x),
    ):
        error, _ = both(function, x)
        assert error.op == "log"

    @el.custom_vjp
    def rooted(x):
        return el.sqrt(x)

    rooted.defvjp(lambda x: (el.sqrt(x), x), lambda x, g: (g * 0.5 / el.sqrt(x),))
    error, _ = both(lambda x: el.scan(lambda c, v: (c, rooted(v)), el.asarray(0.0), x)[1], x)
    assert error.op == "sqrt" and "in iteration 1 of scan" in str(error)


def test_forward_mode():
    x = el.asarray([0.0, 1.0])
    error, _ = both(lambda x: el.jvp(el.sqrt, (x,), (el.zeros(2),))[1], x)
    assert error.op in ("divide", "multiply") and "in the tangent of sqrt at" in str(error)


def test_backward_of_a_loop():
    def loss(xs):
        return el.scan(lambda c, x: (el.sqrt(c * x), c), el.asarray(4.0), xs)[0]

    xs = el.asarray([1.0, 0.0, 1.0])
    error, _ = both(el.grad(loss), xs)
    assert "of scan" in str(error) and "in the backward of scan" in str(error)


def test_vmap():
    x = el.asarray([[1.0, -2.0], [3.0, 4.0]])
    error, _ = both(el.vmap(lambda row: el.log(row).sum()), x)
    assert error.indices == ((0, 1),) and "log(f32[2,2])" in str(error) and "in vmap" in str(error)


# ---- backward -------------------------------------------------------------------------------------


def test_backward():
    w = el.Tensor([0.0, 1.0], requires_grad=True)

    def step():
        y = (w * 0).sqrt()
        (y * y).sum().backward()

    eager, jitted = both(step)
    for error in (eager, jitted):
        assert error.op == "divide" and "in step: y = (w * 0).sqrt()" in str(error)
        assert "in the backward of sqrt at test_debug_nans.py" in str(error)
    assert w.grad is None
    error = caught(el.grad(lambda x: el.where(x > 0, el.sqrt(x), 0.0).sum()), w.detach())
    assert "in the backward of sqrt" in str(error)


def test_backward_of_a_composite_and_of_a_jitted_function():
    @el.composite
    def distance(x):
        return el.sqrt(el.sum(x * x))

    for function in (distance, el.jit(lambda x: el.sqrt((x * x).sum()))):
        x = el.Tensor([0.0, 0.0], requires_grad=True)
        y = function(x)
        with el.debug_nans():
            y = function(x)
        text = str(caught(y.backward))
        assert "[multiply] makes NaN" in text or "[divide] makes NaN" in text
        assert "in the backward of" in text and "el.sqrt(" in text


def test_second_derivatives():
    error, _ = both(el.grad(el.grad(lambda x: el.sqrt(x * x))), el.asarray(0.0))
    assert "in the backward of" in str(error)


def test_checkpoint():
    def loss(x):
        return el.checkpoint(lambda v: el.sqrt(v * 0) ** 2, x).sum()

    error, _ = both(el.grad(loss), el.asarray([1.0]))
    assert "in the backward of" in str(error)


# ---- models ---------------------------------------------------------------------------------------


class Part(nn.Module):
    """A layer whose output has a logarithm taken, if it is the broken one."""

    def __init__(self, size, is_broken):
        super().__init__()
        self.linear, self.norm, self.is_broken = nn.Linear(size, size), nn.LayerNorm(size), is_broken

    def forward(self, x):
        y = self.norm(self.linear(x))
        return el.log(y) if self.is_broken else y


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Part(8, n == 2) for n in range(4)])
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def test_the_module_is_named():
    el.manual_seed(0)
    model = MLP()
    for error in both(model.__call__, draw(5, 8)):
        assert error.op == "log" and error.module == "layers.2"
        assert "in module layers.2" in str(error) and "return el.log(y)" in str(error)


def test_a_program_that_was_traced_before_names_modules_too():
    el.manual_seed(0)
    model = MLP()
    function = el.jit(lambda x: model(x))
    function(draw(5, 8))
    assert caught(function, draw(5, 8)).module == "layers.2"


def training(model, optimizer, loss_of, compiled):
    def step(x, y):
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return el.jit(step) if compiled else step


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jitted"])
def test_a_gpt_whose_weight_is_infinite(compiled):
    el.manual_seed(0)
    model = GPT()
    optimizer = el.optim.AdamW(model.parameters(), lr=0.01)
    tokens = el.asarray(np.random.default_rng(0).integers(0, 11, (2, 7)))
    step = training(
        model, optimizer, lambda z, y: F.cross_entropy(z.reshape(-1, z.shape[-1]), y.reshape(-1)), compiled
    )  # fmt: skip
    with el.debug_nans():
        for _ in range(2):
            step(tokens, tokens)
    paths = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    layer = model.get_submodule(paths[1])
    weight = layer.weight.numpy().copy()
    weight[:, 0] = inf
    weight[:, 1] = -inf
    with el.no_grad():
        layer.weight.assign(weight)
    before = {name: x.tolist() for name, x in model.state_dict().items()}
    error = caught(step, tokens, tokens)
    assert error.module == paths[1], (error.module, paths)
    assert error.op in ("contract", "add")
    assert {name: x.tolist() for name, x in model.state_dict().items()} == before


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jitted"])
def test_an_lstm_whose_input_overflows_at_one_step(compiled):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(3, 4, batch_first=True)
            self.head = nn.Linear(4, 1)

        def forward(self, x):
            return self.head(self.rnn(x)[0][:, -1])

    el.manual_seed(0)
    net = Net()
    run = el.jit(net.__call__) if compiled else net
    with el.debug_nans():
        run(draw(2, 5, 3))
    with el.no_grad():  # a state of ±1 times an infinite weight, less the same
        net.rnn.weight_hh_l0.assign(el.where(net.rnn.weight_hh_l0 > 0, inf, -inf))
    error = caught(run, draw(2, 5, 3))
    assert error.module == "rnn" and "of scan" in str(error) and "iteration" in str(error)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jitted"])
def test_an_optimizer_whose_state_is_spoiled(compiled):
    el.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = el.optim.Adam(model.parameters(), lr=0.01)
    step = training(model, optimizer, F.mse_loss, compiled)
    x, y = draw(6, 3), draw(6, 1)
    with el.debug_nans():
        step(x, y)
    second = optimizer.state[model[0].weight]["exp_avg_sq"]
    with el.no_grad():
        second.assign(el.full_like(second, -1.0))
    kept = model[0].weight.tolist()
    error = caught(step, x, y)
    assert error.op == "sqrt" and "optimizer.step()" in str(error)
    if compiled:
        assert model[0].weight.tolist() == kept and second.tolist()[0][0] == -1.0


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jitted"])
def test_a_learning_rate_that_is_too_large(compiled):
    """Weights overflow, some steps later the loss is NaN: infinities are found when they appear."""
    el.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = el.optim.SGD(model.parameters(), lr=1e20)
    step = training(model, optimizer, F.mse_loss, compiled)
    with pytest.raises(BadValueError) as found, el.debug_nans(inf=True):
        for _ in range(10):
            step(draw(6, 3), draw(6, 1))
    assert "makes infinity" in str(found.value)


def test_results_are_the_same_bits():
    el.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 1))
    x = draw(6, 3)

    def gradients():
        loss = (model(x) ** 2).mean()
        loss.backward()
        found = [loss, *(p.grad for p in model.parameters())]
        model.zero_grad()
        return [y.detach() for y in found]

    plain = gradients()
    with el.debug_nans(inf=True):
        watched = gradients()
        jitted = el.jit(gradients)()
    el.testing.assert_bitwise_equal(plain, watched)
    el.testing.assert_bitwise_equal(plain, jitted)
