"""A folder through a bundle: a row per file, bad ones too, gone on with after a stop, figures where labels are."""

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.faults import READ, failing
from helpers.outlines import feature
from helpers.running import refusal
from helpers.slides import make_slide
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import roc_auc_score

import glomfeat
from glomfeat.bundle.against_labels import LabelsError, corrected, judge, read_labels
from glomfeat.bundle.evaluate import OutputError, list_files, open_output
from glomfeat.bundle.images_given import facts_of_folders, files_in, labels_beside
from glomfeat.bundle.in_cases import in_cases
from glomfeat.bundle.inputs import Files
from glomfeat.core.csvs import read_csv
from glomfeat.data.labels.corrections import digest_of_name, read_corrections
from glomfeat.data.problems import ManifestError
from glomfeat.data.sources import images_of
from glomfeat.data.tables.columns import USUAL, Asked
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.metrics.table import limits_of
from studies import crops as cut_crops
from studies import evaluate

pytestmark = pytest.mark.usefixtures("dealt_once", "without_figures")  # tests/report/test_evaluation.py draws them

ROOT = Path(__file__).parents[2]
HEADER = "name,prediction,label,score,threshold,status\n"
ABOUT = {"arm": "a.v1/none/logreg", "classes": ["no", "yes"], "threshold": {"value": 0.5}}


