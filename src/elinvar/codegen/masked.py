"""Masked loads, stores and gathers, cut into pieces where LLVM may not be left to cut them.

Where a masked load is wider than the machine's vectors, LLVM cuts it in halves, and where the mask
of one half is known to be off, LLVM 22 gives wrong lanes on AVX2, or ends the process. Pieces of
32 bytes are never cut on a machine that has masked loads.
"""

from __future__ import annotations

from collections.abc import Sequence

from elinvar.codegen.body import Body
from elinvar.codegen.patterns import joined, shuffled

PIECE = 32  # bytes
LARGEST = 8  # bytes of an element that machines can mask; a wider one is two halves


def masked_load(
    body: Body,
    pointer: str,
    element: str,
    size: int,
    lanes: int,
    mask: str,
    suffix: str,
    known: Sequence[bool] | None = None,
) -> str:
    """Neighbours in memory; zeros where the mask is off.

    Args:
        element, size, suffix: the element's type, its bytes and its name in an intrinsic (`f32`).
        mask: a vector of `lanes` bits.
        known: False for lanes that are known to be off; None: there are none.
    """
    if size > LARGEST:
        order = _halves(lanes)
        mask = shuffled(body, "i1", lanes, mask, "poison", order)
        both = None if known is None else [known[lane] for lane in order]
        found = masked_load(body, pointer, "i64", 8, 2 * lanes, mask, "i64", both)
        text = f"bitcast <{2 * lanes} x i64> {found} to <{lanes} x {element}>"
        return body.instruction(text, "x")
    width = PIECE // size
    known = known or [True] * lanes
    open_pieces = [any(known[first : first + width]) for first in range(0, lanes, width)]
    if lanes <= width or not lanes & (lanes - 1) and all(open_pieces):
        return _load(body, pointer, element, size, lanes, mask, suffix)
    pieces = []
    for first in range(0, lanes, width):
        bits = [min(first + lane, lanes) for lane in range(width)]  # beyond the lanes: off
        part = shuffled(body, "i1", lanes, mask, "zeroinitializer", bits)
        place = body.instruction(f"getelementptr {element}, ptr {pointer}, i64 {first}", "p")
        pieces.append(_load(body, place, element, size, width, part, suffix))
    while len(pieces) > 1:
        if len(pieces) % 2:
            pieces.append(pieces[-1])
        pairs = zip(pieces[::2], pieces[1::2], strict=True)
        pieces = [joined(body, element, width, one, two) for one, two in pairs]
        width *= 2
    if width == lanes:
        return pieces[0]
    return shuffled(body, element, width, pieces[0], "poison", list(range(lanes)))


def _halves(lanes: int) -> list[int]:
    """The element to which each half belongs."""
    return [half // 2 for half in range(2 * lanes)]


def masked_store(
    body: Body,
    pointer: str,
    element: str,
    size: int,
    lanes: int,
    mask: str,
    suffix: str,
    payload: str,
) -> None:
    """Write the elements where the mask is on; arguments as for `masked_load`."""
    if size > LARGEST:
        mask = shuffled(body, "i1", lanes, mask, "poison", _halves(lanes))
        text = f"bitcast <{lanes} x {element}> {payload} to <{2 * lanes} x i64>"
        payload = body.instruction(text)
        element, suffix, size, lanes = "i64", "i64", 8, 2 * lanes
    vector, bits = f"<{lanes} x {element}>", f"<{lanes} x i1>"
    name = f"@llvm.masked.store.v{lanes}{suffix}.p0"
    body.declare(f"declare void {name}({vector}, ptr, i32, {bits})")
    body.emit(f"call void {name}({vector} {payload}, ptr {pointer}, i32 {size}, {bits} {mask})")


def gathered(
    body: Body, element: str, size: int, lanes: int, pointers: str, mask: str, suffix: str
) -> str:
    """What stands at each lane's pointer; zeros where the mask is off."""
    vector, addresses, bits = f"<{lanes} x {element}>", f"<{lanes} x ptr>", f"<{lanes} x i1>"
    name = f"@llvm.masked.gather.v{lanes}{suffix}.v{lanes}p0"
    body.declare(f"declare {vector} {name}({addresses}, i32, {bits}, {vector})")
    return body.instruction(
        f"call {vector} {name}({addresses} {pointers}, i32 {size}, {bits} {mask}, "
        f"{vector} zeroinitializer)",
        "x",
    )


def _load(
    body: Body, pointer: str, element: str, size: int, lanes: int, mask: str, suffix: str
) -> str:
    vector, bits = f"<{lanes} x {element}>", f"<{lanes} x i1>"
    name = f"@llvm.masked.load.v{lanes}{suffix}.p0"
    body.declare(f"declare {vector} {name}(ptr, i32, {bits}, {vector})")
    return body.instruction(
        f"call {vector} {name}(ptr {pointer}, i32 {size}, {bits} {mask}, {vector} zeroinitializer)",
        "x",
    )
