"""The command `elinvar`.

elinvar --version
elinvar cache                             what the disk cache holds
elinvar cache clear [--older-than 30d]    delete what was not used for so long, or everything
elinvar numerics                          fingerprints of what this machine computes
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from elinvar.cli import cache, numerics
from elinvar.core.errors import ElinvarError


def parser() -> argparse.ArgumentParser:
    """The command's words and options."""
    whole = argparse.ArgumentParser(
        prog="elinvar", description="Elinvar: a deep learning framework with its own compiler."
    )
    version = sys.modules["elinvar"].__version__
    whole.add_argument("--version", action="version", version=f"elinvar {version}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    about = "show what the disk cache of compiled kernels holds, or clear it"
    one = commands.add_parser("cache", help=about, description=about, epilog=cache.EPILOG)
    one.set_defaults(run=lambda options: cache.show())
    actions = one.add_subparsers(title="actions", metavar="ACTION")
    about = "delete entries of the cache; they are compiled again when they are needed"
    clear = actions.add_parser("clear", help=about, description=about)
    clear.add_argument(
        "--older-than",
        metavar="AGE",
        type=_age,
        help="only those not used for so long: a number with s, m, h, d or w, such as 30d",
    )
    clear.set_defaults(run=lambda options: cache.clear(options.older_than))
    about = "fingerprints of what this machine computes, to be compared with other machines"
    report = commands.add_parser(
        "numerics", help=about, description=about, epilog=numerics.EPILOG
    )
    numerics.add_options(report)
    report.set_defaults(run=numerics.run)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the answer is its exit code.

    Args:
        arguments: the words after `elinvar`; by default those of this process.
    """
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ElinvarError, OSError) as error:
        print(f"elinvar: {error}", file=sys.stderr)
        return 1


def _age(text: str) -> float:
    seconds = cache.age(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(
            f"expected a number with s, m, h, d or w, such as 30d, received {text!r}"
        )
    return seconds
