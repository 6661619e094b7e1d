import io
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.runs import FOLDS, GOOD, REPEATS, WEAK, end, make_run, of_arm
from rich.console import Console
from sklearn import metrics as sk

from glomfeat.core.arms import FLOOR
from glomfeat.data.cases import BY_CASE, IMAGE_LEVEL
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.metrics.scores import ece
from glomfeat.results.comparisons import comparisons_table
from glomfeat.results.parts import Part, measure, trial_parts
from glomfeat.results.predictions import predictions_table
from glomfeat.results.show import cells, print_table, remarks, to_markdown
from glomfeat.results.tables import own_columns, result_columns, results_table, trials_table

ORDER = """arm, kind, feature, weights, reducer, head, status, n_trials, auroc, auroc_lo, auroc_hi, auroc_sd,
average_precision, average_precision_lo, average_precision_hi, accuracy, balanced_accuracy, sensitivity, specificity,
precision, f1, mcc, brier, ece, threshold, sensitivity_t, specificity_t, fn_t, fp_t, fn, fp, p_vs_best, tied_with_best,
fit_s, predict_ms, peak_rss_mb, peak_vram_mb""".replace("\n", " ").split(", ")
TRIAL_COLUMNS = (
    *("arm", "repeat", "fold", "status", "reason", "auroc", "average_precision", "n_train", "n_test", "cases"),
    *("positives", "threshold", "params", "fit_s", "predict_s", "peak_rss_mb", "peak_vram_mb", "seed"),
)


def row_of(run, arm):
    return results_table(run).set_index("arm").loc[arm]


@pytest.fixture(scope="module")
def results():
    return results_table(make_run())


def test_columns_of_results_are_those_of_the_interface(results):
    assert results.columns.tolist()[: len(ORDER)] == ORDER


def test_columns_stay_when_nothing_has_run():
    run = make_run()
    run.records.clear()
    table = results_table(run)
    assert table.columns.tolist()[: len(ORDER)] == ORDER
    assert set(table["status"]) == {"planned"} and table["auroc"].isna().all() and (table["n_trials"] == 0).all()
    assert (trials_table(run)["status"] == "planned").all()
    assert predictions_table(run).columns.tolist()[:7] == ["arm", "repeat", "name", "case", "fold", "label", "score"]


@pytest.mark.parametrize("arm", [GOOD, WEAK, FLOOR])
def test_ranking_is_within_folds_and_averaged(arm):
    run = make_run()
    row, parts = row_of(run, arm), of_arm(run, arm)
    areas = [sk.roc_auc_score(y, score) for y, score, _ in parts]
    assert row["auroc"] == pytest.approx(np.mean(areas)) and row["auroc_sd"] == pytest.approx(np.std(areas, ddof=1))
    steps = [sk.average_precision_score(y, score) for y, score, _ in parts]
    assert row["average_precision"] == pytest.approx(np.mean(steps))
    assert row["n_trials"] == FOLDS * REPEATS and row["threshold"] == pytest.approx(np.mean([t for *_, t in parts]))


@pytest.mark.parametrize("arm", [GOOD, WEAK])
def test_decisions_are_pooled_over_folds_and_averaged_over_repeats(arm):
    run, expected = make_run(), []
    for repeat in range(REPEATS):
        parts = of_arm(run, arm, repeat)
        y, score = np.concatenate([y for y, *_ in parts]), np.concatenate([score for _, score, _ in parts])
        half, chosen = score >= 0.5, np.concatenate([score >= threshold for _, score, threshold in parts])
        expected.append(
            {
                "accuracy": sk.accuracy_score(y, half),
                "balanced_accuracy": sk.balanced_accuracy_score(y, half),
                "sensitivity": sk.recall_score(y, half),
                "specificity": sk.recall_score(y, half, pos_label=0),
                "precision": sk.precision_score(y, half),
                "f1": sk.f1_score(y, half),
                "mcc": sk.matthews_corrcoef(y, half),
                "brier": sk.brier_score_loss(y, score),
                "ece": ece(y, score),
                "fn": ((y == 1) & ~half).sum(),
                "fp": ((y == 0) & half).sum(),
                "sensitivity_t": sk.recall_score(y, chosen),
                "specificity_t": sk.recall_score(y, chosen, pos_label=0),
                "fn_t": ((y == 1) & ~chosen).sum(),
                "fp_t": ((y == 0) & chosen).sum(),
            }
        )
    mean = pd.DataFrame(expected).mean()
    assert row_of(run, arm)[list(mean.index)].astype(float).to_dict() == pytest.approx(mean.to_dict())


