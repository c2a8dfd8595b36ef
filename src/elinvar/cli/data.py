"""`elinvar data`: versions of data sets, from the command line."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from elinvar import store
from elinvar.cli.cache import byte_text
from elinvar.store import Version

EPILOG = """\
A version is named by its data set (the newest one), with a tag, a number or the first digits of its
id: flowers, flowers@v1, flowers@3, flowers@1f2e.

examples:
  elinvar data commit photos/ flowers -m "without the blurred ones" --tag v2
  elinvar data diff flowers@v1 flowers@v2
  elinvar data checkout flowers@v1 old-photos/
  elinvar data verify
  elinvar data push flowers s3://bucket/data

Exit codes: 0 done; 1 an error, said in one line; 3 `verify` found damage.
Versions are kept in ELINVAR_STORE, or elinvar/store in XDG_DATA_HOME or ~/.local/share.
"""
DIFFERS = 3  # the exit code of `verify` where something is not as it was
_DIGITS = 12  # of an id, in lists


def add_commands(commands: Any) -> None:
    """Add the command and its actions to a parser."""
    about = "versions of data sets: commit, compare, check, bring back"
    layout = argparse.RawDescriptionHelpFormatter
    one = commands.add_parser(
        "data", help=about, description=about, epilog=EPILOG, formatter_class=layout
    )
    actions = one.add_subparsers(title="actions", metavar="ACTION", required=True)

    action = _action(actions, "commit", commit, "make a version of a folder or a file")
    action.add_argument("source", metavar="SOURCE", help="a folder or a file")
    action.add_argument("name", metavar="NAME", help="the data set, such as flowers")
    action.add_argument("-m", "--message", default="", help="what is new")
    action.add_argument("--tag", help="another name of the version, such as v1")

    action = _action(actions, "log", log, "the versions of a data set, the newest first")
    action.add_argument("name", metavar="NAME")

    action = _action(actions, "list", list_names, "all data sets, each with its newest version")

    action = _action(actions, "diff", diff, "what was added, removed and changed")
    action.add_argument("before", metavar="BEFORE", help="such as flowers@1")
    action.add_argument(
        "after", metavar="AFTER", nargs="?", help="by default the newest of the same data set"
    )

    action = _action(actions, "tag", tag, "give a version another name")
    action.add_argument("version", metavar="VERSION", help="such as flowers or flowers@3")
    action.add_argument("tag", metavar="TAG", help="such as v1")
    action.add_argument("--move", action="store_true", help="take it from another version")

    action = _action(actions, "checkout", checkout, "write a version's files into a new folder")
    action.add_argument("version", metavar="VERSION", help="such as flowers@v1")
    action.add_argument("folder", metavar="FOLDER", help="a new or an empty one")
    action.add_argument("--read-only", action="store_true", help="protect the files")

    action = _action(actions, "verify", verify, "compare what is stored with its hashes")
    action.add_argument(
        "version", metavar="NAME", nargs="?", help="a data set or a version; by default all"
    )
    action.add_argument("--quick", action="store_true", help="sizes only; no byte is hashed")
    _add_remote(actions)


def _add_remote(actions: Any) -> None:
    """The actions that move or delete."""
    action = _action(actions, "push", push, "bring all versions of a data set to a remote")
    action.add_argument("name", metavar="NAME")
    action.add_argument("url", metavar="URL", help="a folder, or an address such as s3://…")

    action = _action(actions, "pull", pull, "bring all versions of a data set from a remote")
    action.add_argument("name", metavar="NAME")
    action.add_argument("url", metavar="URL", help="a folder, or an address such as s3://…")

    about = "give up a version (flowers@2) or a data set (flowers); `prune` frees the room"
    action = _action(actions, "drop", drop, about)
    action.add_argument("version", metavar="VERSION")

    action = _action(actions, "prune", prune, "what no version needs; nothing goes without --yes")
    action.add_argument("--yes", action="store_true", help="delete it")


def _action(actions: Any, name: str, run: Any, about: str) -> Any:
    action = actions.add_parser(name, help=about, description=about)
    action.add_argument("--store", metavar="FOLDER", help="where versions are; see elinvar data -h")
    action.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    about = "the whole traceback of an error"
    action.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=about)
    action.set_defaults(run=run)
    return action


def as_json(version: Version) -> dict[str, Any]:
    """A version as JSON has it."""
    return {name: value for name, value in version.marker().items() if name != "elinvar"}


def _say(options: argparse.Namespace, told: Any, text: str) -> int:
    print(json.dumps(told) if options.json else text, file=options.out)
    return 0


def _size(version: Version) -> str:
    files = "1 file" if version.num_files == 1 else f"{version.num_files} files"
    return f"{files}, {byte_text(version.num_bytes)}"


def _short(text: str) -> str:
    name, _, digits = text.partition(":")
    return f"{name}:{digits[:_DIGITS]}"


class _Progress:
    """A line on a terminal that says how far a commit is; nothing elsewhere."""

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()
        self._width = 0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._width:
            print("\r" + " " * self._width, end="\r", file=sys.stderr, flush=True)

    def __call__(self, files: int, nbytes: int) -> None:
        now = time.monotonic()
        if now - self._begun < 1 or now - self._last < 0.2 or not sys.stderr.isatty():
            return
        self._last = now
        text = f"{files} files, {byte_text(nbytes)}"
        self._width = max(self._width, len(text))
        print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)


def commit(options: argparse.Namespace) -> int:
    """Make a version."""
    with _Progress() as progress:
        found = store.commit(
            options.source,
            options.name,
            options.message,
            tag=options.tag,
            store=options.store,
            progress=progress,
        )
    told = {**as_json(found), "is_new": found.is_new}
    news = "" if found.is_new else "nothing changed: "
    return _say(options, told, f"{news}{found.spec}  {_short(found.id)}  {_size(found)}")


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(f"{text:<{width}}" for text, width in zip(row, widths)).rstrip() for row in rows
    )


def _row(version: Version) -> tuple[str, ...]:
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(version.created))
    tags = ", ".join(version.tags)
    message = "".join(c if c.isprintable() else "?" for c in " ".join(version.message.split()))
    return (version.spec, _short(version.id), date, version.author, _size(version), tags, message)


def log(options: argparse.Namespace) -> int:
    """Print a history."""
    found = store.log(options.name, options.store)
    return _say(options, [as_json(one) for one in found], _table([_row(one) for one in found]))


def list_names(options: argparse.Namespace) -> int:
    """Print all names."""
    found = store.versions(options.store)
    text = _table([_row(one) for one in found]) if found else "no data set has a version yet"
    return _say(options, [as_json(one) for one in found], text)


def diff(options: argparse.Namespace) -> int:
    """Print what changed."""
    found = store.diff(options.before, options.after, store=options.store)
    told = {
        "before": found.before.spec,
        "after": found.after.spec,
        "added": list(found.added),
        "removed": list(found.removed),
        "changed": list(found.changed),
        "moved": [list(pair) for pair in found.moved],
        "values": list(found.values),
    }
    return _say(options, told, str(found))


def tag(options: argparse.Namespace) -> int:
    """Give a version another name."""
    found = store.tag(options.version, options.tag, move=options.move, store=options.store)
    return _say(options, as_json(found), f"{found.spec} is {found.name}@{options.tag}")


def checkout(options: argparse.Namespace) -> int:
    """Write a version's files."""
    version = store.version(options.version, options.store)
    folder = store.checkout(
        version, options.folder, read_only=options.read_only, store=options.store
    )
    told = {**as_json(version), "folder": str(folder)}
    return _say(options, told, f"{folder}: {version.spec}, {_size(version)}")


