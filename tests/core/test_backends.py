"""Studies on clusters: the bytes of this machine's own, whatever dies, and one message where it cannot work."""

import os
import pickle
import signal
import sys
import threading
import time
import zipfile
import zlib
from concurrent.futures import Future
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from glomfeat.comparison import on_cluster
from glomfeat.comparison.compare import compare
from glomfeat.comparison.on_cluster import opened
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import Prepared, prepare
from glomfeat.comparison.tasks import make_tasks
from glomfeat.comparison.trial import run_trial
from glomfeat.core import progress
from glomfeat.core.arms import StudyError
from glomfeat.core.cache import Store
from glomfeat.core.cluster import backends as connections
from glomfeat.core.cluster import worker as remote
from glomfeat.core.cluster.backends import Connection
from glomfeat.core.cluster.calls import Cluster, Lending, budget_of, pack
from glomfeat.core.cluster.worker import ClusterError, Run, Seen, call, look
from glomfeat.core.environment import versions
from glomfeat.core.memory import SHARE
from glomfeat.core.workers import Call, side_by_side
from glomfeat.data.files import is_seen
from glomfeat.data.splits import make_folds
from glomfeat.features.extract import extract
from glomfeat.results.tables import MEASURED

pytestmark = pytest.mark.usefixtures("dealt_once")

TEXTURE = Path(__file__).parents[3] / "shared" / "data" / "glomeruli_texture.csv"
MINE = """
import os, signal, time
from pathlib import Path
from sklearn.linear_model import LogisticRegression
from glomfeat.features.make import Handcrafted
from glomfeat.models.heads.built_in import Head

def slowly(name):
    Path(f"ran-{name}").touch()
    time.sleep(0.3)
    return name

def die(name):
    # once or always, and never in the process that asks
    mark = Path(f"died-{name}")
    here = os.getpid() == int(Path("asks").read_text())
    if not here and (name.startswith("always") or (name.startswith("once") and not mark.exists())):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return name

class Mortal(LogisticRegression):
    def fit(self, X, y):
        die("once-a-head")
        return super().fit(X, y)

def head(seed):
    return Head(Mortal())

def describe(image, size):
    return [image.mean(), image.std(), *size]

def feature():
    return Handcrafted("mine.v1", describe)
"""


@pytest.fixture(scope="module")
def dask():
    """A Dask cluster of two processes."""
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    with distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def ray():
    """A Ray instance of two cores."""
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    small = {"include_dashboard": False, "object_store_memory": 100_000_000}
    ray.init("local", num_cpus=2, log_to_driver=False, logging_level="error", **small)
    yield ray
    ray.shutdown()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The current folder, with a module of the user's own in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    Path("mine.py").write_text(MINE)
    Path("asks").write_text(str(os.getpid()))
    sys.modules.pop("mine", None)
    yield __import__("mine")
    sys.modules.pop("mine", None)


@pytest.fixture
def at(mine, tmp_path):
    """Open a cluster for calls alone, without a data set."""

    def prepared(**options):
        study = Study(features=("mine:feature",), reducers=("none",), heads=("logreg",), **options)
        manifest = SimpleNamespace(table=pd.DataFrame({"path": ["", ""]}))
        return Prepared(study, manifest, [], None, Store(str(tmp_path / "cache")), [], 10**10)

    return prepared


def quiet(line):
    """Say nothing."""


def do(prepared, function, items):
    """What became of each item."""
    calls = [Call(item, 10**6) for item in items]
    return {ended.item: ended for ended in side_by_side(function, calls, "calls", 1, 0, 1, prepared.cluster)}


def refused(prepared):
    with pytest.raises(ClusterError) as why, opened(prepared, quiet):
        pass
    return str(why.value)


