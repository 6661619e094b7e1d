"""What is stored is listed by what it came from, verified, and freed without touching anything else."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.cache import Store
from glomfeat.core.cache_listing import KINDS, OUTPUT, SHARDS, Entry, choose, free, in_use, is_whole, list_stored
from glomfeat.data.phantom import Phantom, make_phantom, read_phantom
from studies import cache
from studies._cli import run_main
from studies._help import texts_of

DAY = 86_400
# of a study of two features, one reducer and one head: of outer and inner folds, some of which are the same
REDUCTIONS, INNER_SCORES = 18, 14
ENTRIES = 2 + REDUCTIONS + INNER_SCORES
DEEP = {"feature": "deep.v2", "model": "resnet18", "sha256": "ac84c40e" * 8, "layer": None, "precision": "float32"}
SQUARE = {"pixels": "v1", "size": 16, "padding": "white"}

BESIDE = {"phantom": read_phantom}


def run_study(phantom_folder, folder):
    """A study of two features whose output is new each time, and its results."""
    options = {"features": ("shortcut", "pixels"), "reducers": ("ipca4",), "heads": ("logreg",), "size": 16, "folds": 2}
    shutil.rmtree(folder / "out", ignore_errors=True)
    where = {"data": str(phantom_folder), "out": str(folder / "out"), "cache": str(folder / "cache"), "jobs": 1}
    compare(prepare(Study(**options, **where), str), str)
    return pd.read_csv(folder / "out" / "results.csv")["auroc"].tolist()


@pytest.fixture(scope="module")
def finished(phantom_folder, tmp_path_factory):
    """The folder of a finished study."""
    folder = tmp_path_factory.mktemp("finished")
    run_study(phantom_folder, folder)
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """The cache of a finished study, to do as one likes."""
    return shutil.copytree(finished / "cache", tmp_path / "cache")


def run(capsys, *arguments):
    """Exit status, what was printed, and the error."""
    with pytest.raises(SystemExit) as stopped:
        run_main(cache.main, [str(argument) for argument in arguments])
    return stopped.value.code, *capsys.readouterr()


def kinds(entries):
    return sorted(entry.kind for entry in entries)


def listed(folder, kind=None):
    return [entry for entry in list_stored(folder, BESIDE)[0] if kind in (None, entry.kind)]


def age(entry, days):
    """Let an entry have been used some days ago for the last time."""
    then = time.time() - days * DAY
    os.utime(entry.path / OUTPUT, (then, then))


def outputs(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.rglob(OUTPUT)}


def flip(entry, at=-20):
    data = bytearray((entry.path / OUTPUT).read_bytes())
    data[at] ^= 1
    (entry.path / OUTPUT).write_bytes(data)


def test_a_study_is_listed_by_what_it_stored(folder, capsys):
    entries, other = list_stored(folder, BESIDE)
    assert other == [] and kinds(entries) == [
        "features",
        *["inner-scores"] * INNER_SCORES,
        "pixels",
        *["reductions"] * REDUCTIONS,
    ]
    assert {entry.what for entry in entries} == {
        *("16 px, white", "shortcut.v1, 16 px, white"),
        *("ipca4 of shortcut.v1, 16 px, white", "ipca4 of pixels, 16 px, white"),
        *(f"logreg on inner folds of {of}, 16 px, white" for of in ("shortcut.v1", "pixels")),
    }
    files = [path for path in (folder / SHARDS).rglob("*") if path.is_file() and path.name != "func_code.py"]
    assert sum(entry.size_bytes for entry in entries) == sum(path.stat().st_size for path in files)
    status, said, error = run(capsys, "--cache", folder)
    assert (status, error) == (0, "") and str(folder) in said and "freed" not in said
    rows = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in said.splitlines() if "│" in line]
    assert [row[:4] for row in rows] == [
        ["pixels", "16 px, white", "1", "48"],
        ["features", "shortcut.v1, 16 px, white", "1", "48"],
        ["reductions", "ipca4 of pixels, 16 px, white", str(REDUCTIONS // 2), ""],
        ["reductions", "ipca4 of shortcut.v1, 16 px, white", str(REDUCTIONS // 2), ""],
        ["inner-scores", "logreg on inner folds of pixels, 16 px, white", str(INNER_SCORES // 2), ""],
        ["inner-scores", "logreg on inner folds of shortcut.v1, 16 px, white", str(INNER_SCORES // 2), ""],
        ["total", "", str(ENTRIES), ""],
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", row[5]) for row in rows[:-1])


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({**DEEP, **SQUARE, "rows": "a"}, ("features", "resnet18", "resnet18 sha256:ac84c40eac84, 16 px, white")),
        (
            {**DEEP, **SQUARE, "layer": "layer3", "precision": "bfloat16"},
            ("features", "resnet18", "resnet18@layer3+bfloat16 sha256:ac84c40eac84, 16 px, white"),
        ),
        (
            {"feature": "table.v1", "sha256": "0123456789abcdef", "but": ["patient"], "names": "d"},
            ("features", "table", "table sha256:0123456789ab"),
        ),
        (
            {"reduced": "v2", "reducer": "pca8", "of": DEEP},
            ("reductions", "resnet18", "pca8 of resnet18 sha256:ac84c40eac84"),
        ),
        ({"statistics": "v1", "what": "gram", "of": SQUARE}, ("statistics", "pixels", "gram of pixels, 16 px, white")),
        ({"tomorrow": 1}, ("other-arrays", "other-arrays", "made from something else")),
        ("no dict", ("other-arrays", "other-arrays", "made from something else")),
    ],
)
def test_what_a_key_stands_for(tmp_path, key, expected):
    Store(str(tmp_path)).shard(key, lambda: {"rows": np.zeros((7, 3), np.float32)})
    ((entry,), other) = list_stored(tmp_path, BESIDE)
    assert (entry.kind, entry.name, entry.what) == expected and other == []
    assert entry.rows == (7 if entry.kind == "features" else None) and is_whole(entry)


@pytest.mark.parametrize("rows", [0, 1, 255, 256, 65_535, 65_536])
def test_rows_are_read_from_the_head_of_an_entry(tmp_path, rows):
    Store(str(tmp_path)).shard(SQUARE, lambda: {"pixels": np.zeros((rows, 1), np.uint8)})
    assert list_stored(tmp_path, BESIDE)[0][0].rows == rows


@pytest.mark.parametrize("note", ["", "[1]", '{"input_args": {"key": "__import__(\'os\').abort()"}}', None])
def test_an_entry_without_a_readable_note_is_an_array_of_unknown_origin(tmp_path, note):
    Store(str(tmp_path)).shard(SQUARE, lambda: {"rows": np.zeros(3)})
    path = tmp_path / SHARDS / next((tmp_path / SHARDS).glob("*/metadata.json"))
    path.unlink() if note is None else path.write_text(note)
    assert kinds(listed(tmp_path)) == ["other-arrays"]


def test_listing_and_verifying_are_no_use(folder, capsys):
    old = {}
    for entry in listed(folder):
        age(entry, 40)
        old[entry.path] = (entry.path / OUTPUT).stat()
    assert run(capsys, "--cache", folder, "--verify")[0] == 0
    for path, before in old.items():
        now = (path / OUTPUT).stat()
        assert (now.st_atime_ns, now.st_mtime_ns) == (before.st_atime_ns, before.st_mtime_ns)


def test_verify_finds_flipped_bytes_and_a_cut_and_names_what_they_are(folder, phantom_folder, capsys):
    status, said, _ = run(capsys, "--cache", folder, "--verify")
    assert status == 0 and f"verified {ENTRIES} entries: 0 damaged" in said
    (pixels,), (feature,), reductions = (listed(folder, kind) for kind in ("pixels", "features", "reductions"))
    flip(pixels, 3000)
    flip(reductions[0])
    data = (feature.path / OUTPUT).read_bytes()
    (feature.path / OUTPUT).write_bytes(data[: len(data) // 2])
    status, said, error = run(capsys, "--cache", folder, "--verify")
    assert (status, error) == (1, "") and f"verified {ENTRIES} entries: 3 damaged" in said
    damaged = [line for line in said.splitlines() if line.startswith("damaged: ")]
    bad = (pixels, feature, reductions[0])
    assert sorted(damaged) == sorted(f"damaged: {entry.kind}: {entry.what}: {entry.path.name}" for entry in bad)
    names = [path.stem for path in phantom_folder.glob("*/*.png")]
    assert len(names) == 48 and not any(name in said or name[:4] in said for name in names)


PEAK = """
import re, sys
from pathlib import Path
from glomfeat.core.cache_listing import is_whole, list_stored
def peak_kb():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
(entry,), _ = list_stored(sys.argv[1])
before = peak_kb()
print(is_whole(entry), peak_kb() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_verifying_takes_constant_memory(tmp_path):
    Store(str(tmp_path)).shard(SQUARE, lambda: {"rows": np.ones((96, 2**20), np.uint8)})
    command = [sys.executable, "-c", PEAK, str(tmp_path)]
    whole, grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert whole == "True" and int(grown) < 16 * 2**10  # of the 96 MiB


def test_free_by_age_takes_what_was_not_used_for_that_long(folder, capsys):
    old, recent, *rest = listed(folder, "reductions")
    age(old, 31)
    age(recent, 29)
    status, said, _ = run(capsys, "--cache", folder, "--free-older", "30d")
    assert status == 0 and "freed 1 entry, " in said and said.count(f" {old.what} ") >= 1
    left = {entry.path for entry in listed(folder)}
    assert old.path not in left and not old.path.exists() and {recent.path, *(entry.path for entry in rest)} <= left
    assert len(left) == ENTRIES - 1
    assert f"freed {ENTRIES - 1} entries, " in run(capsys, "--cache", folder, "--free-older", "0d")[1]
    assert list_stored(folder, BESIDE) == ([], [])


def test_being_read_counts_as_use(folder, capsys):
    entries = listed(folder, "reductions")
    for entry in entries:
        age(entry, 31)
    os.utime(entries[0].path / OUTPUT, (time.time(), time.time() - 31 * DAY))
    run(capsys, "--cache", folder, "--free-older", "4w")
    assert [entry.path for entry in listed(folder, "reductions")] == [entries[0].path]


def test_free_to_a_size_takes_the_least_recently_used_first(folder, capsys):
    entries = listed(folder)
    for days, entry in enumerate(entries):
        age(entry, days)
    kept = sum(entry.size_bytes for entry in entries[:3])
    run(capsys, "--cache", folder, "--free-to", f"{kept}B")
    assert {entry.path for entry in listed(folder)} == {entry.path for entry in entries[:3]}
    run(capsys, "--cache", folder, "--free-to", f"{kept - 1}B")
    assert {entry.path for entry in listed(folder)} == {entry.path for entry in entries[:2]}


entries_of = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=8).map(
    lambda pairs: [Entry("pixels", "", "", Path(str(k)), size, used) for k, (used, size) in enumerate(pairs)]
)


