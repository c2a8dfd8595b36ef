"""Energy and carbon: the meter's sources, the carbon of a kilowatt-hour, a training run's account."""

import importlib.util
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import elinvar as el
from elinvar.carbon import codecarbon_files, codecarbon_meter, grid, processor, words
from elinvar.carbon import meter as meter_
from elinvar.carbon.counters import Counters
from elinvar.core.errors import DataError, DataMissingError, ValueRangeError
from elinvar.core.settings import Settings, settings
from tests.test_trainer import made, task

pytestmark = pytest.mark.any_level
has_codecarbon = importlib.util.find_spec("codecarbon") is not None
ROOT = Path(__file__).resolve().parent.parent


def zone(folder: Path, name: str, value: int, *, what: str = "package-0", limit: int = 10**9 - 1) -> Path:
    found = folder / name
    found.mkdir(parents=True)
    (found / "name").write_text(what + "\n")
    (found / "energy_uj").write_text(f"{value}\n")
    (found / "max_energy_range_uj").write_text(f"{limit}\n")
    return found


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(1000))


# ---- counters ----------------------------------------------------------------------------------


def test_counters_are_summed_over_packages_and_begin_anew(tmp_path) -> None:
    one = zone(tmp_path, "intel-rapl:0", 999_000_000)
    two = zone(tmp_path, "intel-rapl:1", 5_000_000, what="package-1")
    zone(tmp_path, "intel-rapl:0:0", 777, what="core")  # a part of a package
    zone(tmp_path, "intel-rapl:2", 888, what="psys")  # the whole platform: the packages again
    counters = Counters(tmp_path)
    assert counters and counters.read() == 0
    (one / "energy_uj").write_text("1000000")  # it began anew at 10⁹
    (two / "energy_uj").write_text("7500000")
    assert counters.read() == pytest.approx(2.0 + 2.5)
    (two / "energy_uj").write_text("8500000")
    assert counters.read() == pytest.approx(5.5)


def test_a_counter_that_two_dies_show_counts_once(tmp_path) -> None:
    dies = [zone(tmp_path, f"intel-rapl:{i}", 7_000_000 + i, what=f"package-{i}") for i in range(2)]
    counters = Counters(tmp_path)
    for die in dies:
        (die / "energy_uj").write_text("9000000")
    assert counters.read() == pytest.approx(2.0)


@pytest.mark.parametrize("broken", ["", "much", None])
def test_counters_that_cannot_be_read_are_none(tmp_path, broken) -> None:
    found = zone(tmp_path, "intel-rapl:0", 5)
    (found / "energy_uj").unlink() if broken is None else (found / "energy_uj").write_text(broken)
    assert not Counters(tmp_path)
    assert not Counters(tmp_path / "nowhere")


def test_measured_where_counters_can_be_read_and_estimated_once_they_are_gone(tmp_path) -> None:
    found = zone(tmp_path, "intel-rapl:0", 1_000_000)
    meter = el.carbon.Meter(place=360.0, folder=tmp_path).start()
    (found / "energy_uj").write_text("101000000")
    reading = meter.read()
    assert reading.joules == pytest.approx(100.0) and not reading.estimated
    assert reading.grams == pytest.approx(100.0 / 3.6e6 * 360.0)
    assert "RAPL" in reading.source and "estimated" not in str(reading)
    (found / "energy_uj").unlink()
    burn(0.02)
    later = meter.stop()
    assert 100.1 < later.joules < 120 and later.estimated and "(estimated)" in str(later)


