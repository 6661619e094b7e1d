"""Ensembles: the mean of calibrated scores of other arms, nested, resumed, and in every table like any other arm."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score, roc_curve

from glomfeat.comparison import folder
from glomfeat.comparison.compare import compare
from glomfeat.comparison.ensembles import mean_trial, resolve_ensembles
from glomfeat.comparison.forecast import make_plan
from glomfeat.comparison.options import Study
from glomfeat.comparison.plans import check_all
from glomfeat.comparison.prepare import prepare
from glomfeat.core.arms import Arm, StudyError, plan_arms
from glomfeat.core.seeds import seed_for
from glomfeat.data.splits import fold_rows, inner_splits, inner_valid_split
from glomfeat.models.heads.built_in import make_head
from glomfeat.report.arm_names import plain_arms
from glomfeat.results.tables import MEASURED
from studies import compare as command

pytestmark = pytest.mark.usefixtures("dealt_once")


def run_study(tmp_path, **options):
    options = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache"), "jobs": 1, "folds": 2} | options
    said = []
    return *compare(prepare(Study(**options), said.append), said.append), said


def journal_of(out):
    return [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]


def platt(y, score):
    """Platt's map by another optimiser: the logistic loss against his targets, of the logit of the score."""
    ones, x = y.sum(), logit(np.clip(score, 2.0**-52, 1 - 2.0**-52))
    target = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (len(y) - ones + 2))

    def loss(line):
        z = line[0] * x + line[1]
        return np.logaddexp(0, z).sum() - target @ z

    slope, intercept = minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-8}).x
    return lambda new: expit(slope * logit(np.clip(new, 2.0**-52, 1 - 2.0**-52)) + intercept)


def isotonic(y, score):
    return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, y).predict


def inner_rows(run, trial, net=False):
    train, _, valid = fold_rows(run.folds, trial.repeat, trial.fold)
    manifest, where = run.manifest, (trial.repeat, trial.fold)
    if net:
        seed = seed_for(run.seed, "inner-valid", *where)
        return [inner_valid_split(manifest.labels, manifest.cases, train, valid, seed)]
    return inner_splits(manifest.labels, manifest.cases, train, valid, seed_for(run.seed, "inner", *where))


@pytest.mark.parametrize(
    "calibration", ["none", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("platt", "isotonic"))]
)
def test_scores_and_thresholds_are_those_of_scikit_learn_by_hand(feature_table, tmp_path, calibration):
    options = {"heads": ("logreg", "svm"), "reducers": ("none",), "threshold": "youden", "calibration": calibration}
    run, results, _, _ = run_study(
        tmp_path,
        data=str(feature_table),
        **options,
        ensembles=(f"file:{feature_table}/none/logreg,file:{feature_table}/none/svm",),
    )
    assert (results["status"] == "done").all()
    X = pd.read_csv(feature_table).set_index("name").filter(like="x").loc[run.manifest.table["name"]].to_numpy("f4")
    y, fit = run.manifest.labels, isotonic if calibration == "isotonic" else platt
    trials = [trial for trial in run.trials if trial.arm.kind == "ensemble"]
    assert len(trials) == 2
    for trial in trials:
        splits, (train, test, _) = inner_rows(run, trial), fold_rows(run.folds, trial.repeat, trial.fold)
        rows = np.concatenate([held for _, held in splits])
        ascending = np.unique(rows)
        assert set(rows) == set(train)
        tested, inner = [], []
        for member in trial.arm.members:
            record = run.records[str(member), trial.repeat, trial.fold]
            head = make_head(member.head, seed_for(0, str(member), trial.repeat, trial.fold)).estimator
            head = clone(head).set_params(**record["params"])

            def scores(learnt, asked, head=head):
                fitted = clone(head).fit(X[learnt], y[learnt])
                if hasattr(fitted, "predict_proba"):
                    return fitted.predict_proba(X[asked])[:, 1]
                return expit(fitted.decision_function(X[asked]))

            of_inner = np.concatenate([scores(*split) for split in splits])
            by_row = pd.Series(of_inner).groupby(rows).mean().to_numpy()
            # without a study's calibration an ensemble has the scores of its members by row, and maps these itself
            calibrated = fit(y[ascending], by_row) if calibration == "none" else fit(y[rows], of_inner)
            inner.append(calibrated(by_row))
            tested.append(calibrated(scores(train, test)))
        record, mean = run.record(trial), np.mean(inner, axis=0)
        # the path of logreg stops at its solver's tolerance
        np.testing.assert_allclose(record["scores"], np.mean(tested, axis=0), atol=1e-2)
        held = [np.isin(ascending, part) for _, part in splits]
        areas = [roc_auc_score(y[ascending][part], mean[part]) for part in held]
        assert record["inner_auroc"] == pytest.approx(np.mean(areas), abs=5e-3)
        wrong, right, _ = roc_curve(y[ascending], mean)
        called = mean >= record["threshold"]
        reached = called[y[ascending] == 1].mean() - called[y[ascending] == 0].mean()
        assert reached == pytest.approx((right - wrong).max(), abs=0.05)
        assert record["fit_s"] == pytest.approx(
            sum(run.records[str(of), trial.repeat, trial.fold]["fit_s"] for of in trial.arm.members)
        )
        kind = "platt" if calibration == "none" else calibration
        assert record["reason"] == f"mean of calibrated scores ({kind})"


