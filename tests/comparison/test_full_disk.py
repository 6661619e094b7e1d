"""A disk that is full, or fails otherwise, at any moment: one message, nothing half-written, and the run goes on."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.faults import WRITE, failing, halves, watched
from safetensors.numpy import save_file

from glomfeat.core.atomic import written_whole
from glomfeat.core.cache import Store
from glomfeat.core.disk import DiskError
from glomfeat.results.tables import MEASURED
from studies import compare, export, report

pytestmark = pytest.mark.usefixtures("dealt_once")

CODES = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENOENT),
)
TABLES = ("results.csv", "predictions.parquet", "importance.csv", "neighbours.csv", "folds.csv", "comparisons.csv")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A feature table of 40 rows of 8 cases, one column of which tells the classes apart."""
    rng, label = np.random.default_rng(0), np.arange(40) % 2
    names = [f"P{row // 5:02d}_PAS_1of1_{row:024x}.png" for row in range(40)]
    path = tmp_path_factory.mktemp("table") / "table.csv"
    columns = {"a": rng.normal(size=40) + label, "b": rng.normal(size=40)}
    pd.DataFrame({"name": names, "label": label, **columns}).to_csv(path, index=False)
    return path


def run(table, place, *more):
    """A comparison of the table in a folder; its report is not made."""
    small = "--folds", "2", "--heads", "logreg", "--reducers", "none", "--jobs", "1"
    return compare.main([str(table), "--out", f"{place}/out", "--cache", f"{place}/cache", *small, *more])


def written(out):
    """What a run leaves, without what is measured anew each time."""
    found = {name: (out / name).read_bytes() for name in TABLES}
    results = pd.read_csv(out / "results.csv", dtype=str)
    return found | {"results.csv": results.drop(columns=list(MEASURED), errors="ignore").to_csv()}


@pytest.fixture(scope="module")
def undisturbed(table, tmp_path_factory):
    """What is asked of the disk by a run that nothing disturbs, its folder, and what it leaves."""
    place = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch, watched(place) as disk:
        patch.setattr("glomfeat.report.write.write_report", lambda out, *rest, **more: Path(out) / "report.html")
        assert run(table, place) == 0
    return disk.asked, place, written(place / "out")


def check_message(error, place, code):
    said = str(error)
    assert any(f"nothing can be written into {place}/{name}: " in said for name in ("out", "cache"))
    assert f"({errno.errorcode[code]}, " in said and ", or choose another folder with --" in said
    assert said.endswith("What is finished is kept: run the same command again.") and "\n" not in said


def test_a_run_that_is_stopped_by_the_disk_again_and_again_ends_as_if_it_had_not_been(
    table, undisturbed, tmp_path, without_report
):
    place = tmp_path / "run"
    for k, code in enumerate(CODES[::2]):
        # what was written before is not asked for again, so that each run comes further than the last
        with failing(place, code, 1 + 8 * k, lasting=True) as disk, pytest.raises(DiskError) as error:
            run(table, place)
        check_message(error.value, place, code)
        assert disk.failed and not halves(place)
    assert run(table, place) == 0
    assert written(place / "out") == undisturbed[2]


@pytest.mark.slow
@pytest.mark.parametrize("lasting", [True, False])
def test_whatever_is_asked_of_the_disk_may_fail(table, undisturbed, tmp_path, without_report, lasting):
    for at in range(1, len(undisturbed[0]) + 1):
        place, code = tmp_path / str(at), CODES[at % len(CODES)]
        with failing(place, code, at, lasting=lasting) as disk:
            try:
                run(table, place)
            except DiskError as error:
                check_message(error, place, code)
            else:  # nobody needs the mark that a cache is in use, nor the folders that are made for it
                path = disk.failed[1]
                assert not lasting and (path == str(place) or f"{place}/cache" in path), disk.failed
        assert not halves(place), disk.failed
        assert run(table, place) == 0, disk.failed
        assert written(place / "out") == undisturbed[2], disk.failed
        shutil.rmtree(place)