@settings(max_examples=150, deadline=None)
@given(entries_of, st.none() | st.integers(0, 9), st.none() | st.integers(1, 30))
def test_what_is_freed_is_old_or_needed_and_never_younger_than_what_stays(entries, unused_s, to_bytes):
    chosen = choose(entries, 9, unused_s, to_bytes)
    stay = [entry for entry in entries if entry not in chosen]
    left = sum(entry.size_bytes for entry in stay)
    assert to_bytes is None or left <= to_bytes
    assert not any(unused_s is not None and 9 - entry.used >= unused_s for entry in stay)
    assert max((entry.used for entry in chosen), default=0) <= min((entry.used for entry in stay), default=9)
    for entry in chosen:
        is_old = unused_s is not None and 9 - entry.used >= unused_s
        younger = sum(other.size_bytes for other in chosen[chosen.index(entry) :])
        assert is_old or left + younger > to_bytes


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        *(("reductions", REDUCTIONS), ("inner-scores", INNER_SCORES), ("features", 1), ("statistics", 0)),
        *(("pixels", ENTRIES // 2), ("shortcut.v1", ENTRIES // 2), ("unfinished", 0)),
    ],
)
def test_only_a_kind_or_everything_of_a_feature_is_freed(folder, capsys, kind, gone):
    status, said, _ = run(capsys, "--cache", folder, "--kind", kind, "--free-older", "0h")
    entries = "entry" if gone == 1 else "entries"
    assert status == 0 and f"freed {gone} {entries}" in said and len(listed(folder)) == ENTRIES - gone


