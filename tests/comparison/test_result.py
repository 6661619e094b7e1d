"""A result from Python: its tables, the report's figures on one's own axes, and arms as models."""

import io
import pickle
import re
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from helpers.running import parts_called_here
from matplotlib.figure import Figure
from PIL import Image
from sklearn.naive_bayes import GaussianNB

import glomfeat
from glomfeat.bundle.format import BundleError
from glomfeat.comparison.hidden_names import hide_names
from glomfeat.core.arms import FLOOR, StudyError
from glomfeat.data.cases import pseudonyms
from glomfeat.report.content import read_content
from glomfeat.report.figures import forest
from glomfeat.results.tables import read_written

BEST = "shortcut.v1/none/logreg"
OWN = "red.v1/none/bayes"


@pytest.fixture(scope="module")
def result(phantom_folder, tmp_path_factory):
    place, features = tmp_path_factory.mktemp("result"), ["shortcut", {"red": lambda image, size: image[..., 0].mean()}]
    with parts_called_here(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.data.splits.MOST_DEALS", 1)  # as in dealt_once
        small = {"size": 24, "folds": 2, "jobs": 1, "quiet": True, "cache": place / "cache", "out": place / "out"}
        heads = ["logreg", {"bayes": GaussianNB()}]
        yield glomfeat.compare(phantom_folder, features, heads, "none", perturb=["jpeg"], **small)


def axes(count):
    return np.atleast_1d(Figure(figsize=(4 * count, 4)).subplots(1, count))


def test_tables_are_those_of_the_files(result):
    assert result.best.name == result.table["arm"][0] == next(iter(result.arms))
    assert list(result.arms) == result.table["arm"].tolist()
    written = read_written(result.out / "comparisons.csv", ("arm", "best", "split", "note"))
    pd.testing.assert_frame_equal(result.comparisons.reset_index(drop=True), written, rtol=1e-5, check_dtype=False)
    mine = pd.DataFrame(result.predictions).query("arm == @BEST").astype({"fold": int})
    of_cases = pd.DataFrame(result.cases).query("arm == @BEST").set_index("case")["predicted_percent"]
    expected = 100 * (mine["score"] >= mine["threshold"]).groupby(mine["case"]).mean()
    pd.testing.assert_series_equal(of_cases.sort_index(), expected.sort_index(), check_names=False)
    both = pd.DataFrame(result.predictions).merge(result.trials, on=["arm", "repeat", "fold"], validate="many_to_one")
    assert len(both) == len(result.predictions)
    arm = result.arms[BEST]
    assert arm.auroc == result.table.set_index("arm").loc[BEST, "auroc"]
    for name in ("predictions", "cases", "trials"):
        whole = getattr(result, name)
        assert len(getattr(arm, name)) == (whole["arm"] == BEST).sum() > 0
    with pytest.raises(StudyError, match=r"^there is no arm 'shortcut.v1/none/logrg': did you mean 'shortcut.v1/none/"):
        _ = result.arms["shortcut.v1/none/logrg"]
    with pytest.raises(StudyError, match=r"^the only arm is the dummy, which reads no image: "):
        _ = replace(result, table=result.table.query("arm == @FLOOR")).best


def test_what_is_shown_names_nobody_and_cells_hold_the_names(result, phantom_folder):
    names = {path.name for path in phantom_folder.rglob("*.png")}
    predictions, cases = result.predictions, set(result.predictions["case"])
    assert set(predictions["name"]) == names and cases == set(result.cases["case"])
    tables = predictions, predictions.head(3), predictions.sort_values("score"), predictions.set_index("name")
    shown = pseudonyms(cases)
    for table in (*tables, result.cases, result.arms[BEST].predictions, predictions[["case", "score"]]):
        assert "C00" in table._repr_html_()
        for said in (repr(table), table._repr_html_()):
            assert not any(name in said for name in names)
            assert not any(re.search(rf"{re.escape(case)}\b", said) for case in cases - set(shown.values()))
    grouped = predictions.groupby("case", as_index=False)["score"].mean()
    assert "(not shown)" in repr(pd.DataFrame.copy(hide_names(grouped, _Empty)))


class _Empty:
    table = pd.DataFrame({"name": ["other"], "case": ["other"]})


PANELS = {"roc": 2, "forest": 1, "confusion": 2, "calibration": 1, "cases": 2, "robustness": 1}


@pytest.mark.parametrize("kind", PANELS)
def test_figures_are_drawn_on_axes_of_ones_own(result, kind):
    mine = axes(PANELS[kind])
    with matplotlib.rc_context({"axes.prop_cycle": matplotlib.cycler(color=["#abcdef", "#fedcba"])}):
        found = getattr(result.plot, kind)(arms=[BEST], ax=mine if len(mine) > 1 else mine[0])
    assert found.figure is mine[0].figure and all(axis.has_data() or axis.patches for axis in mine)
    text = io.StringIO()
    found.figure.savefig(text, format="svg")
    assert "#0072b2" not in text.getvalue() and ("#abcdef" in text.getvalue() or kind == "cases")
    assert "<img" not in found._repr_html_() and "<b>" in found._repr_html_(), "a notebook shows the figure by itself"


def test_one_axes_takes_the_first_panel_and_too_many_are_refused(result):
    (mine,) = axes(1)
    result.plot.roc(arms=BEST, ax=mine)
    assert mine.get_xlabel() == "false alarms (1 − specificity)" and len(mine.get_legend().get_texts()) == 1
    with pytest.raises(
        glomfeat.UserError, match=r"^ax holds 3 axes, and the figure has 2 panels: give as many, or few"
    ):
        result.plot.roc(arms=[BEST], ax=axes(3))
    with pytest.raises(StudyError, match=r"^ax is a str: give axes of Matplotlib"):
        result.plot.roc(ax="no")


def test_a_figure_of_its_own_is_the_reports(result, tmp_path):
    content = read_content(result.out)
    ours, theirs = result.plot.forest(), forest.draw(content)
    assert (ours.caption, ours.alt) == (theirs.caption, theirs.alt)
    for name, figure in (("ours", ours.figure), ("theirs", theirs.figure)):
        figure.savefig(tmp_path / f"{name}.png", dpi=50)
    assert (tmp_path / "ours.png").read_bytes() == (tmp_path / "theirs.png").read_bytes()
    page = ours._repr_html_()
    assert page.count("<img") == 1 and "data:image/png;base64," in page and "http" not in page
    path = result.plot.on_paper(column=1).forest([OWN, BEST]).save(tmp_path / "forest.png")
    with Image.open(path) as image:
        assert image.width == pytest.approx(89 / 25.4 * 300, abs=2)
    with pytest.raises(StudyError, match=r"^forest.doc ends in none of .png, .svg, .pdf: choose one of them$"):
        ours.save(tmp_path / "forest.doc")


def test_arms_are_those_that_are_asked_for_all_of_them(result):
    everyone = [arm for arm in result.arms if arm != FLOOR]
    found = result.plot.confusion(everyone)
    assert len(found.figure.axes) == 2 * len(everyone) == 8, "more than the report has room for"
    assert len(result.plot.robustness([OWN]).figure.axes) == 1
    assert len(result.plot.roc("red + bayes").figure.axes[0].get_legend().get_texts()) == 1, "by its name in figures"
    alone, both = result.plot.forest(FLOOR), result.plot.forest([FLOOR, BEST])
    assert (
        "from the best (shortcut + logistic regression, the dotted line);" in alone.caption
        and "(the square)" in both.caption
    )
    assert alone.figure.axes[0].lines[-1].get_xdata()[0] == pytest.approx(
        result.table.set_index("arm").loc[BEST, "auroc"]
    )
    for arms, said in (
        (["no"], "there is no arm 'no': known: "),
        ([], "arms is empty: name each arm once"),
        ([BEST, BEST], f"arms is {BEST} {BEST}: name each arm once"),
    ):
        with pytest.raises(StudyError, match=f"^{re.escape(said)}"):
            result.plot.roc(arms)


def test_what_cannot_be_drawn_says_what_to_do(feature_table, tmp_path):
    found = glomfeat.compare(
        feature_table, heads="logreg", groups="none", folds=2, jobs=1, quiet=True, cache=tmp_path / "cache"
    )
    with pytest.raises(StudyError, match=r"^images were not changed: compare again with the same out and perturb="):
        found.plot.robustness()
    with pytest.raises(StudyError, match=r"^every image is its own case"):
        found.plot.cases()
    rows = pd.read_csv(feature_table)
    model = found.best.model()
    assert model.predict_proba(rows).shape == (160, 2) and model.predict(rows)["status"].str.startswith("ok").all()


@pytest.mark.parametrize("arm", [BEST, OWN])
def test_an_arm_becomes_a_model_also_of_parts_of_ones_own(result, phantom_folder, arm):
    images = sorted(phantom_folder.rglob("*.png"))[:5]
    with parts_called_here():
        model = result.arms[arm].model()
    scores = model.predict_proba(images)
    assert scores.shape == (5, 2) and model.classes_.tolist()[-1] == "globally_sclerotic_glomeruli"
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (model.predict(images)["prediction"] == (scores[:, 1] >= model.threshold)).all()
    np.testing.assert_allclose(model.predict_proba([np.zeros((30, 40, 3), np.uint8)]).sum(), 1)


def test_a_result_is_pickled_also_after_its_tables_were_read(feature_table, tmp_path):
    options = {"folds": 2, "jobs": 1, "quiet": True, "cache": tmp_path / "cache", "out": tmp_path / "out"}
    result = glomfeat.compare(feature_table, heads="logreg", reducers="none", **options)
    comparisons, drawn = result.comparisons, result.plot.roc()
    again = pickle.loads(pickle.dumps(result))
    pd.testing.assert_frame_equal(again.comparisons, comparisons)
    assert repr(again) == repr(result) and again.best.name == result.best.name and drawn is not None


def test_the_floor_is_no_model(result):
    with pytest.raises(BundleError, match="is the floor and looks at no image: choose another arm"):
        result.arms[FLOOR].model()


def test_arms_and_plots_show_themselves(result):
    page = result.best._repr_html_()
    assert page.count("<tr") == 2 and result.best.name in repr(result.best) and repr(result.arms).count("\n") == 4
    assert repr(result.plot).startswith("roc(), forest()") and repr(result.plot.forest()).startswith("All arms")
