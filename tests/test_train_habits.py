"""Words of Keras, Lightning and PyTorch: the error says what they are called here."""

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.core.errors import DTypeError, ValueRangeError
from elinvar.core.habits import HABITS
from elinvar.train import Callback, Checkpoint, EarlyStopping, Trainer
from tests.test_trainer_mistakes import X, Y, trainer

pytestmark = pytest.mark.any_level


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"validation_data": (X, Y)}, "fit has no argument 'validation_data'\n.*validation=…"),
        ({"max_epochs": 3}, "epochs=…"),
        ({"x": X, "y": Y}, "go in one tuple: fit"),
        ({"batchsize": 3}, "did you mean 'batch_size'"),
        ({"callbacks": []}, "where the trainer is made"),
        ({"lr": 0.1}, "the optimizer has the rate"),
        ({"quux": 1}, "there are data, epochs, validation"),
    ],
)
def test_arguments_of_fit(options, words) -> None:
    with pytest.raises(TypeError, match=f"(?s){words}"):
        trainer().fit((X, Y), **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": "3"}, "epochs must be a whole number from 0, received '3'"),
        ({"epochs": 3.0}, "epochs must be a whole number"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"shuffle": "no"}, "shuffle must be True or False, received 'no'"),
        ({"dry_run": "no"}, "dry_run must be True or False"),
    ],
)
def test_values_of_fit(options, words) -> None:
    with pytest.raises(DTypeError, match=words):
        trainer().fit((X, Y), **options)
    assert len(trainer().fit((X, Y), epochs=np.int64(2))) == 2
    with pytest.raises(TypeError, match="evaluate takes 1 arguments without names, received 2"):
        trainer().evaluate(X, Y)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_epochs": 3}, "it stands in fit"),
        ({"gradient_clip_val": 1.0}, "clip_norm=…"),
        ({"device": "cuda"}, "one device, the processor"),
        ({"schedul": "cosine"}, "did you mean 'schedule'"),
        ({"schedule": "onecycle"}, "did you mean 'one_cycle'"),
        ({"ema": "x"}, "ema must be a number"),
        ({"callbacks": "early_stopping"}, "must be Callback objects, received 'early_stopping'"),
        ({"callbacks": EarlyStopping}, "write its name with"),
        ({"callbacks": lambda trainer: None}, "write a class C"),
        ({"metrics": ["acc"]}, "here: accuracy"),
        ({"metrics": ["AUC"]}, "here: auroc"),
        ({"metrics": 3}, "expected a name, a Metric or a function, received int"),
        ({"loss": "bce_with_logits"}, "here: bce"),
        ({"loss": "MSE"}, "did you mean 'mse'"),
    ],
)
def test_arguments_of_a_trainer(options, words) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        trainer(**options)


def test_other_makers() -> None:
    with pytest.raises(ValueRangeError, match=r"the order is el.Trainer\(model, optimizer, loss\)"):
        Trainer(nn.Linear(4, 2), "cross_entropy", "adamw")
    with pytest.raises(TypeError, match="here: keep=…"):
        Checkpoint("x", save_best_only=True)
    with pytest.raises(TypeError, match="here: restore_best=…"):
        EarlyStopping(restore_best_weights=True)
    with pytest.raises(ValueRangeError, match="patience must be a whole number from 0, received '3'"):
        EarlyStopping(patience="3")
    with pytest.raises(ValueRangeError, match="progress must be one of 'auto', 'bar'"):
        Trainer(nn.Linear(4, 2), "sgd", "mse", progress="no")
    assert trainer(metrics=None, callbacks=None).metrics == {}


def test_attributes_have_hints_and_stay_attribute_errors() -> None:
    model, one = nn.Linear(4, 2), trainer()
    assert not hasattr(model, "fit") and not hasattr(one, "train") and not hasattr(one, "should_stop")
    with pytest.raises(AttributeError, match=r"'Linear' object has no attribute 'fit'; here: el.Trainer"):
        model.fit((X, Y))
    with pytest.raises(AttributeError, match="no attribute 'train'; here: fit"):
        one.train()
    with pytest.raises(AttributeError, match="no attribute 'history'; here: columns"):
        _ = one.fit((X, Y)).history
    with pytest.raises(AttributeError, match=r"has no attribute 'quux'$"):
        _ = model.quux
    with pytest.raises(AttributeError, match=r"'elinvar.train' has no attribute 'ModelCheckpoint'; here: Checkpoint"):
        _ = el.train.ModelCheckpoint
    with pytest.raises(AttributeError, match=r"it is called data.DataLoader here"):
        _ = el.DataLoader

    class Broken(nn.Module):
        @property
        def inner(self) -> object:
            return self.nothing

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):  # not 'inner'
        _ = Broken().inner


class Setting(Callback):
    def on_epoch_end(self, trainer: Trainer) -> None:
        trainer.stop_training = True


class Stopping(Callback):
    def on_epoch_end(self, trainer: Trainer) -> None:
        trainer.stop()


