"""Splits that a table or folders give are taken as they are, and refused where they tear cases apart."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.running import parts_called_here
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import glomfeat
from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.arms import FLOOR, StudyError
from glomfeat.data.cases import TORN
from glomfeat.data.given import GivenError, read_parts
from glomfeat.data.labels.classes import labelled
from glomfeat.data.manifest import ManifestError, check_split, read_manifest
from glomfeat.data.schemes import Given, find_scheme
from glomfeat.data.splits import other_folds
from glomfeat.metrics.thresholds import choose_threshold
from glomfeat.models.heads.built_in import Head
from glomfeat.report.sections.methods import paragraph
from glomfeat.report.write import write_report
from glomfeat.results.load import load_run

pytestmark = pytest.mark.usefixtures("dealt_once")

LABELS = Path(__file__).parents[3] / "shared" / "data" / "glomeruli_labels.csv"
CASES = np.repeat(np.arange(24), 6)


def plain(seed):
    """A head without a setting to choose, which scikit-learn makes by hand."""
    return Head(LogisticRegression(), {})


def table(part):
    """Rows of 24 cases, both classes in each, with what `part` says of each case."""
    rng = np.random.default_rng(0)
    label = np.arange(len(CASES)) % 2
    frame = pd.DataFrame({"name": [f"P{case:02d}_{row}.png" for row, case in enumerate(CASES)], "label": label})
    frame = frame.assign(a=rng.normal(size=len(label)) + label, b=rng.normal(size=len(label)) + 0.3 * label)
    return frame.assign(case=[f"P{case:02d}" for case in CASES], part=[part(case) for case in CASES])


def of_parts(case):
    return "Training" if case < 14 else "Validation" if case < 18 else "hold-out"


def run_study(tmp_path, frame, **options):
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    options = {"heads": ("logreg",), "reducers": ("none",), "jobs": 1, "scheme": "given:part"} | options
    places = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    said = []
    prepared = prepare(Study(data=str(path), **(places | options)), said.append)
    return *compare(prepared, said.append), said


def by_hand(frame, train, test):
    X, y = frame[["a", "b"]].to_numpy(np.float32), frame["label"].to_numpy()
    return LogisticRegression().fit(X[train], y[train]).predict_proba(X[test])[:, 1]


def own_head(tmp_path, frame, **options):
    """A study from Python with a head of one's own, and its trials and predictions."""
    frame.to_csv(tmp_path / "t.csv", index=False)
    places = {"out": tmp_path / "out", "cache": tmp_path / "cache"}
    options = {
        "heads": {"plain": plain},
        "reducers": ["none"],
        "scheme": "given:part",
        "jobs": 1,
        "quiet": True,
    } | options
    with parts_called_here():
        glomfeat.compare(tmp_path / "t.csv", **places, **options)
    out = tmp_path / "out"
    trials, predictions = pd.read_csv(out / "trials.csv"), pd.read_parquet(out / "predictions.parquet")
    mine = trials["arm"].str.endswith("/plain")
    return (
        trials[mine],
        predictions[predictions["arm"].str.endswith("/plain")].set_index("name"),
        pd.read_csv(out / "folds.csv"),
    )


def test_named_parts_are_learnt_chosen_on_and_tested(tmp_path):
    frame = table(of_parts)
    trials, predictions, folds = own_head(tmp_path, frame)
    train, valid, test = (frame["part"] == name for name in ("Training", "Validation", "hold-out"))
    scores = by_hand(frame, train, test)
    assert trials["fold"].tolist() == ["outer-test"] and trials["n_train"].tolist() == [train.sum()]
    assert trials["auroc"].iloc[0] == pytest.approx(roc_auc_score(frame["label"][test], scores))
    np.testing.assert_allclose(predictions.loc[frame["name"][test], "score"], scores, atol=1e-6)
    threshold = choose_threshold(frame["label"][valid].to_numpy(), by_hand(frame, train, valid), "balanced")
    assert trials["threshold"].iloc[0] == pytest.approx(threshold, abs=1e-6)
    assert folds["fold"].value_counts().to_dict() == {"train": 84, "inner-valid": 24, "outer-test": 36}


