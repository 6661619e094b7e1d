"""A study that is finished, asked for again: nothing is read, run or loaded that its tables do not need."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from helpers.running import run_study

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
OPTIONS = {"reducers": ("none",), "heads": ("svm",), "folds": 2}

pytestmark = pytest.mark.usefixtures("without_large_pictures")


def arguments(tmp_path, data, options):
    given = {"out": tmp_path / "out", "cache": tmp_path / "cache", "jobs": 1, **options}
    words = [[f"--{name}", *map(str, value if isinstance(value, tuple) else [value])] for name, value in given.items()]
    return [str(data), *(word for group in words for word in group)]


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


@pytest.mark.parametrize("kind", [pytest.param("table", marks=pytest.mark.slow), "nets"])
def test_a_finished_study_loads_no_torch_and_changes_no_file(tmp_path, request, kind):
    data = request.getfixturevalue("feature_table" if kind == "table" else "phantom_folder")
    options = OPTIONS | (NETS if kind == "nets" else {})
    run_study(tmp_path, data=str(data), **options)
    write_report(tmp_path / "out")
    before = contents(tmp_path / "out")
    shutil.rmtree(tmp_path / "cache")  # no feature is asked for
    command = [sys.executable, "-c", ASKED, *arguments(tmp_path, data, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:" and "as it was" in done.stdout
    after = contents(tmp_path / "out")
    assert before == after
    assert not list((tmp_path / "cache").rglob("*.npy"))


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


def test_what_is_missing_is_made_again(tmp_path, feature_table, monkeypatch):
    run_study(tmp_path, data=str(feature_table), **OPTIONS)
    before = contents(tmp_path / "out")
    for name in ("importance.csv", "quarantine.csv", "folds.csv", "neighbours.csv"):
        (tmp_path / "out" / name).unlink()
        run_study(tmp_path, data=str(feature_table), **OPTIONS)
        after = contents(tmp_path / "out")
        assert after[name] == before[name], name
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
