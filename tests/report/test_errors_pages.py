"""The errors of the report and errors.html: whose they are is said, and nothing is empty or claimed that is not so."""

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.pages import Page
from helpers.reports import write_folder
from helpers.runs import GOOD, WEAK, make_run
from PIL import Image

from glomfeat.data.labels.corrections import CHANGED, digest_of_name
from glomfeat.report.cards import why_no_pictures
from glomfeat.report.content import read_content
from glomfeat.report.page import section_html
from glomfeat.report.sections import errors
from glomfeat.report.sections.errors import how_many
from glomfeat.report.write import write_report

pytestmark = pytest.mark.usefixtures("without_figures")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for row in range(144):
        Image.new("RGB", (12 + row % 5, 10), (row, 90, 120)).save(folder / f"i{row:03d}.png")
    return folder


def with_a_doubt(run):
    """The run with one label, of the image in row 3, that all arms contradict."""
    records = {}
    for trial in run.trials:
        tested, record = run.tested(trial), dict(run.record(trial))
        truth = run.manifest.labels[tested] ^ (tested == 3)
        record["scores"] = np.where(truth == 1, 0.9, 0.1).tolist() if str(trial.arm) == GOOD else record["scores"]
        contradicting = 0.95 - 0.9 * run.manifest.labels[3]
        record["scores"] = np.where(tested == 3, contradicting, record["scores"]).tolist()
        records[trial.key] = record
    return replace(run, records=records)


@pytest.fixture(scope="module")
def out(tmp_path_factory, images):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.report.write.find_figures", list)
        out = write_folder(tmp_path_factory.mktemp("pages") / "out", with_a_doubt(make_run()), data=str(images))
        write_report(out)
    return out


@pytest.fixture(scope="module")
def pages(out):
    return [Page((out / name).read_text(encoding="utf-8")) for name in ("report.html", "errors.html")]


def lists_of(page):
    return [json.loads(a["data-lists"]) for _, a in page.tags if "data-lists" in a]


def test_every_arm_can_be_chosen_and_has_its_errors(pages, out):
    report, _ = pages
    said = report.said[report.said.index("Errors of") :]
    half = "good + logistic regression (the best arm), or at least half of all 2 arms"
    assert said.startswith(f"Errors of {half} good + logistic regression weak + logistic regression")
    missed, alarms = lists_of(report)
    calls, labels = read_content(out).calls, make_run().manifest.labels
    assert calls.arms == [GOOD, WEAK]
    for lists, of in ((missed, 1), (alarms, 0)):
        for rows, arm in zip(lists[1:], calls.wrong, strict=True):
            assert all(labels[row] == of and arm[row] >= 0.5 for row in rows)
        assert len(lists) == 3 and set(lists[1]) <= set(lists[0])
    cards = [a for name, a in report.tags if name == "figure" and "data-row" in a]
    shown = {int(card["data-row"]) for card in cards if "hidden" not in card}
    assert shown == {*missed[0], *alarms[0]}  # without a script the first choice is shown


def test_the_pages_stand_alone_and_name_no_file_or_case(pages, out):
    cases = set(make_run().manifest.table["case"])
    for page, name in zip(pages, ("report.html", "errors.html"), strict=True):
        text = (out / name).read_text(encoding="utf-8")
        assert not re.search(r"\bi\d{3}\.png", text) and not any(re.search(rf"\b{case}\b", text) for case in cases)
        assert not re.search(r"url\((?!#|data:)|@import|fetch\(|XMLHttp", text)
        for _, attributes in page.tags:
            for key in ("src", "href"):
                assert attributes.get(key, "#").startswith(("#", "data:"))
        assert len(page.ids) == len(set(page.ids)) and all(image.get("alt") is not None for image in page.of("img"))


def test_errors_html_shows_doubts_first_and_what_its_download_needs(pages, out):
    _, page = pages
    payload = json.loads(next(part for part in page.scripts if part.startswith("{")))
    first = payload["items"][0]
    assert set(first) == {"digest", "label", "called"} and first["digest"] == digest_of_name("i003.png")
    assert first["label"] == make_run().manifest.labels[3]
    assert payload["classes"] == ["a", "b"] and payload["base"] == ""
    assert payload["columns"] == ["image", "name_sha256", "label", "label_before", "decision", "labels_of"]
    assert "first one label in doubt by confident learning" in page.said and "said by 2 of 2 arms on" in page.said
    listed = [a for name, a in page.tags if name == "tr" and "tabindex" in a]
    assert len(page.of("article")) == len(payload["items"]) == len(listed)
    assert f"--config {out / 'study.yaml'} --labels labels_corrected.csv --out {out}-corrected" in page.said


