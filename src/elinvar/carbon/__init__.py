"""Energy and carbon of work, and plans for a cleaner grid."""

from elinvar.carbon.account import Account, Predictions, per_thousand
from elinvar.carbon.asking import Patience
from elinvar.carbon.forecast import Forecast
from elinvar.carbon.grid import Intensity, intensity
from elinvar.carbon.meter import Meter, Reading, Track, track
from elinvar.carbon.planning import Plan
from elinvar.carbon.schedule import Outcome, Schedule, simulate

__all__ = [
    "Account",
    "Forecast",
    "Intensity",
    "Meter",
    "Outcome",
    "Patience",
    "Plan",
    "Predictions",
    "Reading",
    "Schedule",
    "Track",
    "intensity",
    "per_thousand",
    "simulate",
    "track",
]
