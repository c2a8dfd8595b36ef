"""Training that waits for a cleaner grid: the bits, the deadline, pauses, signals, outages."""

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import elinvar as el
from elinvar import cli
from elinvar.carbon import Account, Forecast, Reading, Schedule
from elinvar.core.errors import RemoteError
from elinvar.train import CarbonAware, carbon_aware, sleeping
from tests.test_trainer import made, task

pytestmark = pytest.mark.any_level
HOUR = 3600.0
START = 1_790_000_000.0 // (24 * HOUR) * 24 * HOUR  # a midnight
ROOT = Path(__file__).resolve().parent.parent


class Clock:
    """Time that passes when a step is done, and when somebody sleeps."""

    def __init__(self, now: float = START) -> None:
        self.now, self.naps = now, 0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.naps += 1


class Steps(el.train.Callback):
    """Each step takes so long."""

    def __init__(self, clock: Clock, seconds: float = 600.0) -> None:
        self.clock, self.seconds, self.times = clock, seconds, []

    def on_step_end(self, trainer) -> None:
        self.clock.now += self.seconds
        self.times.append(self.clock.now)


class Watts:
    """A meter on that clock: 100 W while it runs."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.running, self.since = clock, False, 0.0
        self.joules = self.grams = self.seconds = 0.0
        self.place = el.carbon.Intensity(0.0, "none")

    def start(self) -> "Watts":
        self.since, self.running = self.clock.now, True
        return self

    def read(self) -> Reading:
        if self.running:
            joules = 100.0 * (self.clock.now - self.since)
            self.joules, self.grams = self.joules + joules, self.grams + self.place.grams(joules)
            self.since = self.clock.now
        return Reading(self.joules, self.seconds, self.grams, False, "watts", self.place.source, False)

    def stop(self) -> Reading:
        found, self.running = self.read(), False
        return found

    @property
    def intensity(self):
        return self.place

    @intensity.setter
    def intensity(self, value) -> None:
        self.read()
        self.place = value


def days(*grams: float, count: int = 4) -> Forecast:
    """Days whose hours cost so much (each value for an equal part of the day)."""
    part = 24 // len(grams)
    return Forecast.of([(START + h * HOUR, float(grams[h % 24 // part])) for h in range(24 * count)])


DIRTY_MORNING = days(300, 300, 80, 80)


def trained(clock: Clock, aware: CarbonAware | None, **options):
    steps = Steps(clock)
    trainer = made(callbacks=[steps, *([aware] if aware else [])], **options)
    trainer.energy = Account(Watts(clock))
    return trainer, steps


def aware_of(clock: Clock, forecast=DIRTY_MORNING, deadline="+24h", **options) -> CarbonAware:
    options = {"quiet": True, "clock": clock, "sleep": clock.sleep, "shortest": 600.0, "pause_cost": 10.0, **options}
    return CarbonAware(forecast, deadline, options.pop("budget", None), **options)


def bits(trainer) -> list[bytes]:
    state = {**trainer.model.state_dict()}
    return [value.numpy().tobytes() for value in state.values()]


def same_losses(one, two) -> bool:
    return one.history["loss"] == two.history["loss"] and bits(one) == bits(two)


# 50 samples in batches of 10: 5 steps an epoch, 600 s each; 6 epochs are 5 hours.
RUN = {"epochs": 6, "batch_size": 10}


def data():
    return tuple(part[:50] for part in task(50))


@functools.cache
def plain():
    trainer = made()
    trainer.fit(data(), **RUN)
    return trainer


def test_a_run_that_pauses_has_the_bits_of_one_that_does_not(tmp_path) -> None:
    clock = Clock()
    aware = aware_of(clock, folder=tmp_path, shortest=1800.0)
    trainer, steps = trained(clock, aware)
    trainer.fit(data(), **RUN)
    assert same_losses(trainer, plain())
    report = aware.report
    # Its length is not known at first: it begins at once, and pauses as soon as it is.
    assert report["pauses"] >= 1 and report["deadline_kept"] and report["saved"] > 0.5
    assert clock.now <= START + 24 * HOUR and (tmp_path / "paused.safetensors").exists()
    assert report["grams_co2e"] < report["grams_co2e_at_once"] and report["paused_seconds"] > 10 * HOUR
    assert steps.times[0] == START + 600 and steps.times[1] > START + 12 * HOUR
    assert "less" in aware.text() and "kept" in aware.text()
    paused = [row.get("paused", 0.0) for row in trainer.history.rows]
    assert sum(paused) == pytest.approx(report["paused_seconds"])
    assert trainer.history.rows[0]["seconds"] < 60  # of training; the pause was no part of it


def test_with_hours_it_waits_before_the_first_step() -> None:
    clock = Clock()
    aware = aware_of(clock, hours=5, exit_when_paused=False)
    trainer, steps = trained(clock, aware)
    trainer.fit(data(), **RUN)
    assert START + 12 * HOUR <= steps.times[0] - 600 <= START + 12.1 * HOUR
    assert aware.report["pauses"] == 1 and aware.report["saved"] == pytest.approx(1 - 80 / 300, abs=0.02)
    assert aware.report["grams_co2e"] == pytest.approx(5 * 0.1 * 80, rel=0.02)  # 5 h, 100 W, 80 g/kWh
    assert trainer.energy.total.grams == pytest.approx(aware.report["grams_co2e"], rel=0.02)
    assert aware.report["grams_co2e"] == pytest.approx(5 * 0.1 * 80, rel=0.02)  # 5 h, 100 W, 80 g/kWh
    assert trainer.energy.total.grams == pytest.approx(aware.report["grams_co2e"], rel=0.02)
    planned = aware.report["grams_co2e_planned"]
    assert planned == pytest.approx(aware.report["grams_co2e"], rel=0.05)
    assert trainer.energy.as_dict()["grid"].startswith("forecast: ")
    assert same_losses(trainer, plain())


@pytest.mark.parametrize("room", [1.0, 1.02, 1.15, 1.5, 2.5, 4.0])
@pytest.mark.parametrize("pace", [1.0, 0.7, 1.08])
def test_deadlines_are_kept_whatever_the_room(room, pace) -> None:
    """5 hours are said; they take 3.5 to 5.4. The forecast always promises better hours later."""
    falling = Forecast.of([(START + h * HOUR, 500.0 - 4 * h) for h in range(96)])
    clock = Clock()
    aware = aware_of(clock, falling, timedelta(hours=5 * room), hours=5)
    trainer = made(callbacks=[Steps(clock, 600.0 * pace), aware])
    trainer.fit(data(), **RUN)
    at_once = START + 5 * HOUR * pace
    assert clock.now <= max(START + 5 * HOUR * room, at_once) + 1
    assert aware.report["deadline_kept"] == (clock.now <= START + 5 * HOUR * room)
    if room >= 2.5:
        assert aware.report["saved"] > 0


def test_it_runs_when_training_gets_slower_than_thought() -> None:
    """The pace falls to a half in the midst; all slack is used up, then it runs without a pause."""

    class Slower(Steps):
        def on_step_end(self, trainer) -> None:
            self.seconds = 600.0 if trainer.epoch < 2 else 1200.0
            super().on_step_end(trainer)

    clock = Clock()
    aware = aware_of(clock, days(300, 80, 300, 80, 300, 80), "+14h", hours=5)
    trainer = made(callbacks=[Slower(clock), aware])
    trainer.fit(data(), **RUN)
    assert aware.report["deadline_kept"] and aware.report["pauses"] >= 1


def test_a_budget_is_kept_and_the_end_is_early() -> None:
    clock = Clock()
    once = aware_of(clock, hours=5).simulate(now=START)
    watts = 100.0
    budget = 5 * 0.1 * 200  # grams, at 200 g/kWh on average
    aware = aware_of(clock, DIRTY_MORNING, None, hours=5, budget=budget, watts=watts)
    plan = aware.simulate(now=START)
    assert plan.keeps_budget and plan.grams <= budget and plan.end < START + 16 * HOUR
    assert plan.grams > once.grams  # it does not wait for the very best
    assert not aware_of(clock, DIRTY_MORNING, None, hours=5, budget=1.0).simulate(now=START).keeps_budget
    assert "cannot be kept" in str(aware_of(clock, DIRTY_MORNING, None, hours=5, budget=1.0).simulate(now=START))


def test_it_can_leave_the_process_and_go_on(tmp_path, capsys) -> None:
    clock = Clock()
    tries, file = 0, None
    while True:
        tries += 1
        aware = aware_of(clock, folder=tmp_path, exit_when_paused=True, hours=5, quiet=False)
        trainer, _ = trained(clock, aware)
        try:
            trainer.fit(data(), **RUN, resume=file)
            break
        except SystemExit as leaving:
            assert leaving.code == carbon_aware.PAUSED == 75
            text = capsys.readouterr().err
            assert f"go on then with fit(…, resume={str(tmp_path / 'paused.safetensors')!r})" in text
            file = tmp_path / "paused.safetensors"
            clock.now += 1.5 * HOUR  # a timer starts it anew now and then
    assert tries > 3 and same_losses(trainer, plain())
    report = aware.report
    assert report["start"] == START and report["deadline"] == START + 24 * HOUR  # of the first start
    assert report["deadline_kept"] and report["saved"] > 0.5
    assert report["pauses"] == 1 and report["paused_seconds"] == pytest.approx((tries - 1) * 1.5 * HOUR)


def test_a_recorded_run_that_left_goes_on_in_its_folder(tmp_path, capsys) -> None:
    clock = Clock()
    aware = aware_of(clock, exit_when_paused=True)
    trainer, _ = trained(clock, aware, record=el.train.Recording(tmp_path, "one"))
    with pytest.raises(SystemExit) as leaving:
        trainer.fit(data(), **RUN)
    assert leaving.value.code == 75 and trainer.step == 1
    clock.now = START + 14 * HOUR
    again = aware_of(clock, exit_when_paused=True)
    trainer, _ = trained(clock, again, record=el.train.Recording(tmp_path, "one"))
    trainer.fit(data(), **RUN, resume=tmp_path / "one")
    assert same_losses(trainer, plain()) and again.report["deadline_kept"]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
    ends = [json.loads(line) for line in (tmp_path / "one" / "processes.jsonl").read_text().splitlines()]
    kept = [row["energy"]["carbon_aware"] for row in ends if "carbon_aware" in row.get("energy", {})]
    assert kept[-1] == json.loads(json.dumps(again.report)) and again.report["saved"] > 0.5
    assert cli.main(["carbon", "report", "one", "--folder", str(tmp_path)]) == 0
    assert "% less than at once" in capsys.readouterr().out


def test_new_forecasts_are_planned_with_and_outages_are_lived_through(capsys) -> None:
    clock = Clock()
    asked = []

    def again() -> Forecast:
        asked.append(clock.now)
        if len(asked) < 3:
            raise RemoteError("[grid] the server is out of order (503)")
        return replace(days(300, 300, 300, 40), again=again)

    aware = aware_of(clock, replace(DIRTY_MORNING, again=again), hours=5, quiet=False)
    trainer, steps = trained(clock, aware)
    trainer.fit(data(), **RUN)
    assert len(asked) > 5 and aware.report["deadline_kept"]
    assert steps.times[0] >= START + 17 * HOUR  # the evening has become the clean time
    text = capsys.readouterr().err
    assert text.count("no newer forecast: [grid] the server is out of order (503)") == 1
    assert same_losses(trainer, plain())


def test_a_forecast_that_ended_is_no_reason_to_wait() -> None:
    clock = Clock(START + 30 * 24 * HOUR)
    aware = aware_of(clock, hours=5)
    trainer, _ = trained(clock, aware)
    trainer.fit(data(), **RUN)
    assert aware.report["pauses"] == 0 and clock.now == START + 30 * 24 * HOUR + 5 * HOUR


def test_state_comes_back() -> None:
    clock = Clock()
    aware = aware_of(clock)
    trainer, _ = trained(clock, aware)
    trainer.fit(data(), **RUN)
    other = aware_of(Clock(clock.now + HOUR), deadline="+1h")
    other.load_state_dict(json.loads(json.dumps(aware.state_dict())))
    assert other.report == {**aware.report, "forecast": other.report["forecast"]}


def test_replays_and_other_ends_do_not_wait(monkeypatch) -> None:
    clock = Clock()
    monkeypatch.setattr(carbon_aware, "settings", replace(carbon_aware.settings, replay=Path("x")))
    aware = aware_of(clock, hours=5)
    trainer, _ = trained(clock, aware)
    trainer.fit(data(), **RUN)
    assert clock.naps == 0 and clock.now == START + 5 * HOUR
    monkeypatch.undo()

    class Enough(el.train.Callback):
        def on_step_end(self, trainer) -> None:
            trainer.stop("enough")

    aware = aware_of(clock := Clock())
    trainer = made(callbacks=[Steps(clock), Enough(), aware])
    trainer.fit(data(), **RUN)
    assert clock.naps == 0 and trainer.step == 1


def test_waiting_takes_no_time_on_a_core_and_wakes_at_once() -> None:
    before = time.process_time()
    start = time.monotonic()
    assert not sleeping.wait(0.5)
    assert time.process_time() - before < 0.1 and time.monotonic() - start >= 0.5
    assert signal.set_wakeup_fd(-1) == -1
    found = []
    thread = threading.Thread(target=lambda: found.append(sleeping.wait(0.01)))
    thread.start()
    thread.join()
    assert found == [False]


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_pause_at_once_and_the_run_goes_on_from_there(tmp_path, number, code) -> None:
    script = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
import elinvar as el
from tests.test_trainer import made
from tests.test_carbon_aware import data, RUN
now = time.time()
forecast = el.carbon.Forecast.of([(now - 3600 + 3600 * h, 300.0 if h < 4 else 50.0) for h in range(24)])
aware = el.train.CarbonAware(forecast, "+20h")
class Late(el.train.Callback):
    def on_step_end(self, trainer):
        if trainer.step == 3:
            aware._next_look = 0.0
            aware._need = lambda trainer: 7200.0
            aware._since = now - 7200
trainer = made(callbacks=[Late(), aware], folder={str(tmp_path)!r})
trainer.fit(data(), **RUN)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "paused after step 3" in line:
                break
        time.sleep(0.3)
        start = time.monotonic()
        process.send_signal(number)
        rest = process.stderr.read()
        process.wait(30)
    assert time.monotonic() - start < 10, "it went on sleeping"
    assert process.returncode in (code, -number, 1), (process.returncode, rest)
    assert "after step 3" in rest and "interrupted.safetensors" in rest, "".join(lines) + rest
    trainer = made(folder=tmp_path, callbacks=[el.train.Callback(), el.train.Callback()])
    trainer.fit(data(), **RUN, resume=tmp_path / "interrupted.safetensors")
    assert same_losses(trainer, plain())


def test_looking_at_the_clock_costs_nothing() -> None:
    aware = CarbonAware(DIRTY_MORNING, "+24h", quiet=True)
    aware._next_look = float("inf")
    trainer = made()
    start = time.process_time()
    for _ in range(10_000):
        aware.on_step_end(trainer)
    assert (time.process_time() - start) / 10_000 < 20e-6


def test_wrong_wishes() -> None:
    with pytest.raises(ValueError, match=r"needs a deadline or a budget"):
        CarbonAware(DIRTY_MORNING)
    with pytest.raises(TypeError, match=r"must be an el\.carbon\.Forecast, received str"):
        CarbonAware("grid.csv", "+1h")
    with pytest.raises(TypeError, match="has its own deadline"):
        CarbonAware(Schedule(DIRTY_MORNING, "+1h"), "+2h")
    for options, text in (({"budget": -1.0}, "budget must be above 0"), ({"hours": 0}, "hours must be above 0"), ({"safety": -0.1}, "safety must be 0 or more"), ({"hours": float("nan")}, "hours must be")):
        with pytest.raises(ValueError, match=text):
            CarbonAware(DIRTY_MORNING, "+1h", **options)
    with pytest.raises(ValueError, match="how many hours"):
        CarbonAware(DIRTY_MORNING, "+1h").simulate()
    assert np.isfinite(CarbonAware(DIRTY_MORNING, "+1h").simulate(1.0).grams)


def test_data_without_a_length_are_known_after_an_epoch() -> None:
    class Endless:
        def __iter__(self):
            x, y = data()
            return iter([(x[i : i + 10], y[i : i + 10]) for i in range(0, 50, 10)])

    clock = Clock()
    aware = aware_of(clock)
    trainer, steps = trained(clock, aware)
    trainer.fit(Endless(), epochs=6)
    report = aware.report
    assert report["pauses"] == 1 and report["deadline_kept"] and steps.times[5] < START + 2 * HOUR < steps.times[7]


def test_a_budget_alone_waits_for_the_end_of_the_first_forecast_at_most() -> None:
    """Each new forecast has a cleaner tomorrow; it does not wait for all of them."""
    clock = Clock()

    def again() -> Forecast:
        rows = [(clock.now + h * HOUR, 500.0 - 10 * h) for h in range(24)]
        return replace(Forecast.of(rows), again=again)

    aware = aware_of(clock, again(), None, hours=5, budget=1.0)
    trainer, _ = trained(clock, aware)
    trainer.fit(data(), **RUN)
    assert clock.now <= START + 25 * HOUR and aware.report["budget_kept"] is False
    assert "exceeded" in aware.text()