def same_bytes(one, other):
    """Compare what two runs wrote, without the columns that are measured."""
    for name in ("predictions.parquet", "folds.csv", "importance.csv", "neighbours.csv", "quarantine.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    for name in ("results.csv", "trials.csv"):
        a, b = (
            pd.read_csv(out / name, dtype=str).drop(columns=list(MEASURED), errors="ignore") for out in (one, other)
        )
        pd.testing.assert_frame_equal(a, b)


NETWORKS = {"features": ("mine:feature", "squeezenet1_1"), "nets": ("C4-MP-GAP-D8-out",), "epochs": 1}


def compare_both(images, backend, scheduler, **more):
    """Run a study here, and on a cluster of which a worker is killed in the middle."""
    options = {"features": ("mine:feature",), "heads": ("mine:head",), "reducers": ("pca3",), "data": str(images)}
    options |= {"size": 64, "weights": "none", "folds": 2, "inside": 0} | more
    compare(prepare(Study(**options, out="here", cache="one", jobs=1), quiet), quiet)
    lines = []
    there = Study(**options, out="there", cache="two", backend=backend, scheduler=scheduler)
    compare(prepare(there, quiet), lines.append)
    assert Path("died-once-a-head").exists()
    same_bytes(Path("here"), Path("there"))
    assert lines[0].startswith(f"cluster: 2 workers of {backend} on 1 machine, each with a budget of ")
    assert [path.name for path in Path("two").iterdir() if path.name.startswith("cluster-")] == []


def check_deaths(prepared, mine):
    """A call whose worker is killed is done again; one that kills each is lost; all others go on."""
    found = do(prepared, mine.die, ["a", "once-b", "always-c", "d", "e"])
    lost = found.pop("always-c")
    assert {name: ended.found for name, ended in found.items()} == {name: name for name in found}
    assert len(found) == 4 and not any(ended.lost for ended in found.values())
    assert lost.found is None and lost.lost.startswith("memory: its worker process was killed twice")
    assert "free memory on the workers' machines, or" in lost.lost


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, NETWORKS], ids=["features", "networks"])
def test_dask_gives_the_same_bytes_though_workers_are_killed(dask, mine, phantom_folder, more):
    compare_both(phantom_folder, "dask", dask.scheduler_address, **more)


@pytest.mark.slow
@pytest.mark.skipif(not TEXTURE.exists(), reason="../shared/data is not beside the checkout")
def test_dask_gives_the_same_bytes_of_a_real_table_though_a_worker_is_killed_from_outside(dask, mine):
    options = {"data": str(TEXTURE), "folds": 3}
    compare(prepare(Study(**options, out="here", cache="one", jobs=1), quiet), quiet)
    journal, killed = Path("there/journal.jsonl"), []

    def kill():
        while not journal.exists() or len(journal.read_bytes().splitlines()) < 6:
            time.sleep(0.05)
        killed.append(next(iter(dask.workers.values())).process.pid)
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    there = Study(**options, out="there", cache="two", backend="dask", scheduler=dask.scheduler_address)
    compare(prepare(there, quiet), quiet)
    killer.join()
    assert killed and killed[0] not in [worker.process.pid for worker in dask.workers.values()]
    same_bytes(Path("here"), Path("there"))


@pytest.mark.slow
def test_a_call_of_dask_that_kills_its_worker_is_lost_and_the_others_go_on(dask, at, mine, monkeypatch):
    monkeypatch.setattr(dask.scheduler, "allowed_failures", 0)  # each death is then an error
    with opened(at(backend="dask", scheduler=dask.scheduler_address), quiet) as prepared:
        check_deaths(prepared, mine)


def test_an_error_of_a_call_is_raised_and_what_waits_is_cancelled(dask, at, mine):
    began = time.monotonic()
    with opened(at(backend="dask", scheduler=dask.scheduler_address), quiet) as prepared:
        with pytest.raises(ValueError, match="invalid literal"):
            do(prepared, int, ["1", "x", "2"])
        calls = [Call(k, 0) for k in range(60)]
        ended = side_by_side(mine.slowly, calls, "calls", 1, 0, 1, prepared.cluster)
        next(ended)
        ended.close()
    while dask.scheduler.tasks and time.monotonic() - began < 10:
        time.sleep(0.05)
    assert not dask.scheduler.tasks and len(list(Path().glob("ran-*"))) < 20


def test_workers_see_a_module_and_what_it_imports_as_they_are_now(dask, at, monkeypatch):
    def write(value):
        Path("edited.py").write_text(f"VALUE = {value}\n\ndef read(_):\n    from lab import tools\n{found}")
        Path("lab/deep.py").write_text(f"VALUE = {value + 1}\n")

    found = "    return VALUE, tools.VALUE\n"
    Path("lab").mkdir()
    Path("lab/tools.py").write_text("from lab.deep import VALUE\n")
    write(1)
    edited = __import__("edited")
    monkeypatch.setitem(sys.modules, "edited", edited)
    for value in (1, 22):
        write(value)
        with opened(at(backend="dask", scheduler=dask.scheduler_address), quiet) as prepared:
            seen = [ended.found for ended in do(prepared, edited.read, range(4)).values()]
        assert seen == [(value, value + 1)] * 4


