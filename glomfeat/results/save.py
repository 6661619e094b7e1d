"""Write single tables of a run as CSV."""

from pathlib import Path
from typing import TYPE_CHECKING

from glomfeat.core.atomic import written_whole
from glomfeat.core.words import for_spreadsheets
from glomfeat.data.cases import pseudonyms

if TYPE_CHECKING:
    import pandas as pd

    from glomfeat.data.manifest import Manifest

FLOATS = "%.6g"


def write_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a table as CSV, with six digits per number; texts that begin like formulas get an apostrophe in front."""
    for_spreadsheets(table).to_csv(path, index=False, float_format=FLOATS)


def save_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a table as `write_table` does, whole or not at all; a file with the same content is left as it is."""
    with written_whole(path, if_other=True) as part:
        write_table(table, part)


def write_folds(folds: "pd.DataFrame", manifest: "Manifest", path: Path) -> None:
    """Write a table of folds, with the pseudonyms of cases and how the data set is split."""
    shown = folds["case"].map(pseudonyms(folds["case"]))
    for_spreadsheets(folds.assign(pseudonym=shown, split=manifest.split)).to_csv(path, index=False)
