"""A study that is finished, asked for again: nothing is read, run or loaded that its tables do not need."""

import hashlib
import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import torch
from helpers.running import run_study

from glomfeat.comparison.compare import compare
from glomfeat.comparison.explain.importance import SHUFFLES
from glomfeat.comparison.folder import journal_of
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.arms import StudyError
from glomfeat.core.workbook import write_workbook
from glomfeat.data.images.decode import ImageError, decode
from glomfeat.features.deep.checkpoints import WeightsError
from glomfeat.features.deep.network import Deep
from glomfeat.features.deep.weights import Weights
from glomfeat.features.recalled import Recalled, hub_folder, is_same_source, note_source
from glomfeat.report.write import write_report
from glomfeat.results import journal as of_journal
from glomfeat.results.write import is_up_to_date

ASKED = """
import sys
from studies.compare import main
main(sys.argv[1:])
print("loaded:", *(name for name in ("torch", "torchvision", "skorch", "xgboost") if name in sys.modules))
"""
NETS = {"features": ("shortcut",), "nets": ("F-D4-out",), "epochs": 1, "size": 32}
DEEP = {"features": ("squeezenet1_1",), "nets": ("squeezenet1_1:frozen",), "weights": "none", "size": 32}
OPTIONS = {"reducers": ("none",), "heads": ("svm",), "folds": 2}

pytestmark = pytest.mark.usefixtures("without_figures", "dealt_once")


def arguments(tmp_path, data, options):
    given = {"out": tmp_path / "out", "cache": tmp_path / "cache", "jobs": 1, **options}
    words = [[f"--{name}", *map(str, value if isinstance(value, tuple) else [value])] for name, value in given.items()]
    return [str(data), *(word for group in words for word in group)]


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


