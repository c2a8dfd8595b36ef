"""`elinvar runs`, `verify` and `replay`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from elinvar.carbon.meter import in_words
from elinvar.core.errors import ConfigError, fail
from elinvar.nn.summary import table
from elinvar.runs import latest
from elinvar.runs import run as layout
from elinvar.runs.latest import Standing
from elinvar.runs.replay import differences, elinvar_differences, replay
from elinvar.runs.rows import rows_of
from elinvar.runs.verifying import verify
from elinvar.train.figures import figure
from elinvar.train.plots import compare_runs

DIFFERS = 3  # the exit code of `replay` and `verify` where something is not as it was

RUNS_EPILOG = """\
RUN is a folder, a name in the folder of runs, the beginning of a name, or `last`.

examples:
  elinvar runs                                 all runs, the newest first
  elinvar runs show last                       one run: what went in, how it went
  elinvar runs compare 20261129-0815 last      how two differ, and their figures
  elinvar runs plot last --output loss.png     curves
"""
REPLAY_EPILOG = """\
RUN is a folder, a name in the folder of runs, the beginning of a name, or `last`.
Exit codes: 0 the same run, 3 not the same, 1 it could not be replayed.
The program runs as it did, up to the run's last step: what it does before that, it does again.

examples:
  elinvar replay last
  elinvar replay last --from 500 --to 600      from the checkpoint before step 500 on
  elinvar replay last --threads 1
  elinvar replay last --checkout               the code of the recorded commit and diff
  elinvar replay last -- python other.py       another command line
