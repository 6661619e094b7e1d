"""The bench: every part is measured end to end, sides agree, and what it says of them is true."""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from studies import bench
from studies._cli import run_main
from studies.bench import parts
from studies.bench.data import write_table
from studies.bench.measure import Measured, Side, measure
from studies.bench.table import Row, aurocs, cells, relative, row_of, to_markdown, variances

WITH_PEERS = ("decode", "extraction", "reducers", "harness")
GROWING = (
    *("ipca8, folds: 1", "pca8, folds: 5", "logreg, 8 columns", "svm, 8 columns", "xgboost, 8 columns"),
    *("svm, 8 columns", "manifest with digests", "decode to 64 px", "extract 32 columns"),
    *(
        "5 folds and splits inside them",
        "net:compact of 16 px, 2 epochs",
        "compare, its trials done",
        "report",
        "audit",
    ),
)
LATE = time.perf_counter() + 1e5
SIDES = """
import os, signal, subprocess, sys, time
from pathlib import Path

def prepared(seconds=1.0, name="", order=None):
    with open(order, "a") as file:
        print(name, file=file)
    clock = iter((0.0, seconds))
    time.perf_counter = lambda: next(clock)
    yield
    yield {"there": sorted(path.name for path in Path.cwd().iterdir())}

def called():
    return {"there": sorted(path.name for path in Path.cwd().iterdir())}

def bad():
    raise ValueError("there is no such thing")

def killed():
    yield
    os.kill(os.getpid(), signal.SIGKILL)

def sleeps():
    time.sleep(600)

def heavy(ended):
    try:
        yield
        subprocess.run([sys.executable, "-c", "import time; block = b'x' * 300_000_000; time.sleep(0.5)"], check=True)
        yield object()
    finally:
        with open(ended, "a") as file:
            print("ended", file=file)
"""


