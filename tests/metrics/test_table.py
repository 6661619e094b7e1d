"""The table of metrics: what follows from a row of it, and that one more row is all that one more metric takes."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.runs import GOOD, make_run, of_arm
from markupsafe import escape
from sklearn.metrics import fbeta_score, log_loss

from glomfeat.bundle.card import make_card
from glomfeat.data.cases import IMAGE_LEVEL
from glomfeat.metrics import table
from glomfeat.metrics.metric import Metric, Shown
from glomfeat.metrics.scores import confusion
from glomfeat.metrics.table import METRICS, limit_columns
from glomfeat.report.arm_names import plain_arms
from glomfeat.report.page import section_html
from glomfeat.report.sections import table as section
from glomfeat.report.sections.table import columns
from glomfeat.results.comparisons import comparisons_table
from glomfeat.results.next_study import next_study_table
from glomfeat.results.show import cells, to_markdown
from glomfeat.results.tables import result_columns, results_table, taken_names, trials_table

PAGE = """arm, auroc, auroc_case_weighted, tied_with_best, average_precision, sensitivity_t, specificity_t, fn_t, fp_t,
brier, weights, fit_s, predict_ms, sensitivity, specificity, accuracy, balanced_accuracy, f1, mcc, ece,
auroc_sd, auroc_procedure_lo, inner_auroc, threshold, peak_vram_mb, parameters""".replace("\n", " ").split(", ")
PAGE_OF_MORE = """arm, auroc, auroc_case_weighted, tied_with_best, average_precision, sensitivity, specificity, fn,
brier, weights, fit_s, predict_ms, accuracy, balanced_accuracy, f1, mcc, ece, auroc_sd, auroc_procedure_lo,
inner_auroc, peak_vram_mb, parameters""".replace("\n", " ").split(", ")
LIMITS = """accuracy, balanced_accuracy, sensitivity, specificity, precision, f1, mcc, brier, sensitivity_t,
specificity_t, fn, fp, fn_t, fp_t""".replace("\n", " ").split(", ")
CARD = """AUROC, average precision, sensitivity at the threshold, specificity at the threshold,
balanced accuracy at 0.5, Brier score""".replace("\n", " ").split(", ")


def f2_of(counts):
    hit, missed, alarms = counts[..., 1, 1], counts[..., 1, 0], counts[..., 0, 1]
    with np.errstate(invalid="ignore"):
        return 5 * hit / (5 * hit + 4 * missed + alarms)


def loss(y, score):
    return log_loss(y, np.clip(score, 0.01, 0.99))


def loss_by_case(y, score, cases, weights):
    return np.array([log_loss(y, np.clip(score, 0.01, 0.99), sample_weight=row[cases]) for row in weights])


F2 = Metric(
    "f2_t", f2_of, "F2", "How well positives are found.", at="threshold", terminal=Shown("F2"), card=Shown("F2 score")
)
LOSS = Metric("loss", loss, "log loss", "Surprise.", by_case=loss_by_case, high=5.0, better="lower")
AREA = Metric(
    "half_auroc",
    lambda *given: METRICS["auroc"].function(*given) / 2,
    "half",
    "Half.",
    by_case=lambda *given: METRICS["auroc"].by_case(*given) / 2,
    by_fold=True,
    high=0.5,
)


def card_of(row, threshold=0.5, rule="balanced", split="split by case", params=None, of=2):
    about = {"arm": GOOD, "kind": "net", "classes": ["a", "b"], "versions": {"numpy": "2"}, "images": {}}
    about |= {"preprocess": {"size": 8, "padding": "white", "filter": "lanczos"}, "chosen": {"params": params or {}}}
    about["net"] = {"name": "compact", "parameters": 3, "started_from": "nothing"}
    about |= {"threshold": {"value": threshold, "rule": rule}, "calibration": {"kind": "none", "asked": "none"}}
    about["trained_on"] = {"by_class": [1, 2], "split": split, "images": 3, "cases": ["P1"], "digest": "ab"}
    about |= {"study": {"scheme": "cv", "folds": 3, "repeats": 2}, "expected": {"rank": 1, "of": of, **row}}
    return make_card(about)


def test_columns_stand_where_they_stood():
    assert [column.removesuffix("_lo") for column in limit_columns()[::2]] == LIMITS
    assert [column.key for column in columns(2)] == PAGE and [column.key for column in columns(3)] == PAGE_OF_MORE
    row = dict.fromkeys(result_columns(), 0.25)
    lines = [line.split(" | ")[0].removeprefix("| ") for line in card_of(row).splitlines() if "| 0.250 |" in line]
    assert lines == CARD


@pytest.mark.parametrize(
    ("threshold", "rule", "said", "weighs"),
    [
        (0.4, "youden", ("threshold 0.4 by the rule `youden` and ", ""), "by a rule"),
        (0.3, "0.30", ("", " The threshold was fixed at 0.3."), "0.3 was given"),
        (None, "0.3", ("", ""), "of the largest score"),
    ],
)
def test_a_card_calls_a_threshold_chosen_only_if_it_was(threshold, rule, said, weighs):
    card = card_of({}, threshold, rule, params={"C": 1})
    what = (
        f"Chosen on inner splits by case of all of them: {said[0]}C = 1. The model was then fitted on all.{said[1]}\n"
    )
    assert what in card and weighs in card.partition("## Limits")[2]
    assert card.count("by the rule") == (rule == "youden") and "ranks 1 of 2 arms" in card
    by_image = card_of({}, threshold, rule, IMAGE_LEVEL, {"C": 1}, of=1)
    assert "3 images (1 a, 2 b)" in by_image and "with the image as the unit" in by_image and "cases" not in by_image
    assert "3 images of 1 case (1 a, 2 b)" in card and "with the case as the unit" in card
    assert "on inner splits by image of all" in by_image and "the only arm" in by_image and "ranks" not in by_image


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_is(name):
    metric = METRICS[name]
    assert metric.title and metric.meaning.endswith(".") and metric.better in ("higher", "lower")
    assert metric.low < metric.high and (metric.by_case is None) == bool(metric.at or metric.limits is None)
    assert not (metric.by_fold and metric.at) and (metric.errors_of is None or metric.better == "lower")


def test_of_more_classes_each_column_says_that_it_is_a_mean_over_them_if_it_is():
    means = {column.key: column.means.lower() for column in columns(3)}
    assert not [said for said in means.values() if "at 0.5" in said or "positive" in said]
    averaged = {name for name, said in means.items() if "mean over classes" in said}
    assert averaged == {"auroc", "average_precision", "sensitivity", "specificity", "balanced_accuracy", "f1"}
    rng = np.random.default_rng(0)
    y, score = np.repeat([0, 1, 2], [30, 20, 10]), rng.dirichlet([1, 1, 1], 60)
    for metric in (METRICS[name] for name in averaged):
        one = METRICS["sensitivity"] if metric.name == "balanced_accuracy" else metric  # the same, as its column says
        sides, called = np.eye(3)[y].T.astype(int), np.eye(3)[score.argmax(axis=1)].T.astype(int)
        if metric.at:
            found = metric.function(confusion(y, score.argmax(axis=1), 3))
            each = [one.function(confusion(*side)) for side in zip(sides, called, strict=True)]
        else:
            found, each = metric.function(y, score), [one.function(*side) for side in zip(sides, score.T, strict=True)]
        assert found == pytest.approx(np.mean(each))


def test_a_note_of_an_arm_is_whole_and_said_once_for_all_folds():
    run, few = make_run(), "ipca128 lowered to {}: the training rows allow no more; {} components are more than a fifth"
    results = results_table(run)
    notes = [few.format(37, 37), "x" * 200, few.format(36, 36)]
    results.loc[0, "reason"] = "; ".join(notes)
    content = SimpleNamespace(run=run, results=results, comparisons=comparisons_table(run))
    content.names, content.next_study = plain_arms(results["arm"]), next_study_table(run)
    note = f"{few.format('36–37', '36–37')}; {'x' * 200}"
    page = section_html(section, content)
    assert f'<span class="reason">{note}</span>' in page
    assert 'class="note"' not in page, "side notes stand on the margin"
    meaning = str(escape(table.METRICS["auroc"].said(2)))
    assert page.count(meaning) == 1, "each heading says it, and no list again"


@pytest.mark.parametrize("metric", [F2, LOSS, AREA], ids=lambda metric: metric.name)
def test_one_more_row_is_one_more_metric_everywhere(monkeypatch, metric):
    before = results_table(make_run())
    monkeypatch.setitem(table.METRICS, metric.name, metric)
    run = make_run()
    results, trials = results_table(run), trials_table(run)
    row = results.set_index("arm").loc[GOOD]
    assert metric.low <= row[f"{metric.name}_lo"] < row[metric.name] < row[f"{metric.name}_hi"] <= metric.high
    assert metric.name in taken_names() and trials[metric.name].notna().all()
    assert results[before.columns].to_csv() == before.to_csv()
    names = plain_arms(results["arm"])
    shown = SimpleNamespace(run=run, results=results, comparisons=comparisons_table(run), names=names)
    shown.next_study = next_study_table(run)
    found = section.fill(shown)
    assert [column.title for column in found["columns"] if column.means == metric.meaning] == [metric.title]
    shown = cells(results)
    assert ("F2" in shown[0]) == ("| F2 |" in to_markdown(results, "t")) == (metric is F2)
    said = f"| F2 score | {row[metric.name]:.3f} | {row[f'{metric.name}_lo']:.3f} to {row[f'{metric.name}_hi']:.3f} |"
    assert (said in card_of(row.to_dict())) == (metric is F2)


def test_it_is_measured_as_its_row_says(monkeypatch):
    for metric in (F2, LOSS, AREA):
        monkeypatch.setitem(table.METRICS, metric.name, metric)
    run = make_run()
    row = results_table(run).set_index("arm").loc[GOOD]
    of_repeats = [of_arm(run, GOOD, repeat) for repeat in range(2)]
    called = [np.concatenate([score >= threshold for _, score, threshold in parts]) for parts in of_repeats]
    y = [np.concatenate([y for y, *_ in parts]) for parts in of_repeats]
    score = [np.concatenate([score for _, score, _ in parts]) for parts in of_repeats]
    expected = np.mean([fbeta_score(*both, beta=2) for both in zip(y, called, strict=True)])
    assert row["f2_t"] == pytest.approx(expected)
    assert row["loss"] == pytest.approx(np.mean([loss(*both) for both in zip(y, score, strict=True)]))
    assert row["half_auroc"] == pytest.approx(row["auroc"] / 2)


def test_a_metric_without_limits_has_no_columns_of_them(monkeypatch):
    monkeypatch.setitem(table.METRICS, "f2_t", Metric("f2_t", f2_of, "F2", "It.", at="threshold", limits=None))
    results = results_table(make_run())
    assert results["f2_t"].notna().all() and not {"f2_t_lo", "f2_t_hi"} & set(results.columns)
