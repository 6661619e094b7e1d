"""What lies near each error: the true nearest training rows of its own trial, and how the page shows them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.running import run_study
from helpers.runs import manifest_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from glomfeat.comparison.explain import neighbours
from glomfeat.comparison.explain.neighbours import COLUMNS, nearest_rows, neighbours_table
from glomfeat.core.arms import Arm, Trial
from glomfeat.data.cases import pseudonyms
from glomfeat.report.nearest import neighbours as neighbours_of
from glomfeat.report.page import load_templates
from glomfeat.report.thumbnails import small_uri
from glomfeat.report.write import write_report
from glomfeat.results.calls import image_names
from glomfeat.results.nearest import Nearest, read_nearest

pytestmark = pytest.mark.usefixtures("dealt_once")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.sampled_from([80, 8 * 5 * 7, 10**6]), st.booleans())
def test_neighbours_are_those_of_scikit_learn_whatever_the_blocks(seed, k, block_bytes, reduced):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(40, 5)) * [1, 10, 1e3, 1e-3, 1] + [0, 5, 0, 0, 1e3]).astype(np.float32)
    order = rng.permutation(40)
    train, rows = np.sort(order[:30]), order[30:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "BLOCK_BYTES", block_bytes)
        near, distance = nearest_rows(X, train, rows, k, reduced)
    scaler = StandardScaler().fit(X[train].astype(float))
    if reduced:  # columns keep their variances
        scaler.scale_ = np.full(5, np.sqrt(X[train].astype(float).var(axis=0).mean()))
    brute = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(scaler.transform(X[train].astype(float)))
    far, found = brute.kneighbors(scaler.transform(X[rows].astype(float)))
    assert near.tolist() == train[found].tolist()
    np.testing.assert_allclose(distance, far, rtol=1e-6)


def test_columns_that_do_not_vary_and_few_training_rows_do_no_harm():
    X = np.array([[0, 7], [1, 7], [9, 7]], np.float32)
    near, distance = nearest_rows(X, np.array([0, 1]), np.array([2, 2]), k=3)
    assert near.tolist() == [[1, 0], [1, 0]] and np.isfinite(distance).all()


def test_equally_near_rows_come_in_the_order_of_the_manifest():
    near, distance = nearest_rows(np.ones((6, 2), np.float32), np.array([1, 2, 4, 5]), np.array([0]))
    assert near.tolist() == [[1, 2, 4]] and (distance == 0).all()


def tasks_of(X, manifest, scores, arm="f.v1/none/svm", threshold=0.5, repeat=0):
    """Trials of two folds, and their records."""
    rows, tasks, records = np.arange(len(X)), [], {}
    reduction = SimpleNamespace(matrix=X, does_nothing=False, rows=lambda: (X, 0.0, 0.0, []))
    for fold in (0, 1):
        test = rows[rows % 2 == fold]
        trial = Trial(Arm.parse(arm), repeat, fold)
        tasks.append(
            SimpleNamespace(
                trial=trial, train=np.setdiff1d(rows, test), test=test, labels=manifest.labels, reduction=reduction
            )
        )
        record = {"status": "done", "scores": np.asarray(scores)[test].tolist(), "threshold": threshold, "params": {}}
        records[trial.key] = record
    return tasks, records


def test_errors_are_at_the_threshold_and_the_surest_first():
    manifest, X = manifest_of(n=40, cases=10), np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    score = np.random.default_rng(1).random(40)
    tasks, records = tasks_of(X, manifest, score, threshold=0.3)
    table = neighbours_table(tasks, records, manifest, most=7, k=2)
    wrong = np.flatnonzero((score >= 0.3) != manifest.labels)
    surest = sorted(wrong, key=lambda row: -max((score[row] - 0.3) / 0.7, (0.3 - score[row]) / 0.3))[:7]
    names = manifest.table["name"].to_numpy()
    assert table.columns.tolist() == list(COLUMNS) and table["name"].tolist() == np.repeat(names[surest], 2).tolist()
    assert table["rank"].tolist() == [1, 2] * 7 and set(table["arm"]) == {"f.v1/none/svm"}
    place = {name: row for row, name in enumerate(names)}
    for row in table.itertuples():
        assert place[row.name] % 2 == int(row.fold) != place[row.neighbour] % 2  # tested there, learnt from there
        assert row.neighbour_label == manifest.labels[place[row.neighbour]]


def test_rows_that_are_wanted_besides_come_last_and_of_one_arm_only():
    manifest, X = manifest_of(n=40, cases=10), np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    tasks, records = tasks_of(X, manifest, manifest.labels * 0.8)  # no error
    others, more = tasks_of(X, manifest, manifest.labels * 0.8, arm="g.v1/none/svm")
    records[others[0].trial.key] = more[others[0].trial.key] | {"status": "failed"}
    table = neighbours_table([*tasks, *others], records | more, manifest, k=2, also=("f.v1/none/svm", [5, 2]))
    names = manifest.table["name"].to_numpy()
    assert table["name"].tolist() == np.repeat(names[[5, 2]], 2).tolist() and set(table["arm"]) == {"f.v1/none/svm"}
    tasks, records = tasks_of(X, manifest, 0.8 - manifest.labels * 0.8)  # errors only, the first of which are shown
    table = neighbours_table(tasks, records, manifest, most=3, k=1, also=("f.v1/none/svm", [0, 39]))
    assert len(set(table["name"])) == len(table) and table["name"].tolist()[-1] == names[39]


def test_only_done_trials_of_the_first_repeat_of_features_are_looked_at():
    manifest, X = manifest_of(n=40, cases=10), np.zeros((40, 2), np.float32)
    tasks, records = tasks_of(X, manifest, np.full(40, 0.9))
    later, more = tasks_of(X, manifest, np.full(40, 0.9), arm="g.v1/none/svm", repeat=1)
    nets, of_nets = tasks_of(X, manifest, np.full(40, 0.9), arm="net:compact")
    for task in nets:
        task.reduction = None
    records[tasks[0].trial.key]["status"] = "failed"
    table = neighbours_table([*tasks, *later, *nets], records | more | of_nets, manifest)
    assert set(table["arm"]) == {"f.v1/none/svm"} and set(table["fold"]) == {"1"}
    assert neighbours_table([], {}, manifest).columns.tolist() == list(COLUMNS)


def test_of_more_classes_the_largest_score_calls():
    manifest, X = manifest_of(classes=3, n=30, cases=6), np.eye(30, dtype=np.float32)
    score = np.random.default_rng(0).dirichlet([1, 1, 1], 30)
    tasks, records = tasks_of(X, manifest, score, threshold=float("nan"))
    table = neighbours_table(tasks, records, manifest)
    wrong = np.flatnonzero(score.argmax(axis=1) != manifest.labels)
    wanted = sorted(wrong, key=lambda row: -score[row].max())
    assert table["name"].drop_duplicates().tolist() == manifest.table["name"].iloc[wanted].tolist()


@pytest.mark.slow
def test_a_study_names_neighbours_from_other_cases_the_same_whatever_the_jobs(feature_table, tmp_path):
    data = {"data": str(feature_table), "heads": ("logreg",), "reducers": ("none", "ipca3")}
    run, *_ = run_study(tmp_path, **data)
    run_study(tmp_path, **data, jobs=2, out=str(tmp_path / "two"))
    written = (tmp_path / "out" / "neighbours.csv").read_bytes()
    assert written == (tmp_path / "two" / "neighbours.csv").read_bytes()
    table, case = pd.read_csv(tmp_path / "out" / "neighbours.csv"), run.manifest.table.set_index("name")["case"]
    assert (table["name"].map(case) != table["neighbour"].map(case)).all()
    assert table.groupby(["arm", "name"]).size().eq(3).all() and table["arm"].nunique() == 2
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet").set_index(["arm", "name"])
    wanted = predictions.loc[pd.MultiIndex.from_frame(table[["arm", "name"]]), "fold"]
    assert wanted.astype(int).tolist() == table["fold"].tolist()


def as_html(near):
    """What the page's template makes of neighbours."""
    return str(load_templates().get_template("parts/nearest.html").module.nearest(near))


