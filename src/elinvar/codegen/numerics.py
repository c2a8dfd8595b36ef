"""The orders in which kernels add: the one that the numerics contract fixes, and a free one.

An order is a set of lengths that kernels are written with. `EXACT` holds those of the contract
(`docs/numerics.md`, rules 3 and 4): numbers that are the same for all machines and shapes for ever.
`FAST` holds what suits caches and pipelines best, for programs whose user gave the promise up with
`el.jit(f, numerics="fast")`. All else is the same: IEEE arithmetic, our own functions, work cut by
shape.
"""

from __future__ import annotations

from dataclasses import dataclass

ANY = 1 << 40  # longer than any sum


@dataclass(frozen=True)
class Numerics:
    """The lengths of sums.

    Attributes:
        word: for `el.jit`.
        accumulators: vectors of 16 lanes in which a row is summed side by side.
        chunk: rows that are added one by one where the last axis is kept, at least, and
        most_chunks: into how many chunks so many rows are cut at most; 0: into any number.
        merges: whether neighbouring axes count as one there, and an open size of 1 as any other.
        block: steps of k that a product with packed panels adds in registers, and
        stretch: one that packs nothing.
        dots: whether the lanes of a vector may be steps of k.
        points: channels that are added in registers at a point of Winograd's algorithm.
    """

    word: str
    accumulators: int
    chunk: int
    most_chunks: int
    merges: bool
    block: int
    stretch: int
    dots: bool
    points: int


EXACT = Numerics("exact", 1, 256, 0, False, 256, 256, False, 64)
FAST = Numerics("fast", 2, 256, 16, True, 768, ANY, True, 512)
NUMERICS = {numerics.word: numerics for numerics in (EXACT, FAST)}
