"""Workers and turns: every framework in its own process, one round each, again and again."""

from __future__ import annotations

import fnmatch
import json
import os
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, Case
from benchmarks.measure import summary

ROOT = Path(__file__).resolve().parent.parent
SOURCES = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
"""What workers import first: the sources beside this file."""
BUSY_CPUS = 0.25
"""Others that keep more CPUs than this busy during a round spoil it."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to measure.

    Attributes:
        engines: who takes part, in the order of turns.
        rounds, seconds: rounds of each framework, and the length of one.
        threads: of each framework.
        timeout: seconds that a worker may take for one answer.
        pythons: interpreters of frameworks that have environments of their own.
        tiny: use the tests' sizes.
        cold: measure first calls with empty caches, too.
        say: called with each line of progress.
    """

    engines: tuple[str, ...]
    rounds: int = 7
    seconds: float = 0.5
    threads: int = 1
    timeout: float = 600.0
    pythons: dict[str, str] = field(default_factory=dict)
    tiny: bool = False
    cold: bool = True
    say: Callable[[str], None] = lambda line: None


class WorkerError(Exception):
    """A worker that is missing, broken, or too slow."""


def worker_environment(threads: int, caches: Path | None) -> dict[str, str]:
    """The environment of a worker: its threads, and where compilers keep what they made.

    Args:
        threads: of every library that reads the environment.
        caches: a folder for the caches of all compilers; None keeps everybody's usual ones.
    """
    made = dict(os.environ)
    for name in ("ELINVAR_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                 "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):  # fmt: skip
        made[name] = str(threads)
    made |= {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "PYTHONPATH": SOURCES}
    if caches is not None:
        made |= {
            "ELINVAR_CACHE": str(caches / "elinvar"),
            "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
            "JAX_COMPILATION_CACHE_DIR": str(caches / "jax"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
    return made


class Worker:
    """The other end of `benchmarks.worker`.

    Raises:
        WorkerError: the framework is missing or broken, or the answer takes too long.
    """

    def __init__(
        self, engine: str, options: Options, *, threads: int | None = None,
        caches: Path | None = None, module: str = "benchmarks.worker",
    ) -> None:  # fmt: skip
        self.timeout = options.timeout
        count = options.threads if threads is None else threads
        python = options.pythons.get(engine, sys.executable)
        self.errors = tempfile.TemporaryFile("w+")
        try:
            self.process = subprocess.Popen(
                [python, "-m", module, engine, str(count)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=ROOT,
                env=worker_environment(count, caches),
            )  # fmt: skip
        except OSError as error:
            self.errors.close()
            raise WorkerError(f"{python}: {error.strerror}") from None
        self.lines: queue.Queue[str] = queue.Queue()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        try:
            self.version = self._answer()["version"]
        except WorkerError:
            self.close(kill=True)
            raise

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def _answer(self) -> dict[str, Any]:
        try:
            line = self.lines.get(timeout=self.timeout)
        except queue.Empty:
            self.close(kill=True)
            raise WorkerError(f"no answer after {self.timeout:g} s") from None
        if not line:
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
            last = self._last_error()
            self.close(kill=True)
            raise WorkerError(f"ended early: {last}")
        found = json.loads(line)
        if "error" in found:
            raise WorkerError(found["error"])
        return found

    def _last_error(self) -> str:
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        return lines[-1][:300] if lines else f"exit status {self.process.poll()}"

    def ask(self, do: str, **rest: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **rest}) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise WorkerError("ended early") from None
        return self._answer()

    def close(self, kill: bool = False) -> None:
        """End the process; nothing happens where it has been ended."""
        if self.errors.closed:
            return
        if kill:
            self.process.kill()
        if self.process.stdin is not None:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.listener.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.errors.close()


class Turns:
    """Rounds of several workers, in turn.

    Attributes:
        times: seconds of one call in each round, by worker.
        cpu: CPU seconds of one call, over all threads, in each round.
        failed: what went wrong, by worker.
        warnings: lines about a busy machine.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.times: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}
        self.failed: dict[str, str] = {}
        self.warnings: list[str] = []
        self.others: list[float] = []

    def play(self, workers: dict[str, Worker], rounds: int | None = None) -> None:
        """Let everybody have its rounds; who fails leaves the game."""
        for name in workers:
            self.times.setdefault(name, [])
        for number in range(self.options.rounds if rounds is None else rounds):
            names = [name for name in workers if name not in self.failed]
            start = number % max(1, len(names))  # nobody is always the first after a pause
            for name in names[start:] + names[:start]:
                self.take(name, workers[name])

    def take(self, name: str, worker: Worker) -> None:
        """One round of one worker."""
        try:
            found = worker.ask("round", seconds=self.options.seconds)
        except WorkerError as error:
            self.failed[name] = str(error)
            return
        self.times.setdefault(name, []).append(found["seconds"])
        self.cpu.setdefault(name, []).append(found["cpu"])
        self.others.append(found["others"])
        cpus = os.cpu_count() or 1
        if found["load"] > cpus + 1 or found["others"] > BUSY_CPUS:
            self.warnings.append(
                f"{name}: load {found['load']:.1f}, others kept {found['others']:.1f} CPUs busy"
            )

    def results(self) -> dict[str, dict[str, Any]]:
        """The summary of each worker that went through, the error of each that did not."""
        found: dict[str, dict[str, Any]] = {}
        for name, times in self.times.items():
            complete = times and name not in self.failed
            if complete:
                found[name] = summary(times) | {"cpu": statistics.median(self.cpu[name])}
        return found | {name: {"error": text} for name, text in self.failed.items()}


class Bench:
    """Measures cases; keeps the workers of cases that may share them until the group changes."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.group = ""
        self.workers: dict[str, Worker] = {}
        self.broken: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    def run(self, case: Case) -> dict[str, Any]:
        """Everything that was measured about a case."""
        way = {"plain": self._apart if case.apart else self._shared,
               "scaling": self._scaling, "busy": self._busy}[case.mode]  # fmt: skip
        if case.apart or case.mode != "plain" or case.group != self.group:
            self.close()
            self.group = case.group
        turns, more = way(case)
        results = turns.results()
        for name, found in more.items():
            results.setdefault(name, {}).update(found)
        for name, text in self.broken.items():
            if name in case.engines:
                results.setdefault(name, {"error": text})
        busiest = max(turns.others, default=0.0)
        return {
            "what": case.what, "flops": case.flops, "traffic": case.traffic,
            "results": {name: results[name] for name in sorted(results, key=self._place)},
            "busy_rounds": len(turns.warnings), "busiest": busiest,
        }  # fmt: skip

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers.values():
            worker.close()
        self.workers, self.group, self.broken = {}, "", {}

    def _place(self, name: str) -> tuple[int, str]:
        order = self.options.engines
        return (order.index(name) if name in order else len(order), name)

    def _players(self, case: Case) -> list[str]:
        return [name for name in self.options.engines if name in case.engines]

    def _start(self, engine: str, **rest: Any) -> Worker:
        worker = Worker(engine, self.options, **rest)
        self.versions[engine] = worker.version
        return worker

    def _shared(self, case: Case) -> tuple[Turns, dict[str, dict[str, Any]]]:
        """All cases of a group in the same workers."""
        turns, more = Turns(self.options), {}
        for name in self._players(case):
            if name in self.broken:
                continue
            try:
                if name not in self.workers:
                    self.workers[name] = self._start(name)
                found = self.workers[name].ask("prepare", case=case.name, tiny=self.options.tiny)
                more[name] = {"first_warm": found["first_call"]}
            except WorkerError as error:
                turns.failed[name] = str(error)
                worker = self.workers.get(name)
                if worker is None or worker.process.poll() is not None:
                    self.workers.pop(name, None)
                    if worker is None:
                        self.broken[name] = str(error)
        playing = {name: self.workers[name] for name in more if name in self.workers}
        turns.play(playing)
        for name in turns.failed:
            if name in self.workers and self.workers[name].process.poll() is not None:
                self.workers.pop(name)
        return turns, more

    def _apart(self, case: Case) -> tuple[Turns, dict[str, dict[str, Any]]]:
        """New processes: one with empty caches, for the cold first call, one with full ones."""
        turns, more = Turns(self.options), {}
        workers: dict[str, Worker] = {}
        caches = Path(tempfile.mkdtemp(prefix="benchmarks-"))
        try:
            for name in self._players(case):
                folder = caches / name
                try:
                    more[name] = self._first_calls(name, case, folder, workers)
                except WorkerError as error:
                    turns.failed[name] = str(error)
            turns.play(workers)
            for name, worker in workers.items():
                if name not in turns.failed:
                    found = worker.ask("memory")
                    more[name]["memory"] = found["peak"] - found["before"]
                    more[name]["memory_absolute"] = found["peak"]
        finally:
            for worker in workers.values():
                worker.close()
            shutil.rmtree(caches, ignore_errors=True)
        return turns, {name: more[name] for name in more if name not in turns.failed}

    def _first_calls(
        self, name: str, case: Case, folder: Path, workers: dict[str, Worker]
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        ask = {"case": case.name, "tiny": self.options.tiny}
        folder.mkdir()
        if self.options.cold:
            worker = self._start(name, caches=folder)
            try:
                self.options.say(f"{case.name}: {name}, empty caches")
                found["first_cold"] = worker.ask("prepare", **ask)["first_call"]
            finally:
                worker.close()
        worker = workers[name] = self._start(name, caches=folder)
        self.options.say(f"{case.name}: {name}, full caches")
        answer = worker.ask("prepare", **ask)
        found["first_warm" if self.options.cold else "first_cold"] = answer["first_call"]
        return found | {key: answer[key] for key in ("build", "parameters", "loss")}

    def _together(
        self, case: Case, makers: dict[str, Callable[[], Worker]], turns: Turns
    ) -> dict[str, Worker]:
        """Workers that are ready for the case; those that are not are noted as failed."""
        workers: dict[str, Worker] = {}
        for name, make in makers.items():
            try:
                workers[name] = make()
                workers[name].ask("prepare", case=case.name, tiny=self.options.tiny)
            except WorkerError as error:
                turns.failed[name] = str(error)
                if name in workers:
                    workers.pop(name).close()
        return workers

    def _scaling(self, case: Case) -> tuple[Turns, dict[str, dict[str, Any]]]:
        """One thread and all threads, in turn."""
        turns, more = Turns(self.options), {}
        makers = {
            f"{name}@{threads}": lambda name=name, threads=threads: self._start(
                name, threads=threads
            )
            for name in self._players(case)
            for threads in sorted({1, self.options.threads})
        }
        workers = self._together(case, makers, turns)
        try:
            turns.play(workers)
        finally:
            for worker in workers.values():
                worker.close()
        for name in self._players(case):
            one = turns.times.get(f"{name}@1")
            all_threads = turns.times.get(f"{name}@{self.options.threads}")
            if self.options.threads > 1 and one and all_threads:
                speedup = summary(one)["median"] / summary(all_threads)["median"]
                more[f"{name}@{self.options.threads}"] = {"speedup": speedup}
        return turns, more

    def _busy(self, case: Case) -> tuple[Turns, dict[str, dict[str, Any]]]:
        """Each round once alone, and once beside another process that keeps one CPU busy."""
        turns, more = Turns(self.options), {}
        makers = {name: lambda name=name: self._start(name) for name in self._players(case)}
        workers = self._together(case, makers, turns)
        try:
            for _ in range(self.options.rounds):
                for name, worker in workers.items():
                    if name not in turns.failed:
                        turns.take(name, worker)
                with BusyProcess():
                    for name, worker in workers.items():
                        if name not in turns.failed:
                            turns.take(f"{name}+busy", worker)
        finally:
            for worker in workers.values():
                worker.close()
        turns.warnings = []  # the machine is meant to be busy
        turns.others = []
        for name in workers:
            beside, alone = turns.times.get(f"{name}+busy"), turns.times.get(name)
            if beside and alone:
                slowdown = summary(beside)["median"] / summary(alone)["median"]
                more[f"{name}+busy"] = {"slowdown": slowdown}
        return turns, more


class BusyProcess:
    """Another process that computes without end, as long as the `with` lasts."""

    def __enter__(self) -> BusyProcess:
        code = "print(1, flush=True)\nwhile True: sum(range(10000))"
        self.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()  # it has started
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def matching(patterns: list[str], names: list[str] | None = None) -> list[str]:
    """Cases whose names contain one of the patterns or match one of the globs; all without any.

    Example:
        >>> matching(["train/mlp"])
        ['train/mlp']
        >>> matching(["conv/*-weight"], ["conv/a-input", "conv/a-weight"])
        ['conv/a-weight']
    """
    names = list(CASES) if names is None else names
    return [
        name
        for name in names
        if not patterns or any(part in name or fnmatch.fnmatch(name, part) for part in patterns)
    ]
