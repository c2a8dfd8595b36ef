"""One pass over a pipeline: stages at work, and where they stand."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from elinvar.data.gathering import as_tensors
from elinvar.data.reader import DROPPED, Base
from elinvar.data.stages import Stage
from elinvar.data.stream import Operator, operator
from elinvar.data.streams import StreamBase
from elinvar.data.threads import Stopped, Threads, stoppable
from elinvar.data.workers import Pool


class Feed:
    """The elements of a base from one number on; below all operators."""

    def __init__(self, base: Base | StreamBase, start: int, pool: Pool | Threads | None) -> None:
        self.base, self.position, self.pool = base, start, pool
        self._elements = self._read() if pool is None else pool.elements(start)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        for number, element in self._elements:
            self.position = number + 1
            if element is not DROPPED:
                return number, element
        if isinstance(self.base, Base):
            self.position = self.base.count
        raise StopIteration

    def _read(self) -> Iterator[Any]:
        if isinstance(self.base, StreamBase):
            yield from self.base.elements()
            return
        for number in range(self.position, self.base.count):
            yield number, self.base.load(number)

    def rebuild(self, origin: Any) -> Any:
        """The element with a number."""
        return self.base.load(origin)

    def close(self) -> None:
        """End worker processes."""
        close = getattr(self._elements, "close", None)
        if close is not None:
            close()


class Run:
    """One pass.

    Args:
        base: what is read by number.
        tail: the stages whose place depends on the data.
        state: where to begin; None for the beginning.
        pool: worker processes or threads, or None.
    """

    def __init__(
        self,
        base: Base | StreamBase,
        tail: tuple[Stage, ...],
        state: Any,
        pool: Pool | Threads | None,
    ) -> None:
        self.feed = Feed(base, 0 if state is None else int(state["position"]), pool)
        self._operators: list[Operator] = []
        below: Any = self.feed
        for stage in tail:
            below = operator(stage, below, base.identity)
            self._operators.append(below)
        self._top = below
        self.handed = 0 if state is None else int(state["batch"])
        if state is not None:
            for one, held in zip(self._operators, state["held"]):
                if held is not None:
                    one.restore(held)

    def state(self) -> dict[str, Any]:
        """Where the pass stands: after what it handed out last."""
        held = [one.state() for one in self._operators]
        return {"batch": self.handed, "position": self.feed.position, "held": held}

    def __iter__(self) -> Iterator[Any]:
        for _, element in self._top:
            self.handed += 1
            yield element

    def close(self) -> None:
        """End worker processes."""
        self.feed.close()


class Ahead:
    """A thread that keeps elements ready.

    Args:
        run: the pass.
        depth: how many elements wait at most.
    """

    def __init__(self, run: Run, depth: int) -> None:
        self._run = run
        self._ready: queue.Queue[Any] = queue.Queue(depth)
        base, pool = run.feed.base, run.feed.pool
        self._stopped = threading.Event()
        if isinstance(base, Base) and pool is None:
            self._stopped = stoppable(base)
        self._thread = threading.Thread(target=self._work, name="elinvar-prefetch", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            for element in self._run:
                if not self._put((element, self._run.state(), None)):
                    return
            self._put((None, None, None))
        except Stopped:
            return
        except BaseException as error:
            self._put((None, None, error))

    def _put(self, item: Any) -> bool:
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        while True:
            element, state, error = self._ready.get()
            if error is not None:
                raise error
            if state is None:
                return
            yield element, state

    def close(self) -> None:
        """End the thread; waits until it has finished the sample it is at."""
        self._stopped.set()
        self._thread.join()
        self._run.close()


def results(run: Run, depth: int, as_batches: bool, note: Callable[[Any], None]) -> Iterator[Any]:
    """What a pass hands out; `note` is told where it stands, before each element.

    Args:
        run: the pass.
        depth: elements that a thread keeps ready; 0 for no thread.
        as_batches: hand out tensors.
        note: gets a function or dict of the state.
    """
    if depth:
        ahead = Ahead(run, depth)
        with closing(ahead):
            for element, state in ahead:
                note(state)
                yield as_tensors(element) if as_batches else element
        return
    with closing(run):
        for element in run:
            note(run)
            yield as_tensors(element) if as_batches else element
