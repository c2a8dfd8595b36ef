"""docs/functions.md is what the docstrings say."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_page_is_current():
    path = ROOT / "tools" / "functions_page.py"
    spec = importlib.util.spec_from_file_location("functions_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page(), "run: python tools/functions_page.py"
