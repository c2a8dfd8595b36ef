"""The examples on texts, on less of their real data: four chapters of the book, every eighth mail."""

import re
import runpy
import sys
from pathlib import Path

import pytest

import elinvar as el
from elinvar.core.errors import DataMissingError

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
CHAPTERS = sorted((ROOT / "tests" / "texts").glob("chapter_*.txt"))


@pytest.mark.slow
def test_book_gpt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It learns, writes after each epoch, and goes on from its checkpoint to the same figures."""
    read = [path.read_text()[:4000] for path in CHAPTERS]
    monkeypatch.setattr(el.data, "moby_dick", lambda: [*read[:3], *read[:2], *read[:2], *read[:2], read[3]])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["book_gpt.py", "3"])
    runpy.run_path(str(EXAMPLES / "book_gpt.py"), run_name="__main__")
    whole = capsys.readouterr().out
    bits = [float(value) for value in re.findall(r"--- epoch \d: ([\d.]+) bits per letter\nThe whale", whole)]
    assert len(bits) == 3 and bits[2] < bits[0] < 7 and bits[2] < 5, whole
    kept = tmp_path / "checkpoints" / "book"
    assert {"last.safetensors", "epoch-0003.safetensors"} <= {path.name for path in kept.iterdir()}

    monkeypatch.setattr(sys, "argv", ["book_gpt.py", "3", "--resume"])  # nothing is left to do
    runpy.run_path(str(EXAMPLES / "book_gpt.py"), run_name="__main__")
    end = re.search(r"perplexity [\d.]+, [\d.]+ bits per letter", whole)[0]
    assert end in capsys.readouterr().out


@pytest.mark.slow
def test_spam(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The network and the baselines tell mails apart that they did not learn from."""
    pytest.importorskip("sklearn")
    try:
        mails = el.data.spam_mails(download=False)[::8]
    except DataMissingError:
        pytest.skip("no mails here: `make data` gets them")
    monkeypatch.setattr(el.data, "spam_mails", lambda: mails)
    monkeypatch.setattr(sys, "argv", ["spam.py", "6"])
    runpy.run_path(str(EXAMPLES / "spam.py"), run_name="__main__")
    found = dict(re.findall(r"^(network|naive Bayes|logistic regression) .* auroc ([\d.]+)$", capsys.readouterr().out, re.MULTILINE))
    assert len(found) == 3 and all(float(value) > 0.85 for value in found.values()), found


def test_what_the_spam_filter_reads() -> None:
    """Subject and visible text, no other header; copies once, a thread on one side."""
    read = runpy.run_path(str(EXAMPLES / "spam.py"))
    mail = (
        b"Received: from secret\nSubject: Re: [list] Fwd: Cheap $ 10\nContent-Type: text/html; charset=x-unknown\n\n"
        b"<style>p {color: red}</style><p>Don&#39;t <b>wait</b><!-- hidden -->!"
    )
    subject, body = read["words"](mail)
    assert subject == ["subject:cheap", "subject:$", "subject:10"]
    assert body == ["don't", "wait", "!"]

    def made(topic: int, text: str) -> el.data.Mail:
        return el.data.Mail("x", f"Subject: topic {'abcdefghijkl'[topic]}\n\n{text}".encode(), 0)

    thread = [made(topic, f"words {'xyz'[n]}{'abcdefghijkl'[topic]}") for topic in range(12) for n in range(3)]
    train, test = read["split"]([*thread, *thread, made(0, "words xa 17")])
    assert len(train) + len(test) == 36 and train and test
    sides = [{tuple(found[:2]) for found, _ in side} for side in (train, test)]
    assert not sides[0] & sides[1]
