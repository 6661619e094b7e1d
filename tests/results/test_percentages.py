"""Percentages of slides and cases count what was called, and say what is missing."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from glomfeat.results.percentages import percentages_table

FRAME = pd.DataFrame(
    {
        "case": ["b", "b", "b", "a", "a", None],
        "slide": ["s2", "s1", "s1", "s9", "s9", "s0"],
        "prediction": [1, 0, 1, np.nan, np.nan, 1],
        "truth": [1, 1, np.nan, 0, np.nan, 1],
    }
)


def test_cases_count_their_images_and_those_without_a_prediction():
    table = percentages_table(FRAME, ["no", "yes"], "case").set_index("case")
    assert table.index.tolist() == ["a", "b"] and sorted(table["pseudonym"]) == ["C001", "C002"]
    assert table.loc["b", ["of_class", "images", "called", "labelled"]].tolist() == ["yes", 3, 2, 2]
    known = binomtest(2, 3).proportion_ci(method="wilson")
    ends = table.loc["b", ["percent", "percent_lo", "percent_hi", "true_percent"]].tolist()
    assert ends == pytest.approx([200 / 3, 100 * known.low, 100 * known.high, 100])
    assert table.loc["a", ["images", "called", "without_prediction", "true_percent"]].tolist() == [0, 0, 2, 0]
    assert table.loc["a", ["percent", "percent_lo", "percent_hi"]].isna().all()


def test_slides_are_numbered_within_their_case():
    table = percentages_table(FRAME, ["no", "yes"], "slide")
    assert table[["slide", "case", "images", "called"]].to_numpy().tolist() == [
        ["s1", "b", 2, 1],
        ["s2", "b", 1, 1],
        ["s9", "a", 0, 0],
    ]
    shown = dict(zip(table["slide"], table["pseudonym"], strict=True))
    assert shown["s1"].endswith(" slide 1") and shown["s2"].endswith(" slide 2") and shown["s9"].endswith(" slide 1")


def test_of_more_than_two_classes_each_has_a_row():
    table = percentages_table(FRAME, ["no", "yes", "maybe"], "case")
    mine = table[table["case"] == "b"]
    assert mine[["of_class", "called"]].to_numpy().tolist() == [["no", 1], ["yes", 2], ["maybe", 0]]
    assert mine["percent"].sum() == pytest.approx(100)
