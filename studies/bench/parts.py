"""The parts of `studies.bench`: each is a function that writes data and yields lists of rows to be measured on them."""

from functools import partial
from importlib.util import find_spec
from types import SimpleNamespace

from glomfeat.checks.data.duplicates import pairs_need
from glomfeat.comparison.budget import IMAGE_BYTES
from glomfeat.core.memory import REST
from glomfeat.data.phantom import Phantom, make_phantom
from studies.bench import ours, peers, torch
from studies.bench.data import write_folds, write_table, write_tiny_images
from studies.bench.measure import Side
from studies.bench.ours import FOLDS
from studies.bench.table import Row, aurocs, largest, relative, variances

REPEATS = 5
AT_FULL = 5758
NET_PX, DECODED_PX = 16, 64
QUICK_HEAD = "studies.bench.ours:quick_head"
STATISTICS_S = 60
AUDITED = 5  # of so many images one is audited
EFFICIENCY = {"local": 0.9, "dask": 0.85, "ray": 0.85}
LINEAR = {"ratio": 0.9}  # of what is linear one measurement is now above 1 and now below
FLAT = LINEAR | {"peak_ratio": 1.05}
NAMED = LINEAR | {"row_bytes": IMAGE_BYTES}  # names, digests, folds and scores of all images are held
NARROW = ((5758, 512, "float32"), (1200, 4096, "float32"), (600, 25_088, "float32"), (400, 150_528, "uint8"))

# images of the phantom, and their side in pixels
# matrices for reducers, with components k; the first slow or slowest folds are measured of what takes long
# table: rows, columns of both, folds and repeats for the harness; net_px: of what is trained
# growth: few rows, many rows, columns; trials: rows, columns, folds and repeats for backends
# statistics: rows, few arms, many arms and repeats
QUICK = SimpleNamespace(
    images=12, side=64, matrices=((120, 40, "float32"), (60, 400, "uint8")), k=8, slow=2, slowest=2,
    table=(160, (24, 40), 2, 1), net_px=16, growth=(60, 120, 32), trials=(160, 8, 2, 2),
    statistics=(160, 1, 2, 1), patience_s=0.0,
)  # fmt: skip
DEFAULT = SimpleNamespace(
    images=240, side=224, matrices=NARROW, k=128, slow=2, slowest=1,
    table=(1000, (512, 4096), 5, 1), net_px=64, growth=(1000, 10_000, 512), trials=(3000, 256, 5, 4),
    statistics=(1000, 3, 10, 2), patience_s=20.0,
)  # fmt: skip
FULL = SimpleNamespace(
    images=2000, side=224, matrices=[(AT_FULL, *rest) for _, *rest in NARROW], k=128, slow=2, slowest=1,
    table=(AT_FULL, (512, 4096), 5, 5), net_px=224, growth=(5000, 50_000, 4096), trials=(AT_FULL, 512, 5, 5),
    statistics=(AT_FULL, 3, 30, 5), patience_s=600.0,
)  # fmt: skip


