"""What people get wrong with a Trainer: each mistake is named, with its place and a way out."""

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import (
    BadValueError,
    DataError,
    DTypeError,
    OutOfBoundsError,
    ShapeError,
    StateError,
    ValueRangeError,
)
from elinvar.train import Callback, MovingAverage, Trainer

X = np.random.default_rng(0).standard_normal((70, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def trainer(outputs: int = 2, loss: object = "cross_entropy", **options: object) -> Trainer:
    el.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs))
    return Trainer(model, "adamw", loss, progress=False, **options)


@pytest.mark.parametrize(
    ("target", "kind", "words"),
    [
        (Y[:, None], ShapeError, "drop the axis of size 1: target.squeeze(1)"),
        (np.eye(2, dtype=np.int64)[Y], ShapeError, "one-hot rows become classes by target.argmax(1)"),
        (Y.astype(np.float32), ShapeError, "classes must be integers: target.astype(el.int64)"),
        (Y > 0, DTypeError, "target.astype(el.int64)"),
        (np.array(["a", "b"])[Y], DTypeError, "number texts by numpy.unique(texts, return_inverse=True)[1]"),
        (Y.tolist(), DTypeError, "make arrays of lists: numpy.array(list)"),
        (Y + 5, OutOfBoundsError, "target holds class"),
    ],
)
def test_targets_of_another_kind(target, kind, words) -> None:
    with pytest.raises(kind) as caught:
        trainer().fit((X, target))
    assert words in str(caught.value)


def test_one_hot_rows_and_accuracy() -> None:
    with pytest.raises(ShapeError, match="one-hot rows become classes"):
        trainer(metrics=["accuracy"]).fit((X, np.eye(2, dtype=np.float32)[Y]))


def test_validation_says_that_it_was_validation() -> None:
    with pytest.raises(OutOfBoundsError, match="in batch 1 of the validation data"):
        trainer().fit((X, Y), validation=(X, Y + 5))
    with pytest.raises(ShapeError, match="in batch 1 of the validation data"):
        trainer().fit((X, Y), validation=(X[:, :3], Y))
    bad = X.copy()
    bad[40, 2] = np.nan
    with pytest.raises(BadValueError, match=r"(?s)first at \[8, 2\].*in batch 2 of the validation data"):
        trainer().fit((X, Y), validation=(bad, Y))
    with pytest.raises(OutOfBoundsError, match="in batch 1 of the data"):
        trainer().evaluate((X, Y + 5))


def test_a_model_that_gives_nan_has_that_figure() -> None:
    broken = trainer()
    with el.no_grad():
        broken.model[2].bias.assign(el.asarray([float("nan"), 0.0]))
    assert np.isnan(broken.evaluate((X, Y))["loss"])


def test_an_odd_batch_in_the_midst_is_named() -> None:
    batches = [(X[:10], Y[:10]), (X[10:20, :3], Y[10:20])]
    with pytest.raises(ShapeError, match="in epoch 1, batch 2 of the data"):
        trainer().fit(batches)


def test_inputs_and_targets_apart() -> None:
    with pytest.raises(DTypeError, match=r"inputs and targets go in one tuple: fit\(\(x, y\)\)"):
        trainer().fit(X, Y)
    with pytest.raises(DataError, match=r"(?s)the batch has inputs 2, but Sequential.forward takes .*has_target=True"):
        trainer().predict((X, Y))
    with pytest.raises(DataError, match=r"(?s)inputs 'x'.*arguments of forward, by name"):
        trainer().fit({"x": X, "label": Y})


def test_an_optimizer_that_would_change_nothing() -> None:
    model, other = nn.Linear(4, 2), nn.Linear(4, 2)
    wrong = Trainer(model, el.optim.SGD(other.parameters(), lr=0.1), "cross_entropy", progress=False)
    with pytest.raises(StateError, match="none of the model's parameters"):
        wrong.fit((X, Y))
    frozen = trainer()
    for parameter in frozen.model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(ValueError, match="all 4 parameters of the optimizer are frozen"):
        frozen.fit((X, Y))


def test_limits_are_looked_at_when_the_trainer_is_made() -> None:
    with pytest.raises(ValueError, match="clip_norm must be greater than 0, not -1"):
        trainer(clip_norm=-1.0)


