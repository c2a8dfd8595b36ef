"""What open sizes cost: training steps compiled for any batch and length, beside fixed ones.

    python -m benchmarks.open_sizes                 # all models
    python -m benchmarks.open_sizes gpt lstm --rounds 9
    python -m benchmarks.open_sizes mlp --clock cpu --threads 1     # on a machine that is busy

Programs of one step live in one process and take turns: the one that was traced with its sizes as
numbers, the one for named sizes (`specs=`), and, on one thread, the object file of `export_native`.
A ratio is the median over rounds of the fixed program's time over the other's in the same round: 1
means that open sizes cost nothing. `new size` is how much longer the first call with sizes takes
that the open program has not met: it works out tables and places, and compiles nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import elinvar as el
from benchmarks.engines.elinvar import Elinvar
from benchmarks.frameworks import Framework
from benchmarks.measure import ratio
from benchmarks.models import MODELS, batches
from benchmarks.report import readable, table
from benchmarks.sizes import SIZES, TINY
from elinvar.tensor.specs import normalize_specs

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
# model → sizes that the figures are about, optimizer, the argument specification
CASES: dict[str, tuple[Any, str, tuple[str, str]]] = {
    "mlp": (SIZES["mlp"](), "sgd", ("f32[batch,{inputs}]", "i64[batch]")),
    "resnet": (SIZES["resnet"](32), "momentum", ("f32[batch,3,{pixels},{pixels}]", "i64[batch]")),
    "gpt": (SIZES["gpt"](), "adamw", ("i64[batch,length]", "i64[batch,length]")),
    "lstm": (SIZES["lstm"](), "adam", ("i64[batch,length]", "i64[batch,length]")),
    "vit": (SIZES["vit"](), "adamw", ("f32[batch,3,{pixels},{pixels}]", "i64[batch]")),
    "unet": (
        SIZES["unet"](),
        "adam",
        ("f32[batch,3,{pixels},{pixels}]", "i64[batch,{pixels},{pixels}]"),
    ),
}


def step_of(engine: Elinvar, model: str, size: Any, optimizer: str) -> Any:
    """A training step with a model of its own, as `el.jit` gives it."""
    framework: Framework = engine.framework
    return engine._step(framework.load(MODELS[model](el, size)), optimizer)


def spec_of(text: str, size: Any) -> el.TensorSpec:
    """The specification of an argument; no text is longer than the model's positions reach."""
    (spec,), _ = normalize_specs("benchmark", text)
    length = el.Dim("length", max=getattr(size, "length", None))
    shape = [length if dim == el.Dim("length") else dim for dim in spec.shape]
    return el.TensorSpec(shape, spec.dtype)


def compare(model: str, chosen: argparse.Namespace) -> list[str]:
    """A row of the table."""
    size, optimizer, specs = CASES[model]
    size = TINY[model] if chosen.tiny else size
    engine = Elinvar(chosen.threads)
    filled = tuple(spec_of(text.format(**size._asdict()), size) for text in specs)
    data = [el.asarray(array) for array in batches(model, size, 1)[0]]
    fixed = step_of(engine, model, size, optimizer)
    plain = step_of(engine, model, size, optimizer).function
    named = el.jit(plain, specs=filled)
    runs: dict[str, Callable[[], Any]] = {
        "fixed": lambda: fixed(*data).item(),
        "open": lambda: named(*data).item(),
    }
    if chosen.threads == 1:
        arrays = [x.numpy() for x in data]
        other = step_of(engine, model, size, optimizer).function
        with tempfile.TemporaryDirectory() as folder:
            native = el.load_native(el.export_native(other, filled, "host", Path(folder) / model))
        runs["native"] = lambda: native(*arrays).item()
    losses = {word: [run(), run()] for word, run in runs.items()}
    if len({tuple(pair) for pair in losses.values()}) > 1:
        raise RuntimeError(f"{model}: the programs differ: {losses}")
    clock = CLOCKS[chosen.clock]
    start = time.perf_counter()
    runs["fixed"]()
    calls = max(1, int(chosen.seconds / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {word: [] for word in runs}
    for number in range(chosen.rounds):
        for word in sorted(runs, reverse=bool(number % 2)):
            start = clock()
            for _ in range(calls):
                runs[word]()
            times[word].append((clock() - start) / calls)
    found = [model, readable(sorted(times["fixed"])[chosen.rounds // 2])]
    for word in ("open", "native"):
        found.append(f"{ratio(times['fixed'], times[word]):.3f}" if word in times else "")
    return [*found, readable(_new_size(named, data, size.batch)), str(named.compilations)]


def _new_size(step: Any, data: list[Any], batch: int) -> float:
    """How much longer the first call with a size takes than the second one."""
    extra = []
    for count in range(max(1, batch // 2), max(1, batch // 2) + 3):
        given = [x[:count] for x in data]
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            step(*given).item()
            seconds.append(time.perf_counter() - start)
        extra.append(seconds[0] - seconds[1])
    return max(0.0, sorted(extra)[1])


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.open_sizes", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of one round")
    parser.add_argument("--threads", type=int, default=el.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--tiny", action="store_true", help="the tests' sizes: no figures")
    chosen = parser.parse_args()
    if unknown := set(chosen.models) - set(CASES):
        parser.error(f"no such model: {', '.join(sorted(unknown))}; known: {', '.join(CASES)}")
    heading = ["model", "fixed", "fixed/open", "fixed/native", "new size", "compilations"]
    rows = [compare(model, chosen) for model in chosen.models or CASES]
    print(table([heading, *rows]))


if __name__ == "__main__":
    main()
