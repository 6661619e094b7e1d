"""What `studies.bench` sets side by side: the data, the sides and the goals of each part."""

from importlib.util import find_spec

import numpy as np
from sklearn.utils import gen_batches

from glomfeat.core.errors import InputError
from studies.bench.data import store_of, write_matrix, write_tables
from studies.bench.growth import growth
from studies.bench.measure import Side, measure
from studies.bench.plan import FOLDS, IMAGES, TABLES, Benchmark, Goal, Pair
from studies.bench.tables import study_of

PEERS, TORCH, BACKENDS = "studies.bench.peers", "studies.bench.torch", "studies.bench.backends"
WEIGHTS = "resnet18.pth"
REPEATS = 5
AT_FULL = 5758
# of nested folds, by the rows of a table: beside a search that keeps what it has reduced, and beside a plain one
AIMS = {
    rows: {("pca128", ", memory=FOLDER"): (Goal("ratio", ">=", fair),), ("pca128", ""): (Goal("ratio", ">=", plain),)}
    for rows, fair, plain in ((AT_FULL, 10, 25), (1000, 5, 8))
}


def plan(names, sizes, options, scratch):
    """The benchmarks of some of `PARTS`; `options` holds ``jobs``, ``device``, ``memory`` in bytes and ``seed``."""
    return [benchmark for name in PARTS if name in names for benchmark in PARTS[name](sizes, options, scratch)]


