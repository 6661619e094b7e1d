"""From a manifest to the stored matrix of each feature; images that cannot be read are set aside."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from joblib import Parallel, delayed

from glomfeat.features.base import Handcrafted, check_widths
from glomfeat.features.pixels import Pixels, decode_rows, read_checked
from glomfeat.features.table import Table
from glomfeat.images import ImageError
from glomfeat.manifest import Manifest
from glomfeat.progress import track
from glomfeat.store import Matrix, digest_of, plan_shards

AHEAD = 2


@dataclass(frozen=True)
class Extracted:
    """What extraction found.

    Attributes
    ----------
    manifest : Manifest
        Of the images that could be read.
    matrices : dict of str to Matrix
        By the feature's name, rows as in `manifest`.
    keys : dict of str to dict
        By the feature's name, what its numbers depend on.
    failed : dict of str to str
        Features that could not be computed, with the reason.
    quarantine : list of dict
        ``name`` and ``reason`` of the images that could not be read.
    pixels : dict of int to Matrix
        By the side of the square: uint8, rows of shape (side, side, 3).
    """

    manifest: Manifest
    matrices: dict = field(default_factory=dict)
    pixels: dict = field(default_factory=dict)
    keys: dict = field(default_factory=dict)
    failed: dict = field(default_factory=dict)
    quarantine: list = field(default_factory=list)


@dataclass(frozen=True)
class Shards:
    """The rows of each shard, with the digests that stand for them in keys."""

    rows: list
    digests: list

    def key(self, base, shard):
        return {**base, "rows": digest_of(self.members(shard))}

    def members(self, shard):
        return [self.digests[row] for row in self.rows[shard]]

    def matrix(self, arrays, digests):
        return Matrix(arrays, digests, [self.members(shard) for shard in range(len(self.rows))])


def extract(manifest, features, preprocess, store, jobs=1, on_error="skip", sides=()):
    """Compute what is not stored yet, and open all of it.

    Images are decoded once, whatever the number of features; while a network works on one shard, the next ones
    are decoded. Handcrafted features are computed by worker processes, shard by shard.

    Parameters
    ----------
    manifest : Manifest
    features : list
        Of `glomfeat.features.make_feature`.
    preprocess : Preprocess
    store : Store
    jobs : int
        Threads that decode and processes that compute.
    on_error : {"skip", "stop"}
        Whether an image that cannot be read is set aside or ends the run.
    sides : sequence of int
        Further sides at which pixels are wanted as they are, for networks.

    Returns
    -------
    Extracted

    Raises
    ------
    ImageError
        Images cannot be read and `on_error` is ``stop``, or none can.
    FeatureError
        A feature needs pixels and there are none.
    WeightsError
        Of deep features.
    """
    tables = [feature for feature in features if isinstance(feature, Table)]
    visual = [feature for feature in features if not isinstance(feature, Table)]
    found = Extracted(manifest)
    if visual:
        found = _from_pixels(manifest, visual, preprocess, store, jobs, on_error)
    for side in sorted(set(sides) - set(found.pixels)):
        other = _from_pixels(found.manifest, [], replace(preprocess, size=side), store, jobs, on_error)
        found = replace(found, manifest=other.manifest, quarantine=found.quarantine + other.quarantine)
        found.pixels.update(other.pixels)
    for feature in tables:
        _from_table(found, feature, store)
    return found


def _from_table(found, feature, store):
    names = found.manifest.table["name"].tolist()
    key = {**feature.key, "names": digest_of(names)}
    arrays = store.shard(key, lambda: {"rows": feature.rows(names)})
    found.matrices[feature.name] = Matrix([arrays["rows"]], names, [names])
    found.keys[feature.name] = key


def _from_pixels(manifest, features, preprocess, store, jobs, on_error):
    shards = Shards(plan_shards(manifest.table["digest"]), manifest.table["digest"].tolist())
    networks = [f for f in features if not isinstance(f, Handcrafted | Pixels)]
    opened, readable, failed, bad = [], [], {}, {}
    for shard, (arrays, reasons) in enumerate(_decoded(manifest, shards, preprocess, store, jobs, networks)):
        good = arrays["sizes"][:, 0] > 0
        bad |= reasons
        opened.append(arrays)
        readable.append(good)
        for feature in networks:
            if good.any() and feature.name not in failed:
                clean = Shards([shards.rows[shard][good]], shards.digests)
                key = clean.key({**feature.key, **preprocess.key}, 0)
                _attempt(failed, feature, _make_shard, store, key, feature, _rows_of(arrays, good))

    quarantine = [
        {"name": name, "reason": bad[digest]}
        for name, digest in zip(manifest.table["name"], manifest.table["digest"], strict=True)
        if digest in bad
    ]
    _check_quarantine(quarantine, len(manifest), on_error)
    kept = manifest.keep(~manifest.table["digest"].isin(bad).to_numpy()) if bad else manifest
    digests = kept.table["digest"].tolist()
    found = Extracted(kept, failed=failed, quarantine=quarantine)
    filled = [shard for shard, good in enumerate(readable) if good.any()]
    clean = Shards([shards.rows[shard][readable[shard]] for shard in filled], shards.digests)
    pixels = found.pixels[preprocess.size] = shards.matrix([a["pixels"] for a in opened], digests)
    for feature in features:
        if isinstance(feature, Pixels):
            found.matrices[feature.name] = pixels.flat()
            found.keys[feature.name] = preprocess.key
            continue
        base = {**feature.key, **preprocess.key}
        if isinstance(feature, Handcrafted):
            tasks = [
                (store, clean.key(base, k), feature, _rows_of(opened[shard], readable[shard]))
                for k, shard in enumerate(filled)
                if not store.has(clean.key(base, k))
            ]
            _attempt(failed, feature, _by_workers, tasks, feature.name, jobs)
        if feature.name not in failed:
            reads = [_rows_of(opened[shard], readable[shard]) for shard in filled]
            rows = [_make_shard(store, clean.key(base, k), feature, read) for k, read in enumerate(reads)]
            _attempt(failed, feature, check_widths, feature.name, rows)
        if feature.name not in failed:
            found.matrices[feature.name] = clean.matrix(rows, digests)
            found.keys[feature.name] = base
    return found


def _decoded(manifest, shards, preprocess, store, jobs, networks):
    """The pixels of each shard in turn, and why rows cannot be read; the next ones are decoded meanwhile."""
    paths, count = manifest.table["path"].tolist(), len(shards.rows)

    def decode(shard):
        members = shards.members(shard)
        where = [paths[row] for row in shards.rows[shard]]
        return store.shard(shards.key(preprocess.key, shard), lambda: decode_rows(where, members, preprocess, jobs))

    def why(shard, arrays):
        rows = shards.rows[shard][arrays["sizes"][:, 0] == 0]
        return {shards.digests[row]: _why(paths[row], shards.digests[row], preprocess) for row in rows}

    what = ", ".join(["images", *(feature.name for feature in networks)])
    with ThreadPoolExecutor(1) as ahead:
        pending = [ahead.submit(decode, shard) for shard in range(min(AHEAD, count))]
        for shard in track(range(count), what, count):
            arrays = pending.pop(0).result()
            if shard + AHEAD < count:
                pending.append(ahead.submit(decode, shard + AHEAD))
            reasons = why(shard, arrays)
            if None in reasons.values():
                store.forget(shards.key(preprocess.key, shard))  # another Pillow reads what an older one could not
                arrays = decode(shard)
                reasons = why(shard, arrays)
            yield arrays, reasons


def _rows_of(arrays, good):
    """Pixels and sizes of the readable rows, as a function, so that nothing is read before it is needed."""
    return lambda: (arrays["pixels"][good], arrays["sizes"][good])


def _make_shard(store, key, feature, read):
    return store.shard(key, lambda: {"rows": feature.transform(*read())})["rows"]


def _fill_shard(*task):
    _make_shard(*task)  # the array stays where it is


def _by_workers(tasks, name, jobs):
    done = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(_fill_shard)(*task) for task in tasks)
    for _ in track(done, name, len(tasks)):
        pass


def _attempt(failed, feature, compute, *arguments):
    """Run a computation of a feature; note why it failed, unless the reason is the machine's."""
    try:
        compute(*arguments)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        failed[feature.name] = f"{type(error).__name__}: {error}"


def _why(path, digest, preprocess):
    """Why an image cannot be read, or None if it can."""
    try:
        preprocess.read(read_checked(path, digest))
    except ImageError as error:
        return str(error)
    return None


def _check_quarantine(quarantine, total, on_error):
    if quarantine and (on_error == "stop" or len(quarantine) == total):
        shown = "; ".join(f"{row['name']}: {row['reason']}" for row in quarantine[:5])
        remedy = "" if len(quarantine) == total else ", or set them aside with --on-error skip"
        raise ImageError(f"{len(quarantine)} of {total} images cannot be read: repair or remove them{remedy} ({shown})")
