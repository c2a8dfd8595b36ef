"""Mixed precision: which types operations take, the same bits eager and compiled, loss scaling."""

import threading

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.train import Trainer
from tests.test_trainer import task, weights

F = nn.functional
LOW = (el.bfloat16, el.float16)


@pytest.mark.parametrize("low", LOW)
def test_products_are_low_and_what_needs_range_is_wide(low) -> None:
    x, w = el.randn(4, 6), el.randn(3, 6)
    image, kernel = el.randn(2, 3, 8, 8), el.randn(4, 3, 3, 3)
    q = el.randn(2, 2, 5, 8)
    with el.autocast(low):
        y = F.linear(x, w, el.zeros(3))
        assert {y.dtype, (x @ w.T).dtype, el.einsum("ij,kj->ik", x, w).dtype} == {low}
        assert F.conv2d(image, kernel, el.zeros(4)).dtype is low
        assert F.scaled_dot_product_attention(q, q, q).dtype is low
        assert F.relu(y).dtype is low and (y + x[:, :3]).dtype is el.float32
        wide = (F.softmax(y, -1), F.layer_norm(y, (3,)), F.mse_loss(y, y), el.exp(y), el.sum(y), y**2.5)
        assert {z.dtype for z in wide} == {el.float32}
        labels = el.zeros(4, dtype=el.int64)
        assert F.cross_entropy(y, labels).dtype is el.float32
        double = el.randn(2, 2, dtype=el.float64)
        assert (double @ double).dtype is el.float64
        with el.autocast(enabled=False):
            assert (x @ w.T).dtype is el.float32
    assert (x @ w.T).dtype is el.float32


def test_a_linear_layer_rounds_operands_once_and_its_result_once() -> None:
    x, w, b = el.randn(5, 64), el.randn(3, 64), el.randn(3)
    with el.autocast():
        found = F.linear(x, w, b)
    low = [t.astype(el.bfloat16).astype(el.float64).numpy() for t in (x, w)]
    exact = el.asarray((low[0] @ low[1].T + b.numpy()).astype(np.float32)).astype(el.bfloat16)
    difference = found.float().numpy() - exact.float().numpy()
    assert np.abs(difference).max() <= np.abs(exact.float().numpy()).max() * 2**-8


def test_a_convolution_rounds_its_sum_and_again_with_the_bias() -> None:
    image, kernel, b = el.randn(2, 3, 8, 8), el.randn(4, 3, 3, 3), el.randn(4)
    with el.autocast():
        found, plain = F.conv2d(image, kernel, b), F.conv2d(image, kernel)
    assert plain.dtype is el.bfloat16
    expected = (plain.float() + b.reshape((4, 1, 1))).astype(el.bfloat16)
    assert found.float().numpy().tobytes() == expected.float().numpy().tobytes()


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 3)), (8, 6)),
    "cnn": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)), (8, 2, 8, 8)),
    "attention": (lambda: nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), nn.Flatten(), nn.Linear(32, 3)), (8, 4, 8)),
}


@pytest.mark.parametrize("low", LOW)
@pytest.mark.parametrize("name", MODELS)
def test_eager_is_compiled_bit_for_bit(name: str, low) -> None:
    make, shape = MODELS[name]

    def run(wrap):
        el.manual_seed(0)
        model, x = make(), el.randn(*shape)
        y = el.asarray([0, 1, 2, 0, 1, 2, 0, 1])

        def step(x, y):
            with el.autocast(low):
                loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        loss = wrap(step)(x, y)
        assert all(p.grad.dtype is el.float32 for p in model.parameters())
        return [loss.numpy().tobytes(), *(p.grad.numpy().tobytes() for p in model.parameters())]

    eager = run(lambda f: f)
    assert run(el.jit) == eager

    def around(f):
        return el.autocast(low)(el.jit(f))

    assert run(around) == eager


@pytest.mark.parametrize("low", [el.bfloat16, el.float16])
@pytest.mark.parametrize("jit", [False, True])
def test_the_gradient_of_a_loop_s_weight_is_one_sum_rounded_once(low, jit) -> None:
    """As if all steps were one product; their inputs are stacked in 16 bits."""
    el.manual_seed(0)
    xs, w = el.randn(7, 5, 12), el.randn(12, 9)
    seed = el.randn(7, 5, 9)

    def by_steps(w):
        def body(carry, x):
            return carry, el.nn.functional.linear(x, w.mT)

        with el.autocast(low):
            return el.scan(body, el.zeros(()), xs)[1]

    def at_once(w):
        with el.autocast(low):
            return el.nn.functional.linear(xs.reshape(35, 12), w.mT).reshape(7, 5, 9)

    def gradient(function):
        def run(w):
            y, pull = el.vjp(function, w)
            return pull(seed.astype(y.dtype))[0]

        return (el.jit(run) if jit else run)(w)

    found, expected = gradient(by_steps), gradient(at_once)
    assert found.dtype is el.float32
    assert found.numpy().tobytes() == expected.numpy().tobytes()


