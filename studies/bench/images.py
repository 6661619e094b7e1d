"""What `studies.bench` measures of ours on images; imports are where they are used, so that each holds its own."""

import hashlib

import numpy as np

from glomfeat.core.cache import Store
from studies.bench.data import FIRST, image_paths
from studies.bench.plan import FOLDS


def decode_ours(folder, images, size, jobs):
    """Decode and resize shard by shard in threads."""
    from glomfeat.core.cache import ROWS_PER_SHARD
    from glomfeat.data.images.decode import Preprocess
    from glomfeat.features.decode import decode_rows

    paths = image_paths(images)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    kept = None
    yield
    for k in range(0, len(paths), ROWS_PER_SHARD):
        part = slice(k, k + ROWS_PER_SHARD)
        found = decode_rows(paths[part], digests[part], Preprocess(size), jobs)["pixels"]
        kept = found[:FIRST] if kept is None else kept
    yield lambda: kept


def extract_ours(folder, images, size, weights, device, jobs):
    """Extract a network's features; pixels are found in the store or decoded."""
    from glomfeat.data.images.decode import Preprocess
    from glomfeat.data.manifest import read_manifest
    from glomfeat.features.extract import extract
    from glomfeat.features.make import make_feature

    manifest = read_manifest(images)
    feature = make_feature("resnet18", weights, device=device, side=size)
    feature.transform(np.zeros((FIRST, size, size, 3), np.uint8))
    yield
    found = extract(manifest, [feature], Preprocess(size), Store(str(folder / "store")), jobs)
    yield lambda: found.matrices[feature.name][np.arange(min(FIRST, len(manifest)))]


def extract_tiny(folder, images, width, jobs):
    """Describe many small images by many numbers: what grows is their number alone."""
    from functools import partial

    from glomfeat.data.images.decode import Preprocess
    from glomfeat.data.manifest import read_manifest
    from glomfeat.features.extract import extract
    from glomfeat.features.make import Handcrafted

    manifest = read_manifest(images)
    feature = Handcrafted("bench.v1", partial(_repeated, width), standardise=False)
    yield
    extract(manifest, [feature], Preprocess(16), Store(str(folder / "store")), jobs)
    yield


def _repeated(width, image, size):
    return np.resize(image, width)


def read_ours(folder, images):
    """Read a manifest, with the digest of every file."""
    from glomfeat.data.manifest import read_manifest
    from glomfeat.data.schemes import CrossValidation

    yield
    read_manifest(images, scheme=CrossValidation(FOLDS))
    yield


def deal_ours(folder, images, seed):
    """Deal cases to folds, and those of each fold's training rows to the splits inside them."""
    from glomfeat.data.manifest import read_manifest
    from glomfeat.data.splits import fold_rows, inner_splits, inner_valid_split, make_folds

    manifest = read_manifest(images)
    yield
    folds = make_folds(manifest, "cv", FOLDS, 1, seed)
    labels, cases = manifest.labels, manifest.cases
    for fold in range(FOLDS):
        train, _, valid = fold_rows(folds, 0, fold)
        inner_splits(labels, cases, train, valid, seed)
        inner_valid_split(labels, cases, train, valid, seed)
    yield


def audit_ours(folder, images, jobs, memory, seed):
    """Audit a data set whose images are cases of their own."""
    from glomfeat.checks.data.run import audit
    from glomfeat.comparison.budget import free_bytes
    from studies.audit import Options

    options = Options(data=images, groups="none", size=32, seed=seed)
    yield
    audit(options, folder / "store", jobs, free_bytes(memory, torch=False))
    yield


def train_tiny(folder, images, side, device, jobs, seed):
    """Train a network for two epochs on stored pixels of many small images, judge each, and score the tested rows."""
    from glomfeat.data.images.decode import LANCZOS, Preprocess
    from glomfeat.data.manifest import read_manifest
    from glomfeat.data.splits import deal
    from glomfeat.features.extract import extract
    from glomfeat.models.nets.run import train_and_score

    manifest = read_manifest(images)
    found = extract(manifest, [], Preprocess(side), Store(str(folder / "store")), jobs, sides=[side])
    pixels, labels = found.pixels[side, LANCZOS], manifest.labels
    part = deal(labels, manifest.cases, [0.2, 0.1, 0.7], seed)
    test, valid, fit = (np.flatnonzero(part == number) for number in range(3))
    settings = {"side": side, "epochs": 2, "device": device, "seed": seed}
    yield
    train, inner = np.union1d(fit, valid), [(fit, valid)]
    train_and_score("compact", settings, pixels, labels, train, inner, test, "balanced")
    yield


def train_ours(folder, images, name, size, batch, passes, device, jobs, synthetic):
    """Train a network on stored pixels, or as many steps on one batch that lies in memory."""
    from glomfeat.data.images.decode import LANCZOS, Preprocess
    from glomfeat.data.manifest import read_manifest
    from glomfeat.features.extract import extract
    from glomfeat.models.nets.batches import Rows
    from glomfeat.models.nets.make import make_net
    from glomfeat.models.nets.repeating import reproducible

    manifest = read_manifest(images)
    found = extract(manifest, [], Preprocess(size), Store(str(folder / "store")), jobs, sides=[size])
    net = make_net(name, side=size, device=device, batch=batch, weights="none")
    with reproducible(net.device):
        net.initialize()
        net._weight_classes(manifest.labels)
        rows = Rows(found.pixels[size, LANCZOS], manifest.labels)
        one = rows[np.arange(min(batch, len(rows)))]
        for _ in range(2):
            float(net.train_step(one)["loss"])  # reading the number waits for the device
        batches, loss = net.get_iterator(rows, training=True), 0.0
        yield
        for _ in range(passes):
            for step in [one] * -(-len(rows) // batch) if synthetic else batches:
                loss = net.train_step(step)["loss"]
        float(loss)
        yield