def test_callbacks_of_other_frameworks() -> None:
    def method(name: str, function: object) -> Callback:
        return type("Mine", (Callback,), {name: function})()

    for name, function, words in (
        ("on_train_epoch_end", lambda self, trainer, module: None, "never called\n.*on_epoch_end"),
        ("on_epoch_ends", lambda self, trainer: None, "did you mean 'on_epoch_end'"),
        ("on_epoch_end", lambda self: None, r"must take \(self, trainer\), it takes \(\)"),
        ("on_epoch_end", lambda self, epoch, logs=None: None, "trainer.epoch, .step, .batch and .logs"),
        ("on_exception", lambda self, trainer: None, r"must take \(self, trainer, error\)"),
    ):
        with pytest.raises(DTypeError, match=f"(?s){words}"):
            trainer(callbacks=[method(name, function)])
    trainer(callbacks=[method("on_my_own", lambda self: None)])
    with pytest.raises(DTypeError, match=r"(?s)stop_training and the like cannot be set.*here: stop\(reason\)"):
        trainer(callbacks=[Setting()]).fit((X, Y))
    stopped = trainer(callbacks=[Stopping()])
    assert len(stopped.fit((X, Y), epochs=5)) == 1
    assert stopped.stop_reason == "a callback asked for it"


def test_what_the_hints_name_is_there() -> None:
    one = trainer()
    for name in HABITS["Trainer object"]:
        assert not hasattr(one, name)
    for name, here in HABITS["callback"].items():
        assert hasattr(Callback, here) and not hasattr(Callback, name)
    for place, table in (("loss", el.train.losses.NAMED), ("metric", el.metrics._NAMED)):
        assert set(HABITS[place].values()) <= set(table) and not set(HABITS[place]) & set(table)


def test_a_pipeline_without_batches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"(?s)gives single samples, not batches.*write .batch\(32\)"):
        trainer().fit(el.data.from_arrays(X, Y).shuffle(seed=0))


def test_metrics_of_ones_own() -> None:
    class Counting(el.metrics.Metric):
        name = "counting"

        def __init__(self) -> None:  # super().__init__() was forgotten
            self.n = 0

        def update(self, output, target) -> None:
            self.n += len(target)

        def compute(self) -> int:
            return self.n

        def reset(self) -> None:
            self.n = 0

    with pytest.raises(RuntimeError, match=r"(?s)keeps what it counts in Python.*compiled = False in Counting"):
        trainer(metrics=[Counting()]).fit((X, Y))
    Counting.compiled = False
    history = trainer(metrics=[Counting()]).fit((X, Y), epochs=2, validation=(X[:50], Y[:50]))
    assert history["counting"] == [70, 70] and history["val_counting"] == [50, 50]

    def by_numpy(output, target):
        return np.mean(np.asarray(output).argmax(1) == np.asarray(target))

    with pytest.raises(RuntimeError, match=r"in the metric by_numpy: use el's functions, or a class with"):
        trainer(metrics=[by_numpy]).fit((X, Y))


def test_a_function_of_dicts_is_a_metric() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 2)

        def forward(self, x):
            return {"classes": self.a(x)}

    def right(output, target):
        return (output["classes"].argmax(1) == target["classes"]).astype(el.float32).mean()

    def loss(output, target):
        return nn.functional.cross_entropy(output["classes"], target["classes"])

    one = Trainer(Both(), "adamw", loss, metrics=[right], progress=False)
    data = {"x": X, "target": {"classes": Y}}
    history = one.fit(data, validation=data)
    found = one.predict({"x": X})["classes"].numpy().argmax(1)
    assert np.isclose(history[-1]["val_right"], (found == Y).mean())


def test_parts_in_evaluation_mode_stay_there() -> None:
    el.manual_seed(0)
    body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
    model = nn.Sequential(body, nn.Linear(8, 2))
    body.requires_grad_(False)
    body.eval()
    one = Trainer(model, "adamw", "cross_entropy", progress=False)
    before = [buffer.numpy().copy() for buffer in model.buffers()]
    one.fit((X, Y), epochs=2, validation=(X, Y))
    one.find_lr((X, Y), steps=10)
    one.fit((X, Y))
    assert all((a == b.numpy()).all() for a, b in zip(before, model.buffers(), strict=True))
    body.train()  # thawed
    one.fit((X, Y))
    assert any((a != b.numpy()).any() for a, b in zip(before, model.buffers(), strict=True))
    whole = Trainer(model.eval(), "adamw", "cross_entropy", progress=False)
    before = [buffer.numpy().copy() for buffer in model.buffers()]
    whole.fit((X, Y))  # all of it was in evaluation mode: that says nothing
    assert any((a != b.numpy()).any() for a, b in zip(before, model.buffers(), strict=True))


def test_weights_of_classes_may_be_a_list_or_an_array() -> None:
    figures = [
        trainer(loss=nn.CrossEntropyLoss(weight=weight)).fit((X, Y))["loss"]
        for weight in ([1.0, 3.0], np.array([1.0, 3.0]), el.asarray([1.0, 3.0]))
    ]
    assert figures[0] == figures[1] == figures[2]


def test_an_error_in_a_worker_names_the_users_line() -> None:
    pipe = el.data.from_arrays(X, Y).map(lambda sample: (sample[0], print)).batch(8).workers(1)
    with pytest.raises(DTypeError) as caught:
        list(pipe)
    assert "process.py" not in str(caught.value) and "test_train_habits.py" in str(caught.value)
