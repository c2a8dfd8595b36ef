"""Which hours to run in: the cheapest ones in carbon, before a deadline or within a budget.

The time until the deadline is cut into slots of equal length, L, each with the carbon c of running
in it. Chosen are n slots, as many as the work needs, in blocks of at least m slots (the last one
ends with the work, however short); going on after a pause costs r seconds more. With P(i, k) the
least carbon of k slots of work done by slot i when it stands still, and R(i, k) when it runs and
may stop,

    P(i + 1, k)     = min(P(i, k), R(i, k))
    R(i + 1, k + 1) = min(R(i, k) + cᵢ, P(i + 1 - m, k + 1 - m) + r · g + cᵢ₊₁₋ₘ + … + cᵢ)

so the least of all plans is found, not a good one: in n · T steps for T slots.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from elinvar.carbon import words
from elinvar.carbon.forecast import Forecast
from elinvar.carbon.grid import JOULES_PER_KWH
from elinvar.carbon.times import length, shown

MOST_SLOTS = 600
SHORTEST_SLOT = 60.0  # seconds
MOST_LINES = 12  # blocks that a plan shows
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plan:
    """When to run.

    Attributes:
        blocks: (begin, end) of each time to run, seconds since 1970.
        need: seconds of work.
        now: when it was made.
        deadline: None for none.
        watts: what the work takes, by which grams are counted.
        grams: of this plan, by the forecast.
        grams_at_once: of running at once without a pause.
        reason: why it is so, in words.
        keeps_deadline, keeps_budget: whether they are kept, by what is known now.
        source: of the forecast.
    """

    blocks: tuple[tuple[float, float], ...]
    need: float
    now: float
    deadline: float | None
    watts: float
    grams: float
    grams_at_once: float
    reason: str
    keeps_deadline: bool
    keeps_budget: bool
    source: str

    @property
    def end(self) -> float:
        """When the work is done."""
        return self.blocks[-1][1] if self.blocks else self.now

    @property
    def saved(self) -> float:
        """The share of the carbon that is saved against running at once; below 0 if it is more."""
        return 1 - self.grams / self.grams_at_once if self.grams_at_once > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "blocks": [list(block) for block in self.blocks],
            "need_seconds": self.need,
            "now": self.now,
            "end": self.end,
            "deadline": self.deadline,
            "watts": self.watts,
            "grams": self.grams,
            "grams_at_once": self.grams_at_once,
            "saved": self.saved,
            "reason": self.reason,
            "keeps_deadline": self.keeps_deadline,
            "keeps_budget": self.keeps_budget,
            "forecast": self.source,
        }

    def text(self, zone: ZoneInfo | None = None) -> str:
        """The plan as lines, with times of a zone; None for this machine's."""
        lines = [f"{length(self.need)} of work at {self.watts:.3g} W, by {self.source}"]
        before = self.now
        for start, end in self.blocks[:MOST_LINES]:
            if start - before >= 1:
                lines.append(f"  wait {length(start - before)}")
            lines.append(f"  run  {shown(start, zone)} – {shown(end, zone)}, {length(end - start)}")
            before = end
        if len(self.blocks) > MOST_LINES:
            lines.append(f"  … and {len(self.blocks) - MOST_LINES} times more")
        lines.append(
            f"{words.carbon(self.grams)}; at once it would be {words.carbon(self.grams_at_once)}"
            f" ({compared(self.saved)}): {self.reason}"
        )
        if self.deadline is not None:
            spare = self.deadline - self.end
            kept = f"kept with {length(spare)} to spare" if self.keeps_deadline else "missed"
            lines.append(f"deadline {shown(self.deadline, zone)}: {kept}")
        if not self.keeps_budget:
            lines.append("the budget cannot be kept by what the forecast knows")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()


def compared(saved: float) -> str:
    """A saving in words.

    Example:
        >>> compared(0.372), compared(-0.04), compared(0.0)
        ('37 % less', '4 % more', 'no difference')
    """
    share = round(abs(saved) * 100)
    return f"{share} % {'less' if saved > 0 else 'more'}" if share else "no difference"


