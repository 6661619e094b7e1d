"""Types of what others program against, the public names, and the one base class of users' errors."""

import ast
import importlib
import os
import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from mypy import api

import glomfeat

ROOT = Path(__file__).parents[1]
FILES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["files"]
# a comment that ignores nothing is an error, too
USED = """
import glomfeat

found = glomfeat.compare("data", heads=["svm"], folds=3, metrics=[max], columns=["area*"], threshold=max)
text: str = found.title
found.report().exists()
glomfeat.compare(folds="3")  # type: ignore[arg-type]
glomfeat.compare(fold=3)  # type: ignore[call-arg]
glomfeat.compare(padding="blue")  # type: ignore[arg-type]
glomfeat.compare(dry_run=True)  # type: ignore[call-arg]
number: int = found.title  # type: ignore[assignment]
glomfeat.compair()  # type: ignore[attr-defined]
study = glomfeat.Study(folds=3)
study.folds = 4  # type: ignore[misc]
raise glomfeat.UserError("said")
"""


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.3.0", reason="types of NumPy's arrays had no defaults")
def test_what_others_program_against_has_types_that_hold(tmp_path, monkeypatch, pytestconfig):
    (tmp_path / "used.py").write_text(USED)
    monkeypatch.chdir(ROOT)
    cache = pytestconfig.cache.mkdir("mypy") if hasattr(pytestconfig, "cache") else os.devnull  # most is of others
    said, trouble, status = api.run([f"--cache-dir={cache}", *FILES, str(tmp_path / "used.py")])
    assert status == 0, said + trouble


def test_dir_shows_the_public_names_and_only_these():
    assert dir(glomfeat) == sorted(glomfeat.__all__)
    assert all(getattr(glomfeat, name) is not None for name in glomfeat.__all__)
    with pytest.raises(AttributeError, match=r"no attribute 'compair': there are Backbone, .*compare"):
        _ = glomfeat.compair


def test_type_checkers_and_python_find_the_public_names_in_the_same_places():
    seen = {}
    for node in ast.walk(ast.parse(Path(glomfeat.__file__).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("glomfeat."):
            seen |= {alias.name: node.module for alias in node.names}
    assert seen == glomfeat._HOME
    assert {*seen, "__version__"} == set(glomfeat.__all__)


def test_importing_the_package_imports_nothing_of_others():
    code = "import sys; before = set(sys.modules); import glomfeat; dir(glomfeat); print(*set(sys.modules) - before)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name.partition(".")[0] for name in found} <= {"glomfeat", *sys.stdlib_module_names}


ERRORS = sorted(
    (".".join(path.relative_to(ROOT).with_suffix("").parts), name)
    for path in (ROOT / "glomfeat").rglob("*.py")
    if "docs" not in path.parts
    for name in re.findall(r"^ *class (\w*Error)\b", path.read_text(encoding="utf-8"), re.MULTILINE)
)


@pytest.mark.parametrize(("module", "name"), ERRORS, ids=[name for _, name in ERRORS])
def test_every_error_of_ours_is_a_users_error_and_comes_back_from_a_worker(module, name):
    kind = getattr(importlib.import_module(module), name)
    assert issubclass(kind, glomfeat.UserError)
    if kind is not glomfeat.UserError:
        assert issubclass(kind, ValueError | LookupError | OSError | ImportError), (
            "who catches the built-in one goes on doing so"
        )
    back = pickle.loads(pickle.dumps(kind("what to do")))
    assert type(back) is kind and str(back) == "what to do"
