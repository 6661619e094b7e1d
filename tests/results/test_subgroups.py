"""Subgroups: figures of groups of images, what sets them apart from the rest, and what cannot be told."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.running import run_study
from helpers.runs import GOOD, WEAK, end, make_run
from scipy import stats
from sklearn.metrics import average_precision_score, brier_score_loss, recall_score, roc_auc_score

from glomfeat.core.arms import FLOOR, StudyError
from glomfeat.data.splits import fold_rows
from glomfeat.data.subgroups import MISSING, OF_USER, make_groups
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.report.content import read_content
from glomfeat.report.drawing import to_chart
from glomfeat.report.figures import subgroups as figure
from glomfeat.report.page import section_html
from glomfeat.report.sections import subgroups as section
from glomfeat.results.save import write_table
from glomfeat.results.subgroup_words import best_in, read_subgroups, shown_values, subgroups_in_words
from glomfeat.results.subgroups import COLUMNS, COMPARED, FIGURES, subgroups_table
from glomfeat.results.tables import results_table

pytestmark = pytest.mark.usefixtures("dealt_once")


def with_columns(run, **columns):
    """The run with columns of the user's."""
    table = run.manifest.table.assign(**{OF_USER + name: values for name, values in columns.items()})
    return replace(run, manifest=replace(run.manifest, table=table))


def table_of(run, *asked, arms=(GOOD,)):
    few = replace(run, trials=[trial for trial in run.trials if str(trial.arm) in arms])
    return subgroups_table(few, [make_groups(run.manifest.table, one) for one in asked])


def by_hand(run, rows, without=None):
    """Figures of the arm `GOOD` on some rows of the manifest, from the records alone, without a case."""
    cases, areas, pairs, precisions, pooled = run.manifest.table["case"].to_numpy(), [], [], [], {}
    for (arm, repeat, fold), record in run.records.items():
        if arm != GOOD:
            continue
        tested = fold_rows(run.folds, repeat, fold)[1]
        use = np.isin(tested, rows) & (cases[tested] != without)
        y, score = run.manifest.labels[tested][use], np.array(record["scores"])[use]
        if len(set(y)) == 2:
            areas.append(roc_auc_score(y, score))
            pairs.append((y == 1).sum() * (y == 0).sum())
            precisions.append(average_precision_score(y, score))
        called = score >= 0.5, score >= record["threshold"]
        pooled.setdefault(repeat, []).append(np.column_stack([y, score, *called]))
    found = {"auroc": [np.average(areas, weights=pairs)] if areas else [], "average_precision": precisions}
    for parts in pooled.values():
        y, score, natural, at = np.concatenate(parts).T
        for end_, called in (("", natural), ("_t", at)):
            for name, label in (("sensitivity", 1), ("specificity", 0)):
                value = recall_score(y, called, pos_label=label) if (y == label).any() else np.nan
                found.setdefault(name + end_, []).append(value)
        found.setdefault("brier", []).append(brier_score_loss(y, score) if len(y) else np.nan)
    means = {name: np.mean(values) if values else np.nan for name, values in found.items()}
    for end_ in ("", "_t"):
        means[f"balanced_accuracy{end_}"] = (means[f"sensitivity{end_}"] + means[f"specificity{end_}"]) / 2
    return means


def of_trials(number):
    """What a note says of figures of some of the six trials."""
    return f"AUROC and average precision are of {number} of 6 trials that test it: the others lack a class of it"


def satterthwaite(left_out):
    apart = left_out - left_out.mean()
    freedom = min(len(apart) - 1, 3 * (apart**2).sum() ** 2 / (apart**4).sum())
    return np.sqrt((len(apart) - 1) / len(apart) * (apart**2).sum()), freedom


@pytest.fixture(scope="module")
def sited():
    """Three sites by case, but for cases P00 and P01, whose images lie in two; ages, and some without one."""
    run = make_run()
    case = run.manifest.cases
    site = np.array(["north", "south", "west"], object)[case % 3]
    site[np.isin(case, [0, 1]) & (np.arange(len(case)) % 2 == 0)] = "west"
    age = (case * 3.0).astype(object)
    age[case == 5] = None
    return with_columns(run, site=site, age=age, one=["same"] * len(case))