MEMBERS = "shortcut/none/logreg,net:F-D8-out"


@pytest.fixture(scope="module")
def finished(few_images, tmp_path_factory, without_figures):
    """A run whose ensemble has a network in it, by the command line."""
    out, cache = (tmp_path_factory.mktemp("ensemble") / name for name in ("out", "cache"))
    options = ["--features", "shortcut", "--reducers", "none", "--heads", "logreg", "svm", "--nets", "F-D8-out"]
    options += ["--epochs", "1", "--folds", "2", "--size", "32", "--jobs", "1", "--leak-price", "--cache", str(cache)]
    arguments = [str(few_images), *options, "--ensembles", MEMBERS, "--out", str(out)]
    return arguments, out, command.main(arguments)


NAME = "mean:shortcut.v1/none/logreg,net:F-D8-out"


def test_an_ensemble_stands_in_every_table(finished):
    _, out, status = finished
    assert status == 0
    results = pd.read_csv(out / "results.csv", keep_default_na=False).set_index("arm")
    row = results.loc[NAME]
    assert (row["kind"], row["head"], row["feature"], row["reducer"]) == ("ensemble", "mean", "", "")
    assert row["weights"] == results.loc["net:F-D8-out", "weights"] != ""
    assert str(Arm.parse(NAME)) == NAME and Arm.parse(NAME).kind == "ensemble"
    for name in ("trials.csv", "comparisons.csv", "reliability.csv", "leak_price.csv"):
        assert NAME in set(pd.read_csv(out / name)["arm"]) | set(results.index[:1])
    prices = pd.read_csv(out / "leak_price.csv").set_index("arm")
    assert prices.loc[NAME, "status"] == "done" and np.isfinite(prices.loc[NAME, "auroc_price"])
    assert (pd.read_parquet(out / "predictions.parquet")["arm"] == NAME).sum() == 24
    page = (out / "report.html").read_text()
    assert "The best arm is" in page and "mean of 2 arms" in page and page.count(NAME) > 1
    said = "An ensemble averaged the scores of shortcut.v1/none/logreg and net:F-D8-out, each calibrated (platt)"
    assert said in page
    for name in ("neighbours.csv", "importance.csv"):
        assert NAME not in set(pd.read_csv(out / name)["arm"])


