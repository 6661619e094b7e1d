"""The blocks of the README and of the pages run, in order, as a stranger would; the style is checked by machine."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import glomfeat

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "glomfeat" / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:^<!-- file: (\S+) -->\n)?^```(bash|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def steps_of(page):
    """What a reader of a page does, in order: commands, and scripts of the Python blocks that follow one another."""
    steps = []
    for file, kind, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "bash":
            steps += [line for line in text.replace("\\\n", " ").splitlines() if line and "pytest" not in line]
        elif file:
            steps.append((file, text))
        elif steps and steps[-1][0] == "":
            steps[-1] = ("", steps[-1][1] + text)
        else:
            steps.append(("", text))
    return steps


STEPS = [(page.name, k, step) for page in PAGES for k, step in enumerate(steps_of(page))]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, phantom_folder):
    """What the pages take as given, a folder for each: images, new ones, and a feature table."""
    root = tmp_path_factory.mktemp("docs")
    for page in PAGES:
        place = root / page.name
        shutil.copytree(phantom_folder, place / "my_images")
        rows = (phantom_folder / "public.csv").read_text().splitlines()[1:]
        table = "\n".join(f"{row},{k % 7 + 3 * int(row[-1])},{k % 5}" for k, row in enumerate(rows))
        (place / "my_features.csv").write_text(f"name,label,area,roundness\n{table}\n")
        (place / "new_images").mkdir()
        for k, path in enumerate(sorted(phantom_folder.rglob("*.png"))[:6]):
            shutil.copy(path, place / "new_images" / f"new{k}.png")
    return root


def test_the_readme_has_its_blocks():
    commands = [step for page, _, step in STEPS if page == "README.md" and isinstance(step, str)]
    assert len(commands) >= 5 and any("studies.compare" in command for command in commands)


@pytest.mark.parametrize(("page", "k", "step"), STEPS, ids=[f"{page}-{k}" for page, k, _ in STEPS])
def test_a_step_of_a_page_works(folders, page, k, step):
    folder = folders / page
    if isinstance(step, tuple) and step[0]:
        with (folder / step[0]).open("a", encoding="utf-8") as module:
            module.write(step[1])
        return
    if isinstance(step, tuple):
        (folder / f"step{k}.py").write_text(step[1], encoding="utf-8")
        step = f"python step{k}.py"
    command = step.replace("pip install . && ", "").replace("python ", f"{sys.executable} ", 1)
    nowhere = "http://127.0.0.1:9"  # weights must not be needed from the network
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folders / "cache"),
        "TORCH_HOME": str(folders / "torch"),
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
