"""The command `elinvar`.

elinvar --version
elinvar train CONFIG [NAME=VALUE …]       train a model as a .py or .toml file says
elinvar eval CONFIG --checkpoint FILE     its figures on test data
elinvar predict CONFIG --checkpoint FILE  what it says of inputs
elinvar baseline CONFIG                   boosted trees on the same data, beside the network
elinvar data commit SOURCE NAME           a version of data; also log, diff, checkout, …
elinvar info                              version, processor, threads, packages
elinvar completion SHELL                  words for bash, zsh or fish
elinvar cache                             what the disk cache holds
elinvar cache clear [--older-than 30d]    delete what was not used for so long, or everything
elinvar numerics                          fingerprints of what this machine computes
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from elinvar.cli import cache, data, info, numerics, training
from elinvar.core.errors import ElinvarError


def parser() -> argparse.ArgumentParser:
    """The command's words and options."""
    whole = argparse.ArgumentParser(
        prog="elinvar", description="Elinvar: a deep learning framework with its own compiler."
    )
    version = sys.modules["elinvar"].__version__
    whole.add_argument("--version", action="version", version=f"elinvar {version}")
    whole.add_argument(
        "--debug", action="store_true", help="the whole traceback of an error (before the command)"
    )
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    training.add_commands(commands)
    data.add_commands(commands)
    info.add_commands(commands)
    commands.choices["completion"].set_defaults(
        run=lambda options: info.completion(options, _words(commands))
    )
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
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; nothing is left to be said
        return 1
    except KeyboardInterrupt as error:
        print(f"elinvar: {error or 'interrupted'}", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            raise
        known = isinstance(error, ElinvarError | OSError)
        kind = "" if known else f"{type(error).__name__}: "
        print(f"elinvar: {kind}{_one_line(error)}", file=sys.stderr)
        if not known:
            print("  elinvar --debug … shows where", file=sys.stderr)
        return 1


def _one_line(error: Exception) -> str:
    """What an error says, and its hint; not where in the user's code it was."""
    lines = str(error).splitlines() or [type(error).__name__]
    hints = [line.strip() for line in lines[1:] if line.strip().startswith("hint:")]
    return "; ".join([lines[0], *hints])


def _words(commands: Any) -> dict[str, list[str]]:
    """The options of each command."""
    found: dict[str, list[str]] = {}
    for name, one in commands.choices.items():
        words = [word for action in one._actions for word in action.option_strings]
        found[name] = [word for word in words if word.startswith("--")]
    return found


def _age(text: str) -> float:
    seconds = cache.age(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(
            f"expected a number with s, m, h, d or w, such as 30d, received {text!r}"
        )
    return seconds