def plan(
    forecast: Forecast,
    need: float,
    *,
    now: float,
    latest: float | None,
    deadline: float | None = None,
    budget: float | None = None,
    watts: float = 100.0,
    shortest: float = 1800.0,
    pause_cost: float = 30.0,
    run_before: float | None = None,
    slot: float | None = None,
) -> Plan:
    """The plan of least carbon; with a budget, the earliest end within it.

    Args:
        forecast: what is known. What it does not know counts as its mean.
        need: seconds of work.
        now: seconds since 1970.
        latest: when the work must be done, with what is kept in reserve taken off; None for the end
            of the forecast.
        deadline: the true one, for the report.
        budget: grams that may still be used.
        watts: of the work.
        shortest: seconds that a block lasts at least.
        pause_cost: seconds that going on after a pause takes.
        run_before: for how long the work has been running now; None if it stands still.
        slot: seconds; by default as short as `MOST_SLOTS` allow.
    """
    horizon = max(forecast.end, now + need) if latest is None else latest
    slot, origin = (slot, now) if slot is not None else _grid(forecast, now, horizon)
    count = max(int((horizon - origin + 1e-6) / slot), 0)
    wanted = math.ceil(need / slot - 1e-9)
    at_once = ((now, now + need),)
    per_gram = watts / JOULES_PER_KWH

    def made(blocks: Sequence[tuple[float, float]], reason: str) -> Plan:
        unknown = forecast.mean
        sums = [forecast.average(a, b, unknown) * (b - a) for a, b in blocks]
        once = forecast.average(now, now + need, unknown) * need * per_gram
        grams = sum(sums) * per_gram
        end = blocks[-1][1] if blocks else now
        return Plan(
            tuple(blocks), need, now, deadline, watts, grams, once, reason,
            deadline is None or end <= deadline, budget is None or grams <= budget * (1 + 1e-9),
            forecast.source,
        )  # fmt: skip

    if wanted <= 0:
        return made((), "there is nothing left to do")
    if wanted > count:
        return made(at_once, "at once, for there is no time to wait")
    table = _Table(forecast, origin, slot, count, pause_cost, max(1, round(shortest / slot)))
    limit = None if budget is None else budget / per_gram
    runs = run_before is not None
    ran = 0.0 if run_before is None else run_before + origin - now
    forced = max(0, math.ceil((shortest - ran) / slot))
    if not runs:
        wanted = min(math.ceil((need + pause_cost) / slot - 1e-9), count)
    while True:
        blocks = _blocks(table.best(wanted, forced if runs else None, limit), origin, slot)
        starts = len(blocks) - (runs and blocks[0][0] <= origin)
        whole = need + pause_cost * starts
        if wanted * slot >= whole - 1e-6 or wanted >= count or not starts:
            break
        wanted += 1  # starts take time, too
    if blocks[0][0] <= origin:
        blocks[0] = (now, blocks[0][1])
    spare = sum(end - start for start, end in blocks) - whole
    while spare > 0:  # the work ends within a slot
        start, end = blocks.pop()
        if end - start > spare:
            blocks.append((start, end - spare))
        spare -= end - start
    if len(blocks) == 1 and blocks[0][0] <= now:
        why = "nothing cleaner comes in time" if budget is None else "the budget allows it"
        return made(at_once, f"at once, for {why}")
    return made(blocks, "the cleanest hours" if budget is None else "the earliest end in budget")


def _grid(forecast: Forecast, now: float, horizon: float) -> tuple[float, float]:
    """The length of a slot and where the first one begins: so that the forecast's pieces are whole
    slots, where they are long enough for that."""
    shortest = max(SHORTEST_SLOT, (horizon - now) / MOST_SLOTS)
    place = min(bisect.bisect_right(forecast.ends, now), len(forecast.ends) - 1)
    start, piece = forecast.starts[place], forecast.ends[place] - forecast.starts[place]
    slot = piece / max(1, int(piece / shortest))
    if slot < shortest:
        return shortest, now
    return slot, now + (start - now) % slot


