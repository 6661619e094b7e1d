"""The work of glomfeat that `studies.bench` measures.

torch, and whatever a comparison can do without, is imported where it is used.
"""

import contextlib
import hashlib
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.naive_bayes import GaussianNB

from glomfeat.comparison.budget import free_bytes
from glomfeat.comparison.carry_out import carry_out
from glomfeat.comparison.compare import compare as compare_arms
from glomfeat.comparison.folder import open_out
from glomfeat.comparison.on_cluster import opened
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.run import Before, do_before, make_sums
from glomfeat.comparison.tasks import Splits, reduction_of
from glomfeat.comparison.trial import megabytes
from glomfeat.core.arms import FLOOR
from glomfeat.core.cache import ROWS_PER_SHARD, Matrix, Store
from glomfeat.core.workers import Call, side_by_side
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.manifest import read_manifest
from glomfeat.data.splits import deal, inner_splits, make_folds
from glomfeat.features.decode import decode_rows
from glomfeat.features.extract import extract
from glomfeat.features.make import Handcrafted, make_feature
from glomfeat.features.shards import Mapped
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import scores_of
from glomfeat.models.reducers.routes import find_route
from glomfeat.models.selection import fit_chosen
from studies.bench.data import labels_and_cases
from studies.bench.peers import FIRST, image_paths

FOLDS = 5
quiet = str  # a function of a line that prints nothing


def decode(images, size, jobs):
    """Decode and resize shard by shard in threads."""
    paths, first = image_paths(images), None
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    yield
    for k in range(0, len(paths), ROWS_PER_SHARD):
        part = slice(k, k + ROWS_PER_SHARD)
        pixels = decode_rows(paths[part], digests[part], Preprocess(size), jobs)["pixels"]
        first = pixels[:FIRST] if first is None else first
    yield first


def read_pixels(images, size, jobs, folder):
    """Decode and store the pixels of images; return them and their labels."""
    manifest, view = read_manifest(images), Preprocess(size)
    return extract(manifest, [], view, Store(str(folder)), jobs, also=[view]).pixels[view], manifest.labels


def network(model, size, device, precision="float32"):
    """Make a network's feature with random parameters, in batches that fit into the device's memory."""
    return make_feature(model, "none", device=device, precision=precision, side=size).within(None, size)


def numbers(width):
    """Make a feature of `width` numbers that takes no time to calculate, so that only the number of images matters."""
    return Handcrafted("bench.v1", partial(_repeated, width), standardise=False)


def _repeated(width, image, size):
    return np.resize(image, width)


def describe(images, size, jobs, make):
    """Extract the feature that `make` returns from image files into an empty store."""
    manifest, feature = read_manifest(images), _warmed(make(), size)
    yield
    found = extract(manifest, [feature], Preprocess(size), Store("store"), jobs)
    if found.failed:
        raise RuntimeError(found.failed[feature.name])
    yield found.matrices[feature.name][np.arange(min(FIRST, len(manifest)))]


def stream(pixels, passes, size, jobs, make):
    """Run stored pixels through the network that `make` returns, `passes` times, and store nothing."""
    feature = _warmed(make(), size)
    yield
    flow = feature.stream(size, jobs)
    for shard in passes * pixels.shards():
        flow.add(shard, len)
    flow.finish()
    yield


def _warmed(feature, size):
    feature.transform(np.zeros((FIRST, size, size, 3), np.uint8), np.full((FIRST, 2), size))
    return feature


def train(name, pixels, labels, epochs, **settings):
    """Train a network on stored pixels, without inner-valid rows."""
    from glomfeat.models.nets.make import make_net

    few = np.unique(labels, return_index=True)[1]  # an image of each class, to warm up
    for rows, times in ((few, 1), (None, epochs)):
        make_net(name, weights="none", epochs=times, **settings).fit(pixels, labels, train=rows)
        yield


def split(images, seed):
    """Deal cases into folds, and make the inner splits of each fold's training rows, for heads and for networks."""
    manifest = read_manifest(images)
    yield
    splits = _splits(manifest, 1, seed)
    for fold in range(FOLDS):
        splits.of_heads(0, fold)
        splits.of_nets(0, fold)
    yield


