"""What progress displays say: the running figures of an epoch, in words."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from elinvar.carbon import words
from elinvar.nn.summary import readable

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer

HIDDEN = (
    "seconds", "samples_per_second", "waiting", "lr", "epoch", "step",
    "energy_joules", "grams_co2e",
)  # fmt: skip
SLOW_DATA = 0.2  # the share of time from which waiting for data deserves a hint
HINT = (
    "{share:.0%} of the time went into waiting for data: prefetch or use worker processes "
    "(el.data), or keep decoded samples in memory"
)


def figure(value: Any) -> str:
    """A figure as people read it: four places, or three digits where it is very small or large.

    Example:
        >>> figure(0.41237), figure(1.5e-7), figure(1234567), figure(None)
        ('0.4124', '1.5e-07', '1,234,567', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, float):
        plain = 1e-3 <= abs(value) < 1e5 or value == 0
        return f"{value:.4f}" if plain else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def of(number: int, total: int) -> str:
    """`3/10`, aligned; only `3` where there is no end.

    Example:
        >>> of(3, 10), of(3, 10**12)
        (' 3/10', '3')
    """
    return f"{number:>{len(str(total))}}/{total}" if total < 10**6 else str(number)


def duration(seconds: float) -> str:
    """A time as people read it.

    Example:
        >>> duration(4.2), duration(75), duration(3725)
        ('0:04', '1:15', '1:02:05')
    """
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def took(seconds: float) -> str:
    """The time that an epoch took: with decimals below a minute.

    Example:
        >>> took(0.034), took(4.26), took(75)
        ('0.03 s', '4.3 s', '1:15')
    """
    if round(seconds, 1) >= 60:
        return duration(seconds)
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"


def resident_bytes() -> int:
    """The memory that this process holds; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def memory() -> str:
    """The memory that this process holds, in words; nothing where the system does not say."""
    return readable(resident_bytes()) if resident_bytes() else ""


def running(trainer: Trainer) -> list[tuple[str, str]]:
    """The figures of the epoch so far: loss, metrics, learning rate, norm of the gradients."""
    found = [("loss", figure(trainer.mean.value))]
    for name, metric in trainer.metrics.items():
        value = metric.compute() if metric.compiled else None  # the others look at all samples
        if isinstance(value, float | int):
            found.append((name, figure(value)))
    found.append(("lr", figure(trainer.learning_rate)))
    if trainer.grad_norm is not None:
        found.append(("|g|", figure(float(trainer.grad_norm))))
    return found


def final(trainer: Trainer) -> list[tuple[str, str]]:
    """The figures of an epoch that ended."""
    return [
        (name, figure(value))
        for name, value in trainer.logs.items()
        if name not in HIDDEN and isinstance(value, float | int)
    ]


def cost(trainer: Trainer) -> str:
    """Energy and carbon of an epoch that ended, and carbon of predictions, in words."""
    logs, thousand = trainer.logs, trainer.energy.per_thousand
    found = f"{words.energy(logs['energy_joules'])}  {words.carbon(logs['grams_co2e'])}"
    if thousand is not None:
        found += f"  {words.carbon(thousand.grams)}/1,000 predictions"
    return found


def in_notebook() -> bool:
    """Whether this is a cell of a notebook."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell"
