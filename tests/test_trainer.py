"""The Trainer: what it computes, where it stops, how it goes on."""

import math
import os
import signal

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.train import Callback, Checkpoint, EarlyStopping, Trainer
from elinvar.train.callbacks import EVENTS


def task(count: int = 70, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points in the plane, whose class is the quadrant's parity."""
    x = np.random.default_rng(seed).standard_normal((count, 2)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


def made(seed: int = 1, **options: object) -> Trainer:
    el.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 2))
    optimizer = el.optim.AdamW(model.parameters(), lr=0.02)
    return Trainer(model, optimizer, "cross_entropy", progress=False, **options)


def weights(trainer: Trainer) -> bytes:
    return b"".join(value.numpy().tobytes() for value in trainer.model.state_dict().values())


def plain_loop(trainer: Trainer, data, epochs: int, batch: int) -> list[float]:
    """What `fit` promises to do, by hand and in eager mode."""
    model, optimizer = trainer.model.train(), trainer.optimizer
    found = []
    loader = el.data.DataLoader(data, batch, shuffle=True)
    for _ in range(epochs):
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        found.append(total / len(data[0]))
    return found


def test_fit_is_the_plain_loop_bit_for_bit() -> None:
    data = task()
    one = made()
    history = one.fit(data, epochs=3, batch_size=16)
    other = made()
    assert history["loss"] == plain_loop(other, data, 3, 16)
    assert weights(one) == weights(other)
    assert one.step == 15 and one.epoch == 3


def test_eager_and_compiled_are_the_same() -> None:
    one = made()
    one.fit(task(), epochs=2, batch_size=16)
    other = made(compiled=False)
    other.fit(task(), epochs=2, batch_size=16)
    assert weights(one) == weights(other)


def test_evaluate_does_not_depend_on_the_batch_size() -> None:
    trainer = made(metrics=["accuracy"])
    trainer.fit(task(), epochs=1)
    x, y = task(53, seed=3)
    whole = trainer.evaluate((x, y), batch_size=53)
    pieces = trainer.evaluate((x, y), batch_size=7)
    assert whole["accuracy"] == pieces["accuracy"]
    assert math.isclose(whole["loss"], pieces["loss"], rel_tol=1e-6)
    output = trainer.predict(x, batch_size=7)
    assert output.shape == (53, 2)
    assert float((output.argmax(-1).numpy() == y).mean()) == whole["accuracy"]


@pytest.mark.parametrize("stop_at", [1, 5, 7, 12])
def test_going_on_is_as_if_it_had_not_stopped(tmp_path, stop_at: int) -> None:
    options = {"metrics": ["accuracy"], "schedule": "one_cycle", "ema": 0.9}
    data, checks = task(), task(20, 5)
    whole = made(**options)
    expected = whole.fit(data, epochs=3, validation=checks, batch_size=16)

    class Stop(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            if trainer.step == stop_at:
                trainer.save(tmp_path / "state.safetensors")
                raise RuntimeError("power cut")

    broken = made(callbacks=[Stop()], **options)
    with pytest.raises(RuntimeError, match="power cut"):
        broken.fit(data, epochs=3, validation=checks, batch_size=16)
    again = made(seed=99, callbacks=[Callback()], **options)
    history = again.fit(data, epochs=3, validation=checks, batch_size=16, resume=tmp_path / "state.safetensors")
    assert weights(again) == weights(whole)
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "lr", "step")
    assert all(history[name] == expected[name] for name in names)


