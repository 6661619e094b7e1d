"""Readers beside arms: by hand, and against scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import GOOD, REPEATS, WEAK, end, make_run
from sklearn import metrics as sk

from glomfeat.core.arms import FLOOR
from glomfeat.data.readers import Reader
from glomfeat.metrics.agreement import bland_altman
from glomfeat.metrics.paired import paired_difference
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.results.readers import COLUMNS, PAIR_COLUMNS, reader_pairs_table, readers_table


def reader_of(run, name="A", wrong=0.2, seed=1, share=1.0, scores=False):
    """A reader who calls a share of the images, some of them wrong."""
    rng, manifest = np.random.default_rng(seed), run.manifest
    classes, labels = len(manifest.classes), manifest.labels
    calls = np.where(rng.random(len(labels)) < wrong, rng.integers(0, classes, len(labels)), labels)
    seen = np.flatnonzero(rng.random(len(labels)) < share)
    names = manifest.table["name"].to_numpy()
    sure = {names[k]: float(calls[k] + rng.normal()) for k in seen} if scores else {}
    return Reader(name, {names[k]: int(calls[k]) for k in seen}, sure)


def calls_of(run, reader):
    names = run.manifest.table["name"]
    return names.isin(reader.calls).to_numpy(), names.map(reader.calls).fillna(-1).to_numpy(int)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_reader_has_the_figures_of_scikit_learn(classes):
    run = make_run(classes)
    reader = reader_of(run, share=0.6)
    seen, calls = calls_of(run, reader)
    table = readers_table(run, [reader])
    row, y, called = table.iloc[0], run.manifest.labels[seen], calls[seen]
    assert table.columns.tolist() == list(COLUMNS) and row["note"] == "" and row["images"] == seen.sum() < 144
    assert row["kappa"] == pytest.approx(sk.cohen_kappa_score(y, called))
    average = {"average": "binary" if classes == 2 else "macro"}
    assert row["sensitivity"] == pytest.approx(sk.recall_score(y, called, **average))
    rest = [np.mean(called[y != k] != k) for k in range(classes)]
    assert row["specificity"] == pytest.approx(rest[1] if classes == 2 else np.mean(rest))
    assert row["kappa_lo"] < row["kappa"] < row["kappa_hi"] and row["sensitivity_lo"] < row["sensitivity"]
    assert np.isnan(row["auroc"]) and row["positives"] == (y == classes - 1).sum()


def test_each_figure_of_a_reader_counts_the_cases_that_it_is_made_of():
    run = make_run()
    table = run.manifest.table
    label = table["label"].where(table["case"].isin(["P00", "P05", "P10"]), 0)  # three cases hold positive images
    run = replace(run, manifest=replace(run.manifest, table=table.assign(label=label)))
    row = readers_table(run, [reader_of(run, wrong=0.0)]).iloc[0]
    for name, cases in (("sensitivity", 3), ("specificity", 18), ("kappa", 3)):
        low = 2 * 0.025 ** (1 / cases) - 1 if name == "kappa" else 0.025 ** (1 / cases)
        assert (row[name], row[f"{name}_lo"], row[f"{name}_hi"]) == pytest.approx((1, low, 1)), name


def test_a_reader_who_never_misses_a_class_may_still_miss_others_of_it():
    run = make_run(3)
    y, case, names = run.manifest.labels, run.manifest.cases, run.manifest.table["name"]
    calls = np.where((np.arange(len(y)) % 5 == 0) & (y < 2), 1 - y, y)
    row = readers_table(run, [Reader("R", dict(zip(names, map(int, calls), strict=True)))]).iloc[0]
    apart = []
    for label in range(3):
        mine = y == label
        share = np.mean(calls[mine] == label)
        without = [np.mean(calls[mine & (case != one)] == label) for one in np.unique(case[mine])]
        low = 0.025 ** (1 / len(without)) if label == 2 else jackknife_limits(share, np.array(without))[0]
        apart.append(share - low)
    assert row["sensitivity"] == pytest.approx(sk.recall_score(y, calls, average="macro"))
    assert row["sensitivity_lo"] == pytest.approx(row["sensitivity"] - np.sqrt(np.sum(np.square(apart))) / 3)


def test_scores_of_a_reader_have_an_auroc():
    run = make_run()
    reader = reader_of(run, scores=True, share=0.7)
    seen, _ = calls_of(run, reader)
    row = readers_table(run, [reader]).iloc[0]
    score = run.manifest.table["name"].map(reader.scores)[seen]
    assert row["auroc"] == pytest.approx(sk.roc_auc_score(run.manifest.labels[seen], score))
    assert row["auroc_lo"] < row["auroc"] < row["auroc_hi"]
    assert readers_table(make_run(3), [reader_of(make_run(3), scores=True)])["note"][0] == (
        "scores are of one class of two, and not used"
    )


def test_percentages_of_cases_agree_as_bland_and_altman_say():
    run = make_run()
    reader = reader_of(run)
    _, calls = calls_of(run, reader)
    by_case = run.manifest.table.assign(call=calls).groupby("case")[["label", "call"]].mean() * 100
    row = readers_table(run, [reader]).iloc[0]
    found = row["percent_bias"], row["percent_loa_lo"], row["percent_loa_hi"]
    assert found == pytest.approx(bland_altman(by_case["label"], by_case["call"]))
    assert readers_table(make_run(by_case=False, cases=144), [reader])["percent_bias"].isna().all()


def by_hand(run, arm, reader, without=None):
    """Sensitivity of a reader and an arm at its thresholds, and kappa of both, on the reader's images."""
    seen, calls = calls_of(run, reader)
    found = []
    for repeat in range(REPEATS):
        y, mine, theirs = [], [], []
        for (name, its, fold), record in run.records.items():
            if name == arm and its == repeat:
                here = (run.folds["repeat"] == repeat) & (run.folds["fold"] == fold)
                rows = run.manifest.table["name"].isin(run.folds[here]["name"]).to_numpy()
                kept = (seen & (run.manifest.table["case"] != without).to_numpy())[rows]
                y.append(run.manifest.labels[rows][kept])
                mine.append(calls[rows][kept])
                theirs.append((np.array(record["scores"]) >= record["threshold"]).astype(int)[kept])
        y, mine, theirs = map(np.concatenate, (y, mine, theirs))
        both = sk.recall_score(y, mine), sk.recall_score(y, theirs)
        found.append([*both, sk.cohen_kappa_score(mine, theirs)])
    return np.mean(found, axis=0)


