"""Columns of the table of labels as arms: beside a feature and alone, what folds make of them, and what is said."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.running import refusal, run_study
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import glomfeat
from glomfeat.bundle.format import BundleError
from glomfeat.comparison.extraction import extract_for
from glomfeat.comparison.forecast import make_plan
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.refit import refit_arm
from glomfeat.core.arms import StudyError
from glomfeat.data.joined import JoinedError
from glomfeat.data.manifest import ManifestError
from glomfeat.data.tables.read import TableError
from glomfeat.report.content import read_content
from glomfeat.report.page import section_html
from glomfeat.report.sections import joined as section
from glomfeat.report.sections.methods import paragraph
from glomfeat.results.journal import Journal
from studies import refit
from studies._cli import parse_options

pytestmark = pytest.mark.usefixtures("dealt_once")

NUMBERS, WITH = [f"x{k}" for k in range(4)], ("age", "sex")
OPTIONS = {"reducers": ("pca2",), "heads": ("logreg",), "folds": 4, "with_": WITH}
ALONE = "age+sex/none/logreg"


def put(path, seed=0, cases=12, first=0, **columns):
    """A table of five rows of each case: two of its numbers tell the classes apart, and age a little."""
    rng, n = np.random.default_rng(seed), 5 * cases
    label = rng.integers(0, 2, n)
    rows = {"name": [f"P{first + row // 5:02d}_PAS_1of1_{seed:04x}{row:020x}.png" for row in range(n)], "label": label}
    rows |= {name: rng.normal(size=n) + label * shift for name, shift in zip(NUMBERS, (1.0, 0.4, 0, 0), strict=True)}
    age = np.round(55 + 8 * label + rng.normal(0, 12, n))
    age[rng.random(n) < 0.15] = np.nan
    sex = rng.choice(np.array(["F", "M", ""], object), n, p=[0.45, 0.45, 0.1])
    pd.DataFrame({**rows, "age": age, "sex": sex, **columns}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of a table with two columns, an ensemble, and a cohort."""
    folder = tmp_path_factory.mktemp("joined")
    home, north = put(folder / "home.csv"), put(folder / "north.csv", 1, 8, first=50)
    none = put(folder / "none.csv", none=1.0)
    name = prepare(Study(str(home), with_=WITH), lambda line: None).features[0].name
    joined, plain = f"{name}+age+sex/pca2/logreg", f"{name}/pca2/logreg"
    more = {"ensembles": (f"{plain},{ALONE}",), "reference": ALONE, "test": (f"north={north}",)}
    finished, results, _, said = run_study(folder, data=str(home), **OPTIONS, **more)
    out = folder / "out"
    return SimpleNamespace(**locals())


def frame_of(path):
    frame = pd.read_csv(path).sort_values("name", ignore_index=True)
    return frame.assign(sex=frame["sex"].fillna("missing"))


def by_hand(frame, train, test, C, images=True, columns=True):
    """Scores as scikit-learn gives them: components of one scale beside standardised ages and columns of 0 and 1."""
    age = make_pipeline(SimpleImputer(add_indicator=True, strategy="median"), ColumnTransformer(
        [("value", StandardScaler(), [0])], remainder="passthrough"))  # fmt: skip
    made = ColumnTransformer([("age", age, ["age"]), ("sex", OneHotEncoder(handle_unknown="ignore"), ["sex"])])
    parts = [made.fit(train).transform(frame)] if columns else []
    if images:
        of_images = make_pipeline(StandardScaler(), PCA(2)).fit(train[NUMBERS])
        size = np.sqrt(128 / (of_images.transform(train[NUMBERS]) ** 2).sum(axis=1).mean())
        parts.append(of_images.transform(frame[NUMBERS]) * size)
    X, rows = np.hstack(parts), train.index
    model = LogisticRegression(C=C, class_weight="balanced", max_iter=5000, tol=1e-8)
    return model.fit(X[rows], train["label"]).predict_proba(X[test])[:, 1]


def test_a_feature_is_compared_with_columns_without_and_with_the_columns_alone(study):
    assert set(study.results["arm"]) == {
        *("none/none/dummy", study.plain, study.joined, ALONE, f"mean:{study.plain},{ALONE}")
    }
    assert (study.results["status"] == "done").all()
    row = study.results.set_index("arm").loc[study.joined]
    assert row["feature"] == f"{study.name}+age+sex" and row["reducer"] == "pca2"
    assert "joined column age" in (said := "\n".join(study.said))
    assert "age, sex (--with joins it)" in said
    assert "joined columns: 1 feature is also read with them, and age+sex is what they tell alone" in said


