"""What `studies.bench` measures of ours. torch, and what a comparison does without, is imported where it is used."""

import contextlib
import hashlib
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.naive_bayes import GaussianNB

from glomfeat.comparison.budget import free_bytes
from glomfeat.comparison.compare import compare as compare_arms
from glomfeat.comparison.on_cluster import opened
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.run import Before, do_before, make_sums, run
from glomfeat.comparison.tasks import Splits, make_tasks, reduction_of
from glomfeat.comparison.trial import megabytes
from glomfeat.core.arms import FLOOR
from glomfeat.core.cache import ROWS_PER_SHARD, Matrix, Store
from glomfeat.core.workers import Call, side_by_side
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.manifest import read_manifest
from glomfeat.data.schemes import CrossValidation
from glomfeat.data.splits import deal, inner_splits, make_folds
from glomfeat.features.decode import decode_rows
from glomfeat.features.extract import extract
from glomfeat.features.make import Handcrafted, make_feature
from glomfeat.features.shards import Mapped
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import scores_of
from glomfeat.models.reducers.routes import find_route
from glomfeat.models.selection import fit_chosen
from glomfeat.results.journal import Journal
from studies.bench.data import labels_and_cases
from studies.bench.peers import FIRST, image_paths

FOLDS = 5


def quiet(line):
    """Say nothing."""


def decode(folder, images, size, jobs):
    """Decode and resize shard by shard in threads."""
    paths, first = image_paths(images), None
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    yield
    for k in range(0, len(paths), ROWS_PER_SHARD):
        part = slice(k, k + ROWS_PER_SHARD)
        pixels = decode_rows(paths[part], digests[part], Preprocess(size), jobs)["pixels"]
        first = pixels[:FIRST] if first is None else first
    yield first


def read_pixels(folder, images, size, jobs):
    """A manifest, the store in which its images are decoded, and their pixels."""
    manifest, store = read_manifest(images), Store(str(folder / "store"))
    view = Preprocess(size)
    return manifest, store, extract(manifest, [], view, store, jobs, also=[view]).pixels[view]


def describe(folder, images, size, device, jobs, stored):
    """Extract a network's features; pixels are in the store, or decoded."""
    if stored:
        read_pixels(folder, images, size, jobs)
    manifest, feature = read_manifest(images), make_feature("resnet18", "none", device=device, side=size)
    feature.transform(np.zeros((FIRST, size, size, 3), np.uint8))
    yield
    found = extract(manifest, [feature], Preprocess(size), Store(str(folder / "store")), jobs)
    yield found.matrices[feature.name][np.arange(min(FIRST, len(manifest)))]


def describe_tiny(folder, images, width, jobs):
    """Describe many small images by many numbers: what grows is their number alone."""
    manifest, feature = read_manifest(images), Handcrafted("bench.v1", partial(_repeated, width), standardise=False)
    yield
    extract(manifest, [feature], Preprocess(16), Store(str(folder / "store")), jobs)
    yield


def _repeated(width, image, size):
    return np.resize(image, width)


def read(folder, images):
    """Read a manifest, with the digest of every file."""
    yield
    read_manifest(images, scheme=CrossValidation(FOLDS))
    yield


def split(folder, images, seed):
    """Deal cases to folds, and make the splits inside each fold's training rows, for heads and for networks."""
    manifest = read_manifest(images)
    yield
    splits = Splits(manifest, make_folds(manifest, "cv", FOLDS, 1, seed), seed)
    for fold in range(FOLDS):
        splits.of_heads(0, fold)
        splits.of_nets(0, fold)
    yield


def audit(folder, images, jobs, memory, seed):
    """Audit a data set whose images are cases of their own."""
    from glomfeat.checks.data.run import audit
    from studies.audit import Options

    options = Options(data=images, groups="none", size=32, seed=seed)
    yield
    audit(options, folder / "store", jobs, free_bytes(memory, torch=False))
    yield


def reduce(folder, table, reducer, measured, repeats, jobs, memory, seed):
    """Reduce a table for the first folds as a study would do it; give the training rows of the first one."""
    manifest = read_manifest(f"file:{table}")
    _start_workers(jobs, memory)  # once, however many folds there are: what is extrapolated must not hold it
    yield
    matrix, splits = (
        _matrix_of(table, manifest),
        Splits(manifest, make_folds(manifest, "cv", FOLDS, repeats, seed), seed),
    )
    trials = list(product(range(repeats), range(FOLDS)))
    free = free_bytes(memory, torch=False, images=len(manifest))
    route = find_route(reducer, matrix, repeats, len(trials), standardise=False, free=free)
    rest = reducer, matrix, False, {"bench": table}, route, len(trials), Store(str(folder / "store")), 1
    reductions = [reduction_of(*rest, splits.outer(*trial)[0]) for trial in trials[:measured]]
    make_sums(reductions, jobs)
    calls = [Call(Before(one, (), route.fold.bytes), route.fold.bytes) for one in reductions]
    for ended in side_by_side(do_before, calls, "folds", jobs, memory):
        if ended.lost:
            raise MemoryError(ended.lost)
    yield reductions[0].rows()[0][reductions[0].train]


