"""The log: Python's logger `elinvar`. With `ELINVAR_LOG=info` (or `debug`) it is written to stderr;
else it goes wherever the program that imports us sends it."""

from __future__ import annotations

import logging

from elinvar.core.settings import settings

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}

log: logging.Logger = logging.getLogger("elinvar")

if settings.log_level in _LEVELS and not log.handlers:
    log.setLevel(_LEVELS[settings.log_level])
    _handler = logging.StreamHandler()
    _handler.setFormatter(logging.Formatter("[%(name)s] %(message)s"))
    log.addHandler(_handler)