def status_of(*arguments):
    with pytest.raises(SystemExit) as stopped:
        run_main(bench.main, list(arguments))
    return stopped.value.code


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The report of a quick run of the parts with peers, and the folder it wrote."""
    out, scratch = tmp_path_factory.mktemp("bench"), tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(scratch))
        status = bench.main(["--quick", "--jobs", "1", "--only", *WITH_PEERS, "--out", str(out)])
    report = json.loads((out / "bench.json").read_text())
    assert status == 0, [row["reason"] for row in report["rows"] if row["reason"]]
    assert list(scratch.glob("glomfeat-bench-*")) == []  # what was generated is removed
    return report, out


@pytest.fixture
def sides(tmp_path, monkeypatch):
    """Sides of functions that measured processes find where this test lies."""
    name = f"measured_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SIDES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    module = __import__(name)
    return lambda name, *given, **more: Side(name, partial(getattr(module, name), *given), **more)


@pytest.mark.slow
def test_quick_measures_every_part_and_says_that_it_is_quick(quick):
    report, out = quick
    assert {row["part"] for row in report["rows"]} == set(WITH_PEERS)
    assert all(row["status"] == "done" for row in report["rows"])
    text = (out / "bench.md").read_text()
    assert "QUICK: sizes of seconds" in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(table) == 1 + len(report["rows"]) and len({line.count("|") for line in table}) == 1
    for line, row in zip(table[1:], report["rows"], strict=True):
        assert row["part"] in line and row["peer"] in line and row["size"] in line


@pytest.mark.slow
def test_the_report_says_with_what_it_was_made(quick):
    report, _ = quick
    assert {"torch", "scikit-learn", "numpy"} <= set(report["environment"]["packages"])
    assert report["environment"]["cores"] >= 1 and report["memory_bytes"] > 0 and report["jobs"] == 1
    assert report["options"]["quick"] is True and report["device"] and report["command"].endswith(str(quick[1]))


@pytest.mark.slow
def test_rows_hold_what_they_are_made_of(quick):
    for row in quick[0]["rows"]:
        assert row["basis"] in ("process", "work")
        for who in ("ours", "peer"):
            assert row[f"{who}_s"] == row[f"{who}_{row['basis']}_s"] > 0
            assert row[f"{who}_process_s"] >= row[f"{who}_work_s"] > 0
            assert row[f"{who}_peak_bytes"] > 1_000_000
        assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"])


@pytest.mark.slow
def test_what_was_extrapolated_says_so(quick):
    rows = {(row["part"], row["ours"], row["peer"]): (row["ours_of"], row["peer_of"]) for row in quick[0]["rows"]}
    assert rows["reducers", "pca8", "IncrementalPCA(8) per fold"] == ("", "2 of 25 folds")
    assert rows["reducers", "ipca8", "IncrementalPCA(8) per fold"] == ("2 of 25 folds", "2 of 25 folds")
    search = "GridSearchCV(Pipeline(IncrementalPCA(8), head))"
    assert rows["harness", "compare, ipca8", search] == ("", "1 of 2 folds")
    assert not any(any(of) for (part, _, _), of in rows.items() if part not in ("reducers", "harness"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "most"), [("decode", 0.01), ("extraction", 1e-4), ("reducers", 1e-4), ("harness", 0.25)]
)
def test_sides_agree(quick, part, most):
    found = [row["agreement"] for row in quick[0]["rows"] if row["part"] == part and "agreement" in row]
    assert found and max(found) <= most


@pytest.mark.slow
def test_every_stage_is_measured_at_few_and_at_many_rows(tmp_path):
    assert bench.main(["--quick", "--only", "memory", "--jobs", "1", "--out", str(tmp_path)]) == 0
    rows, stages = json.loads((tmp_path / "bench.json").read_text())["rows"], []
    for row in rows:
        (ours, many), (peer, few) = (row[who].rpartition(", ")[::2] for who in ("ours", "peer"))
        many, few = many.split()[0], few.split()[0]
        assert ours == peer and row["size"].startswith(f"{many} v. {few} ") and int(many) == 2 * int(few)
        assert row["status"] == "done" and row["ratio"] == pytest.approx(2 * row["peer_s"] / row["ours_s"])
        stages.append(ours)
    assert stages == list(GROWING)


@pytest.mark.slow
def test_tables_of_many_arms_are_measured_beside_those_of_few(tmp_path):
    assert bench.main(["--quick", "--only", "statistics", "--jobs", "1", "--out", str(tmp_path)]) == 0
    (row,) = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert (row["ours"], row["peer"]) == tuple(f"compare, its trials done, {arms} arms" for arms in (2, 1))
    assert row["size"] == "2 v. 1 arms, 160 rows, 5 folds" and row["status"] == "done"
    assert row["ratio"] == pytest.approx(2 * row["peer_s"] / row["ours_s"])


@pytest.mark.slow
def test_backends_give_the_scores_of_one_process(tmp_path):
    assert bench.main(["--quick", "--only", "backends", "--jobs", "2", "--out", str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "out" / "bench.json").read_text())["rows"]
    assert rows and all(row["agreement"] == 0 and row["efficiency"] > 0 for row in rows)
    assert {row["peer"] for row in rows} == {"one process"} and rows[0]["ours"] == "2 processes of this machine"


@pytest.mark.slow
def test_minutes_measures_a_device_beside_a_plain_loop_and_passes_alone(tmp_path, capsys):
    how = ["--quick", "--device", "cpu", "--minutes", "60", "--jobs", "1", "--out", str(tmp_path)]
    assert bench.main(how) == 0
    report = json.loads((tmp_path / "card.json").read_text())
    assert len(report["rows"]) == 6 and all(row["status"] == "done" for row in report["rows"])
    for row in report["rows"]:
        assert row["ours_per_s"] == pytest.approx(12 / row["ours_s"]) and row["peer_per_s"] > 0
        assert row["ratio"] == pytest.approx(row["ours_per_s"] / row["peer_per_s"])
    text = (tmp_path / "card.md").read_text()
    assert report["date"][:10] in text and "torch 2." in text and "QUICK: sizes of seconds" in text
    assert f"({report['rows'][0]['ours_per_s']:,.0f}/s)" in text
    assert "from PNG" in capsys.readouterr().out


def test_a_gpu_is_measured_beside_a_loop_and_passes(monkeypatch):
    monkeypatch.setattr(parts, "_phantom", lambda at, folder: "")
    monkeypatch.setattr(parts.ours, "read_pixels", lambda *_: ([], [0]))
    monkeypatch.setattr(parts.torch, "images_in", lambda folder, size: [])
    at = SimpleNamespace(**vars(parts.CARD), jobs=8, device="cuda:1", precision="bfloat16")
    rows = [row for rows in parts.card(at, Path()) for row in rows]
    alone = {"plain loop", "bare compiled forward pass"}
    for net in ("resnet18", "vgg16", "vit_l_16"):
        assert {row.peer.what for row in rows if row.size == f"{net}, bfloat16, stored pixels"} == alone
    tuned = {row.peer.what for row in rows if row.size == "resnet18:finetune, 5 epochs"}
    assert tuned == {"plain loop", "steps alone"}
    exact = next(row for row in rows if row.ours.what == "steps alone, deterministic")
    assert exact.peer.what == "steps alone" and exact.ours.work.keywords == exact.peer.work.keywords | {"exact": True}
    assert rows[-1].size == "resnet18, bfloat16, from PNG" and len(rows) == 10
    loops = [row.peer.work.keywords for row in rows if row.peer.what.endswith(("loop", "eager network"))]
    assert len(loops) == 5
    assert {(loop["workers"], loop["batch"], loop["device"]) for loop in loops} == {(8, 256, "cuda:1")}


def test_what_takes_longer_than_the_time_that_is_left_is_given_up_and_ended(sides, tmp_path):
    long, late = sides("sleeps"), sides("called")
    ends = time.perf_counter() + 1
    found = measure([long, late], tmp_path / "here", repeats=2, patience_s=1e9, memory=0, ends=ends)
    assert {(one.status, one.reason) for one in found.values()} == {("skipped", "no time was left for it")}
    assert not [child for child in psutil.Process().children() if "studies.bench.child" in child.cmdline()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--minutes", "0"], "error: --minutes is 0: a number above 0, such as 8"),
        (["--full", "--quick"], "error: --full and --quick are two sizes: give one of them"),
        (["--repeats", "0"], "error: --repeats is 0: at least 1"),
        (["--jobs", "0"], "error: --jobs is 0: at least 1"),
        (["--memory", "much"], "error: --memory is 'much': write a size such as 4GB"),
        (["--quick", "--device", "gpu"], "error: device is 'gpu': allowed are auto, cpu"),
    ],
)
def test_a_wrong_option_is_one_message(tmp_path, capsys, arguments, said):
    assert status_of("--out", str(tmp_path / "out"), *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(said) and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_an_unknown_part_names_the_known_ones(capsys):
    assert status_of("--only", "speed") == 2
    assert "extraction" in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    code = "import sys, studies.bench\ntry: studies.bench.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print({name.split('.')[0] for name in sys.modules} & {'numpy', 'pandas', 'sklearn', 'torch'})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--quick" in done.stdout and done.stdout.endswith("set()\n")


def test_peers_load_nothing_of_ours_that_would_weigh():
    code = "import sys, studies.bench.child, studies.bench.peers\n"
    code += "print({name.split('.')[0] for name in sys.modules} & {'pandas', 'sklearn', 'scipy', 'PIL', 'psutil'})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_rounds_alternate_and_what_is_extrapolated_is_the_work_alone(sides, tmp_path):
    order = tmp_path / "order.txt"
    a, b = sides("prepared", 1.0, "a", order, folds=1, of_folds=100_000), sides("prepared", 2.0, "b", order)
    found = measure([a, b], tmp_path / "here", repeats=2, patience_s=1e9, memory=0, ends=LATE)
    assert order.read_text().split() == ["a", "b", "b", "a"]
    assert (found[a].work_s, found[b].work_s) == (1e5, 2.0)
    assert found[a].process_s == pytest.approx(1e5, abs=99)  # its start is not taken so often
    assert found[a].kept == {"there": ["log.txt"]} and not (tmp_path / "here").exists()  # each began in an empty folder


def test_peak_memory_is_of_the_process_and_all_below_it_and_what_was_started_ends(sides, tmp_path):
    side = sides("heavy", tmp_path / "ended.txt")
    found = measure([side], tmp_path / "here", repeats=9, patience_s=0.0, memory=0, ends=LATE)[side]
    assert found.peak_bytes > 300_000_000 and found.kept is None  # what sides do not agree by stays where it is
    assert (tmp_path / "ended.txt").read_text() == "ended\n"  # once: it took long


def test_a_side_that_cannot_be_measured_is_a_row_with_its_reason(sides, tmp_path):
    good, bad, killed, large = sides("called"), sides("bad"), sides("killed"), sides("called", need=2_000_000)
    limits = {"repeats": 2, "patience_s": 0.0, "memory": 1_000_000, "ends": LATE}
    found = measure([good, bad, killed, large], tmp_path / "here", **limits)
    assert found[good].kept == {"there": ["log.txt"]} and 0 < found[good].work_s < found[good].process_s
    assert found[bad].reason == "ValueError: there is no such thing"
    assert found[killed].reason == "the process was killed, most likely because memory ran out"
    assert found[large].reason == "needs 2.0 MB of 1.0 MB"
    rows = [row_of("reducers", Row(good, side, "9 x 9"), found) for side in (good, bad, killed, large)]
    assert [row["status"] for row in rows] == ["done", "failed", "failed", "skipped"]
    machine = {"packages": {}, "cores": 1, "python": "3", "glomfeat": "1"}
    report = {"rows": rows, "environment": machine, "options": {"quick": False}, "command": "", "date": ""}
    text = to_markdown(report | {"device": "", "jobs": 1, "memory_bytes": 1})
    assert (
        "skipped: called: needs 2.0 MB of 1.0 MB" in text and "failed: bad: ValueError: there is no such thing" in text
    )
    assert "| reducers | called | bad | 9 x 9 |  |  | failed |  |  |" in text and "QUICK" not in text


def row(ours, peer, size="", units=(1, 1), **more):
    """The row of two sides, each given as its `Measured`; some of both are units."""
    sides = [Side(str(k), print, units=of) for k, of in enumerate(units)]
    return row_of("part", Row(*sides, size, **more), dict(zip(sides, (ours, peer), strict=True)))


def test_sides_that_differ_are_seen_to():
    two = Measured(1.0, 1.0, 2, np.array([4.0])), Measured(1.0, 1.0, 1, np.array([5.0]))
    found = row(*two, agreement=relative)
    assert found["agreement"] == pytest.approx(0.2) and cells(found)["agreement"] == "0.2"
    assert found["agreement_of"] == "Largest difference of a number, relative to the largest of them."
    assert "agreement" not in cells(row(*two))


def test_agreement_is_of_variances_and_of_the_means_of_arms():
    rows = np.random.default_rng(0).standard_normal((9, 2))
    assert variances(rows * [1, 2], rows) == pytest.approx(3.0) and variances(rows, rows[:, :1]) == np.inf
    ours = {("a", "svm", 0, 0): 0.5, ("a", "svm", 0, 1): 0.9, ("b", "svm", 0, 0): 0.75}
    assert aurocs(ours, {("a", "svm", 0, 0): 0.9, ("a", "svm", 0, 1): 0.5, ("b", "svm", 0, 0): 0.5}) == 0.25


def test_what_differs_in_size_is_compared_by_unit():
    many, few = Measured(1.0, 6.0, 5_030_000), Measured(1.0, 1.0, 4_960_000)
    found = row(many, few, units=(50, 10))
    assert found["ratio"] == pytest.approx(5 / 6) and cells(found)["ratio"] == "0.833 w"
    assert cells(found)["peak, ours / peer"] == "5.0 MB / 5.0 MB"


def test_seconds_are_of_the_process_or_of_the_work_and_several_processes_have_an_efficiency():
    ours, one = Measured(2.0, 0.5, 1), Measured(3.0, 1.0, 1)
    assert [row(ours, one, basis=basis)["ratio"] for basis in ("process", "work")] == [1.5, 2.0]
    assert cells(row(ours, one))["ratio"] == "2 w"
    assert cells(row(ours, one, processes=4))["ratio"] == "2 w (50%)"


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_generated_rows_are_the_seeds_and_have_a_falling_spectrum(tmp_path, dtype):
    first, second = (
        np.load(write_table(tmp_path / name / "rows.npy", 700, 40, 3, dtype, strength=0.0)) for name in "ab"
    )
    assert first.dtype == dtype and first.shape == (700, 40) and np.array_equal(first, second)
    values = np.linalg.eigvalsh(np.cov(first.astype(float).T))
    assert values[-1] > 5 * values[0] > 0
