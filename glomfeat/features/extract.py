"""From a manifest to the stored matrix of each feature; images that cannot be read are set aside."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
from sklearn.utils import gen_batches

from glomfeat.core.cache import Matrix, digest_of, plan_shards
from glomfeat.core.errors import ChangedError
from glomfeat.core.memory import held_bytes
from glomfeat.core.part_errors import calling
from glomfeat.core.progress import track
from glomfeat.core.words import printable
from glomfeat.core.workers import PROCESS_BYTES, Call, side_by_side
from glomfeat.data.images.decode import ImageError
from glomfeat.features.base import FeatureError, Handcrafted, as_feature, check_widths
from glomfeat.features.budget import find_pace, is_network, largest_source
from glomfeat.features.decode import decode_rows, read_checked
from glomfeat.features.pixels import Pixels
from glomfeat.features.seen import plain, view_of
from glomfeat.features.shards import Extracted, InTurn, Part, Shards, attempt, make_shard, mapped
from glomfeat.features.table import Table
from glomfeat.features.users import is_users, method_of

TABLE_ROWS = 1024  # rows in a shard; tables change as a whole, so their rows are not dealt into shards by digest


def refuse_blind(manifest, features, data):
    """Refuse image features if the data set is a table of features.

    Parameters
    ----------
    manifest : Manifest
    features : list
        As `glomfeat.features.make.make_feature` returns them.
    data : path-like
        The path that the user gave.

    Raises
    ------
    FeatureError
        A feature needs images.
    """
    blind = [feature.name for feature in features if manifest.source and not isinstance(feature, Table)]
    if blind:
        raise FeatureError(f"{', '.join(blind)}: {data} is a feature table without images; use file: features")


class UnreadError(ImageError):
    """So many images cannot be read that nothing can be extracted.

    Attributes
    ----------
    quarantine : list of dict
        ``name`` and ``reason`` of all images that cannot be read.
    """

    def __init__(self, message, quarantine=()):
        super().__init__(message)
        self.quarantine = quarantine


def extract(
    manifest,
    features,
    preprocess,
    store,
    jobs=1,
    on_error="skip",
    also=(),
    budget=None,
    cluster=None,
    apart=False,
    seconds=None,
):
    """Compute the features that are not stored yet, and open all of them.

    Images are decoded once for all features that read them in the same way. While a network works on one shard, the
    next ones are decoded. Worker processes compute handcrafted features, shard by shard.

    Parameters
    ----------
    manifest : Manifest
    features : list
        As `glomfeat.features.make.make_feature` returns them.
    preprocess : Preprocess
        How images are read for features that do not set this themselves.
    store : Store
    jobs : int
        How many threads decode, and how many processes compute.
    on_error : {"skip", "stop"}
        Whether an image that cannot be read is set aside or ends the run.
    also : sequence of Preprocess
        Further ways of reading images, for networks that take the pixels themselves.
    budget : int or None
        Bytes that may be used on top of what this process holds; None for no limit. It determines how many shards are
        decoded ahead, how many threads and processes work, and the batches of networks.
    cluster : glomfeat.core.cluster.calls.Cluster, optional
        Its workers decode and describe the images, one shard at a time, as far as the memory budget of each allows.
    apart : bool
        Whether worker processes compute the user's own features even with one job, because these may crash.
    seconds : float, optional
        With `apart`: how long a feature of the user's own may take for an image, or for one call if it takes many.

    Returns
    -------
    Extracted

    Raises
    ------
    BudgetError
        The budget is too small; raised before any work is done.
    UnreadError
        Images cannot be read and `on_error` is ``stop``, or none can, or none of a class.
    OSError
        Images changed while they were being read.
    FeatureError
        A feature needs pixels and there are none.
    WeightsError
        The weights of a deep feature cannot be used.
    """
    features = list(map(as_feature, features))
    tables = [feature for feature in features if isinstance(feature, Table)]
    asked, found = views_of(features, preprocess, also), Extracted(manifest)
    if asked:
        shards = Shards(plan_shards(manifest.table["digest"]), manifest.table["digest"].tolist())
        rows, source = max(map(len, shards.rows), default=0), largest_source(manifest.table["path"].tolist())
        jobs = 1 if cluster else jobs
        given = rows, source, jobs, budget
        asked = {view: find_pace(of, view.size, *given, stain=bool(view.stain)) for view, of in asked.items()}
    for view, pace in asked.items():
        broken = _by_cluster(manifest, pace, view, store, cluster) if cluster else {}
        other = _from_pixels(manifest, pace, view, store, on_error, broken, apart, seconds)
        if found.pixels and {row["name"] for row in other.quarantine} != {row["name"] for row in found.quarantine}:
            raise ChangedError("the images that can be read have changed during the run: start again")
        found = replace(
            other,
            pixels=found.pixels | other.pixels,
            matrices=found.matrices | other.matrices,
            keys=found.keys | other.keys,
            failed=found.failed | other.failed,
            as_were=found.as_were | other.as_were,
        )
    for feature in tables:
        _from_table(found, feature, store)
    return found


def views_of(features, preprocess, also=()):
    """The ways in which images are read, with the features that read them so.

    Parameters
    ----------
    features, preprocess, also
        As in `extract`.

    Returns
    -------
    dict of Preprocess to list
        In the order of the features; ways that no feature uses come last.
    """
    found = {}
    for feature in features:
        if not isinstance(feature, Table):
            found.setdefault(view_of(feature, preprocess), []).append(feature)
    for view in sorted(dict.fromkeys(also), key=lambda view: view.size):
        found.setdefault(view, [])
    return found


def _from_table(found, feature, store):
    names, opened = found.manifest.table["name"].tolist(), []

    def read(part):
        if not opened:
            table = feature.open()
            opened.extend([table, feature.places(table, names)])
        return {"rows": feature.read(opened[0], opened[1][part])}

    parts = [*gen_batches(len(names), TABLE_ROWS)]
    keys = [{**feature.key, "names": digest_of(names[part])} for part in parts]
    stored = [
        mapped(store.shard(key, lambda part=part: read(part))["rows"]) for key, part in zip(keys, parts, strict=True)
    ]
    found.matrices[feature.name] = Matrix(stored, names, [names[part] for part in parts], feature.imputes)
    found.keys[feature.name] = {**feature.key, "names": digest_of(names)}


def _by_cluster(manifest, pace, preprocess, store, cluster):
    """Have workers decode and describe each shard; return the features that failed, with their reasons."""
    shards = Shards(plan_shards(manifest.table["digest"]), manifest.table["digest"].tolist())
    paths = manifest.table["path"]
    described = [feature for feature in pace.features if not isinstance(plain(feature), Pixels)]
    parts = {
        shard: Part(store, preprocess, paths.iloc[rows].tolist(), shards.members(shard), described)
        for shard, rows in enumerate(shards.rows)
    }
    need = sum(need.bytes for need in pace.needs.values())
    calls = [Call((shard, part), need) for shard, part in parts.items() if not part.is_stored()]
    what, failed = ", ".join(["images", *(feature.name for feature in described)]), {}
    for ended in side_by_side(_make_part, calls, what, 1, cluster.budget, 1, cluster):
        if ended.lost:
            raise FeatureError(ended.lost)
        for name, why in ended.found.items():
            failed.setdefault(name, {})[ended.item[0]] = why
    return {name: whys[min(whys)] for name, whys in failed.items()}


def _make_part(numbered):
    return numbered[1].make()


def _from_pixels(manifest, pace, preprocess, store, on_error, failed, apart, seconds):
    shards = Shards(plan_shards(manifest.table["digest"]), manifest.table["digest"].tolist())
    networks = [one for one in pace.features if is_network(one) and not (apart and is_users(one))]
    places, readable, bad, parts = [], [], {}, {}
    in_turn = {feature.name: InTurn(feature, preprocess.size, pace.threads) for feature in networks}
    profiles, as_were, equal = 0, 0, manifest.table["digest"].value_counts()
    for shard, (arrays, reasons) in enumerate(_decoded(manifest, shards, preprocess, store, pace, networks)):
        good = arrays["sizes"][:, 0] > 0
        bad |= reasons
        images = equal[shards.members(shard)].to_numpy()  # equal files have one row here
        profiles += int(images[arrays["profiles"]].sum())
        as_were += int(images[arrays["as_were"]].sum()) if "as_were" in arrays else 0
        places.append({name: mapped(array) for name, array in arrays.items()})
        readable.append(good)
        for feature in networks:
            if good.any() and feature.name not in failed:
                clean = Shards([shards.rows[shard][good]], shards.digests)
                key = clean.key({**feature.key, **preprocess.key}, 0)
                attempt(failed, feature, in_turn[feature.name].describe, shard, store, key, arrays, good)
        del arrays  # otherwise its pages would count as used while the next shard is awaited
    for feature in networks:
        if feature.name not in failed:
            attempt(failed, feature, in_turn[feature.name].finish)
        in_turn[feature.name].release()
        parts[feature.name] = [rows for _, rows in sorted(in_turn[feature.name].made.items())]

    quarantine = [
        {"name": name, "reason": bad[digest]}
        for name, digest in zip(manifest.table["name"], manifest.table["digest"], strict=True)
        if digest in bad
    ]
    _check_quarantine(quarantine, len(manifest), on_error)
    kept = manifest.keep(~manifest.table["digest"].isin(bad).to_numpy()) if bad else manifest
    _check_classes(manifest, kept, quarantine)
    digests = kept.table["digest"].tolist()
    found = Extracted(kept, failed=failed, quarantine=quarantine, profiles=profiles)
    filled = [shard for shard, good in enumerate(readable) if good.any()]
    clean = Shards([shards.rows[shard][readable[shard]] for shard in filled], shards.digests)
    pixels = shards.matrix([place["pixels"] for place in places], digests)
    found.pixels[preprocess] = pixels
    found.as_were.update({preprocess: as_were} if as_were else {})
    for feature in pace.features:
        if isinstance(plain(feature), Pixels):
            found.matrices[feature.name] = pixels.flat()
            found.keys[feature.name] = preprocess.key
            continue
        base = {**feature.key, **preprocess.key}
        if feature not in networks and feature.name not in failed:
            tasks = [
                (store, clean.key(base, k), feature, places[shard], readable[shard]) for k, shard in enumerate(filled)
            ]
            attempt(failed, feature, _by_workers, tasks, feature, pace, apart, seconds)
            if feature.name not in failed:
                parts[feature.name] = [make_shard(*task) for task in tasks]
        if feature.name not in failed:
            attempt(failed, feature, _check_widths, feature, parts[feature.name])
        if feature.name not in failed:
            found.matrices[feature.name] = clean.matrix(parts[feature.name], digests)
            found.keys[feature.name] = base
    return found


def _decoded(manifest, shards, preprocess, store, pace, networks):
    """Yield the pixels of each shard and why rows cannot be read, while the next shards are being decoded."""
    paths, count = manifest.table["path"].tolist(), len(shards.rows)

    def decode(shard):
        members = shards.members(shard)
        where = [paths[row] for row in shards.rows[shard]]
        key = shards.key(preprocess.key, shard)
        return store.shard(key, lambda: decode_rows(where, members, preprocess, pace.threads // pace.readers))

    def why(shard, arrays):
        rows = shards.rows[shard][arrays["sizes"][:, 0] == 0]
        return {shards.digests[row]: _why(paths[row], shards.digests[row], preprocess) for row in rows}

    what = ", ".join(["parts of images", *(feature.name for feature in networks)])
    with ThreadPoolExecutor(pace.readers) as ahead:
        pending = []
        for shard in track(range(count), what, count):
            while len(pending) <= pace.ahead and shard + len(pending) < count:
                pending.append(ahead.submit(decode, shard + len(pending)))
            arrays = pending.pop(0).result()
            reasons = why(shard, arrays)
            if None in reasons.values():
                store.forget(shards.key(preprocess.key, shard))  # a newer Pillow may read it
                arrays = decode(shard)
                reasons = why(shard, arrays)
            yield arrays, reasons
            del arrays


def _make(task):
    return make_shard(*task)


def _by_workers(tasks, feature, pace, apart, seconds):
    """Compute the shards that are not stored, in parallel; those of a user's class run one after the other."""
    hand = isinstance(plain(feature), Handcrafted)
    need, workers = (pace.needs["handcrafted"].bytes, pace.workers) if hand else (0, 1)
    calls = [Call(task, need) for task in tasks if not task[0].has(task[1])]
    budget = held_bytes(psutil.Process()) + workers * (PROCESS_BYTES + need)
    how = {"apart": True, "seconds": seconds} if apart and is_users(feature) else {}
    lost = [one.lost for one in side_by_side(_make, calls, feature.name, workers, budget, **how) if one.lost]
    if lost:
        raise FeatureError(lost[0])


