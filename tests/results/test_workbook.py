"""predictions.xlsx: what people read of a run is what its tables say."""

import errno
import gc
import re
import sys
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import openpyxl
import pandas as pd
import pytest
from helpers.faults import failing, watched
from helpers.runs import GOOD, WEAK, make_run, of_arm

from glomfeat.core.arms import FLOOR
from glomfeat.core.workbook import Sheet, write_workbook
from glomfeat.data.cases import pseudonyms
from glomfeat.results.cases import cases_table
from glomfeat.results.finished import Finished
from glomfeat.results.workbook import BESIDE, arms_shown, tied_in_words, write_sheets

UNSEEN = f"{FLOOR}, which looks at no image and has no columns here"
SHEETS = ["images", "cases", "errors to look at", "what columns mean"]


def read(path):
    book = openpyxl.load_workbook(path)
    rows = {page.title: list(page.iter_rows(values_only=True)) for page in book}
    return book, {title: pd.DataFrame(body, columns=head) for title, (head, *body) in rows.items()}


def written(path, classes=2, tied=(), **more):
    run = make_run(classes=classes)
    finished = Finished(**run.given(), title="144 images; made up", **more)
    if tied:
        table = finished.results
        finished.__dict__["results"] = table.assign(tied_with_best=table["tied_with_best"] | table["arm"].isin(tied))
    write_sheets(finished, path)
    return run, *read(path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return written(tmp_path_factory.mktemp("book") / "predictions.xlsx", tied=[WEAK])


def test_headings_stay_and_have_filters(plain):
    _, book, tables = plain
    assert book.sheetnames == SHEETS
    for page in book:
        assert page.freeze_panes == "B2" and page["A1"].font.bold
        assert page.auto_filter.ref == page.dimensions
    assert tables["images"].columns[:6].tolist() == ["image", "case", "true class", "called", "verdict", "score"]


def test_images_have_the_calls_of_the_best_arm_and_scores_of_those_tied(plain):
    run, _, tables = plain
    images, labels = tables["images"], run.manifest.labels
    score, wrong = (np.zeros((2, len(labels))) for _ in range(2))
    for (arm, repeat, fold), record in run.records.items():
        if arm in (GOOD, WEAK):
            rows = run.folds[(run.folds["repeat"] == repeat) & (run.folds["fold"] == fold)].index % len(labels)
            k, found = [GOOD, WEAK].index(arm), np.array(record["scores"])
            score[k, rows] += found / 2
            wrong[k, rows] += ((found >= record["threshold"]) != labels[rows]) / 2
    np.testing.assert_allclose(images["score"], score[0], atol=5e-5)
    np.testing.assert_allclose(images[f"score, {WEAK}"], score[1], atol=5e-5)
    assert images["verdict"].tolist() == ["wrong" if part >= 0.5 else "right" for part in wrong[0]]
    assert ((images["called"] == images["true class"]) == (images["verdict"] == "right")).all()
    assert images["arms wrong"].tolist() == (wrong >= 0.5).sum(axis=0).tolist() and set(images["arms"]) == {2}
    assert images["true class"].tolist() == [run.manifest.classes[k] for k in labels]
    assert not [name for name in images if FLOOR in name] and set(images["split"]) == {"split by case"}


def test_cases_are_those_of_cases_csv(plain):
    run, _, tables = plain
    cases = cases_table(run).groupby("arm")
    for column, arm in (("called %", GOOD), (f"called %, {WEAK}", WEAK)):
        np.testing.assert_allclose(tables["cases"][column], cases.get_group(arm)["predicted_percent"], atol=5e-5)
    assert tables["cases"]["case"].tolist() == cases.get_group(GOOD)["pseudonym"].tolist()


def test_errors_to_look_at_are_ranked_by_how_many_arms_make_them(plain):
    _, _, tables = plain
    errors = tables["errors to look at"]
    assert errors["rank"].tolist() == list(range(1, len(errors) + 1)) and (np.diff(errors["arms wrong"]) <= 0).all()
    images = tables["images"].set_index("image")
    wrong = images.index[images["verdict"] == "wrong"]
    assert set(wrong) <= set(errors["image"])
    kinds = np.where(errors["true class"] == "b", "missed", "false alarm")
    expected = np.where(errors["image"].isin(wrong), kinds, "wrong in other arms")
    assert errors["error"].tolist() == expected.tolist() and len(set(expected)) == 3


def test_every_column_is_explained(plain):
    _, _, tables = plain
    meanings = tables[SHEETS[-1]].set_index(["sheet", "column"])["meaning"]
    for title in SHEETS[:-1]:
        own = [name for name in tables[title] if not name.endswith(f", {WEAK}")]
        assert [name for sheet, name in meanings.index if sheet == title] == own
    tied = [name for name in (*tables["images"], *tables["cases"]) if name.endswith(f", {WEAK}")]
    assert [name.replace(WEAK, "ARM") for name in tied] == meanings.index[4][1].split("; "), "one row for all of these"
    assert meanings.str.contains("tied with the best one").sum() == 1
    assert meanings.map(lambda text: isinstance(text, str) and len(text) > 5).all()
    assert "{" not in " ".join(meanings)
    assert meanings["all", "best arm"] == f"{GOOD}: the one with the highest AUROC. Tied with it: {WEAK}."


@pytest.mark.parametrize(
    ("tied", "first", "said"),
    [
        ((), GOOD, " No other arm is tied with it."),
        ((FLOOR,), GOOD, f" Tied with it: {UNSEEN}."),
        ((WEAK, FLOOR), GOOD, f" Tied with it: {WEAK}, {UNSEEN}."),
        ((), FLOOR, f" {UNSEEN}, stands above it in results.csv."),
        ((GOOD,), FLOOR, f" {UNSEEN}, stands above it in results.csv. Tied with that: {GOOD}."),
    ],
)
def test_what_is_said_of_ties_is_what_results_csv_says(tied, first, said):
    results = pd.DataFrame({"arm": sorted((GOOD, WEAK, FLOOR), key=lambda arm: (arm != first, arm != GOOD))})
    results["tied_with_best"] = results["arm"].isin([first, *tied]).astype(object)
    finished = SimpleNamespace(results=results, calls=SimpleNamespace(arms=[GOOD, WEAK]))
    assert tied_in_words(results, *arms_shown(finished)) == said


def test_names_are_shown_only_if_asked(plain, tmp_path):
    run, book, tables = plain
    cases, names = set(run.manifest.table["case"]), run.manifest.table["name"].tolist()
    shown = {str(value) for page in book for row in page.iter_rows(values_only=True) for value in row}
    assert not shown & {*cases, *names} and "folds.csv, which links both" in " ".join(tables[SHEETS[-1]]["meaning"])
    first = run.folds.assign(shown=run.folds["case"].map(pseudonyms(cases)))
    first = first[first["repeat"] == 0].groupby("shown")["name"].apply(list)
    linked = [first[code][int(number) - 1] for code, number in tables["images"]["image"].str.split(" · ")]
    assert linked == names  # as the sheet says that it is found
    _, _, open_tables = written(tmp_path / "open.xlsx", show_names=True)
    assert open_tables["images"]["image"].tolist() == names and set(open_tables["cases"]["case"]) == cases


def test_arms_beyond_ten_are_counted(tmp_path):
    run = make_run()
    trials, records = list(run.trials), dict(run.records)
    for k in range(BESIDE + 2):
        for trial in [trial for trial in run.trials if str(trial.arm) == GOOD]:
            again = replace(trial, arm=replace(trial.arm, feature=f"same{k}.v1"))
            trials.append(again)
            records[again.key] = run.record(trial) | {"arm": str(again.arm)}
    finished = Finished(**(run.given() | {"trials": trials, "records": records}), title="many")
    arms = list(dict.fromkeys(str(trial.arm) for trial in trials))
    results = pd.DataFrame({"arm": arms, "n_trials": 6, "status": "done"})
    finished.__dict__["results"] = results.assign(tied_with_best=results["arm"].str.contains("same|good"))
    write_sheets(finished, tmp_path / "many.xlsx")
    _, tables = read(tmp_path / "many.xlsx")
    assert sum(name.startswith("score, ") for name in tables["images"]) == BESIDE
    assert "2 more arms are tied; predictions.parquet has all." in tables[SHEETS[-1]]["meaning"][1]


def test_rows_that_no_sheet_can_hold_are_counted(tmp_path, monkeypatch):
    for module in ("glomfeat.core.workbook", "glomfeat.results.workbook"):
        monkeypatch.setattr(f"{module}.MOST_ROWS", 100)
    _, book, tables = written(tmp_path / "cut.xlsx")
    meanings = tables[SHEETS[-1]].set_index(["sheet", "column"])["meaning"]
    assert meanings["images", "rows"] == "44 rows are left out; predictions.parquet has all."
    assert len(tables["images"]) == 100 and book["images"].auto_filter.ref == "A1:K101" and len(tables["cases"]) == 18


def test_more_than_two_classes_have_no_threshold_and_no_false_alarms(tmp_path):
    _, _, tables = written(tmp_path / "three.xlsx", classes=3)
    assert tables["images"]["threshold"].isna().all()
    assert set(tables["errors to look at"]["error"]) == {"wrong", "wrong in other arms"}


def test_no_text_is_a_formula_and_names_stay_as_they_are(tmp_path):
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "007", "a\x07b\udcff\uffff", "é" * 90]
    path, table = (
        tmp_path / "t.xlsx",
        pd.DataFrame({"=name": pd.Series(texts, dtype=object), "x": [0.123456, np.nan, *range(6)]}),
    )
    write_workbook([Sheet("s", table, frozenset({"007"}))], path)
    page = openpyxl.load_workbook(path)["s"]
    assert [cell.value for cell in page["A"][1:]] == [*texts[:6], "a\\x07b\\udcff\ufffd", texts[7]]
    assert {cell.data_type for cell in page["A"]} == {"s"} and page["A1"].value == "=name"
    assert [bool(cell.quotePrefix) for cell in page["A"][1:]] == [True] * 5 + [False] * 3
    assert [cell.value for cell in page["B"][1:4]] == [0.1235, None, 0] and page["A7"].font.color.rgb == "00A3001B"
    with zipfile.ZipFile(path) as archive:
        assert not re.search(rb"<f>|<f ", archive.read("xl/worksheets/sheet1.xml"))


