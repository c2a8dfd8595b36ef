"""`elinvar numerics`: fingerprints of what this machine computes, to be compared with others."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from elinvar.cli import numerics_report
from elinvar.cli.numerics_report import FAMILIES, PUBLISHED, SCALARS, Family, Report
from elinvar.core.errors import StateError, fail
from elinvar.runtime.pool import get_num_threads, set_num_threads

EPILOG = (
    "Two machines agree if their last lines agree. The exit code is 1 where something differs "
    "from the published fingerprints of this version, or with --compare from the other report. "
    "Families: "
    + ", ".join(FAMILIES)
    + "."
)
_SHOWN = 3  # names of items that differ, unless all are wanted
_WIDTH = max(len(title) for title, _ in FAMILIES.values())
_RED, _GREEN, _PLAIN = "\033[31m", "\033[32m", "\033[0m"


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of `elinvar numerics`."""
    add = command.add_argument
    add("--family", metavar="NAME", action="append", choices=tuple(FAMILIES), dest="families",
        help="only this family; may be given several times")  # fmt: skip
    add("--all", "-a", action="store_true", help="also a line for each function of a family")
    add("--json", metavar="FILE", type=Path, help="also write the report to a file, for --compare")
    add("--compare", metavar="FILE", type=Path,
        help="tell what differs from the report of another machine")  # fmt: skip
    add("--scalars", metavar="N", type=_count, default=SCALARS,
        help=f"random inputs of each function of scalars, beside special values ({SCALARS} "
        "unless told; others are not published, but two reports compare)")  # fmt: skip
    add("--threads", metavar="N", type=_count, help="how many threads to use")
    add("--mode", choices=("usual", "eager", "compiled"), default="usual",
        help="run operation by operation, or each function as one program; usual: training steps "
        "compiled, all else eager")  # fmt: skip
    add("--write", action="store_true",
        help="for developers: make these the published fingerprints of this version")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Print a report and tell whether it is as it should be."""
    families = [name for name in FAMILIES if name in (options.families or FAMILIES)]
    if options.write and (options.families or options.scalars != SCALARS):
        fail(StateError, "numerics", "--write takes all families and the usual number of scalars")
    other = numerics_report.read(options.compare) if options.compare else None
    expected = numerics_report.published() if PUBLISHED.exists() else None
    compiled = {"usual": None, "eager": False, "compiled": True}[options.mode]
    before = get_num_threads()
    if options.threads:
        set_num_threads(options.threads)
    try:
        _heading()

        def done(name: str, family: Family) -> None:
            _show(name, family, expected, options.scalars, options.all)

        made = numerics_report.report(families, options.scalars, compiled, done)
    finally:
        set_num_threads(before)
    if options.json:
        numerics_report.write(options.json, made)
    if options.write:
        numerics_report.write(PUBLISHED, _without_place(made))
        expected = None
    agrees = _conclude(made, expected)
    if other is not None:
        return 0 if _compare(made, other, options.all) else 1
    return 0 if agrees else 1


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 40:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, received {text!r}")
    return int(text)


# ---- printing -----------------------------------------------------------------------------------


def _heading() -> None:
    place = numerics_report.environment()
    print(f"Elinvar {numerics_report.version()} on {_place(place)}, {place['threads']} threads\n")
    print(f"{'':<{_WIDTH}}  {'values':>12}  fingerprint   published", flush=True)


def _place(found: dict[str, str]) -> str:
    """A machine in a few words."""
    sets = found.get("instruction sets", "").split()
    level = found.get("llvm cpu", "generic")
    best = sets[0] if sets else level if level != "generic" else found.get("machine")
    cpu = found.get("cpu", "an unknown CPU")
    return f"{cpu} ({best}), LLVM {found.get('llvm')}"


def _show(name: str, family: Family, expected: Report | None, scalars: int, whole: bool) -> None:
    wanted = expected.families.get(name) if expected else None
    if expected is not None and not expected.comparable(Report({}, "", scalars), name):
        wanted = None
    verdict = _verdict(None if wanted is None else wanted.fingerprint == family.fingerprint)
    title = FAMILIES[name][0]
    print(f"{title:<{_WIDTH}}  {family.values:>12,}  {family.fingerprint}  {verdict}", flush=True)
    if whole:
        for item, found in family.items.items():
            same = None if wanted is None else wanted.items.get(item) == found
            print(f"  {item:<{_WIDTH - 2}}  {'':>12}  {found}  {_verdict(same)}")
    elif wanted is not None:
        _names(numerics_report.differences(family, wanted), whole)


def _names(different: list[str], whole: bool) -> None:
    shown = different if whole else different[:_SHOWN]
    rest = len(different) - len(shown)
    more = f" and {rest} more (--all shows them)" if rest else ""
    if shown:
        print(f"  differs: {', '.join(shown)}{more}")


def _verdict(same: bool | None) -> str:
    if same is None:
        return "-"
    word, colour = ("agrees", _GREEN) if same else ("DIFFERS", _RED)
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    return word if plain else f"{colour}{word}{_PLAIN}"


def _conclude(made: Report, expected: Report | None) -> bool:
    """The last lines of a report; whether all that is published agrees."""
    if made.fingerprint:
        values = sum(family.values for family in made.families.values())
        same = None
        if expected is not None and expected.scalars == made.scalars:
            same = expected.fingerprint == made.fingerprint
        line = f"{'everything':<{_WIDTH}}  {values:>12,}  {made.fingerprint}  {_verdict(same)}"
        print(f"\n{line}")
    if expected is None:
        return True
    compared = [name for name in made.families if expected.comparable(made, name)]
    different = [name for name in compared if _differ(made, expected, name)]
    fingerprints = f"the published fingerprints of version {expected.version}"
    if different:
        print(f"\nDIFFERS from {fingerprints}: {', '.join(different)}")
    elif compared:
        print(f"\nagrees with {fingerprints}")
    else:
        print("\nno fingerprints are published for these inputs")
    return not different


def _differ(made: Report, other: Report, name: str) -> bool:
    wanted = other.families.get(name)
    return wanted is None or wanted.fingerprint != made.families[name].fingerprint


def _compare(made: Report, other: Report, whole: bool) -> bool:
    """Tell what differs from another report; whether nothing does."""
    print(f"\ncompared with Elinvar {other.version} on {_place(dict(other.environment))}:")
    if other.version != made.version:
        print("  the versions differ, and with them the bits may")
    agree, count = True, 0
    for name, family in made.families.items():
        theirs = other.families.get(name)
        if theirs is None:
            print(f"  {FAMILIES[name][0]}: not in the other report")
        elif not made.comparable(other, name):
            print(f"  {FAMILIES[name][0]}: not comparable, the other had {other.scalars} scalars")
        elif theirs.fingerprint != family.fingerprint:
            agree = False
            print(f"  {FAMILIES[name][0]}: {_verdict(False)}")
            _names(numerics_report.differences(family, theirs), whole)
        else:
            count += 1
    if not count and agree:
        print("  nothing to compare")
        return False
    if agree:
        print(f"  {count} {'family agrees' if count == 1 else 'families agree'}: the same bits")
    return agree


def _without_place(made: Report) -> Report:
    """A report without what belongs to one machine or one run."""
    families = {name: Family(family.items, family.values) for name, family in made.families.items()}
    return Report(families, made.version, made.scalars)
