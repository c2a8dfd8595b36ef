"""Data sets as named versions that do not change: what `el.data` offers of them."""

from elinvar.store.checking_out import checkout
from elinvar.store.committing import commit
from elinvar.store.comparing import Difference, diff
from elinvar.store.fingerprint import fingerprint, fingerprint_path, version_of
from elinvar.store.names import log, names, tag, version, versions
from elinvar.store.pruning import Pruned, drop, prune
from elinvar.store.pushing import Transfer, pull, push
from elinvar.store.verifying import Problem, Verification, verify
from elinvar.store.version import Version

__all__ = [
    "Difference",
    "Problem",
    "Pruned",
    "Transfer",
    "Verification",
    "Version",
    "checkout",
    "commit",
    "diff",
    "drop",
    "fingerprint",
    "fingerprint_path",
    "log",
    "names",
    "prune",
    "pull",
    "push",
    "tag",
    "verify",
    "version",
    "version_of",
    "versions",
]