def _matrix_of(table, manifest):
    """The rows of a table where they lie, in parts as if they had been stored."""
    rows, names = np.load(table, mmap_mode="r"), manifest.table["name"].tolist()
    parts = [slice(k, k + ROWS_PER_SHARD) for k in range(0, len(rows), ROWS_PER_SHARD)]
    begins = [rows.offset + part.start * rows.strides[0] for part in parts]
    places = [Mapped(table, at, rows[part].shape, rows.dtype) for at, part in zip(begins, parts, strict=True)]
    return Matrix(places, names, [names[part] for part in parts])


def compare(folder, done="", **options):
    """Run a comparison: nothing is stored, or all that another run has left in a folder is there."""
    yield
    home, aurocs = Path(done or folder), {}
    study = Study(**options, out=str(home / "out"), cache=str(home / "store"))
    found, _, _ = compare_arms(prepare(study, quiet), quiet)
    for trial, row in zip(found.trials, found.own_trials.itertuples(), strict=True):
        if row.status != "done":
            raise RuntimeError(f"{row.arm}: {row.status}: {row.reason}")
        if trial.arm.head != FLOOR:
            table = trial.arm.feature.partition(".")[0]
            aurocs[table, trial.arm.head, trial.repeat, trial.fold] = row.auroc
    yield aurocs


def quick_head(seed):
    """A head that is fitted in no time, where it does not matter how well."""
    return GaussianNB()


def report(folder, done):
    """Write the report of a finished comparison."""
    from glomfeat.report.write import write_report

    yield
    write_report(Path(done) / "out")
    yield


def fit_head(folder, name, n, width, seed):
    """Choose a head's setting, fit it on reduced rows and score the others."""
    labels, cases = labels_and_cases(n, seed)
    part = deal(labels, cases, [0.2, 0.8], seed)
    train = np.flatnonzero(part == 1)
    X = np.random.default_rng(seed).standard_normal((n, width), np.float32)
    X += labels[:, None].astype(np.float32) * np.float32(1 / np.sqrt(width))
    inner = inner_splits(labels, cases, train, [], seed)
    yield
    chosen = fit_chosen(make_head(name, seed), X, labels, train, inner, 2, "balanced")
    scores_of(chosen.estimator, X[part == 0], 2)
    yield


def train(folder, images, size, device, jobs, seed, in_memory):
    """Train a network for two epochs on stored pixels, judge each, and score the tested rows."""
    from glomfeat.models.nets.run import train_and_score

    manifest, _, pixels = read_pixels(folder, images, size, jobs)
    part = deal(manifest.labels, manifest.cases, [0.2, 0.1, 0.7], seed)
    test, valid, fit = (np.flatnonzero(part == number) for number in range(3))
    settings = {"side": size, "epochs": 2, "device": device, "seed": seed}
    pixels = pixels[:] if in_memory else pixels
    yield
    rows = np.union1d(fit, valid), [(fit, valid)], test
    yield train_and_score("compact", settings, pixels, manifest.labels, *rows, "balanced")[1]


def trials(folder, backend, jobs, **options):
    """Run the inner models and trials of a study when the workers have started: what is timed starts nothing."""
    rest = {"jobs": jobs, "out": str(folder / "out"), "cache": str(folder / "store"), "backend": backend}
    with _started(backend, jobs) as address:
        prepared = prepare(Study(**options, **rest, scheduler=address), quiet)
        with opened(prepared, quiet) as prepared:
            study, store = prepared.study, prepared.store
            found = extract(prepared.manifest, prepared.features, prepared.preprocess, store)
            folds = make_folds(found.manifest, "cv", study.folds, study.repeats, study.seed)
            standardise = {feature.name: feature.standardise for feature in prepared.features}
            tasks = make_tasks(prepared.trials, study, folds, found, standardise, store, prepared.free)
            _start_workers(jobs, prepared.budget, prepared.cluster)
            limits = jobs, prepared.budget, prepared.free
            yield
            records = run(tasks, Journal(folder / "journal.jsonl"), *limits, cluster=prepared.cluster)
            for record in records.values():
                if record["status"] != "done":
                    raise RuntimeError(record["reason"])
            yield np.concatenate([np.ravel(records[key]["scores"]) for key in sorted(records)])


def _start_workers(jobs, budget, cluster=None):
    """Have each worker import what it will need."""
    list(side_by_side(megabytes, [Call(0, 0)] * 4 * jobs, "workers", jobs, budget, 1, cluster))


@contextlib.contextmanager
def _started(backend, jobs):
    """Start a cluster of so many processes on this machine; give its address, None where there is none."""
    if backend == "dask":
        from distributed import LocalCluster

        with LocalCluster(jobs, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
            yield cluster.scheduler_address
    elif backend == "ray":
        import ray

        ray.init(num_cpus=jobs, include_dashboard=False, log_to_driver=False, logging_level="error")
        yield None
        ray.shutdown()
    else:
        yield None