def _check_widths(feature, parts):
    with calling("feature", feature.name, method_of(feature), own=is_users(feature)):
        check_widths(feature.name, parts, feature.columns)


def _why(path, digest, preprocess):
    """The reason why an image cannot be read, or None if it can."""
    try:
        preprocess.read(read_checked(path, digest))
    except ImageError as error:
        return str(error)
    return None


def refuse_unread(manifest, preprocess):
    """Raise an error if none of the images can be read; stop looking at the first one that can.

    Parameters
    ----------
    manifest : Manifest
    preprocess : Preprocess

    Raises
    ------
    ImageError
        No image can be read; the message gives the reasons.
    """
    bad, table = [], manifest.table
    for name, path, digest in zip(table["name"], table["path"], table["digest"], strict=True):
        reason = _why(path, digest, preprocess)
        if reason is None:
            return
        bad.append({"name": name, "reason": reason})
    _check_quarantine(bad, len(manifest), "skip")


def _check_classes(manifest, kept, quarantine):
    """Raise an error if a class has no image that can be read."""
    for label in sorted({*manifest.labels.tolist()} - {*kept.labels.tolist()}):
        names = set(manifest.table["name"][manifest.labels == label])
        shown = _with_reasons(row for row in quarantine if row["name"] in names)
        raise UnreadError(
            f"no image of the class {manifest.classes[label]} can be read, {len(names)} in all: repair them, or take "
            f"the class out of DATA ({shown[:500]})",
            quarantine,
        )


def _with_reasons(rows):
    return "; ".join(f"{printable(row['name'])}: {row['reason']}" for row in rows)


def _check_quarantine(quarantine, total, on_error):
    if quarantine and (on_error == "stop" or len(quarantine) == total):
        shown = _with_reasons(quarantine[:5])
        remedy = "" if len(quarantine) == total else ", or set them aside with --on-error skip"
        raise UnreadError(
            f"{len(quarantine)} of {total} images cannot be read: repair or remove them{remedy} ({shown})", quarantine
        )
