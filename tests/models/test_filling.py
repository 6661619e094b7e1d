"""Missing values of feature tables: told of, and filled by medians of the rows that a model is fitted on alone."""

import pickle
import sys
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
from joblib import hash as digest_of_object
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import glomfeat
from glomfeat.bundle.save import folder_of
from glomfeat.comparison.compare import compare
from glomfeat.comparison.explain.neighbours import nearest_rows, neighbours_table
from glomfeat.comparison.folder import open_out
from glomfeat.comparison.forecast import make_plan
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.survey import Shape
from glomfeat.comparison.tasks import make_tasks
from glomfeat.comparison.trial import run_trial
from glomfeat.core.arms import Arm, StudyError, Trial
from glomfeat.core.cache import Matrix, Store
from glomfeat.data.manifest import Manifest, ManifestError, read_manifest
from glomfeat.data.splits import make_folds
from glomfeat.data.tables.columns import Asked
from glomfeat.features.base import FeatureError
from glomfeat.features.extract import extract
from glomfeat.features.shards import Extracted
from glomfeat.features.table import Table
from glomfeat.features.telling import telling_columns
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.reducers.filling import fill
from glomfeat.models.reducers.routes import find_route
from studies import audit as audit_study
from studies import compare as compare_study

CASES, WIDTH, GAPS = 40, 12, (2, 3, 7)
REDUCERS = ("none", "pca4", "ipca4", "pca", "ipca", "reducers_of_filling_tests:best")
IMPUTE = Asked(missing="impute")