def test_the_same_run_is_the_same_bytes(tmp_path, monkeypatch):
    table = pd.DataFrame({"a": ["x"]})
    write_workbook([Sheet("s", table)], tmp_path / "one.xlsx")
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *at: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    write_workbook([Sheet("s", table)], tmp_path / "two.xlsx")
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "two.xlsx").read_bytes()


def test_a_disk_that_refuses_a_workbook_is_one_error_and_nothing_is_said_later(tmp_path, monkeypatch):
    said, sheet = [], Sheet("s", pd.DataFrame({"a": ["x"] * 50}))
    monkeypatch.setattr(sys, "unraisablehook", lambda one: said.append(one.exc_value))
    with watched(tmp_path) as disk:
        write_workbook([sheet], tmp_path / "whole.xlsx")
    assert disk.asked
    for at in range(1, len(disk.asked) + 1):
        with failing(tmp_path, errno.ENOSPC, at):
            with pytest.raises(OSError, match="No space left"):
                write_workbook([sheet], tmp_path / "cut.xlsx")
            gc.collect()
    assert said == []


def test_a_run_of_which_no_image_was_tested_leaves_none(tmp_path):
    from glomfeat.results.write import OUTPUTS

    finished = Finished(**(make_run().given() | {"records": {}}), title="nothing")
    assert not OUTPUTS["predictions.xlsx"].when(finished) and of_arm(finished, GOOD) == []


@pytest.mark.slow
def test_libreoffice_reads_what_openpyxl_reads(plain, tmp_path):
    import shutil
    import subprocess

    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice (soffice) is not installed")
    run, _, tables = written(tmp_path / "predictions.xlsx", tied=[WEAK])
    settings = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    form = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"
    command = [
        office,
        settings,
        "--headless",
        "--convert-to",
        form,
        "--outdir",
        tmp_path,
        tmp_path / "predictions.xlsx",
    ]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=240)
    for title in SHEETS:
        found = pd.read_csv(tmp_path / f"predictions-{title}.csv")
        expected = tables[title].dropna(axis="columns", how="all")
        pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False, atol=1e-4)
    assert len(run.manifest) == len(tables["images"])
