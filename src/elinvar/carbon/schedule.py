"""What to do now, run or wait: plans made again and again, and a deadline that always holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from elinvar.carbon.forecast import Forecast
from elinvar.carbon.planning import Plan, plan
from elinvar.carbon.times import HOUR, moment
from elinvar.core.errors import DTypeError, ValueRangeError, fail

LOOK = 900.0  # seconds after which a running job looks whether its plan still holds
RESERVE = 60.0  # seconds that are kept in reserve in any case
WATTS = 100.0  # of work of which nothing is known; shares of carbon do not depend on it
Deadline = str | float | datetime | timedelta


@dataclass(frozen=True, slots=True)
class Decision:
    """Run or wait, until when at most, and by which plan."""

    run: bool
    until: float
    plan: Plan


class Schedule:
    """A forecast, and what must be kept: a deadline, a budget, or both.

    With a deadline the plan is that of least carbon; with a budget, the earliest end within it (and
    before the deadline, which comes first; where the budget cannot be kept, the least carbon).

    Args:
        forecast: of the grid.
        deadline: when the work must be done: a `datetime` (without a zone: this machine's time), a
            `timedelta` from now on, or a text such as `2026-11-30T08:00` or `+12h`.
        budget: grams of CO₂e that the work may cost.
        hours: of work, where you know; else it is known after some of it.
        watts: that the work takes, where you know; else they are measured.
        safety: the share of the work still to be done that is kept in reserve before the deadline,
            in case it goes slower than thought.
        shortest: seconds that a stretch of work lasts at least.
        pause_cost: seconds that going on after a pause takes.
        refresh: seconds after which a forecast is asked for anew.
        clock: seconds since 1970.

    Example:
        >>> from elinvar.carbon.forecast import Forecast
        >>> hours = [300.0, 300.0, 50.0, 50.0, 300.0, 300.0]
        >>> forecast = Forecast.of([(i * 3600.0, g) for i, g in enumerate(hours)])
        >>> schedule = Schedule(forecast, deadline="+6h", hours=2, clock=lambda: 0.0)
        >>> decision = schedule.decide(0.0, 2 * 3600.0)
        >>> decision.run, round(decision.until), round(decision.plan.saved, 2)
        (False, 7200, 0.83)
    """

    forecast: Forecast
    deadline: float | None
    budget: float | None
    need: float | None
    watts: float | None
    horizon: float | None  # with a budget alone: when the first forecast ends

    safety: float
    shortest: float
    pause_cost: float
    refresh: float
    clock: Callable[[], float]

    def __init__(
        self,
        forecast: Forecast,
        deadline: Deadline | None = None,
        budget: float | None = None,
        *,
        hours: float | None = None,
        watts: float | None = None,
        safety: float = 0.1,
        shortest: float = 1800.0,
        pause_cost: float = 30.0,
        refresh: float = HOUR,
        clock: Callable[[], float] = time.time,
    ) -> None:
        op = "CarbonAware"
        if not isinstance(forecast, Forecast):
            text = f"forecast must be an el.carbon.Forecast, received {type(forecast).__name__}"
            fail(DTypeError, op, text, "write el.carbon.Forecast.from_csv('grid.csv')")
        if deadline is None and budget is None:
            fail(ValueRangeError, op, "it needs a deadline or a budget", "write deadline='+12h'")
        for name, value, least in (
            ("budget", budget, 0.0), ("hours", hours, 0.0), ("watts", watts, 0.0),
            ("safety", safety, -1e-9), ("shortest", shortest, -1e-9),
            ("pause_cost", pause_cost, -1e-9), ("refresh", refresh, 0.0),
        ):  # fmt: skip
            if value is not None and not least < value < 1e9:
                bound = "above 0" if least == 0 else "0 or more"
                fail(ValueRangeError, op, f"{name} must be {bound}, received {value}")
        self.forecast, self.budget, self.watts = forecast, budget, watts
        self.deadline = None if deadline is None else moment(deadline, clock(), op)
        self.need = None if hours is None else hours * HOUR
        self.safety, self.shortest, self.pause_cost = safety, shortest, pause_cost
        self.refresh, self.clock = refresh, clock
        self.horizon = None
        self._holds: tuple[Forecast, float, float, tuple[float, float], Plan] | None = None

    def decide(
        self,
        now: float,
        need: float,
        *,
        ran_for: float | None = None,
        used: float = 0.0,
        watts: float | None = None,
    ) -> Decision:
        """Whether to run now.

        Args:
            now: seconds since 1970.
            need: seconds of work that are left.
            ran_for: seconds since the work was begun or taken up again; None if it stands still.
            used: grams that were used so far.
            watts: that the work takes.
        """
        if ran_for is not None and self._holds is not None:
            known, then, expected, (start, end), held = self._holds
            as_thought = abs(expected - (now - then) - need) < RESERVE
            if known is self.forecast and start <= now < end and as_thought:
                return Decision(True, min(end, now + LOOK), held)
        self._holds = None
        margin = RESERVE + self.safety * need
        if self.deadline is not None:
            latest = self.deadline - margin
        else:
            # A horizon that went on moving would always have a cleaner tomorrow.
            end = max(self.forecast.end, now + need + margin)
            self.horizon = end if self.horizon is None else self.horizon
            latest = max(self.horizon, now + need)
        found = plan(
            self.forecast,
            need,
            now=now,
            latest=latest,
            deadline=self.deadline,
            budget=None if self.budget is None else max(self.budget - used, 0.0),
            watts=watts or self.watts or WATTS,
            shortest=self.shortest,
            pause_cost=self.pause_cost,
            run_before=ran_for,
        )
        if not found.blocks:
            return Decision(True, now + LOOK, found)
        start, end = found.blocks[0]
        if start <= now:
            self._holds = (self.forecast, now, need, (start, end), found)
            is_last = len(found.blocks) == 1
            return Decision(True, now + LOOK if is_last else min(end, now + LOOK), found)
        return Decision(False, min(start, latest - need - self.pause_cost), found)

    def learn(self, newer: Forecast) -> None:
        """Plan with a newer forecast from now on; what the old one said of before is kept."""
        self.forecast = self.forecast.followed_by(newer)

    def plan(self, need: float | None = None, now: float | None = None) -> Plan:
        """The plan as it is before the work begins.

        Args:
            need: seconds of work; by default the `hours` that were given.
            now: seconds since 1970; by default the clock's.
        """
        need = self.need if need is None else need
        if need is None:
            fail(ValueRangeError, "CarbonAware", "how many hours of work there are is not known",
                 "pass hours=…")  # fmt: skip
        now = self.clock() if now is None else now
        horizon, found = self.horizon, self.decide(now, need).plan
        self.horizon = horizon
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went that was played through, by what the grid then really did.

    Attributes:
        blocks: (begin, end) of each time it ran.
        start, end: of all.
        deadline: None for none.
        kept: the deadline was kept.
        in_time_at_once: running at once would have kept it.
        grams, grams_at_once: of this, and of running at once.
    """

    blocks: tuple[tuple[float, float], ...]
    start: float
    end: float
    deadline: float | None
    kept: bool
    in_time_at_once: bool
    grams: float
    grams_at_once: float

    @property
    def saved(self) -> float:
        """The share of the carbon that was saved; below 0 if it was more."""
        return 1 - self.grams / self.grams_at_once if self.grams_at_once > 0 else 0.0


def simulate(
    forecast: Forecast | Callable[[float], Forecast],
    hours: float,
    *,
    start: float,
    deadline: Deadline | None = None,
    budget: float | None = None,
    truth: Forecast | None = None,
    slower: float = 1.0,
    watts: float = WATTS,
    **options: Any,
) -> Outcome:
    """Play a run through without waiting: what would be saved, and whether the deadline holds.

    Args:
        forecast: what is known; or a function of the moment that gives what is known then. When
            it raises an OSError or ValueError, what was known before is used.
        hours: of work, as they are thought to be.
        start: seconds since 1970.
        deadline, budget: see `Schedule`.
        truth: what the grid really does; by default what the forecast says.
        slower: hours that the work really takes, over those thought.
        watts: of the work.
        options: of `Schedule`.

    Example:
        >>> from elinvar.carbon.forecast import Forecast
        >>> night = [(i * 3600.0, 60.0 if i % 24 < 6 else 400.0) for i in range(48)]
        >>> found = simulate(Forecast.of(night), 4, start=12 * 3600.0, deadline="+24h")
        >>> found.kept, round(found.saved, 2)
        (True, 0.85)
    """
    now = start
    known = forecast if callable(forecast) else (lambda moment: forecast)
    schedule = Schedule(
        known(start), deadline, budget, hours=hours, watts=watts, clock=lambda: now, **options
    )
    truth = truth or schedule.forecast
    whole = hours * HOUR
    done = ran = 0.0
    since: float | None = None
    blocks: list[tuple[float, float]] = []
    renewal = start + schedule.refresh
    used = 0.0
    while whole - done > 1e-6:
        if now >= renewal:
            renewal = now + schedule.refresh
            try:
                schedule.learn(known(now))
            except (OSError, ValueError):
                pass  # an outage: what was known must do
        pace = ran / done if done > 0.01 * whole else 1.0
        decision = schedule.decide(
            now, (whole - done) * pace, ran_for=None if since is None else now - since, used=used
        )
        until = max(min(decision.until, renewal), now + 1.0)
        if not decision.run:
            now, since = until, None
            continue
        begun = now
        if since is None:
            since = now
            now += schedule.pause_cost if blocks else 0.0  # the first start is no going on
        span = min(max(until - now, 1.0), (whole - done) * slower)
        now, done, ran = now + span, done + span / slower, ran + span
        used += watts / 3.6e6 * truth.average(begun, now) * (now - begun)
        if blocks and blocks[-1][1] == begun:
            blocks[-1] = (blocks[-1][0], now)
        else:
            blocks.append((begun, now))
    once = whole * slower
    at_once = watts / 3.6e6 * truth.average(start, start + once) * once
    limit = schedule.deadline
    return Outcome(
        tuple(blocks), start, now, limit, limit is None or now <= limit + 1e-6,
        limit is None or start + once <= limit, used, at_once,
    )  # fmt: skip
