"""The README's blocks run, in order, as a stranger would run them; the style is checked by machine."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import glomfeat

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if "pytest" not in line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, phantom_folder):
    """What the README takes as given: images, new ones, a feature table, and the module that it tells to write."""
    place = tmp_path_factory.mktemp("readme")
    shutil.copytree(phantom_folder, place / "my_images")
    rows = (phantom_folder / "public.csv").read_text().splitlines()[1:]
    table = "\n".join(f"{row},{k % 7 + 3 * int(row[-1])},{k % 5}" for k, row in enumerate(rows))
    (place / "my_features.csv").write_text(f"name,label,area,roundness\n{table}\n")
    (place / "new_images").mkdir()
    for k, path in enumerate(sorted(phantom_folder.rglob("*.png"))[:6]):
        shutil.copy(path, place / "new_images" / f"new{k}.png")
    (place / "mylab.py").write_text("".join(text for kind, text in BLOCKS if kind == "python"))
    return place


def test_the_readme_has_its_blocks():
    assert len(COMMANDS) >= 5 and [kind for kind, _ in BLOCKS].count("python") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(folder, command):
    command = command.replace("pip install . && ", "").replace("python ", f"{sys.executable} ", 1)
    nowhere = "http://127.0.0.1:9"  # weights must not be needed from the network
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TORCH_HOME": str(folder / "torch"),
        "http_proxy": nowhere,
        "https_proxy": nowhere,
    }
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if re.search(r"studies\.(compare|homemade)", command):
        assert "split by case" in done.stdout


def test_public_names_are_there():
    assert len(glomfeat.__all__) <= 12
    assert all(getattr(glomfeat, name) is not None for name in glomfeat.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'comparisons'"):
        _ = glomfeat.comparisons


def test_ruff_finds_nothing():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
