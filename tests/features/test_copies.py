"""Copies of rows across cases in feature tables are found, and rows that are equal for other reasons are not."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from glomfeat.data.manifest import read_manifest
from glomfeat.data.tables.columns import Asked
from glomfeat.features.table import Table
from glomfeat.features.telling import lines_on_tables
from studies.audit import main


def put(path, X, cases, labels=None, names=None):
    """Write a table of numbers."""
    names = [f"r{k}" for k in range(len(X))] if names is None else names
    labels = np.arange(len(X)) % 2 if labels is None else labels
    frame = pd.DataFrame({"name": names, "label": labels, "case": cases})
    frame.join(pd.DataFrame(X, columns=[f"f{k}" for k in range(X.shape[1])])).to_csv(path, index=False)
    return path


def said(path, **options):
    """Lines on copies."""
    manifest = read_manifest(f"file:{path}", **options)
    table = Table(str(path), manifest.asked, tuple(manifest.table["name"]))
    return [line for line in lines_on_tables([table], manifest) if "hold the numbers" in line]


@pytest.fixture
def twice():
    """Noise of ten cases, and six of its rows again in two other cases, as of a patient who was exported twice."""
    X = np.random.default_rng(0).normal(size=(40, 5))
    return np.r_[X, X[:6]], [*(f"P{k % 10}" for k in range(40)), *(f"Q{k % 2}" for k in range(6))]


def audited(path, out):
    """The exit status of the audit, and its finding on copied rows, if there is one."""
    status = main([f"file:{path}", "--out", str(out)])
    text = (out / "audit.json").read_text()
    assert "P0" not in text
    return status, *(one for one in json.loads(text)["findings"] if one["code"] == "duplicates.rows")


def test_copies_across_cases_are_counted_in_a_warning_and_by_the_audit(twice, tmp_path):
    X, cases = twice
    path = put(tmp_path / "t.csv", X, cases)
    (line,) = said(path)
    assert line.startswith("warning: t.") and "12 of 46 rows hold the numbers of a row of another case, such as" in line
    assert "if they are one image or patient exported twice, figures are too good" in line
    status, finding = audited(path, tmp_path / "out")
    assert (status, finding["severity"]) == (0, "warning")
    assert finding["figures"] == {"rows": 12, "cases": 0}


def test_a_case_that_is_mostly_in_one_other_case_is_a_severe_finding(twice, tmp_path):
    X, cases = twice
    of_p3 = [k for k in range(40) if k % 10 == 3]
    path = put(tmp_path / "t.csv", np.r_[X[:40], X[of_p3[:3]], X[:1]], [*cases[:40], *["Q"] * 4])
    (line,) = said(path)
    assert "8 of 44 rows" in line and "(2 cases have most rows in one other)" in line
    status, finding = audited(path, tmp_path / "out")
    assert (status, finding["severity"]) == (1, "severe")
    assert finding["figures"] == {"rows": 8, "cases": 2}


def test_all_rows_again_under_other_cases_are_found(tmp_path):
    X = np.random.default_rng(5).normal(size=(60, 20))
    path = put(tmp_path / "t.csv", np.r_[X, X], [f"{side}{k // 5}" for side in "PQ" for k in range(60)])
    (line,) = said(path)
    assert "120 of 120 rows" in line and "(24 cases have most rows in one other)" in line


def test_copies_within_a_case_are_none_unless_images_are_their_own_cases(twice, tmp_path):
    X, _ = twice
    cases, labels = [f"P{k % 40 % 10}" for k in range(46)], np.r_[np.arange(40) % 2, 1, 1, 0, 1, 0, 0]
    path = put(tmp_path / "t.csv", X, cases, labels)
    assert said(path) == []
    (line,) = said(path, groups="none")
    assert "12 of 46 rows hold the numbers of a row of another image: if they are one image" in line


def scores(rng):
    return rng.choice(4, (200, 10), p=[0.6, 0.3, 0.05, 0.05])


def counts(rng):
    return rng.poisson(3, (600, 6)) * rng.choice(2, (600, 6)) * rng.integers(1, 9, (600, 1))


def nothing_found(rng):
    X = np.exp(rng.normal(size=(200, 8)))
    X[:9] = 0
    return (X - X.mean(axis=0)) / X.std(axis=0)


def imputed(rng):
    X = rng.normal(size=(200, 8))
    X[:9] = np.median(X, axis=0)
    return X


def blank_tiles(rng):
    X = rng.normal(size=(200, 64))
    X[:9] = rng.normal(size=64)
    return X


def small_shapes(rng):
    """Spots of up to seven pixels, in which half of the columns do not know how a spot is turned."""
    spots = rng.choice(2, (200, 3, 3), p=[0.4, 0.6])
    area, tall, wide = spots.sum(axis=(1, 2)), spots.any(axis=2).sum(axis=1), spots.any(axis=1).sum(axis=1)
    down, right = (spots * np.arange(3)).sum(axis=(1, 2)), (spots * np.arange(3)[:, None]).sum(axis=(1, 2))
    return np.c_[area, area**0.5, area / (tall * wide), tall, wide, down / area, right / area, tall / wide]


def numbers_of_patients(rng):
    return rng.normal(size=(40, 6))[np.arange(200) % 40]


def two_columns_twice(rng):
    X = rng.normal(50, 8, size=(200, 2)).round()
    return np.repeat(X, 2, axis=1)


def one_number_in_four_units(rng):
    area = rng.integers(5, 90, 200)
    return np.c_[area, np.sqrt(area), area**1.5, 1 / area]


SOUND = [
    scores,
    counts,
    nothing_found,
    imputed,
    blank_tiles,
    small_shapes,
    numbers_of_patients,
    one_number_in_four_units,
    two_columns_twice,
]


@pytest.mark.parametrize("make", SOUND)
def test_rows_that_are_equal_by_chance_or_because_nothing_was_measured_are_no_copies(make, tmp_path):
    X = make(np.random.default_rng(1))
    assert len(np.unique(X, axis=0)) < len(X) - 5
    assert said(put(tmp_path / "t.csv", X, [f"P{k % 40}" for k in range(len(X))])) == []


def test_rounded_numbers_missing_ones_and_either_zero_are_compared(tmp_path):
    X = np.random.default_rng(2).uniform(0.01, 1, (60, 9)).round(2)
    X[3, 2], X[5, 4] = np.nan, 0
    again = X[:6].copy()
    again[5, 4] = -0.0
    path = put(tmp_path / "t.csv", np.r_[X, again], [*(f"P{k % 10}" for k in range(60)), *["Q"] * 6])
    (line,) = said(path, asked=Asked(missing="impute"))
    assert "12 of 66 rows" in line


def test_means_of_files_are_compared_if_these_hold_as_many_rows(tmp_path):
    rng, rows = np.random.default_rng(3), []
    for k in range(30):
        X = rng.normal(size=(2 + k % 3, 6)).astype(np.float32)
        for copy in range(1 + (k < 4)):
            rows.append(f"{'PQ'[copy]}{k}")
            with h5py.File(tmp_path / f"{rows[-1]}.h5", "w") as file:
                file["features"] = X
    table = pd.DataFrame({"name": rows, "case": rows, "label": np.arange(len(rows)) % 2})
    table.to_csv(tmp_path / "labels.csv", index=False)
    lines = said(tmp_path, labels=tmp_path / "labels.csv")
    assert "8 of 34 rows hold the numbers of a row of another case" in lines[0]
