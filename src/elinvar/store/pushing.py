"""`push` and `pull`: versions to a remote, and from it."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elinvar.core.errors import DataError, DataMissingError, fail
from elinvar.core.log import log
from elinvar.core.other_names import nearest
from elinvar.store.copying import write_all
from elinvar.store.hashing import hash_stream, reader
from elinvar.store.manifest import parse_page
from elinvar.store.names import History, Store, check_name, known, load, name_of, save
from elinvar.store.objects import Intake, Objects
from elinvar.store.packs import Index, Packed, Packer
from elinvar.store.place import open_place, writing
from elinvar.store.remote import PART, Remote, part_names
from elinvar.store.version import Version

_THREADS = 4
_PACK = 1 << 26  # bytes of a pack that is sent
_BATCH = 4096


@dataclass(frozen=True)
class Transfer:
    """What `push` or `pull` did.

    Attributes:
        version: the newest version.
        url: the remote.
        pieces, num_bytes: how much was sent or fetched.
        versions: how many versions are new there, or here.
    """

    version: Version
    url: str
    pieces: int
    num_bytes: int
    versions: int

    def __str__(self) -> str:
        news = "1 new version" if self.versions == 1 else f"{self.versions} new versions"
        return f"{self.version.spec}: {news}, {self.pieces} pieces, {self.num_bytes} bytes"


class _Count:
    """How much went over the wire."""

    def __init__(self) -> None:
        self.pieces = self.num_bytes = 0
        self._lock = threading.Lock()

    def add(self, nbytes: int) -> None:
        with self._lock:
            self.pieces += 1
            self.num_bytes += nbytes


def push(
    name: str, url: str, *, store: Store = None, options: dict[str, Any] | None = None
) -> Transfer:
    """Bring all versions of a name to a remote: objects first, the history last.

    What is there already is not sent again: an interrupted push goes on where it was. A reader of
    the remote sees the versions of before until everything is there.

    Args:
        name: of the data set.
        url: an address that fsspec knows, such as `s3://bucket/data`, or a folder.
        store: the store's folder.
        options: arguments of fsspec's file system, such as credentials.

    Raises:
        DataMissingError: there is no such name.
        DataError: the remote refuses, fails again and again, or has versions of its own.
    """
    place = open_place(store)
    history = known(place, name)
    remote = Remote(place, url, options)
    count = _Count()
    with place.locked("objects", shared=True), Objects(place) as objects:
        remote.look()
        remote.check_format(create=True)
        before = remote.history(name, wanted=False)
        _is_ahead(before, history, url)
        _send(objects, history, remote, count)
        remote.look()  # somebody else may have been there meanwhile
        before = remote.history(name, wanted=False)
        _is_ahead(before, history, url)
        merged = _merged(before, history)  # what was dropped here may be kept there
        merged.tags = {**before.tags, **history.tags}
        if merged != before:
            remote.save_history(merged)
    newest = history.version(len(history.entries), place.folder)
    news = len(history.entries) - len(before.entries)
    return Transfer(newest, url, count.pieces, count.num_bytes, news)


def _is_ahead(theirs: History, mine: History, url: str) -> None:
    """See that a push loses nothing.

    Raises:
        DataError: the remote has versions that the store does not have.
    """
    shorter, longer = sorted((theirs, mine), key=lambda history: len(history.entries))
    _continues(shorter, longer, url, "check yours out, pull, and commit it again")
    if len(theirs.entries) > len(mine.entries):
        text = f"{url} has newer versions of {mine.name!r} than the store"
        fail(DataError, "data", text, "pull first")


def _continues(shorter: History, longer: History, url: str, hint: str) -> None:
    """See that one history begins with the other.

    Raises:
        DataError: each has versions that the other one does not have.
    """
    count = len(shorter.entries)
    if count > len(longer.entries) or (
        count and shorter.entries[-1]["link"] != longer.entries[count - 1]["link"]
    ):
        text = f"{url} and the store each have versions of {longer.name!r} that the other has not"
        fail(DataError, "data", text, hint)


def _wanted(objects: Objects, history: History) -> Iterator[list[tuple[bytes, int]]]:
    """All objects of a history with their sizes, manifests last, each once as far as pages go."""
    seen: set[bytes] = set()
    pages: list[bytes] = []
    for _, entry in history.kept():
        manifest = objects.manifest(entry["id"])
        for number, (_, _, digest) in enumerate(manifest.pages):
            if digest not in seen:
                seen.add(digest)
                pages.append(digest)
                yield [(one[2], one[1]) for one in manifest.page(number) if one[2]]
        pages.append(manifest.root)
    yield list(zip(pages, objects.sizes(pages)))


def _send(objects: Objects, history: History, remote: Remote, count: _Count) -> None:
    work = objects.place / "work"  # it is tidied, whatever becomes of this process
    there = work if os.access(work, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="elinvar-push-", dir=there) as folder:
        large = _send_small(objects, history, remote, count, Path(folder))
    _together(_large_parts(objects, large, remote), lambda job: _send_part(remote, count, *job))


def _send_small(
    objects: Objects, history: History, remote: Remote, count: _Count, folder: Path
) -> dict[bytes, int]:
    """Send what is missing there in packs; gives the large objects that may be missing."""
    there = Packed(remote.indexes())
    packer = Packer(objects.place, _PACK, folder)
    large: dict[bytes, int] = {}
    try:
        for batch in _wanted(objects, history):
            digests = [digest for digest, _ in batch]
            missing = np.flatnonzero(there.find(digests)[0] < 0).tolist()
            contents = objects.read_packed([digests[i] for i in missing])
            for i, content in zip(missing, contents):
                if content is None:
                    large[digests[i]] = batch[i][1]
                elif digests[i] not in packer.pending:
                    if objects.place.kind.whole(content) != digests[i]:
                        objects.changed(digests[i])
                    _send_pack(packer.add(digests[i], content), there, remote, count)
        _send_pack(packer.finish(), there, remote, count)
    finally:
        packer.abandon()
    return large


def _send_pack(index: Index | None, there: Packed, remote: Remote, count: _Count) -> None:
    if index is None:
        return
    try:
        content = index.path.read_bytes()
        name = f"packs/{index.path.name}"
        if remote.sizes.get(name) != len(content):
            remote.write(name, content)
            count.add(len(content))
    finally:
        index.path.unlink()
    there.add(index)


def _large_parts(
    objects: Objects, large: dict[bytes, int], remote: Remote
) -> Iterator[tuple[Path, str, int, int]]:
    for digest, size in large.items():
        path = objects.loose(digest)
        try:
            there = os.stat(path).st_size
        except FileNotFoundError:
            objects.lost(digest)
        if there != size:
            objects.changed(digest)
        parts = part_names(digest, size)
        parts = [one for one in parts if remote.sizes.get(one[0]) != one[2] - one[1]]
        if parts:
            with open(path, "rb", buffering=0) as stream:
                kind = objects.place.kind
                if hash_stream(reader(stream.fileno()), kind, size).digest() != digest:
                    objects.changed(digest)
        for name, start, end in parts:
            yield path, name, start, end


def _send_part(remote: Remote, count: _Count, path: Path, name: str, start: int, end: int) -> None:
    with open(path, "rb") as stream:
        stream.seek(start)
        content = stream.read(end - start)
    remote.write(name, content)
    count.add(len(content))


def _together(jobs: Iterable[Any], work: Callable[[Any], None]) -> None:
    """Do jobs with a few threads; the first error ends it, after what is under way."""
    with ThreadPoolExecutor(_THREADS) as pool:
        running: set[Any] = set()
        try:
            for job in jobs:
                if len(running) >= 2 * _THREADS:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for one in done:
                        one.result()
                running.add(pool.submit(work, job))
            for one in running:
                one.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


# ---- pull ---------------------------------------------------------------------------------------


def pull(
    name: str, url: str, *, store: Store = None, options: dict[str, Any] | None = None
) -> Transfer:
    """Bring all versions of a name from a remote; each object is checked when it arrives.

    What is here already is not fetched again: an interrupted pull goes on where it was, and what
    `verify` found damaged comes back.

    Args:
        name: of the data set.
        url: an address that fsspec knows, such as `s3://bucket/data`, or a folder.
        store: the store's folder, which is made if needed.
        options: arguments of fsspec's file system, such as credentials.

    Raises:
        DataMissingError: the remote has no such name; the text suggests the nearest one.
        DataError: the remote fails again and again, what it sends is not what was committed, or the
            store has versions of its own.
    """
    check_name(name)
    place = open_place(store, create=True)
    place.tidy()
    remote = Remote(place, url, options)
    count = _Count()
    remote.look()
    remote.check_format(create=False)
    theirs = remote.history(name)
    if not theirs.entries:
        pieces = {one.split("/")[1] for one in remote.sizes if one.startswith("names/")}
        names = sorted(map(name_of, pieces))
        text = f"there is no data set {name!r} at {url}"
        fail(DataMissingError, "data", text, nearest(name, names) if names else None)
    with writing(place.folder), place.locked("objects", shared=True), Intake(place) as intake:
        mine = load(place, name)
        _either(theirs, mine, url)
        try:
            _fetch(intake, _merged(mine, theirs), remote, count)
        finally:
            intake.finish()  # what has arrived need not come again
        with place.locked("names"):
            mine = load(place, name)
            _either(theirs, mine, url)
            for tag, number in theirs.tags.items():
                if mine.tags.get(tag, number) != number:
                    log.warning("%s: the tag %s stays where it is here", name, tag)
            merged = _merged(mine, theirs)
            if merged != mine:
                save(place, merged)
    newest = merged.version(len(merged.entries), place.folder)
    news = len(merged.entries) - len(mine.entries)
    return Transfer(newest, url, count.pieces, count.num_bytes, news)


def _either(one: History, other: History, url: str) -> History:
    """The longer of two histories, of which one begins with the other."""
    shorter, longer = sorted((one, other), key=lambda history: len(history.entries))
    hint = "give one of them another name: check it out and commit it"
    _continues(shorter, longer, url, hint)
    return longer


def _merged(one: History, other: History) -> History:
    """Both histories in one; in what tags mean and in what was dropped, the first one counts."""
    longer = max((one, other), key=lambda history: len(history.entries))
    dropped = [*one.dropped, *(n for n in other.dropped if n > len(one.entries))]
    return History(one.name, longer.entries, {**other.tags, **one.tags}, dropped)


def _fetch(intake: Intake, history: History, remote: Remote, count: _Count) -> None:
    """Roots, then pages, then contents."""
    there = Packed(remote.indexes())
    kind = intake.place.kind
    roots = [kind.digest_of(entry["id"]) for _, entry in history.kept()]
    _fetch_small(intake, there, remote, roots, count)
    intake.finish()
    pages: dict[bytes, None] = {}
    for root in dict.fromkeys(roots):
        manifest = intake.manifest(kind.text(root))
        pages |= dict.fromkeys(digest for _, _, digest in manifest.pages)
    _fetch_small(intake, there, remote, list(pages), count)
    intake.finish()
    large: dict[bytes, int] = {}
    waiting: dict[bytes, int] = {}
    for page in pages:
        waiting |= {entry[2]: entry[1] for entry in parse_page(intake.read(page)) if entry[2]}
        if len(waiting) >= _BATCH:
            large |= _fetch_entries(intake, there, remote, waiting, count)
            waiting = {}
    large |= _fetch_entries(intake, there, remote, waiting, count)
    lock = threading.Lock()
    _together(large.items(), lambda job: _fetch_large(intake, remote, job, count, lock))


def _fetch_entries(
    intake: Intake, there: Packed, remote: Remote, wanted: dict[bytes, int], count: _Count
) -> dict[bytes, int]:
    """Small contents that are not here; gives the large ones."""
    here = intake.has(list(wanted))
    missing = [digest for digest, is_here in zip(wanted, here) if not is_here]
    packs, _ = there.find(missing)
    small = [digest for digest, pack in zip(missing, packs.tolist()) if pack >= 0]
    _fetch_small(intake, there, remote, small, count)
    return {digest: wanted[digest] for digest in {*missing} - {*small}}


def _fetch_small(
    intake: Intake, there: Packed, remote: Remote, wanted: list[bytes], count: _Count
) -> None:
    """Objects of packs, by whole packs or by ranges."""
    missing = [digest for digest, here in zip(wanted, intake.has(wanted)) if not here]
    packs, rows = there.find(missing)
    if missing and packs.min() < 0:
        lost = missing[int(packs.argmin())]
        fail(DataMissingError, "data", f"{remote.url} lacks {intake.place.kind.text(lost)}")
    for pack in np.unique(packs).tolist():
        one = there.packs[pack]
        mine = rows[packs == pack]
        mine = mine[np.argsort(one.offsets[mine], kind="stable")]
        name = f"packs/{one.path.name}"
        starts, stops = one.offsets[mine], one.offsets[mine] + one.lengths[mine]
        for start, stop, some in _ranges(starts.tolist(), stops.tolist(), mine.tolist()):
            content = remote.read(name, start, stop)
            count.add(len(content))
            for row in some:
                at = int(one.offsets[row]) - start
                part = content[at : at + int(one.lengths[row])]
                _arrived(intake, one.digests[row].tobytes(), part, remote)


def _ranges(
    starts: list[int], stops: list[int], rows: list[int]
) -> Iterator[tuple[int, int, list[int]]]:
    """Ranges of a pack to be read in a piece: gaps are read along if they are small."""
    some: list[int] = []
    begin = end = 0
    for start, stop, row in zip(starts, stops, rows):
        if some and (start - end > PART >> 8 or stop - begin > PART):
            yield begin, end, some
            some = []
        if not some:
            begin = start
        some.append(row)
        end = stop
    if some:
        yield begin, end, some


def _arrived(intake: Intake, digest: bytes, content: bytes, remote: Remote) -> None:
    if intake.place.kind.whole(content) != digest:
        text = f"{remote.url} sent something else than {intake.place.kind.text(digest)}"
        fail(DataError, "data", text, "it is damaged there; push it again from a whole store")
    intake.add(digest, content)


def _fetch_large(
    intake: Intake, remote: Remote, wanted: tuple[bytes, int], count: _Count, lock: threading.Lock
) -> None:
    """A large object, part by part; parts that arrived before are kept.

    Args:
        wanted: its digest and its size.
        lock: held while the store's own records change.
    """
    digest, size = wanted
    folder = intake.place / "partial"
    folder.mkdir(exist_ok=True)
    path = folder / digest.hex()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with lock:
            is_here = intake.has([digest])[0]
        if is_here:  # another process brought it meanwhile
            os.close(handle)
            return
        _fetch_parts(intake, remote, (handle, path), digest, size, count)
    except BaseException:
        os.close(handle)
        raise
    with lock:
        intake.settle(handle, path, digest)


def _fetch_parts(
    intake: Intake, remote: Remote, file: tuple[int, Path], digest: bytes, size: int, count: _Count
) -> None:
    handle, path = file
    whole = min(os.fstat(handle).st_size // PART * PART, size)
    os.ftruncate(handle, whole)
    os.lseek(handle, whole, os.SEEK_SET)
    for name, start, end in part_names(digest, size):
        if start < whole:
            continue
        try:
            content = remote.read(name)
        except FileNotFoundError:
            text = f"{remote.url} lacks {intake.place.kind.text(digest)}"
            fail(DataMissingError, "data", text, "push it again from a whole store")
        if len(content) != end - start:
            text = f"{remote.url}/{name} has {len(content)} bytes in the place of {end - start}"
            fail(DataError, "data", text, "push it again from a whole store")
        write_all(handle, content)
        count.add(len(content))
    os.lseek(handle, 0, os.SEEK_SET)
    if hash_stream(reader(handle), intake.place.kind, size).digest() != digest:
        path.unlink()
        text = f"{remote.url} sent something else than {intake.place.kind.text(digest)}"
        fail(DataError, "data", text, "it is damaged there; push it again from a whole store")
