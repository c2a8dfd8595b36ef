"""The house rules: who imports whom, folder READMEs, sizes, words, and what an import costs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "elinvar"

# Floors from the ground up: a file imports from its own folder and from the floors below.
FLOORS = (
    ("core",),
    ("ops",),
    ("graph",),
    ("transforms",),
    ("passes",),
    ("kernels",),
    ("codegen",),
    ("runtime",),
    ("tensor",),
    ("linalg", "store", "carbon"),
    ("nn", "optim", "data", "metrics", "testing"),
    ("runs",),
    ("train",),
    ("export",),
    ("cli",),
)
LEVEL = {folder: level for level, floor in enumerate(FLOORS) for folder in floor}

FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in FILES} - {PACKAGE})
TREES = {path: ast.parse(path.read_text(), str(path)) for path in FILES}

LONGEST_FILE = 600
LONGEST_FUNCTION = 80


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def folder_of(path: Path) -> str:
    """The floor that a file belongs to; empty for the package's own `__init__`."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def first_party(node: ast.AST) -> list[str]:
    """The modules of ours that one import statement names, as dotted paths."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = (
            ["." * node.level] if node.level else [f"{node.module}.{a.name}" for a in node.names]
        )
    else:
        return []
    return [name for name in names if name.split(".")[0] in ("elinvar", "")]


def imported_folders(path: Path) -> dict[str, int]:
    """The folders of ours that a file imports from, with the line of one such import."""
    found: dict[str, int] = {}
    for node in ast.walk(TREES[path]):
        for name in first_party(node):
            parts = name.split(".")
            found.setdefault(parts[1] if len(parts) > 1 else "", node.lineno)
    return found


def test_every_folder_has_a_floor() -> None:
    assert FILES, "no source files found"
    unknown = {folder_of(path) for path in FILES} - set(LEVEL) - {""}
    assert not unknown, f"folders without a floor: {sorted(unknown)}"


def test_imports_point_downwards() -> None:
    faults = []
    for path in FILES:
        own = folder_of(path)
        if not own:
            continue
        for folder, line in imported_folders(path).items():
            if folder != own and LEVEL.get(folder, len(FLOORS)) >= LEVEL[own]:
                faults.append(f"{name_of(path)}:{line} imports elinvar.{folder}".rstrip("."))
    assert not faults, "\n".join(faults)


def test_no_relative_imports() -> None:
    faults = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not faults, "\n".join(faults)


def test_no_first_party_import_inside_a_function() -> None:
    faults = []
    for path, tree in TREES.items():
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            faults += [
                f"{name_of(path)}:{node.lineno} imports {name}"
                for node in ast.walk(function)
                for name in first_party(node)
            ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_folder_readme(folder: Path) -> None:
    """Each folder says what it promises, what it imports (checked) and where to start reading."""
    readme = folder / "README.md"
    assert readme.exists(), f"{name_of(folder)} has no README.md"
    text = readme.read_text()
    for part in ("**Promises**", "**Imports**", "**Start reading**"):
        assert part in text, f"{name_of(readme)} lacks {part}"
    line = text.split("**Imports**")[1].split("**Start reading**")[0]
    stated = set(re.findall(r"`(\w+)`", line))
    actual: set[str] = set()
    for path in FILES:
        if path.parent == folder:
            actual |= set(imported_folders(path))
    actual -= {folder_of(folder / "x")}
    assert actual <= stated, f"{name_of(readme)} does not name {sorted(actual - stated)}"
    for file in re.findall(r"`(\w+\.py)`", text):
        assert (folder / file).exists(), f"{name_of(readme)} names {file}, which is not there"


def test_file_sizes() -> None:
    faults = [
        f"{name_of(path)}: {lines} lines"
        for path in FILES
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    ]
    assert not faults, "\n".join(faults)


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_function_sizes() -> None:
    faults = [
        f"{name_of(path)}:{node.lineno} {node.name}: {code_lines(node)} lines"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and code_lines(node) > LONGEST_FUNCTION
    ]
    assert not faults, "\n".join(faults)


def test_every_module_says_what_it_is() -> None:
    faults = [name_of(path) for path, tree in TREES.items() if not ast.get_docstring(tree)]
    assert not faults, "no module docstring: " + ", ".join(faults)


# Written in two halves so that this file does not find itself.
FORBIDDEN = {
    "a leftover mark": r"\b(TO" + r"DO|FIX" + r"ME|HA" + r"CK|XX" + r"X)\b",
    "a stub": r"NotImplemented" + r"Error",
    "a path of one machine": r"/wo" + r"rk/",
    "how the work is organised": r"(?<!scope=\")\bse" + r"ssions?\b|\bco-wor" + r"kers?\b",
}
TEXTS = (".py", ".pyi", ".md", ".toml", ".cfg", ".txt", ".yml", "")
SKIPPED = ("build", "dist", "demo", "__pycache__")


def repository_files() -> list[Path]:
    found = []
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts)
        skipped = any(part in SKIPPED or part.endswith(".egg-info") for part in parts)
        if not hidden and not skipped and path.is_file() and path.suffix in TEXTS:
            found.append(path)
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_forbidden_words(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    files = repository_files()
    assert len(files) > 20
    faults = [
        f"{name_of(path)}:{number}: {line.strip()[:80]}"
        for path in files
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not faults, f"{what}:\n" + "\n".join(faults)


def test_links_lead_somewhere() -> None:
    faults = []
    for path in repository_files():
        if path.suffix != ".md":
            continue
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in target and not (path.parent / target).exists():
                faults.append(f"{name_of(path)} → {target}")
    assert not faults, "\n".join(faults)


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src"
    )
    return set(result.stdout.split())


def test_import_is_light() -> None:
    """`import elinvar` loads numpy and our own files: no compiler, no peer, no extra."""
    loaded = modules_after("import elinvar")
    heavy = {
        "llvmlite", "torch", "jax", "jaxlib", "tensorflow", "rich", "matplotlib", "sklearn",
        "scipy", "safetensors", "ml_dtypes", "pandas", "asyncio", "http", "sqlite3", "unittest",
    }  # fmt: skip
    assert not heavy & {name.split(".")[0] for name in loaded}
    others = loaded - modules_after("import numpy")
    ours = {name for name in others if name.split(".")[0] == "elinvar"}
    assert ours and len(others - ours) < 60, sorted(others - ours)


def letters(part: str) -> str:
    """Those of a part of the alphabet, such as `a-d` or `s`."""
    return "".join(chr(c) for c in range(ord(part[0]), ord(part[-1]) + 1))


def test_make_runs_all_tests() -> None:
    """The Makefile names parts of the alphabet; together they are all of it, once."""
    text = (ROOT / "Makefile").read_text()
    parts = re.search(r"^PARTS := (.*)$", text, re.MULTILINE)
    assert parts is not None
    assert sorted("".join(map(letters, parts[1].split()))) == list("abcdefghijklmnopqrstuvwxyz")
    assert "$(PARTS:%=code-%) $(PARTS:%=any-%)" in text and "$(PARTS:%=quick-%)" in text


def test_make_runs_all_comparisons() -> None:
    """The tests of the peers that are about machine code, and all others."""
    line = re.search(r"FOLDER=peers/ (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line is not None
    parts = {"code": "", "any": ""}
    for word in line[1].split():
        kind, part = word.split("-", 1)
        parts[kind] += letters(part)
    assert all(len(found) == len(set(found)) for found in parts.values())
    for path in (ROOT / "tests" / "peers").glob("test_*.py"):
        marked = re.search(r"^pytestmark = .*any_level", path.read_text(), re.MULTILINE)
        assert path.name[5] in parts["any" if marked else "code"], path.name