def test_callbacks_that_raise_take_nothing_from_the_others() -> None:
    told = []

    class Bad(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            raise RuntimeError("boom")

        def on_exception(self, trainer: Trainer, error: BaseException) -> None:
            raise ValueError("second")

    class Good(Callback):
        def on_exception(self, trainer: Trainer, error: BaseException) -> None:
            told.append(str(error))

        def on_fit_end(self, trainer: Trainer) -> None:
            told.append("end")

    with pytest.raises(RuntimeError, match="boom") as caught:
        trainer(callbacks=[Bad(), Good()]).fit((X, Y))
    assert told == ["boom", "end"]
    assert caught.value.__notes__ == ["Bad.on_exception failed, too: second"]
    assert trainer(callbacks=Good()).callbacks[0].__class__ is Good
    with pytest.raises(DTypeError, match="write a class C"):
        trainer(callbacks=[lambda trainer: None])


def test_a_function_is_a_metric() -> None:
    def share(output, target):
        return (output.argmax(1) == target).astype(el.float32).mean()

    found = trainer(metrics=["accuracy", share]).fit((X, Y), validation=(X, Y))
    assert np.isclose(found[-1]["accuracy"], found[-1]["share"])
    assert np.isclose(found[-1]["val_accuracy"], found[-1]["val_share"])
    with pytest.raises(ShapeError, match="must give one number as a tensor"):
        trainer(metrics={"all": lambda output, target: output}).fit((X, Y))


def test_arrays_of_other_libraries() -> None:
    class Foreign:
        def __init__(self, array: np.ndarray) -> None:
            self.array, self.shape = array, array.shape

        def __array__(self, dtype=None, copy=None) -> np.ndarray:
            return self.array

    own = trainer().fit((X, Y))["loss"]
    assert trainer().fit((Foreign(X), Foreign(Y)))["loss"] == own
    batches = [(X[i : i + 32], Y[i : i + 32]) for i in range(0, 70, 32)]
    own = trainer().fit(batches)["loss"]
    assert trainer().fit([(Foreign(x), Foreign(y)) for x, y in batches])["loss"] == own


def test_an_explosion_is_explained() -> None:
    wild = trainer(1, "mse")
    wild.optimizer = el.optim.SGD(wild.model.parameters(), lr=1e6)
    with pytest.raises(BadValueError, match="makes infinity"):
        wild.fit((X, X[:, :1] * 1e10), epochs=20)


def test_schedules_by_name_last_as_long_as_the_fit() -> None:
    one = trainer(schedule="one_cycle")
    rates = one.fit((X, Y), steps=7)["lr"]
    assert rates[-1] == pytest.approx(4e-9)
    again = trainer(schedule="one_cycle")
    first = again.fit((X, Y), epochs=2)["lr"]
    both = again.fit((X, Y), epochs=2)["lr"]
    assert both == [*first, *first] and max(first) <= 1e-3


def test_the_moving_average_warms_up() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = MovingAverage(model, 0.5)
    start, expected = float(model.weight), float(model.weight)
    for n in range(12):
        with el.no_grad():
            model.weight.assign(el.asarray([[start + n]]))
        average.update()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * (start + n)
    with average.applied():
        assert float(model.weight) == pytest.approx(expected, rel=1e-5)
    other = MovingAverage(model, 0.5)
    other.load_state_dict(average.state_dict())
    average.update()
    other.update()
    for one, two in zip(average.state_dict().values(), other.state_dict().values(), strict=True):
        assert one.numpy().tobytes() == two.numpy().tobytes()


def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch) -> None:
    one, file = trainer(), tmp_path / "run.safetensors"
    one.fit((X, Y))
    one.save(file)
    before = file.read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(el.train.state.serialization, "save", full)
    with pytest.raises(OSError, match="No space left on device: the state was not saved") as caught:
        one.save(file)
    assert caught.value.errno == 28 and str(file) in str(caught.value)
    assert file.read_bytes() == before
    with pytest.raises(StateError, match="is a folder"):
        one.load(tmp_path)


def test_histories_are_tables_of_numbers_and_pictures_show_themselves() -> None:
    history = trainer(metrics=["accuracy", "confusion"]).fit((X, Y), epochs=2)
    lines = str(history).splitlines()
    assert len(lines) == 3 and len({len(line) for line in lines}) == 1
    assert "samples/s" in lines[0] and "confusion" not in lines[0] and "%" in lines[1]
    assert history.plot()._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("callback", [el.train.EarlyStopping, el.train.Checkpoint])
def test_what_watches_validation_needs_validation(callback, tmp_path) -> None:
    arguments = (tmp_path,) if callback is el.train.Checkpoint else ()
    model = nn.Linear(2, 2)
    trainer = el.Trainer(
        model, "sgd", "cross_entropy", callbacks=[callback(*arguments)], progress=False
    )
    data = np.zeros((8, 2), np.float32), np.zeros(8, np.int64)
    with pytest.raises(ValueRangeError, match=r"(?s)watches .val_loss..*pass validation="):
        trainer.fit(data, epochs=1)
    assert trainer.step == 0
    trainer.fit(data, epochs=1, validation=data)
    assert trainer.step == 1


def test_a_state_of_another_optimizer_is_refused(tmp_path) -> None:
    def made(kind: str) -> el.Trainer:
        return el.Trainer(nn.Linear(2, 2), kind, "cross_entropy", progress=False)

    data = np.zeros((8, 2), np.float32), np.zeros(8, np.int64)
    first, other = made("adamw"), made("sgd")
    first.fit(data, epochs=1)
    first.save(tmp_path / "state.safetensors")
    before = other.model.weight.numpy().copy()
    with pytest.raises(StateError, match="the state's optimizer is AdamW, the trainer's SGD"):
        other.load(tmp_path / "state.safetensors")
    assert np.array_equal(other.model.weight.numpy(), before)


def test_several_labels_as_integers() -> None:
    several = (X[:, :3] > 0).astype(np.int64)
    model = trainer(3, "bce", metrics=["accuracy"])
    assert model.fit((X, several), epochs=300, batch_size=35)[-1]["accuracy"] > 0.9
    with pytest.raises(ShapeError, match="may be integers, which the loss 'bce' takes as well"):
        trainer(3, "bce", metrics=["accuracy"]).fit((X, several.astype(np.float32)), epochs=1)