def test_what_was_there_of_a_report_stays_where_the_next_cannot_be_written(undisturbed, tmp_path, without_figures):
    out = shutil.copytree(undisturbed[1] / "out", tmp_path / "out")
    report.main([str(out)])
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    (out / "cases.csv").write_text("old\n")
    for only in ("cases.csv", "report.html"):
        with failing(out, errno.ENOSPC, kinds=(WRITE,), only=only), pytest.raises(DiskError, match=f"into {out}: the"):
            report.main([str(out), "--show-names"])
    report.main([str(out)])
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_an_export_is_there_whole_or_not_at_all(table, undisturbed, tmp_path):
    to = tmp_path / "to" / "rows.h5"
    arguments = [f"file:{table}", "--to", str(to), "--cache", f"{undisturbed[1]}/cache", "--jobs", "1"]
    with watched(to.parent) as disk:
        export.main(arguments)
    whole = to.read_bytes()
    for at in range(1, len(disk.asked) + 1):
        shutil.rmtree(to.parent, ignore_errors=True)
        with failing(to.parent, errno.EDQUOT, at), pytest.raises(DiskError) as error:
            export.main(arguments)
        assert f"into {to.parent}: your quota there is used up (EDQUOT, Disk quota exceeded). " in str(error.value)
        assert "choose another folder with --to. " in str(error.value) and not (to.parent / "rows.h5").exists()
    export.main(arguments)
    assert to.read_bytes() == whole and [path.name for path in to.parent.iterdir()] == ["rows.h5"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only who may mount a disk can fill one")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk, left):
    """Leave so many bytes free."""
    with (disk / "filler").open("wb") as file:
        file.write(b"x" * (shutil.disk_usage(disk).free - left))


@pytest.mark.parametrize(("option", "left"), [("--cache", 30_000), ("--out", 24_000)])
def test_a_disk_that_is_full_is_one_message_and_room_lets_the_run_go_on(
    table, undisturbed, tmp_path, small_disk, without_report, monkeypatch, option, left
):
    monkeypatch.setattr("glomfeat.comparison.plans.check_disk", lambda *rest: None)
    place, name = tmp_path / "run", option[2:]
    place.mkdir()
    (small_disk / name).mkdir()
    (place / name).symlink_to(small_disk / name)
    fill(small_disk, left)
    with pytest.raises(DiskError) as error:
        run(table, place)
    said = str(error.value)
    assert f"into {place}/{name}: the disk is full (ENOSPC, No space left on device); " in said
    assert " are free" in said and " Free some space there" in said
    cleaning = f"(python -m studies.cache --cache {place}/cache --free-to SIZE frees what was used longest ago)"
    assert (cleaning in said) == (option == "--cache")
    assert said.endswith(
        f", or choose another folder with {option}. What is finished is kept: run the same command again."
    )
    assert not halves(small_disk)
    (small_disk / "filler").unlink()
    assert run(table, place) == 0 and written(place / "out") == undisturbed[2]


def test_what_is_written_in_other_languages_is_told_of_likewise(small_disk):
    many = np.random.default_rng(0).random(400_000)
    frame, arrays = pd.DataFrame({"many": many}), {"many": many}

    def save(path):
        with path.open("wb") as file:
            np.save(file, many)

    writes = {
        "parquet": frame.to_parquet,
        "csv": frame.to_csv,
        "safetensors": lambda path: save_file(arrays, path),
        "npy": save,
    }
    for kind, write in writes.items():
        with pytest.raises(DiskError) as error, written_whole(small_disk / f"many.{kind}") as part:
            write(part)
        assert f"into {small_disk}: the disk is full (ENOSPC, No space left on device); " in str(error.value), kind
    with pytest.raises(DiskError, match=r" and 3\.2 MB are needed\. Free some space there \(python -m studies\.cache"):
        Store(str(small_disk / "cache")).shard({"what": "many"}, lambda: arrays)
    assert [path.name for path in small_disk.iterdir()] == ["cache"] and not halves(small_disk)


def test_what_cannot_fit_is_refused_before_anything_is_written(table, tmp_path, small_disk, capsys):
    with pytest.raises(DiskError) as error:
        run(table, small_disk)
    said = str(error.value)
    assert said.startswith(f"320 B are needed in {small_disk}/cache and 2.5 MB are needed in {small_disk}/out and ")
    assert f"are free for both: free some space there (python -m studies.cache --cache {small_disk}/cache " in said
    assert said.endswith("or choose another folder with --cache or --out. Nothing has been written yet.")
    assert not (small_disk / "out").exists()
    with pytest.raises(DiskError, match="are needed in"):
        run(table, small_disk, "--dry-run")
    shown = capsys.readouterr().out
    assert f"disk: the cache {small_disk}/cache takes about 320 B more; 2.1 MB are free\n" in shown
    assert f"disk: the output {small_disk}/out takes about 2.5 MB more; 2.1 MB are free\n" in shown


def test_a_full_disk_elsewhere_is_a_message_too(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("w") as file:
        done = subprocess.run([sys.executable, "-m", "studies.cache", "--cache", str(tmp_path)], stdout=file, stderr=-1)
    said = done.stderr.decode()
    assert "what is printed, or a temporary file, cannot be written: the disk is full (ENOSPC" in said
    assert "Traceback" not in said and done.returncode == 2
