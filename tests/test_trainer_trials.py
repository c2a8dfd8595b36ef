"""Dry runs, one batch learned by heart, the search for a learning rate and a batch size."""

import numpy as np
import pytest

import elinvar as el
from elinvar import nn
from elinvar.train import Trainer
from tests.test_trainer import made, task, weights


def everything(trainer: Trainer) -> list[object]:
    other = ("data", "metrics", "energy")  # a trial takes energy, which is not given back
    state = {name: part for name, part in trainer.state_dict().items() if name not in other}
    return [x.numpy().tobytes() if isinstance(x, el.Tensor) else x for x in el.tree.leaves(state)]


TRIALS = {
    "find_lr": lambda trainer, data: trainer.find_lr(data, steps=20),
    "find_batch_size": lambda trainer, data: trainer.find_batch_size(data, largest=32, seconds=0.01),
    "overfit": lambda trainer, data: trainer.overfit(data, steps=5),
    "dry run": lambda trainer, data: trainer.fit(data, validation=data, dry_run=True),
}


@pytest.mark.parametrize("name", TRIALS)
@pytest.mark.parametrize("trained", [False, True])
def test_trials_leave_everything_as_it_was(name: str, trained: bool) -> None:
    def prepared() -> Trainer:
        trainer = made(metrics=["accuracy"], ema=0.9)
        if trained:
            trainer.fit(task(), batch_size=16)
        return trainer

    data = task(64)
    tried = prepared()
    before = everything(tried)
    TRIALS[name](tried, data)
    assert everything(tried) == before
    tried.fit(data, epochs=1)
    plain = prepared()
    plain.fit(data, epochs=1)
    assert weights(tried) == weights(plain)


def test_a_rate_is_found_that_learns(tmp_path) -> None:
    x = np.random.default_rng(0).standard_normal((512, 8)).astype(np.float32)
    y = x @ np.arange(8, dtype=np.float32)
    el.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 1), nn.Flatten(0))
    trainer = Trainer(model, "sgd", "mse", progress=False)
    found = trainer.find_lr((x, y), end=10.0, steps=80)
    assert 1e-3 < found.suggestion < 1.0 and f"{found.suggestion:.2g}" in str(found)
    assert len(found.rates) < 80  # it stopped where the loss exploded
    found.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 5000
    trainer.optimizer.param_groups[0]["lr"] = found.suggestion
    history = trainer.fit((x, y), epochs=10)
    assert history[-1]["loss"] < 0.01 * history[0]["loss"]


def test_batch_sizes_are_a_table() -> None:
    found = made().find_batch_size(task(64), smallest=8, largest=1024, seconds=0.01)
    assert found.sizes == [8, 16, 32, 64] and found.suggestion in found.sizes
    assert str(found).count("\n") >= 5 and "samples/s" in str(found)


def test_overfitting_one_batch_passes_or_says_where_to_look() -> None:
    el.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
    trainer = Trainer(model, el.optim.Adam(model.parameters(), lr=0.05), "cross_entropy", progress=False)
    good = trainer.overfit(task(), steps=300, batch_size=8)
    assert good.passed and "learned by heart" in str(good)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model[2].bias.requires_grad = True
    bad = trainer.overfit(task(), steps=30, batch_size=8)
    assert not bad.passed and "frozen" in str(bad)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="0 < start < end"):
        made().find_lr(task(), start=1.0, end=0.1)
    with pytest.raises(ValueError, match="find_lr needs an optimizer"):
        Trainer(nn.Linear(2, 2), loss="mse").find_lr(task())