def test_figures_and_limits_are_those_of_the_rows_by_hand(sited):
    found = table_of(sited, "site").set_index(["arm", "value"])
    site, case = sited.manifest.table[f"{OF_USER}site"].to_numpy(), sited.manifest.table["case"].to_numpy()
    for value in ("north", "south", "west"):
        row, rows = found.loc[(GOOD, value)], np.flatnonzero(site == value)
        whole, mine = by_hand(sited, rows), sorted(set(case[rows]))
        without = [by_hand(sited, rows, one) for one in mine]
        labels = sited.manifest.labels
        of = [set(case[rows][labels[rows] == label]) for label in (0, 1)]
        assert (row["images"], row["cases"], row["positives"]) == (len(rows), len(mine), labels[rows].sum())
        assert row["note"] == "" and row["n_trials"] == 6
        for name in FIGURES:
            assert row[name] == pytest.approx(whole[name], abs=1e-12), name
            own = of[1] if name.startswith("sensitivity") else of[0] if name.startswith("specificity") else set(mine)
            left = [one[name] for one, left_out in zip(without, mine, strict=True) if left_out in own]
            holders = len(own) if name.startswith(("sens", "spec", "brier")) else min(map(len, of))
            ends = jackknife_limits(whole[name], left, holders=holders)
            assert (row[f"{name}_lo"], row[f"{name}_hi"]) == pytest.approx(ends, abs=1e-12), name


def test_a_difference_is_tested_by_leaving_out_each_case_on_both_sides(sited):
    found = table_of(sited, "site").set_index(["arm", "value"])
    site, case = sited.manifest.table[f"{OF_USER}site"].to_numpy(), sited.manifest.table["case"].to_numpy()
    row, mine, rest = found.loc[(GOOD, "west")], np.flatnonzero(site == "west"), np.flatnonzero(site != "west")
    assert set(case[mine]) & set(case[rest]) == {"P00", "P01"}
    labels = sited.manifest.labels
    of = [[len(set(case[rows][labels[rows] == label])) for label in (0, 1)] for rows in (mine, rest)]
    whole, beside = by_hand(sited, mine), by_hand(sited, rest)
    pairs = [(by_hand(sited, mine, one), by_hand(sited, rest, one)) for one in sorted(set(case))]
    for name in COMPARED:
        apart = whole[name] - beside[name]
        error, freedom = satterthwaite(np.array([one[name] - other[name] for one, other in pairs]))
        # the side with fewer cases that hold images of the figure's denominator
        holders = min(
            side[1] if name.startswith("sens") else side[0] if name.startswith("spec") else min(side) for side in of
        )
        freedom = min(freedom, holders - 1)
        step = stats.t.ppf(0.975, freedom) * error
        p = 2 * stats.t.sf(abs(apart) / error, freedom)
        said = [row[f"{name}{end}"] for end in ("_rest", "_difference", "_difference_lo", "_difference_hi", "_p")]
        assert said == pytest.approx([beside[name], apart, apart - step, apart + step, p], abs=1e-10), name


def test_p_is_adjusted_for_all_differences_of_an_arm_and_two_groups_have_one(sited):
    halves = with_columns(sited, half=np.where(sited.manifest.cases % 2, "a", "b"))
    found = table_of(halves, "half", "site")
    mine = found[found["arm"] == GOOD].set_index(["column", "value"])
    for name in COMPARED:
        assert mine.loc[("half", "a"), f"{name}_p"] == pytest.approx(mine.loc[("half", "b"), f"{name}_p"], abs=1e-12)
    once = [(name, group) for name in COMPARED for group in mine.index if group != ("half", "b")]
    p = np.array([mine.loc[group, f"{name}_p"] for name, group in once])
    order, by_holm, highest = np.argsort(p), np.empty(len(p)), 0.0
    for place, which in enumerate(order):
        highest = max(highest, min(1.0, p[which] * (len(p) - place)))
        by_holm[which] = highest
    for (name, group), adjusted in zip(once, by_holm, strict=True):
        assert mine.loc[group, f"{name}_p_holm"] == pytest.approx(adjusted, rel=1e-9)
        if group == ("half", "a"):
            assert mine.loc[("half", "b"), f"{name}_p_holm"] == pytest.approx(adjusted, rel=1e-9)