def test_floor_is_exactly_one_half(results):
    floor = results.set_index("arm").loc[FLOOR]
    assert floor["auroc"] == floor["auroc_lo"] == floor["auroc_hi"] == 0.5
    assert floor["sensitivity_lo"] == 0 and floor["specificity_hi"] == 1  # as sure as 18 cases are, and no surer
    assert floor["sensitivity_hi"] == pytest.approx(1 - 0.025 ** (1 / 18)) == 1 - floor["specificity_lo"]
    assert floor["sensitivity"] == 0 and floor["specificity"] == 1 and floor["kind"] == "features"


def test_best_is_first_and_the_others_are_compared_with_it(results):
    assert results["arm"].tolist()[0] == GOOD and results["auroc"].is_monotonic_decreasing
    best, *others = results.to_dict("records")
    assert best["tied_with_best"] is True and math.isnan(best["p_vs_best"])
    assert all(0 < other["p_vs_best"] < 0.05 and other["tied_with_best"] is False for other in others)
    compared = comparisons_table(make_run()).set_index("arm")["p_adjusted"]
    assert {other["arm"]: other["p_vs_best"] for other in others} == compared.to_dict()


def test_an_arm_with_the_same_scores_is_tied():
    run = make_run()
    for (arm, repeat, fold), record in list(run.records.items()):
        if arm == WEAK:
            record["scores"] = run.records[GOOD, repeat, fold]["scores"]
    table = results_table(run).set_index("arm")
    assert table.loc[[GOOD, WEAK], "tied_with_best"].tolist() == [True, True]
    assert table.loc[WEAK, "auroc"] == table.loc[GOOD, "auroc"]
    assert sorted(table.loc[[GOOD, WEAK], "p_vs_best"], key=math.isnan)[0] == 1.0


LIMITED = [name.removesuffix("_lo") for name in result_columns() if name.endswith("_lo")]
LIMITED.remove("auroc_procedure")  # whose figure is auroc


def test_every_metric_but_one_that_chance_makes_larger_has_limits():
    metrics = ORDER[ORDER.index("average_precision") : ORDER.index("p_vs_best")]
    measured = {name for name in metrics if not name.endswith(("_lo", "_hi"))} - {"threshold", "ece"} | {"auroc"}
    assert set(LIMITED) == measured | {"auroc_case_weighted"} and result_columns()[: len(ORDER)] == ORDER


@pytest.mark.parametrize("name", LIMITED)
def test_limits_hold_the_figures(results, name):
    learned = results[results["arm"] != FLOOR]
    assert (learned[f"{name}_lo"] < learned[name]).all() and (learned[name] < learned[f"{name}_hi"]).all()
    if name not in ("fn", "fp", "fn_t", "fp_t"):
        assert (learned[f"{name}_lo"] > -1).all() and (learned[f"{name}_hi"] < 1).all()
        assert (learned[f"{name}_hi"] - learned[f"{name}_lo"]).max() < 0.4


