"""The command `elinvar`.

elinvar --version
elinvar train CONFIG [NAME=VALUE …]       train a model as a .py or .toml file says
elinvar eval CONFIG --checkpoint FILE     its figures on test data
elinvar predict CONFIG --checkpoint FILE  what it says of inputs
elinvar baseline CONFIG                   boosted trees on the same data, beside the network
elinvar data commit SOURCE NAME           a version of data; also log, diff, checkout, …
elinvar runs                              recorded runs: list, show, compare, plot
elinvar verify RUN                        check a run's files
elinvar replay RUN                        run it again: is it the same, bit for bit?
elinvar carbon plan                       when to train for the least carbon; also report, grid
elinvar info                              version, processor, threads, packages
elinvar completion SHELL                  words for bash, zsh or fish
elinvar cache                             what the disk cache holds
elinvar cache clear [--older-than 30d]    delete what was not used for so long, or everything
elinvar numerics                          fingerprints of what this machine computes
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from elinvar.cli import cache, carbon, data, info, numerics, runs, training
from elinvar.cli.words import Parser, parsed
from elinvar.core.errors import ElinvarError

EPILOG = """\
examples:
  elinvar train fashion.toml fit.epochs=3 --save end.safetensors
  elinvar eval fashion.toml --checkpoint end.safetensors --json
  elinvar train --help
  eval "$(elinvar completion bash)"

exit codes: 0 all is well; 1 an error, which is said in one line on standard error; 2 the command
line was not understood; 75 left while the grid is dirty (`CarbonAware`), to be started again; 130
stopped by Ctrl-C; 143 stopped by SIGTERM (all three after saving the run).
"""


def parser() -> Parser:
    """The command's words and options."""
    return _parser()[0]


def _parser() -> tuple[Parser, Any]:
    whole = Parser(
        prog="elinvar",
        description="Elinvar: a deep learning framework with its own compiler.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = sys.modules["elinvar"].__version__
    whole.add_argument("--version", action="version", version=f"elinvar {version}")
    whole.add_argument(
        "--debug", action="store_true", help="the whole traceback of an error"
    )
    commands = whole.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )
    training.add_commands(commands)
    data.add_commands(commands)
    runs.add_commands(commands)
    carbon.add_commands(commands)
    info.add_commands(commands)
    commands.choices["completion"].set_defaults(
        run=lambda options: info.completion(options, _words(commands))
    )
    about = "show what the disk cache of compiled kernels holds, or clear it"
    one = commands.add_parser("cache", help=about, description=about, epilog=cache.EPILOG)
    one.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    one.set_defaults(run=lambda options: cache.show(options.out if options.json else None))
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
    for one in commands.choices.values():  # before or behind the command, as one likes
        about = "the whole traceback of an error"
        one.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=about)
    return whole, commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the answer is its exit code.

    Args:
        arguments: the words after `elinvar`; by default those of this process.
    """
    options = parsed(*_parser(), sys.argv[1:] if arguments is None else arguments)
    options.out = sys.stdout
    speaks_json = getattr(options, "json", False) is True  # of `numerics` it is a file
    try:
        # With --json nothing else goes there, whatever the user's own code prints.
        with contextlib.redirect_stdout(sys.stderr if speaks_json else sys.stdout):
            return int(options.run(options))
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; nothing is left to be said
        return 1
    except KeyboardInterrupt as error:
        text = re.sub(r"fit\(…, resume='(.*)'\)", r"elinvar train … --resume \1", str(error))
        print(f"elinvar: {text or 'interrupted'}", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            raise
        print(f"elinvar: {_one_line(error)}", file=sys.stderr)
        return 1


def _one_line(error: Exception) -> str:
    """What an error says, and its hint. Errors of the user's code have their place, ours do not:
    most are about a file or a value that the text names."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, ElinvarError | OSError):
        parts = [line for line in lines if not line.startswith("at ")]
        if len(parts) > 12:  # such as the names of all weights
            parts = [*parts[:8], "…", *(part for part in parts[8:] if part.startswith("hint:"))]
        return "; ".join(parts or [type(error).__name__]).replace(":; ", ": ")
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    place = _place(error)
    return f"{text}{f' ({place})' if place else ''}; elinvar --debug … shows where"


def _place(error: Exception) -> str:
    """The user's line that an error came from: the last one outside of packages."""
    packages = (os.path.dirname(os.path.dirname(__file__)), sys.prefix, sys.base_prefix)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((*packages, "<")):
            return f"{frame.filename}:{frame.lineno}"
    return ""


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
