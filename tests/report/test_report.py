"""The report: one page that stands alone, from the output folder alone, and says what the tables say."""

import base64
import html
import io
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.pages import Page
from helpers.reports import write_folder
from helpers.running import run_study
from helpers.runs import GOOD, WEAK, end, make_run
from PIL import Image

from glomfeat.checks.data.write import read_audit
from glomfeat.comparison.options import Study
from glomfeat.core.arms import FLOOR
from glomfeat.data.cases import pseudonyms
from glomfeat.report import drawing
from glomfeat.report.checklists import APART
from glomfeat.report.content import read_content
from glomfeat.report.drawing import save_pngs
from glomfeat.report.figures import confusion, forest, leak_price, learning
from glomfeat.report.made import command
from glomfeat.report.page import section_html
from glomfeat.report.sections import audit, saliency
from glomfeat.report.sections.methods import paragraph
from glomfeat.report.write import write_report
from glomfeat.results.calls import image_names
from glomfeat.results.journal import Journal
from glomfeat.results.load import load_run
from glomfeat.results.tables import results_table
from studies import compare, report
from studies._cli import run_main

pytestmark = pytest.mark.usefixtures("dealt_once")

FIGURES = [
    *("abstention", "agreement", "confusion", "cost", "decision-curve", "forest", "ranking", "reliability", "scores"),
]


@pytest.fixture(autouse=True)
def no_large_pictures(monkeypatch):
    """PNG at 300 dpi are written once, for the module's folder."""
    monkeypatch.setattr(
        "glomfeat.report.write.save_pngs",
        lambda pictures, folder: [(folder / f"{picture.name}.png").touch() for picture in pictures],
    )


@pytest.fixture
def one_figure(monkeypatch):
    """Reports with one figure, for tests of what else the page says."""
    monkeypatch.setattr("glomfeat.report.write.find_figures", lambda: [forest])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for row in range(0, 144, 2):  # half of them, as if the others had gone
        pixels = np.random.default_rng(row).integers(0, 255, (40, 30 + row % 20, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"i{row:03d}.png")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory, images):
    weights = {"weak.v1": "random (seed 0) sha256:00ff"}
    out = write_folder(tmp_path_factory.mktemp("report") / "out", make_run(weights=weights), data=str(images))
    (out / "environment.json").write_text(
        json.dumps(
            {"glomfeat": "0.1.0", "python": "3.11", "platform": "Linux", "cores": 2, "memory_limit_bytes": 10**9}
            | {"seed": 0, "packages": {"numpy": "2.4"}}
        )
    )
    maps = {"shape": [2, 1, 2], "maps": base64.b64encode(bytes([0, 255, 255, 0])).decode(), "likeness": 0.12}
    Journal(out / "journal.jsonl").append({"inside": {"arm": GOOD, "repeat": 0, "fold": 0, "rows": [0, 1], **maps}})
    Journal(out / "journal.jsonl").append({"inside": {"arm": WEAK, "repeat": 0, "fold": 0, "why": "no picture"}})
    (out / "quarantine.csv").write_text("name,reason\nsecret_name.png,empty file\n")
    return out


