"""The parts of the report: curves, the answer in words, the arms that cost least, confusions, errors, thumbnails."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.runs import GOOD, WEAK, end, make_run, of_arm
from PIL import Image
from scipy import stats
from sklearn import metrics as sk

from glomfeat.core.arms import FLOOR
from glomfeat.report.answer import answer, equal_in_words, errors_in_words, question
from glomfeat.report.arm_names import FLOOR_NAME, plain_arms, spelled
from glomfeat.report.content import shown_arms
from glomfeat.report.figures import cost
from glomfeat.report.figures.cost import frontier
from glomfeat.report.sections import table
from glomfeat.report.thumbnails import as_uri, data_folder, find_images, read_square
from glomfeat.results import curves
from glomfeat.results.calls import choose_errors, confusions, image_names, read_calls
from glomfeat.results.comparisons import comparisons_table
from glomfeat.results.curves import GRID, precision_recall, roc, scored, with_band
from glomfeat.results.latex import to_latex
from glomfeat.results.next_study import next_study_table
from glomfeat.results.parts import Part, trial_parts
from glomfeat.results.show import remarks
from glomfeat.results.tables import results_table


@pytest.fixture(scope="module")
def run():
    return make_run()


def test_the_area_under_the_mean_roc_curve_is_the_auroc(run):
    parts = scored(run, WEAK)
    curve = roc(parts, np.ones((1, 18)))[0]
    expected = results_table(run).set_index("arm").loc[WEAK, "auroc"]
    assert np.trapezoid(curve, GRID) == pytest.approx(expected, abs=0.01)
    assert (np.diff(curve) >= -1e-12).all() and curve[-1] == 1


def test_curves_of_one_trial_are_those_of_scikit_learn(run):
    part = scored(run, WEAK)[0]
    fpr, tpr, _ = sk.roc_curve(part.y, part.score, drop_intermediate=False)
    for x, y in zip(GRID, roc([part], np.ones((1, 18)))[0], strict=True):
        assert tpr[fpr <= x].max() - 1e-9 <= y <= np.interp(x, fpr, tpr) + 1e-9 or y == pytest.approx(
            tpr[fpr <= x].max()
        )
    precision, recall, _ = sk.precision_recall_curve(part.y, part.score)
    found = precision_recall([part], np.ones((1, 18)))[0]
    for x, y in zip(GRID[1:], found[1:], strict=True):
        reached = recall >= x - 1e-12
        assert y == pytest.approx(precision[reached][-1])  # of the highest threshold that reaches it


def test_a_case_that_is_drawn_twice_counts_twice(run):
    part = scored(run, WEAK)[0]
    times = np.random.default_rng(1).integers(0, 3, 18)
    rows = np.repeat(np.arange(len(part.y)), times[part.cases])
    again = type(part)(0, part.y[rows], part.cases[rows], part.score[rows], part.threshold)
    for curve in (roc, precision_recall):
        weighed, repeated = curve([part], times[None].astype(float)), curve([again], np.ones((1, 18)))
        np.testing.assert_allclose(weighed, repeated, atol=1e-9)


def test_the_band_holds_the_curve(run):
    mean, low, high = with_band(run, scored(run, GOOD), roc)
    assert (low <= mean + 1e-9).all() and (mean <= high + 1e-9).all() and (high - low).max() > 0.05


def test_a_band_takes_half_of_the_draws(run):
    parts, height = scored(run, GOOD), np.linspace(0, 1, len(GRID))

    def counting(share):
        def curve(_, weights):
            counts = np.arange(len(weights)) <= share * (len(weights) - 1)
            return np.where(counts[:, None], height, np.nan)

        return with_band(run, parts, curve)

    np.testing.assert_allclose(counting(0.5), [height] * 3)
    mean, *band = counting(0.49)
    assert (mean == height).all() and np.isnan(band).all()
    _, low, high = with_band(run, parts, lambda _, weights: np.arange(len(weights))[:, None] * np.ones(len(GRID)))
    tail = stats.norm.cdf(-np.sqrt(18 / 17) * stats.t.ppf(0.975, 17))  # both sides are in 18 cases
    assert (low[0], high[0]) == pytest.approx((1 + 399 * tail, 400 - 399 * tail))
    alone = [replace(part, y=part.y & (part.cases == 0)) for part in parts]  # one case holds all positive images
    assert np.isnan(with_band(run, alone, roc)[1]).all()


def test_the_answer_counts_what_is_tied(run):
    results, names = results_table(run), plain_arms([GOOD, WEAK, FLOOR])
    first, second = answer(run, results, names, "no difference could be seen on so few")
    assert (
        first.startswith("The best arm is good + logistic regression, with an AUROC of 0.") and "95 % limits" in first
    )
    assert second == ("One other arm is worse beyond chance on these 18 cases; no difference could be seen on so few.")
    tied = results.assign(tied_with_best=[True, True, None])
    assert answer(run, tied, names)[1] == (
        "One other arm (weak + logistic regression) does not differ from it beyond chance on these 18 cases."
    )
    said = "As the best of several, it is not shown to be better than chance, 0.5."
    for floor in (True, False, None):
        table = results.assign(tied_with_best=[True, True, floor])
        assert answer(run, table, names)[0].endswith(said) == (floor is True)
        told = f"the best arm is not shown to be better than chance ({FLOOR})" in remarks(table)[0]
        assert told == (floor is True)
    below = results.assign(tied_with_best=True, auroc=[0.4, 0.3, 0.2])
    assert answer(run, below, names)[0].endswith("No arm reaches the 0.5 of chance.")
    worse = results.assign(tied_with_best=[True, False, False], auroc=[0.4, 0.3, 0.5])
    assert f"the best arm is not shown to be better than chance ({FLOOR})" in remarks(worse)[0]
    late = worse.assign(status=["partial", "done", "done"], auroc=[0.7, 0.3, 0.5])  # only the second one was tested
    assert " It is not shown to be better than chance, 0.5." in answer(run, late, names)[0]
    assert answer(run, results.assign(auroc=np.nan), names) == ["No arm has a figure: the table says why."]
    only = "The only arm is the dummy, which reads no image: name other heads or networks."
    assert answer(run, results[results["arm"] == FLOOR], names) == [only]
    late = end(make_run(), GOOD, "planned", "")
    assert answer(late, results[results["arm"] == FLOOR], names) == ["No arm has a figure yet."]
    alone = results[results["arm"] != WEAK]
    assert answer(run, alone, names)[0].startswith("The only arm is good + logistic regression, with an AUROC of")
    same = answer(run, alone.assign(auroc=0.5, auroc_lo=0.5, auroc_hi=0.5), names)[0]
    assert same.endswith(
        "with an AUROC of 0.500 (no limits, because it is the same without each case). "
        "It is not shown to be better than chance, 0.5."
    )
    assert (
        question(run) == "Which features and classifiers distinguish b from a on cases the classifier has never seen?"
    )


def test_an_arm_whose_difference_has_no_limits_is_no_second_best_one(run):
    results, names, compared = results_table(run), plain_arms([GOOD, WEAK, FLOOR]), comparisons_table(run)
    unknown = dict.fromkeys(("lo", "hi", "p", "p_adjusted"), np.nan)
    results = results.assign(p_vs_best=np.nan, tied_with_best=[True, True, None])
    said = answer(run, results, names)[1]
    assert said == "Whether the other arm differs from it beyond chance cannot be told on these 18 cases."
    shown = SimpleNamespace(run=run, results=results, comparisons=compared.assign(**unknown), names=names)
    rows = table.fill(SimpleNamespace(**vars(shown), next_study=next_study_table(run)))["rows"]
    best, other, floor = (next(cell for cell in row["cells"] if cell["kind"] == "standing") for row in rows)
    apart = results["auroc"].iloc[1] - results["auroc"].iloc[0]
    assert (best["word"], floor["word"]) == ("best", "chance") and other["word"] == "tied"
    assert (other["gap"], other["p"]) == (f"−{-apart:.3f}", "no p") and "limits" not in other


def table_of(*rows, **columns):
    """A results table of finished arms, best first, as far as sentences read it."""
    frame = pd.DataFrame({"arm": [arm for arm, _ in rows], "auroc": [auroc for _, auroc in rows]})
    return frame.assign(status="done", **{"fn_t": 0.0, "fp_t": 0.0, "accuracy": 1.0} | columns)


def test_two_other_arms_are_called_both(run):
    results, other = results_table(run), "other.v1/none/logreg"
    three = pd.concat([results.iloc[:2], results.iloc[1:2].assign(arm=other)])
    names = plain_arms([GOOD, WEAK, other])
    for tied, said in ((False, "Both other arms are worse"), (True, "Neither of the two other arms differs from it")):
        frame = three.assign(tied_with_best=[True, tied, tied])
        assert answer(run, frame, names)[1] == f"{said} beyond chance on these 18 cases."


def test_the_best_arm_is_a_finished_one(run):
    """An arm that lacks folds is not compared with any, whatever AUROC the others give it."""
    late = end(make_run(), GOOD, "failed", "no luck", folds=[0])
    results, names = results_table(late), plain_arms([GOOD, WEAK, FLOOR])
    above, own = (np.mean([sk.roc_auc_score(y, score) for y, score, _ in of_arm(late, arm)]) for arm in (GOOD, WEAK))
    assert above > own and results["arm"].iloc[0] == GOOD
    first, second = answer(late, results, names)
    assert first.startswith(f"The best arm is weak + logistic regression, with an AUROC of {own:.3f} (95 % limits ")
    assert first.endswith(
        "). One arm that is not finished has a higher AUROC, but is not compared: good + logistic regression "
        f"({above:.3f} in 4 of 6 folds)."
    )
    assert second == "There is no other finished arm to compare it with on these 18 cases."
    assert shown_arms(results) == [WEAK, GOOD] and read_calls(late, results).arms == [WEAK, GOOD]
    assert rf"\textbf{{{WEAK}}}" in to_latex(results, "") and rf"\textbf{{{GOOD}}}" not in to_latex(results, "")
    neither = end(late, WEAK, "failed", "no luck", folds=[1, 2])
    alone = answer(neither, results_table(neither), names)[0]
    assert alone.startswith("The best arm is good + logistic regression (4 of 6 folds), with an AUROC of ")
    assert alone.count(".") == 4 and "not compared" not in alone


def test_the_answer_names_the_members_of_a_mean():
    long = "mean:good.v1/none/logreg,good.v1/none/svm,net:compact"
    names = plain_arms([long, GOOD])
    assert names[long] == "mean of 3 arms"
    said = "mean of 3 arms (good + logistic regression, good + SVM and compact (network))"
    assert spelled(long, names) == said and spelled(GOOD, names) == "good + logistic regression"
    short = plain_arms(["mean:a.v1/none/svm,net:compact"])
    assert [spelled(arm, short) for arm in short] == ["mean of a + SVM and compact (network)"]


def test_exact_ties_are_said():
    names = plain_arms([GOOD, WEAK, FLOOR])
    assert equal_in_words(table_of((GOOD, 0.9), (WEAK, 0.9), (FLOOR, 0.5)), names) == (
        "Weak + logistic regression reaches exactly the same AUROC; their order means nothing."
    )
    assert equal_in_words(table_of((GOOD, 0.9), (WEAK, 0.9 - 1e-9)), names) == ""
    nets = [f"net:C{k}-GAP-out" for k in range(1, 6)]
    many = table_of(*((net, 1.0) for net in nets))
    assert equal_in_words(many, plain_arms(nets)).startswith("Four other arms reach exactly the same AUROC; ")


@pytest.mark.parametrize(
    ("auroc", "classes", "columns", "said"),
    [
        (
            1.0,
            2,
            {"fn_t": 3.0, "fp_t": 2.0},
            "every image is ranked correctly; still the calls of good + logistic regression miss 3 and falsely",
        ),
        (0.9996, 2, {"fn_t": 0.5, "fp_t": 0.0}, "nearly every image is ranked correctly; still the calls of good"),
        (
            1.0,
            3,
            {"accuracy": 0.9},
            "still 10 % of the calls of good + logistic regression are wrong: a call takes the largest of the scores",
        ),
        (1.0, 2, {}, ""),
        (0.999, 2, {"fn_t": 3.0}, ""),
    ],
)
def test_a_perfect_auroc_beside_errors_is_explained(auroc, classes, columns, said):
    table = table_of((GOOD, auroc), (WEAK, auroc), (FLOOR, 0.5), **columns)
    found = errors_in_words(table, plain_arms(table["arm"]), classes)
    assert said in found and bool(said) == bool(found)


def test_random_weights_are_part_of_the_answer(run):
    results = results_table(make_run(weights={"good.v1": "random (seed 0)"}))
    assert "with random weights." in answer(run, results, plain_arms(results["arm"]))[0]


def test_shown_arms_are_the_best_of_each_feature(run):
    results = results_table(run)
    assert shown_arms(results) == [GOOD, WEAK] and shown_arms(results, 1) == [GOOD]
    more = pd.concat([results.head(2), results.head(2).assign(arm=["x", "y"])], ignore_index=True)
    assert shown_arms(more) == [GOOD, WEAK, "x"]  # filled up
    several = more.assign(feature=["f", "g", "h", "f"])
    assert shown_arms(several) == [GOOD, WEAK, "x"] and shown_arms(several, 2) == [GOOD, WEAK]


def test_no_two_arms_share_a_name():
    arms = ["a.v1/none/svm", "a.v2/none/svm", "a.v1/ipca8/svm", FLOOR, "net:compact"]
    arms += ["resnet18.random-1/none/svm", "resnet18.imagenet-2/none/svm"]
    names = plain_arms(arms)
    assert len(set(names.values())) == len(arms) and names[FLOOR] == FLOOR_NAME
    assert names["resnet18.random-1/none/svm"] == "random resnet18 + SVM"
    assert names["resnet18.imagenet-2/none/svm"] == "resnet18 + SVM"


def test_the_frontier_is_what_nothing_cheaper_beats():
    rng = np.random.default_rng(0)
    cost, value = rng.random(40), rng.random(40)
    expected = [k for k in range(40) if not ((cost < cost[k]) & (value >= value[k])).any()]
    assert sorted(frontier(cost, value)) == expected


def test_costs_that_were_not_measured_are_not_drawn(run):
    results = results_table(run)
    names = plain_arms(results["arm"])
    assert cost.draw(SimpleNamespace(results=results.assign(fit_s=np.nan), names=names)) is None
    assert cost.draw(SimpleNamespace(results=results, names=names)) is not None


@pytest.mark.parametrize("classes", [2, 3])
def test_confusions_are_those_of_scikit_learn_per_repeat(classes):
    run = make_run(classes=classes)
    parts = trial_parts(run, [trial for trial in run.trials if str(trial.arm) == GOOD])
    found, expected = confusions(parts, classes), np.zeros((2, classes, classes))
    for y, score, threshold in of_arm(run, GOOD):
        called = [score.argmax(axis=1)] * 2 if classes > 2 else [score >= 0.5, score >= threshold]
        expected += [sk.confusion_matrix(y, calls, labels=range(classes)) / 2 for calls in called]
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1] if classes == 2 else np.full((3, 3), np.nan))


def test_errors_of_all_arms_come_first(run):
    calls = read_calls(run, results_table(run))
    assert calls.arms == [GOOD, WEAK] and np.isfinite(calls.score).all()
    positive = run.manifest.labels == 1
    rows, total = choose_errors(calls, positive, 5)
    agreed, _ = calls.agreed
    assert len(rows) == 5 < total and (np.diff(agreed[rows]) <= 0).all() and positive[rows].all()
    assert agreed[rows[0]] == agreed[positive].max()


@pytest.mark.parametrize("classes", [2, 3])
def test_of_errors_of_as_many_arms_those_come_first_that_the_best_arm_is_surest_of(classes):
    run, sure = make_run(classes), np.zeros(144)
    for trial in run.trials:
        record = run.record(trial)
        for row, score in zip(run.tested(trial), record["scores"], strict=True):
            if str(trial.arm) == GOOD and classes == 3:
                sure[row] += max(score) if np.argmax(score) != run.manifest.labels[row] else -max(score)
            elif str(trial.arm) == GOOD:
                cut = record["threshold"]
                up = (score - cut) / (1 - cut) if score >= cut else (score - cut) / cut
                sure[row] += up if run.manifest.labels[row] == 0 else -up
    calls = read_calls(run, results_table(run))
    rows, _ = choose_errors(calls, np.ones(144, bool), 144)
    assert rows.tolist() == sorted(rows, key=lambda row: (-calls.agreed[0][row], -sure[row].round(9), row))
    assert (calls.called[0] == run.manifest.labels).tolist() == (calls.wrong[0] < 0.5).tolist()


def test_images_are_called_by_their_case_or_by_their_name(run):
    names = image_names(run.manifest)
    assert len(set(names)) == 144 and names[0].endswith(" · 1") and names[8].endswith(" · 1")
    assert image_names(run.manifest, show_names=True)[0] == "i000.png"


def test_thumbnails_are_found_where_they_are_and_missed_where_not(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    Image.new("RGBA", (300, 100), (9, 9, 9, 128)).save(tmp_path / "a" / "b" / "x.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert find_images(tmp_path, ["x.png", "a/b/x.png", "gone.png"]) == {
        "x.png": tmp_path / "a" / "b" / "x.png",
        "a/b/x.png": tmp_path / "a" / "b" / "x.png",
    }
    assert find_images(None, ["x.png"]) == {}
    square = read_square(tmp_path / "a" / "b" / "x.png", side=60)
    assert square.size == (60, 60) and as_uri(square).startswith("data:image/jpeg;base64,")
    assert square.getpixel((30, 2)) == (255, 255, 255) and square.getpixel((30, 30))[0] < 200  # padded to a square
    assert read_square(tmp_path / "bad.png") is read_square(tmp_path / "gone.png") is read_square(None) is None
    assert data_folder({"data": str(tmp_path / "bad.png")}) == tmp_path and data_folder({"data": "/nowhere"}) is None
    assert data_folder({"data": None, "cache": str(tmp_path)}) is None  # the phantom is no longer in the cache


@pytest.mark.parametrize("curve", [roc, precision_recall])
def test_curves_are_the_same_however_many_replicates_are_held_at_once(curve, monkeypatch):
    rng = np.random.default_rng(0)
    parts = [Part(0, rng.random(60) < 0.4, rng.integers(0, 9, 60), rng.random(60).round(1), 0.5) for _ in range(2)]
    weights = rng.integers(0, 3, (11, 9)).astype(float)
    whole = curve(parts, weights)
    monkeypatch.setattr(curves, "HELD", 4 * 60)
    np.testing.assert_array_equal(curve(parts, weights), whole)