@pytest.fixture
def folder(models, tmp_path):
    """A folder as a lab has it: images, odd images, broken ones, and files that are none."""
    place = tmp_path / "images"
    place.mkdir()
    for path in models.extracted.manifest.table["path"][:12]:
        shutil.copy(path, place)
    path = models.extracted.manifest.table["path"][0]
    data = Path(path).read_bytes()
    (place / "truncated.png").write_bytes(data[: len(data) // 2])
    (place / "zero.png").write_bytes(b"")
    (place / "text.dat").write_text("no image")
    (place / "zeros.jpg").write_bytes(bytes(500))
    with Image.open(path) as image:
        image.convert("RGB").convert("CMYK").save(place / "cmyk.jpg", quality=95)
        grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(place / "grey16.png")
    (place / "deeper").mkdir()
    shutil.copy(path, place / "deeper" / "one.png")
    return place


def run(bundle, *arguments):
    return evaluate.main([*([str(bundle)] if bundle else []), *map(str, arguments), "--device", "cpu", "--jobs", "1"])


def failed(capsys, *arguments):
    return refusal(evaluate.main, capsys, *arguments)


@pytest.mark.parametrize("kind", ["svm", "deep", "net"])
def test_every_file_has_a_row_and_bad_ones_a_reason(models, folder, tmp_path, kind, capsys):
    out = tmp_path / "evaluation.csv"
    assert run(models.folders[kind], folder, "--out", out) == 1
    assert out.read_text().startswith(HEADER)
    table = pd.read_csv(out, dtype={"score": str}).astype({"score": float})
    assert table["name"].tolist() == sorted(path.name for path in folder.iterdir() if path.is_file())
    status = table.set_index("name")["status"]
    assert status["zero.png"] == "empty file" and status["text.dat"].startswith("not an image that can be read")
    assert status["truncated.png"].startswith("corrupt or truncated") and status["zeros.jpg"].startswith("not an image")
    good = table[table["status"].str.startswith("ok")]
    assert len(good) == 14 and {"cmyk.jpg", "grey16.png"} <= set(good["name"])
    expected = models.made[kind].predict([folder / name for name in table["name"]])
    assert np.array_equal(good["score"], expected["score"].dropna())  # to the last bit, in CSV too
    assert (good["label"] == np.array(models.made[kind].about["classes"])[good["prediction"].astype(int)]).all()
    assert table[~table.index.isin(good.index)][["prediction", "label", "score", "threshold"]].isna().all(axis=None)
    assert "18 files, 4 without a prediction" in capsys.readouterr().out


def test_a_folder_of_good_files_ends_well_with_its_sub_folders(models, folder, tmp_path):
    for name in ("truncated.png", "zero.png", "text.dat", "zeros.jpg"):
        (folder / name).unlink()
    assert run(models.folders["svm"], folder, "--recursive", "--out", tmp_path / "e.csv") == 0
    names = pd.read_csv(tmp_path / "e.csv")["name"].tolist()
    assert "deeper/one.png" in names and names == sorted(names) and len(names) == 15


def test_sub_folders_are_taken_where_there_is_nothing_else_and_else_counted(models, folder, tmp_path, capsys):
    assert run(models.folders["logreg"], folder, "--out", tmp_path / "one.csv") == 1
    assert "\n1 files in sub-folders are left out: --recursive takes them\n" in capsys.readouterr().out
    place = tmp_path / "place"
    place.mkdir()
    shutil.move(folder / "deeper", place / "deeper")
    assert run(models.folders["logreg"], place, "--out", tmp_path / "two.csv") == 0
    said = capsys.readouterr().out
    assert f"\n1 files of sub-folders are taken: {place} holds no image of its own\n" in said
    assert pd.read_csv(tmp_path / "two.csv")["name"].tolist() == ["deeper/one.png"]


def test_class_folders_are_labels_and_an_output_among_the_images_is_none(models, tmp_path, capsys):
    table, classes = models.extracted.manifest.table, models.extracted.manifest.classes
    place = tmp_path / "place"
    for path, label in zip(table["path"][:20], table["label"], strict=False):
        (place / classes[label]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / classes[label])
    (place / "unsure").mkdir()
    shutil.copy(table["path"][20], place / "unsure")
    out = place / "evaluation.csv"
    for again in range(2):
        assert run(models.folders["logreg"], place, "--out", out) == 0
        said, report = capsys.readouterr().out, out.with_suffix(".html").read_text()
        assert "labels: 20 of 21 files have one, by their folders or a table beside them" in said
        assert "labels: 1 is left out of the report, because the model has no such class: unsure" in said
        assert "What 20 images with a label are called" in report and "21 files: " in report, again
        assert "21 of the images are images that the model was trained on:</strong> the figures are too good." in report
    scores = pd.read_csv(out)
    changed = tmp_path / "labels_corrected.csv"
    name, label = Path(table["path"][0]).name, table["label"][0]
    row = {"name_sha256": digest_of_name(name), "label": classes[1 - label], "label_before": classes[label]}
    pd.DataFrame([row | {"labels_of": ""}]).to_csv(changed, index=False)
    assert run(models.folders["logreg"], place, "--out", out, "--labels", changed) == 0
    said, after = capsys.readouterr().out, out.with_suffix(".html").read_text()
    assert "warning: 1 of 20 labels was changed after results had been seen (labels_corrected.csv)" in said
    assert "<strong>1 of 20 labels was changed after results had been seen.</strong>" in after
    assert "What 20 images with a label are called" in after and after != report
    scores = scores[~scores["name"].str.startswith("unsure/")]
    truth = scores["name"].str.startswith(classes[1])
    assert f">AUROC</th><td>{roc_auc_score(truth, scores['score']):.3f} " in report


@pytest.mark.parametrize("called", [pytest.param("patient", marks=pytest.mark.slow), "P00"])
def test_folders_give_cases_wherever_the_labels_are(models, tmp_path, capsys, called):
    table, place, rows = models.extracted.manifest.table, tmp_path / "place", []
    for k, (path, label) in enumerate(zip(table["path"][:24], table["label"], strict=False)):
        name = f"{called}{k % 6 + 1}/{k:02d}.png"
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / name)
        rows.append({"name": name, "label": models.extracted.manifest.classes[label]})
    labels, lines, cases = tmp_path / "labels.csv", [], []
    pd.DataFrame(rows).to_csv(labels, index=False)
    groups = ["--groups", "folder"] if called == "P00" else []
    for k, asked in enumerate(([], ["--labels", labels], [])):
        if k == 2:
            shutil.copy(labels, place)
        out = tmp_path / f"e{k}.csv"
        assert run(models.folders["logreg"], place, "--out", out, *groups, *asked) == 0
        lines.append([line for line in capsys.readouterr().out.splitlines() if line.startswith("On ")])
        cases.append(read_csv(tmp_path / f"e{k}_cases.csv")[["case", "images", "percent"]])
    assert lines[0] == [] and lines[1] == lines[2] and lines[1][0].startswith("On 24 images of six cases")
    assert cases[0].equals(cases[1]) and cases[1].equals(cases[2]) and (cases[0]["images"] == 4).all()


def test_a_table_of_cases_takes_precedence_over_folders(tmp_path):
    for name in ("patient1/a.png", "patient1/b.png", "patient2/c.png", "patient2/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    files, labels = files_in(tmp_path, True, [], []), pd.DataFrame({"label": [0, 1, 0, 1], "case": list("xxyz")})
    labels["name"] = files.names
    for told, expected in ((labels.drop(columns="case"), ["patient1"] * 2 + ["patient2"] * 2), (labels, list("xxyz"))):
        facts = facts_of_folders(files, told, ["ill", "well"], "auto", [])
        table = predicted([0.1, 0.2, 0.6, 0.7]).assign(name=files.names)
        assert in_cases(table, facts, told, "auto")[0]["case"].tolist() == expected


def test_class_folders_are_read_if_names_are_not_utf_8(models, tmp_path, capsys):
    table, classes = models.extracted.manifest.table, models.extracted.manifest.classes
    for k, (path, label) in enumerate(zip(table["path"][:12], table["label"], strict=False)):
        (tmp_path / "place" / classes[label]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "place" / classes[label] / os.fsdecode(b"case%d_\xf6%d.png" % (k % 4, k)))
    assert run(models.folders["logreg"], tmp_path / "place", "--out", tmp_path / "e.csv") == 0
    assert "\nOn 12 images of four cases" in capsys.readouterr().out


def test_a_table_that_names_images_is_a_list_of_them(models, tmp_path, capsys, monkeypatch):
    table = models.extracted.manifest.table[:12]
    for path in table["path"]:
        shutil.copy(path, tmp_path)
    names = [Path(path).name for path in table["path"]]
    frame = pd.DataFrame({"path": [*names, "gone.png"], "label": [*table["label"], 0]})
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "list.csv", index=False)
    out = tmp_path / "out" / "e.csv"
    out.parent.mkdir()
    assert run(models.folders["logreg"], tmp_path / "list.csv", "--out", out) == 1
    found = read_csv(out).set_index("name")
    assert found.index.tolist() == sorted([*names, "gone.png"])
    assert found["status"]["gone.png"] == "cannot be opened: No such file or directory"
    own = models.made["logreg"].predict([tmp_path / name for name in names])
    assert np.array_equal(found.loc[names, "score"], own["score"])
    report = out.with_suffix(".html").read_text()
    assert "What 12 images with a label are called" in report and "13 files: " in report
    again = pd.concat([frame, frame[:2].assign(path=[f"./{frame['path'][0]}", str(tmp_path / frame["path"][1])])])
    again.to_csv(tmp_path / "again.csv", index=False)
    monkeypatch.chdir(tmp_path)  # a whole path and one from here name the same file
    said = failed(capsys, models.folders["logreg"], "again.csv", "--out", tmp_path / "f.csv")
    assert "names 2 images in several ways (" in said and f"./{names[0]} = {names[0]}" in said
    (tmp_path / "list.csv").write_text("size,colour\nlarge,red\n")
    assert "names no images: it needs a column path or name" in failed(
        capsys, models.folders["logreg"], tmp_path / "list.csv", "--out", tmp_path / "f.csv"
    )


def test_a_zip_gives_the_bytes_of_its_folder(models, folder, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "images"), "zip", folder)
    for data, name in ((folder, "one.csv"), (archive, "two.csv")):
        assert run(models.folders["logreg"], data, "--recursive", "--out", tmp_path / name) == 1
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert len((tmp_path / "one.csv").read_text().splitlines()) == 20
    assert run(models.folders["logreg"], archive, "--out", tmp_path / "three.csv") == 1
    assert len((tmp_path / "three.csv").read_text().splitlines()) == 19


