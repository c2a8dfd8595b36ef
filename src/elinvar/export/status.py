"""The error codes of exported functions."""

from __future__ import annotations

from enum import IntEnum

LARGEST_EXACT = 1 << 50  # bytes of one value that are accepted: far beyond any memory


class Status(IntEnum):
    """What `NAME_run` returns; `NAME_arena_bytes` returns the same below zero."""

    OK = 0
    NULL_POINTER = 1
    MISALIGNED = 2
    SIZE_OUT_OF_RANGE = 3
    OVERFLOW = 4
    ARENA_TOO_SMALL = 5
    WRONG_WEIGHTS = 6


MEANING = {
    Status.OK: "everything went well",
    Status.NULL_POINTER: "an argument, or an entry of one, is NULL",
    Status.MISALIGNED: "the arena or the weights do not begin at a multiple of 64 bytes",
    Status.SIZE_OUT_OF_RANGE: "a size is outside of its range",
    Status.OVERFLOW: "for these sizes a tensor or the arena would be larger than memory",
    Status.ARENA_TOO_SMALL: "the arena is smaller than NAME_arena_bytes says",
    Status.WRONG_WEIGHTS: "the weights are not those that belong to this function",
}
