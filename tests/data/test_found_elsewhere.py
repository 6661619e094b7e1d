"""Names that are found in another folder than they name are said by whatever reads a table."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from glomfeat.bundle.against_labels import read_labels
from glomfeat.data.manifest import read_manifest
from glomfeat.data.readers import read_readers
from glomfeat.features.make import make_feature
from glomfeat.features.telling import lines_on_tables

PLACES = [f"P{patient}/{2 * patient + k}.png" for patient in range(1, 6) for k in range(2)]


@pytest.fixture(params=["some", "all", "none"])
def moved(request, tmp_path):
    """Images that are numbered through in folders of patients, their labels in a table, and what should be said."""
    for k, name in enumerate(PLACES):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), k, np.uint8)).save(tmp_path / "images" / name)
    written = {"some": ("P5", "P9"), "all": ("P", "old"), "none": ("P", "p")}[request.param]
    table = pd.DataFrame({"name": [name.replace(*written) for name in PLACES], "label": [0, 1] * 5})
    said = "2 names were found in other folders than they name: correct them if they are of other images"
    return tmp_path, table, [f"warning: t.csv: {said}"] if request.param == "some" else []


def test_every_reader_says_it(moved):
    folder, table, said = moved

    def about(lines):
        return [line for line in lines if "found in" in line and "folder" in line]

    table.to_csv(folder / "t.csv", index=False)
    manifest = read_manifest(folder / "images", labels=folder / "t.csv", groups="none")
    assert about(manifest.said) == said
    read_labels(folder / "t.csv", PLACES, ["0", "1"], notes=(notes := []))
    assert about(notes) == said
    table.rename(columns={"label": "one"}).to_csv(folder / "t.csv", index=False)
    assert about(read_readers(folder / "t.csv", PLACES, ["0", "1"])[1]) == said
    table.assign(area=np.arange(10.0)).to_csv(folder / "t.csv", index=False)
    feature = make_feature(f"file:{folder / 't.csv'}")
    assert about(lines_on_tables([feature], manifest)) == [line.replace("t.csv", feature.name) for line in said]
