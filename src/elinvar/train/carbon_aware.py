"""Training that waits for a cleaner grid, and keeps its deadline."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from elinvar.carbon import Forecast, Intensity, Plan, Schedule, words
from elinvar.carbon.planning import compared
from elinvar.carbon.schedule import WATTS, Decision
from elinvar.carbon.times import HOUR, length, shown
from elinvar.core.errors import DTypeError, RemoteError, fail
from elinvar.core.settings import settings
from elinvar.train.callbacks import Callback
from elinvar.train.signals import pending
from elinvar.train.sleeping import wait

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer

PAUSED = 75  # the exit code of `exit_when_paused`: sysexits.h calls it "try again later"
FIRST_LOOK = 30.0  # seconds of training after which its pace is worth something
SAME = 1e-3  # of an hour: spans of the account that follow each other so closely are one


class CarbonAware(Callback):
    """Pauses where the grid is dirty and goes on where it is cleaner.

    The plan is the one of least carbon that keeps the deadline (with a budget: the earliest end
    within it), made anew with each new forecast and when training is slower than thought. A pause
    comes after a step; the state is saved, then the process sleeps, and goes on as if nothing had
    been: with the bits of a run that never paused. Ctrl-C and SIGTERM wake it.

    Args:
        schedule: a forecast (`el.carbon.Forecast`) or a whole `el.carbon.Schedule`.
        deadline, budget: see `Schedule`; one of them is needed with a forecast.
        exit_when_paused: leave the process in place of sleeping, with exit code 75; whoever starts
            it again with `resume=…` goes on (and if it is too early, leaves again).
        folder: for the state at a pause; by default the trainer's.
        quiet: say nothing.
        sleep: for tests: a function of seconds, True if a signal came.
        options: more of `Schedule`: `hours`, `watts`, `safety`, `shortest`, `refresh`, …

    Without `hours` the first half minute of training tells how long it will take, so it begins at
    once.

    Attributes:
        schedule: what is kept.
        report: figures of the run so far: grams, grams at once, what was saved, pauses.

    Example:
        >>> import elinvar as el
        >>> hours = [(1795939200.0 + 3600 * i, 300.0 if i < 6 else 80.0) for i in range(24)]
        >>> forecast = el.carbon.Forecast.of(hours)
        >>> aware = el.train.CarbonAware(forecast, "2026-11-30T08:00+00:00", hours=4)
        >>> plan = aware.simulate(now=1795939200.0)
        >>> round(plan.saved, 2), plan.keeps_deadline
        (0.73, True)
    """

    schedule: Schedule

    exit_when_paused: bool
    quiet: bool
    folder: Path | None

    def __init__(
        self,
        schedule: Schedule | Forecast,
        deadline: Any = None,
        budget: float | None = None,
        *,
        exit_when_paused: bool = False,
        folder: str | os.PathLike[str] | None = None,
        quiet: bool = False,
        sleep: Callable[[float], bool | None] = wait,
        **options: Any,
    ) -> None:
        if isinstance(schedule, Schedule):
            if deadline is not None or budget is not None or options:
                text = "a Schedule has its own deadline, budget and options"
                fail(DTypeError, "CarbonAware", text, "write them there, or pass a Forecast")
            self.schedule = schedule
        else:
            self.schedule = Schedule(schedule, deadline, budget, **options)
        self.exit_when_paused, self.quiet = exit_when_paused, quiet
        self.folder = None if folder is None else Path(folder)
        self._sleep = sleep
        self._renewal: _Renewal | None = None
        self._spans: list[list[float]] = []  # begin, end, joules of running
        self._started: float | None = None
        self._planned: float | None = None  # grams of the first plan
        self._planned_watts = WATTS
        self._paused, self._pauses, self._ran_before = 0.0, 0, 0.0
        self._left_at: float | None = None  # when the process was left in a pause
        self._off = False
        self._begin_fit(0.0)

    def _begin_fit(self, now: float) -> None:
        self._ran = 0.0  # seconds of running in this fit
        self._progress_at_start: float | None = None
        self._since: float | None = None  # when this stretch of running began
        self._looked = self._next_look = now
        self._joules = 0.0
        self._paused_in_epoch = 0.0
        self._tries = False  # runs to learn how long the work takes

    def simulate(self, hours: float | None = None, now: float | None = None) -> Plan:
        """The plan, before anything is trained; it prints as a table.

        Args:
            hours: of work; by default those of the schedule.
            now: seconds since 1970; by default the clock's.
        """
        return self.schedule.plan(None if hours is None else hours * HOUR, now)

    # ---- events ----------------------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer) -> None:
        """Plan, and wait if it is too early to begin."""
        now = self.schedule.clock()
        self._off = settings.replay is not None  # a replay is about bits, not about hours
        if self._off:
            return
        self._begin_fit(now)
        self._started = now if self._started is None else self._started
        if self._left_at is not None:
            self._paused += max(now - self._left_at, 0.0)
        self._renewal = _Renewal(self.schedule, now)
        self._progress_at_start = _progress(trainer)
        self._joules = trainer.energy.total.joules
        need = self._need(trainer)
        if need is None:
            when = "some of it" if trainer.num_batches else "the first epoch (or say hours=…)"
            self._say(f"how long the work takes will be known after {when}; it begins at once")
            self._since, self._next_look, self._left_at = now, now + FIRST_LOOK, None
            self._tries = True
            self._use(trainer, now)
            return
        decision = self._decide(now, need, None)
        self._say(str(decision.plan))
        if decision.run:
            self._since, self._next_look, self._left_at = now, decision.until, None
            self._use(trainer, now)
        else:
            self._pause(trainer, decision, need, before_the_first_step=True)

    def on_step_end(self, trainer: Trainer) -> None:
        """Look at the clock, and at the plan when it is time."""
        now = self.schedule.clock()
        if self._off or now < self._next_look:
            return
        self._account(trainer, now)
        assert self._renewal is not None
        news = self._renewal.poll(now)
        if news is not None:
            self._say(news)
        need = self._need(trainer)
        self._use(trainer, now)
        if need is None:
            self._next_look = now + FIRST_LOOK
            return
        assert self._since is not None
        ran_for = self.schedule.shortest if self._tries else now - self._since
        decision = self._decide(now, need, ran_for)
        if self._tries:
            self._say(str(decision.plan))
        self._tries = False
        if decision.run or need <= 0 or trainer.stop_reason is not None or pending():
            self._next_look = max(decision.until, now + 1.0)
        else:
            self._pause(trainer, decision, need)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Pauses are no part of an epoch's time."""
        if not self._paused_in_epoch:
            return
        for row in (trainer.logs, trainer.history.rows[-1]):
            samples = row["samples_per_second"] * row["seconds"]
            row["seconds"] = max(row["seconds"] - self._paused_in_epoch, 1e-9)
            row["samples_per_second"] = samples / row["seconds"]
            row["paused"] = self._paused_in_epoch
        self._paused_in_epoch = 0.0

    def on_fit_end(self, trainer: Trainer) -> None:
        """Say what was saved."""
        if self._off or self._renewal is None:
            return
        if self._since is not None:
            self._account(trainer, self.schedule.clock())
            self._since = None
        if self._spans:
            trainer.energy.note("carbon_aware", self.report)  # runs keep it
            if sys.exc_info()[0] is None:
                self._say(self.text())

    # ---- deciding --------------------------------------------------------------------------

    def _need(self, trainer: Trainer) -> float | None:
        """Seconds of work that are left, by the pace so far; else by the `hours` that were said."""
        progress, begun = _progress(trainer), self._progress_at_start
        said = self.schedule.need
        if progress is not None and begun is not None:
            done = progress - begun
            if done > 0 and (self._ran >= FIRST_LOOK or done >= 0.05):
                return self._ran / done * (1 - progress)
            return None if said is None else said * (1 - progress)
        if said is None:
            return None
        return max(said - self._ran_before - self._ran, 0.0)

    def _decide(self, now: float, need: float, ran_for: float | None) -> Decision:
        ran = self._ran_before + self._ran
        joules = sum(span[2] for span in self._spans)
        watts = self.schedule.watts or (joules / ran if ran >= FIRST_LOOK and joules > 0 else WATTS)
        used = self._grams()
        found = self.schedule.decide(now, need, ran_for=ran_for, used=used, watts=watts)
        if self._planned is None:
            self._planned = used + found.plan.grams
            self._planned_watts = watts
        return found

    def _account(self, trainer: Trainer, now: float) -> None:
        """Write down the time and energy of running since the last look."""
        joules = trainer.energy.total.joules
        spent, span = joules - self._joules, now - self._looked
        if self._since is not None and span > 0:
            self._ran += span
            last = self._spans[-1] if self._spans else None
            whole_hour = last is not None and last[1] // HOUR == now // HOUR
            if last is not None and whole_hour and abs(last[1] - self._looked) < SAME:
                last[1], last[2] = now, last[2] + spent
            else:
                self._spans.append([self._looked, now, spent])
        self._looked, self._joules = now, joules

    def _use(self, trainer: Trainer, now: float) -> None:
        """The trainer's own account goes by the forecast, as long as it knows."""
        forecast = self.schedule.forecast
        grams = forecast.at(now)
        if grams is not None:
            trainer.energy.use(Intensity(grams, f"forecast: {forecast.source}"))

    # ---- pausing ---------------------------------------------------------------------------

    def _pause(
        self, trainer: Trainer, decision: Decision, need: float, before_the_first_step: bool = False
    ) -> None:
        began = self.schedule.clock()
        self._since = None
        trainer.energy.stop()
        self._pauses += self._left_at is None  # else it is the same pause still
        until = shown(decision.until)
        if self.exit_when_paused:
            self._leave(trainer, until, before_the_first_step)
        saved = self._saved(trainer)
        self._say(f"paused after step {trainer.step} until {until}; {saved}")
        assert self._renewal is not None
        now = began
        while True:
            news = self._renewal.poll(now)
            if news is not None:
                self._say(news)
            decision = self._decide(now, need, None)
            if decision.run:
                break
            until_news = self._renewal.next_poll(now)
            woken = self._sleep(max(min(decision.until, until_news) - now, 0.05))
            now = self.schedule.clock()
            if woken:
                break
        now = self.schedule.clock()
        self._paused += now - began
        self._paused_in_epoch += now - began
        trainer.energy.start()
        self._joules = trainer.energy.total.joules
        self._since = self._looked = now
        self._next_look = max(decision.until, now + 1.0)
        self._use(trainer, now)
        self._say(f"goes on after {length(now - began)}")

    def _saved(self, trainer: Trainer) -> str:
        file = (self.folder or trainer.folder) / "paused.safetensors"
        try:
            trainer.save(file)
        except OSError as error:
            return f"the state could not be saved ({error}), so keep this process"
        return f"saved {file}"

    def _leave(self, trainer: Trainer, until: str, before_the_first_step: bool) -> NoReturn:
        """End the process at a place from which the run goes on."""
        recorder, self._left_at = trainer.recorder, self.schedule.clock()
        if recorder.run_folder is not None:
            if before_the_first_step:
                recorder.start()
            else:
                recorder.step_done(trainer.logs["loss"])
            recorder.save(wait=True)
            place: Path = recorder.run_folder
        else:
            place = (self.folder or trainer.folder) / "paused.safetensors"
            trainer.save(place)
        text = f"paused after step {trainer.step} until {until}; saved {place}; go on then with "
        print(f"[CarbonAware] {text}fit(…, resume={str(place)!r})", file=sys.stderr)
        raise SystemExit(PAUSED)

    def _say(self, text: str) -> None:
        if not self.quiet:
            print(f"[CarbonAware] {text}", file=sys.stderr)

    # ---- figures ---------------------------------------------------------------------------

    def _grams(self) -> float:
        """Of all running so far, by what forecasts said of its time."""
        forecast = self.schedule.forecast
        unknown = forecast.mean
        return sum(
            forecast.average(begin, end, unknown) * joules / 3.6e6
            for begin, end, joules in self._spans
        )

    @property
    def report(self) -> dict[str, Any]:
        """Figures of the run so far, as plain values."""
        ran = sum(end - begin for begin, end, _ in self._spans)
        joules = sum(span[2] for span in self._spans)
        start = self._started or 0.0
        grams, forecast = self._grams(), self.schedule.forecast
        at_once = forecast.average(start, start + ran) * joules / 3.6e6 if ran else 0.0
        deadline, end = self.schedule.deadline, self._spans[-1][1] if self._spans else start
        scale = joules / (self._planned_watts * ran) if ran and self._planned is not None else 1.0
        return {
            "grams_co2e": grams,
            "grams_co2e_at_once": at_once,
            "grams_co2e_saved": at_once - grams,
            "saved": 1 - grams / at_once if at_once > 0 else 0.0,
            "grams_co2e_planned": None if self._planned is None else self._planned * scale,
            "energy_joules": joules,
            "ran_seconds": ran,
            "paused_seconds": self._paused,
            "pauses": self._pauses,
            "start": start,
            "end": end,
            "deadline": deadline,
            "deadline_kept": None if deadline is None else end <= deadline,
            "budget": self.schedule.budget,
            "budget_kept": None if self.schedule.budget is None else grams <= self.schedule.budget,
            "forecast": forecast.source,
        }

    def text(self) -> str:
        """The report in words."""
        found = self.report
        pauses = f"{found['pauses']} pause{'s' * (found['pauses'] != 1)}"
        if found["pauses"]:
            pauses += f" of {length(found['paused_seconds'])}"
        lines = [
            f"{words.carbon(found['grams_co2e'])} in place of "
            f"{words.carbon(found['grams_co2e_at_once'])} at once ({compared(found['saved'])}), "
            f"{pauses}, by {found['forecast']}"
        ]
        if found["grams_co2e_planned"] is not None:
            lines[0] += f"; planned were {words.carbon(found['grams_co2e_planned'])}"
        if found["deadline"] is not None:
            spare = found["deadline"] - found["end"]
            kept = "kept, {} to spare" if spare >= 0 else "missed by {}"
            said = kept.format(length(abs(spare)))
            lines.append(f"deadline {shown(found['deadline'])}: {said}")
        if found["budget"] is not None:
            kept = "kept" if found["budget_kept"] else "exceeded"
            lines.append(f"budget of {words.carbon(found['budget'])}: {kept}")
        return "; ".join(lines)

    def state_dict(self) -> dict[str, Any]:
        """What was run, paused and planned so far, and the deadline as a moment."""
        return {
            "spans": [list(span) for span in self._spans],
            "started": self._started,
            "planned": self._planned,
            "planned_watts": self._planned_watts,
            "paused": self._paused,
            "pauses": self._pauses,
            "left_at": self._left_at,
            "ran": self._ran_before + self._ran,
            "deadline": self.schedule.deadline,
            "horizon": self.schedule.horizon,
            "seen": self._seen(),
        }

    def _seen(self) -> list[list[float]]:
        """What forecasts said of the time since the first start: (begin, end, grams)."""
        forecast = self.schedule.forecast
        until = self._spans[-1][1] if self._spans else 0.0
        return [
            [start, end, grams]
            for start, end, grams in zip(
                forecast.starts, forecast.ends, forecast.grams, strict=True
            )
            if self._started is not None and end > self._started and start < until
        ]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on: a deadline such as `+12h` counts from the first start."""
        self._spans = [list(map(float, span)) for span in state_dict["spans"]]
        self._started, self._planned = state_dict["started"], state_dict["planned"]
        self._planned_watts = state_dict["planned_watts"]
        self._paused, self._pauses = state_dict["paused"], state_dict["pauses"]
        self._ran_before, self._ran = state_dict["ran"], 0.0
        self._left_at = state_dict["left_at"]
        self.schedule.horizon = state_dict["horizon"]
        if state_dict["deadline"] is not None:
            self.schedule.deadline = state_dict["deadline"]
        if state_dict["seen"]:
            starts, ends, grams = zip(*(map(float, row) for row in state_dict["seen"]), strict=True)
            newer = self.schedule.forecast
            self.schedule.forecast = Forecast(starts, ends, grams).followed_by(newer)


def _progress(trainer: Trainer) -> float | None:
    """The share of all batches that is done; of whole epochs, where the data have no length; None
    where there is no last epoch, either."""
    batches = trainer.num_batches
    if trainer.epochs >= sys.maxsize:
        return None
    if not batches:
        return trainer.epoch / trainer.epochs
    return min((trainer.epoch * batches + trainer.batches_done) / (trainer.epochs * batches), 1.0)


class _Renewal:
    """Asks for a new forecast now and then, in a thread: no step waits for a server."""

    def __init__(self, schedule: Schedule, now: float) -> None:
        self._schedule = schedule
        self._due = now + schedule.refresh
        self._thread: threading.Thread | None = None
        self._found: Forecast | None = None
        self._failed: Exception | None = None
        self._said = False

    def next_poll(self, now: float) -> float:
        """When it is worth looking again."""
        return now + 0.2 if self._thread is not None else self._due

    def poll(self, now: float) -> str | None:
        """Take a forecast that has come, ask for one if it is time; news worth telling."""
        schedule = self._schedule
        if schedule.forecast.again is None:
            self._due = now + schedule.refresh
            return None
        if self._thread is None:
            if now >= self._due:
                self._thread = threading.Thread(
                    target=self._ask, args=(schedule.forecast,), name="elinvar-grid", daemon=True
                )
                self._thread.start()
            return None
        if self._thread.is_alive():
            return None
        self._thread, failed = None, self._failed
        self._due, self._failed = now + schedule.refresh, None
        if self._found is not None:
            schedule.learn(self._found)
            self._found, self._said = None, False
            return None
        if isinstance(failed, RemoteError) and failed.wait is not None:
            self._due = now + max(failed.wait, schedule.refresh)
        if self._said:
            return None
        self._said = True
        why = str(failed).splitlines()[0]
        until = shown(schedule.forecast.end)
        return f"no newer forecast: {why}; the one that is known ends {until}"

    def _ask(self, forecast: Forecast) -> None:
        try:
            self._found = forecast.renewed()
        except (OSError, ValueError) as error:
            self._failed = error
