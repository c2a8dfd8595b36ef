"""Tomorrow's electricity demand, with a band of uncertainty, beside simpler forecasts.

    python examples/electricity.py [EPOCHS [ROUNDS]]     of the network, of the trees

Twelve weeks of England and Wales by half hours (`el.data.electricity_demand`): eight to learn
from, one to choose by, three to be judged on. A forecast is made at each half hour for the next 24
hours, from what was known then. docs/examples-electricity.md has the figures.
"""

import sys
import time

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

import elinvar as el
from elinvar import nn

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 60
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 200
DAY, WEEK = 48, 336  # half hours
QUANTILES = (0.1, 0.5, 0.9)
_, demand = el.data.electricity_demand()
weeks = len(demand) // WEEK
test_begin, held_begin = (weeks - 3) * WEEK, (weeks - 4) * WEEK
scale = demand[:held_begin].std()  # of the weeks to learn from, as all that is learnt
series = ((demand - demand[:held_begin].mean()) / scale).astype(np.float32)


def windows(begin, end):
    """Each origin whose 24 hours to come lie within begin … end, as rows of what is known then.

    Returns:
        recent (N, 48): how the last 24 hours differ from those a week before.
        last (N, 48): the 24 hours to come, a week ago. This is the forecast "as last week".
        place (N,): the origin's half hour within the week.
        target (N, 48): how the 24 hours to come will differ from `last`.
    """
    origins = np.arange(max(begin, WEEK + DAY), end - DAY + 1)
    ahead = origins[:, None] + np.arange(DAY)
    back = ahead - DAY
    return (
        series[back] - series[back - WEEK],
        series[ahead - WEEK],
        origins % WEEK,
        series[ahead] - series[ahead - WEEK],
    )


class Forecaster(nn.Module):
    """What is known at an origin → quantiles of the difference from last week (N, 48, 3)."""

    def __init__(self, width=128):
        super().__init__()
        self.hour, self.weekday = nn.Embedding(DAY, 8), nn.Embedding(7, 4)
        self.body = nn.Sequential(
            nn.Linear(2 * DAY + 12, width), nn.SiLU(), nn.Dropout(0.2),
            nn.Linear(width, width), nn.SiLU(), nn.Dropout(0.2),
            nn.Linear(width, DAY * len(QUANTILES)),
        )  # fmt: skip
        self.straight = nn.Linear(2 * DAY + 12, DAY)  # what is linear need not be learnt twice

    def forward(self, recent, last, place):
        calendar = el.concat([self.hour(place % DAY), self.weekday(place // DAY)], 1)
        known = el.concat([recent, last, calendar], 1)
        found = self.body(known).reshape(-1, DAY, len(QUANTILES))
        return found + self.straight(known)[:, :, None]


def pinball(output, target):
    """The quantile loss: mean of max(q e, (q − 1) e) with the error e = target − output."""
    error = target[:, :, None] - output
    q = el.asarray(np.array(QUANTILES, np.float32))
    return el.maximum(q * error, (q - 1) * error).mean()


train, held, test = (
    windows(0, held_begin), windows(held_begin, test_begin), windows(test_begin, len(series)),
)  # fmt: skip
el.manual_seed(0)
model = Forecaster()
trainer = el.Trainer(
    model,
    el.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.5),
    pinball,
    schedule="one_cycle",
    ema=0.99,
    callbacks=[el.train.EarlyStopping("val_loss", patience=epochs)],  # the best epoch's weights
)
start = time.process_time()
trainer.fit(train, epochs, validation=held, batch_size=64)
seconds = {"network": time.process_time() - start}
quantiles = trainer.predict(test[:3]).numpy()
forecasts = {"network": quantiles[:, :, 1]}


def chosen(candidates):
    """The test forecast of that pair (held, test) which is best on the held week."""
    return min(candidates, key=lambda pair: np.abs(np.asarray(pair[0]) - held[3]).mean())[1]


# The same knowledge for trees: a row for each origin and half hour ahead.
start = time.process_time()


def rows(recent, last, place, target):
    ahead = np.arange(DAY)
    count = len(place)
    moment = (place[:, None] + ahead) % WEEK
    columns = [
        np.broadcast_to(ahead, (count, DAY)), moment % DAY, moment // DAY, last, recent,
        *(np.broadcast_to(recent[:, -k, None], (count, DAY)) for k in (1, 2, 3, 6, 12, 24)),
        np.broadcast_to(recent.mean(1)[:, None], (count, DAY)),
    ]  # fmt: skip
    return np.stack(columns, 2).reshape(count * DAY, -1), target.reshape(-1)


candidates = []
for leaves in (4, 8, 31):
    trees = HistGradientBoostingRegressor(
        loss="absolute_error", max_iter=rounds, max_leaf_nodes=leaves, random_state=0
    ).fit(*rows(*train))
    candidates.append([trees.predict(rows(*part)[0]).reshape(-1, DAY) for part in (held, test)])
forecasts["boosted trees"] = chosen(candidates).astype(np.float32)
seconds["boosted trees"] = time.process_time() - start

# A linear model of the same numbers, by least squares with a small penalty.
start = time.process_time()


def linear_inputs(recent, last, place, target):
    calendar = np.eye(DAY)[place % DAY], np.eye(7)[place // DAY]
    return el.asarray(np.concatenate([recent, last, *calendar], 1).astype(np.float64))


x, y = linear_inputs(*train), el.asarray(train[3].astype(np.float64))
candidates = []
for penalty in (1, 10, 100, 1000):
    weights = el.linalg.solve(x.T @ x + penalty * el.eye(x.shape[1], dtype=el.float64), x.T @ y)
    candidates.append([(linear_inputs(*part) @ weights).numpy() for part in (held, test)])
forecasts["linear, ridge"] = chosen(candidates).astype(np.float32)
seconds["linear, ridge"] = time.process_time() - start

yesterday = series[np.arange(test_begin, len(series) - DAY + 1)[:, None] + np.arange(DAY) - DAY]
forecasts["as yesterday"] = yesterday - test[1]
forecasts["as last week"] = np.zeros_like(test[3])

truth = el.asarray(test[3] * scale)
print(f"{'':<14} MAE, MW  RMSE, MW  CPU s  ({len(truth)} forecasts of 48 half hours)")
for name, found in forecasts.items():
    found = el.asarray(found) * float(scale)
    mae, rmse = el.metrics.MAE()(found, truth), el.metrics.RMSE()(found, truth)
    print(f"{name:<14} {mae:7.0f}  {rmse:8.0f}  {seconds.get(name, 0):5.1f}")
low, high = quantiles[:, :, 0], quantiles[:, :, 2]
inside, width = np.mean((low <= test[3]) & (test[3] <= high)), np.mean(high - low) * scale
print(f"band of 80 %: {inside:.1%} lie in it, {width:.0f} MW wide")
print(f"mean demand of these weeks: {demand[test_begin:].mean():.0f} MW")
