"""The commands of a campaign on tiny data: what each is asked, and what it must give to the last byte."""

import contextlib
import importlib
import io
import json
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from glomfeat.core import cache
from glomfeat.core.workers import no_workers_left
from glomfeat.data.phantom import Phantom, make_phantom
from helpers.embeddings import write_hdf5
from helpers.outlines import feature
from helpers.planting import exact_copies
from helpers.slides import make_slide
from studies._cli import run_main

TIMES = ["fit_s", "predict_ms", "predict_s", "peak_rss_mb", "tree_pss_mb", "planned_mb"]
ARM = "shortcut.v1/none/logreg"
ONE, CACHE = ("--jobs", "1"), ("--jobs", "1", "--cache", "{}/cache")
OF_COMPARE = (
    *("results.csv", "predictions.parquet", "comparisons.csv", "reliability.csv", "folds.csv", "trials.csv"),
    *("quarantine.csv", "importance.csv", "neighbours.csv", "best_of_many.csv", "pairs.csv"),
)
MEASURED = ("device", "jobs", "memory_bytes", "rows")  # of bench.json
PART = """
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from glomfeat import Handcrafted

def head(seed):
    return LogisticRegression()

def mean(image, size):
    return [image.mean(), image.std()]

def feature():
    return Handcrafted("own.v1", mean)

def reducer():
    return PCA(2)

def metric(y, score):
    return float(score[y == 1].mean())

def rule(y, score):
    return 0.5
"""


@dataclass(frozen=True)
class Job:
    """A command.

    Attributes
    ----------
    study : str
        Module of `studies`.
    asked : tuple of str
        Its arguments; ``{}`` stands for the place.
    out : str
        Where it writes, below the place: what is removed for a fresh start.
    gives : tuple of str
        Patterns below the place, of the files that must be the same each time.
    """

    study: str
    asked: tuple
    out: str
    gives: tuple

    def arguments(self, place):
        return [one.replace("{}", str(place)) for one in self.asked]

    def results(self, place):
        """Its files as they must be each time, by name."""
        paths = [path for pattern in self.gives for path in sorted(Path(place).glob(pattern)) if path.is_file()]
        return {str(path.relative_to(place)): _lasting(path) for path in paths}


def _lasting(path):
    """The bytes of a file, without how long it took."""
    if path.name == "bench.json":
        with contextlib.suppress(ValueError, KeyError):
            found = json.loads(path.read_bytes())
            return json.dumps({name: found[name] for name in MEASURED}).encode()
    if path.suffix == ".csv":
        with contextlib.suppress(ValueError):
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            if set(TIMES) & set(table):
                return table.drop(columns=TIMES, errors="ignore").to_csv(index=False).encode()
    return path.read_bytes()


def _compare(out, data, *more, heads=("logreg",), reducers=("none",)):
    jobs = CACHE if "--jobs" not in more else CACHE[2:]
    asked = data, *more, "--heads", *heads, "--reducers", *reducers, "--folds", "2", *jobs, "--out", f"{{}}/{out}"
    return Job("compare", asked, out, tuple(f"{out}/{name}" for name in OF_COMPARE))


def _audit(out, data, *more):
    return Job(
        "audit", (data, *more, "--folds", "2", *CACHE, "--out", f"{{}}/{out}"), out, (f"{out}/audit.*", f"{out}/f*.csv")
    )


def _export(out, data, file, *more):
    return Job("export", (data, *more, *CACHE, "--to", f"{{}}/{out}/{file}"), out, (f"{out}/{file}",))


