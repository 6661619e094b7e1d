"""What shuffled columns cost: the planted ones most, nothing of it reaches a fit, and the page says what it means."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.running import run_study
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glomfeat.comparison.explain.importance import COLUMNS, column_groups, importance_table, stack_shuffled
from glomfeat.core.arms import Arm, Trial
from glomfeat.core.seeds import seed_for
from glomfeat.features.handcrafted.classical import GROUPS
from glomfeat.features.make import make_feature
from glomfeat.models.reducers.fit import reduce_rows
from glomfeat.report.arm_names import plain_arms
from glomfeat.report.figures.importance import draw as draw_importance
from glomfeat.report.write import write_report

pytestmark = pytest.mark.usefixtures("dealt_once")


def test_groups_of_classical_columns_are_its_own():
    groups = column_groups(make_feature("classical").columns)
    assert list(groups) == list(GROUPS)
    for name, columns in GROUPS.items():
        assert groups[name].tolist() == list(range(columns.start, columns.stop))


def test_few_columns_stand_alone_and_too_many_groups_are_none(feature_table):
    assert list(column_groups(["x.a", "x.b"])) == ["x.a", "x.b"]
    assert list(column_groups([f"{k % 3}.{k}" for k in range(41)])) == ["0", "1", "2"]
    assert column_groups([f"x{k}" for k in range(41)]) == {} == column_groups([])
    assert make_feature(f"file:{feature_table}").columns == [f"x{k}" for k in range(6)]


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_columns_of_a_group_move_together_and_others_stay(seed, draws):
    X = np.arange(60, dtype=np.float32).reshape(12, 5)
    train, test = np.arange(4), np.arange(4, 12)
    groups = {"a": np.array([0, 3]), "b": np.array([1])}
    stacked = stack_shuffled(X, train, test, groups, seed, draws)
    assert (stacked[:4] == X[train]).all() and (stacked[4:12] == X[test]).all()
    copies = stacked[12:].reshape(2, draws, 8, 5)
    for (name, columns), mine in zip(groups.items(), copies, strict=True):
        rest = np.setdiff1d(np.arange(5), columns)
        for draw, copy in enumerate(mine):
            assert (copy[:, rest] == X[test][:, rest]).all()
            order = np.random.default_rng(seed_for(seed, name, draw)).permutation(8)
            assert (copy[:, columns] == X[test][order][:, columns]).all()


@pytest.mark.parametrize("reducer", ["ipca3", "pca3"])
@pytest.mark.parametrize("width", [6, 50])
def test_shuffled_rows_never_reach_the_fit(reducer, width):
    X = np.random.default_rng(0).normal(size=(40, width)).astype(np.float32)
    train, test = np.arange(30), np.arange(30, 40)
    stacked = stack_shuffled(X, train, test, {"a": np.arange(3), "b": np.arange(3, 6)}, seed=0, draws=2)
    loud = stacked.copy()
    loud[40:] *= 1000
    alone, beside, shouted = (
        reduce_rows(reducer, rows, train, standardise=True)["rows"] for rows in (X, stacked, loud)
    )
    np.testing.assert_allclose(beside[:40], alone, atol=1e-5)
    np.testing.assert_allclose(shouted[:40], alone, atol=1e-5)


CHOSEN = {"logreg": {"logisticregression__C": 1.0}, "svm": {"svc__C": 1.0}, "xgboost": {"max_depth": 2}}


def trials_of(X, y, reducer="none", heads=("logreg",), feature="f.v1"):
    """Done trials of two folds, and their records."""
    rows, tasks, records = np.arange(len(X)), [], {}
    as_is = SimpleNamespace(name=reducer, matrix=X, filled=X, standardise=True, does_nothing=reducer == "none", ahead=0)
    as_is.card = False
    for head in heads:
        for fold in (0, 1):
            test = rows[rows % 2 == fold]
            trial = Trial(Arm(feature, reducer, head), 0, fold)
            shared = {"trial": trial, "seed": 3, "labels": y, "classes": 2, "threads": 1, "rule": "balanced"}
            shared["reduction"] = as_is
            tasks.append(SimpleNamespace(**shared, train=np.setdiff1d(rows, test), test=test))
            records[trial.key] = {"status": "done", "params": CHOSEN[head], "inner_auroc": 0.7}
    return tasks, records


def measure(tasks, records, names, free=10**10):
    said = []
    table = importance_table(
        tasks, records, [SimpleNamespace(name="f.v1", described=names)], 0, 1, 10**10, free, said.append
    )
    return table, said


def test_drops_are_those_of_a_plain_computation():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    X = (rng.normal(size=(120, 3)) + y[:, None] * [1.5, 0.3, 0]).astype(np.float32)
    tasks, records = trials_of(X, y)
    table, said = measure(tasks, records, ["a", "b", "c"])
    whole, drops = [], {name: [] for name in "abc"}
    for task in tasks:
        head = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
        head.fit(X[task.train], y[task.train])
        truth = y[task.test]
        whole.append(roc_auc_score(truth, head.predict_proba(X[task.test])[:, 1]))
        for place, name in enumerate("abc"):
            for draw in range(5):
                seed = seed_for(seed_for(0, "importance", "f.v1", task.trial.fold), name, draw)
                shuffled = X[task.test].copy()
                shuffled[:, place] = shuffled[np.random.default_rng(seed).permutation(len(truth)), place]
                drops[name].append(whole[-1] - roc_auc_score(truth, head.predict_proba(shuffled)[:, 1]))
    assert said == [] and table.columns.tolist() == list(COLUMNS) and table["group"][0] == "a"
    assert table["drop"].is_monotonic_decreasing and table["auroc"].tolist() == pytest.approx([np.mean(whole)] * 3)
    for row in table.itertuples():
        wanted = [np.mean(drops[row.group]), min(drops[row.group]), max(drops[row.group])]
        assert [row.drop, row.drop_lo, row.drop_hi] == pytest.approx(wanted, abs=1e-9)


SOON = [("none", "xgboost"), ("ipca8", "svm"), ("pca8", "logreg")]
EACH = [(reducer, head) for reducer in ("none", "ipca8", "pca8") for head in ("logreg", "svm", "xgboost")]


@pytest.mark.parametrize(
    ("reducer", "head"), [pytest.param(*both, marks=[pytest.mark.slow] * (both not in SOON)) for both in EACH]
)
def test_the_planted_group_costs_most(reducer, head):
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 160)
    X = rng.normal(size=(160, 60))
    X[:, 20:23] += 2 * y[:, None] + rng.normal(size=(160, 1))
    names = [f"{'abc'[k // 20]}.{k}" for k in range(60)]
    tasks, records = trials_of(X.astype(np.float32), y, reducer, (head,))
    table, _ = measure(tasks, records, names)
    assert table["group"][0] == "b" and table["drop"][0] > 0.1 > table["drop"][1:].max()
    assert table["columns"].tolist() == [20, 20, 20]


def test_what_is_left_out_is_said():
    y = np.tile([0, 1], 20)
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    tasks, records = trials_of(X, np.roll(np.repeat([0, 1], 20), 3), heads=("logreg",))
    table, said = measure(tasks, records, [f"x{k}" for k in range(50)])
    assert table.empty and said == ["importance: the 50 columns of f.v1 are too many to shuffle one by one"]
    table, said = measure(tasks, records, ["a", "b", "c"], free=1000)
    assert table.empty and said[0].startswith("importance: 2 folds are left out, for they need up to 10.0 MB")
    records[tasks[0].trial.key]["params"] = {"nonsense": 1}
    table, said = measure(tasks, records, ["a", "b", "c"])
    assert len(table) == 3 and said[0].startswith("importance: f.v1/none/logreg on one fold is left out: its grid")
    assert measure(*trials_of(X, y), [])[0].empty  # whose columns have no names


def test_the_arms_with_the_best_inner_scores_are_looked_at():
    rng = np.random.default_rng(0)
    y, X = rng.integers(0, 2, 40), rng.normal(size=(40, 2)).astype(np.float32)
    tasks, records = [], {}
    for place, reducer in enumerate(("none", "ipca1", "pca1", "pca2")):
        mine, found = trials_of(X, y, reducer)
        for record in found.values():
            record["inner_auroc"] = 0.6 + (-0.1 if place == 1 else 0.01 * place)
        tasks, records = tasks + mine, records | found
    table, _ = measure(tasks, records, ["a", "b"])
    assert set(table["arm"]) == {f"f.v1/{name}/logreg" for name in ("none", "pca1", "pca2")}
    key = next(key for key in records if key[0] == "f.v1/pca2/logreg")
    table, _ = measure(tasks, records | {key: {"status": "failed"}}, ["a", "b"])
    assert set(table["arm"]) == {f"f.v1/{name}/logreg" for name in ("none", "pca1", "ipca1")}, "pca2 lacks a fold"


@pytest.mark.slow
def test_a_study_writes_it_once_and_the_same_again(feature_table, tmp_path, monkeypatch):
    options = {"data": str(feature_table), "heads": ("logreg", "svm"), "folds": 2}
    _, results, *_ = run_study(tmp_path, **options)
    written = (tmp_path / "out" / "importance.csv").read_bytes()
    table = pd.read_csv(tmp_path / "out" / "importance.csv")
    for arm, rows in table.groupby("arm"):
        assert rows["group"].tolist()[0] == "x0" and len(rows) == 6
        assert rows["auroc"].iloc[0] == pytest.approx(results.set_index("arm").loc[arm, "auroc"], abs=1e-4)
    journal = tmp_path / "out" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    last = max(k for k, line in enumerate(lines) if json.loads(line).get("status") == "done")
    journal.write_text("".join(lines[:last] + lines[last + 1 :]))
    (tmp_path / "out" / "importance.csv").write_text("stale")
    run_study(tmp_path, **options)
    assert (tmp_path / "out" / "importance.csv").read_bytes() == written

    def refuse(*arguments):
        raise AssertionError("measured again")

    monkeypatch.setattr("glomfeat.comparison.explain.all.importance_table", refuse)
    monkeypatch.setattr("glomfeat.comparison.explain.all.neighbours_table", refuse)
    run_study(tmp_path, **options)


@pytest.mark.slow
def test_it_is_the_same_whatever_the_jobs(feature_table, tmp_path):
    options = {"data": str(feature_table), "heads": ("logreg", "svm")}
    run_study(tmp_path, **options)
    run_study(tmp_path, **options, jobs=2, out=str(tmp_path / "two"))
    assert (tmp_path / "out" / "importance.csv").read_bytes() == (tmp_path / "two" / "importance.csv").read_bytes()


def test_the_page_has_the_figure_and_says_what_it_means(feature_table, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("glomfeat.report.write.save_pngs", lambda pictures, folder: drawn.extend(pictures))
    _, results, *_ = run_study(tmp_path, data=str(feature_table), heads=("logreg", "svm"), folds=2)
    page = write_report(tmp_path / "out", results=results).read_text(encoding="utf-8")
    assert "Which columns an arm relies on" in page and "does not mean that a group is useless" in page
    assert "importance" in [picture.name for picture in drawn]
    table = pd.read_csv(tmp_path / "out" / "importance.csv")
    content = SimpleNamespace(importance=table, results=results, names=plain_arms(results["arm"]))
    picture = draw_importance(content)
    best = results["arm"][0]
    top = table[table["arm"] == best].iloc[0]
    assert (
        f"{plain_arms(results['arm'])[best]}: x0 {top['drop']:+.3f}, " in picture.alt
        and "Gregorutti" in picture.caption
    )
    assert draw_importance(SimpleNamespace(importance=table.iloc[:0], results=results, names={})) is None
    many = pd.concat([table[table["arm"] == best]] * 4)
    content = SimpleNamespace(importance=many, results=results, names=plain_arms([best]))
    assert "Not drawn: nine groups with smaller falls." in draw_importance(content).caption