def test_the_page_shows_pseudonyms_and_classes_of_neighbours(feature_table, tmp_path, without_figures):
    run, results, *_ = run_study(tmp_path, data=str(feature_table), heads=("svm",), folds=2)
    page = write_report(tmp_path / "out", results=results).read_text(encoding="utf-8")
    assert "nearest in training" in page and "with the training images that are nearest to them" in page
    assert not any(name in page for name in run.manifest.table["name"])
    manifest, arms = run.manifest, results["arm"]
    nearest = read_nearest(tmp_path / "out" / "neighbours.csv", arms, manifest)
    table = pd.read_csv(tmp_path / "out" / "neighbours.csv")
    first = table[table["arm"] == nearest.arm].iloc[:3]
    names = manifest.table["name"].tolist()
    row, near = names.index(first["name"].iloc[0]), [names.index(name) for name in first["neighbour"]]
    assert nearest.arm == results["arm"][0] and nearest.of[row] == near and set(near) <= set(nearest.rows([row]))
    html = as_html(neighbours_of(row, nearest, manifest, image_names(manifest), {}, small_uri))
    shown = pseudonyms(manifest.table["case"])
    assert all(f"<span>{shown[manifest.table['case'].iloc[other]]} · " in html for other in near)
    assert html.count('class="other"') == sum(manifest.labels[near] != manifest.labels[row])
    (tmp_path / "out" / "neighbours.csv").unlink()
    assert "nearest in training" not in write_report(tmp_path / "out", results=results).read_text(encoding="utf-8")


def test_an_error_among_the_other_class_is_flagged():
    manifest = manifest_of(n=40, cases=10)
    ones, zeros = np.flatnonzero(manifest.labels == 1).tolist(), np.flatnonzero(manifest.labels == 0).tolist()
    called = image_names(manifest)
    alone = as_html(neighbours_of(ones[0], Nearest("a", {ones[0]: zeros[:3]}), manifest, called, {}, small_uri))
    mixed = as_html(
        neighbours_of(ones[0], Nearest("a", {ones[0]: [ones[1], *zeros[:2]]}), manifest, called, {}, small_uri)
    )
    assert "nearest in training, all of another class" in alone and "flag" in alone
    assert "all of another class" not in mixed and "flag" not in mixed
    assert neighbours_of(zeros[0], Nearest(), manifest, called, {}, small_uri) is None
