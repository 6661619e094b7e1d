"""The notebooks of the documentation run, on Colab too, and show tables, figures and no names."""

import ast
import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glomfeat

NOTEBOOKS = sorted((Path(glomfeat.__file__).parent / "docs" / "notebooks").glob("*.ipynb"))
FIGURES = {"first_comparison": 6, "own_network": 1, "table_and_cohort": 1}  # in the first, one is on axes of the user's
SHOWN = {
    "first_comparison": ("AUROC (95 % limits)", "p_adjusted", "C0"),
    "own_network": ("AUROC (95 % limits)", "net:small", "net:C8-BN-MP-GAP-D16-out", "inner_valid"),
    "table_and_cohort": ("AUROC (95 % limits)", "auroc_price", "internal_auroc", "calibration_slope"),
}
RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=600).execute()
nbformat.write(notebook, sys.argv[2])
"""


def sources(path, kind="code"):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def test_there_are_three_and_a_page_links_to_each():
    assert [path.stem for path in NOTEBOOKS] == sorted(FIGURES)
    page = (NOTEBOOKS[0].parents[1] / "paper.md").read_text(encoding="utf-8")
    assert all(f"(notebooks/{path.name})" in page for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_showed_and_parses(path):
    text = path.read_text(encoding="utf-8")
    assert text.count('"outputs": []') == text.count('"cell_type": "code"') > 5 and "image/png" not in text
    assert text.count('"execution_count": null') == text.count('"cell_type": "code"')
    for source in sources(path)[1:]:
        ast.parse(source)
    assert sources(path, "markdown")[0].startswith("# ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_installs_only_where_glomfeat_is_not_there(path):
    first = sources(path)[0]
    asked, ran = first.replace("%pip install --quiet {WHERE}", "ran.append(1)"), []
    assert asked != first and json.loads(path.read_text(encoding="utf-8"))["cells"][0]["cell_type"] == "code"
    exec(asked, {"ran": ran})
    assert not ran
    exec(asked.replace('find_spec("glomfeat")', 'find_spec("glomfeat_is_away")'), {"ran": ran})
    assert ran


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_tables_and_figures(path, tmp_path, monkeypatch):
    pytest.importorskip("nbclient", reason="nbclient and ipykernel run the notebooks")
    pytest.importorskip("ipykernel", reason="nbclient and ipykernel run the notebooks")
    nbformat = pytest.importorskip("nbformat")
    places = [str(path.parents[3]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
    ran = tmp_path / "ran.ipynb"  # by another process, because nbclient leaves sockets open
    subprocess.run([sys.executable, "-c", RUN, path, ran], cwd=tmp_path, check=True)
    notebook = nbformat.read(ran, as_version=4)
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in shown if output.output_type == "error"]
    pages = [output.data.get("text/html", "") for output in shown if "data" in output]
    assert sum("<table" in page for page in pages) >= 2
    drawn = [base64.b64decode(found) for page in pages for found in re.findall("base64,([^']+)'", page)]
    drawn += [base64.b64decode(output.data["image/png"]) for output in shown if "image/png" in output.get("data", {})]
    assert len(drawn) == FIGURES[path.stem]
    for data in drawn:
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        assert min(pixels.shape) > 100 and pixels.std() > 5, "something is drawn"
    tables = " ".join(re.sub("base64,[^']+'", "", page) for page in pages)
    assert all(words in tables for words in SHOWN[path.stem]) and ".png" not in tables
