"""What every test needs before `elinvar` is imported: the verifier on, a cache of the tests' own."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("ELINVAR_VERIFY", "1")
os.environ.setdefault("ELINVAR_CACHE", str(ROOT / "build" / "test-cache"))
os.environ.setdefault("MPLBACKEND", "Agg")