def test_only_rows_that_a_network_has_scored_choose_the_threshold(finished):
    _, out, _ = finished
    from glomfeat.results.load import load_run

    run = load_run(out).run
    trials = [trial for trial in run.trials if str(trial.arm) == NAME]
    assert len(trials) == 2
    for trial in trials:
        head, net = (run.records[str(member), trial.repeat, trial.fold] for member in trial.arm.members)
        rows_of_head = np.unique(np.concatenate([held for _, held in inner_rows(run, trial)]))
        ((_, rows_of_net),) = inner_rows(run, trial, net=True)
        rows_of_net = np.sort(rows_of_net)
        assert len(net["inner_scores"]) == len(rows_of_net) < len(rows_of_head) == len(head["inner_scores"])
        y, mean = run.manifest.labels, 0
        for record, rows in ((head, rows_of_head), (net, rows_of_net)):
            scores = np.array(record["inner_scores"])
            calibrated = pd.Series(platt(y[rows], scores)(scores), rows)
            flat = "net:F-D8-out are as they were" in run.record(trial)["reason"]
            mean = mean + (pd.Series(scores, rows) if flat and record is net else calibrated)[rows_of_net] / 2
        found = run.record(trial)
        assert found["inner_auroc"] == pytest.approx(roc_auc_score(y[rows_of_net], mean), abs=1e-6)
        called = mean >= found["threshold"]
        apart = abs(called[y[rows_of_net] == 1].mean() + called[y[rows_of_net] == 0].mean() - 1)
        every = [abs((mean >= t)[y[rows_of_net] == 1].mean() + (mean >= t)[y[rows_of_net] == 0].mean() - 1)
                 for t in (*mean, 2.0)]  # fmt: skip
        assert apart == pytest.approx(min(every), abs=1e-9)


def test_inner_scores_are_kept_of_members_alone(finished):
    _, out, _ = finished
    records = [record for record in journal_of(out) if "arm" in record]
    kept = {record["arm"] for record in records if "inner_scores" in record}
    assert kept == {"shortcut.v1/none/logreg", "net:F-D8-out"}
    assert all("inner_scores" in record for record in records if record["arm"] in kept)


def test_the_plan_lists_an_ensemble(finished, capsys):
    arguments, _, _ = finished
    assert command.main([*arguments, "--dry-run"]) == 0
    shown = "".join(re.sub(r"[│\s]", "", line) for line in capsys.readouterr().out.splitlines())
    assert "mean:shortcut.v1/none/log" in shown and "20trials,20done" in shown


def without_costs(path):
    table = pd.read_csv(path, dtype=str)
    return table.drop(columns=[column for column in table if column in MEASURED]).to_csv()


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_was_stopped_ends_with_the_same_bytes(feature_table, tmp_path, jobs):
    table = f"file:{feature_table}"
    pair = ",".join(f"{table}/ipca4/{head}" for head in ("logreg", "svm"))
    options = {"data": str(feature_table), "heads": ("logreg", "svm"), "reducers": ("ipca4",)}
    run_study(tmp_path, **options, ensembles=(pair,))
    out, again = tmp_path / "out", tmp_path / "again"
    lines = (out / "journal.jsonl").read_text().splitlines(keepends=True)
    ensembles = [k for k, line in enumerate(lines) if '"arm": "mean:' in line]
    assert ensembles == [len(lines) - 3, len(lines) - 2]  # the last line says how files were written
    for kept in (4, len(lines) - 2):  # before its members were done, and between its own trials
        again.mkdir()
        (again / "journal.jsonl").write_text("".join(lines[:kept]) + '{"arm": "mean:torn')
        run_study(tmp_path, **options, ensembles=(pair,), out=str(again), jobs=jobs)
        assert (again / "predictions.parquet").read_bytes() == (out / "predictions.parquet").read_bytes()
        for name in ("results.csv", "trials.csv"):
            assert without_costs(again / name) == without_costs(out / name)
        again.rename(tmp_path / f"kept-{kept}")


@pytest.mark.slow
def test_a_study_without_ensembles_is_what_it_was(feature_table, tmp_path):
    options = {"data": str(feature_table), "heads": ("logreg", "svm"), "folds": 2}
    run_study(tmp_path, **options)
    *pair, other = (f"file:{feature_table}/ipca128/{head}" for head in ("logreg", "svm", "xgboost"))
    with pytest.raises(StudyError, match=r"holds another study \(ensembles: None there, \['mean:.*'\] now\)"):
        run_study(tmp_path, **options, ensembles=(",".join(pair),))
    run_study(tmp_path, **options, ensembles=(",".join(pair),), out=str(tmp_path / "more"))
    with pytest.raises(StudyError, match=r"holds another study \(ensembles: \['mean:.*'\] there, None now\)"):
        run_study(tmp_path, **options, out=str(tmp_path / "more"))
    header, *records = journal_of(tmp_path / "out")
    assert "ensembles" not in header["study"] and not any("inner_scores" in record for record in records)
    one, more = (pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("out", "more"))
    pd.testing.assert_frame_equal(one, more[more["arm"].isin(one["arm"])].reset_index(drop=True))
    with pytest.raises(StudyError, match=r"no arm of this study is called .*xgboost"):
        run_study(tmp_path, **options, ensembles=(f"{pair[0]},{other}",), out=str(tmp_path / "never"))
    assert not (tmp_path / "never").exists()


