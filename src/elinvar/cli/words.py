"""What the command line says of words that it does not understand, and where it may stand."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from elinvar.core.other_names import nearest

_CHOICE = re.compile(r"invalid choice: '?(.*?)'? \(choose from (.*)\)$")


class Parser(argparse.ArgumentParser):
    """A parser whose errors say which word was probably meant."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and one line of error; the exit code is 2."""
        found = _CHOICE.search(message)
        if found is not None:
            known = [word.strip(" '") for word in found[2].split(",")]
            alike = difflib.get_close_matches(found[1], known, 1)
            message += f"; did you mean {alike[0]!r}?" if alike else ""
        super().error(message)


def parsed(whole: Parser, commands: Any, words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; name=value may stand anywhere among them.

    Args:
        whole: the parser of all commands.
        commands: its subparsers.
        words: those after `elinvar`.
    """
    if words and words[0] == "help":  # elinvar help train
        words = [*words[1:2], "--help"]
    words, tail = list(words), []
    if "--" in words:  # what follows is another command's
        at = words.index("--")
        words, tail = words[:at], words[at + 1 :]
    options, rest = whole.parse_known_args(words)
    if hasattr(options, "program"):
        options.program = tail
    else:
        rest += tail
    values = list(options.values) if hasattr(options, "values") else None
    wish = getattr(options, "resume", None)
    if values is not None and isinstance(wish, str) and "=" in wish and not os.path.exists(wish):
        values.append(wish)  # --resume name=value
        options.resume = True
    odd = []
    for word in rest:
        if values is not None and not word.startswith("-"):
            values.append(word)  # argparse takes them only as one row beside CONFIG
        else:
            odd.append(word)
    options.values = values
    if odd:
        command = commands.choices[options.command]
        known = [word for action in command._actions for word in action.option_strings]
        command.error(f"{_unknown(odd[0], known, values is not None)}")
    return options


def _unknown(word: str, known: Sequence[str], takes_values: bool) -> str:
    """What to say of a word that is no option of the command."""
    is_option = word.startswith("-")
    text = f"there is no option {word}" if is_option else f"{word!r} is one word too many"
    name, sign, value = word.lstrip("-").partition("=")
    alike = difflib.get_close_matches(word.partition("=")[0], known, 1, 0.7)
    if alike:
        return f"{text}; {nearest(word.partition('=')[0], known)}"
    if takes_values and word.startswith("--"):
        given = f"{name}={value or 'VALUE'}" if sign else f"{name}=VALUE"
        return f"{text}; values of the configuration are written {given}"
    return f"{text}; there are {', '.join(name for name in known if name.startswith('--'))}"
