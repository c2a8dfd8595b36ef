"""What training shows: plain lines, a bar on a terminal, a table in a notebook."""

import importlib
import io
import re
import time
from html.parser import HTMLParser

import pytest
from rich.console import Console
from rich.text import Text

from elinvar.train import bar, figures
from elinvar.train.bar import PlainLines, progress_for
from elinvar.train.bar_notebook import table
from elinvar.train.bar_terminal import TerminalBar, fitted
from tests.test_trainer import made, task


def slow(batches, seconds):
    for batch in batches:
        time.sleep(seconds)
        yield batch


class Slow:
    """Data that are waited for."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __len__(self) -> int:
        return 4

    def __iter__(self):
        return slow([task(8, n) for n in range(4)], self.seconds)


def test_plain_lines_are_one_for_each_epoch() -> None:
    stream = io.StringIO()
    trainer = made(metrics=["accuracy"], callbacks=[PlainLines(stream)])
    trainer.fit(task(), epochs=3, validation=task(20, 5), batch_size=16)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    pattern = r"epoch 3/3  loss \d\.\d{4}  accuracy \d\.\d{4}  val_loss \d\.\d{4}  val_accuracy \d\.\d{4}  \d+\.\d s  [\d,]+ samples/s  [\d.]+ J  [\d.]+ [mµ]g CO₂e  [\d.]+ [mµ]g CO₂e/1,000 predictions"
    assert re.fullmatch(pattern, lines[-2]), lines[-2]
    assert re.match(r"this run: [\d.]+ W?[hJ], [\d.]+ \w+ CO₂e", lines[-1]), lines[-1]
    assert "\x1b" not in stream.getvalue() and "\r" not in stream.getvalue()


def test_long_epochs_have_lines_between_and_slow_data_a_hint() -> None:
    stream = io.StringIO()
    trainer = made(callbacks=[PlainLines(stream, interval=0.0)])
    trainer.fit(Slow(0.35), epochs=2)
    lines = stream.getvalue().splitlines()
    assert re.match(r"epoch 1/2  batch 1/4  loss .* lr 0\.0200  \d:\d\d left", lines[0])
    hints = [line for line in lines if line.startswith("hint:")]
    assert len(hints) == 1 and "waiting for data" in hints[0] and "prefetch" in hints[0]


def test_a_terminal_has_a_bar_and_keeps_one_line_for_each_epoch() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120)
    trainer = made(metrics=["accuracy"], callbacks=[TerminalBar(console)], clip_norm=1.0)
    trainer.fit(Slow(0.05), epochs=2, validation=task(20, 5))
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    for word in ("epoch 1/2", "1/4", "left", "samples/s", "loss", "accuracy", "lr", "|g|", "waiting", "MiB"):
        assert word in text, word
    assert text.rstrip().splitlines()[-1].startswith("\r" * 0) and "val_accuracy" in text
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h")  # the cursor comes back


def test_the_cursor_comes_back_after_an_error() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True)

    class Broken(Slow):
        def __iter__(self):
            yield task(8)
            raise OSError("the disk is gone")

    trainer = made(callbacks=[TerminalBar(console)])
    with pytest.raises(OSError, match="the disk is gone"):
        trainer.fit(Broken(0.0))
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h") >= 1


def test_a_notebook_has_a_table() -> None:
    text = table([{"epoch": "1/2", "loss": "<b>"}, {"epoch": "2/2", "val": "1"}], 0.25, "a & b")

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: list[str] = []
            self.words: list[str] = []

        def handle_starttag(self, tag, attrs) -> None:
            self.tags.append(tag)

        def handle_data(self, data) -> None:
            self.words.append(data)

    reader = Reader()
    reader.feed(text)
    assert reader.tags.count("tr") == 3 and reader.tags.count("td") == 6 and "progress" in reader.tags
    assert "<b>" in reader.words and "a & b" in reader.words


def test_what_fits_is_chosen(monkeypatch) -> None:
    assert progress_for(False) is None
    assert isinstance(progress_for("auto"), PlainLines)  # the tests' stderr is no terminal
    assert isinstance(progress_for("bar"), TerminalBar)
    with pytest.raises(ValueError, match="must be one of 'auto', 'bar', 'plain', 'table' or False"):
        progress_for("bra")
    monkeypatch.setattr(bar.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs the package rich"):
        progress_for("bar")


def test_figures_in_words() -> None:
    assert figures.of(7, 10**9) == "7" and figures.duration(59.9) == "0:59"
    assert figures.figure(float("nan")) == "nan" and figures.figure(123456.0) == "1.23e+05"
    assert figures.resident_bytes() > 1e6


def test_a_narrow_terminal_tears_no_figure_apart() -> None:
    cells = [Text("epoch 1/2"), Text("loss 0.1234"), Text("accuracy 0.5000"), Text("lr 0.1000")]
    assert fitted(cells, 200).plain == "epoch 1/2  loss 0.1234  accuracy 0.5000  lr 0.1000"
    assert fitted(cells, 30).plain == "epoch 1/2  loss 0.1234\n  accuracy 0.5000  lr 0.1000"
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=60)
    trainer = made(metrics=["accuracy", "f1"], callbacks=[TerminalBar(console)], clip_norm=1.0)
    trainer.fit(Slow(0.05), epochs=1, validation=task(20, 5))
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).splitlines()
    assert not [line for line in lines if re.search(r"(loss|accuracy|f1|lr|[|]g[|])\s*$", line)]


def test_without_colours_the_bar_is_seen() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120, no_color=True)
    made(callbacks=[TerminalBar(console)]).fit(Slow(0.12), epochs=1)
    assert "█" * 12 + "░" * 12 in stream.getvalue()


def test_the_time_of_a_short_epoch_has_decimals() -> None:
    assert [figures.took(x) for x in (0.034, 0.9, 4.26, 59.97, 75)] == ["0.03 s", "0.90 s", "4.3 s", "0:59", "1:15"]
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120)
    made(callbacks=[TerminalBar(console)]).fit(task(), epochs=1)
    assert re.search(r"0\.\d\d s", stream.getvalue()) and "0:00  " not in stream.getvalue()


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_pictures_have_their_own_ground_whatever_style_is_set(tmp_path, style) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    importlib.import_module("matplotlib.image")
    importlib.import_module("matplotlib.style")
    with matplotlib.style.context(style):
        history = made().fit(task(), epochs=2)
        figure = history.plot(tmp_path / "curves.png")
    picture = matplotlib.image.imread(tmp_path / "curves.png")
    assert (picture[0, 0] == 1).all() and (picture[..., :3].min() < 0.2)
    place = figure.axes[0]
    labels = [*place.get_legend().get_texts(), place.xaxis.label, place.title, *place.get_xticklabels()]
    assert {text.get_color() for text in labels} == {"black"}
