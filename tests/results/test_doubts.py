import numpy as np
import pandas as pd
import pytest

from glomfeat.core.notes import FEW_ROWS
from glomfeat.metrics.paired import resampled_t
from glomfeat.results.doubts import doubts, inner_against_outer
from glomfeat.results.show import AT_THRESHOLD, remarks


def results(inner=0.9, outer=0.9, p=1.0, reason="", arm="a.v1/none/svm"):
    row = {"arm": arm, "auroc": outer, "inner_auroc": inner, "p_inner": p, "reason": reason, "split": "split by case"}
    row |= {"reducer": "", "weights": "", "feature": "a.v1", "status": "done", "sensitivity": 0.8}
    row["tied_with_best"] = None
    return pd.DataFrame([row | dict.fromkeys(AT_THRESHOLD, 0.8)])


@pytest.mark.parametrize(
    ("inner", "outer", "p", "said"),
    [(0.6, 0.85, 0.001, True), (0.6, 0.85, 0.02, False), (0.88, 0.9, 1e-6, False), (0.99, 0.8, 0.005, True)],
)
def test_an_arm_is_named_where_inner_and_outer_differ_by_much_and_more_than_chance(inner, outer, p, said):
    found = doubts(results(inner, outer, p))
    assert bool(found) is said
    if said:
        assert f"a.v1/none/svm ({inner:.3f} against {outer:.3f}). Do not trust these choices." == found[0][1]
        assert any("by more than chance" in line for line in remarks(results(inner, outer, p)))


def test_calibration_that_was_not_applied_is_said():
    (found,) = doubts(results(reason="platt: scores are left as they are, because inner scores do not rise"))
    assert found == (
        "Calibration was asked for and not applied in at least one fold:",
        "a.v1/none/svm. The reason is in the table.",
    )


@pytest.mark.parametrize("reason", ["pca128 lowered to 30: the training rows allow no more", f"100 {FEW_ROWS}"])
def test_many_components_for_the_rows_are_said_once_for_all_heads(reason):
    table = pd.concat([results(reason=reason, arm=f"a.v1/pca128/{head}") for head in ("svm", "logreg")])
    (found,) = doubts(table.assign(reducer="pca128").reset_index(drop=True))
    assert found[1].startswith("a.v1/pca128. ")


def test_the_floor_is_not_doubted():
    assert doubts(results(0.2, 0.9, 0.0, arm="none/none/dummy")) == []


def test_the_test_is_that_of_trials_with_figures():
    inner, outer = [0.7, 0.72, np.nan, 0.69], [0.8, 0.83, 0.8, 0.78]
    gap, p = inner_against_outer(inner, outer, 0.25)
    assert gap == pytest.approx(-0.1) and p == pytest.approx(resampled_t([-0.1, -0.11, -0.09], 0.25))
    assert all(np.isnan(inner_against_outer([np.nan], [0.5], 0.25)))


@pytest.mark.parametrize("folds", [3, 5])
def test_where_nothing_is_wrong_at_most_one_arm_in_a_hundred_is_named(folds):
    """Folds have cases of their own; the inner figure of one is the mean of the others' with some noise."""
    rng, named, draws = np.random.default_rng(0), 0, 4000
    for _ in range(draws):
        outer = 0.8 + 0.06 * rng.normal(size=folds)
        others = (outer.sum() - outer) / (folds - 1)
        gap, p = inner_against_outer(others + 0.03 * rng.normal(size=folds), outer, 1 / (folds - 1))
        named += abs(gap) > 0.05 and p < 0.01
    assert named / draws <= 0.01