def _splits(manifest, repeats, seed):
    return Splits(manifest, make_folds(manifest, "cv", FOLDS, repeats, seed), seed)


def reduce(table, reducer, measured, repeats, jobs, memory, seed):
    """Reduce a table for the first folds as a study does; yield the training rows of the first fold."""
    manifest = read_manifest(f"file:{table}")
    _start_workers(jobs, memory)  # happens once for any number of folds, so it must not be in what is extrapolated
    yield
    matrix, splits = _matrix_of(table, manifest), _splits(manifest, repeats, seed)
    trials = list(product(range(repeats), range(FOLDS)))
    free = free_bytes(memory, torch=False, images=len(manifest))
    route = find_route(reducer, matrix, repeats, len(trials), standardise=False, free=free)
    rest = reducer, matrix, False, {"bench": table}, route, len(trials), Store("store"), 1
    reductions = [reduction_of(*rest, splits.outer(*trial)[0]) for trial in trials[:measured]]
    make_sums(reductions, jobs)
    calls = [Call(Before(one, (), route.fold.bytes), route.fold.bytes) for one in reductions]
    for ended in side_by_side(do_before, calls, "folds", jobs, memory):
        if ended.lost:
            raise MemoryError(ended.lost)
    yield reductions[0].rows()[0][reductions[0].train]


def _matrix_of(table, manifest):
    """Map the rows of a table in its file, in parts as if they had been stored."""
    rows, names = np.load(table, mmap_mode="r"), manifest.table["name"].tolist()
    parts = [slice(k, k + ROWS_PER_SHARD) for k in range(0, len(rows), ROWS_PER_SHARD)]
    begins = [rows.offset + part.start * rows.strides[0] for part in parts]
    places = [Mapped(table, at, rows[part].shape, rows.dtype) for at, part in zip(begins, parts, strict=True)]
    return Matrix(places, names, [names[part] for part in parts])


def compare(done=".", **options):
    """Run a comparison, with nothing stored, or with everything that an earlier run has left in a folder."""
    home, aurocs = Path(done), {}
    study = Study(**options, out=str(home / "out"), cache=str(home / "store"))
    found, _, _ = compare_arms(prepare(study, quiet), quiet)
    for trial, row in zip(found.trials, found.own_trials.itertuples(), strict=True):
        if row.status != "done":
            raise RuntimeError(f"{row.arm}: {row.status}: {row.reason}")
        if trial.arm.head != FLOOR:
            table = trial.arm.feature.partition(".")[0]
            aurocs[table, trial.arm.head, trial.repeat, trial.fold] = row.auroc
    return aurocs


def quick_head(seed):
    """Make a head that is fitted in no time, for measurements in which its quality does not matter."""
    return GaussianNB()


def fit_head(name, n, width, seed):
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


def trials(backend, jobs, **options):
    """Run the inner models and trials of a study; the workers are started before, so that their start is not timed."""
    rest = {"jobs": jobs, "out": "out", "cache": "store", "backend": backend}
    with (
        _started(backend, jobs) as address,
        opened(prepare(Study(**options, **rest, scheduler=address), quiet), quiet) as prepared,
    ):
        journal = open_out(prepared)
        _start_workers(jobs, prepared.budget, prepared.cluster)
        yield
        records = carry_out(prepared, journal, quiet).records
        for record in records.values():
            if record["status"] != "done":
                raise RuntimeError(record["reason"])
        yield np.concatenate([np.ravel(records[key]["scores"]) for key in sorted(records)])


def _start_workers(jobs, budget, cluster=None):
    """Let each worker import what it will need."""
    list(side_by_side(megabytes, [Call(0, 0)] * 4 * jobs, "workers", jobs, budget, 1, cluster))


@contextlib.contextmanager
def _started(backend, jobs):
    """Start a cluster of `jobs` processes on this machine; yield its address, or None if it has none."""
    if backend == "dask":
        from distributed import LocalCluster

        with LocalCluster(jobs, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
            yield cluster.scheduler_address
    elif backend == "ray":
        import ray

        with ray.init("local", num_cpus=jobs, include_dashboard=False, log_to_driver=False, logging_level="error"):
            yield None
    else:
        yield None
