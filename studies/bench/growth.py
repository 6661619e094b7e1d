"""Growth, for `studies.bench`: each stage of `studies.compare`, and the audit, at few and at many rows."""

from glomfeat.checks.data.duplicates import pairs_need
from glomfeat.comparison.budget import IMAGE_BYTES
from studies.bench.data import store_of, write_matrix, write_tables, write_tiny_images
from studies.bench.measure import Side
from studies.bench.plan import FOLDS, IMAGES, TABLES, Benchmark, Goal, Pair
from studies.bench.tables import compare_ours

HEADS = ("logreg", "svm", "xgboost")
WIDTHS = (8, 8)  # of the tables of a finished study: what is made of its scores does not depend on columns
NET_PX, DECODED_PX = 16, 64
AUDITED = 5  # of so many images one is audited
LINEAR = Goal("ratio", ">=", 0.9)  # of what is linear one measurement is now above 1 and now below
FLAT = (LINEAR, Goal("peak_ratio", "<=", 1.05))
NAMED = (LINEAR, Goal("row_bytes", "<=", IMAGE_BYTES))  # names, digests, folds and scores of all images are held


def growth(sizes, options, scratch):
    """The benchmarks of what grows with the number of rows, from the arguments of `studies.bench.parts.plan`."""
    few, many, width = sizes.growth
    k, jobs, memory, seed = sizes.k, options["jobs"], options["memory"], options["seed"]

    def head_on(head, n):
        given = {"head": head, "n": n, "width": k, "seed": seed}
        return Side(f"{head}, {k} columns, {n:,} rows", f"{TABLES}:head_ours", given, units=n)

    def of_machines(folder, n):  # of so many rows that neither they nor their number grow any more
        yield "svm", head_on("svm", n)

    def of_rows(folder, n):
        data, store = folder / f"rows-{n}", store_of(scratch)
        write_matrix(data, store, n, width, "float32", seed, FOLDS, 1)
        given = {"data": str(data), "width": width, "jobs": jobs, "memory": memory}
        for name, folds in ((f"ipca{k}", 1), (f"pca{k}", FOLDS)):
            what, arguments = f"{name}, folds: {folds}, {n:,} rows", given | {"reducer": name, "measured": folds}
            yield name, Side(what, f"{TABLES}:reduce_ours", arguments, store.folder, units=n)
        for head in HEADS:
            yield head, head_on(head, n)

    def of_images(folder, n):
        images = write_tiny_images(folder / f"tiny-{n}", n, seed)
        dealt, threads = {"images": images, "seed": seed}, {"images": images, "jobs": jobs}
        trained = dealt | threads | {"side": NET_PX, "device": options["device"]}
        for stage, what, function, arguments in (
            ("manifest", "manifest with digests", "read_ours", {"images": images}),
            ("decode", f"decode to {DECODED_PX} px", "decode_ours", threads | {"size": DECODED_PX}),
            ("extract", f"extract {width:,} columns", "extract_tiny", threads | {"width": width}),
            ("folds", f"{FOLDS} folds and splits inside them", "deal_ours", dealt),
            ("net", f"net:compact of {NET_PX} px, 2 epochs", "train_tiny", trained),
        ):
            yield stage, Side(f"{what}, {n:,} images", f"{IMAGES}:{function}", arguments, units=n)

    def of_studies(folder, n):
        run = folder / f"run-{n}"
        study = {"tables": write_tables(run / "data", n, WIDTHS, seed), "heads": ("logreg",)}
        study |= {"reducer": "none", "folds": FOLDS, "repeats": 1, "seed": seed, "jobs": jobs, "memory": memory}
        list(compare_ours(run, **study))
        done = {"run": str(run)}
        yield "tables", Side(f"compare, its trials done, {n:,} rows", f"{TABLES}:compare_ours", study | done, units=n)
        yield "report", Side(f"report, {n:,} rows", f"{TABLES}:report_ours", done, units=n)

    def of_audits(folder, n):
        given = {"jobs": jobs, "memory": memory, "seed": seed}
        given |= {"images": write_tiny_images(folder / f"tiny-{n}", n, seed)}
        yield "audit", Side(f"audit, {n:,} images", f"{IMAGES}:audit_ours", given, units=n)

    audited = few // AUDITED, many // AUDITED
    patches = Goal("row_bytes", "<=", IMAGE_BYTES + (pairs_need(many).bytes - pairs_need(few).bytes) // (many - few))
    images = dict.fromkeys(("manifest", "decode", "extract", "folds", "net"), NAMED) | {"extract": FLAT}
    rows, studies = (f"ipca{k}", f"pca{k}", *HEADS), ("tables", "report")
    return [
        _benchmark("memory", f"rows x {width:,}", of_rows, (few, many), dict.fromkeys(rows, FLAT)),
        _benchmark("memory-svm", f"rows x {k:,}", of_machines, (2 * many, 4 * many), {"svm": FLAT}),
        _benchmark("memory-images", "tiny images", of_images, (few, many), images),
        _benchmark("memory-studies", "rows, 3 arms", of_studies, (few, many), dict.fromkeys(studies, NAMED)),
        _benchmark("memory-audit", "tiny images, no cases", of_audits, audited, {"audit": (LINEAR, patches)}),
    ]


def _benchmark(folder, what, stages, numbers, goals):
    """Stages at few and at many rows, from a function that yields their names and sides; each with its goals."""
    few, many = numbers

    def make(folder):
        return {f"{stage} {n}": side for n in (many, few) for stage, side in stages(folder, n)}

    pairs = tuple(Pair(f"{stage} {many}", (f"{stage} {few}",), "work", of) for stage, of in goals.items())
    return Benchmark("memory", f"{many:,} v. {few:,} {what}", folder, make, pairs)