def test_counters_are_read_often_enough_in_long_epochs(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(meter_, "OFTEN_ENOUGH", 0.01)
    found = zone(tmp_path, "intel-rapl:0", 0, limit=999_999)
    meter = el.carbon.Meter(folder=tmp_path).start()
    for value in (600_000, 200_000, 800_000, 400_000):  # each 0.6 J later, around 1 J
        (found / "next").write_text(str(value))
        (found / "next").replace(found / "energy_uj")
        seen = meter._counters._last[found]
        end = time.monotonic() + 5
        while seen != value and time.monotonic() < end:
            time.sleep(0.005)
            seen = meter._counters._last[found]
    assert meter.stop().joules == pytest.approx(2.4)
    end = time.monotonic() + 5
    while any(t.name == "elinvar-rapl" for t in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.005)
    assert not any(t.name == "elinvar-rapl" for t in threading.enumerate())


# ---- estimates ---------------------------------------------------------------------------------


def test_an_estimate_is_the_time_on_cores_times_watts(tmp_path) -> None:
    with el.carbon.track(place=100.0, watts=7.0) as energy:
        before = time.process_time()
        burn(0.05)
        spent = time.process_time() - before
        during = energy.joules
    if energy.estimated:
        assert during >= 7 * spent and energy.joules == pytest.approx(7 * spent, rel=0.5, abs=0.3)
        assert "7 W a busy core" in energy.reading.source
    assert energy.joules == energy.joules and energy.seconds >= 0.05  # it stands still now
    assert energy.grams == pytest.approx(energy.joules / 3.6e6 * 100.0)


def test_the_time_of_workers_counts_while_they_run_and_after() -> None:
    clock = processor.ProcessorTime()
    before, own = clock.read(), time.process_time()
    code = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass\nprint(1, flush=True)\ninput()"
    worker = subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    worker.stdout.readline()
    during = clock.read() - before - (time.process_time() - own)
    worker.communicate(b"\n")
    after = clock.read() - before - (time.process_time() - own)
    if Path("/proc/self/task").exists():
        assert during >= 0.35
    assert after >= 0.35 and after >= during - 0.02
    assert clock.read() >= before + after


def test_watts_come_from_the_processors_name(tmp_path, monkeypatch) -> None:
    table = tmp_path / "power.csv"
    table.write_text("Name,TDP\nAMD EPYC 9354,280.0\nIntel Xeon Platinum 8380,270\n")
    monkeypatch.setattr(processor, "file_of", lambda name: table)
    info = tmp_path / "cpuinfo"
    core = "processor : {}\nmodel name\t: AMD EPYC 9354 32-Core Processor\nphysical id\t: {}\nflags\t\t: fpu sse{}\n"
    info.write_text("".join(core.format(i, i // 64, "") for i in range(128)))
    watts, why = processor.watts_per_core.__wrapped__(info)
    assert watts == pytest.approx(280 * 2 / 128) and "280 W" in why
    info.write_text(core.format(0, 0, " hypervisor"))  # who knows how many cores are not ours
    assert processor.watts_per_core.__wrapped__(info)[0] == 10.0
    info.write_text(core.replace("9354", "1111").format(0, 0, ""))
    assert processor.watts_per_core.__wrapped__(info)[0] == 10.0
    table.write_text("garbage")
    assert processor.watts_per_core.__wrapped__(info)[0] == 10.0
    assert processor.watts_per_core.__wrapped__(tmp_path / "none")[0] == 10.0
    assert processor._plain("Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz") == processor._plain("Intel Xeon Platinum 8380")


def test_a_reading_is_cheap() -> None:
    meter = el.carbon.Meter().start()
    start = time.process_time()
    for _ in range(100):
        meter.read()
    assert (time.process_time() - start) / 100 < 0.005  # one a second: half a per cent at the very most
    meter.stop()


# ---- codecarbon --------------------------------------------------------------------------------


class Measured:
    """Stands for codecarbon's thread, on a machine where it measures."""

    def __init__(self) -> None:
        self.cpu_joules, self.gpu_joules, self.source, self.settled = None, 0.0, "windows_emi", False

    def refresh(self) -> None:
        if self.cpu_joules is not None:
            self.cpu_joules += 20.0


def test_what_codecarbon_measures_goes_before_an_estimate(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(meter_, "useful", lambda gpu: True)
    watch = Measured()
    monkeypatch.setattr(meter_, "shared", lambda: watch)
    meter = el.carbon.Meter(place=360.0, folder=tmp_path).start()
    burn(0.02)
    early = meter.read()
    assert early.estimated and early.joules > 0.1  # it is being set up
    watch.cpu_joules, watch.settled = 50.0, True
    reading = meter.read()
    assert reading.joules == pytest.approx(50.0) and not reading.estimated  # in place of the estimate
    assert reading.grams == pytest.approx(50.0 / 3.6e6 * 360) and "codecarbon (windows_emi)" in reading.source
    assert meter.stop().joules == pytest.approx(70.0)
    watch.cpu_joules = 500.0  # others' work between
    meter.start()
    watch.cpu_joules = 550.0
    assert meter.read().joules == pytest.approx(70.0 + 30.0)  # from 520 on
    watch.cpu_joules, watch.gpu_joules = None, 5.0
    gpu = el.carbon.Meter(folder=tmp_path, gpu=True, watts=1.0).start()
    burn(0.02)
    watch.gpu_joules = 9.0
    found = gpu.stop()
    assert 4.0 < found.joules < 5.0 and found.estimated  # the processor is not measured here


def test_plain_linux_machines_have_no_need_of_codecarbon(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", object())
    assert not codecarbon_meter.useful(True)  # the user's own tracker runs: keep out of its log
    monkeypatch.delitem(sys.modules, "codecarbon")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    assert not codecarbon_meter.useful(True)


@pytest.mark.slow
@pytest.mark.skipif(not has_codecarbon, reason="codecarbon is not installed")
def test_codecarbon_leaves_no_trace(tmp_path) -> None:
    """No file, no word, no connection, no signal handler; and what it tells is taken."""
    code = """
import logging, os, signal, socket, sys
before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
def no(*a, **k):
    print("CONNECTS", a)
    raise OSError("no network")
socket.socket.connect = no
socket.getaddrinfo = no
from elinvar.carbon import codecarbon_meter
codecarbon_meter.MEASURED += ("cpu_load", "constant")  # as if it measured what it estimates here
meter = codecarbon_meter.CodecarbonMeter(0.2)
import time
end = time.monotonic() + 120
while not meter.settled and time.monotonic() < end:
    time.sleep(0.1)
time.sleep(1)
assert meter._thread.is_alive() == bool(meter.source), "codecarbon's meter gave up"
meter.refresh(30)
meter.close(30)
assert not meter._thread.is_alive()
assert before == {n: signal.getsignal(n) for n in before}
logging.getLogger("codecarbon").warning("a word")
print("done", meter.source, meter.cpu_joules, meter.gpu_joules)
assert meter.cpu_joules > 0
"""
    environment = {**os.environ, "HOME": str(tmp_path), "CODECARBON_SAVE_TO_API": "true", "CODECARBON_EMISSIONS_ENDPOINT": "http://127.0.0.1:9"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), *sys.path[1:]])
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("done") and not found.stderr, (found.stdout, found.stderr)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


# ---- the carbon of a kilowatt-hour -------------------------------------------------------------


def test_intensities_are_given_set_or_assumed(monkeypatch) -> None:
    assert el.carbon.intensity(56).grams(7.2e6) == 112.0
    assert el.carbon.intensity(" 56.5 ").grams_per_kwh == 56.5
    monkeypatch.setattr(grid, "settings", Settings(1, None, 0, "", False))
    world = el.carbon.intensity()
    assert world.assumed and "2024" in world.source and world.grams_per_kwh == 473.0
    monkeypatch.setattr(grid, "settings", Settings(1, None, 0, "", False, grid="23"))
    said = el.carbon.intensity()
    assert (said.grams_per_kwh, said.source, said.assumed) == (23.0, "ELINVAR_GRID", False)
    assert settings.grid == os.environ.get("ELINVAR_GRID", "")
    for wrong in (-1.0, float("nan"), float("inf"), 1e6, "nan"):
        with pytest.raises(ValueRangeError, match="lies between 0 and 5000"):
            el.carbon.intensity(wrong)
    with pytest.raises(TypeError, match="received bool"):
        el.carbon.intensity(True)


def test_a_country_needs_codecarbons_tables(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(grid, "file_of", lambda name, package="codecarbon": None)
    with pytest.raises(DataMissingError, match=r"(?s)not installed.*elinvar\[carbon\]"):
        el.carbon.intensity("FR")
    monkeypatch.setattr(grid, "settings", Settings(1, None, 0, "", False, grid="FR"))
    fallen = el.carbon.Meter().intensity  # training goes on, and says what it assumed
    assert fallen.assumed and fallen.grams_per_kwh == 473.0 and "'FR'" in fallen.source
    tables = {"codecarbon": tmp_path / "mix.json", "pycountry": tmp_path / "codes.json"}
    tables["codecarbon"].write_text('{"FRA": {"carbon_intensity": 56.0, "country_name": "France", "year": 2023}}')
    tables["pycountry"].write_text('{"3166-1": [{"alpha_2": "FR", "alpha_3": "FRA"}]}')
    monkeypatch.setattr(grid, "file_of", lambda name, package="codecarbon": tables[package])
    for code in ("fr", "FRA"):
        assert el.carbon.intensity(code).source == "France's average of 2023, by codecarbon"
    with pytest.raises(DataMissingError, match="no country 'XX'"):
        el.carbon.intensity("XX")


@pytest.mark.skipif(not has_codecarbon, reason="codecarbon is not installed")
def test_codecarbons_tables_are_where_we_look() -> None:
    assert 10 < el.carbon.intensity("FR").grams_per_kwh < 100 < el.carbon.intensity("POL").grams_per_kwh
    assert codecarbon_files.file_of("data/hardware/cpu_power.csv") is not None
    assert "codecarbon" not in sys.modules or logging.getLogger("codecarbon")


def test_what_comes_after_a_change_of_the_grid_costs_what_it_costs(tmp_path) -> None:
    found = zone(tmp_path, "intel-rapl:0", 0)
    meter = el.carbon.Meter(place=100.0, folder=tmp_path).start()
    (found / "energy_uj").write_text("36000000")
    meter.intensity = el.carbon.Intensity(1000.0, "evening")
    (found / "energy_uj").write_text("72000000")
    assert meter.stop().grams == pytest.approx(0.001 + 0.01)


# ---- accounts ----------------------------------------------------------------------------------


def test_a_trainer_tells_what_epochs_and_predictions_take() -> None:
    trainer = made()
    history = trainer.fit(task(), epochs=3, batch_size=16)
    assert all(row["energy_joules"] > 0 and row["grams_co2e"] > 0 for row in history)
    total = trainer.energy.total
    assert sum(history["energy_joules"]) <= total.joules * 1.0001 and total.seconds > 0
    assert trainer.energy.per_thousand is None and trainer.energy.summary().startswith("this run: ")
    after = trainer.energy.total
    trainer.predict(task()[0])
    thousand = trainer.energy.per_thousand
    assert thousand.joules > 0 and thousand.samples == len(task()[0]) and "1,000 predictions" in trainer.energy.summary()
    assert trainer.energy.total.joules >= after.joules
    trainer.predict(task()[0])  # the first time compiled, and does not count any more
    assert trainer.energy.per_thousand.joules < thousand.joules and trainer.energy.per_thousand.samples == thousand.samples
    other = made()
    other.fit(task(), epochs=2, validation=task(20, 5), batch_size=16)
    assert other.energy.per_thousand.samples == 20 and "1,000 predictions" in other.energy.summary()
    assert other.energy.as_dict()["grams_co2e_per_thousand_predictions"] > 0
    plain = trainer.energy.as_dict()
    assert {"energy_joules", "grams_co2e", "estimated", "source", "grams_co2e_per_thousand_predictions"} <= set(plain)
    assert "energy" in str(history) and "carbon" in str(history)


def test_an_account_goes_on_after_a_stop(tmp_path) -> None:
    first = made()
    first.fit(task(), epochs=1, batch_size=16)
    first.save(tmp_path / "state.safetensors")
    before = first.energy.total
    burn(0.05)
    second = made()
    burn(0.05)
    second.fit(task(), epochs=2, batch_size=16, resume=tmp_path / "state.safetensors")
    total = second.energy.total
    epoch = second.history[-1]
    assert total.joules >= before.joules + epoch["energy_joules"] * 0.999
    assert total.seconds >= before.seconds
    state = second.state_dict()
    del state["energy"]  # as files of earlier versions are
    second.load_state_dict(state)


def test_a_thousand_predictions_of_any_function() -> None:
    calls = []
    found = el.carbon.per_thousand(calls.append, {"x": el.ones(5, 2)}, seconds=0.02, place=56.0)
    assert found.samples == 5 * (len(calls) - 1) and "1,000 predictions: " in str(found)
    assert el.carbon.per_thousand(lambda batch: None, [1, 2, 3], seconds=0.0).samples == 3
    assert el.carbon.per_thousand(lambda batch: None, (el.ones(4), 1), seconds=0.0).samples == 4
    assert el.carbon.per_thousand(lambda batch: None, "abc", samples=2, seconds=0.0).samples == 2
    for batch, text in ((el.ones(0, 2), "no sample"), ((), "no sample"), (7, "pass samples=")):
        with pytest.raises(DataError, match=text):
            el.carbon.per_thousand(lambda batch: None, batch)
    with pytest.raises(ValueRangeError, match="watts of a busy core"):
        el.carbon.Meter(watts=0.0)


def test_words() -> None:
    assert words.carbon(-0.5) == "-0.5 g CO₂e" and words.carbon(0.0) == "0 g CO₂e"
