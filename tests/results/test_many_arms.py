"""The best of many, the reference with its margin, and every two arms, as tables and in words."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.runs import GOOD, WEAK, end, make_run, of_arm
from scipy import stats
from scipy.special import expit
from sklearn import metrics as sk

from glomfeat.core.arms import FLOOR, Arm
from glomfeat.metrics.many import best_of_many
from glomfeat.report.answer import whole_answer
from glomfeat.report.arm_names import plain_arms
from glomfeat.report.sections import comparisons as section
from glomfeat.results.best_of_many import best_of_many_in_words, best_of_many_table, chosen_in_words
from glomfeat.results.finished import Finished
from glomfeat.results.journal import Journal, note_reference
from glomfeat.results.pairs import COLUMNS, OF_CALLS, pairs_of
from glomfeat.results.reference import COLUMNS as OF_REFERENCE
from glomfeat.results.reference import Reference, reference_in_words, reference_table
from glomfeat.results.resampled import resample

NEAR = "near.v1/none/logreg"


def with_near(run):
    """The run with one more arm, whose scores are nearly those of the good one."""
    rng = np.random.default_rng(3)
    for trial in [trial for trial in run.trials if str(trial.arm) == GOOD]:
        again = type(trial)(Arm.parse(NEAR), trial.repeat, trial.fold)
        run.trials.append(again)
        score = np.asarray(run.records[trial.key]["scores"])
        near = np.clip(score + 0.05 * rng.normal(size=len(score)), 0, 1)
        run.records[again.key] = run.records[trial.key] | {"arm": NEAR, "scores": near.tolist()}
    return run


def finished(run=None, **more):
    return Finished(**(run or with_near(make_run())).given(), **more)


@pytest.fixture(scope="module")
def run():
    return finished(reference=Reference(GOOD, 0.05, True))


def left_out(run, arm, figure):
    """A figure of pooled decisions, mean over repeats, whole and without each case, from the records alone."""
    cases = {repeat: [] for repeat in range(2)}
    for (repeat, _), part in run.folds.groupby(["repeat", "fold"]):
        cases[repeat].append(part["case"].to_numpy())

    def of(but):
        found = []
        for repeat, its_cases in cases.items():
            parts = of_arm(run, arm, repeat)
            keep = np.concatenate(its_cases) != but
            y, score = (np.concatenate([part[k] for part in parts])[keep] for k in (0, 1))
            call = np.concatenate([part[1] >= part[2] for part in parts])[keep]
            found.append(figure(y, score, call))
        return np.mean(found)

    return of(None), np.array([of(case) for case in np.unique(run.folds["case"])])


FIGURES = {
    "sensitivity": lambda y, score, call: sk.recall_score(y, call),
    "specificity": lambda y, score, call: sk.recall_score(y, call, pos_label=0),
    "balanced_accuracy": lambda y, score, call: sk.balanced_accuracy_score(y, call),
    "brier": lambda y, score, call: sk.brier_score_loss(y, score),
}


@pytest.mark.parametrize("name", FIGURES)
def test_decisions_of_two_arms_differ_as_leaving_out_each_case_says(run, name):
    row = pairs_of(run.pairs, WEAK).set_index("arm").loc[GOOD]
    (good, without_good), (weak, without_weak) = (left_out(run, arm, FIGURES[name]) for arm in (GOOD, WEAK))
    assert row[f"{name}_difference"] == pytest.approx(good - weak)
    pseudo = 18 * (good - weak) - 17 * (without_good - without_weak)
    error = pseudo.std(ddof=1) / np.sqrt(18)
    step = (row[f"{name}_hi"] - row[f"{name}_lo"]) / 2
    assert row[f"{name}_lo"] + step == pytest.approx(good - weak)
    assert stats.t.ppf(0.975, 17) - 1e-6 < step / error < 3  # no more than 17 degrees of freedom
    assert (row[f"{name}_p"] < 0.05) == (abs(good - weak) > step)


def test_wrong_calls_are_counted_and_set_beside_each_other_case_by_case(run):
    row = pairs_of(run.pairs, WEAK).set_index("arm").loc[GOOD]
    wrong = {arm: [(score >= at) != y for y, score, at in of_arm(run, arm)] for arm in (GOOD, WEAK)}
    cases = [part["case"].to_numpy() for _, part in run.folds.groupby(["repeat", "fold"])]
    one, other, case = (np.concatenate(parts) for parts in (wrong[GOOD], wrong[WEAK], cases))
    assert row["only_arm_wrong"] == (one & ~other).sum() / 2 and row["only_other_wrong"] == (other & ~one).sum() / 2
    apart = np.array([one[case == name].sum() - other[case == name].sum() for name in np.unique(case)])
    statistic = apart.sum() ** 2 / (18 / 17 * (apart**2).sum())
    assert row["p_mcnemar"] == pytest.approx(stats.chi2.sf(statistic, 1))


def test_there_is_a_row_for_every_two_arms_in_order_of_their_auroc(run):
    assert run.pairs.columns.tolist() == list(COLUMNS)
    order = run.results["arm"].tolist()
    assert [order.index(one) < order.index(other) for one, other in run.pairs[["arm", "other"]].values] == [True] * 6
    assert (run.pairs["p_adjusted"] >= run.pairs["p"]).all()
    best = run.comparisons.set_index("arm")
    turned = pairs_of(run.pairs, order[0]).set_index("arm")
    for name in ("difference", "lo", "hi", "p"):
        assert turned.loc[best.index, name].tolist() == pytest.approx(best[name].tolist()), name
    back = pairs_of(pairs_of(run.pairs, WEAK), GOOD)
    assert back["arm"].tolist() == [WEAK] and back["only_arm_wrong"].iloc[0] > back["only_other_wrong"].iloc[0]


@pytest.mark.parametrize(("classes", "by_case"), [(3, True), (2, False)])
def test_pairs_of_more_classes_and_without_cases(classes, by_case):
    row = finished(make_run(classes, by_case=by_case)).pairs.iloc[0]
    assert row[["sensitivity_p", "balanced_accuracy_p", "brier_p", "p_mcnemar"]].astype(float).max() < 0.05


def test_arms_with_the_same_scores_do_not_differ():
    run = with_near(make_run())
    for (arm, repeat, fold), record in list(run.records.items()):
        if arm == NEAR:
            record["scores"] = run.records[GOOD, repeat, fold]["scores"]
    row = finished(run, reference=Reference(GOOD, 0.02, True))
    pair = row.pairs[row.pairs["other"] == NEAR].iloc[0]
    assert pair[["p", "p_adjusted", "sensitivity_p", "brier_p", "p_mcnemar"]].tolist() == [1] * 5
    assert pair[list(OF_CALLS)].tolist() == [0, 0, 1]
    against = row.against_reference.set_index("arm").loc[NEAR]
    assert against["p_noninferior"] == pytest.approx(0.98**18) and against["verdict"] == "not shown"


def test_the_best_is_corrected_and_says_how_often_each_is_the_best(run):
    table = run.best_of_many.copy()
    assert table["arm"].tolist() == [arm for arm in run.results["arm"] if arm != FLOOR]
    assert table["chosen"].sum() == pytest.approx(1) and 0 < table["chosen"].iloc[1] < 1
    best = table.iloc[0]
    assert table["corrected"].notna().tolist() == [True, False, False] and best["arms"] == 3 and best["shared"] == 0
    assert best["corrected_lo"] < best["corrected"] <= best["auroc"] < best["corrected_hi"]
    limits = f"{best['corrected_lo']:.3f} to {best['corrected_hi']:.3f}"
    assert best_of_many_in_words(table) == (
        "The choice among 3 arms hardly flatters the best one: corrected for that choice, its AUROC is "
        f"{best['auroc']:.3f} (95 % limits {limits}, usually wider than needed)."
    )
    table.loc[0, "corrected"] -= 0.01
    assert best_of_many_in_words(table) == (
        "The best of 3 arms is partly the luckiest: corrected for that choice, its AUROC is "
        f"{best['auroc'] - 0.01:.3f} (95 % limits {limits}, usually wider than needed)."
    )


def test_the_best_of_arms_without_errors_is_no_surer_than_its_cases_make_it():
    run = make_run()
    for trial in run.trials:
        y = run.manifest.labels[run.tested(trial)]
        run.records[trial.key]["scores"] = np.where(y == 1, 0.9, 0.1).tolist()
    resampled = resample(run)
    best = best_of_many_table(run, resampled).iloc[0]
    assert (best["corrected"], best["corrected_hi"], best["chosen"], best["shared"]) == (1, 1, 0.5, 1)
    assert chosen_in_words(best_of_many_table(run, resampled), {GOOD: "good", WEAK: "weak"}) == (
        "When cases are drawn anew, weak is the best arm in 50% of the draws; of the others most often good, in 50%. "
        "In 100% of them several arms are equally best and share the draw."
    )
    assert best["corrected_lo"] == pytest.approx(stats.binomtest(18, 18).proportion_ci(method="exact").low)
    row = reference_table(run, resampled, Reference(GOOD, 0.02, True)).iloc[0]
    # none of 18 cases differs: 70 % of studies would say so if the arm failed in one case of fifty
    assert row["verdict"] == "not shown" and row["p_noninferior"] == pytest.approx(0.98**18)


def test_the_best_arm_without_errors_is_no_surer_for_having_had_a_near_rival():
    run = make_run()
    for trial in run.trials:
        y = run.manifest.labels[run.tested(trial)]
        score = np.where(y == 1, 0.9, 0.1)
        if str(trial.arm) == WEAK and trial.fold == 0:
            score[np.flatnonzero(y == 1)[0]] = 0.1
        run.records[trial.key]["scores"] = score.tolist()
    whole = finished(run)
    best, clopper = whole.best_of_many.iloc[0], stats.binomtest(18, 18).proportion_ci(method="exact").low
    assert best["arm"] == GOOD and best["auroc"] == 1 and best["chosen"] < 0.97
    assert best["corrected_lo"] == pytest.approx(clopper) and best["corrected_hi"] == 1
    assert f"(95 % limits {clopper:.3f} to 1.000)" in best_of_many_in_words(whole.best_of_many)


def test_the_lower_limit_of_the_best_is_never_above_that_of_the_results():
    """Case effects of heavy tails in 12 cases: percentiles of draws miss how much two or three cases matter."""
    rng = np.random.default_rng(5)
    run = make_run(n=96, cases=12)
    cases, y = run.manifest.cases, run.manifest.labels
    shared = rng.standard_t(2, size=(12, 2))[cases, y]
    latent = {GOOD: 3 * y + shared + rng.normal(size=96), WEAK: y + shared + rng.normal(size=96), FLOOR: np.zeros(96)}
    for trial in run.trials:
        run.records[trial.key]["scores"] = expit(latent[str(trial.arm)][run.tested(trial)]).tolist()
    whole, found = finished(run), resample(run)
    best, own = whole.best_of_many.iloc[0], whole.results.set_index("arm").loc[GOOD]
    only = best_of_many(found.auroc[:2], found.drawn[:2], found.outside[:2]).figures
    assert np.percentile(only, 2.5) > own["auroc_lo"] + 0.1 and best["corrected_hi"] == np.percentile(only, 97.5)
    assert best["corrected_lo"] == pytest.approx(own["auroc_lo"])


def test_one_arm_is_not_chosen_and_too_few_cases_tell_nothing():
    alone = finished(end(make_run(), WEAK, "failed", "no luck"))
    assert alone.best_of_many.empty and best_of_many_in_words(alone.best_of_many) == ""
    nothing = finished(make_run())
    nothing.records.clear()
    assert nothing.best_of_many.empty and nothing.pairs.empty and nothing.pairs.columns.tolist() == list(COLUMNS)
    run = make_run()
    found = resample(run)
    table = best_of_many_table(run, replace(found, outside=np.full_like(found.outside, np.nan)))
    assert best_of_many_in_words(table) == (
        "The best of 2 arms is partly the luckiest; by how much cannot be told from so few cases."
    )


def test_the_reference_is_compared_as_students_t_on_pseudo_values_says(run):
    table = run.against_reference.set_index("arm")
    assert table.columns.tolist() == list(OF_REFERENCE[1:])
    assert sorted(table.index) == sorted([NEAR, WEAK])  # the floor is no rival
    pair = pairs_of(run.pairs, GOOD).set_index("arm").loc[WEAK]
    row = table.loc[WEAK]
    assert row[["difference", "lo", "hi", "p"]].tolist() == pytest.approx(
        pair[["difference", "lo", "hi", "p"]].tolist()
    )
    assert row["difference"] < 0 and row["verdict"] == "inferior" and row["p_noninferior"] > 0.99
    near, found = table.loc[NEAR], resample(run)
    at = [found.names.index(arm) for arm in (NEAR, GOOD)]
    value, without = found.auroc[at[0]] - found.auroc[at[1]], found.left_out[at[0]] - found.left_out[at[1]]
    pseudo = 18 * value - 17 * without
    oracle = stats.t.sf((value + 0.05) / (pseudo.std(ddof=1) / np.sqrt(18)), 17)  # ours has no more degrees of freedom
    assert oracle * (1 - 1e-6) <= near["p_noninferior"] < 0.001 and near["p_equivalent"] < 0.001
    assert near["verdict"] == "equivalent" and -0.05 < near["lo_90"] < near["hi_90"] < 0.05
    assert (table["p_noninferior_adjusted"] >= table["p_noninferior"]).all()


def test_a_wide_difference_is_not_shown_and_one_without_margin_says_so():
    few = finished(reference=Reference(NEAR, 0.0001, False))
    row = few.against_reference.set_index("arm").loc[GOOD]
    assert row["verdict"] == "not shown" and row["named"] == "after the first trial"
    plain = finished(reference=Reference(GOOD, None, True)).against_reference
    assert plain[["margin", "lo_90", "p_noninferior", "p_equivalent_adjusted"]].isna().all(axis=None)
    lost = finished(end(with_near(make_run()), GOOD, "failed", "no luck"), reference=Reference(GOOD, 0.02, True))
    assert lost.against_reference.empty and lost.against_reference.columns.tolist() == list(OF_REFERENCE)
    assert reference_in_words(lost.reference, lost.against_reference, {})[1] == (
        "There is nothing to compare with it: no other arm is finished, or it is not."
    )


def test_the_reference_in_words(run):
    names = plain_arms([GOOD, WEAK, NEAR])
    said = reference_in_words(run.reference, run.against_reference, names)
    assert said[0] == (
        "The reference is good + logistic regression, with a margin of 0.05 in AUROC, named before the first trial was "
        "run."
    )
    assert said[1].startswith(
        "near + logistic regression is equivalent: neither better nor worse than it by 0.05 or more (difference -0.0"
    )
    assert said[2].startswith("weak + logistic regression is worse than it beyond chance (difference -0.4")
    late = reference_in_words(replace(run.reference, before=False), run.against_reference, names)
    assert late[0].endswith("named after the first trial was run, so that what follows is no test of a plan.")
    several = run.against_reference.assign(verdict="not shown")
    assert reference_in_words(run.reference, several, names)[1:] == [
        "Two other arms are neither told from it nor shown to be worse by less than 0.05."
    ]


def test_the_journal_knows_whether_the_reference_was_named_before(tmp_path):
    trial = {"arm": GOOD, "repeat": 0, "fold": 0, "status": "done"}
    journal = Journal(tmp_path / "journal.jsonl")
    journal.start({"seed": 0})
    note_reference(journal, None, None)
    assert journal.reference() is None and len(journal._lines()) == 1
    note_reference(journal, WEAK, 0.05)  # before any trial it may be changed
    note_reference(journal, GOOD, 0.02)
    assert journal.reference() == {"arm": GOOD, "margin": 0.02, "before": True}
    journal.append(trial)
    note_reference(journal, GOOD, 0.02)
    assert Reference.of(journal) == Reference(GOOD, 0.02, True) and len(journal._lines()) == 4
    note_reference(journal, GOOD, 0.1)  # another margin is another plan
    assert not journal.reference()["before"]
    note_reference(journal, None, None)
    assert journal.reference() is None and Reference.of(journal) is None
    note_reference(journal, WEAK, 0.05)
    assert not journal.reference()["before"], "what was put aside before the first trial is no plan"
    note_reference(journal, GOOD, 0.02)
    assert journal.reference()["before"] and journal.read() == {(GOOD, 0, 0): trial}


def content_of(run):
    names = plain_arms(run.results["arm"])
    return SimpleNamespace(
        run=run,
        loaded=SimpleNamespace(run=run, identity={"threshold": "balanced", "scheme": "cv"}),
        results=run.results,
        comparisons=run.comparisons,
        pairs=run.pairs,
        best_of_many=run.best_of_many,
        reference=run.reference,
        against_reference=run.against_reference if run.reference else None,
        names=names,
        leak_price=None,
        sites=None,
        external=None,
        show_names=False,
    )


@pytest.mark.parametrize(
    ("share", "said"), [(0, "0%"), (0.003, "under 1%"), (0.4, "40%"), (0.998, "over 99%"), (1, "100%")]
)
def test_a_share_of_draws_is_all_or_none_only_if_it_is(share, said):
    table = pd.DataFrame({"arm": ["a", "b"], "chosen": [share, 1 - share], "shared": share})
    text = chosen_in_words(table, {"a": "A", "b": "B"})
    assert f"A is the best arm in {said} of the draws" in text and (f" In {said} of them several" in text) == (
        share > 0
    )


def test_the_answer_follows_the_plan_before_the_luckiest(run):
    planned = whole_answer(content_of(run))
    starts = ["The reference is", "near +", "weak +", "The best arm is", "The choice among 3 arms"]
    assert [said.startswith(start) for said, start in zip(planned, starts, strict=True)] == [True] * 5
    late = whole_answer(content_of(finished(reference=Reference(GOOD, 0.05, False))))
    assert late[0].startswith("The best arm is") and "no test of a plan" in late[3]
    without = whole_answer(content_of(finished()))
    assert (
        without[0].startswith("The best arm is")
        and "not differ from it beyond chance" in without[2]
        and len(without) == 3
    )


def test_what_a_run_was_asked_beside_takes_the_place_of_what_may_have_been_missed():
    content = content_of(finished())
    best = content.results["arm"][0]
    assert "may have been missed" in whole_answer(content)[-1]
    price = {"arm": best, "status": "done", "auroc_by_image": 0.99, "auroc_price": 0.1}
    content.leak_price = pd.DataFrame([price | {"auroc_price_lo": 0.05, "auroc_price_hi": 0.15}])
    said = whole_answer(content)
    assert said[-1] == "A split by image would have shown 0.990, +0.100 (+0.050 to +0.150)."
    assert not any("missed" in sentence for sentence in said)
    planned = content_of(finished(reference=Reference(GOOD, 0.05, True)))
    planned.leak_price = content.leak_price
    assert whole_answer(planned)[-1] == said[-1], "a plan leaves out no answer"


def test_the_section_sets_every_arm_beside_the_reference_or_the_best(run):
    filled = section.fill(content_of(run))
    assert filled["base"] == "good + logistic regression" and filled["is_reference"] and filled["margin"] == 0.05
    assert [row["arm"] for row in filled["rows"]] == ["near + logistic regression", "weak + logistic regression"]
    weak = filled["rows"][1]
    assert weak["verdict"] == "inferior" and weak["cells"][0][0].startswith("−0.4") and weak["mcnemar"] == "p < 0.001"
    plain = section.fill(content_of(finished()))
    best = finished().results["arm"][0]
    assert plain["base"] == plain_arms([GOOD, NEAR])[best] and not plain["is_reference"]
    assert plain["rows"][0]["noninferior"] == "–"
    share = run.best_of_many["chosen"]
    assert plain["said"] == (
        f"When cases are drawn anew, {plain['base']} is the best arm in {share[0]:.0%} of the draws; of the others "
        f"most often {plain['rows'][0]['arm']}, in {share[1]:.0%}."
    )
    assert section.fill(content_of(finished(end(make_run(), WEAK, "failed", "no luck")))) is None
    assert math.isfinite(run.pairs["p_mcnemar"].max())
