"""Compares the bits of programs (`tests/machines.py`) between this machine and another.

    python tools/compare_machines.py FOLDER [--only WORD …] [--emulator qemu-aarch64]

runs them here and with the Python of a folder, which `tools/foreign_root.sh` makes; the emulator
is only needed where that Python is for another architecture. On the other machine itself,

    python tests/machines.py > there.json
    python tools/compare_machines.py there.json          (here)

does the same. The name of an instruction set in place of the folder, such as x86-64-v2, compiles
for that one (`ELINVAR_CPU`). Everything else that `tests/machines.py` takes is passed on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "tests" / "machines.py"


def digests(
    command: list[str], paths: list[Path], cache: Path, rest: list[str], cpu: str = "host"
) -> dict[str, str]:
    """What the programs give when a Python runs them."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "ELINVAR_CPU": cpu}
    environment |= {"ELINVAR_CACHE": str(cache), "ELINVAR_QUICK": "0"}
    start = time.perf_counter()
    whole = [*command, str(PROGRAM), *rest]
    result = subprocess.run(whole, env=environment, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(whole)} failed")
    found: dict[str, str] = json.loads(result.stdout)
    print(f"{len(found)} programs, {time.perf_counter() - start:.0f} s: {command[0]}", flush=True)
    return found


def python_of(folder: Path) -> Path:
    """The Python in a folder that looks like the root of a file system."""
    found = sorted((folder / "usr" / "bin").glob("python3.*[0-9]"))
    if not found:
        sys.exit(f"no usr/bin/python3.* in {folder}; tools/foreign_root.sh makes such a folder")
    return found[-1]


def there(folder: Path, emulator: str, rest: list[str]) -> dict[str, str]:
    folder = folder.resolve()
    command = [emulator, "-L", str(folder)] if emulator else []
    paths = [ROOT / "src", ROOT / "tests", folder / "site"]
    return digests([*command, str(python_of(folder))], paths, folder / "cache", rest)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="a folder with a Python, or a file of digests")
    parser.add_argument("--emulator", default="qemu-aarch64", help="empty for none")
    given, rest = parser.parse_known_args()
    here = [ROOT / "src", ROOT / "tests"]
    cache = ROOT / "build" / "compare-cache"
    if given.other.is_file():
        other = json.loads(given.other.read_text())
        own = digests([sys.executable], here, cache, rest)
    elif str(given.other).startswith("x86-64-"):
        own = digests([sys.executable], here, cache, rest)
        other = digests([sys.executable], here, cache, rest, str(given.other))
    else:
        with ThreadPoolExecutor(2) as pool:
            later = pool.submit(there, given.other, given.emulator, rest)
            own = digests([sys.executable], here, cache, rest)
            other = later.result()
    common = [name for name in own if name in other]
    differing = [name for name in common if own[name] != other[name]]
    for name in differing:
        print(f"{name} differs: {own[name]} here, {other[name]} there")
    failed = [name for name in common if ":" in own[name]]
    print(f"{len(common)} programs compared, {len(differing)} differ, {len(failed)} failed here")
    return int(bool(differing or failed or not common))


if __name__ == "__main__":
    sys.exit(main())