def test_numbered_folds_are_each_tested_once(tmp_path):
    frame = table(lambda case: f"fold{10 - case % 3}")
    trials, _, _ = own_head(tmp_path, frame)
    assert trials["fold"].tolist() == [0, 1, 2] and trials["repeat"].eq(0).all()
    for fold, name in enumerate(("fold8", "fold9", "fold10")):
        test = (frame["part"] == name).to_numpy()
        expected = roc_auc_score(frame["label"][test], by_hand(frame, ~test, test))
        assert trials.set_index("fold").loc[fold, "auroc"] == pytest.approx(expected)


def test_without_val_choices_are_made_on_inner_folds_of_the_training_cases(tmp_path):
    frame = table(lambda case: "train" if case < 18 else "test")
    _, results, *_ = run_study(tmp_path, frame)
    assert (results["status"] == "done").all() and results["inner_auroc"].notna().any()


def test_what_is_split_by_is_no_feature_and_is_said(tmp_path, without_figures):
    frame = table(lambda case: case % 3)
    run, *_ = run_study(tmp_path, frame)
    assert run.trials[0].fold == 0 and len({trial.fold for trial in run.trials}) == 3
    assert set(pd.read_csv(tmp_path / "out" / "importance.csv")["group"]) == {"a", "b"}
    loaded = load_run(tmp_path / "out")
    assert "cross-validation over the 3 folds that column 'part' of the data gives" in " ".join(paragraph(loaded))
    assert "3 folds of column &#39;part&#39;" in write_report(tmp_path / "out").read_text(encoding="utf-8")


def test_methods_name_the_parts_and_the_answer_counts_tested_cases(tmp_path, without_figures):
    run_study(tmp_path, table(of_parts), heads=("logreg", "svm"))
    page = write_report(tmp_path / "out").read_text(encoding="utf-8")
    assert re.search(r"these (6|six) tested cases", page) and "these 24 cases" not in page
    said = " ".join(paragraph(load_run(tmp_path / "out")))
    assert "split into training, inner-valid and outer-test parts as column 'part' of the data gives" in said


def test_folders_of_a_split_are_taken(tmp_path):
    from glomfeat.data.images.decode import encode_png

    rng = np.random.default_rng(0)
    for part, cases in (("train", range(8)), ("test", range(8, 14))):
        for kind in ("sick", "well"):
            (tmp_path / "data" / part / kind).mkdir(parents=True)
            for case in cases:
                pixels = rng.integers(0, 255, (24, 24, 3), np.uint8) // (1 + (kind == "sick"))
                (tmp_path / "data" / part / kind / f"patient{case}_{kind}.png").write_bytes(encode_png(pixels))
    options = {"features": ("shortcut",), "heads": ("logreg",), "reducers": ("none",), "size": 24, "jobs": 1}
    places = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    study = Study(data=str(tmp_path / "data"), scheme="given:split", **options, **places)
    prepared = prepare(study, lambda line: None)
    assert prepared.title.endswith("; the parts of column 'split', split by case")
    assert not any("is not used" in line for line in prepared.manifest.said)
    run, results, _ = compare(prepared, lambda line: None)
    tested = run.folds.loc[run.folds["fold"] == "outer-test", "name"]
    assert len(tested) == 12 and (results["status"] == "done").all()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["train", "test", None], "column 'p' has no value for 1 image: write one, or leave it out of DATA"),
        (["train", "val"], "column 'p' holds train, val: call its parts train, val"),
        (
            ["1.5", "2"],
            r"column 'p' holds 1.5, 2: call its parts train, val \(if there is one\) and test, or number the",
        ),
        ([True, False], "column 'p' holds False, True: call its parts"),
        ([1, 1], "column 'p' holds 1 alone: call its parts"),
        ([-1, 0, 1, -1], "column 'p' holds -1, and every fold is tested, also one with a negative number: give these"),
        (["train", "test", "3"], "column 'p' holds 3, test, train: call its parts"),
    ],
)
def test_what_is_no_split_is_refused(values, said):
    with pytest.raises(GivenError, match=f"^{said}"):
        read_parts(values, "p")


