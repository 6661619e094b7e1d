"""Whether a file of an output folder is as it was written: full disks may have left files that are cut short."""

import json

import pandas as pd

from glomfeat.core.settings import read_settings
from glomfeat.data.files import sha256_of


def why_unfit(path, journal):
    r"""Say why a file is not to be read; empty if it is as it was written.

    It is compared with its SHA-256 if the journal has one. Otherwise a table must end at the end of a line and have a
    row of names, and JSON and YAML must hold names and values.

    Parameters
    ----------
    path : Path
    journal : Journal
        The journal beside it.

    Returns
    -------
    str

    Examples
    --------
    >>> import tempfile; from pathlib import Path; from glomfeat.results.journal import Journal
    >>> path = Path(tempfile.mkdtemp(), "results.csv")
    >>> why_unfit(path, journal := Journal(path.with_name("journal.jsonl")))
    'is not there'
    >>> _ = path.write_text("arm,auroc\na,0.")
    >>> why_unfit(path, journal)
    'is cut short'
    """
    if not path.is_file():
        return "is not there"
    if not path.stat().st_size:
        return "is empty"
    if known := journal.written().get(path.name):
        return "" if sha256_of(path) == known else "is not as it was written"
    try:
        return _why_not_whole(path)
    except ValueError:  # which covers the errors of pandas, of JSON, of settings and of what is not UTF-8
        return "is damaged"


def _why_not_whole(path):
    if path.suffix == ".csv":
        with path.open("rb") as file:
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                return "is cut short"
        pd.read_csv(path, dtype=str)
    elif path.suffix == ".yaml":
        read_settings(path)
    elif path.suffix == ".json":
        return "" if isinstance(json.loads(path.read_text(encoding="utf-8")), dict) else "is damaged"
    return ""
