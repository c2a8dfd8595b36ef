"""Will this flight be late? A network with embeddings, and the trees that it has to beat.

    python examples/flights.py                                all of it: training, figures
    elinvar train examples/flights.py rate=2e-3 --save flights.safetensors
    elinvar eval examples/flights.py --checkpoint flights.safetensors
    elinvar predict examples/flights.py --checkpoint flights.safetensors --output said.csv
    elinvar baseline examples/flights.py

336,776 flights from New York City in 2013 (`el.data.nyc_flights`). A flight counts as late if it
arrives more than 15 minutes after the plan, or does not arrive. What is known is the plan, and the
weather at the origin an hour before departure. Learnt from January to September, chosen by
October, tested on November and December. docs/examples-flights.md has the figures.
"""

import numpy as np

import elinvar as el
from elinvar import nn

rate = 3e-3
epochs = 6
batch_size = 1024
width = 128
ema = 0.999

# ---- the table -------------------------------------------------------------------------------

flights, weather = el.data.nyc_flights()
CATEGORIES = ("carrier", "origin", "dest", "hour", "weekday")
WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")


def hours_of(table):
    """Hours since the year began, and the day of the week; 1 January 2013 was a Tuesday."""
    before = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30])
    day = before[table["month"] - 1] + table["day"] - 1
    return day * 24 + table["hour"], (day + 1) % 7


def weather_before(origins, hours):
    """Measurements at the origin an hour before, (N, 9); what is missing is the hour before's."""
    airports = np.unique(origins)
    grid = np.full((len(airports), 365 * 24, len(WEATHER) + 2), np.nan)
    angle = np.deg2rad(weather["wind_dir"])
    wind = [f(angle) * weather["wind_speed"] for f in (np.sin, np.cos)]
    measured = np.stack([*(weather[name] for name in WEATHER), *wind], 1)
    keep = np.isin(weather["origin"], airports)
    place = np.searchsorted(airports, weather["origin"][keep])
    grid[place, hours_of(weather)[0][keep]] = measured[keep]
    known = np.where(np.isnan(grid), 0, np.arange(grid.shape[1])[:, None])
    newest = np.maximum.accumulate(known, axis=1)  # the last hour with a measurement
    filled = np.nan_to_num(np.take_along_axis(grid, newest, 1))
    return filled[np.searchsorted(airports, origins), np.maximum(hours - 1, 0)]


hours, weekday = hours_of(flights)
order = np.argsort(hours * 60 + flights["minute"], kind="stable")
columns = {**flights, "weekday": weekday}
kinds = {name: np.unique(columns[name], return_inverse=True) for name in CATEGORIES}
_, same_hour = np.unique(hours * 4 + kinds["origin"][1], return_inverse=True)
arrival = flights["sched_arr_time"] // 100 + flights["sched_arr_time"] % 100 / 60
numbers = np.column_stack([
    flights["minute"], arrival, flights["distance"],
    np.bincount(same_hour)[same_hour],  # planned departures from there in that hour
    weather_before(flights["origin"], hours),
])  # fmt: skip
learnt = flights["month"] <= 9
numbers = (numbers - numbers[learnt].mean(0)) / (numbers[learnt].std(0) + 1e-6)
codes = [kinds[name][1] for name in CATEGORIES]
table = np.column_stack([*codes, numbers]).astype(np.float32)
late = (~(flights["arr_delay"] <= 15)).astype(np.int64)  # NaN: it did not arrive


def part(first, last):
    """The flights of some months, in the order in which they leave."""
    which = order[(flights["month"][order] >= first) & (flights["month"][order] <= last)]
    return table[which], late[which]


data, validation, test = part(1, 9), part(10, 10), part(11, 12)
categorical = range(len(CATEGORIES))  # columns that `elinvar baseline` tells the trees of

# ---- the network -------------------------------------------------------------------------------


class LateFlights(nn.Module):
    """A row of codes and numbers (N, 5 + 13) → logits of (in time, late) (N, 2)."""

    def __init__(self):
        super().__init__()
        sizes = [(len(kinds[name][0]), min(16, len(kinds[name][0]))) for name in CATEGORIES]
        self.tables = nn.ModuleList([nn.Embedding(count, size) for count, size in sizes])
        inputs = sum(size for _, size in sizes) + numbers.shape[1]
        self.body = nn.Sequential(
            nn.Linear(inputs, width), nn.SiLU(), nn.Dropout(0.1),
            nn.Linear(width, width), nn.SiLU(), nn.Dropout(0.1), nn.Linear(width, 2),
        )  # fmt: skip

    def forward(self, rows):
        codes = rows[:, : len(CATEGORIES)].long()
        known = [table(codes[:, i]) for i, table in enumerate(self.tables)]
        return self.body(el.concat([*known, rows[:, len(CATEGORIES) :]], 1))


el.manual_seed(0)
model = LateFlights()
trainer = el.Trainer(
    model,
    el.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01),
    "cross_entropy",
    metrics=["accuracy", "auroc", "average_precision"],
    schedule="one_cycle",
    ema=ema,
)

if __name__ == "__main__":
    trainer.fit(data, epochs, validation=validation, batch_size=batch_size)
    print(f"{late.mean():.1%} of the flights are late, of those for testing {test[1].mean():.1%}")
    for name, figure in trainer.evaluate(test).items():
        print(f"{name:<18} {figure:.4f}")