def test_steps_say_where_to_end_and_the_rest_of_the_epoch_follows(tmp_path) -> None:
    data, checks = task(), task(20, 5)  # 5 batches in an epoch
    whole = made(metrics=["accuracy"])
    expected = whole.fit(data, epochs=3, validation=checks, batch_size=16)
    first = made(metrics=["accuracy"])
    part = first.fit(data, steps=7, validation=checks, batch_size=16)
    assert first.step == 7 and first.epoch == 1 and first.batches_done == 2 and len(part) == 2
    assert part[0]["val_loss"] == expected[0]["val_loss"]
    first.save(tmp_path / "state.safetensors")
    second = made(seed=9, metrics=["accuracy"])
    found = second.fit(data, epochs=3, validation=checks, batch_size=16, resume=tmp_path / "state.safetensors")
    assert weights(second) == weights(whole)
    for name in ("epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy"):
        assert found[name] == expected[name]
    exact = made()
    exact.fit(data, steps=10, batch_size=16)
    assert exact.epoch == 2 and exact.batches_done == 0


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    data = task(48)

    def run(batch: int, accumulate: int) -> Trainer:
        el.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        trainer = Trainer(model, el.optim.SGD(model.parameters(), lr=0.5), "cross_entropy", accumulate=accumulate, progress=False)
        trainer.fit(data, epochs=3, batch_size=batch, shuffle=False)
        return trainer

    whole, parts = run(20, 1), run(10, 2)  # 20, 20, 8 samples; 10 + 10, 10 + 10, 8
    assert whole.step == parts.step == 9
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=1e-6)


def test_events_come_in_their_order() -> None:
    told: list[str] = []

    class Ear(Callback):
        pass

    for event in EVENTS:
        setattr(Ear, event, lambda self, trainer, *rest, event=event: told.append(event))
    made(callbacks=[Ear()]).fit(task(20), epochs=2, validation=task(5), batch_size=10)
    epoch = ["on_epoch_start", *["on_step_start", "on_step_end"] * 2, "on_validation_start", "on_validation_end", "on_epoch_end"]
    assert told == ["on_fit_start", *epoch, *epoch, "on_fit_end"]


def test_early_stopping_puts_the_best_weights_back() -> None:
    kept: dict[int, bytes] = {}

    class Keep(Callback):
        def on_epoch_end(self, trainer: Trainer) -> None:
            kept[trainer.epoch] = weights(trainer)

    stopping = EarlyStopping(patience=1)
    trainer = made(callbacks=[Keep(), stopping])
    trainer.optimizer.param_groups[0]["lr"] = 0.3
    history = trainer.fit(task(40), epochs=60, validation=task(30, 9), batch_size=8)
    assert len(history) < 60 and "val_loss has not improved for 2 epochs" in trainer.stop_reason
    best = int(np.argmin(history["val_loss"])) + 1
    assert stopping.best_epoch == best and weights(trainer) == kept[best]


def test_averages_of_the_best_epoch_come_back_and_are_in_use() -> None:
    stopping = EarlyStopping(patience=1)
    trainer = made(callbacks=[stopping], ema=0.5)
    trainer.optimizer.param_groups[0]["lr"] = 0.3
    held = task(30, 9)
    history = trainer.fit(task(40), epochs=60, validation=held, batch_size=8)
    assert stopping.best_epoch < len(history) < 60
    assert trainer.evaluate(held, batch_size=8)["loss"] == min(history["val_loss"])
    loss = el.nn.functional.cross_entropy(trainer.predict(held[0]), el.asarray(held[1]))
    assert abs(loss.item() - min(history["val_loss"])) < 1e-5


def test_averages_begin_with_the_weights_that_were_loaded() -> None:
    """Before the first step there is nothing to average: the model's own weights are in use."""
    held = task(30, 9)
    learnt = made()
    learnt.fit(task(40), epochs=3)
    fresh = made(ema=0.999999)
    fresh.average.warmup = False  # so that what it began with stays
    fresh.model.load_state_dict(learnt.model.state_dict())
    assert fresh.evaluate(held) == learnt.evaluate(held)
    fresh.fit(task(40), epochs=1)
    assert abs(fresh.evaluate(held)["loss"] - learnt.evaluate(held)["loss"]) < 1e-3