def test_limits_of_errors_are_those_of_their_rates(results):
    positives, negatives = (make_run().manifest.labels == 1).sum(), (make_run().manifest.labels == 0).sum()
    for row in results.to_dict("records"):
        for kind in ("", "_t"):
            missed = positives * (1 - row[f"sensitivity{kind}_hi"]), positives * (1 - row[f"sensitivity{kind}_lo"])
            assert (row[f"fn{kind}_lo"], row[f"fn{kind}_hi"]) == pytest.approx(missed, abs=1e-9)
            alarms = negatives * (1 - row[f"specificity{kind}_hi"]), negatives * (1 - row[f"specificity{kind}_lo"])
            assert (row[f"fp{kind}_lo"], row[f"fp{kind}_hi"]) == pytest.approx(alarms, abs=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_limits_are_of_leaving_out_each_case(classes):
    run = make_run(classes)
    parts, row = trial_parts(run, [trial for trial in run.trials if str(trial.arm) == WEAK]), row_of(run, WEAK)
    left_out, least = [], run.manifest.table.groupby("label")["case"].nunique().min()
    for case in np.unique(run.manifest.cases):
        kept = [(part, part.cases != case) for part in parts]
        again = [Part(part.repeat, part.y[k], part.cases[k], part.score[k], part.threshold) for part, k in kept]
        left_out.append({name: values[0] for name, values in measure(again, classes).items()})
    for name, low, high in (("auroc", 0, 1), ("mcc", -1, 1), ("brier", 0, classes - 1), ("f1", 0, 1)):
        holders = 18 if name == "brier" or classes == 2 else least  # all cases hold both of two classes
        expected = jackknife_limits(row[name], np.array([found[name] for found in left_out]), low, high, holders)
        assert (row[f"{name}_lo"], row[f"{name}_hi"]) == pytest.approx(expected)


def test_very_many_cases_are_left_out_in_groups(monkeypatch):
    run = make_run(n=400, by_case=False)
    whole = results_table(run).set_index("arm")
    monkeypatch.setattr("glomfeat.metrics.resampling.resampling_units.__defaults__", (50, 0))
    grouped = results_table(run).set_index("arm")
    for arm in (GOOD, WEAK):
        ratio = (grouped["auroc_hi"] - grouped["auroc_lo"])[arm] / (whole["auroc_hi"] - whole["auroc_lo"])[arm]
        assert ratio != 1 and 0.7 < ratio < 1.5
        assert grouped.loc[arm, "auroc"] == whole.loc[arm, "auroc"]


@pytest.mark.parametrize("classes", [2, 3])
def test_a_replicate_counts_each_case_as_often_as_it_was_drawn(classes):
    run = make_run(classes)
    drawn = np.random.default_rng(0).integers(0, 3, (2, 18)).astype(np.float32)
    parts = trial_parts(run, [trial for trial in run.trials if str(trial.arm) == GOOD])
    found = measure(parts, classes, drawn)
    for replicate, weights in enumerate(drawn.astype(int)):
        again = []
        for part in parts:
            rows = np.repeat(np.arange(len(part.y)), weights[part.cases])
            again.append(type(part)(part.repeat, part.y[rows], part.cases[rows], part.score[rows], part.threshold))
        expected = {name: values[0] for name, values in measure(again, classes).items() if name != "ece"}
        of_replicate = {name: values[replicate] for name, values in found.items()}
        assert of_replicate == pytest.approx(expected, nan_ok=True, rel=1e-6)


def test_same_run_same_table(results):
    pd.testing.assert_frame_equal(results_table(make_run()), results)


def test_more_classes():
    run = make_run(classes=3)
    table = results_table(run)  # without a warning
    row, parts = table.set_index("arm").loc[GOOD], of_arm(run, GOOD)
    areas = [sk.roc_auc_score(y, score, multi_class="ovr") for y, score, _ in parts]
    assert row["auroc"] == pytest.approx(np.mean(areas))
    wrong = [(y != score.argmax(axis=1)).sum() for y, score, _ in parts]
    assert row["fn"] == row["fp"] == sum(wrong) / REPEATS
    assert table[["threshold", "sensitivity_t", "fn_t", "sensitivity_t_lo"]].isna().all(axis=None)
    assert table.set_index("arm").loc[FLOOR, "auroc"] == 0.5
    predictions = predictions_table(run)
    assert predictions.columns.tolist()[-3:] == ["score_a", "score_b", "score_c"]
    np.testing.assert_array_equal(predictions["score"], predictions["score_c"])
    np.testing.assert_allclose(predictions[["score_a", "score_b", "score_c"]].sum(axis=1), 1)


@pytest.mark.parametrize("status", ["failed", "skipped", "planned"])
def test_an_arm_that_did_not_run_is_a_row_with_its_reason(status):
    reason = "" if status == "planned" else "ValueError: no luck"
    run = end(make_run(), GOOD, status, reason)
    table = results_table(run)
    assert table["arm"].tolist() == [WEAK, FLOOR, GOOD]  # without figures, last
    row = table.set_index("arm").loc[GOOD]
    assert (row["status"], row["reason"], row["n_trials"]) == (status, reason, 0)
    assert np.isnan(row["auroc"]) and row["tied_with_best"] is not True
    assert table["tied_with_best"].tolist()[0] is True  # the best is the best of what was finished
    trials = trials_table(run)
    mine = trials[trials["arm"] == GOOD]
    assert (mine["status"] == status).all() and (mine["reason"] == reason).all() and mine["auroc"].isna().all()
    assert len(trials) == 3 * FOLDS * REPEATS and (mine["n_test"] > 0).all()
    assert GOOD not in set(predictions_table(run)["arm"])
    shown = to_markdown(table, "Title")
    assert f"{GOOD} ({status}: {reason or 'not run yet'})" in shown
    assert "1 of 3 arms did not finish: see the column reason" in shown


def test_an_arm_that_ran_in_part_is_not_compared():
    run = end(make_run(), GOOD, "failed", "ValueError: no luck", folds=[2])
    row, table = row_of(run, GOOD), results_table(run)
    areas = [sk.roc_auc_score(y, score) for y, score, _ in of_arm(run, GOOD)]
    assert len(areas) == 4 and row["n_trials"] == 4 and row["auroc"] == pytest.approx(np.mean(areas))
    assert (row["status"], row["reason"]) == ("partial", "ValueError: no luck")
    assert np.isnan(row["p_vs_best"]) and row["tied_with_best"] is not True
    assert table.set_index("arm").loc[WEAK, "tied_with_best"] is True


def test_reasons_of_done_trials_are_kept_once_each():
    run = make_run()
    for key, record in run.records.items():
        record["reason"] = "ipca9 lowered to 5" if key[0] == GOOD and key[2] else ""
    assert row_of(run, GOOD)["reason"] == "ipca9 lowered to 5" and row_of(run, GOOD)["status"] == "done"


def test_costs():
    run = make_run()
    mine = [record for key, record in run.records.items() if key[0] == GOOD]
    row = row_of(run, GOOD)
    assert row["fit_s"] == pytest.approx(np.mean([record["fit_s"] for record in mine]))
    assert row["predict_ms"] == pytest.approx(1.0)  # of one image
    assert row["peak_rss_mb"] == max(record["peak_rss_mb"] for record in mine)


def test_trials_table():
    run = make_run()
    table = trials_table(run)
    assert [name for name in TRIAL_COLUMNS if name not in table.columns] == []
    assert list(zip(table["arm"], table["repeat"], table["fold"], strict=True)) == [t.key for t in run.trials]
    row = table[(table["arm"] == GOOD) & (table["repeat"] == 1) & (table["fold"] == 2)].iloc[0]
    here = run.folds[(run.folds["repeat"] == 1) & (run.folds["fold"] == 2)]
    record = run.records[GOOD, 1, 2]
    y, score = here["label"].to_numpy(), np.array(record["scores"])
    assert row["auroc"] == pytest.approx(sk.roc_auc_score(y, score))
    assert row["fn"] == ((y == 1) & (score < 0.5)).sum() and row["fp_t"] == (score[y == 0] >= row["threshold"]).sum()
    assert (row["n_test"], row["n_train"]) == (len(here), 144 - len(here))
    assert (row["cases"], row["positives"]) == (here["case"].nunique(), here["label"].sum())
    assert json.loads(row["params"]) == {"C": 1.0} and row["seed"] == record["seed"]
    assert row["threshold"] == record["threshold"]


def test_missing_counts_stay_whole_numbers_in_the_file():
    text = trials_table(end(make_run(), GOOD, "planned", "")).to_csv()
    frame = pd.read_csv(io.StringIO(text), dtype=str)
    assert frame["seed"].dropna().str.fullmatch(r"\d+").all() and frame["seed"].isna().sum() == FOLDS * REPEATS


def test_predictions_table_has_each_tested_image_once():
    run = make_run()
    table = predictions_table(run)
    figures = ["label", "score", "threshold", "prediction"]
    assert table.columns.tolist() == ["arm", "repeat", "name", "case", "fold", *figures, "split"]
    assert len(table) == 3 * REPEATS * len(run.manifest)
    assert not table.duplicated(["arm", "repeat", "name"]).any()
    mine = table[(table["arm"] == WEAK) & (table["repeat"] == 1)]
    merged = mine.merge(run.folds[run.folds["repeat"] == 1], on="name", suffixes=("", "_of_folds"))
    assert len(merged) == len(run.manifest)
    assert (merged["label"] == merged["label_of_folds"]).all() and (merged["case"] == merged["case_of_folds"]).all()
    assert (merged["fold"] == merged["fold_of_folds"].astype(str)).all()
    fold = mine[mine["fold"] == "0"]
    np.testing.assert_array_equal(fold["score"], run.records[WEAK, 1, 0]["scores"])
    assert set(fold["threshold"]) == {run.records[WEAK, 1, 0]["threshold"]}
    assert fold["prediction"].tolist() == (fold["score"] >= fold["threshold"]).astype(int).tolist()
    areas = mine.groupby("fold")[["label", "score"]].apply(lambda part: sk.roc_auc_score(part["label"], part["score"]))
    trials = trials_table(run)
    np.testing.assert_allclose(areas, trials.loc[(trials["arm"] == WEAK) & (trials["repeat"] == 1), "auroc"])


def test_holdout_tests_its_outer_part_only():
    run = make_run(scheme="holdout", n=400, cases=100)
    tested = run.folds[run.folds["fold"] == "outer-test"]
    predictions = predictions_table(run)
    assert set(predictions["fold"]) == {"outer-test"} and len(predictions) == 3 * len(tested)
    assert row_of(run, GOOD)["n_trials"] == REPEATS
    parts = [of_arm(run, GOOD, repeat)[0] for repeat in range(REPEATS)]
    assert row_of(run, GOOD)["fp"] == np.mean([(score[y == 0] >= 0.5).sum() for y, score, _ in parts])


@pytest.mark.parametrize("by_case", [True, False])
def test_every_output_says_how_it_was_split(by_case):
    run = make_run(by_case=by_case)
    split = BY_CASE if by_case else IMAGE_LEVEL
    results = results_table(run)
    for table in (results, trials_table(run), predictions_table(run)):
        assert (table["split"] == split).all()
    shown, console = to_markdown(results, "Title"), Console(file=io.StringIO(), width=160)
    print_table(results, "Title", console)
    for text in (shown, " ".join(console.file.getvalue().split())):
        assert ("IMAGE-LEVEL SPLIT: SCORES ARE OPTIMISTIC" in text) is not by_case
        assert ("jackknife over cases" in text) is by_case
        assert ("jackknife over images" in text) is not by_case
    assert shown.startswith("# Title\n")


def test_random_weights_are_remarked():
    weights = {"good.v1": "random (seed 0)", "weak.v1": "imagenet"}
    results = results_table(make_run(weights=weights))
    assert results.set_index("arm").loc[[GOOD, WEAK, FLOOR], "weights"].tolist() == ["random (seed 0)", "imagenet", ""]
    assert "random weights, not pretrained: good.v1" in remarks(results)[0]
    assert "> random weights, not pretrained: good.v1" in to_markdown(results, "Title")
    assert not any("random" in said for said in remarks(results_table(make_run()))[0])


def test_limits_that_older_versions_wrote_are_no_metrics_of_the_user(results):
    assert own_columns(results.assign(ece_lo=0.0, ece_hi=1.0, mine=0.5)) == ["mine"]


def test_markdown_shows_the_figures(results):
    lines = to_markdown(results, "Title").splitlines()
    first = next(line for line in lines if line.startswith(f"| {GOOD}"))
    best = results.iloc[0]
    assert f"{best['auroc']:.3f} ({best['auroc_lo']:.3f}-{best['auroc_hi']:.3f})" in first and "| yes |" in first
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + len(results) and len({line.count("|") for line in rows}) == 1


REASON = "XGBoostError: [12:00:01] /src/x.cc: [/tmp/a] a|b\nStack trace:\n  [bt] (0)"


def test_a_reason_of_several_lines_stays_in_its_row_of_markdown():
    shown = to_markdown(results_table(end(make_run(), GOOD, "failed", REASON)), "Title")
    rows = [line for line in shown.splitlines() if GOOD in line]
    assert len(rows) == 1 and rows[0].startswith("| ") and rows[0].endswith(" |")
    assert rows[0].replace("\\|", "").count("|") == 11 and "Stack trace" in rows[0]


@pytest.mark.parametrize("width", [80, 200])
def test_terminal_shows_all_arms_and_brackets_as_they_are(width):
    results = results_table(end(make_run(), GOOD, "failed", REASON))
    console = Console(file=io.StringIO(), width=width)
    print_table(results, "runs/[a]", console)
    shown = console.file.getvalue()
    assert "runs/[a]" in shown and "1 of 3 arms did not finish" in shown
    joined = "".join(shown.split())
    assert all(part in joined for part in ("weak.v1", "good.v1", "dummy", "failed"))
    if width == 200:
        assert "[/tmp/a]" in shown and "[bt]" in shown


def test_what_hangs_on_a_single_case_has_no_limits():
    run = make_run()
    label = run.manifest.table["label"].where(run.manifest.table["case"] == "P00", 0)
    run = replace(run, manifest=replace(run.manifest, table=run.manifest.table.assign(label=label)))
    table = results_table(run)
    row = table.set_index("arm").loc[WEAK]
    assert np.isfinite(row[["auroc", "sensitivity"]].astype(float)).all()
    assert row[["auroc_lo", "auroc_hi", "sensitivity_lo", "f1_hi", "fn_t_lo"]].isna().all()
    assert row[["specificity_lo", "accuracy_hi", "brier_lo", "fp_t_hi"]].notna().all()
    assert f"{row['auroc']:.3f} (no limits)" in to_markdown(table, "made up")


def test_tables_of_more_than_two_classes_speak_of_no_threshold(results):
    head, legend = (
        "| arm | AUROC (95 % limits) | AP | sens. | spec. | Brier | tied | fit s |",
        "sens., spec.: means over",
    )
    shown = to_markdown(results_table(make_run(classes=3)), "Title", "c")
    assert head in shown and f"{legend} classes, where the class of the largest score is called; limits: " in shown
    assert "threshold" not in shown and "positive class" not in shown
    line = "within the training cases; positive class: b; limits: "
    assert line in to_markdown(results_table(make_run()), "Title", "b")


@pytest.mark.parametrize(("classes", "width", "shown"), [(2, 200, 4), (2, 100, 2), (3, 200, 2), (3, 100, 0)])
def test_the_legend_explains_the_columns_that_a_terminal_has_room_for(classes, width, shown):
    console = Console(file=io.StringIO(), width=width)
    print_table(results_table(make_run(classes=classes)), "Title", console)
    table, _, legend = " ".join(console.file.getvalue().split()).rpartition("┘")
    assert "tied: does not differ" in legend
    for place, column in enumerate(("sens.", "spec.", "missed", "false alarms")):
        assert (column in table) == (column in legend) == (place < shown), column


def test_people_read_calls_at_the_threshold_only(results):
    """The report calls them so, too; what 0.5 gives has other names there, and is in results.csv."""
    head, *_ = (line for line in to_markdown(results, "Title").splitlines() if line.startswith("|"))
    assert head == ("| arm | AUROC (95 % limits) | AP | sens. | spec. | missed | false alarms | Brier | tied | fit s |")
    best = results.iloc[0]
    assert best["sensitivity"] != best["sensitivity_t"], "or it would not be seen which is shown"
    shown = dict(zip(*cells(results)[:2], strict=True))
    assert shown["sens."] == f"{best['sensitivity_t']:.3f}" and shown["spec."] == f"{best['specificity_t']:.3f}"
