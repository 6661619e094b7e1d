"""The notebook of the documentation runs, and shows tables, figures and no names."""

import base64
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glomfeat

NOTEBOOK = Path(glomfeat.__file__).parent / "docs" / "notebooks" / "first_comparison.ipynb"
FIGURES = 6  # five of the result's own, and one on axes of the user's


def test_the_notebook_is_kept_without_what_it_showed():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert text.count('"outputs": []') == text.count('"cell_type": "code"') > 10 and "image/png" not in text


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the programs that run notebooks
def test_the_notebook_runs_and_shows_tables_and_figures(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel run the notebook")
    pytest.importorskip("ipykernel", reason="nbclient and ipykernel run the notebook")
    nbformat = pytest.importorskip("nbformat")
    path = [str(NOTEBOOK.parents[3]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in shown if output.output_type == "error"]
    pages = [output.data.get("text/html", "") for output in shown if "data" in output]
    assert sum("<table" in page for page in pages) >= 4 and any("AUROC (95 % limits)" in page for page in pages)
    drawn = [base64.b64decode(found) for page in pages for found in re.findall("base64,([^']+)'", page)]
    drawn += [base64.b64decode(output.data["image/png"]) for output in shown if "image/png" in output.get("data", {})]
    assert len(drawn) == FIGURES
    for data in drawn:
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        assert min(pixels.shape) > 100 and pixels.std() > 5, "something is drawn"
    tables = " ".join(re.sub("base64,[^']+'", "", page) for page in pages)
    assert "C0" in tables and ".png" not in tables
