"""Energy and carbon of work, and plans for a cleaner grid."""

from elinvar.carbon.account import Account, Predictions, per_thousand
from elinvar.carbon.grid import Intensity, intensity
from elinvar.carbon.meter import Meter, Reading, Track, track

__all__ = [
    "Account",
    "Intensity",
    "Meter",
    "Predictions",
    "Reading",
    "Track",
    "intensity",
    "per_thousand",
    "track",
]
