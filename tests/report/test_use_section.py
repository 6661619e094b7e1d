"""What the report says of scores and calls, in words."""

import numpy as np
import pandas as pd

from glomfeat.report.sections.use import abstention_said, calibration_said, useful, values_said


def test_the_longest_stretch_of_use_is_named():
    lows = [0.1, -0.1, 0.1, 0.2, np.nan, 0.1]
    table = pd.DataFrame({"arm": "a", "class": "1", "threshold": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "gain_lo": lows})
    said = "better than acting on all images or on none from a probability of 0.30 to 0.40"
    assert useful(table, "a", "1") == said
    assert (
        useful(table.iloc[:2], "a", "1") == "better than acting on all images or on none at a probability of 0.10 only"
    )
    nowhere = "nowhere surely better than acting on all images or on none"
    assert useful(table.assign(gain_lo=-1.0), "a", "1") == nowhere


def test_a_slope_is_called_by_its_limits():
    line = {"arm": "a", "class": "sclerotic", "slope": 1.5, "slope_lo": 1.2, "slope_hi": 1.9, "mean_score": 0.3}
    table = pd.DataFrame([line | {"share": 0.2}])
    assert calibration_said(table, "a") == (
        "Its scores for sclerotic are too timid (calibration slope 1.50, 1.20 to 1.90); on average they are 0.300, "
        "and the true share is 0.200."
    )
    said = calibration_said(table.assign(slope_lo=0.9), "a")
    assert "are not shown to be too extreme or too timid by these cases (calibration slope" in said
    assert "too timid by these images (" in calibration_said(table.assign(slope_lo=0.9), "a", "image")
    assert calibration_said(table.assign(slope=np.nan, slope_lo=np.nan), "a") == ""


def test_a_score_that_falls_where_the_class_is_commoner_is_not_called_extreme():
    line = {"arm": "a", "class": "sclerotic", "slope": -0.3, "slope_lo": -1.3, "slope_hi": 0.7, "mean_score": 0.3}
    said = calibration_said(pd.DataFrame([line | {"share": 0.2}]), "a")
    assert said.startswith(
        "Its scores for sclerotic do not rise with the share of sclerotic (calibration slope -0.30, "
    )


def test_predictive_values_are_counted_out_of_a_hundred():
    row = {"of": "data", "class": "sclerotic", "prevalence": 0.2, "ppv": 0.5, "ppv_lo": 0.4, "ppv_hi": 0.6}
    row |= {"npv": 0.9, "npv_lo": np.nan, "npv_hi": np.nan}
    said = (
        "If 20 % of images are sclerotic, 50 (40 to 60) of 100 images that are called so really are, and 90 of 100 "
        "others really are not."
    )
    assert values_said(pd.DataFrame([row])) == said
    asked = row | {"of": "asked", "prevalence": 0.005}
    assert values_said(pd.DataFrame([row, asked])).startswith("If 0.5 % of images")
    assert values_said(pd.DataFrame([row | {"ppv": np.nan}])) == ""


def test_what_is_handed_over_is_said():
    risks = {"handed_over": [0.0, 0.2], "risk": [0.08, 0.03], "risk_lo": [0.05, 0.01], "risk_hi": [0.1, 0.06]}
    assert abstention_said(pd.DataFrame(risks).assign(arm="a", by="image"), "a") == (
        "If a pathologist looks at the fifth of images that it is least sure of, 3.0 % (1.0 to 6.0) of calls on the "
        "rest are wrong, instead of 8.0 % of all."
    )
    same = pd.DataFrame(risks | {"risk_lo": [0.08, 0.03], "risk_hi": [0.08, 0.03]}).assign(arm="a", by="image")
    assert "least sure of, 3.0 % of calls on the rest" in abstention_said(same, "a"), "limits of no width are none"
