"""The figure of values that were left out."""

from types import SimpleNamespace

import pandas as pd
import pytest

from glomfeat.report.figures import sites


def table(**more):
    rows = [
        {"arm": arm, "left_out": site, "cases": 3, "auroc": auroc, "auroc_lo": auroc - 0.1, "auroc_hi": auroc + 0.05}
        | more
        for arm, of in (("a/none/svm", (0.9, 0.8)), ("b/none/svm", (0.7, 0.6)))
        for site, auroc in zip(("Oslo", "7"), of, strict=True)
    ]
    return pd.DataFrame(rows)


def content_of(frame):
    named = {"a/none/svm": "A + SVM"}
    run = SimpleNamespace(manifest=SimpleNamespace(classes=("no", "yes")), trials=[])
    loaded = SimpleNamespace(run=run, identity={"threshold": "balanced"})
    shown = ["a/none/svm", "b/none/svm"]
    return SimpleNamespace(sites=frame, shown=shown, names=named, show_names=False, loaded=loaded)


def test_each_arm_has_a_mark_and_a_bar_at_each_value():
    of_two = {"sensitivity_t": 0.5, "sensitivity_t_lo": 0.2, "sensitivity_t_hi": 0.8}
    picture = sites.draw(content_of(table(**of_two)))
    one, other = picture.figure.axes
    assert [line.get_xdata().tolist() for line in one.lines] == [[0.9, 0.8], [0.7, 0.6]]
    bars = [segment[:, 0].tolist() for bar in one.collections for segment in bar.get_segments()]
    assert bars == [pytest.approx(ends) for ends in ([0.8, 0.95], [0.7, 0.85], [0.6, 0.75], [0.5, 0.65])]
    assert [label.get_text() for label in one.get_yticklabels()] == ["Oslo", "7"]
    assert (one.get_xlabel(), other.get_xlabel()) == ("AUROC", "sensitivity")
    assert picture.alt.startswith("AUROC at each value that was left out. A + SVM at Oslo: 0.900 (0.800 to 0.950); ")


def test_a_figure_without_limits_lies_within_its_panel():
    """One case holds all images of a class at a value: its specificity is drawn, and is the lowest."""
    of_two = {"specificity_t": [0.0, 0.8, 0.9, 0.9], "specificity_t_lo": [float("nan"), 0.6, 0.7, 0.7]}
    frame = table().assign(**of_two, specificity_t_hi=[float("nan"), 0.9, 0.95, 0.95])
    panel = sites.draw(content_of(frame)).figure.axes[1]
    assert panel.get_xlabel() == "specificity" and panel.get_xlim()[0] < 0


def test_values_of_one_case_are_drawn_by_number():
    picture = sites.draw(content_of(table(cases=1)))
    assert [label.get_text() for label in picture.figure.axes[0].get_yticklabels()] == ["value 1", "value 2"]
    assert "A + SVM at value 1: 0.900" in picture.alt and "Oslo" not in picture.alt


def test_more_classes_have_the_area_alone_and_nothing_is_drawn_of_nothing():
    assert len(sites.draw(content_of(table())).figure.axes) == 1
    assert sites.draw(content_of(None)) is None
    assert sites.draw(content_of(table().assign(auroc=float("nan")))) is None