@pytest.mark.parametrize("kind", ["nets", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("table", "deep"))])
def test_a_finished_study_loads_no_torch_and_changes_no_file(tmp_path, request, monkeypatch, kind):
    monkeypatch.setattr("glomfeat.results.workbook.write_workbook", write_workbook)  # as another process writes them
    monkeypatch.setattr("glomfeat.comparison.explain.importance.SHUFFLES", SHUFFLES)
    data = request.getfixturevalue("feature_table" if kind == "table" else "phantom_folder")
    options = OPTIONS | {"table": {}, "nets": NETS, "deep": DEEP}[kind]
    run_study(tmp_path, data=str(data), **options)
    write_report(tmp_path / "out")
    before = contents(tmp_path / "out")
    shutil.rmtree(tmp_path / "cache")  # no feature is asked for
    command = [sys.executable, "-c", ASKED, *arguments(tmp_path, data, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:" and "unchanged, because nothing is new" in done.stdout
    after = contents(tmp_path / "out")
    assert before == after
    assert not list((tmp_path / "cache").rglob("*.npy"))


def asked_again(study):
    """A study as who asks for it again prepares it, and what was said."""
    said = []
    return prepare(study, said.append, journal=journal_of(study)), said


@pytest.mark.slow
def test_networks_are_known_again_until_their_weights_are_others(tmp_path, phantom_folder, pretrained_folder):
    weights = shutil.copytree(pretrained_folder, tmp_path / "weights")
    (file,) = weights.iterdir()
    places = {"data": str(phantom_folder), "out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    own = {"features": ("squeezenet1_1", "shortcut"), "weights": str(weights), "random_twin": True, "jobs": 1}
    study = Study(**places, **own, **OPTIONS, size=32)
    first, lines = asked_again(study)
    assert isinstance(first.features[0], Deep)
    compare(first, str)
    known, said = asked_again(study)
    assert [type(feature) for feature in known.features[::2]] == [Recalled, Recalled]
    assert (known.identity, known.weights, known.noted, said) == (first.identity, first.weights, first.noted, lines)
    assert isinstance(prepare(study, str).features[0], Deep)  # for who computes
    (tmp_path / "out" / "importance.csv").unlink()  # something is left to do
    assert isinstance(asked_again(study)[0].features[0], Deep)
    compare(asked_again(study)[0], str)
    assert isinstance(asked_again(study)[0].features[0], Recalled)
    shutil.copy(file, weights / f"squeezenet1_1-more{file.suffix}")
    with pytest.raises(WeightsError, match="holds several weights for squeezenet1_1"):
        asked_again(study)
    (weights / f"squeezenet1_1-more{file.suffix}").unlink()
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    changed, _ = asked_again(study)
    with pytest.raises(StudyError, match="holds another study"):
        compare(changed, str)


def test_other_software_makes_networks_anew(tmp_path, phantom_folder, monkeypatch):
    places = {"data": str(phantom_folder), "out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    study = Study(**places, **OPTIONS, jobs=1, **DEEP | {"nets": ()})
    compare(asked_again(study)[0], str)
    assert isinstance(asked_again(study)[0].features[0], Recalled)
    monkeypatch.setattr("glomfeat.comparison.recall.software", lambda: {"torch": "0.4", "torchvision": "0.2"})
    assert isinstance(asked_again(study)[0].features[0], Deep)


def test_random_weights_are_known_until_the_file_that_was_looked_for_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source = note_source("auto", Weights("random", "0" * 64), "net-1234.pth")
    assert source == {"absent": "net-1234.pth"} and is_same_source(source, "auto")
    path = tmp_path / "hub" / "checkpoints" / "net-1234.pth"
    path.parent.mkdir(parents=True)
    path.touch()
    assert not is_same_source(source, "auto")
    found = Weights("imagenet", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", path)
    source = note_source("auto", found, "net-1234.pth")
    assert is_same_source(source, "auto") and str(tmp_path) not in str(source)
    path.write_bytes(b"other")
    assert not is_same_source(source, "auto")


@pytest.mark.parametrize("variables", [{}, {"XDG_CACHE_HOME": "~/other"}, {"TORCH_HOME": "~/mine"}])
def test_downloads_are_looked_for_where_torch_puts_them(monkeypatch, variables):
    for name in ("XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    of_torch = hub_folder()
    assert str(of_torch).startswith(torch.hub.get_dir())
    monkeypatch.delitem(sys.modules, "torch")
    assert hub_folder() == of_torch


def test_the_report_is_made_again_where_anything_has_changed(tmp_path, feature_table):
    out = tmp_path / "out"
    run_study(tmp_path, data=str(feature_table), **OPTIONS)
    assert not is_up_to_date(out)
    write_report(out)
    run_study(tmp_path, data=str(feature_table), **OPTIONS)
    assert is_up_to_date(out)
    run_study(tmp_path, data=str(feature_table), show_names=True, **OPTIONS)
    assert not is_up_to_date(out)
    write_report(out)
    run_study(tmp_path, data=str(feature_table), show_names=True, leak_price=True, **OPTIONS)
    assert not is_up_to_date(out)
    write_report(out)
    (out / "audit").mkdir()
    (out / "audit" / "audit.csv").write_text("")
    assert not is_up_to_date(out)


@pytest.fixture
def parsed(monkeypatch):
    """How many lines of journals have been parsed."""
    counts, loads = [], json.loads

    class Counting:
        dumps = staticmethod(json.dumps)

        @staticmethod
        def loads(line):
            counts.append(line)
            return loads(line)

    monkeypatch.setattr(of_journal, "json", Counting)
    return counts


def test_each_line_of_the_journal_is_parsed_once_and_once_more_by_the_report(tmp_path, feature_table, parsed):
    finished, results, _, _ = run_study(tmp_path, data=str(feature_table), **OPTIONS)
    lines = (tmp_path / "out" / "journal.jsonl").read_bytes().count(b"\n")
    assert len(parsed) == lines - 1  # the last says how files were written, which the next run asks
    write_report(tmp_path / "out", results=results, finished=finished)
    assert len(parsed) == 2 * lines - 1
    parsed.clear()
    run_study(tmp_path, data=str(feature_table), **OPTIONS)
    assert len(parsed) == lines


LOST = ("importance.csv", "quarantine.csv", "folds.csv", "neighbours.csv")


@pytest.mark.parametrize(
    "lost", [[LOST], pytest.param([[name] for name in LOST], marks=pytest.mark.slow)], ids=["at once", "one by one"]
)
def test_what_is_missing_is_made_again(tmp_path, feature_table, lost):
    run_study(tmp_path, data=str(feature_table), **OPTIONS)
    before = contents(tmp_path / "out")
    for names in lost:
        for name in names:
            (tmp_path / "out" / name).unlink()
        run_study(tmp_path, data=str(feature_table), **OPTIONS)
        after = contents(tmp_path / "out")
        assert [name for name in names if after[name] != before[name]] == []
    lines = (tmp_path / "out" / "journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "out" / "journal.jsonl").write_text("".join(lines[:-2]))  # a trial, and how files were written
    run_study(tmp_path, data=str(feature_table), **OPTIONS)
    assert contents(tmp_path / "out")["predictions.parquet"] == before["predictions.parquet"]


def test_what_was_set_aside_stays_aside(tmp_path, phantom_folder):
    images = shutil.copytree(phantom_folder, tmp_path / "images")
    spoilt = sorted(images.rglob("*.png"))[3]
    spoilt.write_bytes(spoilt.read_bytes()[:40])
    options = {"data": str(images), "features": ("shortcut",), "size": 32, **OPTIONS}
    first, results, aside, said = run_study(tmp_path, **options)
    again, same, still, now = run_study(tmp_path, **options)
    assert aside == still and len(aside) == 1 and aside[0]["name"] == spoilt.name
    pd.testing.assert_frame_equal(results, same)
    assert again.manifest.table["name"].tolist() == first.manifest.table["name"].tolist()
    assert [line for line in said if "set aside" in line] == [line for line in now if "set aside" in line] != []
    with pytest.raises(ValueError, match="1 of 48 images cannot be read"):
        run_study(tmp_path, on_error="stop", **options)


def refuse_some(data, *rest):
    """Decode images on a machine that lacks a decoder, which about one image in eight needs."""
    if hashlib.sha256(data).digest()[0] % 8 == 0:
        raise ImageError("its compression is not known here")
    return decode(data, *rest)


def test_scores_are_not_laid_on_other_images(tmp_path, phantom_folder):
    options = {"data": str(phantom_folder), "features": ("shortcut",), "size": 32, **OPTIONS}
    journal = tmp_path / "out" / "journal.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.data.images.decode.decode", refuse_some)
        _, _, aside, _ = run_study(tmp_path, **options)
    assert 0 < len(aside) < 12
    shutil.rmtree(tmp_path / "cache")  # as if it were another machine, where all images can be read
    lines = journal.read_text().splitlines(keepends=True)
    first = next(k for k, line in enumerate(lines) if '"arm"' in line)
    journal.write_text("".join(lines[: first + 1]))  # killed after the first trial
    for more in ({}, {"learning_curve": True}):
        with pytest.raises(
            StudyError, match=rf"^{len(aside)} images? can be read now but could not be when the scores in"
        ):
            run_study(tmp_path, **options, **more)
    journal.write_text("".join(lines[:first]))  # killed before: there is nothing to be laid on other images
    found, *_ = run_study(tmp_path, **options)
    assert len(found.manifest) == 48
