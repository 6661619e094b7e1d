"""Cohorts of other places: what arms fitted on all of DATA score there, and what is refused or said."""

import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.running import run_study
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import glomfeat
from glomfeat.bundle.save import folder_of
from glomfeat.checks.data.duplicates import pairs_need
from glomfeat.comparison.cohorts import split_test
from glomfeat.comparison.forecast import make_plan
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.result import Result
from glomfeat.core.arms import FLOOR, StudyError
from glomfeat.data.images.decode import ImageError, decode
from glomfeat.data.manifest import ManifestError
from glomfeat.data.phantom import Phantom, make_phantom
from glomfeat.features.base import FeatureError
from glomfeat.report.content import read_content
from glomfeat.report.figures.elsewhere import draw
from glomfeat.report.page import section_html
from glomfeat.report.sections import elsewhere
from glomfeat.results.journal import Journal

pytestmark = pytest.mark.usefixtures("dealt_once")

COLUMNS = [f"x{k}" for k in range(4)]
INTERNAL = ("results.csv", "trials.csv", "predictions.parquet", "comparisons.csv", "folds.csv")
SCLEROTIC = "globally_sclerotic_glomeruli"
OPTIONS = {"heads": ("logreg",), "reducers": ("none",), "folds": 4}


def put(path, seed, cases=8, first=0, names=("0", "1"), missing=0.0, **columns):
    """A table of five rows of each case, two columns of which tell the classes apart."""
    rng, n = np.random.default_rng(seed), 5 * cases
    label = rng.integers(0, 2, n)
    rows = {"name": [f"P{first + row // 5:02d}_PAS_1of1_{seed:04x}{row:020x}.png" for row in range(n)]}
    rows |= {"label": [names[one] for one in label]}
    rows |= {name: rng.normal(size=n) + label * shift for name, shift in zip(COLUMNS, (1.2, 0.4, 0, 0), strict=True)}
    frame = pd.DataFrame(rows).assign(**columns)
    if missing:
        frame.loc[rng.random(n) < missing, "x1"] = np.nan
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    home, north = put(folder / "home.csv", 0, 24), put(folder / "north.csv", 1, 12, first=50)
    south = put(folder / "south.csv", 2, 10, first=22)
    return SimpleNamespace(home=home, north=north, south=south, folder=folder)


@pytest.fixture(scope="module")
def study(places):
    """A study of a table with an ensemble, its folder before cohorts were asked for, and with them."""
    ensembles = ("home/none/logreg,home/pca2/logreg",)
    member = prepare(Study(str(places.home)), lambda line: None).features[0].name
    options = OPTIONS | {"data": str(places.home), "reducers": ("none", "pca2")}
    options |= {"ensembles": tuple(one.replace("home", member) for one in ensembles)}
    run_study(places.folder, **options)
    out = places.folder / "out"
    before = {name: (out / name).read_bytes() for name in INTERNAL}
    test = (f"north={places.north}", str(places.south))
    *_, said = run_study(places.folder, test=test, **options)
    return SimpleNamespace(
        out=out,
        before=before,
        said=said,
        external=pd.read_csv(out / "external.csv"),
        predictions=pd.read_parquet(out / "external_predictions.parquet"),
        feature=member,
        options=options | {"test": test},
    )


def rows_of(path):
    frame = pd.read_csv(path).sort_values("name", ignore_index=True)
    return frame, frame[COLUMNS].to_numpy(np.float32), frame["label"].to_numpy()


def balanced(y, score):
    """The midpoint of neighbouring scores where sensitivity and specificity are nearest, by trying all."""
    known = np.unique(score)
    tried = np.r_[known[0], (known[1:] + known[:-1]) / 2]
    apart = [abs(np.mean(score[y == 1] >= at) - np.mean(score[y == 0] < at)) for at in tried]
    best = np.flatnonzero(np.array(apart) <= min(apart) + 1e-12)
    return tried[best[np.argmin(np.abs(tried[best] - 0.5))]]


