"""Tables of a study as files."""

from glomfeat.data.cases import pseudonyms

FLOATS = "%.6g"


def write_table(table, path):
    table.to_csv(path, index=False, float_format=FLOATS)


def write_folds(folds, manifest, path):
    shown = folds["case"].map(pseudonyms(folds["case"]))
    folds.assign(pseudonym=shown, split=manifest.split).to_csv(path, index=False)