def _blocks(slots: Sequence[int], now: float, slot: float) -> list[tuple[float, float]]:
    """Slots that follow each other, together."""
    found: list[tuple[float, float]] = []
    last = -2
    for number in slots:
        if number == last + 1:
            found[-1] = (found[-1][0], now + (number + 1) * slot)
        else:
            found.append((now + number * slot, now + (number + 1) * slot))
        last = number
    return found


class _Table:
    """The recursion at the top of this file, over the slots of one forecast."""

    def __init__(
        self, forecast: Forecast, now: float, slot: float, count: int, pause: float, shortest: int
    ) -> None:
        means = forecast.averages(now + slot * np.arange(count + 1), forecast.mean)
        self._costs: Floats = means * slot
        self._penalty: Floats = means * pause
        self._sums: Floats = np.concatenate(([0.0], np.cumsum(self._costs)))
        self._count, self._shortest = count, shortest

    def best(self, wanted: int, forced: int | None, limit: float | None) -> list[int]:
        """The slots to run in, in order.

        Args:
            wanted: how many.
            forced: if it runs now, slots that it must go on for; None if it stands still.
            limit: the earliest end whose cost is within it is taken; None for the least cost.
        """
        count, block, first = self._count, self._shortest, -1 if forced is None else forced
        if first >= wanted:
            return list(range(wanted))
        still = np.full((count + 1, wanted + 1), np.inf)
        running = np.full(wanted + 1, np.inf)
        began = np.zeros((count + 1, wanted + 1), dtype=bool)  # a block of `block` slots ends here
        stopped = np.zeros((count + 1, wanted + 1), dtype=bool)  # it ran until the slot before
        ends = np.full(count + 1, np.inf)
        if forced is None:
            still[0, 0] = 0.0
        for i in range(count + 1):
            if i > 0:
                np.minimum(still[i - 1], running, out=still[i])
                stopped[i] = running < still[i - 1]
                running[1:] = running[:-1] + self._costs[i - 1]
                running[0] = np.inf
            if i >= block and block <= wanted:
                opened = still[i - block, : wanted + 1 - block] + self._block(i - block, i)
                is_less = opened < running[block:]
                running[block:][is_less] = opened[is_less]
                began[i, block:] = is_less
            if i == first:
                running[first] = self._sums[first]
            ends[i] = running[wanted]
            running[wanted] = np.inf
        end, short = self._ending(ends, still, wanted, limit)
        return self._traced(end, short, wanted, began, stopped, first)

    def _block(self, start: int, end: int) -> float:
        """What a block costs that begins and ends there."""
        return float(self._penalty[start] + self._sums[end] - self._sums[start])

    def _ending(
        self, ends: Floats, still: Floats, wanted: int, limit: float | None
    ) -> tuple[int, int]:
        """Where the work ends, and of how many slots a last short block is (0 for none)."""
        least, short_at = ends.copy(), np.zeros(len(ends), dtype=np.int64)
        for short in range(1, min(self._shortest, wanted + 1, self._count + 1)):
            cost = np.full(len(ends), np.inf)
            cost[short:] = (
                still[:-short, wanted - short]
                + self._penalty[: 1 - short or None]
                + self._sums[short:]
                - self._sums[:-short]
            )
            is_less = cost < least
            least[is_less], short_at[is_less] = cost[is_less], short
        close = least <= least.min() * (1 + 1e-12) if limit is None else least <= limit
        if not close.any():
            close = least <= least.min() * (1 + 1e-12)
        end = int(np.argmax(close))
        return end, int(short_at[end])

    def _traced(
        self,
        i: int,
        short: int,
        k: int,
        began: npt.NDArray[np.bool_],
        stopped: npt.NDArray[np.bool_],
        first: int,
    ) -> list[int]:
        """The slots of the plan that ends at i with k slots of work."""
        slots = list(range(i - short, i))
        is_running = short == 0
        i, k = i - short, k - short
        while k > 0:
            if not is_running:
                is_running = bool(stopped[i, k])
                i -= 1
            elif i == first == k:
                slots += range(i)
                break
            elif began[i, k]:
                slots += range(i - self._shortest, i)
                i, k, is_running = i - self._shortest, k - self._shortest, False
            else:
                slots.append(i - 1)
                i, k = i - 1, k - 1
        return sorted(slots)
