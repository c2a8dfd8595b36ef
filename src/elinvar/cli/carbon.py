"""`elinvar carbon`: plans for a cleaner grid, and what recorded runs have cost."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from elinvar.carbon import Forecast, Schedule, intensity
from elinvar.carbon.forecast import UNITS
from elinvar.carbon.meter import in_words
from elinvar.carbon.planning import compared
from elinvar.carbon.times import moment, zone_named
from elinvar.core.errors import ConfigError, fail
from elinvar.nn.summary import table
from elinvar.runs import latest
from elinvar.train import plots

EPILOG = """\
examples:
  elinvar carbon plan --forecast grid.csv --hours 5 --deadline +24h
  elinvar carbon plan --forecast grid.csv --hours 5 --deadline 2026-11-30T08:00 --plot plan.png
  elinvar carbon plan --electricity-maps FR --token-file token.txt --hours 5 --budget 200
  elinvar carbon report
  elinvar carbon grid FR

A file of a token has it on its first line; for WattTime it may have a user's name and password on
two lines. Exit codes: 0 done; 1 an error, said in one line; 3 the deadline or the budget of a plan
cannot be kept.
"""
CANNOT = 3  # the exit code of a plan that keeps not everything
PROVIDERS = ("watttime", "electricity_maps")


def add_commands(commands: Any) -> None:
    """Add the command and its actions to a parser."""
    about = "plan for a cleaner grid; energy and carbon of recorded runs"
    layout = argparse.RawDescriptionHelpFormatter
    one = commands.add_parser(
        "carbon", help=about, description=about, epilog=EPILOG, formatter_class=layout
    )
    actions = one.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = _action(actions, "plan", plan, "when to train, and what that saves")
    source = action.add_mutually_exclusive_group(required=True)
    source.add_argument("--forecast", metavar="FILE", help="a CSV file of times and intensities")
    source.add_argument("--watttime", metavar="REGION", help="ask WattTime; needs --token-file")
    source.add_argument(
        "--electricity-maps", metavar="ZONE", help="ask Electricity Maps; needs --token-file"
    )
    action.add_argument("--hours", type=_positive, required=True, help="of training")
    action.add_argument("--deadline", metavar="TIME", help="such as 2026-11-30T08:00 or +12h")
    action.add_argument("--budget", metavar="GRAMS", type=_positive, help="of CO₂e")
    action.add_argument("--watts", type=_positive, help="that training takes (100)")
    action.add_argument("--start", metavar="TIME", help="plan as if it were then (now)")
    action.add_argument(
        "--shortest", metavar="MINUTES", type=_positive, help="of a stretch of work (30)"
    )
    action.add_argument("--timezone", help="of the file's times and of those shown")
    action.add_argument("--time", metavar="COLUMN", help="the file's column of times")
    action.add_argument("--intensity", metavar="COLUMN", help="the file's column of numbers")
    action.add_argument("--units", choices=tuple(UNITS), default="g/kWh", help="of the file")
    action.add_argument("--token-file", metavar="FILE", help="the provider's token")
    action.add_argument("--url", help="of a server that stands in for the provider's")
    action.add_argument("--ahead", metavar="HOURS", type=int, default=24, help="to ask for (24)")
    action.add_argument("--plot", metavar="FILE", help="draw it (matplotlib)")

    action = _action(actions, "report", report, "energy and carbon of recorded runs")
    action.add_argument("names", metavar="RUN", nargs="*", help="by default all")
    action.add_argument("--folder", help="where runs are (ELINVAR_RUNS, or runs)")

    action = _action(actions, "grid", grid, "grams of CO₂e that a kilowatt-hour costs here")
    action.add_argument("place", metavar="PLACE", nargs="?", help="a number or a country's code")


def _action(actions: Any, name: str, run: Any, about: str) -> Any:
    action = actions.add_parser(name, help=about, description=about)
    action.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    about = "the whole traceback of an error"
    action.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=about)
    action.set_defaults(run=run)
    return action


def _positive(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 < found < 1e9:
        raise argparse.ArgumentTypeError(f"expected a number above 0, received {text!r}")
    return found


def plan(options: argparse.Namespace) -> int:
    """Show when to train."""
    zone = None if options.timezone is None else zone_named(options.timezone, "carbon")
    forecast = _forecast(options)
    now = time.time()
    if options.start is not None:
        now = moment(options.start, now, "carbon", "start")
    schedule = Schedule(
        forecast,
        options.deadline,
        options.budget,
        hours=options.hours,
        watts=options.watts,
        clock=lambda: now,
        **({} if options.shortest is None else {"shortest": options.shortest * 60}),
    )
    found = schedule.plan(now=now)
    if options.plot:
        plots.carbon_plan(found, forecast, options.plot)
    told = json.dumps(found.as_dict()) if options.json else found.text(zone)
    print(told, file=options.out)
    return 0 if found.keeps_deadline and found.keeps_budget else CANNOT


def _forecast(options: argparse.Namespace) -> Forecast:
    if options.forecast is not None:
        return Forecast.from_csv(
            options.forecast,
            time=options.time,
            intensity=options.intensity,
            units=options.units,
            timezone=options.timezone,
        )
    if options.token_file is None:
        fail(ConfigError, "carbon", "a provider wants a token", "put it in a file: --token-file")
    lines = Path(options.token_file).read_text(encoding="utf-8").split()
    if not 1 <= len(lines) <= 2:
        text = f"{options.token_file!r} has {len(lines)} words; expected a token"
        fail(ConfigError, "carbon", text, "or, for WattTime, a user's name and a password")
    more: Any = {} if options.url is None else {"url": options.url}
    if options.electricity_maps is not None:
        zone = options.electricity_maps
        return Forecast.from_electricity_maps(zone, token=lines[0], hours=options.ahead, **more)
    is_login = len(lines) == 2
    return Forecast.from_watttime(
        options.watttime,
        hours=options.ahead,
        username=lines[0] if is_login else None,
        password=lines[1] if is_login else None,
        token=None if is_login else lines[0],
        **more,
    )


def report(options: argparse.Namespace) -> int:
    """Show what runs have cost, and their sum."""
    base = latest.runs_folder(options.folder)
    folders = [latest.find(name, base) for name in options.names] or list(latest.folders(base))
    rows: list[list[str]] = []
    told: list[dict[str, Any]] = []
    joules = grams = 0.0
    estimated = assumed = False
    for folder in folders:
        run = latest.standing(folder)
        found = next((row["energy"] for row in reversed(run.processes) if "energy" in row), None)
        told.append({"name": run.name, "state": run.state, "energy": found})
        if found is None:
            rows.append([run.name, run.state, "not known"])
            continue
        numbers = float(found["energy_joules"]), float(found["grams_co2e"])
        joules, grams = joules + numbers[0], grams + numbers[1]
        estimated |= bool(found["estimated"])
        assumed |= bool(found["grid_assumed"])
        said = in_words(*numbers, found["estimated"], found["grid_assumed"])
        waited = found.get("carbon_aware")
        if waited is not None:
            said += f"; {compared(waited['saved'])} than at once"
        rows.append([run.name, run.state, said])
    total = {"energy_joules": joules, "grams_co2e": grams, "estimated": estimated}
    if options.json:
        print(json.dumps({"runs": told, "total": total}), file=options.out)
    elif not rows:
        print(f"there is no run in {base}; each fit of a Trainer makes one", file=options.out)
    else:
        rows.append([f"{len(folders)} together", "", in_words(joules, grams, estimated, assumed)])
        print(table(["run", "state", "energy and carbon"], rows, 0), file=options.out)
    return 0


def grid(options: argparse.Namespace) -> int:
    """Show what a kilowatt-hour costs."""
    found = intensity(options.place)
    told = {
        "grams_per_kwh": found.grams_per_kwh,
        "source": found.source,
        "assumed": found.assumed,
    }
    tail = "; an assumption: set ELINVAR_GRID" if found.assumed else ""
    text = f"{found.grams_per_kwh:g} g CO₂e/kWh: {found.source}{tail}"
    print(json.dumps(told) if options.json else text, file=options.out)
    return 0
