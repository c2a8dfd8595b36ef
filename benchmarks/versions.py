"""Versions of data: time, memory and room on disk for many small files and for a few large ones.

    python -m benchmarks.versions --folder /somewhere              10,000 files, two of 256 MB
    python -m benchmarks.versions --folder /somewhere --files 1000000 --large 2 --size 4000

Every step is a process of its own, so that its memory is its own. Wall time, time of the
processors, most memory, and bytes and files of the store afterwards. Before steps that are called
cold, the system is told to forget the files' contents (names stay in its memory). What was made is
deleted at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from elinvar import data

PER_FOLDER = 1000
BYTES = 1000
MB = 10**6


def make_small(folder: Path, count: int) -> None:
    """Files of 1000 bytes that are all different, a thousand in each folder."""
    rng = np.random.default_rng(0)
    for first in range(0, count, PER_FOLDER):
        below = folder / f"{first // PER_FOLDER:05d}"
        below.mkdir(parents=True)
        content = rng.bytes(PER_FOLDER * BYTES)
        for i in range(min(PER_FOLDER, count - first)):
            (below / f"{i:03d}.bin").write_bytes(content[i * BYTES : (i + 1) * BYTES])


def make_large(folder: Path, count: int, size: int) -> None:
    """Files of so many megabytes."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in range(count):
        with open(folder / f"{number}.bin", "wb") as stream:
            for _ in range(size // 50):
                stream.write(rng.bytes(50 * MB))


def forget(folder: Path) -> None:
    """Ask the system to forget contents of files."""
    os.sync()
    for below, _, names in os.walk(folder):
        for name in names:
            handle = os.open(os.path.join(below, name), os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def read(folder: Path) -> None:
    """Read large files and do nothing with them: how fast the disk is."""
    buffer = bytearray(1 << 23)
    for path in sorted(folder.iterdir()):
        with open(path, "rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def steps(folder: Path) -> dict[str, Callable[[], object]]:
    """What can be measured, by name."""
    small, large, store = folder / "small", folder / "large", folder / "store"

    def change() -> object:
        (small / "00000" / "000.bin").write_bytes(b"changed")
        return data.commit(small, "small", store=store)

    return {
        "read large": lambda: read(large),
        "hash large": lambda: data.fingerprint_path(large),
        "commit large": lambda: data.commit(large, "large", store=store),
        "commit large again": lambda: data.commit(large, "large", store=store),
        "verify large": lambda: data.verify("large", store=store),
        "checkout large": lambda: data.checkout("large", folder / "out large", store=store),
        "path of large": lambda: data.version("large", store).path,
        "commit small": lambda: data.commit(small, "small", store=store),
        "commit small again": lambda: data.commit(small, "small", store=store),
        "one changed": change,
        "diff small": lambda: data.diff("small@1", "small", store=store),
        "verify small": lambda: data.verify("small", store=store),
        "checkout small": lambda: data.checkout("small", folder / "out small", store=store),
    }


def most_memory() -> int:
    """The most memory that this process has had since it started; `getrusage` also counts its
    parent's at the fork."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


COLD = ("read large", "hash large", "commit large", "verify large", "commit small", "verify small")


def measure(step: str, folder: Path) -> None:
    """Do one step, and print what it took."""
    before = os.times()
    start = time.perf_counter()
    steps(folder)[step]()
    seconds = time.perf_counter() - start
    after = os.times()
    found = {
        "seconds": seconds,
        "cpu": after.user + after.system - before.user - before.system,
        "memory": most_memory(),
    }
    print(json.dumps(found))


def one(step: str, folder: Path, is_cold: bool) -> None:
    """Have one step done by another process, and print a line."""
    if is_cold:
        forget(folder / step.split()[-1])
        if step.startswith("verify"):
            forget(folder / "store")
    call = [sys.executable, "-m", "benchmarks.versions", "--folder", str(folder), "--step", step]
    told = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(told.splitlines()[-1])
    looks = [
        os.stat(os.path.join(below, name))
        for below, _, names in os.walk(folder / "store")
        for name in names
    ]
    room = sum({look.st_ino: look.st_blocks * 512 for look in looks}.values())
    files = len({look.st_ino for look in looks})
    label = f"{step}{', cold' if is_cold else ''}"
    print(
        f"{label:<24} {found['seconds']:8.2f} s {found['cpu']:8.2f} s cpu "
        f"{found['memory'] / MB:7.0f} MB   store {room / MB:8.1f} MB in {files} files",
        flush=True,
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="a new one, on the disk to test")
    parser.add_argument("--files", type=int, default=10_000, help="small files")
    parser.add_argument("--large", type=int, default=2, help="large files")
    parser.add_argument("--size", type=int, default=256, help="megabytes of each large file")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        measure(options.step, options.folder)
        return
    options.folder.mkdir(parents=True)
    try:
        make_large(options.folder / "large", options.large, options.size)
        make_small(options.folder / "small", options.files)
        print(f"{options.files} files of {BYTES} bytes, {options.large} of {options.size} MB")
        for step in steps(options.folder):
            one(step, options.folder, step in COLD)
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