def test_workers_with_another_version_are_refused_before_any_work(dask, mine, feature_table, monkeypatch):
    monkeypatch.setattr(on_cluster, "versions", lambda: versions() | {"numpy": "1.0", "xgboost": "9"})
    study = Study(data=str(feature_table), out="out", backend="dask", scheduler=dask.scheduler_address)
    with pytest.raises(ClusterError) as why:
        compare(prepare(study, quiet), quiet)
    mine = versions()
    assert (
        f"cannot do the work: other versions, with which numbers differ (numpy {mine['numpy']} there, 1.0 here; "
        in (str(why.value))
    )
    assert str(why.value).endswith("9 here): install the same on all machines") and not Path("out").exists()


def test_each_worker_has_its_own_budget(dask, at):
    address = dask.scheduler_address
    (limit,) = {worker.memory_limit for worker in dask.scheduler.workers.values()}
    with opened(replace(at(backend="dask", scheduler=address), budget=10**15), quiet) as prepared:
        assert 0 < prepared.budget <= SHARE * limit
    with opened(replace(at(backend="dask", scheduler=address), budget=7 * 10**8), quiet) as prepared:
        assert prepared.budget == prepared.cluster.budget == 7 * 10**8


@pytest.fixture
def alone():
    """A Dask cluster whose scheduler and worker are in this process."""
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    here = {"processes": False, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(1, **here) as cluster:
        yield cluster


def test_a_cluster_that_goes_away_ends_the_work_with_a_message(alone, at, mine):
    with opened(at(backend="dask", scheduler=alone.scheduler_address), quiet) as prepared:
        ended = side_by_side(mine.slowly, [Call(k, 0) for k in range(60)], "calls", 1, 0, 1, prepared.cluster)
        next(ended)
        end = threading.Thread(target=alone.close)
        end.start()
        with pytest.raises(ClusterError) as why:
            list(ended)
        end.join()
    assert str(why.value) == (
        "the cluster is gone: what is finished is kept; start it and run the same command again to continue"
    )


def test_where_all_workers_have_left_it_says_so_and_goes_on_with_others(alone, at, mine, monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE_S", 0.01)
    with opened(at(backend="dask", scheduler=alone.scheduler_address), quiet) as prepared:
        ended = side_by_side(mine.slowly, [Call(k, 0) for k in range(4)], "calls", 1, 0, 1, prepared.cluster)
        found = [next(ended).found]
        alone.scale(0)
        comes = threading.Timer(1.5, alone.scale, [1])
        comes.start()
        found += [one.found for one in ended]
    assert sorted(found) == [0, 1, 2, 3]
    line = f"waiting for workers: start some with `dask worker {alone.scheduler_address} --nworkers 4 --nthreads 1`\n"
    assert line in capsys.readouterr().err


def test_workers_that_end_before_they_begin_are_not_tried_for_ever(run):
    def submit(stage, *given):
        future = Future()
        future.set_exception(ProcessLookupError())
        return future

    at = Connection(submit, Future.result, (ProcessLookupError,), list, lambda: True, str, list)
    with pytest.raises(ClusterError, match=r"^workers end before they begin their work: install the same glomfeat on "):
        list(Cluster(run, at, Lending(Path(run.folder)), 1, 1).each(abs, [Call(-1, 0)], 1))


def most_held():
    """Bytes: the largest resident set of this process since it began."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process held at most is read from /proc")
def test_workers_hold_no_more_than_their_budget_and_leave_what_would_take_more(tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    n, width = 6_000, 4_000
    np.save(tmp_path / "t.npy", np.random.default_rng(0).standard_normal((n, width), np.float32))
    names = [f"P{row // 40:03d}_{row}.png" for row in range(n)]
    pd.DataFrame({"name": names, "label": np.arange(n) % 2}).to_csv(tmp_path / "t.csv", index=False)
    study = Study(data=str(tmp_path / "t.npy"), reducers=("ipca16", "none"), heads=("logreg",), folds=2)
    study = replace(study, groups=r"^(?P<case>P\d+)_", out=str(tmp_path / "out"), cache=str(tmp_path / "cache"))
    with distributed.LocalCluster(2, threads_per_worker=1, memory_limit="900MB", dashboard_address=":0") as cluster:
        study = replace(study, backend="dask", scheduler=cluster.scheduler_address)
        compare(prepare(study, quiet), quiet)
        with distributed.Client(cluster) as client:
            held = client.run(most_held)
    trials = pd.read_csv(tmp_path / "out" / "trials.csv")
    fits, does_not = (trials[trials.arm.str.endswith(f"/{name}/logreg")] for name in ("ipca16", "none"))
    assert len(fits) == len(does_not) == 2 and (fits.status == "done").all() and (does_not.status == "skipped").all()
    assert does_not.reason.str.startswith("memory: needs 682.0 MB (6000 rows of 4000 columns").all()
    assert len(held) == 2 and max(held.values()) <= SHARE * 900e6


def test_without_scheduler_or_workers_there_is_one_message(at, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.setattr(connections, "CONNECT_S", 0.3)
    monkeypatch.setattr(connections, "WORKERS_S", 0.3)
    assert "needs --scheduler: the address that `dask scheduler` says" in refused(at(backend="dask"))
    said = refused(at(backend="dask", scheduler="tcp://127.0.0.1:9"))
    assert said.startswith("no Dask scheduler answers at tcp://127.0.0.1:9 (") and "`dask scheduler`" in said
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        said = refused(at(backend="dask", scheduler=empty.scheduler_address))
    assert said.endswith(f"`dask worker {empty.scheduler_address} --nworkers 4 --nthreads 1`")


@pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_what_is_not_installed_says_what_to_install(at, monkeypatch, backend, package):
    monkeypatch.setitem(sys.modules, package, None)
    expected = f'--backend {backend} needs the package {package}: pip install "glomfeat[{backend}]"'
    assert refused(at(backend=backend, scheduler="tcp://127.0.0.1:9")) == expected


def test_a_scheduler_without_a_backend_is_refused():
    with pytest.raises(StudyError, match="--scheduler is tcp://a:1: say with --backend whether dask or ray runs there"):
        Study(scheduler="tcp://a:1").check()


def packed(function, item):
    """What is sent where nothing is lent."""
    return pack(function, item, Lending(None))


@pytest.fixture
def run(tmp_path):
    """What workers are told of a run that this process could do."""
    folder = tmp_path / "cache" / "cluster-1"
    folder.mkdir(parents=True)
    (folder / "token").write_text("1")
    (tmp_path / "seen.png").touch()
    with zipfile.ZipFile(tmp_path / "seen.zip", "w") as archive:
        archive.writestr("a.png", b"bytes")
    return Run("1", str(folder), str(tmp_path), ("seen.png", "seen.zip/a.png"), is_seen, (), versions())


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, ()),
        ({"token": "2"}, "it cannot read and write the cache {0}/cache: name a folder that all machines share with "),
        ({"folder": "/nowhere/at/all"}, "it cannot read and write the cache /nowhere/at: "),
        ({"here": "/nowhere"}, "it does not see the folder /nowhere: start the study in a folder that all machines "),
        ({"images": ("seen.png", "b.png")}, "it cannot read the image b.png: put the images on a file system that "),
        ({"images": ("seen.zip/b.png",)}, "it cannot read the image seen.zip/b.png: "),
        ({"modules": ("no_such_lab",)}, "it has no module no_such_lab: put it into {0}, or on the PYTHONPATH of "),
        ({"versions": {}}, "other versions, with which numbers differ (glomfeat "),
    ],
)
def test_a_worker_says_what_it_lacks(run, tmp_path, monkeypatch, change, wrong):
    monkeypatch.setattr(sys, "path", list(sys.path))
    found = look(replace(run, **change))
    assert found.limit_bytes > 0 and len(found.wrong) == bool(wrong)
    if wrong:
        assert found.wrong[0].startswith(wrong.format(tmp_path))
        with pytest.raises(ClusterError, match=r"^the workers on a cannot do the work: "):
            budget_of([replace(found, host="a")])
        with pytest.raises(ClusterError, match="cannot do the work: "):  # one that joins later refuses by itself
            call(replace(run, **{"token": str(change)} | change), "s", 0, packed(abs, -1), 1)


@pytest.mark.parametrize(
    ("seen", "budget"),
    [
        ([("a", 100, None)], 80),
        ([("a", 100, None), ("a", 100, None)], 40),
        ([("a", 100, 30), ("b", 50, 90)], 24),
    ],
)
def test_workers_of_one_machine_share_its_memory(seen, budget):
    assert budget_of([Seen(*one, ()) for one in seen]) == budget


def wait_and_note(name):
    began = time.monotonic()
    time.sleep(0.05)
    return began, time.monotonic(), str(Path.cwd()), name


def test_a_worker_with_several_threads_does_one_call_at_a_time(run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    found, sent = [], packed(wait_and_note, "x")
    threads = [threading.Thread(target=lambda k=k: found.append(call(run, "s", k, sent, 1))) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = sorted(result[0][:2] for result in found)
    assert all(ended <= began for (_, ended), (began, _) in pairwise(spans))
    assert {result[0][2] for result in found} == {str(tmp_path)} and Path.cwd() != tmp_path
    assert list(Path(run.folder).iterdir()) == [Path(run.folder) / "token"]


def test_a_network_is_kept_until_other_calls_come(run, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    released = []
    net = object()
    call(run, "first", 0, packed(abs, -1), 1)
    assert remote.keep("a", net, lambda: released.append("net")) is net and remote.keep("a", None) is net
    call(run, "first", 1, packed(abs, -1), 1)
    assert not released and remote.keep("a", None) is net
    call(run, "second", 0, packed(abs, -1), 1)
    assert released == ["net"] and remote.keep("b", 1) == 1
    remote._KEPT.clear()


def task_of(folder, n):
    """The last trial's task of a table of so many rows."""
    rng = np.random.default_rng(0)
    names = [f"P{row % 60:02d}_PAS_1of1_{row:024x}.png" for row in range(n)]
    columns = {"label": rng.integers(0, 2, n), "a": rng.normal(size=n), "b": rng.normal(size=n)}
    folder.mkdir()
    pd.DataFrame({"name": names, **columns}).to_csv(folder / "table.csv", index=False)
    study = Study(data=str(folder / "table.csv"), reducers=("pca1",), heads=("logreg",), cache=str(folder / "cache"))
    prepared = prepare(study, quiet)
    found = extract(prepared.manifest, prepared.features, prepared.preprocess, prepared.store)
    folds = make_folds(found.manifest, "cv", 5, 1, 0)
    return make_tasks(prepared.trials, prepared.study, folds, found, {}, prepared.store, prepared.free)[-1]


def test_workers_are_sent_names_and_numbers_and_open_the_rest_themselves(tmp_path):
    few, many = (task_of(tmp_path / str(n), n) for n in (600, 5758))
    lend = Lending(tmp_path)
    sent = {len(task.labels): pack(run_trial, task, lend) for task in (few, many, many)}
    assert len(sent[5758]) < 3_000 and len(sent[5758]) < len(sent[600]) + 300
    function, task = pickle.loads(zlib.decompress(sent[5758]))
    assert function is run_trial and task.trial == many.trial and not task.train.flags.writeable
    assert len(lend.lent) == len(list(tmp_path.glob("array-*.npy")))  # that were sent twice lie there once
    for name in ("labels", "train", "test"):
        np.testing.assert_array_equal(getattr(task, name), getattr(many, name))
    assert run_trial(task)["scores"] == run_trial(many)["scores"]
    remote._KEPT.clear()


@pytest.mark.slow
def test_ray_gives_the_same_bytes_though_workers_are_killed(ray, mine, phantom_folder):
    compare_both(phantom_folder, "ray", None, **NETWORKS)


@pytest.mark.slow
def test_a_call_of_ray_that_kills_its_worker_is_lost_and_the_others_go_on(ray, at, mine):
    with opened(at(backend="ray"), quiet) as prepared:
        check_deaths(prepared, mine)
        with pytest.raises(ValueError, match="invalid literal"):
            do(prepared, int, ["1", "x", "2"])


def test_where_no_ray_runs_there_is_one_message(at, monkeypatch):
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")

    def refuse(address, **options):  # Ray itself asks for minutes
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    said = refused(at(backend="ray", scheduler="127.0.0.1:9"))
    assert said.startswith("no Ray cluster answers at 127.0.0.1:9 (nobody there): start one with `ray start --head`")
