import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from glomfeat.core.notes import FEW_ROWS
from glomfeat.metrics.paired import resampled_t
from glomfeat.metrics.table import METRICS
from glomfeat.results.doubts import doubts, inner_against_outer, on_components
from glomfeat.results.show import AT_THRESHOLD, print_table, remarks, to_markdown


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
        assert any("by more than chance" in line for line in remarks(results(inner, outer, p))[0])


def test_calibration_that_was_not_applied_is_said():
    (found,) = doubts(results(reason="platt: scores are left as they are, because inner scores do not rise"))
    assert found == (
        "Calibration was asked for and not applied in at least one fold:",
        "a.v1/none/svm. The reason is in the table.",
    )


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("pca128 lowered to 30: the training rows allow no more", "Components lowered to what the training rows allow"),
        (f"100 {FEW_ROWS}", "More components than a fifth of the training rows, the last ones mostly noise"),
    ],
)
def test_many_components_for_the_rows_are_a_note_once_for_all_heads(reason, said):
    """It costs an arm something and makes no figure wrong, so it does not stand before the table."""
    table = pd.concat([results(reason=reason, arm=f"a.v1/pca128/{head}") for head in ("svm", "logreg")])
    table = table.assign(reducer="pca128").reset_index(drop=True)
    (found,) = on_components(table)
    assert found.startswith(said) and found.endswith(": a.v1/pca128.") and doubts(table) == []
    before, behind = remarks(table)
    assert before == [] and behind[1:] == [found]


@pytest.mark.parametrize(("tied", "said"), [(True, True), (False, False)])
def test_a_shortcut_that_is_as_good_stands_before_the_table(tied, said):
    """On the terminal, in results.md and, as a banner, on the page."""
    table = pd.concat([results(0.99, 0.99), results(0.98, 0.98, arm="shortcut.v1/none/svm")], ignore_index=True)
    table["feature"], table["tied_with_best"] = ["a.v1", "shortcut.v1"], np.array([True, tied], object)
    for row in (METRICS, ("auroc_lo", "auroc_hi", "fit_s")):
        table = table.reindex(columns=[*table.columns, *(name for name in row if name not in table)])
    line, stream = "Size, padding and mean colour alone reach an AUROC of 0.980.", io.StringIO()
    print_table(table, "Title", Console(file=stream, width=200, color_system=None))
    for text in (stream.getvalue(), to_markdown(table, "Title")):
        place, head = text.find(line), text.find("AUROC (95 % limits)")
        assert (0 <= place < head) if said else place < 0 < head


def test_a_shortcut_with_columns_is_not_taken_for_size_and_colour_alone():
    arms = {"shortcut.v1+age": (0.89, True), "age": (0.87, True), "shortcut.v1@96-edge": (0.6, False)}
    table = pd.concat([results(area, area, arm=f"{name}/none/logreg") for name, (area, _) in arms.items()])
    table = table.assign(feature=list(arms), tied_with_best=np.array([tied for _, tied in arms.values()], object))
    assert doubts(table.reset_index(drop=True)) == []
    ((said, _),) = doubts(table.assign(tied_with_best=np.array([True] * 3, object)).reset_index(drop=True))
    assert said == "Size, padding and mean colour alone reach an AUROC of 0.600."


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