def test_checkpoints_of_the_best_epochs_stay(tmp_path) -> None:
    saver = Checkpoint(tmp_path, keep=2)
    trainer = made(callbacks=[saver])
    history = trainer.fit(task(40), epochs=6, validation=task(30, 9), batch_size=8)
    best = np.argsort(history["val_loss"], kind="stable")[:2] + 1
    names = sorted(os.listdir(tmp_path))
    assert names == sorted([f"epoch-{epoch:04d}.safetensors" for epoch in best] + ["last.safetensors"])
    assert saver.best == tmp_path / f"epoch-{best[0]:04d}.safetensors"


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(tmp_path, which, capsys) -> None:
    whole = made()
    whole.fit(task(), epochs=2, batch_size=16)

    class Send(Callback):
        def on_step_start(self, trainer: Trainer) -> None:
            if trainer.step == 6:
                os.kill(os.getpid(), which)

    trainer = made(callbacks=[Send()], folder=tmp_path)
    expected = el.train.Interrupted if which == signal.SIGINT else SystemExit
    with pytest.raises(expected) as caught:
        trainer.fit(task(), epochs=2, batch_size=16)
    text = str(caught.value) + capsys.readouterr().err
    assert "after step 7 (epoch 2, batch 2)" in text and "resume=" in text
    assert signal.getsignal(which) in (signal.default_int_handler, signal.SIG_DFL)
    again = made(seed=5, callbacks=[Callback()])
    again.fit(task(), epochs=2, batch_size=16, resume=tmp_path / "interrupted.safetensors")
    assert weights(again) == weights(whole)


def test_a_loss_that_is_not_finite_names_the_module_and_keeps_the_weights() -> None:
    class Root(nn.Module):
        def forward(self, x):
            return x.sqrt()

    el.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), Root())
    with el.no_grad():
        model[0].bias.assign([50.0, 50.0])
    trainer = Trainer(model, "sgd", "cross_entropy", progress=False)
    x, y = task(32)
    x[20] = -1000.0, -1000.0
    x[21] = 1000.0, 1000.0
    x[22], x[23] = (1000.0, -1000.0), (-1000.0, 1000.0)
    with pytest.raises(FloatingPointError) as caught:
        trainer.fit((x, y), batch_size=8, shuffle=False)
    text = str(caught.value)
    assert "sqrt" in text and "in module 1" in text and "batch 3" in text
    assert all(np.isfinite(p.numpy()).all() for p in model.parameters())


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_looking_for_a_bad_value_changes_no_running_statistics(precision: str) -> None:
    """The batch is run again, by layers that count what they see, before the one that fails."""

    class Root(nn.Module):
        def forward(self, x):
            return x.sqrt()

    el.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), Root(), nn.Linear(4, 2))
    trainer = Trainer(model, "sgd", "cross_entropy", precision=precision, progress=False)
    before = weights(trainer)
    with pytest.raises(FloatingPointError, match="sqrt") as caught:
        trainer.fit(task(32), batch_size=8)
    assert "in module 2" in str(caught.value) and weights(trainer) == before


def test_a_signal_while_an_epoch_ends_is_not_lost(tmp_path) -> None:
    data, checks = task(), task(20, 5)
    whole = made()
    expected = whole.fit(data, epochs=2, validation=checks, batch_size=16)

    class Send(Callback):
        def on_validation_start(self, trainer: Trainer) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    first = made(callbacks=[Send()], folder=tmp_path)
    with pytest.raises(el.train.Interrupted, match="after step 5"):
        first.fit(data, epochs=2, validation=checks, batch_size=16)
    again = made(seed=7, callbacks=[Callback()])
    found = again.fit(data, epochs=2, validation=checks, batch_size=16, resume=tmp_path / "interrupted.safetensors")
    assert weights(again) == weights(whole) and found["val_loss"] == expected["val_loss"]


