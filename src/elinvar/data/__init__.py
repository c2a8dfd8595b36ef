"""Data sets and their versions, pipelines and batches."""

from elinvar.core.errors import DataError, DataMissingError
from elinvar.data import transforms
from elinvar.data.begin import (
    arrow,
    csv,
    from_arrays,
    from_sequence,
    from_stream,
    image_folder,
    json_lines,
    parquet,
    sound_files,
    tar,
    text_lines,
)
from elinvar.data.fashion import FASHION_CLASSES, digits, fashion_mnist
from elinvar.data.idx import parse_idx
from elinvar.data.known import electricity_demand, nyc_flights
from elinvar.data.loader import DataLoader, Dataset, TensorDataset, collate
from elinvar.data.pipeline import Pipeline
from elinvar.data.prompts import spoken_prompts
from elinvar.data.source import Source
from elinvar.data.texts import Mail, moby_dick, spam_mails
from elinvar.store import (
    Difference,
    Verification,
    Version,
    checkout,
    commit,
    diff,
    fingerprint,
    fingerprint_path,
    log,
    names,
    tag,
    verify,
    version,
    version_of,
    versions,
)

__all__ = [
    "DataError",
    "DataLoader",
    "DataMissingError",
    "Dataset",
    "Difference",
    "FASHION_CLASSES",
    "Mail",
    "Pipeline",
    "Source",
    "TensorDataset",
    "Verification",
    "Version",
    "arrow",
    "checkout",
    "collate",
    "commit",
    "csv",
    "diff",
    "digits",
    "electricity_demand",
    "fashion_mnist",
    "fingerprint",
    "fingerprint_path",
    "from_arrays",
    "from_sequence",
    "from_stream",
    "image_folder",
    "json_lines",
    "log",
    "moby_dick",
    "names",
    "nyc_flights",
    "parquet",
    "parse_idx",
    "sound_files",
    "spam_mails",
    "spoken_prompts",
    "tag",
    "tar",
    "text_lines",
    "transforms",
    "verify",
    "version",
    "version_of",
    "versions",
]