NEEDS = {"report": ("compare",), "refit": ("compare images",), "evaluate": ("compare images", "refit")}
LOOK = ("--features", "shortcut", "--size", "32")
JOBS = {
    "compare": _compare("table", "{}/table.csv"),
    "compare images": _compare("images", "{}/phantom", *LOOK),
    "compare parquet": _compare("parquet", "{}/table.parquet"),
    "compare h5": _compare("h5", "{}/table.h5"),
    "compare npy": _compare("npy", "{}/rows.npy", "--labels", "{}/labels.csv"),
    "compare zip": _compare("zip", "{}/phantom.zip", *LOOK),
    "compare own head": _compare("head", "{}/table.csv", heads=("logreg", "campaign_part:head")),
    "compare own reducer": _compare("reducer", "{}/table.csv", reducers=("none", "campaign_part:reducer")),
    "compare own feature": _compare(
        "feature", "{}/phantom", "--features", "shortcut", "campaign_part:feature", "--size", "32"
    ),
    "compare own metric": _compare("metric", "{}/table.csv", "--metrics", "campaign_part:metric"),
    "compare own rule": _compare("rule", "{}/table.csv", "--threshold", "campaign_part:rule"),
    "compare workers": _compare("workers", "{}/table.csv", "--jobs", "2", heads=("campaign_part:head",)),
    "compare deep": _compare(
        "deep", "{}/phantom", "--features", "squeezenet1_1", "--weights", "{}/weights", "--size", "64"
    ),
    "report": Job("report", ("{}/table",), "table/report.html", ("table/report.html", "table/[ac]*.csv")),
    "audit": _audit("audit", "{}/table.csv"),
    "audit images": _audit("audit2", "{}/phantom", "--size", "32"),
    "export": _export("rows", "{}/phantom", "f.parquet", *LOOK),
    "export h5": _export("rows5", "{}/table.csv", "f.h5"),
    "refit": Job("refit", ("{}/images", "--arm", ARM, "--to", "{}/model/one"), "model", ("model/one/*",)),
    "evaluate": Job(
        "evaluate",
        ("{}/bundle", "{}/phantom", "--recursive", "--labels", "{}/phantom/public.csv", "--batch", "4", *ONE)
        + ("--out", "{}/scores/scores.csv"),
        "scores",
        ("scores/scores.*",),
    ),
    "crops": Job("crops", ("{}/slides", "{}/outlines", "--out", "{}/crops"), "crops", ("crops/*.csv", "crops/*/*.png")),
    "coverage": Job(
        "coverage",
        ("--labels", "{}/table.csv", "--simulations", "2", "--replicates", "9", "--folds", "2", *ONE)
        + ("--out", "{}/coverage"),
        "coverage",
        ("coverage/coverage.*",),
    ),
    "bench": Job(
        "bench",
        ("--quick", *ONE, "--device", "cpu", "--memory", "4GB", "--out", "{}/bench"),
        "bench",
        ("bench/bench.json",),
    ),
}


def folder_of(name):
    """The folder below the place that a command writes into."""
    return "table" if name == "report" else JOBS[name].out


