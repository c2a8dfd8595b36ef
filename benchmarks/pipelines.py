"""Data pipelines beside PyTorch's DataLoader and Grain: samples per second.

    python -m benchmarks.pipelines                      every case
    python -m benchmarks.pipelines --only images --rounds 5

All read the same samples in a random order and give batches of the same shapes. The frameworks take
turns, and the best round of each counts, by the clock and by the time of the processors (with that
of worker processes), which says more on a busy machine. PyTorch has two rows where its users know
two ways: one sample at a time, and whole batches through a `BatchSampler`. Images are JPEG files
made of noise on a coarse grid; PyTorch and Grain read them with Pillow, as we do, and `draft` is
Pillow's own way to decode a smaller image, which Elinvar uses by itself. PyTorch and Grain have the
lines in memory. Frameworks that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Make = Callable[[], Iterable[Any]]
IMAGES, ROWS, LINES = 600, 60_000, 20_000
SIZE = 64


def tokens(line: str) -> np.ndarray[Any, Any]:
    """The bytes of a line, as a tokeniser would give numbers."""
    return np.frombuffer(line.encode(), np.uint8).astype(np.int64)


def open_image(path: str, draft: bool) -> np.ndarray[Any, Any]:
    """An image as a data set of PyTorch's or Grain's reads it."""
    image = importlib.import_module("PIL.Image")
    with image.open(path) as file:
        if draft:
            file.draft("RGB", (SIZE, SIZE))
        scaled = file.convert("RGB").resize((SIZE, SIZE), image.Resampling.BILINEAR)
        return np.array(scaled).transpose(2, 0, 1)


class Images:
    """Files by number, for PyTorch and Grain."""

    def __init__(self, paths: list[str], draft: bool) -> None:
        self.paths, self.draft = paths, draft

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return open_image(self.paths[index], self.draft)


class Rows:
    """Rows of an array by number, or several at once."""

    def __init__(self, *arrays: Any) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list) and not isinstance(self.arrays[0], np.ndarray):
            index = self.arrays[1].new_tensor(index)  # lists are slow indices of PyTorch's
        return tuple(array[index] for array in self.arrays)


class Lines:
    """Tokens of lines that were read into memory."""

    def __init__(self, path: str) -> None:
        with open(path) as file:
            self.lines = file.read().splitlines()

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int) -> Any:
        return tokens(self.lines[index])


def filled(rows: list[Any]) -> Any:
    """Rows of different lengths in one array."""
    found = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for row, values in zip(found, rows):
        row[: len(values)] = values
    return found


def write_images(folder: str) -> list[str]:
    """JPEG files of 256 × 256 pixels in two classes."""
    image = importlib.import_module("PIL.Image")
    rng, paths = np.random.default_rng(0), []
    for number in range(IMAGES):
        name = os.path.join(folder, f"class-{number % 2}")
        os.makedirs(name, exist_ok=True)
        coarse = image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8))
        paths.append(os.path.join(name, f"{number}.jpg"))
        coarse.resize((256, 256), image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return paths


def write_lines(folder: str) -> str:
    """Lines of 20 to 200 letters."""
    rng = np.random.default_rng(0)
    path = os.path.join(folder, "lines.txt")
    with open(path, "w") as file:
        for length in rng.integers(20, 200, LINES):
            file.write("".join(map(chr, rng.integers(97, 123, length))) + "\n")
    return path


def array_cases(el: Any, torch: Any, grain: Any) -> dict[str, Make]:
    """Rows of arrays in memory, batches of 128."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (ROWS, 1, 28, 28), np.uint8)
    y = rng.integers(0, 10, ROWS)
    found: dict[str, Make] = {
        "elinvar": lambda: el.data.from_arrays(x, y).shuffle(0).batch(128),
        "elinvar DataLoader": lambda: el.data.DataLoader((x, y), 128, shuffle=True),
    }
    if torch:
        data = torch.utils.data
        pair = torch.from_numpy(x), torch.from_numpy(y)
        found["torch, samples"] = lambda: data.DataLoader(
            data.TensorDataset(*pair), 128, shuffle=True
        )

        def batches() -> Any:
            rows = Rows(*pair)
            sampler = data.BatchSampler(data.RandomSampler(rows), 128, False)
            return data.DataLoader(rows, batch_size=None, sampler=sampler)

        found["torch, batches"] = batches
    if grain:
        found["grain"] = lambda: grain.MapDataset.source(Rows(x, y)).shuffle(seed=0).batch(128)
    return found


