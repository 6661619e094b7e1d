"""What the report says of scores and calls, in words."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.pages import Page
from helpers.reports import write_folder
from helpers.runs import GOOD, make_run

from glomfeat.report.content import read_content
from glomfeat.report.figures import abstention, decision_curve, reliability
from glomfeat.report.page import section_html
from glomfeat.report.sections import use
from glomfeat.report.sections.use import abstention_said, calibration_said, doubt_of_scores, useful, values_said


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return read_content(write_folder(tmp_path_factory.mktemp("use") / "out", make_run()))


def test_predictive_values_of_three_classes_name_their_class(tmp_path):
    content = read_content(write_folder(tmp_path / "out", make_run(3)))
    assert "sensitivity and specificity, of c against the rest, at the largest score" in section_html(use, content)


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
    line = {"arm": "a", "class": "sclerotic", "slope": 1.5, "slope_lo": 1.2, "slope_hi": 1.9, "mean_score": 0.373}
    table = pd.DataFrame([line | {"share": 0.21, "gap_lo": 0.1, "gap_hi": 0.2}])
    assert calibration_said(table, "a") == (
        "Its scores for sclerotic are too high on average (0.373, true 0.210) and too timid (calibration slope 1.50, "
        "1.20 to 1.90)."
    )
    assert "are too low on average (0.373, true 0.210) and" in calibration_said(
        table.assign(gap_hi=-0.1, gap_lo=-1), "a"
    )
    assert calibration_said(table.assign(slope_lo=0.9), "a") == (
        "Its scores for sclerotic are too high on average (0.373, true 0.210). These cases do not show that they are "
        "too extreme or too timid (calibration slope 1.50, 0.90 to 1.90)."
    )
    assert calibration_said(table.assign(slope_lo=0.9, gap_lo=-1), "a") == (
        "These cases do not show that its scores for sclerotic are too high or too low on average (0.373, true "
        "0.210), or too extreme or too timid (calibration slope 1.50, 0.90 to 1.90)."
    )
    assert calibration_said(table.assign(slope=np.nan, slope_lo=np.nan), "a") == ""


def test_a_decision_curve_of_uncalibrated_scores_says_so(content):
    # logits of GOOD are normal with means of -2 and 2 and a variance of 2, so that their true slope is 2
    good = "Scores of good + logistic regression"
    assert (
        f"probabilities. {good} and weak + logistic regression are not calibrated: repeat the study with --calib"
        in (decision_curve.draw(content).caption)
    )
    bullets = Page(section_html(use, content)).said
    assert "too timid (calibration slope" in bullets and "et of classes" not in bullets
    assert section_html(use, content).count("<li>") == 4 and section_html(use, content).count("<table") == 2
    assert f"at each probability by itself). {good} are not calibrated: repeat the study with --calib" in bullets
    asked = replace(
        content, loaded=replace(content.loaded, identity=content.loaded.identity | {"calibration": "platt"})
    )
    assert (
        doubt_of_scores(asked, [GOOD])
        == f" {good} are not calibrated, despite --calibration platt: do not choose by this."
    )


@pytest.mark.parametrize(
    ("p", "off"),
    [
        ([(0.3, 0.4)], False),
        ([(0.03, 0.4)], False),  # one of two tests is below 0.05 in a tenth of arms with perfect scores
        ([(0.02, 0.4)], True),
        ([(0.4, 0.02)], True),
        ([(np.nan, 0.03)], True),
        ([(np.nan, np.nan)], False),
        ([(0.02, 0.4), (0.5, 0.6)], False),
        ([(0.5, 0.6), (0.01, 0.4)], True),
    ],
)
def test_scores_are_doubted_if_slope_or_mean_are_off_taken_together(content, p, off):
    lines = pd.DataFrame(p, columns=["slope_p", "gap_p"]).assign(arm=GOOD, intercept_lo=1, intercept_hi=2)
    assert bool(doubt_of_scores(replace(content, tables=SimpleNamespace(calibration=lines)), [GOOD])) == off


@pytest.mark.parametrize("by_case", [True, False])
def test_what_a_split_by_image_cannot_tell_is_left_out(tmp_path, by_case):
    run = make_run(by_case=by_case)
    if by_case:
        run = replace(run, manifest=replace(run.manifest, torn=True))
    found = read_content(write_folder(tmp_path / "out", run, torn=by_case))
    assert Page(section_html(use, found)).said.startswith("This section is left out: images of one patient may be on")
    assert "<li>" not in section_html(use, found)
    assert decision_curve.draw(found) is None and abstention.draw(found) is None


@pytest.mark.parametrize("n", [98, 100])
def test_a_smooth_curve_of_calibration_takes_a_hundred_images(tmp_path, n):
    found = read_content(write_folder(tmp_path / "out", make_run(n=n)))
    picture = reliability.draw(found)
    smooth = [line for line in picture.figure.axes[0].lines if len(line.get_xdata()) > 2]
    assert len(smooth) == (2 if n >= 100 else 0) and ("smoothed" in picture.caption) == (n >= 100)
    handles = picture.figure.axes[0].get_legend().legend_handles
    assert len(handles) == 2 and all((line.get_linestyle() == "None") == (n < 100) for line in handles)


def test_a_score_that_falls_where_the_class_is_commoner_is_not_called_extreme():
    line = {"arm": "a", "class": "sclerotic", "slope": -0.3, "slope_lo": -1.3, "slope_hi": 0.7, "mean_score": 0.3}
    line |= {"share": 0.2, "gap_lo": 0.1, "gap_hi": 0.2}
    for high, rise in ((0.7, "are not shown to rise"), (-0.1, "do not rise")):
        said = calibration_said(pd.DataFrame([line | {"slope_hi": high}]), "a")
        assert said.startswith(
            f"Its scores for sclerotic {rise} with the share of sclerotic (calibration slope -0.30, -1.30 to {high:.2f}"
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


def test_a_predictive_value_that_is_small_is_not_called_none():
    row = {"of": "asked", "class": "sclerotic", "prevalence": 0.001, "ppv": 0.002, "ppv_lo": 0.0004, "ppv_hi": 0.013}
    row |= {"npv": 0.9996, "npv_lo": 0.993, "npv_hi": 1.0}
    assert values_said(pd.DataFrame([row])) == (
        "If 0.1 % of images are sclerotic, 0.2 (under 0.1 to 1) of 100 images that are called so really are, and over "
        "99.9 (99.3 to 100) of 100 others really are not."
    )
    sure = values_said(pd.DataFrame([row | {"npv_lo": 0.9993, "npv_hi": 0.9997}]))
    assert sure.endswith("really are, and over 99.9 of 100 others really are not.")
    assert values_said(pd.DataFrame([row | {"ppv": np.nan}])) == ""


def test_what_is_handed_over_is_said():
    risks = {"handed_over": [0.0, 0.2], "risk": [0.08, 0.03], "risk_lo": [0.05, 0.01], "risk_hi": [0.1, 0.06]}
    assert abstention_said(pd.DataFrame(risks).assign(arm="a", by="image"), "a") == (
        "If a pathologist looks at the fifth of images that it is least sure of, 3.0 % (1.0 to 6.0) of calls on the "
        "rest are wrong, instead of 8.0 % of all."
    )
    same = pd.DataFrame(risks | {"risk_lo": [0.08, 0.03], "risk_hi": [0.08, 0.03]}).assign(arm="a", by="image")
    assert "least sure of, 3.0 % of calls on the rest" in abstention_said(same, "a"), "limits of no width are none"
