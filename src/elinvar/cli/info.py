"""`elinvar info`: what runs here; `elinvar completion`: words for the shell."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
from typing import Any

from elinvar.core.settings import settings
from elinvar.core.version import VERSION
from elinvar.runtime.pool import get_num_threads
from elinvar.runtime.targets import target_named

OPTIONAL = (
    "rich", "matplotlib", "scikit-learn", "pyarrow", "pillow", "safetensors", "jaxlib",
    "codecarbon",
)  # fmt: skip


def add_commands(commands: Any) -> None:
    """Add both commands to a parser."""
    about = "version, processor, threads, packages"
    one = commands.add_parser("info", help=about, description=about)
    one.add_argument("--json", action="store_true", help="one line of JSON")
    one.set_defaults(run=info)
    about = "a script that completes words of `elinvar` in a shell"
    use = 'bash: eval "$(elinvar completion bash)"'
    one = commands.add_parser("completion", help=about, description=about, epilog=use)
    one.add_argument("shell", choices=("bash", "zsh", "fish"))


def info(options: argparse.Namespace) -> int:
    """Print what runs here."""
    target = target_named("host")
    found = {
        "elinvar": VERSION,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": target.target.cpu,
        "vectors": f"{target.vector_bits} bits",
        "threads": get_num_threads(),
        "cache": str(settings.cache_dir or "off"),
        **{name: _version(name) for name in ("numpy", "llvmlite", *OPTIONAL)},
    }
    if options.json:
        print(json.dumps(found), file=options.out)
        return 0
    width = max(map(len, found))
    for name, value in found.items():
        print(f"{name:<{width}}  {value or '–'}")
    return 0


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def completion(options: argparse.Namespace, words: dict[str, list[str]]) -> int:
    """Print the script for a shell.

    Args:
        words: options by command.
    """
    commands = " ".join(words)
    if options.shell == "fish":
        print(f"complete -c elinvar -n __fish_use_subcommand -f -a '{commands}'")
        for command, flags in words.items():
            for flag in flags:
                condition = f"__fish_seen_subcommand_from {command}"
                print(f"complete -c elinvar -n '{condition}' -l {flag.removeprefix('--')}")
        return 0
    cases = "\n".join(f"    {name}) words='{' '.join(flags)}' ;;" for name, flags in words.items())
    script = f"""\
_elinvar() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} words='{commands}'
  if [ "$COMP_CWORD" -gt 1 ]; then case ${{COMP_WORDS[1]}} in
{cases}
    *) words='' ;;
  esac; fi
  case $current in -*) ;; *) [ "$COMP_CWORD" -gt 1 ] && words='' ;; esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ "$COMP_CWORD" -gt 1 ]; then COMPREPLY+=($(compgen -f -- "$current")); fi
}}
complete -F _elinvar elinvar"""
    if options.shell == "zsh":
        script = "autoload -U +X bashcompinit && bashcompinit\n" + script
    print(script, file=sys.stdout)
    return 0