def test_what_it_writes_into_the_folder_is_no_file_of_the_folder(models, folder):
    out = folder / "evaluation.csv"
    run(models.folders["svm"], folder, "--out", out)
    first = out.read_bytes()
    assert run(models.folders["svm"], folder, "--out", out) == 1  # gone on with, and complete
    assert out.read_bytes() == first and b"evaluation" not in first


def test_a_stopped_run_goes_on_to_the_same_bytes(models, folder, tmp_path, monkeypatch, capsys):
    whole, out = tmp_path / "whole.csv", tmp_path / "stopped.csv"
    arguments = [models.folders["svm"], folder, "--batch", "4", "--out"]
    run(*arguments, whole)
    run(*arguments, out)
    everything = whole.read_bytes()
    assert out.read_bytes() == everything
    capsys.readouterr()
    for cut in (0, 3, len(HEADER), len(HEADER) + 7, len(everything) // 3, len(everything) - 1):
        out.write_bytes(everything[:cut])
        assert run(*arguments, out) == 1
        assert out.read_bytes() == everything, cut
    assert f"{out}: 17 of 18 files are there already" in capsys.readouterr().out
    out.unlink()
    run(*arguments, out)
    assert out.read_bytes() == everything


def test_a_file_that_could_not_be_opened_is_tried_again(models, folder, tmp_path):
    whole, out = tmp_path / "whole.csv", tmp_path / "again.csv"
    arguments = [models.folders["svm"], folder, "--batch", "4", "--out"]
    run(*arguments, whole)
    name = pd.read_csv(whole)["name"][9]
    with failing(folder, errno.EACCES, 1, (READ,), lasting=True, only=name):
        run(*arguments, out)
    assert "cannot be opened: Permission denied" in out.read_text()
    assert run(*arguments, out) == 1
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(models, tmp_path):
    place = tmp_path / "images"
    place.mkdir()
    for row in range(6):
        for path in models.extracted.manifest.table["path"]:
            shutil.copy(path, place / f"{row}_{Path(path).name}")
    arguments = [str(models.folders["svm"]), str(place), "--batch", "2", "--jobs", "1", "--device", "cpu"]
    out = tmp_path / "killed.csv"
    command = [sys.executable, "-m", "studies.evaluate", *arguments, "--out", str(out)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None and not (out.exists() and out.read_bytes().count(b"\n") > 9):
        time.sleep(0.002)
    if child.poll() is None:
        os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert 9 < out.read_bytes().count(b"\n") < 289
    assert evaluate.main([*arguments, "--out", str(out)]) == 0
    assert evaluate.main([*arguments, "--out", str(tmp_path / "whole.csv")]) == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_an_output_of_something_else_is_refused_and_kept(models, folder, tmp_path, capsys):
    out = tmp_path / "e.csv"
    out.write_text("mine\n")
    place = models.folders["svm"]
    said = failed(capsys, place, folder, "--out", out)
    assert "already exists and belongs to something else: choose another file with --out, or delete" in said
    assert out.read_text() == "mine\n"
    out.unlink()
    run(place, folder, "--out", out)
    capsys.readouterr()
    before = out.read_bytes()
    said = failed(capsys, models.folders["logreg"], folder, "--out", out)
    assert "belongs to another evaluation, and differs in bundle and device: choose another file" in said
    (folder / "new.png").write_bytes(b"")
    assert "and differs in files and listing: choose" in failed(capsys, place, folder, "--out", out, "--device", "cpu")
    assert out.read_bytes() == before


def test_wrong_use_is_told_in_a_line(models, folder, tmp_path, monkeypatch, capsys):
    place = models.folders["svm"]
    monkeypatch.chdir(tmp_path)
    assert "there is no bundle under runs/: python -m studies.refit writes one" in failed(capsys, folder)
    assert "is a bundle: name the folder of images after it" in failed(capsys, place)
    assert f"there is no {tmp_path / 'gone'}: give BUNDLE and DATA" in failed(capsys, place, tmp_path / "gone")
    assert "--out is 'e.txt': write a name that ends in .csv" in failed(capsys, place, folder, "--out", "e.txt")
    assert "--batch is 0: at least 1" in failed(capsys, place, folder, "--batch", "0")
    assert "is not a bundle: give the folder that holds bundle.json" in failed(capsys, folder, place)
    said = failed(capsys, place, folder, "--memory", "1MB", "--out", "never.csv")
    assert "of the budget are free: raise --memory, or pass a smaller --batch" in said
    (tmp_path / "void").mkdir()
    (tmp_path / "void" / "plan.pdf").touch()
    assert "void holds no images: give a folder of them, or --recursive for its sub-folders" in failed(
        capsys, place, tmp_path / "void"
    )
    assert "there is no labels.csv" in failed(capsys, place, folder, "--labels", "labels.csv")


def test_the_shape_of_the_original_call_takes_the_newest_bundle(models, folder, tmp_path, monkeypatch, capsys):
    for age, kind in ((200, "net"), (100, "svm"), (300, "deep")):
        copy = tmp_path / "runs" / kind / "models" / kind
        shutil.copytree(models.folders[kind], copy)
        os.utime(copy / "bundle.json", (time.time() - age,) * 2)
    monkeypatch.chdir(tmp_path)
    assert run(None, folder) == 1
    assert "bundle: runs/svm/models/svm, the newest of 3 under runs/" in capsys.readouterr().out
    assert Path("evaluation.csv").read_text().startswith(HEADER)


def test_labels_give_figures_by_case_and_say_what_was_trained_on(models, tmp_path, capsys):
    place, table = tmp_path / "images", models.extracted.manifest.table
    shutil.copytree(models.images, place)
    pd.DataFrame({"name": table["name"], "ground truth": table["label"]}).to_csv(tmp_path / "labels.csv", index=False)
    out = tmp_path / "e.csv"
    status = run(models.folders["svm"], place, "--recursive", "--labels", tmp_path / "labels.csv", "--out", out)
    assert status == 0
    said, report = capsys.readouterr().out, (tmp_path / "e.html").read_text()
    assert "from leaving out each of eight cases" in report and "On 24 images of eight cases, shortcut + SVM" in said
    seen = "24 of the images are images that the model was trained on:"
    assert f"{seen}</strong> the figures are too good." in report and f"{seen} the figures are too good.\n" in said
    scores = pd.read_csv(out).assign(name=lambda frame: frame["name"].str.rpartition("/")[2]).set_index("name")["score"]
    value = roc_auc_score(table["label"], scores[table["name"]])
    assert f">AUROC</th><td>{value:.3f} " in report and f"with an AUROC of {value:.3f} (" in said
    assert not any(case in report for case in table["case"]) and "C001" in report
    cases = pd.read_csv(tmp_path / "e_cases.csv")
    assert cases["case"].tolist() == sorted(table["case"].unique()) and cases["images"].sum() == 24
    shown = run(models.folders["svm"], place, "--recursive", "--out", out, "--show-names")
    assert shown == 0 and table["case"][0] in (tmp_path / "e.html").read_text()


@pytest.fixture
def crops(models, tmp_path):
    """Crops of two small slides on which the phantom's images lie, with QuPath's annotations, one without a class."""
    pytest.importorskip("tiffslide", reason="tiffslide is not installed")
    table, classes = models.extracted.manifest.table, models.extracted.manifest.classes
    for folder in ("slides", "annotations"):
        (tmp_path / folder).mkdir()
    for slide in range(2):
        pixels, objects = np.full((256, 448, 3), 230, np.uint8), []
        for place, row in enumerate(table[slide * 6 : slide * 6 + 6].itertuples()):
            with Image.open(row.path) as image:
                tile = np.asarray(image.convert("RGB"))[:90, :90]
            left, top = 20 + 140 * (place % 3), 20 + 120 * (place // 3)
            pixels[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
            right, bottom = left + tile.shape[1], top + tile.shape[0]
            ring = [[left, top], [right, top], [right, bottom], [left + 0.5, bottom], [left, top]]
            about = {"objectType": "annotation", "name": f"G{place}", "isLocked": True, "measurements": {"Area": 1.5}}
            about |= {"classification": {"name": classes[row.label], "color": [9, 8, 7]}} if place else {}
            geometry = {"type": "Polygon", "coordinates": [ring]}
            objects.append(feature(about, geometry, id=f"{slide}{place}e0c1e-8d0a-4c55-9f53-0d7b6a1c2e11"))
        tissue = {"objectType": "annotation", "name": "biopsy"}
        objects.append(feature(tissue, {"type": "LineString", "coordinates": [[0, 0], [9, 9]]}))
        name = f"P{slide}_PAS_1of1"
        make_slide(tmp_path / "slides" / f"{name}.tiff", pixels)
        held = {"type": "FeatureCollection", "features": objects}
        (tmp_path / "annotations" / f"{name}.geojson").write_text(json.dumps(held))
    out = tmp_path / "crops"
    cut = [
        str(tmp_path / "slides"),
        str(tmp_path / "annotations"),
        "--out",
        str(out),
        "--margin",
        "0",
        "--unclassified",
    ]
    assert cut_crops.main(cut) == 1  # the biopsy is a line
    return out


def test_calls_go_back_to_the_slides_that_crops_were_cut_from(models, crops, tmp_path, capsys):
    out, back = tmp_path / "e.csv", tmp_path / "back"
    assert run(models.folders["logreg"], crops, "--out", out, "--geojson", back) == 0
    said = capsys.readouterr().out
    assert f"{crops / 'manifest.csv'} of studies.crops names the images\n" in said
    assert f"{back}: annotations of 2 slides, 12 called, 2 left as they are\n" in said
    found, classes = pd.read_csv(out), models.extracted.manifest.classes
    manifest = pd.read_csv(crops / "manifest.csv").set_index("path")
    assert len(found) == 12 and set(found["name"]) == set(manifest.index)
    for slide in ("P0_PAS_1of1", "P1_PAS_1of1"):
        before = json.loads((tmp_path / "annotations" / f"{slide}.geojson").read_text())["features"]
        after = json.loads((back / f"{slide}.geojson").read_text())["features"]
        own = found[found["name"].map(manifest["slide"]) == slide]
        called = {manifest.loc[row.name_, "object"]: row for row in own.rename(columns={"name": "name_"}).itertuples()}
        assert len(called) == 6 and after[6] == before[6] and len(after) == 7
        for one, other in zip(before[:6], after[:6], strict=True):
            call, about = called[one["id"]], other["properties"]
            assert {key: one[key] for key in ("type", "id", "geometry")} == {
                k: other[k] for k in ("type", "id", "geometry")
            }
            assert about["classification"]["name"] == call.label and about["name"] == one["properties"]["name"]
            assert (
                about["isLocked"]
                and about["objectType"] == "annotation"
                and about["measurements"]
                == {
                    "Area": 1.5,
                    f"glomfeat: score of {classes[1]}": pytest.approx(call.score, abs=1e-15),
                    "glomfeat: threshold": pytest.approx(call.threshold, abs=1e-15),
                    "glomfeat: unlike training data": float(call.status != "ok"),
                }
            )
    slides = pd.read_csv(tmp_path / "e_slides.csv")
    assert slides["slide"].tolist() == ["P0_PAS_1of1", "P1_PAS_1of1"] and slides["images"].tolist() == [6, 6]
    assert slides["called"].sum() == found["prediction"].sum() and slides["labelled"].tolist() == [5, 5]
    assert "What 10 images with a label are called" in out.with_suffix(".html").read_text()
    assert not any(name in out.with_suffix(".html").read_text() for name in ("P0_PAS", "P1_PAS"))
    once_more = tmp_path / "again"  # the calls are annotations that crops can be cut out by
    again = [str(tmp_path / "slides"), str(back), "--out", str(once_more), "--margin", "0", "--classes", *classes]
    cut_crops.main(again)
    table = pd.read_csv(once_more / "manifest.csv")
    assert table["object"].tolist() == manifest["object"].tolist() and set(table["path"]) == set(manifest.index)


def test_what_has_no_slides_cannot_go_back(models, folder, tmp_path, capsys):
    said = failed(capsys, models.folders["logreg"], folder, "--geojson", tmp_path / "back", "--out", tmp_path / "e.csv")
    assert f"there is no {folder / 'manifest.csv'}: --geojson needs crops that python -m studies.crops" in said
    assert not (tmp_path / "e.csv").exists() and not (tmp_path / "back").exists()


def test_annotations_that_are_gone_are_missed_before_anything_is_predicted(models, crops, tmp_path, capsys):
    out, kept = tmp_path / "e.csv", crops / "annotations" / "P1_PAS_1of1.geojson"
    (tmp_path / "file").write_text("")
    asked = models.folders["logreg"], crops, "--out", out, "--geojson"
    assert f"--geojson is {tmp_path / 'file'}, which is a file: name a folder" in failed(
        capsys, *asked, tmp_path / "file"
    )
    kept.unlink()
    assert f"there is no {kept}, which {crops / 'manifest.csv'} tells of" in failed(capsys, *asked, tmp_path / "back")
    assert not out.exists() and not (tmp_path / "back").exists()


def predicted(score, threshold=0.5):
    score = np.asarray(score, float)
    names = [f"case{k // 2}_{k}.png" for k in range(len(score))]
    return pd.DataFrame({"name": names, "prediction": (score >= threshold).astype(int), "score": score, "status": "ok"})


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=8, max_size=40))
def test_figures_are_those_of_scikit_learn_and_lie_within_limits(rows):
    y = np.array([label for _, label in rows], int)
    y[:2] = 0, 1
    table = predicted([score for score, _ in rows])
    found = judge(table, pd.DataFrame({"name": table["name"], "label": y}), "auto", ABOUT)
    figures = found.figures.set_index("figure")
    assert figures.loc["auroc", "value"] == pytest.approx(roc_auc_score(y, table["score"]), abs=1e-12)
    assert figures.loc["accuracy", "value"] == pytest.approx((table["prediction"] == y).mean())
    assert found.confusion.sum() == len(y) and found.by_case and found.cases == -(-len(y) // 2)
    known = figures.dropna()
    assert (known["low"] <= known["value"] + 1e-12).all() and (known["value"] <= known["high"] + 1e-12).all()
    assert {"auroc", "accuracy", "sensitivity", "brier"} <= set(figures.index) and {"accuracy", "brier"} <= set(
        known.index
    )
    codes = np.arange(len(y)) // 2
    assert ("sensitivity" in known.index) == (len(np.unique(codes[y == 1])) > 1)


def test_without_a_class_no_figure_is_told_that_takes_all_as_beside_a_cohort():
    table = predicted(np.linspace(0, 0.9, 20))
    found = judge(table, pd.DataFrame({"name": table["name"], "label": 0}), "auto", ABOUT)
    figures = found.figures.set_index("figure")
    spared = (table["prediction"] == 0).mean()
    expected = {"accuracy": spared, "specificity": spared, "brier": (table["score"] ** 2).mean()}
    assert figures["value"].dropna().to_dict() == pytest.approx(expected)
    assert figures.dropna().index.tolist() == figures["value"].dropna().index.tolist()
    for name, row in figures.iterrows():
        here = [found.beside[column] for column in (name, *limits_of(name))]
        assert row.tolist() == pytest.approx(here, nan_ok=True), name


def test_without_cases_limits_are_of_images_and_say_so():
    table = predicted([0.1, 0.4, 0.6, 0.9]).assign(name=list("abcd"))
    labels = pd.DataFrame({"name": list("abcx"), "label": [0, 1, 1, 0]})
    found = judge(table, labels, "auto", ABOUT)
    assert not found.by_case and found.images == 3
    assert any("limits are of single images" in note for note in found.notes)
    assert "1 file has no label and is not counted" in found.notes
    with pytest.raises(LabelsError, match="no file has both a prediction and a label"):
        judge(table, labels.assign(name="q"), "auto", ABOUT)


def test_cases_that_only_the_data_tell_give_the_limits_as_if_the_labels_told_them():
    rng, cases = np.random.default_rng(0), np.repeat(["P1", "P2", "P3", "P4"], 5)
    names = [f"r{k:02d}" for k in range(20)]
    labels = pd.DataFrame({"name": names, "label": np.tile([0, 1, 1, 0, 1], 4)})
    table = predicted(rng.random(20)).assign(name=names)
    data = pd.DataFrame({"name": names, "Patient": cases}).sample(frac=1, random_state=0)
    found = judge(table, labels, "auto", ABOUT, facts=data)
    expected = judge(table, labels.assign(Patient=cases), "auto", ABOUT)
    pd.testing.assert_frame_equal(found.figures, expected.figures)
    assert found.by_case and found.cases == 4 and found.notes == ["cases: column Patient"]
    assert found.beside == pytest.approx(expected.beside, nan_ok=True)
    right = (table["prediction"] == labels["label"]).to_numpy()
    without = np.array([right[cases != case].mean() for case in np.unique(cases)])
    accuracy = found.figures.set_index("figure").loc["accuracy"]
    assert (accuracy["low"], accuracy["high"]) == pytest.approx(jackknife_limits(right.mean(), without))
    halves = data.assign(Patient=data["Patient"].where(data["Patient"] < "P3", "")), labels.assign(Patient=cases)
    assert judge(table, halves[1], "auto", ABOUT, facts=halves[0]).figures.equals(expected.figures)


def test_an_image_of_no_known_case_is_left_out_and_the_others_keep_limits_by_case():
    rng, cases = np.random.default_rng(1), np.repeat(["P1", "P2", "P3", "P4"], 5)
    names = np.array([f"r{k:02d}" for k in range(20)])
    labels = pd.DataFrame({"name": names, "label": np.tile([0, 1, 1, 0, 1], 4), "patient": cases})
    table = predicted(rng.random(20)).assign(name=names)
    holed = labels.assign(patient=np.where(np.isin(names, ["r03", "r17"]), "", cases))
    found = judge(table, holed, "auto", ABOUT)
    whole = labels[~labels["name"].isin(["r03", "r17"])]
    assert found.figures.equals(judge(table, whole, "auto", ABOUT).figures)
    assert found.by_case and found.cases == 4 and found.images == found.confusion.sum() == 18
    assert "2 files of no known case are not counted: --groups none counts all, without cases" in found.notes
    few = judge(table, labels.assign(patient=np.where(names < "r10", cases, "")), "auto", ABOUT)
    assert not few.by_case and few.images == 20
    assert few.notes[0].startswith(
        "limits are of single images, because only 10 of 20 have a case with --groups 'auto'"
    )


def test_limits_do_not_depend_on_the_order_of_labels():
    """Very many images without cases are left out in groups, dealt at random."""
    table = predicted(np.random.default_rng(2).random(501))
    labels = pd.DataFrame({"name": table["name"], "label": np.arange(501) % 3 % 2})
    shuffled = labels.sample(frac=1, random_state=0)
    assert judge(table, labels, "none", ABOUT).figures.equals(judge(table, shuffled, "none", ABOUT).figures)


def test_labels_are_names_of_classes_or_their_numbers(tmp_path):
    path, names = tmp_path / "labels.csv", ["a/1.png", "b/2.png", "3.png"]
    path.write_text("name,ground truth\n1.png,well\nb/2.png,ill\n3.png,\n4.png,ill\n")
    found = read_labels(path, names, ["ill", "well"])
    assert found[["name", "label"]].to_numpy().tolist() == [["a/1.png", 1], ["b/2.png", 0]]
    path.write_text("name,label\n1.png,1\n2.png,0\n")
    assert read_labels(path, names, ["ill", "well"], notes=(notes := []))["label"].tolist() == [1, 0]
    expected = "0 is taken for ill and 1 for well; write names, if they mean something else"
    assert notes == [f"warning: classes are given as numbers: {expected}"]
    assert read_labels(path, names, ["1", "0"], notes=(notes := []))["label"].tolist() == [0, 1] and not notes
    path.write_text("name,label\n1.png,wel\n")
    with pytest.raises(LabelsError, match="no class is called 'wel': did you mean 'well'"):
        read_labels(path, names, ["ill", "well"])
    path.write_text("name,label\n1.png,ill\na/1.png,well\n")
    with pytest.raises(LabelsError, match=r"gives a/1\.png two labels"):
        read_labels(path, names, ["ill", "well"])
    path.write_text("who,what\n1.png,ill\n")
    with pytest.raises(LabelsError, match=r"has the columns who, what: .* --name-column and --label-column$"):
        read_labels(path, names, ["ill", "well"])
    found = read_labels(path, names, ["ill", "well"], Asked("who", "what"))
    assert found[["name", "label"]].to_numpy().tolist() == [["a/1.png", 0]]


@pytest.mark.parametrize("before", ["", "C:/data/"])
def test_labels_of_another_patient_are_no_labels(tmp_path, before):
    names = ["P1/1.png", "P1/2.png", "P2/1.png", "P7/2.png", "P7/9.png"]
    rows = ["P1/1.png,ill", "P1/2.png,well", "P2/1.png,ill", "P3/1.png,well", "P3/2.png,well", "P3/9.png,ill"]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["name,label", *(before + row for row in rows), ""]))
    found = read_labels(path, names, ["ill", "well"])
    assert dict(zip(found["name"], found["label"], strict=True)) == {"P1/1.png": 0, "P1/2.png": 1, "P2/1.png": 0}


@pytest.mark.parametrize("files", [["x/P1/1.png", "x/P2/1.png"], ["x/1.png", "y/2.png"]])
def test_a_change_of_a_label_that_fits_several_files_is_refused(tmp_path, files):
    changes = tmp_path / "changes.csv"
    changes.write_text(
        f"name_sha256,label,label_before,labels_of\n{digest_of_name('1.png')},well,ill,\n", encoding="utf-8"
    )
    labels = pd.DataFrame({"name": files, "label": [0, 0]})
    given = read_corrections(changes), labels, ["ill", "well"], []
    if len({name.rpartition("/")[2] for name in files}) == 2:
        assert corrected(*given)["label"].tolist() == [1, 0]
        return
    with pytest.raises(LabelsError, match=r"2 files of which several fit one name in it: .* x/P1/1\.png, x/P2/1\.png"):
        corrected(*given)


def test_labels_are_read_as_those_of_a_study(tmp_path):
    path, names, notes = tmp_path / "labels.txt", ["a/01.png", "b/02.png", "b/2.png"], []
    rows = ["Image Path;Diagnosis;Größe", "C:\\x\\01.png;ILL;1,5", "02;Well ;2", "b/2.tif;ill;3"]
    path.write_bytes("\n".join(rows).encode("latin-1"))
    found = read_labels(path, names, ["ill", "well"], notes=notes)
    assert dict(zip(found["name"], found["label"], strict=True)) == {"a/01.png": 0, "b/02.png": 1, "b/2.png": 0}
    assert notes[0] == "labels.txt: read with semicolons between columns, latin-1 (Windows-1252), decimal commas"
    path.write_text("name,label\n1.png,ill\n")
    said = r"1 name fits several files, or one file with others: write it with its folder \(1\.png\)$"
    with pytest.raises(LabelsError, match=said):
        read_labels(path, ["a/1.png", "b/1.png"], ["ill", "well"])
    path.write_text("name,label,diagnosis\n1.png,ill,well\n2.png,ill,ill\n3.png,well,ill\n4.png,well,well\n")
    with pytest.raises(LabelsError, match="columns 'label' and 'diagnosis' are both classes and disagree in 2 rows"):
        read_labels(path, ["1.png"], ["ill", "well"])


def test_names_with_commas_quotes_line_ends_and_odd_bytes_come_back(models, tmp_path):
    place = tmp_path / "images"
    place.mkdir()
    names = ["=1+1.png", "a,b.png", 'q"q.png', "line\nend.png", "carriage\rreturn.png", " blank.png", "ümlaut.png"]
    names = sorted([*names, os.fsdecode(b"\xff.png")])
    for name in names:
        (place / name).write_bytes(b"")
    out = tmp_path / "e.csv"
    assert run(models.folders["svm"], place, "--out", out) == 1
    first = out.read_bytes()
    out.write_bytes(first[: len(first) * 2 // 3])
    assert run(models.folders["svm"], place, "--out", out) == 1
    assert out.read_bytes() == first
    with out.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert [row[0] for row in csv.reader(file)][1:] == [name.replace("=", "'=") for name in names]
    table = models.made["svm"].predict([place / name for name in names])
    assert table["name"].str.endswith("�.png").sum() == 1


def test_links_are_followed_and_what_a_study_leaves_out_is_no_file(tmp_path):
    places = ("out/x.png", "in/.hidden", "in/a/.ipynb_checkpoints/y.png", "in/a/.ipynb_checkpoints/z.png")
    for name in (
        *places,
        "in/runs/study.yaml",
        "in/runs/journal.jsonl",
        "in/runs/figures/roc.png",
        "in/a/.output/z.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "out" / "x.png")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "out")
    files = files_in(tmp_path / "in", True, [], notes := [])
    assert files.names == ["folder/x.png", "link.png"]
    assert files.names == sorted(images_of([tmp_path / "in"])[0])
    assert notes == ["left out: 3 hidden files or folders", "left out: runs, which glomfeat wrote itself"]
    (tmp_path / "out" / "again").symlink_to(tmp_path / "in")
    with pytest.raises(OSError, match=r"again is a link that leads back to .*in, in which it lies: remove the link$"):
        list_files(tmp_path / "in")


@pytest.mark.parametrize("recursive", [True, False])
def test_documents_beside_images_are_counted_and_not_scored(tmp_path, recursive):
    """What no study would read, either; what may be an image keeps its row."""
    (tmp_path / "sick").mkdir()
    kept = ["IM0001", "a.heic", "a.png", "notes.dat", "slides.h5"]
    for name in (*kept, "Thumbs.db", "report.PDF", "findings.docx", "README", "sick/b.png", "sick/Thumbs.db"):
        (tmp_path / name).write_bytes(b"")
    files = files_in(tmp_path, recursive, [], notes := [])
    assert files.names == sorted([*kept, *(["sick/b.png"] * recursive)])
    assert "left out: 2 .db, 1 without a suffix, 1 .docx, 1 .pdf: no images" in notes


def test_masks_beside_images_are_refused_as_in_a_study(tmp_path):
    for name in ("images/a.png", "masks/a.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ManifestError, match=r"masks beside images seems .* give the folder of the images alone$"):
        files_in(tmp_path, False, [], [])
    (tmp_path / "masks").rename(tmp_path / "images" / "masks")
    with pytest.raises(ManifestError, match=r"masks beside images seems .* not a class: move it away$"):
        files_in(tmp_path / "images", True, [], [])
    alone = files_in(tmp_path / "images", False, [], [])
    assert alone.names == ["a.png"] and labels_beside(alone, USUAL, ["ill", "well"], notes := []) is None
    assert [line.partition(", because masks")[0] for line in notes] == [f"labels: none are looked for in {alone.place}"]


@pytest.mark.parametrize("inside", ["{}.zip!ill/a.png", "siteA.zip!{}/a.png"])
def test_masks_in_one_of_several_archives_are_refused(tmp_path, inside):
    for name in (*map(inside.format, ("images", "masks")), "siteB.zip!images/b.png"):
        archive, member = name.split("!")
        with zipfile.ZipFile(tmp_path / archive, "a") as file:
            file.writestr(member, b"")
    with pytest.raises(ManifestError, match=r"masks beside images.* give the folder of the images alone$"):
        files_in(tmp_path, False, [], [])


@pytest.mark.parametrize("folders", [("siteA", "siteB"), ("lab_normal", "lab_abnormal"), ("slide1", "slide2")])
def test_folders_called_like_the_classes_of_a_bundle_are_classes(tmp_path, folders):
    for name in folders:
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.png").write_bytes(b"")
    files = files_in(tmp_path, False, [], [])
    assert labels_beside(files, USUAL, [*folders], [])["label"].tolist() == sorted((0, 1), key=folders.__getitem__)
    assert labels_beside(files, USUAL, ["ill", "well"], notes := []) is None
    lacks = "none are taken, because the model has ill and well and no class called lab_abnormal, lab_normal: "
    assert notes[0].startswith(f"labels: {lacks if folders[0] == 'lab_normal' else 'neither folders nor a table'}")


def beside(place, text, asked=USUAL, **more):
    """What is found of labels in a table among images, and what is said."""
    (place / "labels.csv").write_text(text)
    files = files_in(place, True, [], [])
    return labels_beside(files, asked, ["ill", "well"], notes := [], **more), notes


@pytest.mark.parametrize("show_names", [False, True])
def test_labels_beside_images_that_contradict_each_other_give_no_figures(tmp_path, show_names):
    for name in ("ill/a.png", "ill/b.png", "well/c.png", "well/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found, notes = beside(tmp_path, "name,label\na,ill\nb,ill\nc,well\nghost,well\n")
    assert dict(zip(found["name"], found["label"], strict=True)) == {"ill/a.png": 0, "ill/b.png": 0, "well/c.png": 1}
    assert "labels: 1 label of labels.csv without a file" in notes
    which = " (a.png)" if show_names else ""
    for rows, said in (
        ("a,ill\na,well\nb,ill\nc,well\nd,well", f"1 row of images under two labels{which}"),
        (
            "a,well\nb,ill\nc,well\nd,well",
            f"1 image under two labels, one in the CSV and one by their folder{which}",
        ),
    ):
        with pytest.raises(LabelsError) as error:
            beside(tmp_path, f"name,label\n{rows}\n", show_names=show_names)
        assert f"{tmp_path}: {said}: correct this, or give --labels" in str(error.value)


def test_options_name_the_column_of_a_table_among_the_images(models, tmp_path, capsys):
    table, classes = models.extracted.manifest.table[:16], models.extracted.manifest.classes
    place = tmp_path / "place"
    place.mkdir()
    for path in table["path"]:
        shutil.copy(path, place)
    names = [Path(path).name for path in table["path"]]
    right, wrong = ([classes[label] for label in labels] for labels in (table["label"], 1 - table["label"]))
    pd.DataFrame({"name": names, "label": wrong, "consensus": right}).to_csv(place / "labels.csv", index=False)
    given = models.folders["logreg"], place, "--out", tmp_path / "e.csv"
    assert run(*given, "--label-column", "consensus") == 0
    scores, said = read_csv(tmp_path / "e.csv").set_index("name")["score"], capsys.readouterr().out
    assert sorted(scores.index) == sorted(names) and "left out: labels.csv, a table of labels" in said
    assert f"AUROC of {roc_auc_score(table['label'], scores[names]):.3f} " in " ".join(said.split())
    for option in ("--label-column", "--name-column"):
        said = failed(capsys, models.folders["logreg"], place, "--out", tmp_path / "f.csv", option, "nonsense")
        assert f"fits {option} 'nonsense': labels.csv has the columns name, label, consensus" in said
    assert not (tmp_path / "f.csv").exists()


def test_a_table_of_labels_is_no_image_whatever_columns_options_name(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("name,label\na,ill\n")
    (tmp_path / "second.csv").write_text("who,verdict\na,well\n")
    files = files_in(tmp_path, False, [], notes := [], Asked("who", "verdict"))
    assert files.names == ["a.png"] and notes == ["left out: labels.csv, second.csv, tables of labels"]


def test_a_changed_file_makes_another_evaluation(tmp_path):
    (tmp_path / "a.png").write_bytes(b"1")
    files = Files(tmp_path, ["a.png"], [tmp_path / "a.png"])
    one = files.identity()
    (tmp_path / "a.png").write_bytes(b"22")
    out = tmp_path / "e.csv"
    open_output(out, one, ["a.png"])
    with pytest.raises(OutputError, match="and differs in listing"):
        open_output(out, files.identity(), ["a.png"])
    out.write_text("name,prediction,label,score,threshold,status\nb.png,,,,,empty file\n")
    with pytest.raises(OutputError, match="holds rows of something else"):
        open_output(out, one, ["a.png"])


def test_memory_does_not_grow_with_the_folder(models, folder, tmp_path):
    bundle, held = glomfeat.load_bundle(models.folders["svm"]), []
    from glomfeat.bundle.evaluate import evaluate_all

    decode_all, paths = type(bundle).decode_all, sorted(folder.glob("*.png"))[:4]
    for name in ("few", "many"):
        place = tmp_path / name
        place.mkdir()
        for k in range(8 if name == "few" else 80):
            (place / f"{k:03d}.png").symlink_to(paths[k % len(paths)])

    class Watched(type(bundle)):
        alive = most = 0

        def decode_all(self, images, threads):
            Watched.alive += 1
            Watched.most = max(Watched.most, Watched.alive)
            return decode_all(self, images, threads)

        def rows(self, names, decoded):
            found = super().rows(names, decoded)
            Watched.alive -= 1
            return found

    watched = Watched(**bundle.__dict__)
    for name in ("few", "many"):
        Watched.most, names = 0, list_files(tmp_path / name)
        out = tmp_path / f"{name}.csv"
        tally = open_output(out, {"bundle": name}, names)
        files = Files(tmp_path / name, names, [tmp_path / name / one for one in names])
        evaluate_all(watched, files, out, tally, batch=2, ahead=1)
        held.append(Watched.most)
        assert json.loads(out.with_suffix(".json").read_text()) == {"bundle": name}
    assert max(held) <= 3  # the batch that is scored, the one ahead of it, and the one that is being decoded


def test_compare_saves_every_arm_and_the_newest_one_is_the_best(
    few_images, tmp_path, monkeypatch, capsys, without_report
):
    from studies.compare import main as compare

    monkeypatch.chdir(tmp_path)
    options = ["--features", "shortcut", "--heads", "logreg", "svm", "--size", "24", "--folds", "2", "--jobs", "1"]
    options += ["--reducers", "none"]
    assert compare([str(few_images), *options, "--cache", "cache", "--save-models"]) == 0
    results = pd.read_csv("runs/compare/results.csv")
    assert len(list(Path("runs/compare/models").iterdir())) == 2  # the floor is no model
    assert "report: runs/compare/report.html" in capsys.readouterr().out
    assert evaluate.main([str(few_images), "--recursive", "--out", "new.csv", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert results["arm"][0].replace("/", "+") in "".join(said.split()), said
    rows = pd.read_csv("new.csv")
    assert len(rows) == 24 and rows["label"].notna().all(), "public.csv and phantom.json are no images"
