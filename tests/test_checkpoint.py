"""checkpoint, with policies and without: what is kept, what runs again, what memory it takes."""

import gc
import re
import weakref

import numpy as np
import pytest

import elinvar as el
from elinvar import checkpoint_policies as policies
from elinvar.core.errors import GradientError
from elinvar.tensor import eager

LAYERS, WIDTH, BATCH = 6, 24, 40


def bits(x):
    return x.numpy().tobytes()


@pytest.fixture
def model():
    el.manual_seed(0)
    return [el.randn(WIDTH, WIDTH) * 0.2 for _ in range(LAYERS)], el.randn(BATCH, WIDTH)


def block(x, w):
    h = el.checkpoint_name(el.nn.functional.gelu(x @ w), "hidden")
    return el.exp(el.sin(h)) * 0.5 + x


def network(policy=None, plain=False):
    """The loss of a residual network each of whose blocks is a checkpoint."""

    def loss(weights, x):
        for w in weights:
            if plain:
                x = block(x, w)
            else:
                x = el.checkpoint(block, x, w) if policy is None else el.checkpoint(block, policy=policy)(x, w)
        return (x * x).mean()

    return loss


POLICIES = {
    "none": None,
    "nothing": policies.nothing_saveable,
    "everything": policies.everything_saveable,
    "dots": policies.dots_saveable,
    "dots without batches": policies.dots_with_no_batch_dims_saveable,
    "hidden": policies.save_only_these_names("hidden"),
    "other names": policies.save_only_these_names("other"),
    "any other name": policies.save_any_names_but_these("other"),
    "both": policies.save_from_both_policies(policies.dots_saveable, policies.save_only_these_names("hidden")),
    "own": lambda op, *types, **params: op in ("contract", "sin"),
}


