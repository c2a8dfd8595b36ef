"""Write the type stubs from the op table and from real signatures: `python tools/type_stubs.py`.

    src/elinvar/__init__.pyi                  the functions of the top level
    src/elinvar/tensor/tensor.pyi             the Tensor with every method and operator
    src/elinvar/linalg/__init__.pyi, src/elinvar/tensor/{fft,random,extra/special}.pyi
    src/elinvar/nn/functional/__init__.pyi
    src/elinvar/ops/primitives.pyi            all primitives as typed functions, for rules
    tests/typing/stubtest_allowlist.txt       where the stubs say more than inspection can see

Functions and methods made from op records and by mixins say `Any` in the sources, because the floor
on which they stand does not know the Tensor. A stub names parameters, order and defaults as the
real signature does; in it `Any` becomes the type that belongs to the parameter's name (PARAMETERS),
and a result becomes a Tensor unless RESULTS says otherwise (both in stubs/words.py).
tests/test_type_stubs.py holds the stubs against the sources, against mypy's stubtest and against
every documented example.

A stub beside a source replaces it for users' type checkers only: mypy on this package leaves the
stubs out (`exclude` in pyproject.toml) and checks the sources.
"""

from __future__ import annotations

import sys
from pathlib import Path

if str(Path(__file__).parent) not in sys.path:  # loaded by its path, as in the tests
    sys.path.insert(0, str(Path(__file__).parent))

from stubs.modules import (
    fft_module,
    functional_module,
    linalg_module,
    random_module,
    special_module,
    top_level,
)
from stubs.primitives import primitives_module
from stubs.tensors import in_place, in_place_parameters, tensor_members, tensor_module

SOURCE = Path(__file__).resolve().parent.parent / "src" / "elinvar"
ALLOWLIST = SOURCE.parent.parent / "tests" / "typing" / "stubtest_allowlist.txt"


def stubs() -> dict[Path, str]:
    """Every stub file with its text."""
    return {
        SOURCE / "__init__.pyi": top_level(),
        SOURCE / "tensor" / "tensor.pyi": tensor_module(),
        SOURCE / "tensor" / "fft.pyi": fft_module(),
        SOURCE / "linalg" / "__init__.pyi": linalg_module(),
        SOURCE / "tensor" / "random.pyi": random_module(),
        SOURCE / "tensor" / "extra" / "special.pyi": special_module(),
        SOURCE / "nn" / "functional" / "__init__.pyi": functional_module(),
        SOURCE / "ops" / "primitives.pyi": primitives_module(),
    }


def allowlist() -> str:
    """tests/typing/stubtest_allowlist.txt: names of objects, under the reason."""
    place = "elinvar\\.tensor\\.tensor"
    lines = [
        "# Made by `python tools/type_stubs.py`. Patterns of what mypy.stubtest may find.",
        "",
        "# Its layout is that of an int with attributes; nobody derives from it.",
        f"{place}\\.Size",
        "",
        "# They take what their pure form takes and would pass on any *args.",
    ]
    names = [name for name, member in sorted(tensor_members().items()) if in_place(member)]
    bare = [name for name in names if in_place_parameters(name)[1:2] in ([], ["/"], ["*"])]
    lines += [f"{place}\\.Tensor\\.{name}" for name in bare]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for path, text in {**stubs(), ALLOWLIST: allowlist()}.items():
        path.write_text(text)