def image_cases(el: Any, torch: Any, grain: Any, folder: str, workers: int) -> dict[str, Make]:
    """JPEG files, batches of 32 images of 64 × 64."""
    paths = write_images(folder)
    options = grain.ReadOptions(num_threads=2 if workers else 0) if grain else None
    found: dict[str, Make] = {
        "elinvar": lambda: (
            el.data.image_folder(folder, size=SIZE).shuffle(0).batch(32).workers(workers)
        )
    }
    if workers:
        found["elinvar, threads"] = lambda: (
            el.data.image_folder(folder, size=SIZE).shuffle(0).batch(32).workers(workers, "thread")
        )
    for draft in (False, True):
        name = ", draft" if draft else ""
        images = Images(paths, draft)
        if torch:
            found[f"torch{name}"] = lambda images=images: torch.utils.data.DataLoader(
                images, 32, shuffle=True, num_workers=workers
            )
        if grain:
            found[f"grain{name}"] = lambda images=images: (
                grain.MapDataset.source(images).shuffle(seed=0).to_iter_dataset(options).batch(32)
            )
    return found


def line_cases(el: Any, torch: Any, grain: Any, folder: str) -> dict[str, Make]:
    """Lines of text, tokens filled up in batches of 32."""
    path = write_lines(folder)
    text = el.data.text_lines(path)
    found: dict[str, Make] = {"elinvar": lambda: text.shuffle(0).map(tokens).batch(32, pad=0)}
    lines = Lines(path)
    if torch:
        rnn = torch.nn.utils.rnn

        def collate(rows: list[Any]) -> Any:
            return rnn.pad_sequence([torch.from_numpy(row) for row in rows], True)

        found["torch"] = lambda: torch.utils.data.DataLoader(
            lines, 32, shuffle=True, collate_fn=collate
        )
    if grain:
        found["grain"] = lambda: (
            grain.MapDataset.source(lines).shuffle(seed=0).batch(32, batch_fn=filled)
        )
    return found


def processors() -> float:
    """The time of all processors that this process and its ended children took."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def seconds(make: Make) -> tuple[float, float]:
    """By the clock, and of all processors, for one pass."""
    before, clock = processors(), time.perf_counter()
    for _ in make():
        pass
    spent = time.perf_counter() - clock
    return spent, processors() - before


def compare(name: str, samples: int, cases: dict[str, Make], rounds: int) -> None:
    """A table of one case: thousands of samples per second of the best rounds."""
    best = {key: (float("inf"), float("inf")) for key in cases}
    for number in range(rounds + 1):  # the first one warms up
        for key, make in cases.items():
            found = seconds(make)
            if number:
                best[key] = min(best[key][0], found[0]), min(best[key][1], found[1])
    print(f"\n{name}\n{'':24}{'1000/s, clock':>16}{'1000/s, processors':>20}")
    for key, (clock, processors) in best.items():
        print(f"{key:24}{samples / clock / 1000:16.2f}{samples / processors / 1000:20.2f}")


def installed(name: str) -> Any:
    """A module, or None."""
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def main() -> None:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name holds the word")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    el, torch, grain = (installed(name) for name in ("elinvar", "torch", "grain"))
    if torch:
        importlib.import_module("torch.utils.data")
    with tempfile.TemporaryDirectory() as folder:
        if options.only in "arrays":
            compare("arrays", ROWS, array_cases(el, torch, grain), options.rounds)
        if options.only in "lines":
            compare("lines", LINES, line_cases(el, torch, grain, folder), options.rounds)
        for workers in (0, 2):
            name = f"images, {workers} workers"
            if options.only in name and installed("PIL"):
                place = os.path.join(folder, str(workers))
                cases = image_cases(el, torch, grain, place, workers)
                compare(name, IMAGES, cases, options.rounds)
    if options.only and options.only not in "arrays lines images, 0 workers images, 2 workers":
        print("there is no such case: arrays, lines, images")


if __name__ == "__main__":
    main()