"""


def add_commands(commands: Any) -> None:
    """Add the three commands to a parser."""
    raw = argparse.RawDescriptionHelpFormatter
    about = "list, show, compare and plot recorded runs"
    one = commands.add_parser(
        "runs", help=about, description=about, epilog=RUNS_EPILOG, formatter_class=raw
    )
    choices = ("list", "show", "compare", "plot")
    one.add_argument("action", nargs="?", choices=choices, default="list", help="list by default")
    one.add_argument("names", metavar="RUN", nargs="*", help="which")
    _common(one)
    one.add_argument("--output", metavar="FILE", help="of plot: the picture (runs.png)")
    one.add_argument("--figure", metavar="NAME", help="of plot: which figure (loss)")
    one.set_defaults(run=runs)
    about = "check the files of a run: hashes, and how they fit together"
    one = commands.add_parser(
        "verify", help=about, description=about, epilog="Exit codes: 0 sound, 3 damaged or changed."
    )
    one.add_argument("name", metavar="RUN")
    _common(one)
    one.set_defaults(run=verified)
    about = "run a recorded run again, and say whether it is the same, bit for bit"
    one = commands.add_parser(
        "replay", help=about, description=about, epilog=REPLAY_EPILOG, formatter_class=raw
    )
    one.add_argument("name", metavar="RUN")
    _common(one)
    one.add_argument("--from", dest="start", type=int, metavar="STEP", help="begin there")
    one.add_argument("--to", dest="stop", type=int, metavar="STEP", help="end there")
    one.add_argument(
        "--in", dest="inside", metavar="FOLDER", help="where the program's code is now"
    )
    one.add_argument("--checkout", action="store_true", help="the code of the recorded commit")
    one.add_argument("--threads", type=int, metavar="N", help="how many")
    one.add_argument("--quiet", action="store_true", help="not the program's own output")
    one.set_defaults(run=replayed, program=[])


def _common(one: argparse.ArgumentParser) -> None:
    one.add_argument("--folder", metavar="DIR", help="where runs are (ELINVAR_RUNS, or `runs`)")
    one.add_argument("--json", action="store_true", help="one line of JSON on standard output")


def _found(name: str, options: argparse.Namespace) -> Path:
    return latest.find(name, None if options.folder is None else Path(options.folder))


def runs(options: argparse.Namespace) -> int:
    """List, show, compare or plot."""
    if options.action == "list":
        base = latest.runs_folder(options.folder)
        if options.names:
            fail(
                ConfigError, "runs", "list takes no names", f"elinvar runs show {options.names[0]}"
            )
        return _list(base, options)
    need = {"show": 1, "compare": 2, "plot": 1}[options.action]
    if len(options.names) < need:
        text = f"{options.action} needs {need} run{'s' if need > 1 else ''}"
        fail(ConfigError, "runs", text, "`elinvar runs` lists them; `last` is the newest")
    held = [latest.standing(_found(name, options)) for name in options.names]
    if options.action == "show":
        return _show(held, options)
    if options.action == "compare":
        return _compare(held, options)
    return _plot(held, options)


def epochs_of(run: Standing) -> list[dict[str, Any]]:
    """The rows of epochs."""
    rows, _ = rows_of(run.folder / layout.METRICS)
    return [row for row in rows if row.get("kind") == "epoch"]


def _last_figures(run: Standing) -> dict[str, Any]:
    rows = epochs_of(run)
    skipped = ("kind", "crc", "epoch", "step")
    return {k: v for k, v in rows[-1].items() if k not in skipped} if rows else {}


def _summary(run: Standing) -> dict[str, Any]:
    return {
        "name": run.name,
        "state": run.state,
        "step": run.step,
        "created": run.manifest.get("created"),
        "program": run.manifest.get("entry", {}).get("program"),
        "figures": _last_figures(run),
        **({"trouble": run.trouble} if run.trouble else {}),
    }


def _list(base: Path, options: argparse.Namespace) -> int:
    found = [_summary(latest.standing(folder)) for folder in latest.folders(base)]
    if options.json:
        print(json.dumps(found), file=options.out)
        return 0
    if not found:
        print(f"there is no run in {base}; each fit of a Trainer makes one")
        return 0
    names = [n for n in ("loss", "val_loss") if any(n in row["figures"] for row in found)]
    rows = [
        [
            row["name"],
            row["state"],
            str(row["step"]),
            *(_cell(row["figures"].get(n)) for n in names),
        ]
        for row in found
    ]
    print(table(["run", "state", "steps", *names], rows, 2))
    for row in found:
        if "trouble" in row:
            print(f"{row['name']}: {row['trouble']}")
    return 0


def _cell(value: Any) -> str:
    return "" if value is None else figure(value)


def _show(held: list[Standing], options: argparse.Namespace) -> int:
    for run in held:
        if options.json:
            parts = {"manifest": run.manifest, "processes": run.processes, "epochs": epochs_of(run)}
            print(json.dumps({**_summary(run), **parts}), file=options.out)
            continue
        code = run.manifest.get("code", {})
        changed = ", with changes" if "diff" in code else ""
        machine = run.manifest.get("machine", {})
        lines = {
            "run": str(run.folder),
            "state": f"{run.state} after {run.step} steps",
            "created": run.manifest.get("created", "?"),
            "program": " ".join(run.manifest.get("entry", {}).get("arguments") or ["(a notebook)"]),
            "code": f"commit {code['commit'][:12]}{changed}" if "commit" in code else "no git",
            "machine": f"{machine.get('processor')}, {machine.get('threads')} threads",
            "processes": str(sum(row.get("event") == "start" for row in run.processes)),
            "energy": _energy(run),
            **({"trouble": run.trouble} if run.trouble else {}),
            **{name: _cell(value) for name, value in _last_figures(run).items()},
        }
        width = max(map(len, lines))
        print("\n".join(f"{name:<{width}}  {value}" for name, value in lines.items()))
    return 0


def _energy(run: Standing) -> str:
    """Energy and carbon by the newest end of a process."""
    found = next((row["energy"] for row in reversed(run.processes) if "energy" in row), None)
    if found is None:
        return "not known"
    numbers = (found["energy_joules"], found["grams_co2e"])
    return in_words(*numbers, found["estimated"], found["grid_assumed"])


def _compare(held: list[Standing], options: argparse.Namespace) -> int:
    first = held[0]
    found = {}
    for other in held[1:]:
        rows = []
        for part in ("config", "code", "packages", "numerics", "machine"):
            a, b = first.manifest.get(part, {}), other.manifest.get(part, {})
            if part == "numerics":
                rows += elinvar_differences(a, b)
            else:
                rows += differences(part, a, b)
        found[other.name] = rows
    figures = {run.name: _last_figures(run) for run in held}
    if options.json:
        print(json.dumps({"differences": found, "figures": figures}), file=options.out)
        return 0
    for name, rows in found.items():
        print(f"{first.name} → {name}" + ("" if rows else ": nothing that went in differs"))
        for kind, what in rows:
            print(f"  {kind}: {what}")
    names = list(dict.fromkeys(n for row in figures.values() for n in row))
    print(
        table(
            ["figure", *figures],
            [[n, *(_cell(r.get(n)) for r in figures.values())] for n in names],
            2,
        )
    )
    return 0


def _plot(held: list[Standing], options: argparse.Namespace) -> int:
    name = options.figure or "loss"
    curves = {run.name: epochs_of(run) for run in held}
    known = list(dict.fromkeys(key for rows in curves.values() for row in rows for key in row))
    if name not in known:
        text = f"no run has a figure {name!r}"
        fail(ConfigError, "runs", text, f"there are {', '.join(known)}" if known else None)
    path = options.output or "runs.png"
    compare_runs(curves, name, path)
    print(json.dumps({"saved": path}) if options.json else f"saved {path}", file=options.out)
    return 0


def verified(options: argparse.Namespace) -> int:
    """Check the files of a run."""
    found = verify(_found(options.name, options))
    if options.json:
        row = dataclasses.asdict(found)
        row |= {"folder": str(found.folder), "sound": found.sound}
        print(json.dumps(row), file=options.out)
        return 0 if found.sound else DIFFERS
    for text in found.faults:
        print(f"DAMAGED  {text}")
    for text in found.notes:
        print(f"note     {text}")
    word = "sound" if found.sound else "not sound"
    print(f"{found.folder} is {word}: {', '.join(found.checked)}")
    print(f"identity {found.identity}")
    return 0 if found.sound else DIFFERS


def replayed(options: argparse.Namespace) -> int:
    """Run a run again."""
    folder = _found(options.name, options)
    found = replay(
        folder,
        start=options.start,
        stop=options.stop,
        program=options.program or None,
        inside=None if options.inside is None else Path(options.inside),
        checkout=options.checkout,
        threads=options.threads,
        quiet=options.quiet,
    )
    print(json.dumps(dataclasses.asdict(found)) if options.json else found, file=options.out)
    return 0 if found.same else DIFFERS