def test_a_column_without_another_value_has_no_difference_and_says_so(sited):
    found = table_of(sited, "one", arms=(GOOD, WEAK, FLOOR)).set_index("arm")
    results = results_table(sited).set_index("arm")
    for arm in (GOOD, WEAK, FLOOR):
        row = found.loc[arm]
        said = ["no tested image has another value: there is nothing to compare it with"]
        if arm == FLOOR:
            said.append("no limits, for it is the same without each case: AUROC, balanced accuracy at 0.5")
        assert row["note"].split("; ")[0] == said[0] and row["note"].startswith("; ".join(said))
        assert row[[f"{name}_difference" for name in COMPARED]].isna().all()
        for name in set(FIGURES) - {"balanced_accuracy_t", "auroc"}:
            assert row[name] == pytest.approx(results.loc[arm, name], abs=1e-12)
            ends = results.loc[arm, [f"{name}_lo", f"{name}_hi"]].tolist()
            ends = [np.nan, np.nan] if ends[0] == ends[1] else ends  # which says nothing of how sure the figure is
            assert row[[f"{name}_lo", f"{name}_hi"]].tolist() == pytest.approx(ends, nan_ok=True)
    said = subgroups_in_words(table_of(sited, "one"), results_table(sited))
    assert said == [
        f"Subgroups: whether {GOOD} differs between the one group of one cannot be told.",
        "Of one group no difference can be tested: subgroups.csv says why.",
    ]


def test_groups_of_one_class_or_one_case_say_what_is_missing(sited):
    label, case = sited.manifest.labels, sited.manifest.cases
    kind = np.where(case == 7, "lone", np.where((label == 1) & (case > 12), "only b", "others"))
    found = table_of(with_columns(sited, kind=kind), "kind")
    mine = found[found["arm"] == GOOD].set_index("value")
    lone, one_class = mine.loc["lone"], mine.loc["only b"]
    said = "fewer than two cases: no limits and no p"
    assert lone["note"] == said and lone["n_trials"] == 2 and np.isfinite(lone["auroc"])
    assert lone[[f"{name}{end}" for name in FIGURES for end in ("_lo", "_hi")]].isna().all()
    assert np.isfinite(lone["auroc_difference"]) and np.isnan(lone["auroc_p"])
    assert one_class["note"] == "it holds b only: what needs every class is empty"
    assert (
        one_class[["auroc", "average_precision", "specificity_t", "balanced_accuracy", "auroc_difference"]].isna().all()
    )
    known = one_class[["sensitivity", "sensitivity_t_lo", "brier_hi", "sensitivity_t_p_holm"]]
    assert known.notna().all() and one_class["n_trials"] == 0


def test_limits_that_hang_on_one_case_are_left_out_and_named(sited):
    label, case = sited.manifest.labels, sited.manifest.cases
    kind = np.where((case == 3) | ((label == 0) & (case < 9)), "few", "others")  # one case holds all positive ones
    found = table_of(with_columns(sited, kind=kind), "kind")
    row = found[(found["arm"] == GOOD) & (found["value"] == "few")].iloc[0]
    without = "auroc, average_precision, sensitivity, balanced_accuracy, sensitivity_t, balanced_accuracy_t"
    assert row["note"] == (
        f"{of_trials(row['n_trials'])}; {without}: nothing would be left without one of its cases, so there are no "
        "limits; difference of auroc, sensitivity, sensitivity_t: a side hangs on one case, so there are no limits and "
        "no p"
    )
    assert np.isfinite(row["auroc"]) and np.isnan(row["auroc_lo"]) and np.isfinite(row["specificity_lo"])
    assert np.isnan(row["auroc_p"]) and np.isfinite(row["specificity_p"])


def test_arms_that_are_not_done_and_groups_that_are_not_tested_say_so(sited):
    run = end(replace(sited, records=dict(sited.records)), WEAK, "failed", "no luck", folds=[0])
    found = table_of(run, "site", arms=(GOOD, WEAK)).set_index(["arm", "value"])
    assert found.loc[(WEAK, "north"), ["status", "note"]].tolist() == ["partial", "its trials are not all done"]
    assert np.isnan(found.loc[(WEAK, "north"), "auroc"])
    assert np.isfinite(found.loc[(GOOD, "north"), "auroc_p_holm"])
    held = make_run(scheme="holdout", n=400, cases=100)
    tested = held.manifest.table["name"].isin(held.folds.loc[held.folds["fold"] == "outer-test", "name"])
    found = table_of(with_columns(held, kind=np.where(tested, "in", "out")), "kind").set_index(["arm", "value"])
    assert found.loc[(GOOD, "out"), "note"] == "none of its images is tested"
    assert found.loc[(GOOD, "in"), "images"] == tested.sum()