def _phantom(at, folder):
    spec = Phantom(images=at.images, cases=max(4, at.images // 25), seed=at.seed)
    return str(make_phantom(folder / "images", spec, at.jobs))


def decode(at, folder):
    """Decoding: in threads, beside a loop and beside a DataLoader."""
    alone = {"images": _phantom(at, folder), "size": at.side}
    together = alone | {"jobs": at.jobs}
    here = Side(f"decode_rows, {at.jobs} threads", ours.decode, together)
    loop = Side("loop with Pillow", peers.decode, alone)
    loader = Side(f"DataLoader, {at.jobs} workers, torchvision transforms", torch.decode, together)
    yield [Row(here, peer, f"{at.images:,} PNG to {at.side} px", agreement=largest) for peer in (loop, loader)]


def extraction(at, folder):
    """Features of a network: from files beside a DataLoader, from pixels beside nothing but the network."""
    net, size = {"size": at.side, "device": at.device}, f"resnet18, {at.images:,} images of {at.side} px"
    given = net | {"images": _phantom(at, folder), "jobs": at.jobs}
    png = Side("extract from PNG", ours.describe, given | {"stored": False})
    stored = Side("extract from stored pixels", ours.describe, given | {"stored": True})
    eager = Side(f"DataLoader, {at.jobs} workers, eager network", torch.describe, given)
    rows = [Row(png, eager, size, goals={"ratio": 1.8}, agreement=relative)]
    for layout in ("contiguous_format", "channels_last"):
        what, passed = f"bare traced, frozen forward pass, {layout}", net | {"n": at.images, "layout": layout}
        goal = {"ratio": 0.95 if at.device == "cpu" else 0.9}
        rows.append(Row(stored, Side(what, torch.forward, passed), size, goals=goal))
    yield rows


def reducers(at, folder):
    """Principal components of 25 folds: ours beside the ways of scikit-learn."""
    k, every, limits = at.k, FOLDS * REPEATS, {"jobs": at.jobs, "memory": at.memory, "seed": at.seed}

    def side(what, function, measured, need=0, **given):
        of = "" if measured == every else f"{measured} of {every} folds"
        return Side(what, function, given | {"table": table, "measured": measured}, every / measured, of, need=need)

    for n, width, dtype in at.matrices:
        table = write_table(folder / "rows.npy", n, width, at.seed, dtype)
        given = {"k": k, "folds": write_folds(table, FOLDS, REPEATS, at.seed)}
        pca, ipca = (
            side(name, ours.reduce, measured, reducer=name, repeats=REPEATS, **limits)
            for name, measured in ((f"pca{k}", every), (f"ipca{k}", at.slow))
        )
        loop = side(f"IncrementalPCA({k}) per fold", peers.reduce, at.slow, solver="incremental", **given)
        need = 16 * n * width  # rows in float32, their centred copy, the one that LAPACK overwrites, its vectors
        full, auto = (
            side(f'PCA({k}, svd_solver="{solver}") per fold', peers.reduce, measured, need, solver=solver, **given)
            for solver, measured in (("full", at.slowest), ("auto", at.slow))
        )
        speed = {25_088: {"ratio": 20}, 150_528: {"ratio": 50}}.get(width, {}) if n == AT_FULL else {}
        peak, size = {"ours_peak_bytes": 4e9}, f"{n:,} x {width:,}, {every} folds"
        yield [
            Row(pca, loop, size, "process", speed | peak, variances),
            Row(pca, full, size, "process", {"agreement": 1e-4}, variances),
            Row(pca, auto, size, "process", {}, variances),
            Row(ipca, loop, size, "process", peak, variances),
        ]


def _study(at, tables, heads, folds, repeats, reducer):
    """The options of a comparison of feature tables."""
    features = tuple(f"file:{table}" for table in tables)
    given = {"data": features[0], "features": features, "reducers": (reducer,), "heads": heads}
    return given | {"folds": folds, "repeats": repeats, "seed": at.seed, "jobs": at.jobs, "memory": str(at.memory)}


def harness(at, folder):
    """Nested folds of two tables: beside a grid search of pipelines that keeps what it has reduced, or does not."""
    (n, widths, folds, repeats), k, heads = at.table, at.k, ("logreg", "svm", "xgboost")
    tables = [
        write_table(folder / f"{name}.npy", n, width, at.seed, strength=strength)
        for name, width, strength in zip("ab", widths, (0.5, 0.35), strict=True)
    ]
    every, same = folds * repeats, {"agreement": 0.005}
    searched = {"tables": tables, "folds": write_folds(tables[0], folds, repeats, at.seed), "k": k}
    searched |= {"heads": heads, "measured": 1, "jobs": at.jobs, "seed": at.seed}
    size = f"tables of {n:,} x {widths[0]:,} and x {widths[1]:,}, {len(heads)} heads, {every} folds, nested"
    fair, plain = {AT_FULL: (10, 25), 1000: (5, 8)}.get(n, (None, None))
    pca, ipca = (
        Side(f"compare, {name}", ours.compare, _study(at, tables, heads, folds, repeats, name))
        for name in (f"pca{k}", f"ipca{k}")
    )
    rows = []
    for cached, memory, aim in ((True, ", memory=FOLDER", fair), (False, "", plain)):
        what, given = f"GridSearchCV(Pipeline(IncrementalPCA({k}), head{memory}))", searched | {"cached": cached}
        search = Side(what, peers.compare, given, every, f"1 of {every} outer folds")
        rows.append(Row(pca, search, size, "process", ({"ratio": aim} if aim else {}) | same, aurocs))
        rows.append(Row(ipca, search, size, "process", same, aurocs))
    yield sorted(rows, key=lambda row: row.ours is ipca)


def training(at, folder):
    """Training a network: what it costs that pixels are read where they are stored."""
    given = {"images": _phantom(at, folder), "size": at.net_px, "device": at.device, "jobs": at.jobs, "seed": at.seed}
    stored = Side("stored pixels", ours.train, given | {"in_memory": False})
    memory = Side("pixels in memory", ours.train, given | {"in_memory": True})
    yield [Row(stored, memory, f"compact, {at.net_px} px, 2 epochs of {at.images:,} images", agreement=largest)]


def memory(at, folder):
    """Growth: each stage of a comparison, and the audit, at few and at many rows."""
    few, many, width = at.growth
    k, seed, limits, net = at.k, {"seed": at.seed}, {"jobs": at.jobs, "memory": at.memory}, {"device": at.device}
    audited = few // AUDITED, many // AUDITED
    needed = (pairs_need(audited[1]).bytes - pairs_need(audited[0]).bytes) // (audited[1] - audited[0])

    def of_heads(names, n):
        return [
            (f"{name}, {k} columns", ours.fit_head, {"name": name, "n": n, "width": k} | seed, FLAT) for name in names
        ]

    def of_rows(n):
        given = limits | seed | {"table": write_table(folder / str(n) / "rows.npy", n, width, at.seed), "repeats": 1}
        for name, folds in ((f"ipca{k}", 1), (f"pca{k}", FOLDS)):
            yield f"{name}, folds: {folds}", ours.reduce, given | {"reducer": name, "measured": folds}, FLAT
        yield from of_heads(("logreg", "svm", "xgboost"), n)

    def of_images(n):
        images = {"images": write_tiny_images(folder / str(n), n, at.seed)}
        threads = images | {"jobs": at.jobs}
        yield "manifest with digests", ours.read, images, NAMED
        yield f"decode to {DECODED_PX} px", ours.decode, threads | {"size": DECODED_PX}, NAMED
        yield f"extract {width:,} columns", ours.describe_tiny, threads | {"width": width}, FLAT
        yield f"{FOLDS} folds and splits inside them", ours.split, images | seed, NAMED
        given = threads | seed | net | {"size": NET_PX, "in_memory": False}
        yield f"net:compact of {NET_PX} px, 2 epochs", ours.train, given, NAMED

    def of_studies(n):
        run = folder / str(n)
        tables = [write_table(run / f"{name}.npy", n, 8, at.seed) for name in "ab"]
        study = _study(at, tables, ("logreg",), FOLDS, 1, "none") | {"done": str(run)}
        list(ours.compare(folder, **study))
        yield "compare, its trials done", ours.compare, study, NAMED
        yield "report", ours.report, {"done": str(run)}, NAMED

    def of_audits(n):
        given = limits | seed | {"images": write_tiny_images(folder / str(n), n, at.seed)}
        yield "audit", ours.audit, given, LINEAR | {"row_bytes": IMAGE_BYTES + needed}

    yield _grown(of_rows, few, many, f"rows x {width:,}")
    # of so many rows that neither the machines of parts nor their number grow any more
    yield _grown(partial(of_heads, ("svm",)), 2 * many, 4 * many, f"rows x {k:,}")
    yield _grown(of_images, few, many, "tiny images")
    yield _grown(of_studies, few, many, "rows, 3 arms")
    yield _grown(of_audits, *audited, "tiny images, no cases")


def _grown(stages, few, many, of):
    """A row for each stage, from a function that gives what, function, arguments and goals at a number of rows."""
    rows, unit = [], "images" if "images" in of else "rows"
    for (what, function, small, goals), (_, _, large, _) in zip(stages(few), stages(many), strict=True):
        sides = [Side(f"{what}, {n:,} {unit}", function, given, units=n) for n, given in ((many, large), (few, small))]
        rows.append(Row(*sides, f"{many:,} v. {few:,} {of}", goals=goals))
    return rows


def statistics(at, folder):
    """Tables of a finished comparison, of many arms beside few."""
    n, few, many, repeats = at.statistics
    sides = []
    for arms in (many, few):
        run = folder / str(arms)
        tables = [write_table(run / f"{number}.npy", n, 8, at.seed, strength=0.2) for number in range(arms)]
        study = _study(at, tables, (QUICK_HEAD,), FOLDS, repeats, "none") | {"done": str(run)}
        list(ours.compare(folder, **study))
        sides.append(Side(f"compare, its trials done, {arms} arms", ours.compare, study, units=arms))
    size = f"{many} v. {few} arms, {n:,} rows, {repeats * FOLDS} folds"
    yield [Row(*sides, size, goals=LINEAR | ({"ours_s": STATISTICS_S} if n == AT_FULL else {}))]


def backends(at, folder):
    """Trials: by processes of this machine and by clusters on it, beside one process."""
    (n, width, folds, repeats), heads = at.trials, ("logreg", "svm")
    study = _study(at, [write_table(folder / "a.npy", n, width, at.seed)], heads, folds, repeats, "none")
    one = Side("one process", ours.trials, study | {"backend": "local", "jobs": 1}, rest=REST)
    size, several = f"{len(heads) * folds * repeats} nested trials of {n:,} x {width}", {"local": "this machine"}
    several |= {name: name for name, package in (("dask", "distributed"), ("ray", "ray")) if find_spec(package)}
    rows = []
    for name, where in several.items():
        side = Side(f"{at.jobs} processes of {where}", ours.trials, study | {"backend": name}, rest=REST)
        goal = {"efficiency": EFFICIENCY[name]} if at.jobs > 1 else {}
        rows.append(Row(side, one, size, goals=goal, agreement=largest, processes=at.jobs))
    yield rows


PARTS = {
    part.__name__: part for part in (decode, extraction, reducers, harness, training, memory, statistics, backends)
}