def make_inputs(place):
    """A table of 40 rows of 8 cases, 12 images of 6 cases, two slides of two cases and a part of one's own."""
    rng, case, label = np.random.default_rng(0), np.repeat(np.arange(8), 5), np.arange(40) % 2
    names = [f"P{of:02d}_PAS_1of1_{row:024x}.png" for row, of in enumerate(case)]
    columns = {f"x{k}": rng.normal(size=40) + label * shift for k, shift in enumerate([1.2, 0.4, 0])}
    table = pd.DataFrame({"name": names, "label": label, **columns})
    table.to_csv(place / "table.csv", index=False)
    table[["name", "label"]].to_csv(place / "labels.csv", index=False)
    table.to_parquet(place / "table.parquet", index=False)
    np.save(place / "rows.npy", table[list(columns)].to_numpy(np.float32))
    (place / "rows.txt").write_text("".join(f"{name}\n" for name in names))
    write_hdf5(place / "table.h5", table[list(columns)].to_numpy(np.float32), names, label)
    make_phantom(place / "phantom", Phantom(images=12, cases=6, min_px=48, max_px=60))
    shutil.make_archive(str(place / "phantom"), "zip", place / "phantom")
    (place / "slides").mkdir()
    (place / "outlines").mkdir()
    for k in range(2):
        make_slide(place / "slides" / f"P{k}_PAS_1of1.tiff", rng.integers(0, 256, (96, 96, 3), np.uint8))
        corners = [[10, 10], [50, 10], [50, 50 + k], [10, 50 + k], [10, 10]]
        about = {"objectType": "annotation", "classification": {"name": "GS", "color": [200, 0, 0]}}
        found = feature(about, {"type": "Polygon", "coordinates": [corners]})
        (place / "outlines" / f"P{k}_PAS_1of1.geojson").write_text(json.dumps([found]))
    (place / "campaign_part.py").write_text(PART)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, minus the signal of one that was killed, None where it hung."""

    status: int | None
    said: str
    error: str


def run_here(job, place, capture=True, begun=lambda: None):
    """Run a command in this process, as one that has just begun, which is said where signals are looked after."""
    said, error = (io.StringIO(), io.StringIO()) if capture else (sys.stdout, sys.stderr)
    cache._SOUND.clear()
    shutil.rmtree(place / "__pycache__", ignore_errors=True)  # a part is changed more than once in a second
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.partition(".")[0] == "campaign_part"]:
        del sys.modules[name]
    command = importlib.import_module(f"studies.{job.study}").main

    def main(arguments):
        begun()
        return command(arguments)

    with contextlib.ExitStack() as around:
        if "campaign_part" in "".join(job.asked):  # a worker that stays would know the part as it was before
            around.enter_context(no_workers_left())
        for one in (contextlib.redirect_stdout(said), contextlib.redirect_stderr(error), light()):
            around.enter_context(one)
        around.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        try:
            run_main(main, job.arguments(place))
        except SystemExit as end:
            status = end.code
    return Ended(status, *((said.getvalue(), error.getvalue()) if capture else ("", "")))


def light():
    """Commands without what takes long and is the same in all: figures, pairs of images, scenarios, benchmarks."""
    from glomfeat.report import find
    from studies.coverage import simulate

    figures, stack = find.find_figures()[:1], contextlib.ExitStack()
    for name, instead in (
        ("studies._cli.end_with_report", lambda study, *rest: None),
        ("studies.compare.end_with_report", lambda study, *rest: None),
        ("glomfeat.report.write.find_figures", lambda: figures),
        ("glomfeat.checks.data.run.find_pairs", exact_copies),
        ("studies.coverage.simulate.SCENARIOS", simulate.SCENARIOS[:1]),
        ("studies.bench.run.PARTS", {"decode": lambda at, folder: [[], []]}),
        ("studies.bench.run.measure", lambda *rest: {}),
        ("studies.bench.run.to_markdown", lambda report: "nothing"),
    ):
        stack.enter_context(patch(name, instead))
    return stack


def make_weights(place):
    """Weights of a network in a folder."""
    from safetensors.torch import save_file

    from glomfeat.features.deep.weights import random_network

    (place / "weights").mkdir()
    save_file(random_network("squeezenet1_1").state_dict(), place / "weights" / "squeezenet1_1.mine.safetensors")


def make_base(place, base, names):
    """Make inputs at a place, run commands there and what they need, and copy it; give the results of each."""
    place.mkdir()
    make_inputs(place)
    expected, needed = {}, {*names, *(one for name in names for one in NEEDS.get(name, ()))}
    for name in [name for name in JOBS if name in needed]:
        job = JOBS[name]
        if name == "compare deep":
            make_weights(place)
        ended = run_here(job, place)
        assert ended.status in (0, 1) and "Traceback" not in ended.error, (name, ended)
        expected[name] = job.results(place), ended.status
        if name == "refit":
            shutil.copytree(place / "model" / "one", place / "bundle")
    shutil.copytree(place, base, symlinks=True)
    return expected


def restore(place, base, fresh=(), cold=False):
    """Make a place as it was, or without what some commands wrote, or without the cache."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(base, place, symlinks=True)
    for out in (*(JOBS[name].out for name in fresh), *(["cache"] if cold else [])):
        path = place / out
        shutil.rmtree(path) if path.is_dir() else path.unlink()
