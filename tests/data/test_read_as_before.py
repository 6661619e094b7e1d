"""What was read right is read the same: names, classes, cases and slides of real data, by their digests."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glomfeat.data.manifest import read_manifest

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
OF_PATIENT = r"_(?P<case>\d+)[A-Z]*_"


def labels_alone(folder):
    """Rows of features for all names of the CSV of labels, in another order."""
    names = pd.read_csv(SHARED / "glomeruli_labels.csv")["name"].sort_values(ascending=False)
    pd.DataFrame({"name": names, "f0": np.arange(len(names)) / 7}).to_parquet(folder / "rows.parquet")
    return folder / "rows.parquet", {"labels": SHARED / "glomeruli_labels.csv"}


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        ("glomeruli_images", {}, "c16583c6ac385adcb6401f13199ef951dfd9beb4ef96a816af3815a1a7f1bdad"),
        ("breakhis_200x", {"groups": OF_PATIENT}, "74b888c32fd5a1d9f4b1bfe7e7aff145ea674452935e4f17d3582e148376efc2"),
        ("breakhis_200x", {"groups": "none"}, "e2fe841134a5c3a8feb300c9f36d02deb8bcead78f3fb2755eeeb29515f8c547"),
        ("glomeruli_texture.csv", {}, "d3d5b9cd5fddd44468778bd27f97d030e45d34fc11d8f17defbd0c1167d7360a"),
        ("glomeruli_labels.csv", {}, "57309904b6e67c93634df0051429cdee5db1b4479c454fc40e57f40170905e21"),
    ],
)
def test_real_data_are_read_as_before(data, options, expected, tmp_path):
    if not (SHARED / data).exists():
        pytest.skip(f"../shared/data/{data} is not beside the checkout")
    source = SHARED / data
    if data == "glomeruli_labels.csv":
        source, options = labels_alone(tmp_path)
    manifest = read_manifest(source, **options)
    columns = manifest.table[["name", "label", "case", "slide", "digest"]]
    text = columns.to_csv(index=False, lineterminator="\n")
    assert hashlib.sha256(text.encode()).hexdigest() == expected
