"""What a plan says of work that is too long to be tried."""

import io
import subprocess
import sys
import tarfile
from itertools import count
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import gen_batches

from glomfeat.comparison import forecast as planning
from glomfeat.comparison.budget import free_bytes, plan_arm
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.survey import Shape
from glomfeat.core.arms import Arm
from glomfeat.core.memory import PeakMemory, tree_bytes
from glomfeat.data.images.decode import encode_png


@pytest.mark.parametrize("head", ["logreg", "xgboost"])
def test_a_head_on_twenty_times_as_many_rows_is_planned_to_take_at_least_twenty_times_as_long(head, monkeypatch):
    # a clock by which every fit takes a second: nothing is seen to grow
    monkeypatch.setattr(planning, "time", SimpleNamespace(perf_counter=count().__next__))
    few, many = (planning._head_seconds(head, 8, rows, 1, 2) for rows in (40_000, 800_000))
    assert many == pytest.approx(20 * few)
    assert planning._head_seconds(head, 8, 4_000, 1, 2) == planning._head_seconds(head, 8, 2_000, 1, 2)


def test_support_vector_machines_of_eight_parts_are_planned_to_take_eight_times_as_long_as_of_one(monkeypatch):
    monkeypatch.setattr(planning, "time", SimpleNamespace(perf_counter=count().__next__))
    one, eight = (planning._head_seconds("svm", 8, rows, 1, 2) for rows in (6_000, 48_000))
    assert eight == pytest.approx(8 * one)
    two, half = (planning._head_seconds("svm", 8, rows, 1, 2) for rows in (6_100, 3_050))
    assert two == pytest.approx(2 * half)


def _planned(reducer, columns, free, head="svm"):
    return plan_arm(Arm("f", reducer, head), 1, 5, Shape((6000, columns), np.dtype("f4"), False), True, free, {})


def test_what_takes_too_much_is_offered_the_largest_reducer_that_fits_and_no_other():
    need = {name: _planned(name, 4096, 10**12).most.bytes for name in ("none", "ipca128", "ipca64", "ipca8")}
    too_large = _planned("none", 4096, need["ipca128"])
    assert too_large.otherwise == ", or take a smaller reducer such as ipca128" and need["ipca128"] < need["none"]
    assert _planned("ipca128", 4096, need["ipca64"]).otherwise == ", or take a smaller reducer such as ipca64"
    assert _planned("ipca64", 4096, need["ipca64"]).otherwise == ", or take a smaller reducer such as ipca32", "in use"
    assert _planned("none", 4096, need["ipca8"] - 1).otherwise == "", "none would fit"
    assert _planned("none", 6, 10**12).otherwise == "", "six columns are fewer than any"


def test_a_budget_beyond_the_machine_is_warned_of(feature_table):
    said = []
    prepare(Study(str(feature_table), memory="900TB"), said.append)
    assert said[0].startswith("warning: --memory 900TB is more than the ") and said[0].endswith("may be killed")
    prepare(Study(str(feature_table), memory="10MB"), said.clear() or said.append)
    assert not any("warning: --memory" in line for line in said)


def test_what_names_and_scores_of_all_images_take_is_no_longer_free():
    assert free_bytes(8 * 10**9, True, 0) - free_bytes(8 * 10**9, True, 10**6) == 3 * 10**9


@pytest.mark.slow
def test_a_million_images_are_planned_within_the_budget(tmp_path):
    images = 1_000_000
    with tarfile.open(tmp_path / "many.tar", "w") as tar:
        for k in range(images):
            colour = np.array([k & 255, k >> 8 & 255, k >> 16], np.uint8)
            data = encode_png(np.broadcast_to(colour, (4, 4, 3)))
            member = tarfile.TarInfo(f"{'sick' if k % 5 == 0 else 'well'}/P{k // 200:04d}_PAS_1of1_{k:024x}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    command = [sys.executable, "-m", "studies.compare", "many.tar", "--features", "classical", "--size", "64"]
    with PeakMemory(tree_bytes, 0.1) as memory:
        done = subprocess.run(
            [*command, "--memory", "8GB", "--dry-run"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
    assert f"{images} images of 5000 cases" in done.stdout and "budget 8.0 GB" in done.stdout
    assert not (tmp_path / "runs").exists() and memory.peak_bytes < 8 * 10**9 - free_bytes(8 * 10**9, False, images)


@pytest.mark.slow
def test_many_wide_rows_are_reduced_and_learnt_within_the_budget(tmp_path):
    rows, width, budget = 50_000, 4096, 2 * 10**9
    label, rng = np.arange(rows) % 5 == 0, np.random.default_rng(0)
    matrix = np.lib.format.open_memmap(tmp_path / "wide.npy", "w+", np.float32, (rows, width))
    for part in gen_batches(rows, 2000):
        matrix[part] = rng.standard_normal((part.stop - part.start, width), np.float32) + 0.05 * label[part, None]
    matrix.flush()
    names = [f"P{k // 200:03d}_PAS_1of1_{k:024x}.png" for k in range(rows)]
    pd.DataFrame({"name": names, "label": label.astype(int)}).to_csv(tmp_path / "wide.csv", index=False)
    command = [sys.executable, "-m", "studies.compare", "wide.npy", "--reducers", "ipca128", "pca128", "--folds", "2"]
    with PeakMemory(tree_bytes, 0.1) as memory:
        done = subprocess.run(
            [*command, "--memory", str(budget), "--cache", "cache"], cwd=tmp_path, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout + done.stderr
    trials = pd.read_csv(tmp_path / "runs/compare/trials.csv")
    assert (trials["status"] == "done").all() and len(trials) == 14 and trials["tree_pss_mb"].max() < budget / 1e6
    several = trials.loc[trials["arm"].str.endswith("svm"), "reason"]
    assert several.str.contains("mean of 5 support vector machines of parts of the rows").all()
    assert memory.peak_bytes < budget + 10**9  # of which this process holds what it wrote