@pytest.mark.parametrize("column", ["is_test", "Test", "train", "hold-out", "validation set"])
@pytest.mark.parametrize("values", [[0, 1, 0], ["1", "0", "0"], [1.0, 0.0, 0.0]])
def test_two_numbers_in_a_column_called_after_a_part_are_no_folds(column, values):
    said = (
        f"column {column!r} holds the numbers 0 and 1, and its name says that one of them is a part: write train and "
    )
    with pytest.raises(GivenError, match=f"^{said}test, or rename the column if these are two folds$"):
        read_parts(values, column)
    assert read_parts([0, 1, 2], column).tolist() == [0, 1, 2]
    assert read_parts(["fold0", "fold1", "fold1"], column).tolist() == [0, 1, 1]
    assert read_parts(["fold-02", "fold-01"], column).tolist() == [1, 0]
    assert read_parts(["test", "train", "train"], column).tolist() == ["outer-test", "train", "train"]


@pytest.mark.parametrize(
    ("part", "column", "said"),
    [
        (lambda case: case % 3 // 2, "set", "0 (96 images) and 1 (48 images)"),
        (lambda case: 2 - case % 2, "set", "1 (72 images) and 2 (72 images)"),
        (lambda case: case % 2, "Fold", ""),
        (lambda case: case % 2, "test_folds", ""),
        (lambda case: f"fold{case % 2}", "set", ""),
        (lambda case: case % 3, "set", ""),
        (of_parts, "set", ""),
    ],
)
def test_two_numbers_are_said_to_be_folds_unless_they_are_called_so(tmp_path, part, column, said):
    table(part).rename(columns={"part": column}).to_csv(tmp_path / "t.csv", index=False)
    lines = read_manifest(tmp_path / "t.csv", scheme=Given(3, column)).said
    told = f"column {column!r} holds {said}: two folds, each tested once; for parts, write train and test"
    assert [line for line in lines if "two folds" in line] == ([told] if said else [])


def test_a_manifest_is_split_only_by_the_column_that_it_was_read_for(tmp_path):
    frame = table(lambda case: case % 3).assign(other=lambda rows: rows["part"].map({0: 1, 1: 0, 2: 2}))
    frame.to_csv(tmp_path / "t.csv", index=False)
    manifest = read_manifest(tmp_path / "t.csv", scheme="given:part")
    rows = frame.set_index("name").loc[manifest.table["name"]]
    assert manifest.table["given"].astype(int).tolist() == rows["part"].tolist()
    check_split(manifest, find_scheme("given:part", 1))
    check_split(manifest, find_scheme("given:Part", 1))
    for scheme in ("given:other", "leave-out:other", "given:nosuch"):
        with pytest.raises(ManifestError) as refused:
            glomfeat.compare(manifest, scheme=scheme, heads="logreg", reducers="none", cache=tmp_path / "cache")
        read = f"it was read with column 'part' to split by, not {scheme.partition(':')[2]!r}"
        assert f"{read}: read it again with read_manifest(..., scheme={scheme!r})" in str(refused.value)
    with pytest.raises(ManifestError, match=r"it was read without the column 'part': read it again with read_manifest"):
        check_split(read_manifest(tmp_path / "t.csv"), find_scheme("given:part", 1))
    with pytest.raises(StudyError, match="--scheme is 'given:': allowed are cv, holdout, "):
        read_manifest(tmp_path / "t.csv", scheme="given:")


def test_a_case_on_two_sides_and_a_part_without_a_class_are_refused_by_name(tmp_path):
    frame = table(of_parts)
    frame.loc[0, "part"] = "hold-out"
    frame.loc[(frame["part"] == "Validation") & (frame["label"] == 1), "part"] = "Training"
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ManifestError) as refused:
        read_manifest(tmp_path / "t.csv", scheme=Given(3, "part"), show_names=True)
    rest = (
        "- 5 cases are in several parts of column 'part': put each on one side, leave out --scheme, or take the split "
        "with --allow-split-cases, which marks tables and report 'image-level split: scores are optimistic'"
    )
    lacking = "- part Validation of column 'part' holds no image of 1: each part needs every class"
    assert str(refused.value).splitlines()[1:] == [f"{rest}: P00, P14, P15, P16, P17", lacking]
    with pytest.raises(ManifestError) as hidden:
        read_manifest(tmp_path / "t.csv", scheme=Given(3, "part"))
    line, *others = str(hidden.value).splitlines()[1:]
    assert re.fullmatch(re.escape(f"{rest}; --show-names shows the names of cases: ") + r"C\d{3}(, C\d{3}){4}", line)
    assert others == [lacking]