def test_images_without_a_value_are_a_group_and_no_part_of_the_rest(sited):
    found = table_of(sited, "age:20,40")
    mine = found[found["arm"] == GOOD].set_index("value")
    assert list(mine.index) == ["below 20", "20 to below 40", "40 or more", MISSING]
    assert mine.loc[MISSING, "cases"] == 1
    case = sited.manifest.cases
    rest = np.flatnonzero((case >= 7) & (case != 5))
    assert mine.loc["below 20", "auroc_rest"] == pytest.approx(by_hand(sited, rest)["auroc"])


def test_more_classes_are_compared_at_the_natural_decision():
    run = make_run(classes=3)
    found = table_of(with_columns(run, half=np.where(run.manifest.cases % 2, "a", "b")), "half")
    mine = found[found["arm"] == GOOD].set_index("value")
    row, rows, areas, pairs = mine.loc["a"], np.flatnonzero(run.manifest.cases % 2), [], []
    for (arm, repeat, fold), record in run.records.items():
        if arm == GOOD:
            tested = fold_rows(run.folds, repeat, fold)[1]
            use = np.isin(tested, rows)
            y, score = run.manifest.labels[tested][use], np.array(record["scores"])[use]
            areas.append(roc_auc_score(y, score, multi_class="ovr"))
            pairs.append(len(y) ** 2 - (np.bincount(y) ** 2).sum())
    assert row["auroc"] == pytest.approx(np.average(areas, weights=pairs)) != pytest.approx(np.mean(areas))
    assert np.isfinite(row["sensitivity_p"]) and np.isnan(row["sensitivity_t"]) and np.isnan(row["sensitivity_t_p"])


def with_scores(run, score_of):
    """The run with other scores of the arm `GOOD`: ``score_of(score, label, rows)`` of each trial."""
    records = dict(run.records)
    for key, record in records.items():
        if key[0] == GOOD:
            rows = fold_rows(run.folds, *key[1:])[1]
            records[key] = record | {"scores": score_of(np.array(record["scores"]), run.manifest.labels[rows], rows)}
    return replace(run, records=records)


def test_a_group_without_errors_does_not_differ_by_that_alone(sited):
    """Leaving out its cases would make it perfectly sure; five cases without errors are not."""
    small = sited.manifest.cases < 5
    run = with_scores(sited, lambda score, y, rows: np.where(small[rows], y, score).tolist())
    table = table_of(with_columns(run, batch=np.where(small, "old", "new")), "batch")
    row = table.set_index("value").loc["old"]
    rest = np.flatnonzero(~small)
    left = [by_hand(run, rest, case) for case in sorted(set(run.manifest.table["case"].to_numpy()[rest]))]
    others = by_hand(run, rest)
    for name in COMPARED:
        assert row[name] == 1.0
        beside = others[name]
        error, freedom = satterthwaite(np.array([one[name] for one in left]))
        step = stats.t.ppf(0.975, freedom) * error / (beside * (1 - beside))
        highest = 1 / (1 + np.exp(-np.log(beside / (1 - beside)) - step))
        surely = 0.025 ** (1 / 5)  # with less than that, five of five cases would be right in less than 2.5 %
        low = 1 - beside - np.hypot(1 - surely, highest - beside)
        assert row[f"{name}_difference_lo"] == pytest.approx(low, abs=1e-9) and low < 0
        t = stats.t.ppf(0.975, 4) * (1 - beside) / (1 - beside - low)
        assert row[f"{name}_p"] == pytest.approx(2 * stats.t.sf(t, 4), abs=1e-9) and row[f"{name}_p"] > 0.05
    assert subgroups_in_words(table, results_table(run))[0].startswith("Subgroups: in none of the two groups of batch")


@pytest.mark.parametrize("end_", ["", "_t"])
def test_a_group_in_which_nothing_is_missed_has_no_surer_balanced_accuracy(sited, end_):
    """Of each class of the group, the distance from share to limit; their squares add up."""
    run = with_scores(sited, lambda score, y, rows: np.where(y == 1, 0.9, score).tolist())
    row = table_of(run, "site").set_index("value").loc["south"]
    assert row[f"sensitivity{end_}"] == 1 > row[f"specificity{end_}"]
    for side in ("lo", "hi"):
        apart = [row[f"{name}{end_}_{side}"] - row[f"{name}{end_}"] for name in ("sensitivity", "specificity")]
        mean = row[f"balanced_accuracy{end_}"]
        assert abs(row[f"balanced_accuracy{end_}_{side}"] - mean) == pytest.approx(np.hypot(*apart) / 2)


