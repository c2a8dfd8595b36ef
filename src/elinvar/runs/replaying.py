"""Replaying: the program runs again, and each step is compared with what was recorded.

The command writes a request and starts the program with `ELINVAR_REPLAY` pointing to it. The
program does what it did, until the wanted one of its runs begins: that one is compared instead of
recorded. When its last step is done, the answer is written beside the request, and the program
ends.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elinvar.core import durable
from elinvar.core.errors import RunError, fail
from elinvar.core.settings import settings
from elinvar.runs import run as layout
from elinvar.runs.checkpoints import Checkpoint
from elinvar.runs.steps import Row, StepTable, first_difference

_begun = [0]  # runs of this process


def coming_number() -> int:
    """Which run of this process will be the next to begin."""
    return _begun[0] + 1


def next_number() -> int:
    """Which run of this process begins now."""
    _begun[0] += 1
    return _begun[0]


class ReplayDone(SystemExit):
    """The comparison is complete: nothing of the program that comes after it is wanted."""


@functools.cache
def request() -> Request | None:
    """What this process is to replay; None in all but those that `elinvar replay` starts."""
    return None if settings.replay is None else Request(settings.replay)


class Request:
    """What to replay, read from a file.

    Attributes:
        run: the folder of the recorded run.
        number: which run of the program it is.
        checkpoint: where to begin; None for the program's own beginning.
        last: the last step.
    """

    run: Path
    number: int
    state: Path | None
    first: int
    last: int
    answer: Path
    algorithm: str | None

    def __init__(self, path: Path) -> None:
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            self.run, self.number = Path(table["run"]), int(table["number"])
            self.state = None if table["state"] is None else Path(table["state"])
            self.first, self.last = int(table["first"]), int(table["last"])
            self.answer = Path(table["answer"])
            self.algorithm = table.get("algorithm")
        except (OSError, ValueError, KeyError, TypeError) as error:
            fail(RunError, "replay", f"ELINVAR_REPLAY names no request: {error!r}")

    def recorder(self, number: int, tensors: Sequence[str]) -> Comparison | None:
        """What compares the run that begins now; None where another one is wanted."""
        return Comparison(self, tensors) if number == self.number else None


class Comparison:
    """Takes the place of a `Run`: compares each step with the recorded one.

    Attributes:
        checkpoint: where to begin.
    """

    tensors: list[str]
    algorithm: str | None
    checkpoint: Checkpoint | None
    compared: int

    def __init__(self, wanted: Request, tensors: Sequence[str]) -> None:
        self._wanted, self.tensors = wanted, list(tensors)
        self.algorithm = wanted.algorithm
        self.checkpoint = None if wanted.state is None else Checkpoint(wanted.state, {})
        table = StepTable(wanted.run / layout.STEPS)
        self._recorded_tensors = table.tensors
        rows: Iterator[Row] = iter(table)
        self._rows = itertools.dropwhile(lambda row: row.step < wanted.first, rows)
        self._first: dict[str, Any] | None = None
        self.compared = 0
        self._last_step = wanted.first
        self._facts: dict[str, Any] = {}

    def gather(self, config: dict[str, Any], data: Callable[[], dict[str, Any]]) -> None:
        """Note what goes in this time."""
        manifest, contents = layout.gather(config)
        self._facts = {"manifest": manifest, "data": data()}
        folder = self._wanted.answer.parent / layout.CODE
        folder.mkdir(exist_ok=True)
        for digest, content in contents.items():
            (folder / digest).write_bytes(content)

    def start(self, epoch: int, batch: int, step: int, digests: Any) -> None:
        """Compare what training begins with."""
        if self.tensors != self._recorded_tensors:
            old, new = self._recorded_tensors, self.tensors
            odd = next((a for a in new if a not in old), None) or next(
                (a for a in old if a not in new), "their order"
            )
            self._differs(step, f"the model has other tensors: {odd}", epoch, batch)
            return
        row = next(self._rows, None)
        if row is None:
            return
        same = step == row.step and (row.digests == digests).all()
        if not same:
            now = Row(step, row.epoch, row.batch, row.loss, b"", digests)
            self._differs(step, first_difference(row, now, self.tensors), epoch, batch)

    def step(self, step: int, epoch: int, batch: int, loss: float, digests: Any) -> None:
        """Compare a step."""
        self._last_step = step
        if self._first is not None:
            return
        row = next(self._rows, None)
        if row is None:
            return
        now = Row(step, epoch, batch, loss, b"", digests)
        if row.same(now):
            self.compared += 1
        else:
            self._differs(step, first_difference(row, now, self.tensors), epoch, batch)

    def _differs(self, step: int, what: str, epoch: int, batch: int) -> None:
        self._first = {"step": step, "epoch": epoch + 1, "batch": batch, "what": what}

    def reached(self, step: int) -> bool:
        """Whether all is known."""
        return self._first is not None or step >= self._wanted.last

    def close(self, outcome: str, **more: Any) -> None:
        """Write the answer; the program ends.

        Raises:
            ReplayDone: always.
        """
        if self._first is None and self._last_step < self._wanted.last:
            text = f"training ended after step {self._last_step}, recorded are {self._wanted.last}"
            self._differs(self._last_step, f"{text} ({outcome})", 0, 0)
        write_answer(
            self._wanted.answer,
            {"compared": self.compared, "first": self._first, "outcome": outcome, **self._facts},
        )
        raise ReplayDone(0)

    # what a `Run` does beside comparing is not done

    def figures(self, kind: str, step: int, row: Mapping[str, Any]) -> None:
        """Figures are not compared: they follow from the steps, or are times."""

    def is_due(self) -> bool:
        """Nothing is saved."""
        return False

    def save(self, *arguments: Any, **options: Any) -> None:
        """Nothing is saved."""


def write_answer(path: Path, answer: dict[str, Any]) -> None:
    """Write what was found, for the command that asked."""
    text = json.dumps(answer, default=repr)
    durable.replace(path, [text.encode("utf-8", "surrogatepass")])