def test_options_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(
        StudyError, match=r"^--scheme is 'given:': allowed are cv, holdout, leave-out:COLUMN and given:COLUMN$"
    ):
        Study(scheme="given:").check()
    with pytest.raises(StudyError, match="--repeats is 2: --scheme given:part says what is tested together"):
        Study(scheme="given:part", repeats=2).check()
    with pytest.raises(ValueError, match=r"--scheme given:COLUMN 'set' is no column of .*t\.csv: allowed are label"):
        run_study(tmp_path, table(of_parts), scheme="given:set")


def test_another_split_is_another_study(tmp_path):
    run_study(tmp_path, table(of_parts))
    with pytest.raises(StudyError, match=r"holds another study \(.*given: "):
        run_study(tmp_path, table(lambda case: of_parts((case + 1) % 24)))


@pytest.mark.slow
def test_leak_price_and_learning_curve_follow(tmp_path):
    frame = table(lambda case: case % 2)
    run_study(tmp_path, frame, leak_price=True, learning_curve=True)
    price = pd.read_csv(tmp_path / "out" / "leak_price.csv")
    assert price.filter(like="by_image").notna().to_numpy().any() and (tmp_path / "out" / "learning_curve.csv").exists()


def torn_table():
    """Two parts that have most cases on both sides, of which each is known again by a column."""
    rng = np.random.default_rng(1)
    frame = table(lambda case: "train")
    frame["a"], frame["b"] = CASES % 2 + rng.normal(0, 0.01, len(CASES)), rng.normal(size=len(CASES))
    return frame.assign(part=np.where(np.arange(len(CASES)) % 6 < 4, "train", "test"))


def test_cases_on_two_sides_are_allowed_only_if_asked_and_mark_all_output(tmp_path, without_figures):
    frame = torn_table()
    with pytest.raises(ManifestError, match="24 cases are in several parts of column 'part'"):
        run_study(tmp_path, frame)
    run, results, _, said = run_study(tmp_path, frame, allow_split_cases=True, heads=("logreg",))
    mark = "image-level split: scores are optimistic"
    assert f"24 of 24 cases are in several parts of column 'part': {mark}" in said
    assert any(
        line.startswith(f"folds: {mark} (cases on several sides); no image is in two of them; ") for line in said
    )
    out = tmp_path / "out"
    assert run.manifest.by_case and results["split"].str.startswith(mark).all(), "limits are by case still"
    assert all(pd.read_csv(out / name)["split"].str.startswith(mark).all() for name in ("trials.csv", "folds.csv"))
    head, remark = (out / "results.md").read_text(encoding="utf-8").splitlines()[:3:2]
    assert head.endswith(f"the parts of column 'part', {mark} (cases on several sides)")
    assert remark == f"> {mark.upper()} (CASES ON SEVERAL SIDES)"
    page = write_report(out).read_text(encoding="utf-8")
    assert "Image-level split: scores are optimistic." in page and "has never seen" not in page
    method = " ".join(paragraph(load_run(out)))
    assert "which put images of one case on several sides, so that figures are optimistic" in method
    assert "no case lay on both sides" not in method


