"""The page of an evaluation: one file, no names that were not asked for, and only what the labels allow."""

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from glomfeat.bundle.against_labels import judge
from glomfeat.bundle.in_cases import in_cases
from glomfeat.core.csvs import read_csv
from glomfeat.data.cases import IMAGE_LEVEL
from glomfeat.report.evaluation import Evaluation, answer, banners, in_short
from glomfeat.report.evaluation_page import evaluation_html, tables_of, write_evaluation

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def about(classes, **expected):
    return {
        "arm": "resnet18.imagenet/ipca128/svm",
        "classes": classes,
        "threshold": {"value": 0.5 if len(classes) == 2 else None, "rule": "balanced"},
        "expected": expected,
        "trained_on": {"images": 200, "cases": ["C001", "C002"], "split": "split by case", "digest": "d" * 64},
        "versions": {"glomfeat": "0.9.0"},
    }


def made(classes, n=60, truth=None, groups="auto", labels=True, **more):
    """An evaluation of made-up scores of ten cases with two slides each."""
    rng, k = np.random.default_rng(3), len(classes)
    truth = rng.integers(0, k, n) if truth is None else truth
    chance = np.exp(1.5 * np.eye(k)[truth] + rng.normal(size=(n, k)))
    chance /= chance.sum(axis=1, keepdims=True)
    called = chance.argmax(axis=1)
    names = [f"Smith{row % 10}_PAS_{row % 20 // 10 + 1}of2_{row:04d}.png" for row in range(n)]
    score = chance[:, 1] if k == 2 else chance.max(axis=1)
    each = {} if k == 2 else {f"score_{name}": chance[:, code] for code, name in enumerate(classes)}
    told = {"name": names, "prediction": called, "score": score, "status": "ok", **each}
    bad = {"name": "Smith0_PAS_1of2_bad.png", "prediction": np.nan, "score": np.nan, "status": "empty file"}
    predicted = pd.concat([pd.DataFrame(told), pd.DataFrame([bad])], ignore_index=True)
    given = pd.DataFrame({"name": names, "label": truth}) if labels else None
    told = about(classes, auroc=0.9, auroc_lo=0.85, auroc_hi=0.94)
    judged = judge(predicted, given, groups, told) if labels else None
    cases, said = in_cases(predicted, None, given, groups)
    return Evaluation(told, predicted, judged, cases, notes=(said,) if said else (), **more)


def page_of(evaluation):
    return evaluation_html(evaluation, tables_of(evaluation))


def headings(page):
    return re.findall(r'<h2 id="[a-z]+-h">([^<]+)<', page)


def figures_in(page):
    return re.findall(r'<figure class="chart[^"]*" id="figure-([a-z-]+)"', page)


def test_the_page_has_all_figures_and_no_names(tmp_path):
    evaluation = made(["open", "sclerotic"])
    page, *tables = write_evaluation(evaluation, tmp_path / "e.csv")
    assert [path.name for path in (page, *tables)] == ["e.html", "e_cases.csv", "e_slides.csv", "e_errors.csv"]
    text = page.read_text()
    assert headings(text) == ["Against the labels", "Figures", "Per case", "What was read"]
    assert figures_in(text) == ["ranking", "confusion", "reliability", "scores", "agreement"]
    assert "Smith" not in text and "C001 slide 2" in text and "averaged over folds" not in text
    assert not re.search(r'(?:src|href)="(?!#|data:)|url\((?!#)|@import', text)  # nothing is fetched
    assert "One file without a prediction." in text and "<td>empty file</td><td>1</td>" in text
    shown = page_of(made(["open", "sclerotic"], show_names=True))
    assert "Smith3" in shown and "Smith3_PAS_2of2" in shown
    cases = pd.read_csv(tables[0])
    assert cases["case"].tolist() == [f"Smith{k}" for k in range(10)] and (cases["images"] == 6).all()
    assert cases["without_prediction"].tolist() == [1] + [0] * 9
    rows = re.findall(r'<th scope="row">(C\d{3}(?: slide \d)?)</th>', text)
    order = [f"C{k:03d}" for k in range(1, 11)]  # that of the names would tell which pseudonym is whose
    assert rows == order + [f"{case} slide {k}" for case in order for k in (1, 2)]
    counts = evaluation.judged.confusion
    first, second = answer(evaluation)
    assert first.startswith("On 60 images of ten cases, resnet18 + SVM tells sclerotic from open with an AUROC of 0.")
    assert "On the test folds of its own study it was 0.900 (0.850 to 0.940)" in first
    assert f"it finds {counts[1, 1]} of {counts[1].sum()} sclerotic (sensitivity" in second
    assert f"falsely calls {counts[0, 1]} of {counts[0].sum()} open so (specificity" in second


def test_a_bundle_of_single_images_is_not_said_to_know_cases():
    evaluation = made(["open", "sclerotic"], labels=False)
    assert in_short(evaluation).endswith("trained on 200 images of 2 cases")
    evaluation.about["trained_on"]["split"] = IMAGE_LEVEL
    assert in_short(evaluation).endswith("trained on 200 images")


