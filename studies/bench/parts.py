"""The parts that `studies.bench` measures: each makes its data and yields lists of rows to be measured on them."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

from glomfeat.checks.data.run import audit
from glomfeat.comparison.budget import free_bytes
from glomfeat.core.memory import REST
from glomfeat.data.manifest import read_manifest
from glomfeat.data.phantom import Phantom, make_phantom
from glomfeat.data.schemes import CrossValidation
from glomfeat.report.write import write_report
from studies.audit import Options as Audit
from studies.bench import ours, peers, torch
from studies.bench.data import folds_of, write_table, write_tiny_images
from studies.bench.measure import Side
from studies.bench.ours import FOLDS
from studies.bench.table import Row, aurocs, relative, variances

REPEATS = 5
SLOW, SLOWEST = 2, 1  # how many folds are measured for reducers that take long
NET_PX, DECODED_PX = 16, 64
QUICK_HEAD = "studies.bench.ours:quick_head"
AUDITED = 5  # one image of this many is audited
NARROW = ((600, 25_088, "float32"), (400, 150_528, "uint8"))

# images of the phantom, their side in pixels, and in a batch; matrices for reducers, with components k
# table: rows, columns of both, folds and repeats for the harness; growth: few rows, many rows, columns
# trials: rows, columns, folds and repeats for backends; statistics: rows, few arms, many arms and repeats
DEFAULT = SimpleNamespace(
    images=240, side=224, batch=32, matrices=NARROW, k=128, patience_s=20.0,
    table=(1000, (512, 4096), 5, 1), growth=(1000, 10_000, 512), trials=(4500, 256, 5, 2), statistics=(1000, 3, 10, 2),
)  # fmt: skip
FULL = SimpleNamespace(
    images=2000, side=224, batch=32, matrices=[(5758, *rest) for _, *rest in NARROW], k=128, patience_s=600.0,
    table=(5758, (512, 4096), 5, 5), growth=(5000, 50_000, 4096), trials=(5758, 512, 5, 5), statistics=(5758, 3, 30, 5),
)  # fmt: skip
QUICK = SimpleNamespace(
    images=12, side=64, batch=4, matrices=((120, 40, "float32"), (60, 400, "uint8")), k=8, patience_s=0.0,
    table=(160, (24, 40), 2, 1), growth=(60, 120, 32), trials=(160, 8, 2, 2), statistics=(160, 1, 2, 1),
    nets=("squeezenet1_1",), passes=1, epochs=1,
)  # fmt: skip
CARD = SimpleNamespace(
    images=2048, side=224, batch=256, nets=("resnet18", "vgg16", "vit_l_16"), passes=4, epochs=5, patience_s=90.0,
)  # fmt: skip


def _phantom(at, folder):
    spec = Phantom(images=at.images, cases=max(4, at.images // 25), seed=at.seed)
    return str(make_phantom(folder / "images", spec, at.jobs))


def _of_files(at, images, model):
    """Make the sides that extract a network's features from image files: ours, and a DataLoader's."""
    net = {"model": model, "device": at.device, "precision": at.precision}
    described = partial(ours.describe, images, at.side, at.jobs, partial(ours.network, size=at.side, **net))
    loop = partial(torch.describe, torch.images_in(images, at.side), batch=at.batch, workers=at.jobs, **net)
    eager = f"DataLoader, {at.jobs} workers, eager network"
    return Side("extract from PNG", described, units=at.images), Side(eager, loop, units=at.images)


def _of_pixels(at, pixels, model, passes=1):
    """Make the sides that run all images through a network `passes` times: ours, and the passes alone."""
    net, n = {"model": model, "device": at.device, "precision": at.precision}, passes * at.images
    stream = partial(ours.stream, pixels, passes, at.side, at.jobs, partial(ours.network, size=at.side, **net))
    how = "compiled" if at.device.startswith("cuda") else "traced, frozen"
    bare = partial(torch.forward, n, at.side, batch=at.batch, **net)
    return Side("from stored pixels", stream, units=n), Side(f"bare {how} forward pass", bare, units=n)


def decode(at, folder):
    """Compare decoding in threads with a loop."""
    images = _phantom(at, folder)
    here = Side(f"decode_rows, {at.jobs} threads", partial(ours.decode, images, at.side, at.jobs))
    loop = Side("loop with Pillow", partial(peers.decode, images, at.side))
    yield [Row(here, loop, f"{at.images:,} PNG to {at.side} px", agreement=relative)]


def extraction(at, folder):
    """Compare features of a network: from files with a DataLoader's, from pixels with the network's passes alone."""
    images, net = _phantom(at, folder), "resnet18"
    pixels, _ = ours.read_pixels(images, at.side, at.jobs, folder / "pixels")
    size = f"{net}, {at.images:,} images of {at.side} px"
    yield [Row(*_of_files(at, images, net), size, agreement=relative), Row(*_of_pixels(at, pixels, net), size)]


def card(at, folder):
    """Compare features and training on a GPU with plain loops, and with the passes or steps alone."""
    images = _phantom(at, folder)
    rows = ours.read_pixels(images, at.side, at.jobs, folder / "pixels")
    on, net, n = {"device": at.device, "batch": at.batch}, at.nets[0], at.epochs * at.images
    for model in at.nets:
        described, bare = _of_pixels(at, rows[0], model, at.passes)
        loop = partial(torch.describe, torch.Stored(*rows), model, precision=at.precision, workers=at.jobs, **on)
        size = f"{model}, {at.precision}, stored pixels"
        others = Side("plain loop", loop, units=at.images), bare
        yield [Row(described, other, size, per_s=True) for other in others]
    fit = Side("train", partial(ours.train, f"{net}:finetune", *rows, at.epochs, side=at.side, **on), units=n)
    loop = partial(torch.train, torch.Stored(*rows), at.epochs, net, workers=at.jobs, **on)
    steps = Side("steps alone", partial(torch.steps, n, at.side, net, **on), units=n)
    exact = Side("steps alone, deterministic", partial(torch.steps, n, at.side, net, exact=True, **on), units=n)
    pairs, size = ((fit, Side("plain loop", loop, units=n)), (fit, steps), (exact, steps)), f"{net}:finetune"
    yield [Row(here, other, f"{size}, {at.epochs} epochs", per_s=True) for here, other in pairs]
    yield [Row(*_of_files(at, images, net), f"{net}, {at.precision}, from PNG", per_s=True)]


def reducers(at, folder):
    """Compare principal components of 25 folds with three ways of scikit-learn."""
    k, every = at.k, FOLDS * REPEATS

    def side(what, function, measured, need=0, **given):
        return Side(what, partial(function, table, measured=measured, **given), measured, every, need=need)

    for n, width, dtype in at.matrices:
        table = write_table(folder / "rows.npy", n, width, at.seed, dtype)
        limits = {"repeats": REPEATS, "jobs": at.jobs, "memory": at.memory, "seed": at.seed}
        given = {"k": k, "folds": folds_of(table, FOLDS, REPEATS, at.seed)[0]}
        need = 16 * n * width  # float32 rows, their centred copy, the copy that LAPACK overwrites, its vectors
        pca = side(f"pca{k}", ours.reduce, every, reducer=f"pca{k}", **limits)
        ipca = side(f"ipca{k}", ours.reduce, SLOW, reducer=f"ipca{k}", **limits)
        loop = side(f"IncrementalPCA({k}) per fold", peers.reduce, SLOW, solver="incremental", **given)
        full, auto = (
            side(f'PCA({k}, svd_solver="{solver}") per fold', peers.reduce, measured, need, solver=solver, **given)
            for solver, measured in (("full", SLOWEST), ("auto", SLOW))
        )
        size, pairs = f"{n:,} x {width:,}, {every} folds", ((pca, loop), (pca, full), (pca, auto), (ipca, loop))
        yield [Row(here, peer, size, "process", variances) for here, peer in pairs]


def _study(at, tables, heads, folds, repeats, reducer="none"):
    """Make the options of a comparison of feature tables."""
    features = tuple(f"file:{table}" for table in tables)
    given = {"data": features[0], "features": features, "reducers": (reducer,), "heads": heads}
    return given | {"folds": folds, "repeats": repeats, "seed": at.seed, "jobs": at.jobs, "memory": str(at.memory)}


def harness(at, folder):
    """Compare nested folds of two tables with a grid search of pipelines, which caches the reduced rows or does not."""
    (n, widths, folds, repeats), k, heads = at.table, at.k, ("logreg", "svm", "xgboost")
    tables = [
        write_table(folder / f"{name}.npy", n, width, at.seed, strength=strength)
        for name, width, strength in zip("ab", widths, (0.5, 0.35), strict=True)
    ]
    every, given = folds * repeats, {"k": k, "heads": heads, "measured": 1, "jobs": at.jobs, "seed": at.seed}
    search = partial(peers.compare, tables, *folds_of(tables[0], folds, repeats, at.seed), **given)
    name = f"GridSearchCV(Pipeline(IncrementalPCA({k}), head{{}}))"
    cached = Side(name.format(", memory=FOLDER"), partial(search, cached=True), 1, every)
    plain = Side(name.format(""), partial(search, cached=False), 1, every)
    pca, ipca = (
        Side(f"compare, {name}", partial(ours.compare, **_study(at, tables, heads, folds, repeats, name)))
        for name in (f"pca{k}", f"ipca{k}")
    )
    size = f"tables of {n:,} x {widths[0]:,} and x {widths[1]:,}, {len(heads)} heads, {every} folds, nested"
    pairs = (pca, cached), (pca, plain), (ipca, cached), (ipca, plain)
    yield [Row(here, peer, size, "process", aurocs) for here, peer in pairs]


def memory(at, folder):
    """Measure growth: each stage of a comparison, and the audit, with few rows and with many."""
    few, many, width = at.growth
    k, seed, jobs = at.k, at.seed, at.jobs

    def of_heads(n, names=("svm",)):
        return {f"{name}, {k} columns": partial(ours.fit_head, name, n, k, seed) for name in names}

    def of_rows(n):
        table, limits = write_table(folder / f"rows{n}" / "rows.npy", n, width, seed), (1, jobs, at.memory, seed)
        return {
            f"ipca{k}, folds: 1": partial(ours.reduce, table, f"ipca{k}", 1, *limits),
            f"pca{k}, folds: {FOLDS}": partial(ours.reduce, table, f"pca{k}", FOLDS, *limits),
            **of_heads(n, ("logreg", "svm", "xgboost")),
        }

    def of_images(n):
        images = write_tiny_images(folder / f"images{n}", n, seed)
        described = partial(ours.describe, images, NET_PX, jobs, partial(ours.numbers, width))
        stored = ours.read_pixels(images, NET_PX, jobs, folder / f"pixels{n}")
        on = {"side": NET_PX, "device": at.device, "seed": seed}
        return {
            "manifest with digests": partial(read_manifest, images, scheme=CrossValidation(FOLDS)),
            f"decode to {DECODED_PX} px": partial(ours.decode, images, DECODED_PX, jobs),
            f"extract {width:,} columns": described,
            f"{FOLDS} folds and splits inside them": partial(ours.split, images, seed),
            f"net:compact of {NET_PX} px, 2 epochs": partial(ours.train, "compact", *stored, 2, **on),
        }

    def of_studies(n):
        done, again = _done(at, folder / f"studies{n}", n, ("logreg",), 2, 1)
        return {"compare, its trials done": again, "report": partial(write_report, done)}

    def of_audits(n):
        options = Audit(data=write_tiny_images(folder / f"audits{n}", n, seed), groups="none", size=32, seed=seed)
        return {"audit": partial(audit, options, Path("store"), jobs, free_bytes(at.memory, torch=False))}

    yield _grown(of_rows, few, many, f"rows x {width:,}")
    # so many rows that neither the SVMs of parts of them nor the number of these grow any more
    yield _grown(of_heads, 2 * many, 4 * many, f"rows x {k:,}")
    yield _grown(of_images, few, many, "tiny images")
    yield _grown(of_studies, few, many, "rows, 3 arms")
    yield _grown(of_audits, few // AUDITED, many // AUDITED, "tiny images, no cases")


def _grown(stages, few, many, of):
    """Make a row for each stage, from a function that returns the work of each stage for a number of rows."""
    small, large, unit = stages(few), stages(many), "images" if "images" in of else "rows"
    return [
        Row(
            Side(f"{what}, {many:,} {unit}", large[what], units=many),
            Side(f"{what}, {few:,} {unit}", small[what], units=few),
            f"{many:,} v. {few:,} {of}",
        )
        for what in large
    ]


def _done(at, run, n, heads, arms, repeats):
    """Run a comparison of `arms` tables; return its output folder, and a function that runs it again."""
    tables = [write_table(run / f"{number}.npy", n, 8, at.seed, strength=0.2) for number in range(arms)]
    again = partial(ours.compare, str(run), **_study(at, tables, heads, FOLDS, repeats))
    again()
    return run / "out", again


def statistics(at, folder):
    """Compare the time to write the tables of a finished comparison for many arms with that for few."""
    n, few, many, repeats = at.statistics
    sides = []
    for arms in (many, few):
        _, again = _done(at, folder / str(arms), n, (QUICK_HEAD,), arms, repeats)
        sides.append(Side(f"compare, its trials done, {arms} arms", again, units=arms))
    size = f"{many} v. {few} arms, {n:,} rows, {repeats * FOLDS} folds"
    yield [Row(*sides, size)]


def backends(at, folder):
    """Compare trials in processes of this machine, and in clusters on it, with a single process."""
    (n, width, folds, repeats), heads = at.trials, ("logreg", "svm")
    study = _study(at, [write_table(folder / "a.npy", n, width, at.seed)], heads, folds, repeats)
    one = Side("one process", partial(ours.trials, **study | {"backend": "local", "jobs": 1}), rest=REST)
    size, several = f"{len(heads) * folds * repeats} nested trials of {n:,} x {width}", {"local": "this machine"}
    several |= {name: name for name, package in (("dask", "distributed"), ("ray", "ray")) if find_spec(package)}
    rows = []
    for name, where in several.items():
        side = Side(f"{at.jobs} processes of {where}", partial(ours.trials, backend=name, **study), rest=REST)
        rows.append(Row(side, one, size, agreement=relative, processes=at.jobs))
    yield rows


PARTS = {part.__name__: part for part in (decode, extraction, reducers, harness, memory, statistics, backends)}