def test_a_group_of_which_nothing_is_found_differs(sited):
    west = sited.manifest.cases % 3 == 2
    run = with_scores(sited, lambda score, y, rows: np.where(west[rows], score / 1e3, y * 0.6 + score * 0.1).tolist())
    table = table_of(with_columns(run, site=np.where(west, "west", "east")), "site").set_index("value")
    assert table.loc["west", ["sensitivity", "sensitivity_rest"]].tolist() == [0, 1]
    assert table.loc["west", "sensitivity_p_holm"] < 0.05 and table.loc["west", "sensitivity_difference_hi"] < -0.2


def test_a_side_that_no_case_changes_has_no_difference_with_limits(sited):
    west = sited.manifest.cases % 3 == 2
    run = with_scores(sited, lambda score, y, rows: np.where(west[rows], 0.4, score).tolist())
    row = table_of(with_columns(run, site=np.where(west, "west", "east")), "site").set_index("value").loc["west"]
    assert row["auroc"] == 0.5 and np.isfinite(row["auroc_difference"])
    assert row[["auroc_difference_lo", "auroc_difference_hi", "auroc_p", "auroc_p_holm"]].isna().all()
    said = "difference of auroc: a side is the same without each case, so there are no limits and no p"
    assert said in row["note"].split("; ")[0]


def test_a_planted_difference_is_found_and_told(sited):
    south = sited.manifest.cases % 3 == 1
    run = with_scores(sited, lambda score, y, rows: np.where(south[rows], 1 - score, score).tolist())
    run = with_columns(run, site=np.where(south, "south", "north"))
    table, results = table_of(run, "site"), results_table(run)
    row = best_in(table, results).set_index("value").loc["south"]
    (said,) = subgroups_in_words(table, results, {GOOD: "the good one"})
    assert best_in(table, results)["arm"].unique() == [GOOD] and row["auroc_p_holm"] < 0.001
    apart = f"{row['auroc_difference']:+.3f} to the rest, 95 % limits {row['auroc_difference_lo']:+.3f} to "
    assert said.startswith("Subgroups: of the two groups of site, the good one differs from the rest beyond chance in ")
    assert f"site south (AUROC {row['auroc']:.3f}, {apart}{row['auroc_difference_hi']:+.3f}; " in said


def test_a_difference_that_there_cannot_be_is_not_told(sited):
    table, results = table_of(sited, "site"), results_table(sited)
    rows = best_in(table, results)
    assert ((rows["auroc_difference_lo"] >= -1) & (rows["auroc_difference_hi"] <= 1)).all()
    mine = table["arm"] == rows["arm"].iloc[0]
    table.loc[mine, "auroc_difference_lo"] = -0.25
    assert "allow it to be worse in one by 0.250 in AUROC." in subgroups_in_words(table, results)[0]
    table.loc[mine, "auroc_difference_lo"] = -1.0
    assert "one or more are so small that these cases allow any difference" in subgroups_in_words(table, results)[0]


def test_what_cannot_be_tested_is_not_said_not_to_differ(sited):
    """All positives of one of two groups are of one case, so that its AUROC and sensitivity hang on that case."""
    cases, noise = sited.manifest.cases, np.random.default_rng(0).normal(size=len(sited.manifest))
    site = np.where(cases < 6, "north", "south")
    label = np.where((cases > 0) & (cases < 6), 0, sited.manifest.labels)
    run = with_columns(sited, site=site)
    run = replace(run, manifest=replace(run.manifest, table=run.manifest.table.assign(label=label)))
    run = with_scores(run, lambda _, y, rows: (1 / (1 + np.exp(1.5 - 3 * y - noise[rows]))).tolist())
    found, results = table_of(run, "site"), results_table(run)
    assert found["auroc_difference"].notna().all() and found["auroc_p"].isna().all()
    assert found["specificity_t_p"].notna().all()
    first, second = subgroups_in_words(found, results)
    assert first.startswith("Subgroups: in none of the two groups of site does")
    assert first.endswith("differ from the rest beyond chance in what can be tested.")
    assert second == "Of two groups differences of AUROC or sensitivity cannot be tested: subgroups.csv says why."


def test_values_of_one_case_each_are_numbers_unless_names_are_asked_for(sited):
    table = table_of(sited, "slide", "site")
    mine = best_in(table, results_table(sited))
    shown = shown_values(mine)
    assert shown[:2] == ["value 1", "value 2"] and shown[-3:] == ["north", "south", "west"]
    assert shown_values(mine, show_names=True) == mine["value"].tolist()
    assert "P00" not in " ".join(subgroups_in_words(table, results_table(sited)))