def test_an_arm_is_compared_at_its_threshold_on_the_reader_s_images_alone():
    run = make_run()
    reader = reader_of(run, share=0.5)
    table = reader_pairs_table(run, [reader])
    assert table.columns.tolist() == list(PAIR_COLUMNS) and table["other"].tolist() == [WEAK, GOOD]
    row, whole = table.set_index("other").loc[GOOD], by_hand(run, GOOD, reader)
    assert (row["sensitivity_reader"], row["sensitivity_other"], row["kappa"]) == pytest.approx(tuple(whole))
    assert row["images"] == len(reader.calls)
    cases = sorted(set(run.manifest.table["case"]))
    left_out = [np.subtract(*by_hand(run, GOOD, reader, case)[1::-1]) for case in cases]
    expected = paired_difference(whole[1] - whole[0], np.array(left_out))
    ends = [row[f"sensitivity_{end}"] for end in ("difference", "difference_lo", "difference_hi", "p")]
    assert ends == pytest.approx([expected.value, expected.lo, expected.hi, expected.p])


def test_p_is_adjusted_for_all_differences_of_a_reader():
    table = reader_pairs_table(make_run(), [reader_of(make_run(), wrong=0.4)])
    p = table[["sensitivity_p", "specificity_p"]].to_numpy().ravel()
    holm = table[["sensitivity_p_holm", "specificity_p_holm"]].to_numpy().ravel()
    order = np.argsort(p)
    assert holm[order] == pytest.approx(np.minimum(1, np.maximum.accumulate(p[order] * [4, 3, 2, 1])))


def test_two_readers_are_compared_on_what_both_called():
    run = make_run(3)
    a, b = reader_of(run, "A", share=0.7), reader_of(run, "B", seed=2, share=0.6)
    row = reader_pairs_table(run, [a, b]).query("kind == 'reader'").iloc[0]
    (seen, mine), (other, theirs) = calls_of(run, a), calls_of(run, b)
    both = seen & other
    assert (row["reader"], row["other"], row["images"]) == ("A", "B", both.sum())
    assert row["kappa"] == pytest.approx(sk.cohen_kappa_score(mine[both], theirs[both]))