def test_limits_with_nothing_between_them_are_not_written():
    evaluation = made(["open", "sclerotic"])
    rows = evaluation.judged.figures
    rows.loc[rows["figure"] == "sensitivity", ["value", "low", "high"]] = 0.2
    assert "(sensitivity 0.200, no limits)" in answer(evaluation)[1]
    assert '0.200 <span class="limits">no limits</span>' in page_of(evaluation)


def test_three_classes_have_a_curve_and_a_percentage_each():
    evaluation = made(["a", "b", "c"], n=90)
    text = page_of(evaluation)
    assert {"ranking", "confusion", "reliability"} <= set(figures_in(text))
    assert ">AUROC</th>" in text and "called c</th>" in text and "sensitivity at" not in text
    right, n = evaluation.judged.confusion.trace(), 90
    assert f"It calls {right} of {n} images right" in answer(evaluation)[1]
    table = tables_of(evaluation)["case"]
    assert (table.groupby("case")["percent"].sum().round(9) == 100).all() and len(table) == 30


def test_labels_of_one_class_have_no_curve_and_say_so():
    evaluation = made(["open", "sclerotic"], truth=np.ones(60, int))
    text = page_of(evaluation)
    assert "ranking" not in figures_in(text) and "These images hold no image of open: no AUROC" in text
    first, second = answer(evaluation)
    assert "all are of one class, so that nothing says how well scores tell classes apart." in first
    assert "it finds" in second and "falsely" not in second


def test_figures_that_the_page_does_not_have_are_not_said_to_be_missing():
    """With scores below 0.5 all decisions at 0.5 are alike, and the bundle decides at another threshold."""
    evaluation, truth = made(["open", "sclerotic"]), np.arange(60) % 2
    low = evaluation.predicted.assign(score=evaluation.predicted["score"] * 0.4)
    labels = pd.DataFrame({"name": low["name"][:60], "label": truth})
    judged = judge(low, labels, "auto", evaluation.about | {"threshold": {"value": 0.2, "rule": "youden"}})
    assert "balanced accuracy at 0.5, MCC" in judged.beside["reason"]
    assert not any("missing" in head for _, head, _ in banners(replace(evaluation, judged=judged)))


def test_without_labels_or_cases_the_page_says_what_was_called():
    evaluation = made(["open", "sclerotic"], labels=False)
    called = int(evaluation.told["prediction"].sum())
    share = f"{100 * called / 60:.1f} %"
    assert answer(evaluation)[0].startswith(f"resnet18 + SVM calls {called} of 60 images sclerotic ({share}).")
    assert headings(page_of(evaluation)) == ["Per case", "What was read"]
    alone = made(["open", "sclerotic"], groups="none")
    text = page_of(alone)
    assert alone.cases is None and "Limits count single images." in text and "Per case" not in headings(text)
    assert "no percentages by case, because --groups none says so" in text


@pytest.mark.parametrize("classes", [["open", "sclerotic"], ["open", "part", "NA"]])
def test_wrong_calls_are_listed_with_the_truth(tmp_path, classes):
    rng, k = np.random.default_rng(3), len(classes)  # as in `made`
    truth = rng.integers(0, k, 60)
    chance = 1.5 * np.eye(k)[truth] + rng.normal(size=(60, k))
    write_evaluation(made(classes), tmp_path / "e.csv")
    found = read_csv(tmp_path / "e_errors.csv", keep_default_na=False).set_index("name")
    wrong = {row: chance[row].argmax() for row in range(60) if chance[row].argmax() != truth[row]}
    names = {row: f"Smith{row % 10}_PAS_{row % 20 // 10 + 1}of2_{row:04d}.png" for row in wrong}
    assert found["truth"].to_dict() == {names[row]: classes[truth[row]] for row in wrong} and len(found) > 5
    assert found["case"].to_dict() == {names[row]: f"Smith{row % 10}" for row in wrong}


def test_tables_of_an_earlier_run_are_deleted_where_there_is_nothing_for_them(tmp_path):
    write_evaluation(made(["open", "sclerotic"]), tmp_path / "e.csv")
    write_evaluation(made(["open", "sclerotic"], groups="none", labels=False), tmp_path / "e.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["e.html"]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_nothing_scrolls_sideways_on_a_telephone(tmp_path):
    page = write_evaluation(made(["open", "a class with quite a long name"]), tmp_path / "e.csv")[0]
    post = "parent.postMessage([innerWidth, root.scrollWidth - root.clientWidth].join(), '*')"
    script = f"<script>const root = document.documentElement; addEventListener('load', () => {post})</script></body>"
    (tmp_path / "seen.html").write_text(page.read_text().replace("</body>", script))
    # the window of a headless browser may be no narrower than 500 px, a frame in it is
    told = "<script>addEventListener('message', (event) => document.body.append(`wide: ${event.data}`))</script>"
    frame = '<iframe src="seen.html" style="width:400px;height:900px;border:0"></iframe>'
    (tmp_path / "frame.html").write_text(f"<!DOCTYPE html><body>{told}{frame}</body>")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    url = f"file://{tmp_path / 'frame.html'}"
    dumped = subprocess.run([*command, url], capture_output=True, text=True, timeout=120).stdout
    assert "wide: 400,0" in dumped
