"""Small data that several test modules need."""

import numpy as np
import pandas as pd
import pytest

from glomfeat.phantom import Phantom, make_phantom


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory):
    """A phantom of 48 small images of 8 cases."""
    folder = tmp_path_factory.mktemp("phantom") / "data"
    return make_phantom(folder, Phantom(images=48, cases=8, min_px=60, max_px=90))


@pytest.fixture
def feature_table(tmp_path):
    """A feature table of 160 rows of 16 cases, two columns of which tell the classes apart, one only weakly."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 160)
    names = [f"P{case:02d}_PAS_1of1_{row:024x}.png" for row, case in enumerate(np.repeat(np.arange(16), 10))]
    columns = {f"x{k}": rng.normal(size=160) + label * shift for k, shift in enumerate([1.2, 0.4, 0, 0, 0, 0])}
    path = tmp_path / "table.csv"
    pd.DataFrame({"name": names, "label": label, **columns}).to_csv(path, index=False)
    return path