def _images(sizes, options, scratch):
    """The folder of a phantom, made once."""
    from glomfeat.data.phantom import Phantom, make_phantom

    spec = Phantom(images=sizes.images, cases=max(4, sizes.images // 25), seed=options["seed"])
    return str(make_phantom(scratch / "images", spec, options["jobs"]))


def _store_pixels(images, side, jobs, store):
    """Decode a phantom into a store; give the pixels."""
    from glomfeat.data.images.decode import LANCZOS, Preprocess
    from glomfeat.data.manifest import read_manifest
    from glomfeat.features.extract import extract
    from glomfeat.features.make import make_feature

    found = extract(read_manifest(images), [make_feature("pixels")], Preprocess(side), store, jobs)
    return found.pixels[side, LANCZOS]


def device_of(name, scratch):
    """What torch computes on, as ``device`` and its ``name``, asked in a process of its own.

    That leaves the weights that all sides read. A ValueError if there is no such device.
    """
    given = {"device": name, "weights": str(scratch / WEIGHTS)}
    found = measure({"device": Side("", f"{TORCH}:describe_device", given)}, scratch, 1, 0.0, 0)["device"]
    if found.failed:
        kind, _, why = found.failed.partition(": ")
        raise InputError(why) if kind == "InputError" else RuntimeError(found.failed)
    with np.load(found.kept) as kept:
        return {name: str(kept[name]) for name in kept}


def _decoding(sizes, options, scratch):
    jobs = options["jobs"]

    def make(folder):
        one = {"images": _images(sizes, options, scratch), "size": sizes.side}
        many = one | {"jobs": jobs}
        return {
            "ours": Side(f"decode_rows, {jobs} threads", f"{IMAGES}:decode_ours", many),
            "loop": Side("loop with Pillow", f"{PEERS}:decode_loop", one),
            "torchvision": Side(
                f"DataLoader, {jobs} workers, torchvision transforms", f"{TORCH}:decode_torchvision", many
            ),
        }

    pairs = tuple(Pair("ours", (peer,), "work", agreement="grey levels") for peer in ("loop", "torchvision"))
    return [Benchmark("decode", f"{sizes.images:,} PNG to {sizes.side} px", "decode", make, pairs)]


def _extraction(sizes, options, scratch):
    n, side, jobs, device = sizes.images, sizes.side, options["jobs"], options["device"]

    def make(folder):
        images, weights = _images(sizes, options, scratch), str(scratch / WEIGHTS)
        stored, array = store_of(scratch), str(folder / "pixels.npy")
        pixels = _store_pixels(images, side, jobs, stored)
        copy = np.lib.format.open_memmap(array, "w+", np.uint8, pixels.shape)
        for part in gen_batches(n, 256):
            copy[part] = pixels[part]
        copy.flush()
        all_of = {"size": side, "weights": weights, "device": device}
        from_png = all_of | {"images": images, "jobs": jobs}
        ours, eager, forward = f"{IMAGES}:extract_ours", f"{TORCH}:extract_eager", f"{TORCH}:forward_traced"
        return {
            "png": Side("extract from PNG", ours, from_png),
            "stored": Side("extract from stored pixels", ours, from_png, stored.folder),
            "eager png": Side(f"DataLoader, {jobs} workers, eager network", eager, from_png | {"pixels": ""}),
            "eager stored": Side("DataLoader of an array, eager network", eager, from_png | {"pixels": array}),
            "forward": Side("bare traced, frozen forward pass", forward, all_of | {"n": n}),
            "decode": Side("decoding", f"{IMAGES}:decode_ours", {"images": images, "size": side, "jobs": jobs}),
        }

    twice, share = Goal("ratio", ">=", 1.8), Goal("ratio", ">=", 0.95 if device == "cpu" else 0.9)
    pairs = (
        Pair("png", ("eager png",), "work", (twice,), "features"),
        Pair("stored", ("eager stored",), "work", (twice,), "features"),
        Pair("stored", ("forward",), "work", (share,)),
        Pair("png", ("decode", "forward"), "work", (Goal("ratio", ">=", 0.9),)),
    )
    return [Benchmark("extraction", f"resnet18, {n:,} images of {side} px", "extraction", make, pairs)]


def _reducers(sizes, options, scratch):
    return [_reducer(sizes, options, scratch, *matrix) for matrix in sizes.matrices]


def _reducer(sizes, options, scratch, n, width, dtype):
    k, folds, size = sizes.k, FOLDS * REPEATS, f"{n:,} x {width:,}, {FOLDS * REPEATS} folds"
    slow, slowest = sizes.ipca_folds, sizes.pca_folds

    def part(what, function, arguments, measured, **more):
        of = "" if measured == folds else f"{measured} of {folds} folds"
        return Side(what, function, arguments | {"measured": measured}, times=folds / measured, of=of, **more)

    def make(folder):
        data, store = folder / "data", store_of(scratch)
        write_matrix(data, store, n, width, dtype, options["seed"], FOLDS, REPEATS)
        given = {"data": str(data), "width": width, "jobs": options["jobs"], "memory": options["memory"]}
        ours = f"{TABLES}:reduce_ours"
        need = 16 * n * width  # rows in float32, their centred copy, the one that LAPACK overwrites, its vectors
        found = {
            f"pca{k}": part(f"pca{k}", ours, given | {"reducer": f"pca{k}"}, folds, template=store.folder),
            f"ipca{k}": part(f"ipca{k}", ours, given | {"reducer": f"ipca{k}"}, slow, template=store.folder),
            "incremental": part(
                f"IncrementalPCA({k}) per fold", f"{PEERS}:reduce_ipca", {"data": str(data), "k": k}, slow
            ),
        }
        for solver, measured in (("full", slowest), ("auto", slow)):
            what, arguments = f'PCA({k}, svd_solver="{solver}") per fold', {"data": str(data), "k": k, "solver": solver}
            found[solver] = part(what, f"{PEERS}:reduce_pca", arguments, measured, need=need)
        return found

    goals = {25_088: (Goal("ratio", ">=", 20, AT_FULL),), 150_528: (Goal("ratio", ">=", 50, AT_FULL),)}
    speed, peak = goals.get(width, ()), Goal("ours_peak_bytes", "<=", 4e9)
    pairs = (
        Pair(f"pca{k}", ("incremental",), "process", (*speed, peak), "variances"),
        Pair(f"pca{k}", ("full",), "process", (Goal("agreement", "<=", 1e-4),), "variances"),
        Pair(f"pca{k}", ("auto",), "process", (), "variances"),
        Pair(f"ipca{k}", ("incremental",), "process", (peak,), "variances"),
    )
    return Benchmark("reducers", size, f"reducers-{width}", make, pairs)


def _harness(sizes, options, scratch):
    n, widths, folds, repeats = sizes.table
    k, heads, every = sizes.k, ("logreg", "svm", "xgboost"), folds * repeats
    ours = (f"ipca{k}", f"pca{k}")

    def make(folder):
        from glomfeat.comparison.prepare import prepare
        from glomfeat.data.splits import make_folds
        from glomfeat.features.extract import extract

        tables = write_tables(folder / "data", n, widths, options["seed"])
        both = {"tables": tables, "heads": heads, "jobs": options["jobs"], "seed": options["seed"]}
        study = both | {"folds": folds, "repeats": repeats, "memory": options["memory"]}
        stored = store_of(scratch).folder
        prepared = prepare(study_of(**study, reducer=ours[0], out=folder, cache=stored), say=lambda line: None)
        found = extract(prepared.manifest, prepared.features, prepared.preprocess, prepared.store, prepared.study.jobs)
        make_folds(found.manifest, "cv", folds, repeats, options["seed"]).to_csv(folder / "folds.csv", index=False)
        peer = both | {"folds_table": str(folder / "folds.csv"), "k": k, "outer": sizes.outer_folds}
        rest = {"times": every / sizes.outer_folds, "of": f"{sizes.outer_folds} of {every} outer folds"}
        sides = {
            name: Side(f"compare, {name}", f"{TABLES}:compare_ours", study | {"reducer": name}, stored) for name in ours
        }
        for cached, memory in ((False, ""), (True, ", memory=FOLDER")):
            what = f"GridSearchCV(Pipeline(IncrementalPCA({k}), head{memory}))"
            sides[f"search{memory}"] = Side(what, f"{PEERS}:compare_sklearn", peer | {"cached": cached}, **rest)
        return sides

    aims, same = AIMS.get(n, {}), Goal("agreement", "<=", 0.005)
    pairs = [
        Pair(name, (f"search{memory}",), "process", (*aims.get((name, memory), ()), same), "AUROC")
        for name in reversed(ours)
        for memory in (", memory=FOLDER", "")
    ]
    of = " and x ".join(f"{width:,}" for width in widths)
    size = f"tables of {n:,} x {of}, {len(heads)} heads, {every} folds, nested"
    return [Benchmark("harness", size, "harness", make, tuple(pairs))]


def _training(sizes, options, scratch):
    name, side, batch, passes = sizes.net

    def make(folder):
        images = _images(sizes, options, scratch)
        store = store_of(scratch)
        _store_pixels(images, side, options["jobs"], store)
        given = {"images": images, "name": name, "size": side, "batch": batch, "passes": passes}
        given |= {"device": options["device"], "jobs": options["jobs"]}
        function = f"{IMAGES}:train_ours"
        return {
            "loader": Side("steps on stored pixels", function, given | {"synthetic": False}, store.folder),
            "synthetic": Side("steps on one batch in memory", function, given | {"synthetic": True}, store.folder),
        }

    steps = passes * -(-sizes.images // batch)
    size = f"{name}, {side} px, {steps} steps of {batch}"
    return [Benchmark("training", size, "training", make, (Pair("loader", ("synthetic",), "work"),))]


def _backends(sizes, options, scratch):
    n, width, folds, repeats = sizes.trials
    jobs, heads = options["jobs"], ("logreg", "svm")
    several = {"local": f"{jobs} processes of this machine"}
    for name, package in (("dask", "distributed"), ("ray", "ray")):
        if find_spec(package):
            several[name] = f"{jobs} processes of {name}"

    def make(folder):
        table, _ = write_tables(folder / "data", n, (width, 1), options["seed"])
        given = {"table": table, "heads": heads, "folds": folds, "repeats": repeats, "seed": options["seed"]}
        given |= {"memory": options["memory"]}
        return {
            name: Side(what, f"{BACKENDS}:trials_on", given | {"backend": name, "jobs": 1 if name == "one" else jobs})
            for name, what in ({"one": "one process"} | several).items()
        }

    pairs = tuple(Pair(name, ("one",), "work", agreement="scores", processes=jobs) for name in several)
    size = f"{len(heads) * folds * repeats} nested trials of {n:,} x {width}"
    return [Benchmark("backends", size, "backends", make, pairs)]


PARTS = {
    "decode": _decoding,
    "extraction": _extraction,
    "reducers": _reducers,
    "harness": _harness,
    "training": _training,
    "memory": growth,
    "backends": _backends,
}
