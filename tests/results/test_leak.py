"""The price of leaking: folds of images of the same sizes, the same arms, and a paired difference over cases."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.arms import FLOOR, StudyError
from glomfeat.data.other_folds import make_image_folds
from glomfeat.data.splits import fold_rows, make_folds
from glomfeat.metrics.paired import paired_difference
from glomfeat.results.leak_price import COLUMNS, SAID, leak_cells, leak_price_table, print_leak_price
from glomfeat.results.parts import trial_parts
from glomfeat.results.run import Run
from glomfeat.results.tables import MEASURED

pytestmark = pytest.mark.usefixtures("dealt_once")

MARK = "image-level split: scores are optimistic"
LEAK = {"leak_price.csv", "leak_predictions.parquet", "leak_folds.csv"}


@pytest.fixture(scope="module")
def leaky_table(tmp_path_factory):
    """Rows of 40 cases, each with a centre of its own and nearly always one class: to know the case is to know it."""
    rng = np.random.default_rng(0)
    case = np.repeat(np.arange(40), 5)
    label = (case % 2) ^ (rng.random(200) < 0.1)
    x = rng.normal(size=(40, 6))[case] * 2 + rng.normal(size=(200, 6)) * 0.5
    names = [f"P{c:02d}_PAS_1of1_{row:024x}.png" for row, c in enumerate(case)]
    path = tmp_path_factory.mktemp("leaky") / "leaky.csv"
    frame = pd.DataFrame(x, columns=list("abcdef")).assign(name=names, label=label)
    frame.to_csv(path, index=False)
    return path


def run_study(tmp_path, out="out", **options):
    common = {"cache": str(tmp_path / "cache"), "jobs": 1, "folds": 2, "heads": ("svm",), "leak_price": True}
    said = []
    prepared = prepare(Study(**common | options, out=str(tmp_path / out)), said.append)
    return *compare(prepared, said.append), said


@pytest.fixture(scope="module")
def priced(leaky_table, tmp_path_factory, dealt_once):
    """A finished study with a price: its folder, and its run."""
    place = tmp_path_factory.mktemp("priced")
    return place, run_study(place, data=str(leaky_table))[0]


def written(out, name):
    if name.endswith("parquet"):
        return (out / name).read_bytes()
    table = pd.read_csv(out / name, dtype=str)
    return table.drop(columns=[column for column in table if column in MEASURED]).to_csv()


@pytest.mark.parametrize("scheme", ["cv", "holdout"])
def test_folds_of_images_have_the_sizes_and_classes_of_the_folds_by_case(leaky_table, tmp_path, scheme):
    prepared = prepare(Study(str(leaky_table), cache=str(tmp_path / "c")), print)
    folds = make_folds(prepared.manifest, scheme, 3, 2)
    images = make_image_folds(folds, seed=4)
    pd.testing.assert_frame_equal(images.drop(columns="fold"), folds.drop(columns="fold"))
    sizes = [
        table.assign(fold=table["fold"].astype(str).str.removeprefix("image:")).value_counts(
            ["repeat", "fold", "label"]
        )
        for table in (folds, images)
    ]
    pd.testing.assert_series_equal(*(size.sort_index() for size in sizes))
    assert (images.groupby(["repeat", "case"])["fold"].nunique() > 1).mean() > 0.5, "cases are torn apart"
    pd.testing.assert_frame_equal(images, make_image_folds(folds, seed=4))
    assert not images["fold"].equals(make_image_folds(folds, seed=5)["fold"])
    one = make_image_folds(folds[folds["repeat"] == 0], seed=4)
    pd.testing.assert_frame_equal(one, images[images["repeat"] == 0])


def test_holdout_of_images_keeps_inner_valid_apart(leaky_table, tmp_path):
    prepared = prepare(Study(str(leaky_table), cache=str(tmp_path / "c")), print)
    folds = make_folds(prepared.manifest, "holdout")
    of_cases, of_images = fold_rows(folds, 0, "outer-test"), fold_rows(make_image_folds(folds), 0, "image:outer-test")
    assert [len(rows) for rows in of_images] == [len(rows) for rows in of_cases] and len(of_images[2])
    assert sorted(np.concatenate(of_images)) == list(range(200))


def test_the_price_is_written_beside_the_study_and_changes_nothing_of_it(priced, leaky_table, tmp_path):
    place, run = priced
    run_study(tmp_path, "plain", data=str(leaky_table), leak_price=False)
    out, plain = place / "out", tmp_path / "plain"
    assert {path.name for path in out.iterdir()} - {path.name for path in plain.iterdir()} == LEAK
    for name in ("results.csv", "predictions.parquet", "folds.csv"):
        assert written(out, name) == written(plain, name)
    trials = pd.read_csv(out / "trials.csv")
    by_case, of_images = trials[trials["split"] == "split by case"], trials[trials["split"] == MARK]
    assert len(by_case) == len(of_images) == 4 and len(trials) == 8
    assert set(by_case["fold"]) == {"0", "1"} and set(of_images["fold"]) == {"image:0", "image:1"}
    for column in ("n_train", "n_test", "positives"):
        assert by_case[column].tolist() == of_images[column].tolist()
    predictions = pd.read_parquet(out / "leak_predictions.parquet")
    assert len(predictions) == 2 * 200 and (predictions["split"] == MARK).all()
    assert predictions["case"].nunique() == run.manifest.table["case"].nunique() == 40
    folds = pd.read_csv(out / "leak_folds.csv")
    assert (folds["split"] == MARK).all() and folds["pseudonym"].nunique() == 40
    price = pd.read_csv(out / "leak_price.csv").set_index("arm")
    assert [*price.reset_index().columns] == list(COLUMNS) and (price["status"] == "done").all()
    svm = price.loc[[arm for arm in price.index if arm.endswith("svm")]].iloc[0]
    assert svm["auroc_price"] > 0.2 and svm["auroc_price_lo"] > 0.05 < svm["balanced_accuracy_price_lo"]
    assert svm["auroc_by_image"] > 0.8
    floor = price.loc["none/none/dummy"]
    assert floor["auroc_price"] == floor["balanced_accuracy_price"] == 0
    assert floor[[name for name in price if name.endswith(("_lo", "_hi"))]].isna().all()
    assert [row[0] for row in leak_cells(price.reset_index())] == ["arm", svm.name]
    assert price["auroc_price"].is_monotonic_decreasing


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_jobs_resume_and_asking_later_change_no_byte(leaky_table, tmp_path, jobs):
    options = {"data": str(leaky_table), "reducers": ("pca3",), "heads": ("svm",)}
    run_study(tmp_path, **options)
    run_study(tmp_path, "later", **options, leak_price=False)
    run_study(tmp_path, "later", **options, jobs=jobs, cache=str(tmp_path / "cold"))
    journal = tmp_path / "out" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    before = {name: (tmp_path / "out" / name).read_bytes() for name in (*LEAK, "results.csv", "trials.csv")}
    for name in (*LEAK, "results.csv", "trials.csv", "predictions.parquet", "importance.csv", "neighbours.csv"):
        assert written(tmp_path / "out", name) == written(tmp_path / "later", name)
    journal.write_text("".join(lines[:-5]))
    run_study(tmp_path, **options)
    assert len(journal.read_text().splitlines()) == len(lines)
    for name in before:
        if name != "trials.csv":
            assert written(tmp_path / "out", name) == written(tmp_path / "later", name)
    reasons = pd.read_csv(tmp_path / "out" / "trials.csv").query("arm != 'none/none/dummy'")["reason"]
    assert len(reasons) == 4 and reasons.str.fullmatch(r"pca3 by the (scatter|gram) route").all()


def test_holdout_has_a_price_too(leaky_table, tmp_path):
    run_study(tmp_path, data=str(leaky_table), scheme="holdout", repeats=2)
    trials = pd.read_csv(tmp_path / "out" / "trials.csv")
    assert trials.groupby("fold").size().to_dict() == {"outer-test": 4, "image:outer-test": 4}
    assert (trials["status"] == "done").all() and trials.groupby("repeat")["n_train"].nunique().eq(1).all()
    price = pd.read_csv(tmp_path / "out" / "leak_price.csv")
    assert price["auroc_price"].iloc[0] > 0.1


def test_the_printed_table_has_the_best_arm_first_and_not_the_floor():
    prices = {"arm": ["a/none/svm", FLOOR, "b/none/xgboost", "c/none/svm"], "status": ["done"] * 3 + ["partial"]}
    prices |= {"auroc_by_case": [0.8, 0.5, 0.9, np.nan], "auroc_by_image": [0.95, 0.5, 0.92, np.nan]}
    prices |= {"auroc_price": [0.15, 0.0, 0.02, np.nan], "auroc_price_lo": [0.1, np.nan, -0.01, np.nan]}
    table = pd.DataFrame(prices | {"auroc_price_hi": [0.2, np.nan, 0.05, np.nan]}).reindex(columns=COLUMNS)
    stream = io.StringIO()
    print_leak_price(table, Console(file=stream, width=80))
    assert leak_cells(table) == [
        ["arm", "AUROC by case", "by image", "price (95 % limits)"],
        ["b/none/xgboost", "0.900", "0.920", "+0.020 (-0.010 to +0.050)"],
        ["a/none/svm", "0.800", "0.950", "+0.150 (+0.100 to +0.200)"],
        ["c/none/svm (partial)", "", "", ""],
    ]
    assert all(cell in stream.getvalue() for row in leak_cells(table) for cell in row), "no cell is broken"


def test_the_interval_is_of_leaving_each_case_out_on_both_sides(priced):
    _, run = priced
    images = make_image_folds(run.folds, run.seed)
    trials = [replace(trial, fold=f"image:{trial.fold}") for trial in run.trials]
    leaking = Run(replace(run.manifest, by_case=False), images, trials, run.records, run.weights, run.seed)
    table = leak_price_table(run, leaking).set_index("arm")
    arm = next(name for name in table.index if name.endswith("svm"))

    def price(case=None):
        sides = []
        for one in (run, leaking):
            of_folds = []
            for part in trial_parts(one, [trial for trial in one.trials if str(trial.arm) == arm]):
                kept = part.cases != case
                if len(set(part.y[kept])) == 2:
                    of_folds.append(roc_auc_score(part.y[kept], part.score[kept]))
            sides.append(np.mean(of_folds))
        return sides[1] - sides[0]

    left_out = np.array([price(case) for case in range(run.manifest.cases.max() + 1)])
    holders = run.manifest.table.groupby("label")["case"].nunique().min()
    expected = paired_difference(price(), left_out, holders)
    found = table.loc[arm, ["auroc_price", "auroc_price_lo", "auroc_price_hi"]].tolist()
    assert found == pytest.approx([expected.value, expected.lo, expected.hi])


def test_an_arm_that_did_not_finish_has_no_price(priced):
    _, run = priced
    lost = next(key for key in run.records if key[0].endswith("svm") and str(key[2]) == "image:1")
    records = {**run.records, lost: {"status": "failed", "reason": "no such luck"}}
    trials = [replace(trial, fold=f"image:{trial.fold}") for trial in run.trials]
    leaking = Run(run.manifest, make_image_folds(run.folds, run.seed), trials, records, run.weights, run.seed)
    table = leak_price_table(run, leaking)
    row = table[table["arm"].str.endswith("svm")].iloc[0]
    assert row["status"] == "partial" and np.isnan(row["auroc_price"])
    assert leak_cells(table)[-1] == [f"{row['arm']} (partial)", "", "", ""]


def test_without_cases_there_is_no_price(leaky_table, tmp_path):
    with pytest.raises(StudyError) as refused:
        run_study(tmp_path, data=str(leaky_table), groups="none")
    assert str(refused.value) == (
        f"--leak-price: every image of {leaky_table} is its own case, so nothing can leak; leave it out, or say "
        "where the case is with --groups"
    )
    rows = pd.read_csv(leaky_table)
    rows.assign(case=[f"P{row}" for row in range(len(rows))]).to_csv(tmp_path / "one.csv", index=False)
    with pytest.raises(StudyError, match=r"^--leak-price: every image of .*one\.csv is its own case"):
        run_study(tmp_path, data=str(tmp_path / "one.csv"))


def test_the_table_is_printed_and_explained_and_the_plan_counts_all_trials(
    leaky_table, tmp_path, capsys, without_report
):
    from studies.compare import main

    arguments = [str(leaky_table), "--heads", "svm", "--folds", "2", "--leak-price", "--jobs", "1"]
    arguments += ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "c")]
    assert main([*arguments, "--dry-run"]) == 0
    assert "8 trials, 0 done" in capsys.readouterr().out
    assert main(arguments) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "price (95 % limits)" in printed and all(" ".join(said.split()) in printed for said in SAID)
    assert main([*arguments, "--dry-run"]) == 0
    assert "8 trials, 8 done" in capsys.readouterr().out
