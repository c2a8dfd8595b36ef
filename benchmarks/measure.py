"""Statistics of interleaved rounds."""

from __future__ import annotations

import statistics
from typing import Any


def summary(rounds: list[float]) -> dict[str, Any]:
    """Median, best and spread of the rounds' seconds.

    The spread is the distance of the quartiles over the median: 0 for a quiet machine.

    Example:
        >>> summary([2.0, 1.0, 3.0])["median"]
        2.0
    """
    if not rounds:
        raise ValueError("there are no rounds to sum up")
    middle = statistics.median(rounds)
    spread = 0.0
    if len(rounds) > 1:
        low, _, high = statistics.quantiles(rounds, n=4, method="inclusive")
        spread = (high - low) / middle
    return {"median": middle, "best": min(rounds), "spread": spread, "rounds": list(rounds)}


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Our time over theirs: the median over rounds of the ratio within a round.

    Both took the round one after the other, so a slow minute of the machine cancels out.

    Example:
        >>> ratio([1.0, 10.0, 1.5], [2.0, 20.0, 3.0])
        0.5
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"ratio of {len(ours)} and {len(theirs)} rounds")
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def best_peer(results: dict[str, dict[str, Any]], own: str = "elinvar") -> str | None:
    """The fastest framework by its median, our own left out; None where nobody else ran."""
    peers = {
        name: found["median"]
        for name, found in results.items()
        if name != own and "median" in found
    }
    return min(peers, key=lambda name: peers[name]) if peers else None


def share_of_peak(
    seconds: float, flops: int, traffic: int, peak_flops: float, peak_bandwidth: float
) -> float:
    """The least time that the machine needs for the work, over the time taken.

    The least time is the longer one of flops / peak and bytes / bandwidth. Bytes that stay in
    caches may be faster than memory, so small cases are judged by their flops alone (no traffic).

    Example:
        >>> share_of_peak(2.0, 100, 0, 100.0, 1.0)
        0.5
    """
    return max(flops / peak_flops, traffic / peak_bandwidth) / seconds


def geometric_mean(values: list[float]) -> float:
    """exp(mean(log(values))).

    Example:
        >>> round(geometric_mean([0.5, 2.0]), 12)
        1.0
    """
    return statistics.geometric_mean(values)
