"""What a new version does: its figures are those that are recorded, and it says what it does with older folders."""

import hashlib
import re
from pathlib import Path

import pytest
from helpers.running import refusal, run_study

import glomfeat
from glomfeat.core.arms import StudyError
from studies import refit, report

pytestmark = pytest.mark.usefixtures("dealt_once")

PAGE = Path(glomfeat.__file__).parent / "docs" / "installing.md"
MOST = 0.005  # that a figure may differ by, on other machines and with other libraries


def recorded():
    """The columns of the table of all versions, its figures by the version, and the digests that stand behind them."""
    rows = PAGE.read_text(encoding="utf-8").partition("<!-- figures of each version -->\n")[2].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    arms = [tuple(cell.split(", ")) for cell in cells[0][1:-1]]
    return arms, {row[0]: row[1:-1] for row in cells[2:]}, {row[0]: row[-1] for row in cells[2:]}


def digest(version, figures):
    return hashlib.sha256(" ".join([version, *figures]).encode()).hexdigest()[:8]


def test_no_recorded_figure_was_changed_later():
    _, figures, digests = recorded()
    assert digests == {version: digest(version, row) for version, row in figures.items()}


def test_figures_are_those_that_are_recorded_of_this_version(phantom_folder, tmp_path):
    arms, figures, _ = recorded()
    options = {"features": ("shortcut", "classical"), "reducers": ("none",), "size": 64, "folds": 2}
    results = run_study(tmp_path, data=str(phantom_folder), **options)[1].set_index("arm")["auroc"]
    found = [f"{results[f'{feature}.v1/none/{head}']:.3f}" for feature, head in arms]
    row = f"| {' | '.join([glomfeat.__version__, *found, digest(glomfeat.__version__, found)])} |"
    assert glomfeat.__version__ in figures, f"record this version in {PAGE.name}: {row}"
    now = figures[glomfeat.__version__]
    moved = [abs(float(one) - float(other)) > MOST for one, other in zip(found, now, strict=True)]
    assert not any(moved), f"say in changes.md which figures changed and why, and record them in {PAGE.name}: {row}"


@pytest.fixture
def older(feature_table, tmp_path, monkeypatch, without_figures):
    """The output folder of a study of a table that version 0.9.0 made, and the options of that study."""
    options = {"data": str(feature_table), "heads": ("logreg",), "reducers": ("none",)}
    with monkeypatch.context() as patch:
        patch.setattr("glomfeat.comparison.options.__version__", "0.9.0")
        results = run_study(tmp_path, **options)[1]
    return tmp_path / "out", options, results["arm"][0]


def test_a_folder_of_an_older_version_is_refused_and_its_page_is_made_again(older, tmp_path, monkeypatch, capsys):
    out, options, arm = older
    monkeypatch.setattr("glomfeat.comparison.options.__version__", "0.10.0")
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    there = "holds another study (glomfeat: 0.9.0 there, 0.10.0 now)"
    with pytest.raises(StudyError, match=f"^{re.escape(f'{out} {there}')}: choose another folder with --out$"):
        run_study(tmp_path, **options)
    assert f"{out} {there}: run python -m studies.compare anew" in refusal(refit.main, capsys, out, "--arm", arm)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    assert report.main([str(out)]) == 0 and (out / "report.html").exists()


@pytest.mark.slow
def test_what_an_older_version_stored_of_images_is_taken(phantom_folder, tmp_path, monkeypatch):
    options = {"data": str(phantom_folder), "features": ("shortcut",), "heads": ("logreg",), "size": 32}
    with monkeypatch.context() as patch:
        patch.setattr("glomfeat.comparison.options.__version__", "0.9.0")
        run_study(tmp_path, **options)
    monkeypatch.setattr("glomfeat.features.shards.describe_rows", None)  # nothing is described again
    run_study(tmp_path, **options, out=str(tmp_path / "new"))