@pytest.mark.slow
def test_a_member_that_fails_is_named_and_the_ensemble_is_skipped(feature_table, tmp_path, monkeypatch):
    (tmp_path / "unlucky.py").write_text(
        "import pathlib\n"
        "from glomfeat.models.heads.built_in import logreg\n"
        "def head(seed):\n"
        "    if not pathlib.Path('luck').exists():\n"
        "        raise RuntimeError('no such luck')\n"
        "    return logreg(seed)\n"
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "luck").touch()
    pair = f"file:{feature_table}/none/svm,file:{feature_table}/none/unlucky:head"
    options = {"heads": ("svm", "unlucky:head"), "reducers": ("none",), "folds": 2, "jobs": 1, "ensembles": (pair,)}
    prepared = prepare(Study(str(feature_table), out="o", cache="c", **options), print)
    (tmp_path / "luck").unlink()
    row = compare(prepared, print)[1].set_index("head").loc["mean"]
    assert row["status"] == "skipped"
    name = row["arm"].rpartition(",")[2]
    why = "head unlucky:head: head raised RuntimeError: no such luck (unlucky.py:5: raise RuntimeError('no such luck'))"
    assert row["reason"] == f"its member {name} is failed: {why}"
    (tmp_path / "luck").touch()
    assert (compare(prepared, print)[1]["status"] == "done").all(), "what was skipped is tried again"


@pytest.mark.parametrize("calibration", [pytest.param("none", marks=pytest.mark.slow), "isotonic"])
def test_more_than_two_classes(tmp_path, calibration):
    rng = np.random.default_rng(0)
    label = np.tile(["open", "segmental", "global"], 40)
    x = pd.factorize(label)[0][:, None] + rng.normal(0, 0.7, (120, 3))
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(label=label, case=np.repeat(np.arange(12), 10))
    frame.assign(name=[f"{k}.png" for k in range(120)]).to_csv(tmp_path / "three.csv", index=False)
    pair = ",".join(f"file:{tmp_path / 'three.csv'}/none/{head}" for head in ("logreg", "svm"))
    options = {"heads": ("logreg", "svm"), "reducers": ("none",), "folds": 2, "calibration": calibration}
    _, results, _, _ = run_study(tmp_path, data=str(tmp_path / "three.csv"), **options, ensembles=(pair,))
    row = results.set_index("kind").loc["ensemble"]
    assert row["status"] == "done" and row["auroc"] > 0.75 and np.isnan(row["threshold"])
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    scores = {arm: part.filter(like="score_").to_numpy() for arm, part in predictions.groupby("arm")}
    assert np.allclose(scores[row["arm"]].sum(axis=1), 1)
    if calibration == "isotonic":  # the members' own scores are calibrated already
        mean = np.mean([scores[str(member)] for member in Arm.parse(row["arm"]).members], axis=0)
        np.testing.assert_allclose(scores[row["arm"]], mean, atol=1e-15)


def test_members_without_a_rising_map_are_averaged_as_they_are_and_named():
    y, inner, tested = np.arange(8) % 2, np.linspace(0.2, 0.9, 8), [0.25, 0.5]
    records = {
        ("good", 0, 0): {"inner_scores": (inner * 0.1 + y * 0.4).tolist(), "scores": tested},
        ("bad", 0, 0): {"inner_scores": (0.9 - inner * 0.1 - y * 0.4).tolist(), "scores": tested},
    }
    records = {key: record | {"status": "done", "fit_s": 1, "predict_s": 2} for key, record in records.items()}
    members = tuple((key, np.arange(8)) for key in records)
    task = SimpleNamespace(
        members=members, labels=y, calibration="none", rule="balanced", threads=1, train=np.arange(8), inner=[]
    )
    task.cases = np.arange(8)
    found = mean_trial(task, records)
    assert found["reason"] == (
        "mean of calibrated scores (platt), but those of bad are as they were, because inner scores do not rise with "
        "the class"
    )
    assert found["conformal"] == {"quantile": None, "cases": 8}
    good = platt(y, np.array(records["good", 0, 0]["inner_scores"]))
    np.testing.assert_allclose(found["scores"], (good(np.array(tested)) + tested) / 2, atol=1e-5)
    without = mean_trial(task, {key: record for key, record in records.items() if key[0] == "good"})
    assert without == {"status": "skipped", "reason": "its member bad has not been run"}
    failed = mean_trial(task, records | {("bad", 0, 0): {"status": "failed", "reason": "no such luck"}})
    assert failed == {"status": "skipped", "reason": "its member bad is failed: no such luck"}