pytestmark = pytest.mark.usefixtures("fewer_trees", "dealt_once")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def _own_reducer(tmp_path, monkeypatch, parts_here):
    source = "from sklearn.decomposition import PCA\n\n\ndef best():\n    return PCA(3, svd_solver='full')\n"
    (tmp_path / "reducers_of_filling_tests.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("reducers_of_filling_tests", None)


def data(missing=0.2, seed=0):
    """Rows of cases, with a share of missing values in some columns, as a table gives them: indicators behind."""
    rng = np.random.default_rng(seed)
    of_case = np.repeat(np.arange(CASES), rng.integers(4, 9, CASES))
    labels = rng.integers(0, 2, len(of_case))
    X = rng.normal(size=(len(labels), WIDTH)) * np.linspace(3, 0.3, WIDTH) + 5
    X[:, 3] += 1.5 * labels
    X[:, GAPS] = np.where(rng.random((len(X), len(GAPS))) < missing, np.nan, X[:, GAPS])
    return indicated(X), labels, of_case


def indicated(X):
    X = X[:, :WIDTH]
    return np.hstack([X, np.isnan(X[:, GAPS])]).astype(np.float32)


def tasks_of(X, labels, cases, folder, arms, folds=5, gaps=True):
    names = [f"{row:05d}.png" for row in range(len(labels))]
    digests = [f"{row:08x}" for row in range(len(labels))]
    table = pd.DataFrame({"name": names, "path": "", "label": labels, "case": cases, "slide": cases, "digest": digests})
    manifest, store = Manifest(table, ("a", "b"), True), Store(str(folder))
    matrix = Matrix([store.shard({"rows": "x"}, lambda: {"rows": X})["rows"]], digests, [digests], gaps)
    extracted = Extracted(manifest, {"x": matrix}, {}, {"x": {"feature": "x"}})
    trials = [Trial(arm, 0, 0) for arm in arms]
    folds_of = make_folds(manifest, folds=folds)
    return make_tasks(trials, Study(folds=folds, inside=0), folds_of, extracted, {"x": True}, store, 10**10)


def state(models, rows, labels):
    """All that a head is after it was fitted on the inner fit rows, as text."""
    head, fit = make_head(models.head, models.seed, not models.reduction.does_nothing), models.reduction.train
    fitted = head.estimator.fit(rows[fit], labels[fit])
    booster = getattr(fitted, "get_booster", None)
    return bytes(booster().save_raw("json")) if booster else digest_of_object(fitted)


# -- filling ----------------------------------------------------------------------------------------------------------


def test_medians_are_those_of_scikit_learn():
    X = data()[0]
    X[:50, 5] = np.nan
    train = np.arange(40)
    expected = SimpleImputer(strategy="median", keep_empty_features=True).fit(X[train])
    found = fill(X, train)
    assert found[:].tobytes() == expected.transform(X).tobytes() and (found[:50, 5:6] == 0).all()
    assert found[:, 2:9].tobytes() == found[:][:, 2:9].tobytes() and (len(found), found.shape) == (len(X), X.shape)


def test_many_columns_are_filled_in_blocks():
    X = np.random.default_rng(0).normal(size=(30, 200)).astype(np.float32)
    X[X > 1] = np.nan
    np.testing.assert_array_equal(fill(X, np.arange(20)).medians, np.nanmedian(X[:20], axis=0))


# -- against scikit-learn ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reducer", ["none", "pca4"])
def test_choice_and_scores_are_those_of_a_grid_search_over_the_whole_pipeline(tmp_path, reducer):
    X, labels, cases = data()
    (task,) = tasks_of(X, labels, cases, tmp_path, [Arm("x", reducer, "logreg")])
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    model = LogisticRegression(class_weight="balanced", max_iter=2000)
    steps = [imputer, StandardScaler(), model]
    if reducer == "pca4":
        from glomfeat.models.heads.scaling import OneScale

        steps[2:] = [PCA(4, svd_solver="full"), OneScale(), model]
    grid = {"logisticregression__C": [0.01, 0.1, 1.0, 10.0, 100.0]}
    search = GridSearchCV(make_pipeline(*steps), grid, scoring="roc_auc", cv=task.inner, refit=False)
    search.fit(X[:, :WIDTH].astype(np.float64), labels)
    for place, ((fit, valid), models) in enumerate(zip(task.inner, task.models, strict=True)):
        scores = models.scores()[0][:, np.searchsorted(models.held, valid)]
        areas = [glomfeat.metrics.scores.auroc(labels[valid], row) for row in scores]
        np.testing.assert_allclose(areas, search.cv_results_[f"split{place}_test_score"], atol=0.002)
        best = make_pipeline(*steps).set_params(logisticregression__C=1.0).fit(X[fit, :WIDTH], labels[fit])
        np.testing.assert_allclose(scores[2], best.predict_proba(X[valid, :WIDTH])[:, 1], atol=2e-3)
    record = run_trial(task)
    means = search.cv_results_["mean_test_score"]
    places = [grid["logisticregression__C"].index(record["params"]["logisticregression__C"])]
    chosen = make_pipeline(*steps).set_params(**record["params"]).fit(X[task.train, :WIDTH], labels[task.train])
    np.testing.assert_allclose(record["scores"], chosen.predict_proba(X[task.test, :WIDTH])[:, 1], atol=2e-3)
    gains = [search.cv_results_[f"split{k}_test_score"] for k in range(len(task.inner))]
    gains = np.array([split[means.argmax()] - split[2] for split in gains])
    better = gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains))
    assert places == [means.argmax() if better else 2]


# -- leaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["numbers", "NaN"])
@pytest.mark.parametrize("reducer", REDUCERS)
def test_inner_valid_and_test_rows_change_no_bit_of_what_is_fitted(tmp_path, reducer, value):
    X, labels, cases = data()
    heads = ("logreg", "svm", "xgboost") if reducer in ("none", "pca4") else ("logreg",)
    arms = [Arm("x", reducer, head) for head in heads]
    clean = tasks_of(X, labels, cases, tmp_path / "clean", arms)
    fit, valid = clean[0].inner[0]
    outside = np.setdiff1d(np.arange(len(X)), fit)
    assert set(valid) | set(clean[0].test) <= set(outside)
    for rows, of in ((outside, "inner"), (clean[0].test, "outer")):
        soiled, other = X.copy(), labels.copy()
        soiled[rows, :WIDTH] = 1e4 * np.random.default_rng(1).normal(size=(len(rows), WIDTH))
        if value == "NaN":
            soiled[np.ix_(rows, GAPS)] = np.nan
        soiled, other[rows] = indicated(soiled), 1 - labels[rows]
        for one, two in zip(clean, tasks_of(soiled, labels, cases, tmp_path / of, arms), strict=True):
            before, after = (one.models[0], two.models[0]) if of == "inner" else (one, two)
            learnt = before.reduction.train
            assert set(learnt) == set(after.reduction.train) and not set(learnt) & set(rows)
            kept, changed = before.reduction.rows()[0], after.reduction.rows()[0]
            np.testing.assert_array_equal(kept[learnt], changed[learnt])
            assert np.isfinite(kept).all() and not np.array_equal(kept[rows], changed[rows])
            if of == "inner":
                assert state(before, kept, labels) == state(after, changed, other)


