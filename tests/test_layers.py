"""Imports point down the rooms, and the heavy libraries stay where they belong."""

import ast
import subprocess
import sys
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
MODULES = sorted([*(ROOT / "glomfeat").rglob("*.py"), *(ROOT / "studies").rglob("*.py")])
OF_TORCH = ("glomfeat/features/deep/", "glomfeat/models/nets/")
OF_ARRAYS = ("glomfeat/bundle/", "glomfeat/comparison/starts.py")  # safetensors of NumPy, without torch
TORCH_MAY_BE = ("glomfeat/data/embeddings/tensors.py", "glomfeat/comparison/track.py", "studies/bench/torch.py")


def imported(path):
    """The libraries that a module imports, wherever in the module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_imports_point_down_as_the_contracts_say(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def strays(path):
    """The libraries that a module imports and that belong elsewhere."""
    where, elsewhere = path.relative_to(ROOT).as_posix(), set()
    if not where.startswith(OF_TORCH) and where not in TORCH_MAY_BE:
        of_arrays = {"safetensors"} if where.startswith(OF_ARRAYS) else set()
        elsewhere |= {"torch", "torchvision", "skorch", "captum", "timm", "safetensors"} - of_arrays
    if where != "glomfeat/models/heads/built_in.py":
        elsewhere.add("xgboost")
    return set(imported(path)) & elsewhere


def test_torch_and_xgboost_stay_where_they_belong():
    assert len(MODULES) > 200
    assert not {str(path): found for path in MODULES if (found := strays(path))}


def modules_after(code):
    command = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    return set(
        subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout.split()
    )


def test_the_spine_imports_neither_torch_nor_xgboost():
    heavy = {"torch", "torchvision", "xgboost", "h5py"}
    assert not modules_after("import glomfeat.comparison.compare, glomfeat.comparison.forecast") & heavy


def test_help_imports_nothing_heavy():
    code = "import studies.compare\ntry: studies.compare.main(['--help'])\nexcept SystemExit: pass"
    assert not modules_after(code) & {"pandas", "sklearn", "skimage", "scipy", "joblib", "matplotlib", "torch"}