def verify(options: argparse.Namespace) -> int:
    """Compare what is stored with its hashes."""
    found = store.verify(options.version, deep=not options.quick, store=options.store)
    problems = [
        {"place": one.place, "what": one.what, "files": list(one.files)} for one in found.problems
    ]
    told = {"objects": found.objects, "bytes": found.num_bytes, "problems": problems}
    _say(options, told, str(found))
    return 0 if found.ok else DIFFERS


def push(options: argparse.Namespace) -> int:
    """Bring versions to a remote."""
    return _moved(options, store.push(options.name, options.url, store=options.store))


def pull(options: argparse.Namespace) -> int:
    """Bring versions from a remote."""
    return _moved(options, store.pull(options.name, options.url, store=options.store))


def _moved(options: argparse.Namespace, found: store.Transfer) -> int:
    told = {
        **as_json(found.version),
        "url": found.url,
        "pieces": found.pieces,
        "bytes": found.num_bytes,
        "new_versions": found.versions,
    }
    news = "1 new version" if found.versions == 1 else f"{found.versions} new versions"
    pieces = "1 piece" if found.pieces == 1 else f"{found.pieces} pieces"
    text = f"{found.version.spec}: {news}, {byte_text(found.num_bytes)} in {pieces}"
    return _say(options, told, text)


def drop(options: argparse.Namespace) -> int:
    """Give versions up."""
    count = store.drop(options.version, store=options.store)
    versions = "1 version" if count == 1 else f"{count} versions"
    text = f"{options.version}: {versions} given up; `elinvar data prune --yes` frees the room"
    return _say(options, {"dropped": count}, text)


def prune(options: argparse.Namespace) -> int:
    """Say what no version needs, or delete it."""
    found = store.prune(dry_run=not options.yes, store=options.store)
    told = {
        "objects": found.objects,
        "bytes": found.num_bytes,
        "done": found.done,
        "paths": [str(path) for path in found.paths],
    }
    objects = "1 object" if found.objects == 1 else f"{found.objects} objects"
    what = "deleted" if found.done else "would delete"
    hint = "" if found.done or not found.paths else " (--yes does it)"
    return _say(options, told, f"{what} {objects}, {byte_text(found.num_bytes)}{hint}")