@pytest.mark.parametrize("how", [lambda f: f, el.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("name", POLICIES)
def test_no_bit_depends_on_the_policy(name, how, model):
    weights, x = model
    expected = el.grad(network(plain=True))(weights, x)
    found = how(el.grad(network(POLICIES[name])))(weights, x)
    assert [bits(g) for g in found] == [bits(g) for g in expected]


def products(function, *args):
    return str(el.jit(function).lower(*args).optimized).count("= contract")


RERUN = {
    "none": LAYERS, "nothing": LAYERS, "everything": 0, "dots": 0, "dots without batches": 0,
    "hidden": 0, "other names": LAYERS, "both": 0, "own": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", RERUN)
def test_products_that_run_again_in_a_program(name, model):
    """A gradient with respect to the weights of L blocks takes L products, and 2 L - 1 for it. The
    value of a gelu is what reverse mode reads beside the product: `hidden` does not spare it."""
    weights, x = model
    least = products(el.grad(network(plain=True)), weights, x)
    assert least == 3 * LAYERS - 1
    again = LAYERS if name == "hidden" else RERUN[name]
    assert products(el.grad(network(POLICIES[name])), weights, x) == least + again


@pytest.mark.parametrize("name", RERUN)
def test_products_that_run_again_in_eager_mode(name, model, monkeypatch):
    weights, x = model
    for w in weights:
        w.requires_grad_()
    count = []
    find = eager.find
    monkeypatch.setattr(eager, "find", lambda op, *rest: count.append(op.name) or find(op, *rest))
    loss = network(POLICIES[name])(weights, x)
    assert count.count("contract") == LAYERS
    count.clear()
    loss.backward()
    again = LAYERS if name == "hidden" else RERUN[name]
    # products of the derivative are programs of their own, but of what was kept by a policy
    assert count.count("contract") - 2 * LAYERS * (name in ("dots", "dots without batches", "both", "own")) <= again


def test_numbers_that_nobody_used_before():
    """They become tensors in the first run, and are remembered in the second."""

    def function(x):
        return el.sin(x * 0.6180339887) * 1.3247179572

    x = el.tensor([1.0, 2.0], requires_grad=True)
    el.checkpoint(function, policy=lambda op, *types, **params: op == "sin")(x).sum().backward()
    expected = 0.6180339887 * 1.3247179572 * np.cos(0.6180339887 * np.array([1.0, 2.0]))
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


def arena(function, *args):
    """The scratch memory of the compiled program, in bytes, and the largest tensor's."""
    jitted = el.jit(function)
    program = jitted._program(jitted._sort(args, {}), args, {})
    operands = list(args[0]) + [args[1]]
    return program.function.program(operands).arena_nbytes


def test_memory(model):
    """Kept values in the memory plan: all, products alone, none."""
    weights, _x = model
    big = el.randn(4000, WIDTH)
    sizes = {
        name: arena(el.grad(network(POLICIES[name])), weights, big) / (4 * big.size)
        for name in ("everything", "dots", "none")
    }
    assert sizes["none"] < sizes["dots"] < sizes["everything"]
    assert sizes["none"] >= LAYERS - 1  # the blocks' arguments
    assert sizes["dots"] >= 2 * LAYERS - 2  # and their products


def test_a_product_of_the_first_run_is_the_memory_that_backward_reads():
    """In eager mode the kept result is held, not copied."""
    w = el.randn(8, 8).requires_grad_()
    seen = []

    def product(x):
        y = x @ w
        seen.append(y._buffer)
        return el.sin(y)

    el.checkpoint(product, policy=policies.dots_saveable)(el.randn(4, 8)).sum().backward()
    assert len(seen) == 2 and seen[0] is seen[1]


def test_a_named_value_is_not_made_again(monkeypatch):
    """The operation that made a named value is the one that does not run."""
    count = []
    find = eager.find
    monkeypatch.setattr(eager, "find", lambda op, *rest: count.append(op.name) or find(op, *rest))
    x = el.randn(5).requires_grad_()

    def function(v):
        return el.sin(el.checkpoint_name(el.exp(v), "e")) * v

    el.checkpoint(function, policy=policies.save_only_these_names("e"))(x).sum().backward()
    assert count.count("exp") == 1
    kept, x.grad, _ = x.grad, None, count.clear()
    el.checkpoint(function, x).sum().backward()
    assert count.count("exp") == 2 and bits(kept) == bits(x.grad)


def test_named_results_of_composites_and_of_nothing():
    x = el.randn(5).requires_grad_()
    function = lambda v: el.checkpoint_name(el.nn.functional.softmax(v, -1), "s") * v  # noqa: E731
    for how in (lambda f: f, el.jit):
        layer = el.checkpoint(function, policy=policies.save_only_these_names("s"))
        found = how(el.grad(lambda v, f=layer: f(v).sum()))(x.detach())
        assert bits(found) == bits(el.grad(lambda v: function(v).sum())(x.detach()))
    assert bits(el.checkpoint_name(x, "x")) == bits(x)


@pytest.mark.parametrize("how", [lambda f: f, el.jit], ids=["eager", "jit"])
def test_policies_nest_and_compose(how, model):
    weights, x = model
    loss = network(policies.dots_saveable)
    whole = el.checkpoint(lambda w, v: loss(w, v), policy=policies.dots_saveable)
    expected = el.grad(network(plain=True))(weights, x)
    for f in (whole, el.checkpoint(loss, policy=policies.nothing_saveable), el.checkpoint(el.jit(loss), policy=policies.dots_saveable)):
        assert [bits(g) for g in how(el.grad(f))(weights, x)] == [bits(g) for g in expected]
    tangents = [w * 0.5 for w in weights]
    plain = el.jvp(lambda w: network(plain=True)(w, x), (weights,), (tangents,))[1]
    assert bits(how(lambda w, t: el.jvp(lambda v: loss(v, x), (w,), (t,))[1])(weights, tangents)) == bits(plain)
    second = how(lambda w, t: el.jvp(el.grad(lambda v: loss(v, x)), (w,), (t,))[1])(weights[:2], tangents[:2])
    expected = el.jvp(el.grad(lambda v: network(plain=True)(v, x)), (weights[:2],), (tangents[:2],))[1]
    for one, other in zip(second, expected, strict=True):
        assert el.max(el.abs(one - other)).item() < 1e-6


def test_random_numbers_are_the_same_again():
    x = el.ones(64).requires_grad_()
    f = lambda v: v * v * (el.rand(64) > 0.5)  # noqa: E731
    y = el.checkpoint(f, policy=policies.dots_saveable)(x)
    y.sum().backward()
    assert bits(x.grad) == bits(2 * y)


def test_refused():
    with pytest.raises(TypeError, match=r"\[checkpoint\] expected a function, received int"):
        el.checkpoint(3)
    with pytest.raises(TypeError, match=re.escape("policy must be one of el.checkpoint_policies or a function, received 'dots'")):
        el.checkpoint(el.sin, policy="dots")
    calls = []

    def fickle(x):
        calls.append(1)
        return el.sin(x) @ x if len(calls) == 1 else el.cos(el.exp(x)) @ x

    y = el.checkpoint(fickle, policy=policies.dots_saveable)(el.ones(3).requires_grad_())
    with pytest.raises(GradientError, match=r"\[checkpoint\] ran otherwise the second time: \w+ in the place of \w+"):
        y.backward()


# ---- without a policy ------------------------------------------------------------------------


@pytest.mark.any_level
@pytest.mark.parametrize("how", [lambda f: f, el.jit], ids=["eager", "jit"])
def test_checkpoint_runs_again_with_the_same_state(how):
    w, calls = el.Tensor([2.0, 3.0], requires_grad=True), el.zeros(())

    def block(x):
        with el.no_grad():
            calls.assign(calls + 1.0)
        return x * w * calls

    def plain(x):
        return block(block(x)).sum()

    def kept(x):
        return el.checkpoint(block, el.checkpoint(block, x)).sum()

    def run(function):
        def step(x):
            w.grad = None
            loss = function(x)
            loss.backward()
            return loss

        with el.no_grad():
            calls.assign(0.0)
        value = how(step)(el.asarray([1.0, 5.0])).item()
        return value, w.grad.tolist(), calls.item()

    assert run(plain) == run(kept)
    assert run(kept)[2] == 2


@pytest.mark.any_level
def test_checkpoint_keeps_only_what_enters():
    x = el.Tensor([1.0, 2.0], requires_grad=True)
    seen = []

    def block(v):
        inner = v.exp()
        seen.append(weakref.ref(inner))
        return inner * inner

    y = el.checkpoint(block, x)
    gc.collect()
    assert seen[0]() is None
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([2.0, 4.0]), rtol=1e-6)
    assert len(seen) == 2


@pytest.mark.any_level
def test_checkpoint_with_dropout_draws_the_same_numbers():
    x = el.ones(64)
    w = el.Tensor(np.ones(64, np.float32), requires_grad=True)
    el.manual_seed(3)
    y = el.checkpoint(lambda v: v * w * (el.rand(64) > 0.5), x)
    mask = y.numpy().copy()
    after = el.rand(4).tolist()
    y.sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), mask)
    el.manual_seed(3)
    el.rand(64)
    assert el.rand(4).tolist() == after


@pytest.mark.any_level
@pytest.mark.parametrize("scanned", [False, True], ids=["jit", "scan"])
def test_checkpoint_of_a_function_that_rebinds_state_in_its_own_trace(scanned):
    """A jitted function, or a loop, inside of a checkpoint: both runs draw the same numbers."""

    def noisy(x):
        return x * el.rand(3)

    def looped(x):
        return el.scan(lambda c, _: (c, c * el.rand(3)), x, length=2)[1].sum(axis=0)

    run = looped if scanned else el.jit(noisy)
    for _ in range(3):  # traced in the first round, run in the others
        x = el.Tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = el.checkpoint(run, x)
        after = el.random.default_generator.state.tolist()
        y.sum().backward()
        assert np.allclose(x.grad.numpy(), (y / x).numpy(), rtol=1e-6)
        assert el.random.default_generator.state.tolist() == after