@pytest.mark.parametrize("arm", ["joined", "alone", "plain"])
def test_the_scores_of_a_fold_are_those_of_a_pipeline_by_hand(study, arm):
    name = {"joined": study.joined, "alone": ALONE, "plain": study.plain}[arm]
    frame = frame_of(study.home)
    folds = pd.read_csv(study.out / "folds.csv").set_index("name").loc[frame["name"], "fold"].to_numpy()
    records = Journal(study.out / "journal.jsonl").done()
    for fold in range(4):
        record, test = records[name, 0, fold], np.flatnonzero(folds == fold)
        C = record["params"]["logisticregression__C"]
        scores = by_hand(frame, frame[folds != fold], test, C, arm != "alone", arm != "plain")
        np.testing.assert_allclose(record["scores"], scores, atol=2e-3)


def test_a_cohort_is_scored_with_its_own_columns_by_the_statistics_of_data(study):
    frame, theirs = frame_of(study.home), frame_of(study.north)
    both = pd.concat([frame, theirs], ignore_index=True)
    predictions = pd.read_parquet(study.out / "external_predictions.parquet").set_index(["arm", "name"])
    external = {arm: one for (_, arm), one in Journal(study.out / "journal.jsonl").external().items()}
    assert {one["status"] for one in external.values()} == {"done"} and len(external) == len(study.results)
    for arm, images in ((study.joined, True), (ALONE, False)):
        C = external[arm]["params"]["logisticregression__C"]
        scores = by_hand(both, both[: len(frame)], np.arange(len(frame), len(both)), C, images)
        np.testing.assert_allclose(predictions.loc[arm].loc[theirs["name"], "score"], scores, atol=2e-3)


def test_a_cohort_without_the_columns_is_refused(study, tmp_path):
    put(tmp_path / "south.csv", 2, 8, first=70)
    pd.read_csv(tmp_path / "south.csv").drop(columns="sex").to_csv(tmp_path / "south.csv", index=False)
    with pytest.raises(ManifestError) as error:
        prepare(Study(str(study.home), with_=WITH, test=(str(tmp_path / "south.csv"),)), lambda line: None)
    assert str(error.value).startswith(f"cohort south: --with 'sex' is no column of {tmp_path / 'south.csv'}: ")
    assert str(error.value).endswith("; a cohort needs the columns of --with, so that arms that read them can score it")


def cohort_of(study, tmp_path, change):
    """What is said of a cohort that is like the study's but for its columns."""
    frame, said = pd.read_csv(study.north), []
    change(frame).to_csv(tmp_path / "south.csv", index=False)
    prepare(Study(str(study.home), with_=WITH, test=(str(tmp_path / "south.csv"),)), said.append)
    return [line for line in said if "joined column" in line and "cohort" in line]


def test_a_cohort_whose_texts_data_does_not_know_is_refused_with_both_codes(study, tmp_path):
    home, north = (pd.read_csv(path)["sex"].value_counts() for path in (study.home, study.north))
    ours, theirs = (
        ", ".join(f"{sexes[k]} {counts[k]}" for k in sorted("FM", key=lambda k: -counts[k]))
        for sexes, counts in (({"F": "F", "M": "M"}, home), ({"F": "w", "M": "m"}, north))
    )
    with pytest.raises(JoinedError) as error:
        cohort_of(study, tmp_path, lambda frame: frame.assign(sex=frame["sex"].map({"F": "w", "M": "m"})))
    assert str(error.value) == (
        f"cohort south: --with sex: none of its values ({theirs}) is one of DATA ({ours}): write values that mean the "
        "same alike, or leave the column out"
    )
    with pytest.raises(JoinedError) as error:
        cohort_of(study, tmp_path, lambda frame: frame.assign(age=np.nan))
    assert str(error.value) == "cohort south: --with age: no image has a value: fill the column in, or leave it out"


def test_a_cohort_with_some_texts_that_data_does_not_know_is_told(study, tmp_path):
    home, north = (pd.read_csv(path)["sex"].value_counts() for path in (study.home, study.north))
    assert cohort_of(study, tmp_path, lambda frame: frame) == []
    assert cohort_of(study, tmp_path, lambda frame: frame.assign(sex=frame["sex"].replace("M", "m"))) == [
        f"warning: cohort south: joined column sex: {north['M']} of 40 images have a value (m {north['M']}) that no "
        f"image of DATA has ({', '.join(f'{text} {count}' for text, count in home.items())}): 0 in all of the column's "
        "numbers; write values that mean the same alike"
    ]