def test_medians_of_all_rows_would_fail_that_check(tmp_path):
    X, labels, cases = data()
    (task,) = tasks_of(X, labels, cases, tmp_path, [Arm("x", "none", "logreg")])
    fit, valid = task.inner[0]
    soiled = X.copy()
    soiled[valid, :WIDTH] += 10
    before, after = fill(X, np.arange(len(X))), fill(soiled, np.arange(len(X)))
    assert not np.array_equal(before[fit], after[fit])


def test_a_column_without_a_value_in_the_rows_that_are_learnt_is_filled_with_0(tmp_path):
    X, labels, cases = data()
    (task,) = tasks_of(X, labels, cases, tmp_path / "a", [Arm("x", "none", "logreg")])
    X[task.train, 2] = np.nan
    (task,) = tasks_of(indicated(X), labels, cases, tmp_path / "b", [Arm("x", "none", "logreg")])
    rows = task.reduction.rows()[0]
    assert (rows[task.train, 2] == 0).all() and rows.shape == X.shape
    assert run_trial(task)["status"] == "done"


def test_other_routes_of_exact_components_give_the_same(tmp_path):
    X, labels, cases = data()
    (task,) = tasks_of(X, labels, cases, tmp_path, [Arm("x", "pca4", "logreg")])
    found = {}
    for route in ("scatter", "gram"):
        reduction = replace(task.reduction, route=replace(task.reduction.route, name=route))
        assert reduction.sums == []
        found[route] = reduction.rows()[0]
    np.testing.assert_allclose(found["scatter"], found["gram"], atol=1e-3)
    whole = StandardScaler().fit_transform(task.reduction.filled[:][task.train].astype(np.float64))
    expected = PCA(4, svd_solver="full").fit_transform(whole)
    np.testing.assert_allclose(np.abs(found["scatter"][task.train]), np.abs(expected), atol=1e-3)


def test_folds_that_fill_share_no_sums_and_the_plan_says_so():
    plain, gaps = (find_route("pca4", Shape((500, 40), np.dtype("f4"), has), 2, 10, True, 10**9) for has in (0, 1))
    assert plain.shared is not None and gaps.shared is None
    assert gaps.flops > plain.flops and gaps.fold.bytes >= max(plain.fold.bytes, plain.shared.bytes)


# -- tables -----------------------------------------------------------------------------------------------------------


