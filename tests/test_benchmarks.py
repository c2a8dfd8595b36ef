"""The benchmarks' own parts: every case of ours runs, the statistics and counts are right."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import elinvar as el
from benchmarks import __main__ as program
from benchmarks import harness, measure, report, roofline
from benchmarks.cases import CASES, Case
from benchmarks.chart import MOST_BARS, bars_of, draw
from benchmarks.engines import ENGINES
from benchmarks.engines.elinvar import Elinvar
from benchmarks.footprint import import_times, install_bytes
from benchmarks.harness import Bench, Options, Turns, Worker, WorkerError, matching
from benchmarks.models import MODELS, batches, tokens, weights
from benchmarks.native import native_weights
from benchmarks.pictures import training_pictures
from benchmarks.plan import plan_of, taps
from benchmarks.sizes import SIZES, TINY
from elinvar.nn import functional

ROOT = Path(__file__).resolve().parent.parent
TINY_CASES = sorted(
    {(case.task, json.dumps(case.tiny)): name for name, case in CASES.items()}.values()
)


@pytest.fixture(scope="module")
def engine() -> Elinvar:
    before = el.get_num_threads()
    yield Elinvar(2)
    el.set_num_threads(before)


# -- our own cases -------------------------------------------------------------------------------


def is_slow(name: str) -> bool:
    """Whether compiling the model takes more than a moment."""
    return CASES[name].tiny.get("model", "mlp") != "mlp" or CASES[name].task == "epoch"


@pytest.mark.any_level
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if is_slow(name) else name for name in TINY_CASES],
)
def test_every_case_of_ours_runs(name: str, engine: Elinvar) -> None:
    case = CASES[name]
    prepared = engine.prepare(case.task, case.tiny)
    value = np.asarray(prepared.fetch(prepared.run()), np.float64)
    assert value.size and np.isfinite(value).all()
    if "model" in case.tiny:
        model = case.tiny["model"]
        assert prepared.parameters == plan_of(model, SIZES[model](*case.tiny["size"])).count


def test_tiny_cases_stand_for_all() -> None:
    """Every case has a tiny copy of the same structure, and each of them is tested above."""
    tested = {(CASES[name].task, json.dumps(CASES[name].tiny)) for name in TINY_CASES}
    for case in CASES.values():
        assert case.tiny.keys() == case.arguments.keys(), case.name
        assert (case.task, json.dumps(case.tiny)) in tested
        assert set(case.engines) <= set(ENGINES) and "elinvar" in case.engines


@pytest.mark.any_level
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("train/")])
def test_training_learns(name: str, engine: Elinvar) -> None:
    """Each step works on another batch; after many rounds through them the loss is lower."""
    case = CASES[name]
    run = engine.prepare(case.task, case.tiny).run
    first = np.mean([run() for _ in range(8)])
    for _ in range(48):
        run()
    assert np.mean([run() for _ in range(8)]) < first


def test_matmul_is_the_product(engine: Elinvar) -> None:
    for left in ("plain", "transposed"):
        for right in ("plain", "transposed"):
            prepared = engine.prepare(
                "matmul", {"m": 3, "n": 4, "k": 5, "left": left, "right": right}
            )
            a = np.random.default_rng(1).standard_normal(
                (3, 5) if left == "plain" else (5, 3), np.float32
            )
            b = np.random.default_rng(2).standard_normal(
                (5, 4) if right == "plain" else (4, 5), np.float32
            )
            expected = (a if left == "plain" else a.T) @ (b if right == "plain" else b.T)
            np.testing.assert_allclose(
                prepared.fetch(prepared.run()), expected, rtol=1e-5, atol=1e-6
            )


# -- plans: parameters and work ------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_plan_names_every_parameter(model: str) -> None:
    net = MODELS[model](el, TINY[model])
    plan = plan_of(model, TINY[model])
    state = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    tracked = {name for name in state if name.endswith("num_batches_tracked")}
    assert {**plan.parameters, **plan.buffers} == {
        n: s for n, s in state.items() if n not in tracked
    }
    assert plan.count == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("pixels", "kernel", "stride"),
    [(8, 3, 1), (8, 3, 2), (7, 3, 2), (8, 1, 2), (4, 3, 1), (8, 4, 4), (1, 3, 1), (9, 5, 1)],
)
def test_taps_are_what_a_convolution_of_ones_counts(pixels: int, kernel: int, stride: int) -> None:
    padding = kernel // 2 if kernel > stride else 0
    ones = el.ones((1, 1, pixels, pixels)), el.ones((1, 1, kernel, kernel))
    found = functional.conv2d(*ones, stride=stride, padding=padding).sum().item()
    assert found == taps(pixels, kernel, stride) ** 2


def test_flops_by_hand() -> None:
    plan = plan_of("mlp", TINY["mlp"])  # 12 → 16 → 16 → 5, batch 4
    forward = [2 * 4 * 12 * 16, 2 * 4 * 16 * 16, 2 * 4 * 16 * 5]
    assert plan.forward == sum(forward)
    assert plan.training == 3 * sum(forward) - forward[0]  # nobody needs the pictures' gradient
    size = SIZES["gpt"]()
    rows, width = size.batch * size.length, size.width
    layer = 2 * rows * width * (3 + 1 + 4 + 4) * width
    attention = 2 * 2 * size.batch * width * (size.length * (size.length + 1) // 2)
    head = 2 * rows * width * size.vocabulary
    assert plan_of("gpt").forward == size.layers * (layer + attention) + head
    assert plan_of("gpt").training == 3 * plan_of("gpt").forward
    assert CASES["matmul/256"].flops == 2 * 256**3
    assert CASES["conv/32px-64-128-k1s2-forward"].flops == 2 * 64 * 16 * 16 * 64 * 128


def test_published_sizes() -> None:
    """ResNet-18 for ten classes has 11.17 million parameters, a body of ViT-tiny 5.4 million."""
    assert plan_of("resnet").count == 11_173_962
    assert 5.3e6 < plan_of("vit").count < 5.5e6


def test_weights_depend_on_names_and_seed() -> None:
    shapes = {"a.weight": (3, 4), "a.bias": (3,), "norm.weight": (3,), "norm.running_var": (3,)}
    first, again, other = (
        weights(shapes),
        weights(dict(reversed(shapes.items()))),
        weights(shapes, 1),
    )
    assert all(np.array_equal(first[name], again[name]) for name in shapes)
    assert not np.array_equal(first["a.weight"], other["a.weight"])
    assert not first["a.bias"].any() and (first["norm.weight"] == 1).all()


@pytest.mark.parametrize("model", MODELS)
def test_native_weights_are_the_same_numbers(model: str) -> None:
    net = MODELS[model](el, TINY[model])
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    expected = weights(shapes)
    parameters, buffers = native_weights(model, TINY[model])
    for name, array in {**parameters, **buffers}.items():
        assert array.flags.c_contiguous
        assert sorted(array.ravel()) == sorted(expected[name].ravel()), name


def test_data_is_the_same_every_time() -> None:
    for model in MODELS:
        once, twice = (batches(model, TINY[model], 2) for _ in range(2))
        for (x, y), (x2, y2) in zip(once, twice, strict=True):
            assert np.array_equal(x, x2) and np.array_equal(y, y2)
            assert len(x) == TINY[model].batch
    rows = tokens(TINY["gpt"], 3)
    assert rows.shape == (3, 2, 7) and 0 <= rows.min() and rows.max() < TINY["gpt"].vocabulary


def test_pictures() -> None:
    images, labels, _ = training_pictures(20)
    assert images.shape == (20, 1, 28, 28) and images.dtype == np.uint8
    assert labels.shape == (20,) and labels.dtype == np.int64 and set(labels) <= set(range(10))


# -- statistics ----------------------------------------------------------------------------------


def test_summary() -> None:
    found = measure.summary([4.0, 1.0, 2.0, 3.0, 100.0])
    assert (found["median"], found["best"]) == (3.0, 1.0)
    assert found["spread"] == pytest.approx((4.0 - 2.0) / 3.0)
    assert found["rounds"] == [4.0, 1.0, 2.0, 3.0, 100.0]
    assert measure.summary([2.0])["spread"] == 0
    with pytest.raises(ValueError, match="no rounds"):
        measure.summary([])


def test_ratio_is_paired_by_round() -> None:
    """A machine that is ten times slower in some rounds does not change the ratio."""
    slow = [1.0, 10.0, 10.0, 1.0, 10.0]
    ours, theirs = [0.5 * s for s in slow], [1.0 * s for s in slow]
    assert measure.ratio(ours, theirs) == 0.5
    with pytest.raises(ValueError, match="2 and 1"):
        measure.ratio([1.0, 2.0], [1.0])


def test_best_peer() -> None:
    results = {
        "elinvar": {"median": 1.0},
        "torch": {"median": 3.0},
        "jax": {"median": 2.0},
        "tensorflow": {"error": "gone"},
    }
    assert measure.best_peer(results) == "jax"
    assert measure.best_peer({"elinvar": {"median": 1.0}, "jax": {"error": "gone"}}) is None


def test_share_of_peak() -> None:
    assert measure.share_of_peak(2.0, 100, 0, 100.0, 1.0) == 0.5  # arithmetic is the limit
    assert measure.share_of_peak(4.0, 100, 2, 100.0, 1.0) == 0.5  # memory is the limit
    assert measure.geometric_mean([0.25, 4.0]) == pytest.approx(1.0)


def entry(ours: list[float], theirs: list[float], **more) -> dict:
    return {
        "what": "", "flops": 0, "traffic": 0, "busy_rounds": 0, "busiest": 0.0,
        "results": {"elinvar": measure.summary(ours), "torch": measure.summary(theirs)},
    } | more  # fmt: skip


PEAKS = {"peak_flops": 100e9, "peak_bandwidth": 10e9}


def test_ratios_and_shares_are_filled_in() -> None:
    made = entry([1.0, 2.0], [2.0, 4.0], flops=30 * 10**9)
    report.add_ratios(made, PEAKS)
    assert made["best_peer"] == "torch" and made["ratio"] == 0.5
    assert made["results"]["elinvar"]["gflops"] == pytest.approx(20.0)
    assert made["results"]["elinvar"]["share"] == pytest.approx(0.2)
    small = entry([1.0], [1.0], traffic=1000)
    report.add_ratios(small, PEAKS)
    assert "share" not in small["results"]["elinvar"]  # it may stay in caches
    alone = entry([1.0], [1.0])
    del alone["results"]["torch"]
    report.add_ratios(alone, None)
    assert "ratio" not in alone


def test_tables() -> None:
    cases = {
        "train/a": entry([1.0], [2.0], flops=10**9),
        "conv/b": entry([1.0], [0.5], flops=10**9),
        "matmul/c": entry([0.5], [0.5], flops=10**9),
    }
    cases["conv/b"]["results"]["jax"] = {"error": "ImportError: no jax"}
    cases["train/a"]["results"]["elinvar"] |= {
        "memory": 5e6,
        "memory_absolute": 9e6,
        "first_cold": 1.5,
    }
    for case in cases.values():
        report.add_ratios(case, PEAKS)
    text = report.full({"cases": cases, "engines": ["elinvar", "torch", "jax"]})
    lines = text.splitlines()
    assert any(
        line.split() == ["train/a", "1.00", "s", "2.00", "s", "—", "PyTorch", "0.50", "1", "1%"]
        for line in lines
    )
    assert any("conv/b" in line and "failed" in line for line in lines)
    assert "JAX failed in conv/b: ImportError: no jax" in lines
    assert any(
        line.split() == ["train/a", "Elinvar", "1.50", "s", "5", "MB", "9", "MB"] for line in lines
    )
    assert any(line.split() == ["conv/b", "1", "50%"] for line in lines)  # of our own best product


def test_different_losses_are_told() -> None:
    made = entry([1.0], [1.0])
    made["results"]["elinvar"]["loss"], made["results"]["torch"]["loss"] = 2.0, 2.00001
    assert report.disagreements({"a": made}) == ""
    made["results"]["torch"]["loss"] = 2.1
    assert (
        report.disagreements({"a": made})
        == "a: first loss of PyTorch 2.1, of Elinvar 2.0: not the same work"
    )
    made["results"]["torch"]["loss"] = math.nan
    assert "nan" in report.disagreements({"a": made})


def test_readable() -> None:
    found = [report.readable(seconds) for seconds in (12.0, 1.0, 0.5, 0.00123, 1e-5)]
    assert found == ["12.0 s", "1.00 s", "500 ms", "1.23 ms", "10.0 µs"]


def test_chart(tmp_path: Path) -> None:
    cases = {f"matmul/{i}": entry([1.0], [2.0]) for i in range(MOST_BARS + 1)}
    cases["train/a"] = entry([3.0], [2.0])
    for case in cases.values():
        report.add_ratios(case, None)
    made = {"cases": cases, "machine": "m", "threads": 2, "when": "today"}
    bars = bars_of(made)
    assert [bar[1] for bar in bars] == [1.5, pytest.approx(0.5)]
    assert bars[1][2] == f"mean of {MOST_BARS + 1} cases, ahead in {MOST_BARS + 1}"
    draw(made, tmp_path / "new" / "chart.png")
    assert (tmp_path / "new" / "chart.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="nothing to draw"):
        draw({**made, "cases": {}}, tmp_path / "chart.png")


# -- workers and turns ---------------------------------------------------------------------------


class FakeWorker:
    """Answers with times from a list; an error where the list says so."""

    def __init__(self, times: list[float | str], log: list[str], name: str) -> None:
        self.times, self.log, self.name = list(times), log, name

    def ask(self, do: str, **rest) -> dict:
        found = self.times.pop(0)
        self.log.append(self.name)
        if isinstance(found, str):
            raise WorkerError(found)
        return {"seconds": found, "cpu": found, "calls": 1, "load": 0.0, "others": 0.0}


def test_turns_are_interleaved_and_rotate() -> None:
    log: list[str] = []
    turns = Turns(Options(engines=(), rounds=3))
    turns.play({name: FakeWorker([1.0, 3.0, 2.0], log, name) for name in "abc"})
    assert "".join(log) == "abcbcacab"
    assert turns.results()["a"]["median"] == 2.0


def test_a_worker_that_fails_leaves_the_game() -> None:
    log: list[str] = []
    turns = Turns(Options(engines=(), rounds=3))
    turns.play(
        {"a": FakeWorker([1.0, "broke", 1.0], log, "a"), "b": FakeWorker([1.0] * 3, log, "b")}
    )
    found = turns.results()
    assert found["a"] == {"error": "broke"} and found["b"]["median"] == 1.0
    assert log.count("a") == 2 and log.count("b") == 3


def test_a_busy_machine_is_told() -> None:
    turns = Turns(Options(engines=()))
    worker = FakeWorker([], [], "a")
    worker.ask = lambda do, **rest: {
        "seconds": 1.0,
        "cpu": 1.0,
        "calls": 1,
        "load": 0.0,
        "others": 0.9,
    }
    turns.take("a", worker)
    assert turns.warnings == ["a: load 0.0, others kept 0.9 CPUs busy"]


OPTIONS = Options(engines=("elinvar",), rounds=2, seconds=0.01, threads=1, timeout=60, tiny=True)


def test_a_real_worker() -> None:
    worker = Worker("elinvar", OPTIONS)
    try:
        assert worker.version == el.__version__
        prepared = worker.ask("prepare", case="train/mlp", tiny=True)
        assert (
            prepared["first_call"] > 0
            and prepared["parameters"] == plan_of("mlp", TINY["mlp"]).count
        )
        assert prepared["loss"] == pytest.approx(math.log(5), rel=0.5)
        found = worker.ask("round", seconds=0.05)
        assert 0 < found["seconds"] < 0.05 and 0.02 < found["seconds"] * found["calls"] < 2
        memory = worker.ask("memory")
        assert 0 < memory["before"] <= memory["peak"]
        with pytest.raises(WorkerError, match="KeyError: 'nothing'"):
            worker.ask("prepare", case="nothing")
        assert worker.ask("round", seconds=0.01)["calls"] >= 1  # it goes on
    finally:
        worker.close()


def test_missing_and_slow_workers_are_told() -> None:
    with pytest.raises(WorkerError, match="No such file"):
        Worker("jax", Options(engines=(), pythons={"jax": "/nowhere/python"}))
    with pytest.raises(WorkerError, match=r"no answer after 0\.001 s"):
        Worker("elinvar", Options(engines=(), timeout=0.001))
    with pytest.raises(WorkerError, match=r"ended early.*No module named benchmarks\.nothing"):
        Worker("elinvar", OPTIONS, module="benchmarks.nothing")


@pytest.mark.slow
def test_cold_and_warm_first_calls_are_measured_apart() -> None:
    bench = Bench(OPTIONS)
    found = bench.run(CASES["train/mlp"])["results"]["elinvar"]
    assert found["first_cold"] > found["first_warm"] > 0  # the second process finds the cache full
    assert 0 < found["memory"] < found["memory_absolute"]
    assert len(found["rounds"]) == 2


@pytest.mark.slow
def test_broken_peers_do_not_stop_a_run() -> None:
    options = Options(
        engines=("elinvar", "tensorflow"),
        rounds=1,
        seconds=0.01,
        tiny=True,
        pythons={"tensorflow": "/nowhere/python"},
    )
    bench = Bench(options)
    try:
        for name in ("eager/adds", "train/mlp", "matmul/64"):
            results = bench.run(CASES[name])["results"]
            assert results["elinvar"]["median"] > 0
            assert "No such file" in results["tensorflow"]["error"]
    finally:
        bench.close()


@pytest.mark.slow
def test_threads_and_busy_machines_are_compared() -> None:
    options = Options(engines=("elinvar",), rounds=2, seconds=0.01, threads=2, tiny=True)
    bench = Bench(options)
    scaled = bench.run(CASES["scaling/mlp"])["results"]
    assert set(scaled) == {"elinvar@1", "elinvar@2"} and scaled["elinvar@2"]["speedup"] > 0
    busy = bench.run(CASES["busy/gpt-4x256"])["results"]
    assert set(busy) == {"elinvar", "elinvar+busy"} and busy["elinvar+busy"]["slowdown"] > 0
    text = report.conditions_table(
        {"scaling/mlp": {"results": scaled}, "busy/gpt": {"results": busy}}
    )
    assert "times as fast" in text and "times as slow" in text


def test_one_thread_is_not_compared_with_itself() -> None:
    bench = Bench(Options(engines=("elinvar",), rounds=1, seconds=0.01, threads=1, tiny=True))
    results = bench.run(CASES["scaling/mlp"])["results"]
    assert set(results) == {"elinvar@1"} and "speedup" not in results["elinvar@1"]


def test_the_busy_process_ends() -> None:
    with harness.BusyProcess() as busy:
        time.sleep(0.05)
        assert busy.process.poll() is None
    assert busy.process.poll() is not None


def test_worker_environment(tmp_path: Path) -> None:
    made = harness.worker_environment(3, tmp_path)
    assert made["ELINVAR_NUM_THREADS"] == made["OMP_NUM_THREADS"] == "3"
    assert made["ELINVAR_CACHE"].startswith(str(tmp_path))
    assert made["TORCHINDUCTOR_CACHE_DIR"].startswith(str(tmp_path))
    assert "TORCHINDUCTOR_CACHE_DIR" not in harness.worker_environment(1, None)


# -- the command ---------------------------------------------------------------------------------


def test_patterns() -> None:
    assert matching(["train/mlp"]) == ["train/mlp"]
    assert matching(["*-weight"], ["a-input", "a-weight"]) == ["a-weight"]
    assert matching([]) == list(CASES)
    assert matching(["nothing"]) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--peers", "caffe"], "no such peer: caffe"),
        (["nothing"], "no case matches nothing"),
        (["--rounds", "0"], "rounds and threads must be at least 1"),
        (["--python", "jax"], "--python takes PEER=PATH"),
    ],
)
def test_wrong_arguments(given: list[str], said: str, capsys) -> None:
    with pytest.raises(SystemExit):
        program.arguments_of(given)
    assert said in capsys.readouterr().err


def test_arguments() -> None:
    found = program.arguments_of(["--peers", "jax,torch", "--python", "jax=/x/python"])
    assert found.engines == ("elinvar", "torch", "jax") and found.pythons["jax"] == "/x/python"
    assert program.arguments_of(["--peers", "none"]).engines == ("elinvar",)


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )


@pytest.mark.slow
def test_the_whole_command(tmp_path: Path) -> None:
    result = command(
        "matmul/64", "eager", "footprint/install", "--tiny", "--peers", "numpy,tensorflow",
        "--python", "tensorflow=/nowhere/python", "--rounds", "2", "--seconds", "0.01",
        "--json", str(tmp_path / "found.json"), "--chart", str(tmp_path / "chart.png"),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert (
        "TensorFlow failed in eager/adds and 1 more: /nowhere/python: No such file" in result.stdout
    )
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["tiny"] and set(found["cases"]) == {"eager/adds", "matmul/64"}
    assert found["cases"]["matmul/64"]["ratio"] > 0
    assert found["footprint"]["footprint/install"]["elinvar"] > 1e6
    assert (tmp_path / "chart.png").exists()


def test_the_list() -> None:
    result = command("--list", "train/")
    assert len(result.stdout.splitlines()) == 8 and "ResNet-18" in result.stdout


def test_footprint() -> None:
    assert 0 < import_times({"json": sys.executable}, 2)["json"] + 1
    assert install_bytes("numpy") > 10e6 and 1e5 < install_bytes("elinvar") < 20e6


# -- the machine's peak --------------------------------------------------------------------------


def test_the_probe_computes_what_it_says() -> None:
    """Each chain is a ← a · x + (1 - x), which goes to 1, so the sum of one lane is CHAINS."""
    probe = roofline.Probe()
    assert probe.fma(200, 0.5) == pytest.approx(roofline.CHAINS)
    elements = probe.width * 8 * 5
    room = np.zeros((2, elements + 32), np.float32)
    places = [row.ctypes.data + -row.ctypes.data % 64 for row in room]
    offsets = [(place - row.ctypes.data) // 4 for place, row in zip(places, room, strict=True)]
    given = room[1, offsets[1] : offsets[1] + elements]
    given[:] = np.arange(elements)
    probe.copy(*places, elements // probe.width)
    assert np.array_equal(room[0, offsets[0] : offsets[0] + elements], given)
    assert not room[0, offsets[0] + elements :].any()
    assert probe.read(*places, elements // probe.width) == given[:: probe.width].sum()


def test_the_peak_is_no_lower_than_a_product() -> None:
    probe = roofline.Probe()
    rates = {
        "fma": roofline.fma_rate(probe, 1, 0.01),
        "numpy": roofline.product_rate("numpy", 1, 128),
    }
    assert all(rate > 1e7 for rate in rates.values())
    found = {
        "threads": 1, "flops": rates, "peak_flops": max(rates.values()), "peak_name": max(rates, key=rates.get),
        "bandwidth": {"read": 1e9}, "peak_bandwidth": 1e9,
    }  # fmt: skip
    assert f"of the {found['peak_name']}" in roofline.describe(found)


def test_threads_run_at_the_same_time() -> None:
    seconds = roofline.on_threads(3, lambda number: time.sleep(0.05))
    assert 0.05 <= seconds < 0.14


def test_case_groups() -> None:
    case = Case("group/name", "", "adds", {}, {})
    assert case.group == "group"
