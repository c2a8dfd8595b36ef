"""What every test needs before `elinvar` is imported: the verifier on, a cache of the tests' own."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("ELINVAR_VERIFY", "1")
os.environ.setdefault("ELINVAR_CACHE", str(ROOT / "build" / "test-cache"))
os.environ.setdefault("ELINVAR_RUNS", "off")  # tests about runs name their folders
os.environ.setdefault("ELINVAR_STORE", str(ROOT / "build" / "test-store"))
os.environ.setdefault("MPLBACKEND", "Agg")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell script
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def quick_collections() -> Iterator[None]:
    """Tests that collect garbage need not walk what earlier files have left: programs, graphs."""
    gc.collect()
    gc.freeze()
    yield
