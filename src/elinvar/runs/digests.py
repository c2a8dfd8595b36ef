"""A number of 32 bits for what each tensor of a model holds, cheap enough for every step.

It finds accidents: two states that differ have the same number with a chance of 1 in 4·10⁹ for each
tensor. Against somebody who wants to deceive, the files of a run have SHA-256.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elinvar.core.errors import ShapeError, fail
from elinvar.runtime.digesting import Digester, digest_of_bytes
from elinvar.tensor.eager import packed
from elinvar.tensor.storage import stored_array
from elinvar.tensor.tensor import Tensor


class Digests:
    """Digests a model's tensors: of the bytes of each, in row-major order.

    Args:
        tensors: by name; which they are must not change, what they hold may.
    """

    names: list[str]

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.names = list(tensors)
        self._tensors = list(tensors.values())
        self._sizes = [_nbytes(tensor) for tensor in self._tensors]
        self._digest = Digester(self._sizes)

    def __call__(self) -> Any:
        """What the tensors hold now: uint32, one for each."""
        held = [packed(tensor) for tensor in self._tensors]
        for tensor, size, name in zip(held, self._sizes, self.names, strict=True):
            if _nbytes(tensor) != size:
                text = f"tensor {name} has another size than when the run began"
                fail(ShapeError, "run", text)
        return self._digest([tensor._address for tensor in held])


def _nbytes(tensor: Tensor) -> int:
    return tensor.size * tensor.dtype.itemsize


def digest_of(tensor: Tensor) -> int:
    """The number of one tensor, computed by numpy."""
    return digest_of_bytes(stored_array(tensor, "digest").tobytes())