def test_inner_folds_of_torn_folds_are_dealt_by_case_and_cases_have_no_single_call(tmp_path, without_figures):
    frame = table(lambda case: 0).assign(part=np.arange(len(CASES)) % 5, label=CASES % 2)
    labels, out = frame["label"].to_numpy(), tmp_path / "out"
    folds = pd.DataFrame({"repeat": 0, "fold": frame["part"]})
    assert other_folds(folds, labels, CASES, 0) == []
    _, results, _, said = run_study(tmp_path, frame, allow_split_cases=True)
    assert (results["status"] == "done").all()
    why = "some cases are tested in several folds, by several models, so these have no single call"
    assert f"there is no case_level.csv: {why}" in said and not (out / "case_level.csv").exists()
    assert f"All images of a case are of one class, but {why}." in write_report(out).read_text(encoding="utf-8")
    assert pd.read_csv(out / "cases.csv")["n_images"].eq(6).all()
    method = " ".join(paragraph(load_run(out)))
    assert "each case was also called once" not in method and "Bland" not in method


def test_the_split_of_the_original_has_its_numbers_of_images(tmp_path):
    """Names with parts as the original has them: 80:10:10 of images by class, so that cases are on several sides."""
    if not LABELS.exists():
        pytest.skip("../shared/data/glomeruli_labels.csv is not beside the checkout")
    frame, rng = labelled(LABELS), np.random.default_rng(0)
    label, part = frame["raw"].astype(int).to_numpy(), np.full(len(frame), "train", object)
    for kind, (valid, test) in enumerate([(470, 471), (105, 106)]):
        rows = rng.permutation(np.flatnonzero(label == kind))
        part[rows[:valid]], part[rows[valid : valid + test]] = "val", "test"
    names = pd.DataFrame(
        {"name": frame["name"], "label": label, "part": part, "x": rng.normal(size=len(frame)) + label}
    )
    with pytest.raises(ManifestError, match=r"cases are in several parts of column 'part'"):
        run_study(tmp_path, names)
    _, results, *_ = run_study(tmp_path, names, allow_split_cases=True)
    folds, trials = pd.read_csv(tmp_path / "out" / "folds.csv"), pd.read_csv(tmp_path / "out" / "trials.csv")
    assert len(folds) == 5758
    assert folds["fold"].value_counts().to_dict() == {"train": 4606, "inner-valid": 575, "outer-test": 577}
    assert folds.groupby("fold")["label"].sum().to_dict() == {"train": 843, "inner-valid": 105, "outer-test": 106}
    assert (
        folds.set_index("name")["fold"]
        .map({"inner-valid": "val", "outer-test": "test", "train": "train"})
        .equals(names.set_index("name")["part"].loc[folds["name"]].rename("fold"))
    )
    row = trials[trials["arm"] != FLOOR].iloc[0]
    assert row[["n_train", "n_test", "positives"]].tolist() == [4606, 577, 106] and row["status"] == "done"
    assert (results["split"] == TORN).all()


def test_a_split_that_needs_no_allowance_is_not_marked(tmp_path):
    *_, results, _, said = run_study(tmp_path, table(of_parts), allow_split_cases=True)
    assert "no case is in several parts of column 'part': --allow-split-cases changes nothing" in said
    assert (results["split"] == "split by case").all()


def test_what_splits_no_case_needs_no_allowance(tmp_path):
    with pytest.raises(StudyError, match="--allow-split-cases belongs to --scheme given:COLUMN: cv splits no case"):
        Study(allow_split_cases=True).check()
    with pytest.raises(StudyError, match="--leak-price: --scheme given:part puts cases on several sides itself"):
        run_study(tmp_path, torn_table(), allow_split_cases=True, leak_price=True)