@pytest.fixture(scope="module")
def text(folder):
    return write_report(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_stands_alone(page, text):
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data"):
            target = attributes.get(name, "")
            assert target.startswith(("#", "data:")) or not target, f"<{tag} {name}={target[:60]}>"
    assert not re.search(r"url\((?!#|data:)|@import|fetch\(|XMLHttp|\bimport\(", text)
    assert "http" not in re.sub(r'xmlns(:\w+)?="http[^"]+"', "", text)


def test_the_page_is_sound(page):
    assert len(page.ids) == len(set(page.ids))
    ids = set(page.ids)
    pointed = [a[name] for _, a in page.tags for name in ("aria-labelledby", "aria-describedby") if name in a]
    assert pointed and all(part in ids for names in pointed for part in names.split())
    for tag, attributes in page.tags:
        for value in attributes.values():
            for target in re.findall(r"url\(#([^)]+)\)", value or ""):
                assert target in ids, f"<{tag}> points to {target}"
        if attributes.get("href", "").startswith("#") or attributes.get("xlink:href", "").startswith("#"):
            assert (attributes.get("href") or attributes["xlink:href"])[1:] in ids
    assert len(page.of("h1")) == len(page.of("main")) == len(page.of("nav")) == 1
    assert page.of("html")[0]["lang"] == "en"


def test_every_picture_says_what_it_shows(page, folder):
    assert all(image["alt"] and image["src"].startswith("data:image/jpeg") for image in page.of("img"))
    charts = [svg for svg in page.of("svg") if "role" in svg]
    assert [svg["class"] for svg in charts].count("whole") == len(FIGURES)
    assert all(svg["role"] == "img" for svg in charts)
    assert all("aria-hidden" in svg or "role" in svg for svg in page.of("svg"))
    assert sorted(path.stem for path in (folder / "figures").iterdir()) == FIGURES
    with Image.open(folder / "figures" / "forest.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=1)


def test_a_phone_shows_the_panels_of_a_broad_figure_below_each_other(page):
    drawn = [svg for svg in page.of("svg") if "role" in svg]
    names = [svg["aria-labelledby"].partition("-title")[0] for svg in drawn]
    boxes = {name: [] for name in names}
    for name, svg in zip(names, drawn, strict=True):
        boxes[name].append([float(number) for number in svg["viewbox"].split()])
    assert sorted(boxes) == FIGURES
    several = {name: len(parts) for name, (_, *parts) in boxes.items() if parts}
    assert several == {"ranking": 2, "agreement": 4, "abstention": 2}
    for whole, *parts in boxes.values():
        assert all(box[2] < 72 * 5.7 for box in parts or [whole]), "text of 8 points is 7 px high on a phone"
        for x, y, width, height in parts:
            assert x >= -1 and y >= -1 and x + width <= whole[2] + 1 and y + height <= whole[3] + 1
    (_, left, right), (_, first, beside, below, _) = boxes["ranking"], boxes["agreement"]
    assert left[0] + left[2] == pytest.approx(right[0], abs=1) and left[1] == right[1]
    assert first[1] == beside[1] < below[1] and below[0] == first[0]
    of = {figure["id"].removeprefix("figure-"): figure["class"] for figure in page.of("figure") if "id" in figure}
    assert {name for name, kind in of.items() if kind == "chart spans"} == set(several), "printed across the page"


def test_print_and_phones_have_their_rules(page):
    style = next(part for part in page.scripts if part.startswith(":root"))
    phone = style.partition("@media screen and (max-width: 40rem)")[2].partition("@media print")[0]
    assert ".chart svg.part { display: block;" in phone and "content: attr(data-label)" in phone
    whole = re.search(r"([^{}]+)\{ break-inside: avoid; \}", style.partition("@media print")[2])[1]
    assert {".chart", ".short", ".finding", "tr"} <= {part.strip() for part in whole.split(",")}
    assert "columns: 2" in style and "@page { size: A4" in style


def test_the_answer_is_that_of_the_table(page, folder):
    row = results_table(make_run()).iloc[0]
    assert f"The best arm is good + logistic regression, with an AUROC of {row['auroc']:.3f} " in page.said
    assert "One other arm is worse beyond chance on these 18 cases." in page.said
    table = results_table(make_run(weights={"weak.v1": "random (seed 0) sha256:00ff"}))
    payload = json.loads(next(part for part in page.scripts if part.startswith("{")))
    assert payload["columns"] == table.columns.tolist()
    assert [line[0] for line in payload["rows"]] == table["arm"].tolist() == [GOOD, WEAK, FLOOR]
    assert [line[8] for line in payload["rows"]] == pytest.approx(table["auroc"].tolist())


def test_random_weights_are_told_in_the_row_and_above(page, text):
    assert "Random weights, not pretrained: weak.v1." in page.said
    assert text.count('<strong class="random">random (seed 0)</strong>') == 1


def test_names_of_cases_and_files_are_shown_only_if_asked(page, folder, tmp_path, one_figure):
    cases = set(make_run().manifest.table["case"])
    shown = page.said + " ".join(image["alt"] for image in page.of("img"))
    assert not any(re.search(rf"\b{case}\b", shown) for case in cases)
    assert "secret_name" not in shown and not re.search(r"\bi\d{3}\.png", shown)
    assert any(name in shown for name in pseudonyms(cases).values())
    shutil.copytree(folder, tmp_path / "open")
    open_page = Page(write_report(tmp_path / "open", show_names=True).read_text(encoding="utf-8"))
    assert "secret_name.png" in open_page.said and re.search(r"\bi\d{3}\.png", open_page.said)


def test_the_gallery_has_the_errors_of_the_best_arm(page):
    run = make_run()
    wrong = np.zeros(len(run.manifest))
    for (arm, repeat, fold), record in run.records.items():
        if arm == GOOD:
            here = (run.folds["repeat"] == repeat) & (run.folds["fold"] == fold)
            called = np.array(record["scores"]) >= record["threshold"]
            wrong[run.folds[here].index % len(run.manifest)] += called != run.folds.loc[here, "label"]
    missed = (wrong >= 1) & (run.manifest.labels == 1)
    said = page.said[page.said.index("Missed: b that were called otherwise") :]
    total = int(re.search(r"(\d+) images?", said)[1])
    assert total >= missed.sum() > 0
    cards = [attributes for attributes in page.of("figure") if attributes.get("class") == "card"]
    assert 0 < len(page.of("img")) < len(cards)  # half of the images have gone
    assert "wrong in both arms" in page.said and re.search(r"wrong in [01] of 2 arms", page.said)


def test_maps_of_one_view_say_so_where_the_score_is_of_eight():
    run, arms = make_run(), ["net:compact", "net:compact+tta8"]
    found = {"rows": [0], "shape": [1, 1, 2], "maps": base64.b64encode(bytes([0, 255])).decode(), "likeness": 0.1}
    calls = SimpleNamespace(arms=arms, wrong=np.zeros((2, 1)), score=np.zeros((2, 1)))
    results, loaded = pd.DataFrame({"arm": arms, "kind": "net", "weights": ""}), dict.fromkeys(arms, found)
    about = {"names": dict(zip(arms, arms, strict=True)), "images": None, "show_names": False, "calls": calls}
    content = SimpleNamespace(run=run, results=results, loaded=SimpleNamespace(inside=loaded), **about)
    one, eight = (part["sane"] for part in saliency.fill(content)["parts"])
    assert eight == one + " These maps are of the image as it is, while its score is a mean over eight flips and turns."


@pytest.mark.parametrize(
    ("net", "warned"), [("resnet18:frozen", True), ("resnet18:finetune", False), ("compact", False)]
)
def test_maps_of_networks_whose_layers_stay_random_are_said_to_show_nothing(net, warned):
    arm = f"net:{net}"
    found = {"rows": [0], "shape": [1, 1, 2], "maps": base64.b64encode(bytes([0, 255])).decode(), "likeness": 0.1}
    calls = SimpleNamespace(arms=[arm], wrong=np.zeros((1, 1)), score=np.zeros((1, 1)))
    results = pd.DataFrame({"arm": [arm], "kind": "net", "weights": "random (seed 0)"})
    about = {"names": {arm: net}, "images": None, "show_names": False, "calls": calls}
    content = SimpleNamespace(run=make_run(), results=results, loaded=SimpleNamespace(inside={arm: found}), **about)
    assert saliency.fill(content)["warning"].startswith(f"The weights of {net} are random") == warned


def test_maps_lie_beside_their_images_with_what_random_weights_show(page):
    first, second = (image for image in page.of("img") if "looked" in image["alt"])
    assert first["alt"].endswith("and where good + logistic regression looked") and int(first["width"]) == 256
    assert "Likeness to maps of random weights: 0.12." in page.said and "Where networks looked" in page.said
    pixels = Image.open(io.BytesIO(base64.b64decode(second["src"].partition(",")[2])))
    assert pixels.size == (256, 128)  # its image has gone: the map is drawn on white
    left, right = np.asarray(pixels, int)[64, 130], np.asarray(pixels, int)[64, 250]
    assert left[0] - left[2] > 80 and np.ptp(right) < 30


def test_maps_of_random_weights_are_said_to_show_nothing_before_anything_else(folder):
    content = read_content(folder)
    assert Page(section_html(saliency, content)).said.startswith("Next to each image, HiResCAM")
    of_good = content.results["arm"] == GOOD
    random = content.results.assign(weights=content.results["weights"].mask(of_good, "random (seed 0) sha256:00ff"))
    said = Page(section_html(saliency, replace(content, results=random))).said
    assert said.startswith("The weights of good + logistic regression are random, and only a classifier has learned.")


def test_methods_are_filled_in(page, folder):
    for part in (
        "144 images (",
        "of 18 cases, with eight images a case",
        "3-fold cross-validation by case, stratified by class, repeated 2 times",
        "one image could not be read and was left out",
        f"was started: python -m studies.compare --config {folder / 'study.yaml'} --out {folder}-again",
        "CLAIM, 2024 update",
        "TRIPOD+AI, 2024",
        "STARD-AI, 2025",
        "PROBAST+AI, 2025; questions by part and number of the domain",
        "not answered by this run ask with --subgroups COLUMN",
        "In the case-weighted AUROC all cases of a fold have the same weight",
        "random (seed 0) sha256:00ff",
        "numpy 2.4",
    ):
        assert part in page.said, part
    assert "unweighted means" not in page.said


def test_methods_name_what_else_stands_on_the_page(tmp_path):
    out = write_folder(tmp_path / "out", make_run())
    options = yaml.safe_load((out / "study.yaml").read_text()) | {
        "test": ["north=a.csv", "/data/west.csv"],
        "subgroups": ["age:40,60"],
    }
    (out / "study.yaml").write_text(yaml.safe_dump(options))
    said = {
        "external": "tested on images of other places (north and west), on which nothing was fitted",
        "subgroups": "Each group of images by age was compared with all others that have a value",
        "robustness": "Test images were also changed and scored again",
        "learning_curve": "arms were also fitted on fewer training cases",
        "leak_price": "arms were also run on folds of images that tear cases apart",
    }
    for name, words in said.items():
        assert words not in " ".join(paragraph(load_run(out)))
        (out / f"{name}.csv").write_text("cohort,arm,reason\nnorth,a,\nwest,a,\n")
        assert words in " ".join(paragraph(load_run(out)))


@pytest.mark.parametrize(
    ("threshold", "chosen"),
    [("balanced", "Decision thresholds were chosen on inner splits"), ("0.2", "No settings were chosen. Each outer")],
)
def test_heads_without_a_grid_choose_no_hyper_parameters(tmp_path, threshold, chosen):
    run = make_run()
    for record in run.records.values():
        record["params"] = {}
    del record["params"]  # as for an ensemble
    methods = " ".join(paragraph(load_run(write_folder(tmp_path / "out", run, threshold=threshold))))
    assert chosen in methods and "yper-parameters" not in methods and "the default one" not in methods


def test_the_command_that_repeats_a_study_finds_data_that_were_named_from_there(feature_table, monkeypatch, capsys):
    monkeypatch.chdir(feature_table.parent)
    out = Path("runs/my study")
    out.mkdir(parents=True)
    options = Study(feature_table.name, heads=("logreg",), folds=2, cache="cache", out=str(out)).plain()
    (out / "study.yaml").write_text(yaml.safe_dump(options))
    python, _, study, *rest = shlex.split(command(SimpleNamespace(out=out, about={}, study=options)))
    assert (python, study, rest[-1]) == ("python", "studies.compare", "runs/my study-again")
    assert compare.main([*rest, "--dry-run"]) == 0
    assert "16 cases" in capsys.readouterr().out
    monkeypatch.chdir("runs")  # a page that is made from another folder has the same command
    assert shlex.split(command(SimpleNamespace(out=Path("my study"), about={}, study=options)))[3:] == rest


def test_tables_of_cases_lie_beside_the_page(text, folder):
    cases, agreement = pd.read_csv(folder / "cases.csv"), pd.read_csv(folder / "agreement.csv")
    assert len(cases) == 3 * 18 and set(cases["pseudonym"]) == set(pseudonyms(cases["case"]).values())
    assert agreement["arm"].tolist() == [FLOOR, WEAK, GOOD]


def test_the_same_folder_gives_the_same_bytes(text, folder, tmp_path):
    assert write_report(folder).read_text(encoding="utf-8") == text
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_pngs([forest.draw(read_content(folder))], tmp_path / name, dpi=40)
    one, two = ((tmp_path / name / "forest.png").read_bytes() for name in ("one", "two"))
    assert one == two and re.findall(rb"(?:[tiz]..t|tIME)(.*?)\0", one) == [b"glomfeat drawing"]  # no date, no version


def test_a_png_is_drawn_again_only_if_it_would_be_another_or_is_broken(folder, tmp_path, monkeypatch):
    picture, drawn, pixels = forest.draw(read_content(folder)), [], drawing._pixels
    monkeypatch.setattr(drawing, "_pixels", lambda picture, dpi: drawn.append(dpi) or pixels(picture, dpi))
    path = tmp_path / "forest.png"

    def times_drawn(picture, dpi=40):
        drawn.clear()
        save_pngs([picture], tmp_path, dpi=dpi)
        return len(drawn)

    assert [times_drawn(picture), times_drawn(forest.draw(read_content(folder)))] == [1, 0]
    whole = path.read_bytes()
    for broken in (b"", whole[:-30], whole.replace(b"IDAT", b"IDAT\1", 1), save_plain(path)):
        path.write_bytes(broken)
        assert times_drawn(picture) == 1 and path.read_bytes() == whole
    assert [times_drawn(picture, dpi=41), times_drawn(picture, dpi=41)] == [1, 0]
    changed = forest.draw(read_content(folder))
    changed.figure.axes[0].set_title("another")
    assert times_drawn(changed, dpi=41) == 1


def save_plain(path):
    """A PNG saved again by another program, which says nothing of what it was drawn from."""
    with Image.open(path) as image:
        image.load()
        pixels = image.copy()
    pixels.info.clear()
    pixels.save(path)
    return path.read_bytes()


def test_the_banner_of_a_split_by_image_says_what_names_would_have_given(tmp_path, one_figure):
    run = make_run(by_case=False)
    line = "without --groups none there would be 6 cases, from names, and all 20 negatives (non_b) are of one case"
    said = (*run.manifest.said, line)
    run = replace(run, manifest=replace(run.manifest, said=said, classes=("non_b", "b")))
    found = Page(write_report(write_folder(tmp_path / "out", run)).read_text(encoding="utf-8"))
    assert f"W{line[1:]}.".replace("(non_b)", "(non-b)") in found.said


def test_warnings_about_the_data_stand_at_the_top(tmp_path, one_figure):
    run = make_run()
    said = (*run.manifest.said, "warning: 2 cases are written alike: name them in one way")
    run = replace(run, manifest=replace(run.manifest, said=said))
    top, _, _ = write_report(write_folder(tmp_path / "out", run)).read_text(encoding="utf-8").partition("<h2")
    assert "A warning about the data:" in top and "2 cases are written alike: name them in one way." in top


def test_what_is_warned_of_when_a_study_begins_stands_at_the_top_of_its_page(tmp_path):
    rng, n = np.random.default_rng(0), np.arange(60)
    table = pd.DataFrame({"name": n, "case": n // 4, "label": n // 4 % 2, "f0": rng.normal(size=60)})
    table["told"] = table["label"] + rng.uniform(size=60) / 9
    table["site"] = np.where(n % 8 < 4, "Oslo", np.where(n % 3, "oslo", "Rome"))
    table.to_csv(tmp_path / "table.csv", index=False)
    asked = {"folds": 2, "subgroups": ("site",), "reducers": ("none",), "heads": ("logreg",)}
    *_, said = run_study(tmp_path, data=f"file:{tmp_path / 'table.csv'}", **asked)
    warned = [line.removeprefix("warning: ") for line in said if line.startswith("warning: ")]
    assert [line for line in warned if "'told'" in line] and [line for line in warned if "subgroups: site" in line]
    top, _, _ = write_report(tmp_path / "out").read_text(encoding="utf-8").partition("<h2")
    assert warned and all(line in html.unescape(top) for line in warned)


def test_a_split_by_image_has_a_red_banner(tmp_path, text, one_figure):
    out = write_folder(tmp_path / "out", make_run(by_case=False))
    found = Page(write_report(out).read_text(encoding="utf-8"))
    assert {"class": "banner bad", "role": "note"} in found.of("div")
    assert "Split by image: scores are optimistic." in found.said
    assert "By case" not in found.said and "has never seen" not in found.said
    assert 'class="banner bad"' not in text


def test_without_cases_the_page_speaks_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr("glomfeat.report.write.find_figures", lambda: [confusion, learning])
    out = write_folder(tmp_path / "out", make_run(by_case=False))
    curve = {"arm": GOOD, "share": [50, 100], "cases": [48, 96], "auroc": [0.8, 0.9]}
    pd.DataFrame(curve | {"auroc_lo": 0.7, "auroc_hi": 0.95}).to_csv(out / "learning_curve.csv", index=False)
    found = Page(write_report(out).read_text(encoding="utf-8"))
    of_cases = {said.strip() for said in found.text if re.search(r"\bcases?\b", said)}
    of_cases = {said for said in of_cases if not said.startswith(("@", "These are drawn"))}
    items_of_checklists = {
        "cases are shown by pseudonyms; how the images were de-identified is yours",
        "enough cases",
        APART[1],
        "images, cases and positives by fold; their characteristics are yours",
        "say with --groups where the case is",
    }
    assert of_cases <= items_of_checklists
    for said in (
        "When images are drawn anew, good",
        "What more images would bring",
        "The bar holds the 95 % limits, which count images.",
    ):
        assert said in found.said


def test_half_a_run_says_so(tmp_path, one_figure):
    run = end(make_run(), GOOD, "planned", "", folds=[1, 2])
    run = end(run, WEAK, "failed", "ValueError: <no> luck & more", folds=[0])
    out = write_folder(tmp_path / "out", run)
    found = Page(write_report(out).read_text(encoding="utf-8"))
    assert "12 of 18 trials are done." in found.said and "The best arm so far is " in found.said
    assert "partial: ValueError: <no> luck & more" in found.said


def test_a_run_with_nothing_done_yet_has_a_page(tmp_path):
    found = Page(write_report(write_folder(tmp_path / "out", replace(make_run(), records={}))).read_text())
    assert "No arm has a figure yet." in found.said and "0 of 18 trials are done." in found.said


def test_more_classes_have_a_page(tmp_path):
    run = make_run(classes=3)
    found = Page(write_report(write_folder(tmp_path / "out", run)).read_text(encoding="utf-8"))
    assert len(found.ids) == len(set(found.ids)) and "distinguish a, b and c on cases" in found.said
    assert "Other images that were called a wrong class" in found.said
    assert "precision and F1 are unweighted means over classes of one against the rest" in found.said
    text = (tmp_path / "out" / "errors.html").read_text(encoding="utf-8")
    shown = re.findall(r'row">(.*?)</th><td>(.)</td>.*?; the best arm calls it (.)</td>', text)
    votes = {name: [] for name in image_names(run.manifest)}
    for trial in [trial for trial in run.trials if str(trial.arm) == GOOD]:
        for row, score in zip(run.tested(trial), run.record(trial)["scores"], strict=True):
            votes[list(votes)[row]].append("abc"[np.argmax(score)])
    assert shown and all(
        called in sorted(votes[name], key=lambda one: (one == label, one))[:1] for name, label, called in shown
    )


def test_a_holdout_has_a_page(tmp_path, one_figure):
    run = make_run(scheme="holdout", n=400, cases=100)
    out = write_folder(tmp_path / "out", run, scheme="holdout")
    methods = " ".join(paragraph(load_run(out)))
    assert "All metrics were calculated on the outer-test part of each repeat and averaged." in methods
    assert "out-of-fold decisions" not in methods and "within each fold" not in methods
    found = Page(write_report(out).read_text(encoding="utf-8"))
    tested = run.folds[run.folds["fold"] == "outer-test"]
    cases = pd.read_csv(out / "cases.csv")
    assert set(cases["case"]) == set(tested["case"]) and (cases["n_images"] == 4).all()
    assert "split 80:10:10" in found.said and "outer-test" in found.said


def test_leak_price_and_learning_curves_are_drawn_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr("glomfeat.report.write.find_figures", lambda: [leak_price, learning])
    out = write_folder(tmp_path / "out", make_run())
    prices = {"arm": [GOOD], "status": ["done"], "auroc_by_case": [0.9], "auroc_by_image": [0.93]}
    prices |= {"auroc_price": [0.03], "auroc_price_lo": [0.01], "auroc_price_hi": [0.05]}
    pd.DataFrame(prices).to_csv(out / "leak_price.csv", index=False)
    curve = {
        "arm": GOOD,
        "share": [50, 100],
        "cases": [6, 12],
        "auroc": [0.8, 0.9],
        "auroc_lo": [0.7, 0.8],
        "auroc_hi": [0.85, 0.95],
    }
    pd.DataFrame(curve).to_csv(out / "learning_curve.csv", index=False)
    found = Page(write_report(out).read_text(encoding="utf-8"))
    assert "What a careless split would have claimed" in found.said and "What more cases would bring" in found.said
    assert {path.stem for path in (out / "figures").iterdir()} == {leak_price.NAME, learning.NAME}
    assert "The largest difference is +0.030, of good + logistic regression." in found.said
    (out / "leak_price.csv").unlink()
    monkeypatch.setattr("glomfeat.report.write.find_figures", lambda: [forest, leak_price])
    write_report(out)
    assert not (out / "figures" / "leak-price.png").exists()  # no figure of what is no longer there


def test_an_audit_beside_the_run_is_shown(tmp_path):
    finding = {"severity": "severe", "what": "8 pairs <torn>", "how": "hash", "why": "leak", "remedy": "split by case"}
    info = {"code": "classes.balance", "severity": "info", "what": "1 of 2", "how": "h", "why": "w", "remedy": "none"}
    found = {"said": ["144 images"], "findings": [{"code": "pairs.torn", **finding}, info], "pictures": [3, 1]}
    assert section_html(audit, SimpleNamespace(audit=None)) == ""
    (tmp_path / "audit.json").write_text(json.dumps(found))
    Image.new("RGB", (2400, 9000), "white").save(tmp_path / "pairs.png")
    page = Page(section_html(audit, SimpleNamespace(run=make_run(), audit=read_audit(tmp_path))))
    assert page.said.startswith("One severe finding among two checks. 144 images.")
    assert "severe 8 pairs <torn> pairs.torn" in page.said and "what to do split by case" in page.said
    (sheet,) = page.of("img")
    assert sheet["alt"].startswith("two pairs of images") and int(sheet["width"]) == 1100
    assert len(sheet["src"]) < 1_000_000


@pytest.mark.slow
def test_thirty_arms_make_no_large_page(tmp_path):
    run = make_run()
    trials, records = list(run.trials), dict(run.records)
    for k in range(28):
        for trial in [trial for trial in run.trials if str(trial.arm) == GOOD]:
            again = replace(trial, arm=replace(trial.arm, feature=f"good{k}.v1"))
            trials.append(again)
            records[again.key] = run.record(trial) | {"arm": str(again.arm)}
    run = replace(run, trials=trials, records=records)
    path = write_report(write_folder(tmp_path / "out", run))
    assert path.stat().st_size < 3_000_000


def test_the_command_rebuilds_the_page(folder, capsys, one_figure):
    with pytest.raises(SystemExit) as stopped:
        run_main(report.main, [str(folder)])
    assert stopped.value.code == 0 and f"report: {folder / 'report.html'}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        run_main(report.main, [str(folder / "figures")])
    assert stopped.value.code == 2
    assert "holds no run (no journal.jsonl)" in capsys.readouterr().err


def test_words_of_the_house_are_explained_once_where_they_stand_first(text):
    notes = re.findall(r'<span class="note" role="note"><b>([^<]+)</b>', text)
    box = text[text.index('<div class="answer"') :].partition("</div>")[0]
    of_answer = re.findall(r"<dt>([^<]+)</dt>", box)
    assert of_answer[:3] == ["arm", "AUROC", "95 % limits"] and "fold" in notes
    assert 'class="note"' not in box, "notes beside the answer would make its box half empty"
    assert len(of_answer + notes) == len({*of_answer, *notes})
    methods = text[text.index('<section id="made"') :].partition("</blockquote>")[0]
    assert 'class="note"' not in methods, "what is copied into a paper holds no notes"


def test_the_confusion_matrices_bear_the_names_of_the_classes(text):
    figure = text[text.index('id="figure-confusion"') :].partition("</figure>")[0]
    assert len(re.findall(r">a</text>", figure)) == len(re.findall(r">b</text>", figure)) == 6