def test_recurrent_layers_round_their_weights_before_the_loop() -> None:
    el.manual_seed(0)
    layer, x = el.nn.LSTM(8, 16), el.randn(6, 3, 8)

    def run(x):
        with el.autocast():
            return layer(x)[0]

    before, loop = el.jit(run).lower(x).graph.split(" = scan ", 1)
    assert "bf16[64,16] = cast" in before and "[64,16] = cast" not in loop
    assert run(x).numpy().tobytes() == el.jit(run)(x).numpy().tobytes()


def test_a_jitted_function_has_a_program_for_each_precision() -> None:
    f = el.jit(lambda x: x @ x)
    x = el.randn(4, 4)
    for _ in range(2):
        assert f(x).dtype is el.float32
        with el.autocast():
            assert f(x).dtype is el.bfloat16
        with el.autocast(el.float16):
            assert f(x).dtype is el.float16
    assert f.compilations == 3


def test_transforms_and_checkpoints() -> None:
    w, x = el.randn(4, 4), el.randn(3, 4)

    def loss(w, x):
        with el.autocast():
            return (el.tanh(x @ w) ** 2).sum()

    plain = el.grad(loss)(w, x)
    assert plain.dtype is el.float32
    again = el.grad(lambda w, x: el.checkpoint(loss, w, x))(w, x)
    assert again.numpy().tobytes() == plain.numpy().tobytes()
    rows = el.vmap(el.grad(loss), in_axes=(None, 0))(w, x[:, None])
    one = el.grad(loss)(w, x[1:2])
    assert rows[1].numpy().tobytes() == one.numpy().tobytes()
    _, tangent = el.jvp(lambda w: loss(w, x), (w,), (el.ones((4, 4)),))
    assert abs(float(tangent) - float(plain.sum())) < 0.1
    with el.autocast():
        second = el.hessian(lambda v: (el.exp(v @ v)).sum())(x[0])
    assert second.shape == (4, 4) and bool(second.isfinite().all())


def test_it_holds_for_one_thread_alone() -> None:
    found = []
    x = el.randn(3, 3)
    with el.autocast():
        other = threading.Thread(target=lambda: found.append((x @ x).dtype))
        other.start()
        other.join()
        assert (x @ x).dtype is el.bfloat16
    assert found == [el.float32]


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_a_trainer_learns_in_mixed_precision(precision: str) -> None:
    def run(precision: str) -> tuple[float, Trainer]:
        el.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
        trainer = Trainer(model, el.optim.AdamW(model.parameters(), lr=0.02), "cross_entropy", precision=precision, progress=False)
        history = trainer.fit(task(200), epochs=15, batch_size=20)
        return history[-1]["loss"], trainer

    exact, _ = run("f32")
    mixed, trainer = run(precision)
    assert abs(mixed - exact) < 0.05 and exact < 0.4
    assert all(p.dtype is el.float32 for p in trainer.model.parameters())


def test_a_scale_that_is_too_great_leaves_the_step_out_and_halves_itself() -> None:
    el.manual_seed(0)
    model = nn.Linear(2, 2)
    trainer = Trainer(model, el.optim.Adam(model.parameters(), lr=0.1), "cross_entropy", precision="f16", progress=False)
    scale = trainer.prepared().scale
    scale.value.assign(2.0**24)
    scale.interval = 3
    x, y = task(8)
    x = x * 100
    seen = []

    class Look(el.train.Callback):
        def on_step_end(self, trainer):
            seen.append((float(scale.value), weights(trainer)))

    trainer.callbacks.append(Look())
    trainer.fit((x, y), epochs=30, batch_size=8, shuffle=False)
    values = [value for value, _ in seen]
    skipped = [i for i in range(1, 30) if values[i] < values[i - 1]]
    assert skipped and all(seen[i][1] == seen[i - 1][1] for i in skipped)
    assert any(values[i] > values[i - 1] for i in range(1, 30))
    assert all(np.isfinite(p.numpy()).all() for p in model.parameters())


def test_going_on_keeps_the_scale(tmp_path) -> None:
    def trainer() -> Trainer:
        el.manual_seed(0)
        model = nn.Linear(2, 2)
        return Trainer(model, "adam", "cross_entropy", precision="f16", progress=False)

    one = trainer()
    one.fit(task(), epochs=1)
    one.prepared().scale.value.assign(512.0)
    one.save(tmp_path / "state.safetensors")
    other = trainer()
    other.load(tmp_path / "state.safetensors")
    assert float(other.prepared().scale.value) == 512.0


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="must be bfloat16 or float16, received float32"):
        el.autocast(el.float32)
    with pytest.raises(ValueError, match="did you mean 'bf16'"):
        Trainer(nn.Linear(1, 1), precision="bf61")