@pytest.mark.parametrize(
    ("scheme", "part", "shown"),
    [
        ("leave-out:place", ["Oslo"] * 20 + ["Rome"] * 40, "place is Oslo"),
        ("given:place", ["test"] * 20 + ["train"] * 40, "place is test"),
    ],
)
def test_texts_of_a_part_that_no_other_has_are_told(tmp_path, scheme, part, shown):
    sex = np.resize(np.array(["F", "M", "F"]), 60)
    sex[:20] = np.char.lower(sex[:20])  # 13 times f, 7 times m
    path, said = put(tmp_path / "t.csv", sex=sex, place=part), []
    prepare(Study(str(path), with_=("sex",), scheme=scheme), said.append)
    one, other = "20 of 20 images (f 13, m 7)", ", 40 of 40 images (F 27, M 13)"
    rest = f"{other} where place is Rome" if scheme.startswith("leave-out") else ""
    assert [line for line in said if "no training image" in line] == [
        f"warning: joined column sex: values that no training image has: {one} where {shown}{rest}: 0 in all of the "
        "column's numbers; write values that mean the same alike"
    ]


def test_other_arms_are_what_they_are_without_columns_and_nothing_else_is_written(study, tmp_path):
    options = OPTIONS | {"with_": (), "drop": WITH}
    _, results, _, _ = run_study(tmp_path, data=str(study.home), **options)
    mine = study.results.set_index("arm")
    assert set(results["arm"]) == {study.plain, "none/none/dummy"}
    assert [mine.loc[row["arm"], "auroc"] for row in results.to_dict("records")] == results["auroc"].tolist()
    assert not list((tmp_path / "out").glob("joined*"))
    assert "with" not in Journal(tmp_path / "out" / "journal.jsonl").header()
    assert section.fill(read_content(tmp_path / "out")) is None


def test_what_images_and_columns_add_is_a_table_and_a_sentence(study):
    pairs = pd.read_csv(study.out / "joined_pairs.csv")
    assert pairs[["arm", "other", "adds"]].to_numpy().tolist() == [
        [study.joined, ALONE, "images"],
        [study.joined, study.plain, "columns"],
    ]
    auroc = study.results.set_index("arm")["auroc"]
    for row in pairs.to_dict("records"):
        assert row["difference"] == pytest.approx(auroc[row["arm"]] - auroc[row["other"]], abs=1e-5)
    (said,) = [line for line in study.said if line.startswith("what images add to the columns: ")]
    assert f"AUROC of {study.joined} less that of {ALONE} is {pairs['difference'][0]:+.3f}, 95 % limits" in said


def test_the_report_shows_them_and_what_they_hold_in_each_class(study):
    frame, content = frame_of(study.home), read_content(study.out)
    html = section_html(section, content)
    assert "What images add to the columns: AUROC of home+age+sex + logistic regression less that of age+sex" in html
    ages = frame.loc[frame["label"] == 0, "age"]
    q1, median, q3 = np.quantile(ages.dropna(), (0.25, 0.5, 0.75))
    assert f"{median:.4g} ({q1:.4g} to {q3:.4g}); {ages.isna().sum()} of {len(ages)} missing" in html
    women = ((frame["label"] == 1) & (frame["sex"] == "F")).sum()
    assert f"F {women} ({women / (frame['label'] == 1).sum():.0%})" in html
    assert (
        "The columns age and sex of the table of labels were used alone and joined to each feature after the reducer"
        in "\n".join(paragraph(content.loaded))
    )


def test_a_folder_of_other_values_is_refused(tmp_path):
    frame, table = pd.read_csv(put(tmp_path / "home.csv", cases=8)).drop(columns="sex"), tmp_path / "table.csv"
    frame.fillna({"age": 1}).to_csv(table, index=False)
    options = {"data": str(table), "features": (f"file:{tmp_path / 'numbers.csv'}",), "with_": ("age",)}
    options |= {"reducers": ("none",), "heads": ("logreg",), "folds": 2}
    frame.drop(columns="age").to_csv(tmp_path / "numbers.csv", index=False)
    run_study(tmp_path, **options)
    frame.fillna({"age": 2}).to_csv(table, index=False)
    with pytest.raises(StudyError, match=r"values of columns: \w+ there, \w+ now"):
        run_study(tmp_path, **options)


