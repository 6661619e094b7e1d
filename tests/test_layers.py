"""Imports point down the layers, and the heavy libraries stay where they belong."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    *("__init__", "seeds", "scheme", "plugins", "functions", "digests", "progress", "memory", "tiff", "dicom", "icc"),
    *("images",),
    *("unread", "archives", "folder_names", "containers", "files", "delimited", "workbooks", "tabular", "columns"),
    *("joining", "embeddings", "naming", "case_notes", "layout", "folders", "sources", "problems", "two_tables"),
    *("given",),
    *("labels", "label_files", "locate", "outlines", "slides", "crops", "manifest"),
    *("metrics", "bycase", "cartoon", "phantom", "store", "stored", "splits", "stats", "paired", "journal", "workers"),
    *("remote", "connections", "clusters"),
    *("features", "inside", "eigen", "pca", "filling", "reducers", "reductions", "scoring", "scaling", "svms", "heads"),
    *("calibration", "selection", "inner", "nets", "own", "audit", "check", "study", "budget", "ensemble", "tasks"),
    *("harness", "neighbours", "importance"),
    *("exporting", "endpoint", "report", "bundle", "planning", "comparison", "in_memory", "api"),
)
MODULES = sorted([*(ROOT / "glomfeat").rglob("*.py"), *(ROOT / "studies").glob("*.py")])
OF_TORCH = ("checkpoints", "cut", "deep", "device", "outline", "tensors", "timm_nets", "weights")
TORCH_MAY_BE = {f"glomfeat/features/{name}.py" for name in OF_TORCH} | {"studies/_bench_torch.py"}


def imported(path):
    """The absolute names of what a module imports, wherever in the module."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{name}.{alias.name}" for alias in node.names)


def layer(name):
    return LAYERS.index(name.split(".")[1])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    name = str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
    for target in imported(path):
        if name.startswith("glomfeat."):
            assert not target.startswith("studies"), f"{name} imports {target}"
        if name.startswith("glomfeat.") and target.startswith("glomfeat.") and target != "glomfeat.__version__":
            same_package = target.split(".")[1] == name.split(".")[1]
            assert same_package or layer(target) < layer(name), f"{name} imports {target}, which lies above it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_torch_and_xgboost_stay_where_they_belong(path):
    where = path.relative_to(ROOT).as_posix()
    libraries = {target.split(".")[0] for target in imported(path)}
    if not where.startswith("glomfeat/nets/") and where not in TORCH_MAY_BE:
        of_arrays = {"safetensors"} if where.startswith("glomfeat/bundle/") else set()  # of numpy, without torch
        assert not libraries & {"torch", "torchvision", "skorch", "safetensors"} - of_arrays
    if where != "glomfeat/heads.py":
        assert "xgboost" not in libraries


def modules_after(code):
    command = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    return set(
        subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout.split()
    )


def test_the_spine_imports_neither_torch_nor_xgboost():
    heavy = {"torch", "torchvision", "xgboost", "h5py"}
    assert not modules_after("import glomfeat.comparison, glomfeat.planning") & heavy


def test_help_imports_nothing_heavy():
    code = "import studies.compare\ntry: studies.compare.main(['--help'])\nexcept SystemExit: pass"
    assert not modules_after(code) & {"pandas", "sklearn", "skimage", "scipy", "joblib", "matplotlib", "torch"}
