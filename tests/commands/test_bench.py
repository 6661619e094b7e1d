"""The bench: every part is measured end to end, sides agree, and what it says of them is true."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from studies import bench
from studies._cli import run_main
from studies.bench.child import run
from studies.bench.data import row_blocks
from studies.bench.growth import growth
from studies.bench.measure import Measured, Side, measure
from studies.bench.plan import AGREEMENTS, SIZES, Benchmark, Goal, Pair
from studies.bench.table import HEADINGS, cells, row_of, to_markdown

COLUMNS = {
    *("part", "ours", "peer", "size", "basis", "extrapolated", "quick", "status", "reason", "goal", "met", "rounds"),
    *("ours_s", "peer_s", "ours_process_s", "ours_work_s", "peer_process_s", "peer_work_s", "ratio", "peak_ratio"),
    *("ours_peak_bytes", "peer_peak_bytes", "ours_mapped_bytes", "peer_mapped_bytes", "agreement", "agreement_of"),
    *("efficiency", "row_bytes"),
}
WITH_PEERS = tuple(part for part in bench.Bench().only if part != "memory")
GROWING = {
    *("manifest with digests", "decode to 64 px", "extract 32 columns", "5 folds and splits inside them"),
    *("ipca8, folds: 1", "pca8, folds: 5", "logreg, 8 columns", "svm, 8 columns", "xgboost, 8 columns"),
    *("net:compact of 16 px, 2 epochs", "compare, its trials done", "report", "audit"),
}
FLAT, NAMED = ["ratio >= 0.9", "peak ratio"], ["ratio >= 0.9", "held for a further row"]
SIDES = """
import os, signal, subprocess, sys, time
import numpy as np

def good(folder, seconds=1.0, kept=0.0):
    with open(folder.parent / "order.txt", "a") as file:
        print(folder.name, file=file)
    clock = iter((0.0, seconds))
    time.perf_counter = lambda: next(clock)
    yield
    yield lambda: {"rows": np.array([kept]), "stored": sorted(p.name for p in folder.glob("store/*"))}

def bad(folder):
    yield
    raise ValueError("there is no such thing")

def killed(folder):
    yield
    os.kill(os.getpid(), signal.SIGKILL)

def heavy(folder):
    yield
    subprocess.run([sys.executable, "-c", "import time; block = b'x' * 300_000_000; time.sleep(1)"], check=True)
    yield

def ending(folder):
    yield
    yield
    (folder.parent / "ended.txt").touch()
"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The report of a quick run of the parts with peers, the folder it wrote, and where it generated data."""
    out, scratch = tmp_path_factory.mktemp("bench"), tmp_path_factory.mktemp("scratch")
    folders = ["--out", str(out), "--scratch", str(scratch)]
    status = bench.main(["--quick", "--jobs", "1", "--only", *WITH_PEERS, *folders])
    report = json.loads((out / "bench.json").read_text())
    assert status == 0, [row["reason"] for row in report["rows"] if row["reason"]]
    return report, out, scratch


