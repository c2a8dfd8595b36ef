"""How pipelines begin: one function for each kind of source."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from elinvar.core.errors import DTypeError, fail
from elinvar.data.files import Paths
from elinvar.data.images import Decoder, ImageFolder
from elinvar.data.lines import CsvRows, JsonLines, TextLines
from elinvar.data.pipeline import Pipeline, pipeline
from elinvar.data.shards import TarSource
from elinvar.data.sounds import SoundFiles
from elinvar.data.source import ArraySource, SequenceSource, Source
from elinvar.data.streams import StreamSource
from elinvar.data.tables import TableSource


def from_arrays(*arrays: Any) -> Pipeline:
    """Arrays in memory, whose first axes count the samples.

    Args:
        arrays: several arrays or tensors, which give tuples; or one array; or one tuple or dict.

    Example:
        >>> import elinvar as el
        >>> import numpy as np
        >>> train = el.data.from_arrays(np.eye(5), np.arange(5)).shuffle(seed=0).batch(2)
        >>> [y.tolist() for x, y in train]
        [[0, 2], [1, 4], [3]]
    """
    return pipeline(ArraySource(arrays[0] if len(arrays) == 1 else tuple(arrays)))


def from_sequence(samples: Any) -> Pipeline:
    """Anything with `len()` and `[index]`: a list of samples, or a data set of your own.

    A method `describe(index)` of it names samples in errors. A class of your own may derive from
    `el.data.Source` and have `take(indices, epochs)`, which gives a whole batch at once, and
    `takes_batches = True`.

    Example:
        >>> import elinvar as el
        >>> squares = [i * i for i in range(5)]
        >>> [batch.tolist() for batch in el.data.from_sequence(squares).batch(3)]
        [[0, 1, 4], [9, 16]]
    """
    return pipeline(samples if isinstance(samples, Source) else SequenceSource(samples))


def from_stream(make: Callable[[], Iterable[Any]]) -> Pipeline:
    """Samples that can only be read one after the other.

    A saved place is found again by reading from the beginning, so this takes as long as reading
    did; what has a length and samples by number should begin with `from_sequence`.

    Args:
        make: gives an iterator from the beginning, once for each epoch.

    Example:
        >>> import elinvar as el
        >>> numbers = el.data.from_stream(lambda: iter(range(5))).batch(2)
        >>> [batch.tolist() for batch in numbers]
        [[0, 1], [2, 3], [4]]
    """
    if not callable(make):
        text = f"expected a function that gives an iterator, received {type(make).__name__}"
        fail(DTypeError, "from_stream", text, "write from_stream(lambda: iter(…))")
    return pipeline(StreamSource(make))


def text_lines(paths: Paths, *, encoding: str = "utf-8") -> Pipeline:
    """Lines of text files, without their line ends.

    The files are gone through once to find the lines, which takes eight bytes of memory for each.

    Args:
        paths: one or several files, or patterns such as `"part-*.txt"`; with fsspec addresses such
            as `"s3://…"`.
        encoding: of the text.
    """
    return pipeline(TextLines(paths, encoding))


def json_lines(paths: Paths, *, fields: Sequence[str] | None = None) -> Pipeline:
    """One JSON value in each line; lists of numbers become arrays.

    Args:
        paths: as of `text_lines`.
        fields: entries that each record must have; the others are left out.
    """
    return pipeline(JsonLines(paths, fields))


def csv(
    paths: Paths,
    *,
    columns: Sequence[str] | Mapping[str, Any] | None = None,
    missing: float | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> Pipeline:
    """Rows of CSV files as dicts; line ends within quotes are understood.

    Args:
        paths: as of `text_lines`; each file begins with the same header.
        columns: which; a dict gives their types (`"float32"`, `"int64"`, `"str"`). Types that are
            not given are guessed from the first hundred rows.
        missing: stands for empty fields and NaN in columns of numbers; None: these are errors.
        delimiter: between fields.
        encoding: of the text.
    """
    return pipeline(CsvRows(paths, columns, missing, delimiter, encoding))


def parquet(
    paths: Paths, *, columns: Sequence[str] | None = None, cache: int = 1 << 28
) -> Pipeline:
    """Rows of Parquet files as dicts (needs pyarrow).

    A row is read with its row group. Groups stay in memory while there is room, so that shuffled
    reading is fast where the files fit into `cache`, or where groups are small.

    Args:
        paths: as of `text_lines`.
        columns: which; None for all.
        cache: bytes that each process may keep.
    """
    return pipeline(TableSource("parquet", paths, columns, cache))


def arrow(paths: Paths, *, columns: Sequence[str] | None = None, cache: int = 1 << 28) -> Pipeline:
    """Rows of Arrow (Feather) files as dicts (needs pyarrow); the files are mapped into memory.

    Args:
        paths: local files, or patterns.
        columns: which; None for all.
        cache: bytes that each process may keep.
    """
    return pipeline(TableSource("arrow", paths, columns, cache))


def image_folder(
    path: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    mode: str = "RGB",
    channels_last: bool = False,
    labels: bool = True,
) -> Pipeline:
    """Images in folders by class, as (image, label) (needs pillow).

    Labels are numbers in the order of the folders' names, which `pipeline.source.classes` has.

    Args:
        path: the folder that has a folder for each class.
        size: (height, width) to which images are scaled. JPEG files are then decoded at a half, a
            quarter or an eighth of their size where that is enough.
        mode: `"RGB"`, `"L"` (grey) or `"RGBA"`; images of other modes are converted.
        channels_last: (height, width, channels) instead of (channels, height, width).
        labels: without them: all images below the folder, alone.
    """
    return pipeline(ImageFolder(path, Decoder(size, mode, channels_last), labels))


def sound_files(paths: Paths, *, rate: int | None = None) -> Pipeline:
    """Recordings, one a file: float32 arrays (channels, frames) from -1 to 1.

    PCM in WAV files needs no package, other formats need soundfile. `pipeline.source.files` has
    their paths.

    Args:
        paths: as of `text_lines`.
        rate: frames per second that each recording must have; None: that of the first.

    Example:
        >>> import tempfile, wave
        >>> import elinvar as el
        >>> folder = tempfile.mkdtemp()
        >>> with wave.open(f"{folder}/a.wav", "wb") as file:
        ...     file.setparams((1, 2, 8000, 0, "NONE", ""))
        ...     file.writeframes(bytes(2 * 800))
        >>> next(iter(el.data.sound_files(f"{folder}/*.wav", rate=8000))).shape
        (1, 800)
    """
    return pipeline(SoundFiles(paths, rate))


def tar(
    paths: Paths,
    *,
    fields: Sequence[str] | None = None,
    size: int | tuple[int, int] | None = None,
    mode: str = "RGB",
    channels_last: bool = False,
    decode: bool = True,
) -> Pipeline:
    """Samples of tar shards: members `a.jpg` and `a.cls` are one sample, a dict.

    Endings say what members are: images, sound (`.wav`, `.flac`), `.json`, `.npy`, `.txt`, `.cls`
    (a whole number); others stay bytes. Nothing is unpickled or unpacked to the disk.

    Args:
        paths: uncompressed tar files, or patterns.
        fields: endings that each sample must have; the others are left out.
        size, mode, channels_last: of images, as of `image_folder`.
        decode: without it all members are bytes.
    """
    images = None
    if size is not None or mode != "RGB" or channels_last:
        images = Decoder(size, mode, channels_last)
    return pipeline(TarSource(paths, fields, images, decode))