@pytest.mark.parametrize(
    ("total", "shown", "agreed", "arms", "of", "said"),
    [
        (100, 36, 50, 3, None, "100 images, 50 of them wrong in every arm; 36 are shown."),
        (3, 3, 0, 2, None, "Three images, none of them wrong in every arm."),
        (1, 1, 1, 2, None, "One image, wrong in every arm."),
        (1, 1, 0, 2, None, "One image."),
        (40, 36, 9, 2, 0, "40 images; 36 are shown."),
        (40, 36, 40, 1, None, "40 images; 36 are shown."),
        (0, 0, 0, 2, None, "None."),
    ],
)
def test_how_many_errors_there_are_is_one_sentence(total, shown, agreed, arms, of, said):
    wrong, tested = np.where(np.arange(100) < agreed, arms, 0), np.full(100, arms)
    calls = SimpleNamespace(agreed=(wrong, tested), arms=["a", "b", "c"][:arms])
    assert how_many(calls, np.ones(100, bool), range(shown), total, of) == said


def test_a_section_without_doubts_speaks_of_errors_only(pages, out, tmp_path):
    shows = "errors.html, beside this page, shows"
    assert f"{shows} these and the errors large" in pages[0].said
    best = read_content(out).results["auroc"].max()
    assert f"on the scores of all arms, the best of which has an AUROC of {best:.3f}: labels_to_check" in pages[0].said
    content = read_content(write_folder(tmp_path / "out", make_run()))
    content.tables.__dict__["doubt"] = replace(content.tables.doubt, rows=content.tables.doubt.rows[:0])
    said = Page(section_html(errors, content)).said
    assert "No label is in doubt" in said and f"{shows} the errors large" in said


def test_names_are_shown_if_asked(out, tmp_path):
    shutil.copytree(out, tmp_path / "open")
    report = Page(write_report(tmp_path / "open", show_names=True).read_text(encoding="utf-8"))
    page = Page((tmp_path / "open" / "errors.html").read_text(encoding="utf-8"))
    assert "i003.png" in report.said[report.said.index("Missed") :] and "i003.png" in page.said
    payload = json.loads(next(part for part in page.scripts if part.startswith("{")))
    assert payload["items"][0]["name"] == "i003.png" and payload["columns"][0] == "name"


@pytest.mark.parametrize("kind", ["table", "gone", "phantom", "other"])
def test_without_pictures_there_is_a_table_and_the_true_reason(tmp_path, kind):
    (tmp_path / "empty").mkdir()
    data = {"table": "t.csv", "gone": str(tmp_path / "gone"), "phantom": None, "other": str(tmp_path / "empty")}[kind]
    out = write_folder(tmp_path / "out", with_a_doubt(make_run()), data=data, table=kind == "table")
    text = (out / "study.yaml").read_text().replace("cache: null", f"cache: {tmp_path / 'cache'}")
    (out / "study.yaml").write_text(text)
    write_report(out)
    why = {
        "table": f"the run was of a feature table, which holds none; python -m studies.report {out} --data FOLDER ",
        "gone": "what the images were read from is not there now; python -m studies.report",
        "phantom": "the built-in phantom is not in the cache folder any more; the study's command makes it again.",
        "other": "none of the images lies in the data folder now; python -m studies.report",
    }
    for name in ("report.html", "errors.html"):
        page = Page((out / name).read_text(encoding="utf-8"))
        assert f"There are no pictures: {why[kind]}" in page.said
        assert "Look at the image, not" not in page.said
        assert ("feature table" in page.said[: page.said.index("Made by")].partition("There are no pictures")[2]) == (
            kind == "table"
        )
        assert not [a for a in page.of("figure") if "card" in a.get("class", "")] and not page.of("img")
        assert [a for n, a in page.tags if n == "table" and {"errors", "words"} & set(a.get("class", "").split())]
    assert "open each image before you change its label, and never go by the score" in page.said
    assert why_no_pictures(read_content(out)).startswith(why[kind][:20])


def test_labels_that_were_changed_are_said_in_red(tmp_path):
    run = make_run()
    line = f"warning: 3 of 144 labels were {CHANGED} (labels_corrected.csv)"
    run = replace(run, manifest=replace(run.manifest, said=(*run.manifest.said, line)))
    page = Page(write_report(write_folder(tmp_path / "out", run)).read_text(encoding="utf-8"))
    assert {"class": "banner bad", "role": "note"} in page.of("div")
    assert "3 of 144 labels were changed after results had been seen. Changing labels" in page.said


def test_a_run_without_errors_or_scores_has_nothing_to_look_at(tmp_path):
    write_report(write_folder(tmp_path / "out", replace(make_run(), records={})))
    page = Page((tmp_path / "out" / "errors.html").read_text(encoding="utf-8"))
    assert "There is nothing to look at" in page.said and not page.of("button")