def test_a_study_makes_again_only_what_was_freed(finished, phantom_folder, tmp_path, capsys):
    folder = shutil.copytree(finished, tmp_path / "again")
    before = outputs(folder)
    run(capsys, "--cache", folder / "cache", "--kind", "shortcut.v1", "--free-older", "0d")
    kept = outputs(folder)
    assert len(before) == ENTRIES and len(kept) == ENTRIES // 2
    assert run_study(phantom_folder, folder) == pd.read_csv(finished / "out" / "results.csv")["auroc"].tolist()
    after = outputs(folder)
    assert after.keys() == before.keys() and {name: after[name] for name in kept} == kept


def test_foreign_files_are_counted_and_survive(folder, capsys):
    shard = listed(folder, "pixels")[0].path
    places = [folder / "thesis.tex", folder / "phantom" / "mine" / "public.csv", folder / "joblib" / "other.pkl"]
    places += [folder / SHARDS / "notes" / OUTPUT, shard / "keep.me", folder / SHARDS / ("g" * 32) / OUTPUT]
    places += [folder / "joblib" / "lab" / "f" / ("a" * 32) / OUTPUT]
    places += [folder.parent / "elsewhere" / OUTPUT, folder / "phantom" / ".v1.0a1b2c3d.part" / "my.png"]
    for path in places:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    (folder / SHARDS / ("b" * 32)).symlink_to(folder.parent / "elsewhere", target_is_directory=True)
    assert sorted(list_stored(folder, BESIDE)[1]) == sorted(path for path in places if path.is_relative_to(folder))
    status, said, _ = run(capsys, "--cache", folder, "--free-older", "0d")
    assert status == 0 and "other: 8 files, 32 B, not known to be glomfeat's and never freed" in said
    assert all(path.read_text() == "mine" for path in places) and outputs(folder).keys().isdisjoint({shard.name})
    assert (folder / SHARDS / ("b" * 32)).is_symlink() and listed(folder) == []