def test_a_state_that_is_refused_changes_nothing(tmp_path) -> None:
    file = tmp_path / "state.safetensors"
    other = made()
    other.fit(task(), epochs=1)
    other.save(file)
    model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 2))
    groups = [{"params": list(model[0].parameters())}, {"params": list(model[4].parameters())}]
    trainer = Trainer(model, el.optim.AdamW(groups), "cross_entropy", progress=False)
    before = weights(trainer), el.random.default_generator.get_state().tolist()
    with pytest.raises(RuntimeError, match="the groups have"):
        trainer.load(file)
    assert (weights(trainer), el.random.default_generator.get_state().tolist()) == before
    assert trainer.step == 0
    state = dict(other.state_dict())
    del state["mean"]
    with pytest.raises(RuntimeError, match="the state lacks mean"):
        trainer.load_state_dict(state)


def test_curves_and_confusion_are_drawn(tmp_path) -> None:
    trainer = made(metrics=["accuracy", "confusion"])
    history = trainer.fit(task(), epochs=2, validation=task(20, 5))
    history.plot(tmp_path / "curves.png")
    listed = history[-1]["val_confusion"].tolist()  # as it is after going on from a file
    assert el.train.plots.confusion(listed, None, None).axes
    figure = el.train.plots.confusion(history[-1]["val_confusion"], ["same", "other"], tmp_path / "confusion.png")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["same", "other"]
    shown = {axes.get_title(loc="left") for axes in history.plot().axes}
    assert shown == {"loss", "accuracy"}
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("curves.png", "confusion.png"))
    with pytest.raises(ValueError, match="2 classes, but 1 labels"):
        el.train.plots.confusion(history[-1]["val_confusion"], ["same"], None)


def test_nan_in_the_data_is_named() -> None:
    x, y = task(32)
    x[11, 1] = np.nan
    with pytest.raises(FloatingPointError, match=r"1 values that are not finite in input 0, the first at \[3, 1\]"):
        made().fit((x, y), batch_size=8, shuffle=False)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: Trainer("net"), TypeError, "model must be an el.nn.Module"),
        (lambda: made(metrics=["acuracy"]), ValueError, "did you mean 'accuracy'"),
        (lambda: Trainer(nn.Linear(1, 1), "adan"), ValueError, "did you mean 'adam'"),
        (lambda: Trainer(nn.Linear(1, 1), loss="crossentropy"), ValueError, "did you mean 'cross_entropy'"),
        (lambda: Trainer(nn.Linear(1, 1)).fit(task()), ValueError, "fit needs an optimizer"),
        (lambda: made().fit((np.zeros((0, 2), np.float32), np.zeros(0, np.int64))), ValueError, "has no batch"),
        (lambda: made().fit(np.zeros((4, 2), np.float32)), ValueError, "there is no target"),
        (lambda: made().fit(x for x in [task(4)][:0]), ValueError, "gave no batch in epoch 1"),
        (lambda: made().fit("train.csv"), TypeError, "received str"),
        (lambda: made(callbacks=[EarlyStopping()]).fit(task()), ValueError, "pass validation="),
        (lambda: made(callbacks=[EarlyStopping]), TypeError, "write its name with ()"),
        (lambda: made().fit(task(), resume="nowhere.safetensors"), RuntimeError, "no file 'nowhere.safetensors'"),
    ],
)
def test_bad_input(call, kind, text: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert text in str(caught.value)


def test_two_classes_as_integers() -> None:
    """The loss `bce` takes what metrics of classes want, and computes what it does of floats."""
    x = el.randn(40, 3, generator=el.random.Generator(0))
    y = (x[:, 0] > 0).astype(el.int64)
    found = []
    for target in (y, y.float()):
        el.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
        metrics = ["accuracy", "f1"] if target is y else []
        trainer = el.Trainer(model, "adamw", "bce", metrics=metrics, progress=False)
        found.append(trainer.fit((x, target), epochs=2, batch_size=16)[-1]["loss"])
    assert found[0] == found[1]