def test_names_in_figures_are_short_and_never_shared():
    short, one, other = "a.v1/none/svm,net:compact", "a.v1/none/logreg,net:compact", "b.v1/none/logreg,net:compact"
    same = "a.v1/none/svm,a.v1/ipca8/svm"
    names = plain_arms([f"mean:{members}" for members in (short, other, one, same)])
    assert list(names.values()) == [
        "mean of a + SVM and compact (network)",
        "mean 2 of 2 arms",
        "mean 1 of 2 arms",
        "mean of a + SVM and a + SVM",
    ]


ARMS = plan_arms(["classical.v1", "net18.random"], ["none"], ["logreg", "svm"], ["compact"])
A, B = "classical/none/logreg", "net:compact"


def test_members_are_known_by_the_names_of_the_command_line_and_by_full_names():
    texts = [f"{A},{B}", "net18.random/none/svm,classical.v1/none/svm", f"mean:classical.v1/none/svm,{A}"]
    found = resolve_ensembles(texts, ARMS, {"classical.v1": "classical"})
    assert list(map(str, found)) == [
        "mean:classical.v1/none/logreg,net:compact",
        "mean:net18.random/none/svm,classical.v1/none/svm",
        "mean:classical.v1/none/svm,classical.v1/none/logreg",
    ]
    assert all(Arm.parse(str(arm)) == arm for arm in found)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([A], "--ensembles classical/none/logreg: a mean needs two members or more: write ARM1,ARM2 without a space"),
        ([f"{A},{A}"], f"--ensembles {A},{A}: classical.v1/none/logreg is in it twice: name each member once"),
        ([f"{A},none/none/dummy"], "none/none/dummy is the floor and looks at no image: leave it out"),
        ([f"{A},"], "no arm of this study is called '': known: classical/none/logreg, classical/none/svm, net18.ran"),
        ([f"{A},net:compct"], "no arm of this study is called 'net:compct': did you mean 'net:compact'? known: class"),
        ([f"{A},{B}", f"{B},{A}"], "has the same members: leave one of them out"),
    ],
)
def test_what_no_ensemble_can_be_is_refused(texts, said):
    with pytest.raises(StudyError, match=re.escape(said)):
        resolve_ensembles(texts, ARMS, {"classical.v1": "classical"})


def test_a_name_that_could_not_be_read_back_is_refused():
    arms = [*ARMS, Arm("mine,too.v1", "none", "svm")]
    with pytest.raises(
        StudyError, match=r"mine,too\.v1/none/svm has a comma in its name, which separates members: rename"
    ):
        resolve_ensembles([f"{A},my:part/none/svm"], arms, {"classical.v1": "classical", "mine,too.v1": "my:part"})


def test_an_ensemble_is_skipped_in_the_plan_with_a_member_that_does_not_fit(phantom_folder, tmp_path):
    pair = "pixels/ipca128/logreg,shortcut/ipca128/logreg"
    options = {"features": ("pixels", "shortcut"), "heads": ("logreg",), "memory": "900MB", "ensembles": (pair,)}
    prepared = prepare(Study(str(phantom_folder), cache=str(tmp_path), out=str(tmp_path / "o"), **options), print)
    *_, pixels, shortcut, mean = make_plan(prepared)
    assert pixels.note.startswith("skipped: needs") and not shortcut.note
    assert (mean.note, mean.total, mean.left_s) == ("skipped: a member is", 5, 0.0)
    said = []
    check_all(prepared, folder.journal_of(prepared.study), said.append)
    assert len(said) == 1 and said[0].startswith("skipped for memory: pixels.v1/ipca128/logreg needs")