def test_an_entry_freed_halfway_is_no_entry(tmp_path, monkeypatch):
    store, unlink = Store(str(tmp_path)), Path.unlink
    store.shard(SQUARE, lambda: {"rows": np.zeros(3)})

    def killed(path, **options):
        if path.name != OUTPUT:
            raise KeyboardInterrupt
        unlink(path, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", killed)
        free(listed(tmp_path)[0])
    assert not store.has(SQUARE) and kinds(listed(tmp_path)) == ["unfinished"]
    np.testing.assert_array_equal(store.shard(SQUARE, lambda: {"rows": np.ones(3)})["rows"], np.ones(3))
    assert kinds(listed(tmp_path)) == ["pixels"]


def test_what_a_killed_process_left_is_listed_and_freed(folder, capsys):
    left = folder / SHARDS / ("c" * 32) / f"{OUTPUT}.{'0' * 32}-12-140"
    left.parent.mkdir()
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    assert [(entry.size_bytes, entry.used) for entry in listed(folder, "unfinished")] == [(4, 0)]
    run(capsys, "--cache", folder, "--free-older", "1w")
    assert not left.parent.exists() and len(listed(folder)) == ENTRIES


@pytest.mark.skipif(os.name != "posix", reason="of POSIX only")
def test_mapped_arrays_outlive_their_entry(tmp_path):
    store = Store(str(tmp_path))
    rows = store.shard(SQUARE, lambda: {"rows": np.arange(100_000)})["rows"]
    free(listed(tmp_path)[0])
    assert not store.has(SQUARE) and listed(tmp_path) == []
    np.testing.assert_array_equal(rows, np.arange(100_000))


@pytest.mark.skipif(os.name != "posix", reason="of POSIX only")
def test_nothing_is_freed_while_a_study_reads(folder, capsys):
    message = f"error: a study uses {folder}: nothing is freed; try again when it has ended\n"
    with in_use(folder), in_use(folder):
        assert run(capsys, "--cache", folder, "--free-older", "0d") == (2, "", message)
        assert len(listed(folder)) == ENTRIES and run(capsys, "--cache", folder, "--verify")[0] == 0
    assert run(capsys, "--cache", folder, "--free-older", "0d")[0] == 0


def test_the_phantom_is_one_entry_and_made_again(tmp_path, capsys):
    spec, folder = Phantom(images=4, cases=2), tmp_path / "phantom" / "v1-4-2-0"
    before = {path.name: path.read_bytes() for path in make_phantom(folder, spec).rglob("*") if path.is_file()}
    (entry,), other = list_stored(tmp_path, BESIDE)
    assert (entry.kind, entry.what, entry.rows, other) == ("phantom", "4 images of 2 cases, seed 0", 4, [])
    assert entry.size_bytes == sum(map(len, before.values()))
    status, said, _ = run(capsys, "--cache", tmp_path, "--verify")
    assert status == 0 and "verified 0 entries" in said and "P0" not in said
    assert "freed 1 entry" in run(capsys, "--cache", tmp_path, "--free-older", "0d")[1]
    assert list((tmp_path / "phantom").iterdir()) == []
    make_phantom(folder, spec)
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (folder / "notes.txt").write_text("mine")
    assert "freed 0 entries" in run(capsys, "--cache", tmp_path, "--free-older", "0d")[1]
    assert len(list(folder.rglob("*.png"))) == 4


def test_a_phantom_freed_halfway_is_none(tmp_path, monkeypatch):
    spec, folder = Phantom(images=4, cases=2), tmp_path / "phantom" / "v1-4-2-0"
    make_phantom(folder, spec)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.rmtree", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        free(listed(tmp_path)[0])
    assert kinds(listed(tmp_path)) == ["unfinished"]
    make_phantom(folder, spec)
    assert kinds(listed(tmp_path)) == ["phantom", "unfinished"]
    free(listed(tmp_path, "unfinished")[0])
    assert [path.name for path in (tmp_path / "phantom").iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--free-older", "30"], "--free-older is '30': write an age such as 12h, 30d or 8w"),
        (["--free-older=-1d"], "--free-older is '-1d': write an age such as 12h, 30d or 8w"),
        (["--free-older", "d"], "--free-older is 'd': write an age such as 12h, 30d or 8w"),
        (["--free-older", ""], "--free-older is '': write an age such as 12h, 30d or 8w"),
        (["--free-to", "much"], "--free-to is 'much': write a size such as 10GB, 512MiB or 8000000000"),
        (
            ["--kind", "pixel", "--free-older", "0d"],
            "--kind is 'pixel': did you mean 'pixels'? known: features, inner-scores, other-arrays, phantom, pixels, "
            "reductions, shortcut.v1, statistics, unfinished",
        ),
    ],
)
def test_bad_options_are_one_message_and_free_nothing(folder, capsys, arguments, said):
    assert run(capsys, "--cache", folder, *arguments) == (2, "", f"error: {said}\n")
    assert len(listed(folder)) == ENTRIES


def test_the_help_names_every_kind():
    said = texts_of(cache.Options)["kind"]
    assert [kind for kind in KINDS if f"{kind}," not in said] == []


def test_without_a_folder(tmp_path, capsys, monkeypatch):
    nowhere = tmp_path / "nowhere"
    expected = f"error: there is no folder {nowhere}: name the one of your studies with --cache\n"
    assert run(capsys, "--cache", nowhere, "--free-older", "0d") == (2, "", expected)
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere))
    assert run(capsys) == (0, f"nothing is stored in {nowhere / 'glomfeat'}\n", "")
    assert not nowhere.exists()