def test_the_plan_has_their_arms_and_reduces_a_feature_once(study, tmp_path):
    out, cache = str(tmp_path / "out"), str(tmp_path / "cache")
    prepared = prepare(Study(str(study.home), **OPTIONS, out=out, cache=cache), lambda line: None)
    names = [stage.name for stage in make_plan(prepared)]
    assert {study.plain, study.joined, ALONE} <= set(names)
    assert len([name for name in names if "route" in name]) == 1
    most = {stage.name: stage.need.how for stage in make_plan(prepared)}
    assert most[study.plain].startswith("60 rows of 2 columns")
    assert most[study.joined].startswith("60 rows of 7 columns") and most[ALONE].startswith("60 rows of 5 columns")


def test_no_bundle_holds_such_an_arm(study, monkeypatch, capsys):
    said = []
    prepared = prepare(Study(str(study.home), **OPTIONS, out=str(study.out), save_models=True), said.append)
    assert [line for line in said if "--save-models" in line] == [
        "warning: --save-models: arms that read joined columns get no bundle, because a bundle is given only "
        "images or rows of features; --test scores places whose tables have the columns"
    ]
    with pytest.raises(BundleError) as error:
        refit_arm(prepared, extract_for(prepared, prepared.manifest, prepared.features), study.joined)
    assert str(error.value) == (
        f"{study.joined} reads age and sex of the table of labels, and a bundle is given images or rows of features "
        "alone: refit the arm without columns, or score places whose tables have them with --test"
    )
    monkeypatch.setattr("glomfeat.comparison.fold_stains.extract_for_arm", None)  # it is refused before that
    assert str(error.value) in refusal(refit.main, capsys, str(study.out), "--arm", study.joined)


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        (("label",), JoinedError, "--with label: the column 'label' holds the classes, and a model that reads it"),
        (("age", "age"), StudyError, "--with is age age: give each name once"),
        (("",), StudyError, "--with holds an empty name: write a name there, or leave the option out"),
        (("none",), JoinedError, r"--with none: arms would be called by 'none', which is a part of glomfeat's own \("),
        (("agee",), TableError, "--with 'agee' is no column of .*: allowed are age, "),
    ],
)
def test_columns_that_cannot_join_are_refused_before_work(study, asked, kind, message):
    with pytest.raises(kind, match=message.replace("?", r"\?")):
        prepare(Study(str(study.none if asked == ("none",) else study.home), with_=asked), lambda line: None)


def test_the_option_is_with_on_the_command_line_and_in_files_and_with__in_python(study, tmp_path):
    written = yaml.safe_load((study.out / "study.yaml").read_text())
    assert written["with"] == ["age", "sex"] and "with_" not in written
    again = parse_options(Study, ["--config", str(study.out / "study.yaml")], "compare")
    assert again.with_ == WITH == parse_options(Study, ["x", "--with", "age", "sex"], "compare").with_
    small = {"heads": "logreg", "reducers": "none", "folds": 2, "jobs": 1, "cache": str(tmp_path), "quiet": True}
    found = glomfeat.compare(study.home, with_=["age"], **small)
    assert {"age/none/logreg", f"{found.table['feature'].iloc[0].partition('+')[0]}"} & set(found.table["arm"])
    with pytest.raises(BundleError, match=r"^age/none/logreg reads age of the table of labels, and a bundle is given"):
        found.arms["age/none/logreg"].model()


def test_columns_stay_as_they_are_when_images_are_changed(phantom_folder, tmp_path):
    names = sorted(path for path in phantom_folder.rglob("*.png"))
    labels = pd.DataFrame({"path": [str(path) for path in names], "label": [path.parent.name for path in names]})
    labels.assign(age=np.random.default_rng(0).normal(60, 9, len(names))).to_csv(tmp_path / "labels.csv", index=False)
    options = {"data": str(tmp_path / "labels.csv"), "features": ("shortcut",), "reducers": ("none",), "size": 16}
    options |= {"heads": ("logreg",), "folds": 2, "with_": ("age",), "perturb": ("blur",)}
    *_, said = run_study(tmp_path, **options)
    table = pd.read_csv(tmp_path / "out" / "robustness.csv")
    assert set(table["arm"]) == {"shortcut.v1/none/logreg", "shortcut.v1+age/none/logreg"}
    assert "robustness: age/none/logreg is left out: it reads columns and no image" in said


@pytest.mark.slow
def test_the_tables_are_the_same_however_many_jobs_there_are(study, tmp_path):
    run_study(tmp_path, data=str(study.home), **OPTIONS, jobs=2)
    ours = study.results[study.results["kind"] == "features"]
    for name in ("predictions.parquet",):
        theirs = pd.read_parquet(tmp_path / "out" / name)
        mine = pd.read_parquet(study.out / name)
        mine = mine[mine["arm"].isin(ours["arm"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, theirs.reset_index(drop=True), check_exact=True)