def test_the_table_says_what_a_pipeline_by_hand_does(places, study):
    arm = f"{study.feature}/none/logreg"
    record = next(one for (_, name), one in Journal(study.out / "journal.jsonl").external().items() if name == arm)
    frame, X, y = rows_of(places.home)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=record["params"]["logisticregression__C"]))
    model.set_params(logisticregression__class_weight="balanced", logisticregression__max_iter=2000)
    folds = pd.read_csv(study.out / "folds.csv").set_index("name").loc[frame["name"], "fold"].to_numpy()
    inner = np.empty(len(y))
    for fold in np.unique(folds):
        learnt = folds != fold
        inner[~learnt] = model.fit(X[learnt], y[learnt]).predict_proba(X[~learnt])[:, 1]
    threshold = balanced(y, inner)
    model.fit(X, y)
    for cohort, path in (("north", places.north), ("south", places.south)):
        frame, X_there, y_there = rows_of(path)
        score = model.predict_proba(X_there)[:, 1]
        own = study.predictions[(study.predictions["arm"] == arm) & (study.predictions["cohort"] == cohort)]
        assert own["name"].tolist() == frame["name"].tolist() and own["label"].tolist() == y_there.tolist()
        np.testing.assert_allclose(own["score"], score, atol=1e-3)  # solvers stop at a tolerance
        np.testing.assert_allclose(own["threshold"], threshold, atol=1e-3)
        assert (own["prediction"] == (own["score"] >= own["threshold"])).all()
        row = study.external.set_index(["cohort", "arm"]).loc[cohort, arm]
        assert row["auroc"] == pytest.approx(roc_auc_score(y_there, score), abs=1e-5)
        assert row["sensitivity_t"] == pytest.approx(np.mean(score[y_there == 1] >= threshold), abs=1e-5)
        assert row["specificity_t"] == pytest.approx(np.mean(score[y_there == 0] < threshold), abs=1e-5)
        assert row["brier"] == pytest.approx(np.mean((score - y_there) ** 2), abs=1e-4)
        line = LogisticRegression(C=np.inf, tol=1e-10).fit(np.log(score / (1 - score))[:, None], y_there)
        assert row["calibration_slope"] == pytest.approx(line.coef_.item(), rel=1e-2)
        assert row["calibration_intercept"] == pytest.approx(line.intercept_.item(), abs=1e-2)
        again = line.predict_proba(np.log(score / (1 - score))[:, None])[:, 1]
        assert row["brier_recalibrated"] == pytest.approx(np.mean((again - y_there) ** 2), abs=1e-4)
        assert (row["images"], row["cases"], row["positives"]) == (len(y_there), len(y_there) // 5, y_there.sum())


def test_every_arm_has_a_row_in_each_cohort_and_stands_beside_itself(study):
    internal = pd.read_csv(study.out / "results.csv").set_index("arm")
    for cohort, rows in study.external.groupby("cohort"):
        assert set(rows["arm"]) == set(internal.index) and (rows["status"] == "done").all(), cohort
        at_home = internal.loc[rows["arm"], ["auroc", "auroc_lo", "auroc_hi"]].to_numpy()
        np.testing.assert_allclose(rows[["internal_auroc", "internal_auroc_lo", "internal_auroc_hi"]], at_home)
        np.testing.assert_allclose(rows["difference"], rows["auroc"] - rows["internal_auroc"], atol=2e-6)
        floor = rows.set_index("arm").loc[FLOOR]
        assert floor["auroc"] == 0.5 and np.isnan(floor["calibration_slope"])
    compared = pd.read_csv(study.out / "external_comparisons.csv")
    assert compared.groupby("cohort").size().tolist() == [3, 3] and "p_ttest" not in compared
    best = study.external.groupby("cohort")["auroc"].max()
    mine = study.external.set_index(["cohort", "arm"])["auroc"]
    for row in compared.itertuples():
        assert row.difference == pytest.approx(mine[row.cohort, row.arm] - best[row.cohort], abs=2e-6)


def test_an_ensemble_is_the_mean_of_its_calibrated_members(study):
    bundle_scores = study.predictions[study.predictions["cohort"] == "north"].pivot(
        index="name", columns="arm", values="score"
    )
    mean = next(arm for arm in bundle_scores if arm.startswith("mean:"))
    members = mean.removeprefix("mean:").split(",")
    ranks = bundle_scores[members].rank().mean(axis=1)
    assert bundle_scores[mean].corr(ranks, method="spearman") > 0.98
    journal = Journal(study.out / "journal.jsonl").external()
    assert {one["reason"] for (_, arm), one in journal.items() if arm == mean} == {"mean of calibrated scores (platt)"}


def test_cohorts_change_nothing_of_the_study_and_are_the_same_bytes_again(study, places):
    assert {name: (study.out / name).read_bytes() for name in INTERNAL} == study.before
    files = {path.name: path.read_bytes() for path in study.out.glob("external*")}
    journal = (study.out / "journal.jsonl").read_bytes()
    run_study(places.folder, **study.options)
    assert {path.name: path.read_bytes() for path in study.out.glob("external*")} == files and len(files) == 4
    assert (study.out / "journal.jsonl").read_bytes() == journal


def test_a_cohort_that_is_not_named_again_is_said_and_comes_back_without_a_fit(study, places, tmp_path, monkeypatch):
    out = shutil.copytree(study.out, tmp_path / "out")
    options = study.options | {"cache": str(places.folder / "cache")}
    monkeypatch.setattr("glomfeat.comparison.score_cohorts.fit_task", None)
    *_, said = run_study(tmp_path, **options | {"test": study.options["test"][:1]})
    lines = [line for line in said if "leave it out" in line]
    assert lines == [
        "cohort south: external.csv and its report leave it out, because this command does not name it: give --test "
        "south=PATH too to have it back; its scores are kept, and nothing is fitted again"
    ]
    assert set(pd.read_csv(out / "external.csv")["cohort"]) == {"north"}
    *_, said = run_study(tmp_path, **options | {"test": study.options["test"][:1]})
    assert [line for line in said if "leave it out" in line] == lines, "also when another command came between"
    *_, said = run_study(tmp_path, **options)
    assert not [line for line in said if "leave it out" in line]
    assert (out / "external.csv").read_bytes() == (study.out / "external.csv").read_bytes()


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_a_kill_or_a_hand_took_away_is_made_again(study, places, tmp_path, jobs):
    out = shutil.copytree(study.out, tmp_path / "out")
    lines = (out / "journal.jsonl").read_text().splitlines(keepends=True)
    kept = [k for k, line in enumerate(lines) if '"external"' in line][:3]
    (out / "journal.jsonl").write_text("".join(lines[: kept[-1] + 1]))
    (out / "external.csv").unlink()
    options = study.options | {"cache": str(places.folder / "cache"), "jobs": jobs}
    run_study(tmp_path, **options)
    for name in ("external.csv", "external_comparisons.csv", "external_predictions.parquet"):
        assert (out / name).read_bytes() == (study.out / name).read_bytes(), name


def test_the_report_sets_both_beside_each_other(study):
    content = read_content(study.out)
    html, picture = section_html(elsewhere, content), draw(content)
    own = study.external[study.external["cohort"] == "north"].set_index("arm")
    row = own.loc[f"{study.feature}/none/logreg"]
    for name in ("internal_auroc", "auroc"):
        assert f"<td>{row[name]:.3f} ({row[f'{name}_lo']:.3f} to {row[f'{name}_hi']:.3f})</td>" in html
    assert f"<td>{row['difference']:+.3f} ({row['difference_lo']:+.3f} to {row['difference_hi']:+.3f})</td>" in html
    alike = dict(zip(study.external["cohort"], study.external["cases_alike"], strict=True))
    warning = "Warning: 2 of its 10 cases are named like cases of DATA: if they are the same patients, its figures are "
    assert alike == {"north": 0, "south": 2} and html.count("named like") == 1 and f"{warning}too good." in html
    assert html.count("<h3>") == 2 and html.count("Kendall&#39;s tau of the ranks of 3 arms is ") == 2
    axes = picture.figure.axes
    assert [axis.get_title(loc="left") for axis in axes] == ["north", "south"]
    for line in axes[0].lines[1:]:
        arm = next(arm for arm in content.shown if line.get_label().startswith(content.names[arm] + "  "))
        assert line.get_label().endswith(f"  {own.loc[arm, 'auroc']:.3f}")
        assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(own.loc[arm, "auroc"], abs=0.02)
    without = replace(content, external=None)
    assert section_html(elsewhere, without) == "" and draw(without) is None


def test_the_plan_says_what_cohorts_cost(study, places, tmp_path):
    for left, folder in ((0, study.out), (4, tmp_path / "new")):
        prepared = prepare(
            Study(**study.options, out=str(folder), cache=str(places.folder / "cache")), lambda line: None
        )
        stages = {stage.name: stage for stage in make_plan(prepared)}
        stage = stages["arms fitted on all images, for cohorts"]
        assert (stage.total, stage.total - stage.done) == (4, left) and (stage.left_s > 0) == bool(left)


def test_cases_of_the_same_name_are_said(study):
    warned = [line for line in study.said if line.startswith("warning: ")]
    assert warned == [
        "warning: cohort south: 2 of its 10 cases are named like cases of DATA: if they are the same patients, its "
        "figures are too good; take them out, or rename the cases of the other place"
    ]
    assert not [line for line in study.said if "P22_" in line], "no name of a patient"


@pytest.mark.parametrize("write", [lambda case: f"p{case}", lambda case: f"P0{case}", lambda case: f"P {case}"])
def test_cases_of_the_same_name_are_said_however_they_are_written(places, tmp_path, write):
    home = put(tmp_path / "home.csv", 0, 12, case=[f"P{row // 5}" for row in range(60)])
    east = put(tmp_path / "east.csv", 3, 12, 60, case=[write(10 + row // 5) for row in range(60)])
    _, said = ask(places, tmp_path, east, data=str(home))
    (line,) = [line for line in said if "named like" in line]
    assert line.startswith("warning: cohort east: 2 of its 12 cases are named like cases of DATA: if they are the same")


def ask(places, tmp_path, *test, **options):
    given = OPTIONS | {"data": str(places.home), "out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    said = []
    return prepare(Study(**given | options, test=tuple(map(str, test))), said.append), said


def test_classes_that_are_called_otherwise(places, tmp_path):
    other = put(tmp_path / "east.csv", 3, 8, first=70, names=("fine", "GS"))
    with pytest.raises(ManifestError) as error:
        ask(places, tmp_path, other)
    assert str(error.value).startswith(f"cohort east: {other}: 2 problems\n")
    lines = str(error.value).splitlines()[1:]
    assert sorted(line.partition(" image")[0].rpartition(" (")[0] for line in lines) == [
        "- no class of DATA is called 'GS'",
        "- no class of DATA is called 'fine'",
    ]
    assert all("known: 0, 1; say which it is with --map " in line for line in lines)
    assert all("=CLASS, or" in line for line in lines), "a class that is offered for each would make all of them one"
    prepared, said = ask(places, tmp_path, other, map=("gs=1", "fine=0"))
    (cohort,) = prepared.cohorts
    assert cohort.manifest.classes == ("0", "1")
    truth = pd.read_csv(other).set_index("name")["label"]
    assert [("fine", "GS")[one] for one in cohort.manifest.labels] == truth[cohort.manifest.table["name"]].tolist()
    assert any(line.startswith("cohort east: class 'GS' is taken for 1 (") for line in said)


@pytest.mark.parametrize(
    ("test", "given", "message"),
    [
        (("north",), ("GS=1",), r"^--map GS=1: no cohort has a class 'GS': "),
        (("north",), ("GS=2",), r"^--map GS=2: write THEIRS=OURS, where OURS is a class of DATA: known: 0, 1$"),
        ((), ("GS=1",), r"^--map GS=1: it says what a cohort calls a class: give cohorts with --test NAME=PATH$"),
        (
            ("north",),
            ("GS=1", "g s=0"),
            r"^--map g s=0: 'g s' is mapped to 1 already: say once which class of DATA it is$",
        ),
        (("north", "north"), (), r"^--test is .*: give each name once$"),
    ],
)
def test_what_no_cohort_can_mean(places, tmp_path, test, given, message):
    with pytest.raises(StudyError, match=message):
        ask(places, tmp_path, *(places.north for _ in test), map=given)


def test_a_class_whose_name_holds_a_sign_of_equality_can_be_mapped(places, tmp_path):
    frame = pd.read_csv(places.north)
    frame.assign(label=frame["label"].map({1: "grade=3", 0: "0"})).to_csv(tmp_path / "east.csv", index=False)
    prepared, _ = ask(places, tmp_path, tmp_path / "east.csv", map=("grade=3=1",))
    (cohort,) = prepared.cohorts
    truth = frame.set_index("name")["label"]
    assert cohort.manifest.labels.tolist() == truth[cohort.manifest.table["name"]].tolist()


def test_two_cohorts_of_one_name(places, tmp_path):
    with pytest.raises(
        StudyError, match=r"^--test: two cohorts are called a: give them other names with --test NAME=PA"
    ):
        ask(places, tmp_path, f"a={places.north}", f"a={places.south}")


def test_names_of_cohorts(tmp_path):
    assert split_test("a b/c.csv") == ("c", "a b/c.csv") and split_test("x=y=z") == ("x", "y=z")
    (tmp_path / "k=1").mkdir()
    assert split_test(str(tmp_path / "k=1")) == ("k-1", str(tmp_path / "k=1"))
    with pytest.raises(
        StudyError, match=r"^--test =p: it does not name a cohort and a place: write --test NAME=PATH, with letters"
    ):
        split_test("=p")
    said = (
        "--test north hospital=p: a cohort cannot be called 'north hospital': write --test NAME=PATH, with letters, "
        "digits, dots and dashes in NAME, such as --test north-hospital=p"
    )
    with pytest.raises(StudyError, match=f"^{said}$"):
        split_test("north hospital=p")


def test_a_cohort_of_one_class_has_what_can_be_said(places, tmp_path):
    frame = pd.read_csv(places.north)
    frame[frame["label"] == 1].to_csv(tmp_path / "west.csv", index=False)
    run_study(tmp_path, data=str(places.home), test=(str(tmp_path / "west.csv"),), **OPTIONS)
    rows = pd.read_csv(tmp_path / "out" / "external.csv")
    predictions = pd.read_parquet(tmp_path / "out" / "external_predictions.parquet")
    found = rows.set_index("arm")
    for arm, own in predictions.groupby("arm"):
        assert found.loc[arm, "sensitivity_t"] == pytest.approx(own["prediction"].mean(), abs=1e-5)
    nothing = [
        "auroc",
        "average_precision",
        "specificity_t",
        "mcc",
        "f1",
        "precision",
        "difference",
        "calibration_slope",
    ]
    assert rows[nothing].isna().all(axis=None) and rows[["sensitivity_t_lo", "brier", "accuracy"]].notna().all(
        axis=None
    )
    assert rows["reason"].str.contains("the cohort holds no image of 0: no AUROC, nor what else takes all").all()
    assert pd.read_csv(tmp_path / "out" / "external_comparisons.csv").empty
    ranked = pd.read_csv(tmp_path / "out" / "results.csv")["arm"].tolist()
    assert rows["arm"].tolist() == ranked and ranked[-1] == FLOOR, "as in the study, for no figure ranks them there"


def test_tables_must_have_the_same_columns(places, tmp_path):
    other = pd.read_csv(places.north).rename(columns={"x3": "y3"}).assign(z=0.5)
    other.to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(FeatureError) as error:
        ask(places, tmp_path, tmp_path / "other.csv")
    assert str(error.value) == (
        f"{tmp_path / 'other.csv'}: its columns are not those of {places.home}: it lacks x3 and has besides y3, z; "
        "use the same names of columns in both, or choose those that both have with --columns and --drop"
    )


def test_a_cohort_may_lack_a_text_of_data_and_have_none_of_its_own(places, tmp_path):
    home, north = pd.read_csv(places.home), pd.read_csv(places.north)
    home.assign(stain=[*"HP"] * (len(home) // 2)).to_csv(tmp_path / "home.csv", index=False)
    north.assign(stain="P").to_csv(tmp_path / "one.csv", index=False)
    here, columns = SimpleNamespace(home=tmp_path / "home.csv"), {"columns": ("x*", "stain")}
    prepared, _ = ask(here, tmp_path, tmp_path / "one.csv", **columns)
    (table,) = prepared.cohorts[0].features.values()
    expected = np.column_stack([north[COLUMNS], np.zeros(len(north)), np.ones(len(north))]).astype(np.float32)
    np.testing.assert_array_equal(table.rows(north["name"]), expected)
    north.assign(stain=["M", *"P" * (len(north) - 1)]).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(FeatureError, match=r"home\.csv: it has besides stain \(1 text\); use the same"):
        ask(here, tmp_path, tmp_path / "other.csv", **columns)


@pytest.fixture
def other_table(places, tmp_path):
    """Numbers of another network for the images of DATA, in columns of the same names, which tell classes otherwise."""
    frame = pd.read_csv(places.home)
    frame.assign(x0=frame["x2"], x2=-frame["x0"]).to_csv(tmp_path / "other.csv", index=False)
    return tmp_path / "other.csv"


def test_a_table_of_the_cohort_stands_for_data_and_for_no_other_table(places, study, other_table, tmp_path):
    features = f"file:{places.home}", f"file:{other_table}"
    test = (f"north={places.north}",)
    *_, said = run_study(tmp_path, data=str(places.home), features=features, test=test, **OPTIONS)
    rows = pd.read_csv(tmp_path / "out" / "external.csv").set_index("arm")
    own, other = f"{study.feature}/none/logreg", next(arm for arm in rows.index if arm.startswith("other."))
    assert rows.loc[other, "status"] == "skipped" and np.isnan(rows.loc[other, "auroc"])
    assert rows.loc[other, "reason"] == "it reads a table of images of DATA, without rows of the cohort's"
    first = study.external.set_index(["cohort", "arm"]).loc[("north", own)]
    assert rows.loc[own, "status"] == "done" and rows.loc[own, "auroc"] == first["auroc"]
    line = f"cohort north: {other.partition('/')[0]} is a table of images of DATA: no arm that reads it is scored there"
    assert line in said and not any("stands for" in one for one in said)
    pd.read_csv(other_table).rename(columns={"x3": "y3"}).to_csv(tmp_path / "named.csv", index=False)
    prepared, _ = ask(places, tmp_path, *test, features=(features[0], f"file:{tmp_path / 'named.csv'}"))
    assert [one.path for one in prepared.cohorts[0].features.values()] == [str(places.north)]


def test_beside_a_table_of_labels_the_cohort_stands_for_the_only_other_table(places, other_table, tmp_path):
    pd.read_csv(places.home)[["name", "label"]].assign(mm=1.0).to_csv(tmp_path / "labels.csv", index=False)
    named = SimpleNamespace(home=tmp_path / "labels.csv")
    prepared, said = ask(named, tmp_path, f"north={places.north}", features=(f"file:{other_table}",))
    line = f"cohort north: {places.north} stands for {other_table}: arms that read it are scored on these rows"
    assert line in said and [one.path for one in prepared.cohorts[0].features.values()] == [str(places.north)]
    both = tuple(f"file:{path}" for path in (other_table, places.home))
    prepared, said = ask(named, tmp_path, f"north={places.north}", features=both)
    assert not prepared.cohorts[0].features
    assert len([line for line in said if "no arm that reads it is scored there" in line]) == 2


def test_missing_values_are_filled_with_medians_of_data(tmp_path):
    home, north = put(tmp_path / "home.csv", 0, 24, missing=0.2), put(tmp_path / "north.csv", 1, 12, 50, missing=0.4)
    run_study(tmp_path, data=str(home), test=(str(north),), missing="impute", **OPTIONS)
    own = pd.read_parquet(tmp_path / "out" / "external_predictions.parquet")
    own = own[own["arm"] != FLOOR]
    record = next(
        one for (_, arm), one in Journal(tmp_path / "out" / "journal.jsonl").external().items() if arm != FLOOR
    )
    (_, X, y), (_, X_there, _) = rows_of(home), rows_of(north)
    gaps = [np.isnan(one[:, [1]]) for one in (X, X_there)]
    X, X_there = (np.hstack([np.where(np.isnan(one), np.nanmedian(X, axis=0), one), gap])
                  for one, gap in zip((X, X_there), gaps, strict=True))  # fmt: skip
    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=record["params"]["logisticregression__C"], class_weight="balanced", max_iter=2000),
    )
    np.testing.assert_allclose(own["score"], model.fit(X, y).predict_proba(X_there)[:, 1], atol=1e-4)


def test_values_that_are_missing_only_elsewhere_are_refused(places, tmp_path):
    north = put(tmp_path / "north.csv", 1, 12, 50, missing=0.4)
    with pytest.raises(
        FeatureError, match=r"values are missing in x1, and none are in .*home.csv: what was learnt there"
    ):
        run_study(tmp_path, data=str(places.home), test=(str(north),), missing="impute", **OPTIONS)


def test_columns_in_another_order_are_the_same_ones_and_rows_of_data_are_counted(places, study, tmp_path):
    north, home = pd.read_csv(places.north), pd.read_csv(places.home)
    copied = home.head(3).assign(name=[f"P99_PAS_1of1_{k:024x}.png" for k in range(3)])
    frame = pd.concat([north, copied])
    frame[["x2", "label", "x0", "x3", "name", "x1"]].to_csv(tmp_path / "north.csv", index=False)
    *_, said = run_study(tmp_path, data=str(places.home), test=(str(tmp_path / "north.csv"),), **OPTIONS)
    again = pd.read_parquet(tmp_path / "out" / "external_predictions.parquet").iloc[:, 1:]
    first = study.predictions[(study.predictions["cohort"] == "north") & study.predictions["arm"].isin(again["arm"])]
    same = again[again["name"].isin(north["name"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, first.iloc[:, 1:].reset_index(drop=True))
    assert (
        "warning: cohort north: 3 of its 63 rows hold the numbers of rows of DATA: if they are the same images, its "
        "figures are too good"
    ) in said


@pytest.fixture(scope="module")
def images(phantom_folder, tmp_path_factory):
    """A small phantom of another place, of which one image cannot be read."""
    folder = make_phantom(tmp_path_factory.mktemp("there") / "far", Phantom(24, 4, 0.4, seed=9, min_px=60, max_px=80))
    spoilt = sorted(folder.rglob("*.png"))[1]
    spoilt.write_bytes(spoilt.read_bytes()[:60])
    return SimpleNamespace(home=phantom_folder, far=folder, spoilt=spoilt.name)


@pytest.mark.parametrize(
    "more",
    [
        {},
        pytest.param(
            {"nets": ("F-D4-out",), "epochs": 1, "ensembles": ("shortcut/none/logreg,net:F-D4-out",)},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["features", "networks"],
)
def test_images_of_another_place_are_scored_as_a_bundle_scores_them(
    images, tmp_path, more, no_changed_copies, monkeypatch
):
    asked = OPTIONS | {"features": ("shortcut",), "size": 32, "folds": 2, "save_models": True} | more
    *_, said = run_study(tmp_path, data=str(images.home), test=(f"far={images.far}",), **asked)
    out = tmp_path / "out"
    aside = pd.read_csv(out / "external_quarantine.csv")
    assert aside[["cohort", "name"]].to_numpy().tolist() == [["far", images.spoilt]]
    assert any(line.startswith("cohort far: 1 of 24 images cannot be read and is set aside (") for line in said)
    assert any("changed copies are looked for before trials" in line for line in said)
    found = pd.read_parquet(out / "external_predictions.parquet")
    paths = {path.name: path for path in images.far.rglob("*.png")}
    arms = [arm for arm in found["arm"].unique() if arm != FLOOR]
    assert len(arms) == (3 if more else 1)
    for arm in arms:
        own, bundle = found[found["arm"] == arm], glomfeat.load_bundle(out / "models" / folder_of(arm))
        assert len(own) == 23 and bundle.threshold == own["threshold"].iloc[0]
        told = bundle.predict([paths[name] for name in own["name"]])
        np.testing.assert_allclose(told["score"], own["score"], atol=1e-6)
        assert told["prediction"].tolist() == own["prediction"].tolist()
    journal, unknown = out / "journal.jsonl", min(paths.values()).read_bytes()
    lines = journal.read_text().splitlines(keepends=True)
    first = next(k for k, line in enumerate(lines) if '"external"' in line)
    journal.write_text("".join(lines[: first + 1]))  # killed after the first arm
    shutil.rmtree(tmp_path / "cache")

    def lacking(data, *rest):
        """As where a decoder is missing."""
        return decode(b"" if data == unknown else data, *rest)

    monkeypatch.setattr("glomfeat.data.images.decode.decode", lacking)
    with pytest.raises(
        StudyError, match=r"^cohort far: 0 images can be read now but could not be when .* made, and 1 the"
    ):
        run_study(tmp_path, data=str(images.home), test=(f"far={images.far}",), **asked)


def test_a_cohort_of_which_nothing_can_be_read_is_named(images, tmp_path):
    far = shutil.copytree(images.far, tmp_path / "far")
    for path in far.rglob("*.png"):
        path.write_bytes(path.name.encode())
    asked = OPTIONS | {"features": ("shortcut",), "size": 32, "folds": 2}
    told = r"^cohort far: 24 of 24 images cannot be read: repair or remove them \("
    with pytest.raises(ImageError, match=told):
        run_study(tmp_path, data=str(images.home), test=(f"far={far}",), **asked)
    assert not (tmp_path / "out").exists(), "before any work"
    with pytest.raises(ImageError, match=told):
        make_plan(ask(SimpleNamespace(home=images.home), tmp_path, f"far={far}", **asked)[0])


def test_a_cohort_of_which_no_image_of_a_class_can_be_read_ends_no_long_run(images, tmp_path):
    far = shutil.copytree(images.far, tmp_path / "far")
    for path in (far / SCLEROTIC).rglob("*.png"):
        path.write_bytes(path.name.encode())
    asked = OPTIONS | {"features": ("shortcut",), "size": 32, "folds": 2}
    with pytest.raises(ImageError, match=rf"^cohort far: .*{SCLEROTIC}"):
        run_study(tmp_path, data=str(images.home), test=(f"far={far}",), **asked)
    assert Journal(tmp_path / "out" / "journal.jsonl").read() == {}, "before any trial"


def test_a_changed_copy_of_an_image_of_data_in_a_cohort_is_refused_before_any_trial(tmp_path):
    near = make_phantom(tmp_path / "near", Phantom(images=8, cases=4, min_px=100, max_px=140))
    few = Phantom(images=4, cases=2, positives=0.5, seed=9, min_px=100, max_px=140)
    far = make_phantom(tmp_path / "far", few)
    mine, theirs = min(near.rglob("*.png")), min(far.rglob("*.png"))
    with Image.open(mine) as image:
        image.convert("RGB").rotate(90, expand=True).save(theirs)
    options = OPTIONS | {"features": ("shortcut",), "size": 32, "folds": 2}
    expected = f"cohort far: 1 image is a changed copy of images of DATA (far: {theirs.name} = {mine.name}): take them"
    with pytest.raises(ManifestError, match=re.escape(expected)):
        run_study(tmp_path, data=str(near), test=(f"far={far}",), **options)
    assert Journal(tmp_path / "out" / "journal.jsonl").read() == {}
    other = make_phantom(tmp_path / "other", replace(few, seed=5))
    asked = options | {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache"), "test": (str(other),)}
    plan = {stage.name: stage for stage in make_plan(prepare(Study(str(near), **asked), lambda line: None))}
    search = plan["search for changed copies in cohorts"]
    assert (search.total, search.done) == (12, 8), "DATA has been described for the first cohort"
    assert search.need.bytes == pairs_need(12).bytes and search.left_s > 0 and search.note == ""


def test_columns_are_joined_to_images_of_cohorts_too(tmp_path):
    """Ages tell the classes at home, and the opposite away, so columns of another place would give 1."""
    for name, seed, sign in (("near", 0, 1), ("far", 9, -1)):
        home = make_phantom(
            tmp_path / name, Phantom(images=16, cases=8, positives=0.5, seed=seed, min_px=100, max_px=120)
        )
        paths = sorted(path.relative_to(home) for path in home.rglob("*.png"))
        ill = [int(path.parts[0].startswith("globally")) for path in paths]
        ages = [50 + sign * 9 * one + k % 3 for k, one in enumerate(ill)]
        cases = [path.name.split("_")[0] for path in paths]
        table = pd.DataFrame({"path": map(str, paths), "label": ill, "case": cases, "age": ages})
        table.to_csv(home / "labels.csv", index=False)
    asked = OPTIONS | {"features": ("shortcut",), "size": 16, "folds": 2, "with_": ("age",)}
    given = {"data": str(tmp_path / "near" / "labels.csv"), "test": (f"far={tmp_path / 'far' / 'labels.csv'}",)}
    _, results, _, _ = run_study(tmp_path, **given, **asked)
    there, arm = pd.read_csv(tmp_path / "out" / "external.csv").set_index("arm"), "age/none/logreg"
    assert there.loc[arm, "auroc"] == 0.0 and results.set_index("arm").loc[arm, "auroc"] == 1.0


def test_an_image_of_data_in_a_cohort_is_refused(images, tmp_path):
    far = shutil.copytree(images.far, tmp_path / "far")
    planted = sorted(images.home.rglob("*.png"))[5]
    other = next(path for path in far.iterdir() if path.is_dir() and path.name == planted.parent.name)
    shutil.copy(planted, other / "new_PAS_1of1_0123456789abcdef01234567.png")
    with (far / "public.csv").open("a") as file:
        file.write(f"new_PAS_1of1_0123456789abcdef01234567.png,{int(planted.parent.name.startswith('globally'))}\n")
    with pytest.raises(ManifestError) as error:
        ask(SimpleNamespace(home=images.home), tmp_path, far, features=("shortcut",), size=32)
    assert "cohort far: 1 of its 25 images lies in DATA too, byte for byte (new_PAS_1of1_" in str(error.value)
    assert f" = {planted.name})" in str(error.value)


def test_a_table_is_no_cohort_of_images(images, places, tmp_path):
    with pytest.raises(
        ManifestError,
        match=r"^cohort north: .* holds a feature table and DATA images: give it in the same form as DATA",
    ):
        ask(SimpleNamespace(home=images.home), tmp_path, places.north, features=("shortcut",))


def test_images_are_no_cohort_of_a_table(images, places, tmp_path):
    with pytest.raises(
        ManifestError, match=r"^cohort far: .* holds images and DATA a feature table: give it in the same form as DATA"
    ):
        ask(places, tmp_path, images.far)


def test_a_table_without_rows_is_named_as_such(places, tmp_path):
    pd.read_csv(places.north).head(0).to_csv(tmp_path / "west.csv", index=False)
    with pytest.raises(
        ManifestError, match=r"^cohort west: .*west.csv holds a header but no rows: save it again with "
    ):
        ask(places, tmp_path, tmp_path / "west.csv")


@pytest.mark.parametrize("threshold", ["0.3", "balanced"])
def test_a_fixed_threshold_needs_no_inner_folds_of_all_cases(places, tmp_path, threshold):
    frame = pd.read_csv(put(tmp_path / "home.csv", 3, 8))
    frame["label"], frame["part"] = (np.arange(40) < 5).astype(int), np.where(np.arange(40) % 2, "train", "test")
    frame.assign(x0=frame["x0"] + 2 * frame["label"]).to_csv(tmp_path / "home.csv", index=False)  # one case has 1
    options = {"data": str(tmp_path / "home.csv"), "scheme": "given:part", "allow_split_cases": True}
    name = prepare(Study(**options), lambda line: None).features[0].name
    options |= {"reducers": ("none", "pca2"), "heads": ("logreg",), "threshold": threshold}
    options |= {"ensembles": (f"{name}/none/logreg,{name}/pca2/logreg",)} if threshold == "0.3" else {}
    *_, said = run_study(tmp_path, **options, test=(f"north={places.north}",), save_models=True)
    found = pd.read_csv(tmp_path / "out" / "external.csv").set_index("arm")
    no_split = "inner folds of all cases cannot hold all classes, "
    if threshold == "balanced":
        assert (found["status"] == "skipped").all()
        remedy = "so nothing can be chosen by them: compare with a number for --threshold, and without --calibration"
        assert (found["reason"] == no_split + remedy).all()
        return
    _, X, y = rows_of(tmp_path / "home.csv")
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)).fit(X, y)
    _, X, y = rows_of(places.north)
    score, row = model.predict_proba(X)[:, 1], found.loc[f"{name}/none/logreg"]
    assert (found["status"] == "done").all() and row["auroc"] == pytest.approx(roc_auc_score(y, score), abs=1e-5)
    assert row["sensitivity_t"] == pytest.approx(np.mean(score[y == 1] >= 0.3), abs=1e-5)
    (mean,) = (arm for arm in found.index if arm.startswith("mean:"))
    why = "mean of scores as they were, because inner splits cannot hold all classes"
    assert found.loc[mean, "reason"] == why
    unlike = "and by them a bundle tells what is unlike the images that it has learnt"
    assert f"{name}/none/logreg: no bundle: {no_split}{unlike}" in said


def test_from_python(study, places, tmp_path):
    options = {name: value for name, value in study.options.items() if name != "test"}
    options |= {"cache": places.folder / "cache", "jobs": 1, "quiet": True, "out": study.out}
    found = glomfeat.compare(**options, test=[f"north={places.north}", places.south])
    pd.testing.assert_frame_equal(
        found.external.replace("", np.nan), study.external.replace("", np.nan), check_dtype=False
    )
    alone = Result(found.table, tmp_path, "")
    with pytest.raises(
        StudyError, match=r"^no cohort was scored: compare again with the same out and test=\['NAME=PATH'"
    ):
        _ = alone.external