def table(n=96, seed=3):
    """Rows of 12 cases with a text cell, NaN in two columns, a column of texts and an empty one."""
    rng, kinds = np.random.default_rng(seed), np.arange(n) % 2
    cases = np.repeat(np.arange(12), n // 12)
    names = [f"P{case:02d}_PAS_1of1_{row:024x}.png" for row, case in enumerate(cases)]
    frame = pd.DataFrame({"name": names, "label": kinds}).assign(
        **{f"f{k}": rng.normal(size=n).round(4) + shift * kinds for k, shift in enumerate((0.8, 0.4, 0, 0))}
    )
    frame.loc[[0, 7, 50], "f1"] = np.nan
    frame.loc[9, "f2"] = np.nan
    frame = frame.astype({"f3": object}).assign(stain=np.where(rng.random(n) < 0.5, "PAS", "HE"), hollow=np.nan)
    frame.loc[5, "f3"] = "#DIV/0!"
    return frame


def written(frame, folder, kind):
    path = folder / f"t.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "xlsx":
        frame.to_excel(path, index=False)
    else:
        frame.assign(f3=frame["f3"].astype(str)).to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet", "xlsx"])
def test_a_table_is_read_with_its_gaps_and_says_so(tmp_path, kind):
    frame = table()
    path = written(frame, tmp_path, kind)
    found = Table(str(path), IMPUTE)
    assert found.columns == ["f0", "f1", "f2", "f3", "f1 missing", "f2 missing", "f3 missing"]
    assert found.described == ["f0", "f1", "f2", "f3", "f1", "f2", "f3"]
    numbers = frame[["f0", "f1", "f2", "f3"]].apply(pd.to_numeric, errors="coerce").to_numpy(np.float32)
    expected = np.hstack([numbers, np.isnan(numbers[:, 1:])]).astype(np.float32)
    np.testing.assert_array_equal(found.rows(frame["name"]), expected)
    np.testing.assert_array_equal(found.rows(frame["name"][:2]), expected[:2])
    said = found.lines_on_gaps()
    assert said[-3:] == [
        f"{found.name}: 5 of 384 cells are missing, in 3 of 4 columns: f1 (3), f2 (1), f3 (1)",
        f"{found.name}: they are filled with the median of the rows that are learnt, and 3 columns say where",
        f"{found.name}: taken as missing: '#DIV/0!' in row 6 of f3",
    ]
    empty = f"{found.name}: left out: hollow (it is empty)"
    assert said[:-3] == ([empty] if kind == "parquet" else [])
    left = found.open().left
    assert left["hollow"] == "it is empty" and left["stain"].startswith("texts, 2 different: ")


def test_of_many_columns_the_first_ten_are_listed(tmp_path):
    frame = table()[["name", "label"]].assign(**{f"g{k}": [np.nan, "n.d.", *np.arange(94)] for k in range(13)})
    said = Table(str(written(frame.assign(f3=1), tmp_path, "csv")), IMPUTE).lines_on_gaps()
    assert said[0].endswith("26 of 1344 cells are missing, in 13 of 14 columns: " + listed_gaps() + " and 3 more")
    assert said[2].endswith("'n.d.' in row 2 of g9 and 3 more")


def listed_gaps():
    return ", ".join(f"g{k} (2)" for k in range(10))


@pytest.mark.parametrize("kind", ["npy", "h5"])
def test_arrays_too(tmp_path, kind):
    X, names = np.arange(12.0).reshape(4, 3), list("abcd")
    X[1, 0], X[:, 2] = np.nan, np.nan
    if kind == "npy":
        np.save(tmp_path / "t.npy", X)
        (tmp_path / "t.txt").write_text("\n".join(names))
    else:
        with h5py.File(tmp_path / "t.h5", "w") as file:
            file["features"], file["names"] = X, names
    found = Table(str(tmp_path / f"t.{kind}"), IMPUTE)
    assert found.columns == ["x0", "x1", "x0 missing"] and found.open().left == {"x2": "it is empty"}
    np.testing.assert_array_equal(found.rows(["b", "a"]), [[np.nan, 4, 1], [0, 1, 0]])
    with pytest.raises(FeatureError, match=r"NaN in x0, x2, first in .* of b: fill such cells, take NaN"):
        Table(str(tmp_path / f"t.{kind}")).rows(names)


def test_infinity_is_refused_all_the_same(tmp_path):
    frame = table()
    frame.loc[3, "f0"] = np.inf
    path = written(frame, tmp_path, "csv")
    beyond = "infinity, or numbers beyond 3.4e38,"
    said = rf"t\.csv: {beyond} in f0, first in the row of {frame['name'][3]}: fill such cells, or leave the columns out"
    with pytest.raises(FeatureError, match=said):
        Table(str(path), IMPUTE).rows(frame["name"])
    frame.drop(columns=["f1", "f2", "f3", "hollow"]).to_csv(path, index=False)
    with pytest.raises(FeatureError, match=rf"t.csv: {beyond} in f0, .*: fill such cells, or leave the columns out"):
        Table(str(path)).rows(frame["name"])


def test_refusing_names_column_row_and_cell_and_offers_to_impute(tmp_path):
    frame = table()
    said = (
        rf"column 'f3' holds '#DIV/0!' in row 6 \({frame['name'][5]}\): correct the cell, take it as missing with "
        r"--missing impute, or leave the column out with --drop 'f3'$"
    )
    for kind in ("csv", "parquet"):
        path = written(frame, tmp_path, kind)
        with pytest.raises(ManifestError, match=said):
            read_manifest(path)
        with pytest.raises(FeatureError, match=said):
            Table(str(path)).open()
    path = written(frame.drop(columns="f3").assign(f3=1), tmp_path, "csv")
    said = (
        rf"NaN in f1, f2, first in the row of {frame['name'][0]}: fill such cells, take NaN as missing "
        "with --missing impute, or leave the columns out with --drop"
    )
    with pytest.raises(FeatureError, match=said):
        Table(str(path)).rows(frame["name"])


def test_nothing_missing_changes_no_key_and_no_row(tmp_path, feature_table):
    plain, asked = Table(str(feature_table)), Table(str(feature_table), IMPUTE)
    names = pd.read_csv(feature_table)["name"].tolist()
    assert plain.key == asked.key and plain.columns == asked.columns and not asked.imputes
    assert asked.lines_on_gaps() == [] and asked.described == asked.columns
    assert plain.rows(names).tobytes() == asked.rows(names).tobytes()
    options = {"heads": ("logreg",), "cache": str(tmp_path / "cache"), "jobs": 1}
    studies = [Study(str(feature_table), **options, missing=missing) for missing in ("refuse", "impute")]
    one, two = (prepare(study, lambda line: None).identity for study in studies)
    assert one == two and "missing" not in one


def test_a_column_with_gaps_that_tells_the_classes_is_warned_of(tmp_path):
    frame = table()
    frame["count"] = frame["label"] * 2.0 + np.random.default_rng(0).random(len(frame))
    frame.loc[[11, 40], "count"] = np.nan
    frame["when"] = np.where(frame["label"] == 1, np.nan, np.random.default_rng(0).normal(size=len(frame)))
    path = written(frame, tmp_path, "csv")
    manifest = read_manifest(path, asked=replace(IMPUTE, but=("auto",)))
    found, looked = telling_columns(Table(str(path), IMPUTE), manifest)
    assert [one.column for one in found] == ["count", "when missing"] and looked == 11


def test_the_audit_looks_at_the_columns_though_a_cell_is_missing(tmp_path, capsys):
    path = written(table(), tmp_path, "csv")
    where = ["--out", str(tmp_path / "audit"), "--cache", str(tmp_path / "cache"), "--jobs", "1"]
    assert audit_study.main([str(path), *where]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "correct the cell, take it as missing with --missing impute" in said
    assert "5 of 384 cells are missing, in 3 of 4 columns: f1 (3), f2 (1), f3 (1)" in said
    assert "7 columns describe: f0, f1, f2, f3, f1 missing" in said


# -- the main job -----------------------------------------------------------------------------------------------------


def options_of(tmp_path, path, **more):
    folders = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    common = {"jobs": 1, "folds": 2, "missing": "impute", "reducers": ("none", "pca2"), "heads": ("logreg",)}
    return Study(str(path), **folders | common | more)


@pytest.mark.slow
def test_compare_resume_and_what_is_told_besides(tmp_path, capsys):
    path, said = written(table(), tmp_path, "csv"), []
    options = {"leak_price": True, "learning_curve": True, "save_models": True}
    name = Table(str(path)).name
    mean = f"mean:{name}/none/logreg,{name}/pca2/logreg"
    study = options_of(tmp_path, path, **options, ensembles=(mean,))
    prepared = prepare(study, said.append)
    assert f"{name}: 5 of 384 cells are missing, in 3 of 4 columns: f1 (3), f2 (1), f3 (1)" in said
    assert prepared.identity["missing"] == "impute"
    _, results, _ = compare(prepared, said.append)
    assert (results["status"] == "done").all() and len(results) == 4
    out = tmp_path / "out"
    bundle = glomfeat.load_bundle(out / "models" / folder_of(mean))
    assert len(bundle.members) == 2 and bundle.predict(path)["status"].str.startswith("ok").all()
    worth = pd.read_csv(out / "importance.csv")
    assert set(worth["group"]) == {"f0", "f1", "f2", "f3"} and set(worth["columns"]) == {1, 2}
    near = pd.read_csv(out / "neighbours.csv")
    assert len(near) and near["distance"].notna().all()
    assert (pd.read_csv(out / "leak_price.csv")["status"] == "done").all()
    assert len(pd.read_csv(out / "learning_curve.csv"))
    files = ("results.csv", "predictions.parquet")
    before, journal = [(out / file).read_bytes() for file in files], (out / "journal.jsonl").read_text()
    lines = journal.splitlines(keepends=True)
    (out / "journal.jsonl").write_text("".join(lines[: len(lines) // 2]))
    compare(prepare(study, said.append), said.append)
    assert [(out / file).read_bytes() for file in files][1] == before[1]
    refusing = prepare(replace(study, data=str(path), drop=("f1", "f2", "f3"), missing="refuse"), said.append)
    with pytest.raises(StudyError, match=r"missing: impute there, None now"):
        open_out(refusing)
    capsys.readouterr()


def test_workers_fill_too(tmp_path):
    X, labels, cases = data()
    (task,) = tasks_of(X, labels, cases, tmp_path, [Arm("x", "none", "logreg")])
    sent = pickle.loads(pickle.dumps(task.reduction))
    assert sent.rows()[0].tobytes() == task.reduction.rows()[0].tobytes()


def test_dry_run_and_command_line(tmp_path, capsys, without_figures):
    path = written(table(), tmp_path, "csv")
    where = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--jobs", "1", "--folds", "2"]
    asked = ["--reducers", "none", "pca2", "--heads", "logreg", "--missing", "impute"]
    assert compare_study.main([str(path), *where, *asked, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "5 of 384 cells are missing, in 3 of 4 columns: f1 (3), f2 (1), f3 (1)" in said
    assert "'#DIV/0!' in row 6" in said and "sums for pca" not in said
    study = Study(data=str(path), out=where[1], cache=where[3], reducers=("none",), heads=("logreg",), missing="impute")
    plan = make_plan(prepare(study, lambda line: None))
    assert any("96 rows of 7 columns" in stage.need.how for stage in plan)
    endless = table().assign(f0=lambda found: found["f0"].where(found.index != 40, np.inf))
    endless.to_csv(tmp_path / "endless.csv", index=False)
    with pytest.raises(FeatureError, match=r"infinity, or numbers beyond 3\.4e38, in f0, first in the row of P05"):
        compare_study.main([str(tmp_path / "endless.csv"), *where, *asked, "--dry-run"])
    assert compare_study.main([str(path), *where, *asked]) == 0
    assert "filled with medians of the training rows" in (tmp_path / "out" / "report.html").read_text()


def test_arrays_and_frames_from_python(tmp_path):
    frame = table()
    X = frame[["f0", "f1", "f2"]].to_numpy()
    cases = frame["name"].str[:3]
    options = {"heads": "logreg", "reducers": "none", "folds": 2, "jobs": 1, "cache": str(tmp_path / "cache")}
    found = [
        glomfeat.compare(data, **options, missing="impute", quiet=True)
        for data in ((X, frame["label"], cases), frame.assign(case=cases))
    ]
    assert all((one.table["status"] == "done").all() for one in found)
    with pytest.raises(StudyError, match="missing is 'mean': allowed are refuse, impute"):
        glomfeat.compare(frame, **options, missing="mean")


def test_importance_and_neighbours_read_filled_rows(tmp_path):
    X, labels, cases = data()
    arms = [Arm("x", reducer, "logreg") for reducer in ("none", "pca4")]
    tasks = tasks_of(X, labels, cases, tmp_path, arms)
    records = {task.trial.key: run_trial(task) for task in tasks}
    manifest = Manifest(pd.DataFrame({"name": np.arange(len(X)).astype(str), "label": labels}), ("a", "b"), True)
    found = neighbours_table(tasks, records, manifest)
    assert set(found["arm"]) == set(map(str, arms)) and found["distance"].notna().all()
    task = tasks[0]
    filled = fill(X, task.train)[:]
    near, far = nearest_rows(filled, task.train, task.test[:3])
    again = nearest_rows(task.reduction.filled, task.train, task.test[:3])
    assert near.tobytes() == again[0].tobytes() and far.tobytes() == again[1].tobytes()


def test_features_of_images_stay_as_they_are_beside_a_table_with_gaps(phantom_folder, tmp_path):
    names = pd.read_csv(next(phantom_folder.glob("*.csv")))["name"]
    frame = pd.DataFrame({"name": names, "f0": np.random.default_rng(0).normal(size=len(names))})
    frame.loc[3, "f0"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    asked = {"features": ("shortcut", f"file:{tmp_path / 't.csv'}"), "size": 32, "folds": 2}
    prepared = prepare(options_of(tmp_path, phantom_folder, **asked), lambda line: None)
    extracted = extract(prepared.manifest, prepared.features, prepared.preprocess, prepared.store)
    assert [matrix.gaps for matrix in extracted.matrices.values()] == [False, True]
