"""Without what only networks need everything else works, and what needs it says so."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from helpers import without_networks
from helpers.running import refusal

import glomfeat
from glomfeat.checks.parts import find_part, names_of
from glomfeat.core.installed import DEEP, NotInstalledError
from glomfeat.features.make import make_feature
from glomfeat.features.recalled import software
from glomfeat.models.nets import check_net
from studies import audit, compare

ROOT = Path(__file__).parents[1]
REST = (
    "needs torch, torchvision, skorch and captum, which are not installed: pip install torch torchvision skorch "
    "captum; without them --features takes classical, shortcut, pixels, file:PATH and your own, and --nets nothing"
)


@pytest.fixture
def without(monkeypatch):
    """What only networks need looks as if it were not installed."""
    monkeypatch.setattr("glomfeat.core.installed.is_installed", lambda name: name not in DEEP)


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda: make_feature("resnet18"), "feature 'resnet18'"),
        (lambda: make_feature("clasical"), "feature 'clasical'"),
        (lambda: make_feature("timm:resnet10t"), "timm:resnet10t"),
        (lambda: check_net("compact"), "net 'compact'"),
        (lambda: check_net("resnet18:frozen"), "net 'resnet18:frozen'"),
        (lambda: find_part("resnet18"), "feature 'resnet18'"),
        (lambda: find_part("compact"), "net 'compact'"),
    ],
)
def test_what_needs_networks_says_what_to_install(without, ask, what):
    with pytest.raises(NotInstalledError, match=f"^{re.escape(f'{what} {REST}')}$") as raised:
        ask()
    assert isinstance(raised.value, glomfeat.UserError) and isinstance(raised.value, ImportError)


def test_a_single_package_that_is_missing_is_named_alone(monkeypatch):
    monkeypatch.setattr("glomfeat.core.installed.is_installed", lambda name: name != "captum")
    with pytest.raises(
        NotInstalledError, match="net 'compact' needs captum, which is not installed: pip install captum;"
    ):
        check_net("compact")


def test_the_default_study_of_images_is_refused_and_not_made_smaller(without, phantom_folder, tmp_path, capsys):
    said = refusal(compare.main, capsys, phantom_folder, "--out", tmp_path / "out", "--cache", tmp_path / "cache")
    assert said == f"error: feature 'resnet18' {REST}\n"
    assert not (tmp_path / "out").exists()


def test_an_embedding_of_an_audit_is_refused(without, phantom_folder, tmp_path, capsys):
    where = "--out", tmp_path / "out", "--cache", tmp_path / "cache"
    assert refusal(audit.main, capsys, phantom_folder, "--embedding", "squeezenet1_1", *where).endswith(f"{REST}\n")


def test_files_of_tensors_say_that_torch_reads_them(without, tmp_path):
    (tmp_path / "P01_PAS_1of1_00.pt").write_bytes(b"")
    with pytest.raises(NotInstalledError, match=r"^P01_PAS_1of1_00\.pt needs torch, "):
        _ = make_feature(f"file:{tmp_path}")._reader


def test_names_of_other_parts_are_known_without(without):
    assert names_of("feature") == {"feature": ["pixels", "classical", "shortcut"]}
    assert find_part("pca16").kind == "reducer" and find_part("youden").kind == "threshold"


def test_what_a_study_noted_of_networks_does_not_hold_without_them(monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("glomfeat.features.recalled.version", version)
    assert software() == {}


def test_the_groups_light_and_networks_are_all_that_glomfeat_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    light = {line for line in project["dependency-groups"]["light"] if not line.startswith("xgboost")}
    needs = {re.match(r"[\w-]+", line)[0]: line for line in project["project"]["dependencies"]}
    boosting, bounds = "xgboost", needs["xgboost"].removeprefix("xgboost")
    assert light == {line for name, line in needs.items() if name not in (*DEEP, boosting)}
    assert sorted(project["dependency-groups"]["networks"]) == sorted(needs[name] for name in DEEP)
    of_boosting = [line for line in project["dependency-groups"]["light"] if line.startswith(boosting)]
    assert of_boosting == [
        f"xgboost-cpu{bounds}; sys_platform == 'linux'",
        f"xgboost{bounds}; sys_platform != 'linux'",
    ]


def run(command, **more):
    place = {"PYTHONPATH": os.pathsep.join([*more.pop("paths", ()), str(ROOT)])}
    return subprocess.run(command, env=os.environ | place, capture_output=True, text=True, **more)


def test_tables_and_classical_features_are_compared_and_audited(tmp_path):
    done = run([sys.executable, without_networks.__file__, str(tmp_path)])
    assert done.returncode == 0, done.stderr
    assert "left out: torchvision's networks, which need torch, torchvision, skorch, captum" in done.stderr
    assert (tmp_path / "out" / "report.html").exists() and (tmp_path / "audit" / "audit.html").exists()


@pytest.mark.slow
def test_a_bundle_of_classical_features_is_made_and_evaluated(tmp_path):
    done = run([sys.executable, without_networks.__file__, str(tmp_path), "--all"])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "e.csv").read_text().count(",ok") == len(list((tmp_path / "images").glob("globally*/*.png"))) > 5


@pytest.mark.slow
def test_the_main_job_without_networks_runs_side_by_side_and_draws_its_report(tmp_path):
    hidden = Path(without_networks.__file__).read_text(encoding="utf-8").partition("\nSMALL")[0]
    (tmp_path / "sitecustomize.py").write_text(f"{hidden}\n\nsys.meta_path.insert(0, Hidden())\n", encoding="utf-8")
    study = "compare", "--features", "classical", "shortcut", "--jobs", "2", "--leak-price", "--out", "out"
    for command in (study, ("audit", "--out", "audit"), ("baselines", "--help")):
        done = run([sys.executable, "-m", f"studies.{command[0]}", *command[1:]], paths=[str(tmp_path)], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "figures").glob("*.png"))) > 5