def test_what_cannot_be_told_is_empty_and_says_why():
    run = make_run()
    table = run.manifest.table
    one = Reader("one", dict.fromkeys(table["name"][(table["case"] == "P03") & (table["label"] == 1)], 1))
    gone = Reader("gone", {"set-aside.png": 1})
    row = readers_table(run, [one]).iloc[0]
    assert row["sensitivity"] == 1 and np.isnan(row["specificity"]) and np.isnan(row["sensitivity_lo"])
    assert row[["kappa", "kappa_lo", "kappa_hi"]].isna().all()
    alone = "no limits, for nothing would be left without one of the cases"
    assert row["note"] == f"no image of a is called: what needs every class is empty; {alone}: sensitivity"
    pair = reader_pairs_table(run, [one, gone]).set_index(["reader", "other"])
    assert pair.loc[("one", GOOD), "note"] == (
        "difference of sensitivity: it hangs on one case, so there are no limits and no p; "
        "specificity: its images lack a class"
    )
    assert np.isfinite(pair.loc[("one", GOOD), "sensitivity_difference"])
    assert pair.loc[("gone", GOOD), "note"] == "none of the images that the reader called is tested"
    assert pair.loc[("one", "gone"), "note"] == "no image is called by both"
    assert readers_table(run, [gone])["note"][0] == "none of the images that could be read is called"


def test_a_reader_of_one_case_or_of_one_call_has_figures_without_limits_and_their_note():
    run = make_run()
    names, labels = (run.manifest.table[column].to_numpy() for column in ("name", "label"))
    own = np.flatnonzero(run.manifest.table["case"] == "P03")
    calls = np.where(np.arange(len(own)) % 3, labels[own], 1 - labels[own])
    one = Reader("one", dict(zip(names[own], calls.tolist(), strict=True)), {})
    same = Reader("same", dict.fromkeys(names, 0), dict.fromkeys(names, 5.0))
    table = readers_table(run, [one, same]).set_index("reader")
    row, ends = table.loc["one"], [f"{name}_{end}" for name in ("kappa", "sensitivity") for end in ("lo", "hi")]
    assert row["kappa"] == pytest.approx(sk.cohen_kappa_score(labels[own], calls)) and row[ends].isna().all()
    alone = "no limits, for nothing would be left without one of the cases: "
    assert row["note"] == f"{alone}kappa, sensitivity, specificity"
    row, unknown = table.loc["same"], ["kappa_lo", "kappa_hi", "auroc_lo", "auroc_hi"]
    assert (row["kappa"], row["auroc"]) == (0, 0.5) and row[unknown].isna().all()
    assert row["note"] == "no limits, for it is the same without each case: kappa, AUROC"
    assert row["sensitivity_hi"] == pytest.approx(1 - 0.025 ** (1 / 18))  # none in 18 cases
    pairs = reader_pairs_table(run, [one, same]).set_index(["reader", "other"])
    assert pairs.loc[("same", GOOD), "kappa"] == 0 and np.isnan(pairs.loc[("same", GOOD), "kappa_lo"])
    assert pairs.loc[("same", GOOD), "note"] == "no limits, for it is the same without each case: kappa"
    assert pairs.loc[("one", GOOD), "note"].startswith(f"{alone}kappa; difference of sensitivity: it hangs on one case")


def test_arms_that_are_not_done_are_said_and_the_floor_is_no_rival():
    run = end(make_run(), WEAK, "failed", "broke", folds=[1])
    table = reader_pairs_table(run, [reader_of(run)]).set_index("other")
    assert FLOOR not in table.index and table.loc[WEAK, "note"] == "its trials are not all done"
    assert np.isfinite(table.loc[GOOD, "kappa"])


def test_under_hold_outs_readers_are_compared_on_what_was_tested():
    run = make_run(scheme="holdout")
    table = reader_pairs_table(run, [reader_of(run)]).set_index("other")
    assert table.loc[GOOD, "images"] == run.ever_tested.sum() < 144 and np.isfinite(table.loc[GOOD, "kappa"])


def test_images_that_were_set_aside_do_not_count():
    run = make_run()
    reader = reader_of(run)
    more = replace(reader, calls=reader.calls | {"broken.png": 1})
    assert readers_table(run, [more]).equals(readers_table(run, [reader]))
