"""What the documentation shows is run: code blocks of Markdown files, examples in docstrings."""

import doctest
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import elinvar as el
from elinvar.ops.table import TABLE

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "elinvar"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__main__.py"
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NAMES = {"el": el, "nn": el.nn, "F": el.nn.functional, "np": np}
BLOCK = re.compile(r"(?:^<!-- needs (\w+) -->\n)?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_examples(text: str, names: dict[str, object], name: str, file: str, line: int) -> int:
    """Run the `>>>` examples of a text; returns how many there were."""
    test = doctest.DocTestParser().get_doctest(text, names, name, file, line)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    failed = runner.run(test, out=report.append, clear_globs=False).failed
    assert not failed, "".join(report)
    return len(test.examples)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_code_blocks(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of one page run from top to bottom and share their names."""
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    names: dict[str, object] = {"__name__": "__main__"}
    for match in BLOCK.finditer(text):
        block, line = match[2], text.count("\n", 0, match.start(2))
        if match[1] and importlib.util.find_spec(match[1]) is None:
            continue  # of an extra that is not installed
        if ">>>" in block:
            run_examples(block, names, page.name, str(page), line)
        else:
            exec(compile("\n" * line + block, str(page), "exec"), names)


def test_there_are_pages_with_code() -> None:
    for name, least in (("README.md", 1), ("docs/path.md", 8), ("docs/numerics.md", 2)):
        assert len(BLOCK.findall((ROOT / name).read_text())) >= least


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    module: ModuleType = importlib.import_module(name)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        if test.examples:
            names = {**NAMES, **module.__dict__}
            run_examples(
                test.docstring, names, test.name, test.filename or name, test.lineno or 0
            )


@pytest.mark.parametrize(
    "op", [op for op in TABLE if op.family == "elementwise"], ids=lambda op: op.name
)
def test_op_examples(op) -> None:
    """The examples of elementwise records; the others are run with numpy (tests/test_records.py)."""
    assert run_examples(op.doc, dict(NAMES), op.name, "the op table", 0), f"{op.name}: no example"