def test_a_value_of_two_cases_does_not_show_those_of_one_beside_it(sited):
    """Surnames that two patients share are still hidden; a site of one patient does not hide the other sites."""
    case, age = sited.manifest.table["case"].to_numpy(), sited.manifest.cases % 3
    surname = np.where(np.isin(case, ["P00", "P01"]), "KOCH", np.char.add("WOLF", case.astype(str)))
    site = np.where(case == "P05", "Oslo", np.where(age == 0, "Bergen", "Rome"))
    table, results = table_of(with_columns(sited, surname=surname, site=site), "surname", "site"), results_table(sited)
    mine = best_in(table, results)
    assert mine["cases"].value_counts().to_dict()[1] == 17 and set(mine["cases"]) > {1, 2}
    assert shown_values(mine) == [*(f"value {number}" for number in range(1, 18)), "Bergen", "value 2", "Rome"]
    assert shown_values(mine, show_names=True) == mine["value"].tolist()


def test_the_table_is_read_as_it_was_written(sited, tmp_path):
    named = with_columns(sited, kind=np.array(["NA", "007", "é"], object)[sited.manifest.cases % 3])
    table = table_of(named, "kind")
    write_table(table, tmp_path / "subgroups.csv")
    found = read_subgroups(tmp_path / "subgroups.csv")
    assert list(found.columns) == list(COLUMNS) and found["value"].tolist()[:3] == ["007", "NA", "é"]
    np.testing.assert_allclose(found["auroc_p"], table["auroc_p"].astype(float), rtol=1e-5)
    assert read_subgroups(None) is None


@pytest.fixture
def with_sites(feature_table, tmp_path):
    """The feature table with a column of sites, one of them without a value."""
    frame = pd.read_csv(feature_table)
    frame["site"] = np.where(np.arange(len(frame)) % 3 == 0, "A", np.where(np.arange(len(frame)) % 3 == 1, "B", None))
    path = tmp_path / "sites.csv"
    frame.to_csv(path, index=False)
    return path


def test_subgroups_are_asked_for_after_a_run_and_change_nothing_of_it(with_sites, tmp_path):
    options = {"data": str(with_sites), "reducers": ("none",), "heads": ("logreg",)}
    run_study(tmp_path, **options)
    out = tmp_path / "out"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert "subgroups.csv" not in before
    _, _, _, said = run_study(tmp_path, subgroups=("site",), **options)
    images = len(pd.read_csv(with_sites))
    bare = images // 3
    of = f"{bare} of {images} images have no value and are a group of their own, (missing)"
    assert f"subgroups: site: 2 groups, a value each; {of}" in said
    assert sum(line.startswith("Subgroups: ") for line in said) == 1
    for name in ("results.csv", "predictions.parquet", "trials.csv", "folds.csv"):
        assert (out / name).read_bytes() == before[name], name
    first = (out / "subgroups.csv").read_bytes()
    (out / "subgroups.csv").unlink()
    run_study(tmp_path, subgroups=("site",), **options)
    assert (out / "subgroups.csv").read_bytes() == first
    content = read_content(out)
    picture = figure.draw(content)
    page = section_html(section, content, [to_chart(picture)])
    best = best_in(content.subgroups, content.results)
    assert "Subgroups: " in page and "<td>(missing)</td>" in page and 'id="figure-subgroups"' in page
    assert [f"site {row.value} {row.auroc:.3f}" for row in best.itertuples()] == re.findall(
        r"site \S+ 0\.\d+", picture.alt
    )
    assert "subgroups.csv holds the other arms." in page


def test_what_cannot_be_grouped_is_refused_before_work_begins(with_sites, tmp_path):
    options = {"data": str(with_sites), "reducers": ("none",), "heads": ("logreg",)}
    with pytest.raises(ValueError, match=r"--subgroups 'sit' is no column of .*sites\.csv: allowed are site"):
        run_study(tmp_path, subgroups=("sit",), **options)
    with pytest.raises(
        ValueError, match=r"--subgroups site:10: 'site' cannot be cut, for \d+ of its \d+ values are no "
    ):
        run_study(tmp_path, subgroups=("site:10",), **options)
    with pytest.raises(StudyError, match="--subgroups is site site: give each name once"):
        run_study(tmp_path, subgroups=("site", "site"), **options)