@pytest.fixture
def sides(tmp_path, monkeypatch):
    """Where measured processes find functions to measure."""
    (tmp_path / "measured.py").write_text(SIDES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda function, **more: Side(function, f"measured:{function}", **more)


def status_of(*arguments):
    with pytest.raises(SystemExit) as stopped:
        run_main(bench.main, list(arguments))
    return stopped.value.code


@pytest.mark.slow
def test_quick_measures_every_part_and_says_that_it_is_quick(quick):
    report, out, _ = quick
    assert {row["part"] for row in report["rows"]} == set(WITH_PEERS)
    assert all(row["status"] == "done" and row["quick"] and row["met"] is None for row in report["rows"])
    text = (out / "bench.md").read_text()
    assert "QUICK: sizes of seconds" in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(table) == 1 + len(report["rows"]) and table[0].count("|") == len(HEADINGS) + 1
    for line, row in zip(table[1:], report["rows"], strict=True):
        assert f"{row['part']} (quick)" in line and row["peer"] in line and row["size"] in line


@pytest.mark.slow
def test_every_stage_is_measured_at_few_and_at_many_rows(tmp_path):
    options, seen = {"jobs": 1, "device": "cpu", "memory": 10**10, "seed": 0}, {name: set() for name in GROWING}
    for benchmark in growth(SIZES["quick"], options, tmp_path):
        sides = benchmark.make(tmp_path / benchmark.folder)
        for pair in benchmark.pairs:
            (ours, many), (peer, few) = (sides[name].what.rpartition(", ")[::2] for name in (pair.ours, *pair.peer))
            assert ours == peer and benchmark.size.startswith(f"{many.split()[0]} v. {few.split()[0]} ")
            assert [str(goal).split(" <=")[0] for goal in pair.goals] in (FLAT, NAMED)
            seen[ours].add((many.split()[0], few.split()[0]))
            side, folder = sides[pair.peer[0]], tmp_path / "measured" / pair.peer[0]
            folder.mkdir(parents=True)
            if side.template:
                shutil.copytree(side.template, folder / "store")
            assert run(side.function, folder, side.arguments)["work_s"] > 0
    assert seen.pop("svm, 8 columns") == {("120", "60"), ("480", "240")} and seen.pop("audit") == {("24", "12")}
    assert set(map(frozenset, seen.values())) == {frozenset({("120", "60")})}


@pytest.mark.slow
def test_quick_measures_what_grows(tmp_path):
    assert bench.main(["--quick", "--only", "memory", "--jobs", "1", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert len(rows) == len(GROWING) + 1 and {row["status"] for row in rows} == {"done"}


@pytest.mark.slow
def test_the_report_says_with_what_it_was_made(quick):
    report, out, _ = quick
    assert {"date", "device", "jobs", "memory_bytes", "size", "command", "environment", "rows"} <= set(report)
    assert {"torch", "scikit-learn", "numpy"} <= set(report["environment"]["packages"])
    assert report["environment"]["cores"] >= 1 and report["memory_bytes"] > 0 and report["jobs"] == 1
    assert yaml.safe_load((out / "study.yaml").read_text())["quick"] is True


@pytest.mark.slow
def test_rows_hold_what_they_are_made_of(quick):
    for row in quick[0]["rows"]:
        assert set(row) == COLUMNS
        assert row["basis"] in ("process", "work") and row["rounds"] == 1
        for who in ("ours", "peer"):
            assert row[f"{who}_s"] == row[f"{who}_{row['basis']}_s"] > 0
            assert row[f"{who}_process_s"] >= row[f"{who}_work_s"] > 0
            assert row[f"{who}_peak_bytes"] > row[f"{who}_mapped_bytes"] >= 0
        assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"])


@pytest.mark.slow
def test_what_was_extrapolated_says_so(quick):
    rows = {(row["part"], row["ours"], row["peer"]): row["extrapolated"] for row in quick[0]["rows"]}
    assert rows["reducers", "pca8", "IncrementalPCA(8) per fold"] == "peer extrapolated from 2 of 25 folds"
    both = "ours extrapolated from 2 of 25 folds; peer extrapolated from 2 of 25 folds"
    assert rows["reducers", "ipca8", "IncrementalPCA(8) per fold"] == both
    search = "GridSearchCV(Pipeline(IncrementalPCA(8), head))"
    assert rows["harness", "compare, ipca8", search] == "peer extrapolated from 1 of 2 outer folds"
    assert not any(said for (part, _, _), said in rows.items() if part not in ("reducers", "harness"))


@pytest.mark.slow
@pytest.mark.parametrize(("part", "most"), [("decode", 2), ("extraction", 1e-4), ("reducers", 1e-4), ("harness", 0.25)])
def test_sides_agree(quick, part, most):
    found = [row["agreement"] for row in quick[0]["rows"] if row["part"] == part and row["agreement_of"]]
    assert len(found) >= 2 and max(found) <= most


@pytest.mark.slow
def test_no_scratch_file_is_left(quick):
    assert list(quick[2].iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--full", "--quick"], "error: --full and --quick are two sizes: give one of them"),
        (["--only", "decode", "decode"], "error: --only is decode decode: give each part once"),
        (["--repeats", "0"], "error: --repeats is 0: at least 1"),
        (["--jobs", "0"], "error: --jobs is 0: at least 1"),
        (["--memory", "much"], "error: memory is 'much': write a size such as 4GB"),
        (["--quick", "--widths", "7"], "error: --widths is 7: there are 40, 400"),
        (["--scratch", "/nowhere"], "error: --scratch /nowhere: there is no such folder"),
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


def test_rounds_alternate_and_what_is_extrapolated_is_the_work_alone(sides, tmp_path):
    two = {"a": sides("good", times=10.0), "b": sides("good", arguments={"seconds": 2.0})}
    found = measure(two, tmp_path, repeats=3, patience_s=1e9, memory=0)
    assert (tmp_path / "order.txt").read_text().split() == ["a", "b", "b", "a", "a", "b"]
    assert (found["a"].work_s, found["b"].work_s, found["a"].rounds) == (10.0, 2.0, 3)
    side = sides("good", times=10.0, arguments={"seconds": 1e6})
    extrapolated = measure({"a": side}, tmp_path, repeats=1, patience_s=0.0, memory=0)["a"]
    assert extrapolated.process_s == pytest.approx(9e6, abs=1e5)  # its start is not taken ten times


def test_what_takes_long_is_measured_once(sides, tmp_path):
    assert measure({"a": sides("good")}, tmp_path, repeats=9, patience_s=0.0, memory=0)["a"].rounds == 1


def test_each_run_starts_from_its_own_copy_of_what_is_stored(sides, tmp_path):
    (tmp_path / "stored").mkdir()
    (tmp_path / "stored" / "entry").write_text("kept")
    side = sides("good", template=str(tmp_path / "stored"))
    assert np.load(measure({"a": side}, tmp_path, 1, 0.0, 0)["a"].kept)["stored"].tolist() == ["entry"]
    assert (tmp_path / "stored" / "entry").read_text() == "kept" and not (tmp_path / "a" / "store").exists()


def test_what_a_side_has_started_ends_after_its_work(sides, tmp_path):
    assert not measure({"a": sides("ending")}, tmp_path, 1, 0.0, 0)["a"].failed
    assert (tmp_path / "ended.txt").exists()


def test_peak_memory_is_of_the_process_and_all_below_it(sides, tmp_path):
    assert measure({"a": sides("heavy")}, tmp_path, 1, 0.0, 0)["a"].peak_bytes > 300_000_000


def test_a_side_that_cannot_be_measured_is_a_row_with_its_reason(sides, tmp_path):
    four = {name: sides(name) for name in ("good", "bad", "killed")} | {"large": sides("good", need=2_000_000)}
    found = measure(four, tmp_path, repeats=2, patience_s=1e9, memory=1_000_000)
    assert found["bad"].failed == "ValueError: there is no such thing"
    assert found["killed"].failed == "the process was killed, most likely for want of memory"
    assert found["large"].failed == "needs 2.0 MB of 1.0 MB" and found["large"].skipped
    benchmark = Benchmark("reducers", "9 x 9", "", None, ())
    rows = [row_of(benchmark, Pair("good", (name,)), four, found, False) for name in four]
    assert [row["status"] for row in rows] == ["done", "failed", "failed", "skipped"]
    environment = {"packages": {}, "cores": 1, "python": "3"}
    report = {"rows": rows, "environment": environment, "date": "", "device": "", "jobs": 1, "memory_bytes": 1}
    text = to_markdown(report | {"command": ""})
    assert "good: needs 2.0 MB of 1.0 MB" in text and "there is no such thing" in text


def test_sides_that_differ_are_seen_to(sides, tmp_path):
    two = {name: sides("good", arguments={"kept": kept}) for name, kept in (("a", 4.0), ("b", 5.0))}
    found = measure(two, tmp_path, 1, 0.0, 0)
    goals = (Goal("agreement", "<=", 0.1), Goal("ratio", ">=", 0, 5758))
    pair = Pair("a", ("b",), "work", goals, "features")
    row = row_of(Benchmark("extraction", "1", "", None, ()), pair, two, found, False)
    assert row["agreement"] == pytest.approx(0.2)
    assert row["met"] is False and row["goal"] == "agreement <= 0.1 (MISSED), ratio >= 0 at 5,758 rows"
    assert row["agreement_of"] == AGREEMENTS["features"][1]


def test_several_peers_add_up_and_rows_are_compared_each(sides, tmp_path):
    three = {"a": sides("good", units=10), "b": sides("good", arguments={"seconds": 0.2}), "c": sides("good")}
    found = measure(three, tmp_path, 1, 0.0, 0)
    benchmark = Benchmark("memory", "", "", None, ())
    row = row_of(benchmark, Pair("a", ("b",), "work"), three, found, False)
    assert row["ratio"] == pytest.approx(2.0)  # a tenth of the rows in a fifth of the seconds
    added = row_of(benchmark, Pair("b", ("b", "c"), "work"), three, found, False)
    assert added["peer_s"] == pytest.approx(1.2) and added["peer"] == "good + good"


def test_what_grows_faster_than_its_goal_is_missed():
    two = {"many": Side("many", "", units=50), "few": Side("few", "", units=10)}
    found = {"many": Measured(1.0, 6.0, 5_030_000, 39_000, 1), "few": Measured(1.0, 1.0, 4_960_000, 9_000, 1)}
    goals = (Goal("ratio", ">=", 1), Goal("row_bytes", "<=", 999), Goal("row_bytes", "<=", 1000))
    row = row_of(Benchmark("memory", "", "", None, ()), Pair("many", ("few",), "work", goals), two, found, False)
    assert row["ratio"] == pytest.approx(5 / 6) and row["row_bytes"] == 1000 and row["met"] is False
    said = "ratio >= 1 (MISSED), held for a further row <= 999 B (MISSED), held for a further row <= 1.0 kB (met)"
    assert row["goal"] == cells(row)[-1] == said
    same = row_of(Benchmark("memory", "", "", None, ()), Pair("few", ("few",)), two, found, False)
    assert same["row_bytes"] is None


def test_of_several_processes_the_efficiency_is_said(sides, tmp_path):
    two = {"a": sides("good", arguments={"seconds": 0.5}), "b": sides("good")}
    found = measure(two, tmp_path, 1, 0.0, 0)
    rows = [
        row_of(Benchmark("backends", "", "", None, ()), pair, two, found, False)
        for pair in (Pair("a", ("b",), "work", processes=4), Pair("a", ("b",), "work"))
    ]
    assert [row["efficiency"] for row in rows] == [pytest.approx(0.5), None]
    assert [cells(row)[6] for row in rows] == ["2 w (50%)", "2 w"]


@pytest.mark.slow
def test_backends_give_the_scores_of_one_process(tmp_path):
    assert bench.main(["--quick", "--only", "backends", "--jobs", "2", "--out", str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "out" / "bench.json").read_text())["rows"]
    assert rows and all(row["agreement"] == 0 and row["efficiency"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("goal", "size", "met", "said"),
    [
        (Goal("ratio", ">=", 20), "600 x 4", False, "ratio >= 20"),
        (Goal("ratio", ">=", 20, 5758), "600 x 4", None, "ratio >= 20 at 5,758 rows"),
        (Goal("ratio", ">=", 10, 5758), "5,758 x 4, 25 folds", True, "ratio >= 10 at 5,758 rows"),
        (Goal("ours_peak_bytes", "<=", 4e9), "600 x 4", True, "peak <= 4.0 GB"),
        (Goal("peak_ratio", "<=", 1.05), "", None, "peak ratio <= 1.05"),
    ],
)
def test_a_goal_is_judged_at_its_size_alone(goal, size, met, said):
    row = {"ratio": 15.0, "ours_peak_bytes": 3_000_000_000, "peak_ratio": None, "size": size}
    assert goal.met(row) is met and str(goal) == said


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_generated_rows_are_the_seeds_and_have_a_falling_spectrum(dtype):
    first, second = (np.concatenate(list(row_blocks(700, 40, dtype, 3))) for _ in range(2))
    assert first.dtype == dtype and first.shape == (700, 40) and np.array_equal(first, second)
    values = np.linalg.eigvalsh(np.cov(first.astype(float).T))
    assert values[-1] > 5 * values[0] > 0
