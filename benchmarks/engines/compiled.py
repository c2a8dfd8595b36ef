"""PyTorch with torch.compile; it needs a C++ compiler."""

from __future__ import annotations

import shutil

from benchmarks.engines.pytorch import PyTorch


class Compiled(PyTorch):
    """`torch.compile` of everything that `PyTorch` runs eagerly, except the fused optimizer."""

    compiled = True

    def __init__(self, threads: int) -> None:
        if not any(shutil.which(name) for name in ("g++", "c++", "clang++")):
            raise RuntimeError("torch.compile needs a C++ compiler: there is no g++ here")
        super().__init__(threads)


ENGINE = Compiled
