"""Runs whose memory is planned before and measured from outside."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import psutil

from glomfeat.comparison.options import Study
from glomfeat.comparison.plans import plan_arms_of
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.survey import survey
from glomfeat.core.memory import format_bytes, held_bytes
from glomfeat.core.workers import PROCESS_BYTES
from glomfeat.data.phantom import Phantom, make_phantom
from helpers.embeddings import write_hdf5

ROOM = 4_000_000_000  # a budget in which everything takes the way that it would take if there were enough
LOOK_S = 0.05
# name, data, options of a study
CONFIGURATIONS = (
    ("a table, logreg", "table.csv", {"heads": ("logreg",), "reducers": ("none",)}),
    ("a table, svm", "table.csv", {"heads": ("svm",), "reducers": ("none",)}),
    ("a table, xgboost", "table.csv", {"heads": ("xgboost",), "reducers": ("none",)}),
    ("a table, components by blocks", "table.csv", {"heads": ("logreg",), "reducers": ("ipca16",)}),
    ("a table, exact components", "table.csv", {"heads": ("logreg", "svm"), "reducers": ("pca16",)}),
    ("a table with few training cases and a leaking split", "table.csv", {"heads": ("logreg",), "leak_price": True}),
    ("a table, an ensemble", "table.csv", {"heads": ("logreg", "svm"), "ensembles": ("{}/logreg,{}/svm",)}),
    ("a table in two processes", "table.csv", {"heads": ("logreg", "svm"), "jobs": 2}),
    ("a wide table, components by blocks", "wide.npy", {"heads": ("logreg",), "reducers": ("ipca32",)}),
    ("a wide table, exact components", "wide.npy", {"heads": ("logreg",), "reducers": ("pca32",)}),
    ("a table as parquet", "table.parquet", {"heads": ("logreg",)}),
    ("a table as HDF5", "table.h5", {"heads": ("logreg",)}),
    ("images, classical features", "images", {"features": ("classical",), "heads": ("logreg",)}),
    ("images, pixels", "images", {"features": ("pixels",), "heads": ("logreg",), "reducers": ("pca8",), "size": 96}),
    ("images in a zip, in two processes", "images.zip", {"features": ("classical", "shortcut"), "jobs": 2}),
    ("images, a pretrained network's features", "images", {"features": ("resnet18",), "reducers": ("pca8",)}),
    ("images, features of a layer by blocks", "images", {"features": ("squeezenet1_1",), "reducers": ("ipca8",)}),
    ("images, a network of one's own", "images", {"features": (), "nets": ("C8-MP-GAP-D16-out",)}),
    ("images, the compact network", "images", {"features": (), "nets": ("compact",)}),
    (
        "images, an ensemble with a network",
        "images",
        {"features": ("shortcut",), "nets": ("F-D8-out",), "ensembles": ("shortcut.v1/none/logreg,net:F-D8-out",)},
    ),
)


@dataclass(frozen=True)
class Measured:
    """A configuration: bytes that were planned for the whole run, given as its budget, and held at the most."""

    name: str
    planned: int
    budget: int
    held: int
    status: int
    said: str


def make_data(folder):
    """A table of 1500 rows, a wide one of 240, and 24 images."""
    rng, cases = np.random.default_rng(0), 12
    names = [f"P{row % cases:02d}_PAS_1of1_{row:024x}.png" for row in range(1500)]
    label = np.arange(1500) // cases % 2
    numbers = rng.normal(size=(1500, 64)).astype(np.float32) + label[:, None] / 4
    table = pd.DataFrame({"name": names, "label": label} | {f"x{k}": numbers[:, k] for k in range(64)})
    table.to_csv(folder / "table.csv", index=False)
    table.to_parquet(folder / "table.parquet", index=False)
    write_hdf5(folder / "table.h5", numbers, names, label)
    np.save(folder / "wide.npy", rng.normal(size=(240, 20_000)).astype(np.float32) + label[:240, None] / 50)
    (folder / "wide.txt").write_text("".join(f"{name}\n" for name in names[:240]))
    table[["name", "label"]][:240].to_csv(folder / "wide-labels.csv", index=False)
    make_phantom(folder / "images", Phantom(images=24, cases=6, min_px=60, max_px=90))
    shutil.make_archive(str(folder / "images"), "zip", folder / "images")


def run_measured(number, folder, place):
    """Plan a configuration, run it within what was planned, and measure all its processes from outside."""
    name, data, more = CONFIGURATIONS[number]
    small = {"folds": 2, "size": 64, "jobs": 1, "reducers": ("none",), "weights": "none", "epochs": 1}
    options = small | {"heads": ("logreg",)} | more
    if data.startswith(("table", "wide")):
        options.pop("weights"), options.pop("epochs"), options.pop("size")
    if data == "wide.npy":
        options["labels"] = str(folder / "wide-labels.csv")
    if "ensembles" in options and data != "images":
        options["ensembles"] = tuple(
            one.replace("{}", f"{_feature(folder / data)}/none") for one in options["ensembles"]
        )
    options |= {
        "data": str(folder / data),
        "out": str(place / f"{number}-{data.partition('.')[0]}"),
        "cache": str(place / "cache"),
    }
    planned = _planned(Study(**options | {"memory": str(ROOM)}))
    budget = -(-planned // 10_000_000) * 10_000_000
    command = [sys.executable, "-m", "studies.compare", *_arguments(options), "--memory", str(budget)]
    with (place / "said.txt").open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=os.environ)
        held = _watch(process)
    return Measured(name, planned, budget, held, process.returncode, (place / "said.txt").read_text())


def _feature(path):
    """The name of a table's feature."""
    from glomfeat.features.make import make_feature

    return make_feature(f"file:{path}", "none").name


def _planned(study):
    """What the plan says that all processes take together, at the most."""
    prepared = prepare(study, lambda line: None)
    found = survey(prepared)
    plans = plan_arms_of(prepared, found.widths).values()
    needs = [plan.most.bytes for plan in plans] + [
        need.bytes for view in found.views for need in view.pace.needs.values() if need
    ]
    idle = prepared.budget - prepared.free + (study.jobs - 1) * PROCESS_BYTES
    return idle + study.jobs * max(needs)


def _arguments(options):
    found = [options["data"]]
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if name == "data":
            continue
        if value is True:
            found.append(option)
        elif isinstance(value, tuple):
            found += [option, *value]
        else:
            found += [option, str(value)]
    return found


def _watch(process):
    """The most that a process and all below it hold, proportional set sizes together, in bytes."""
    most, top = 0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            most = max(most, sum(map(held_bytes, [top, *top.children(recursive=True)])))
        except psutil.NoSuchProcess:
            break
        time.sleep(LOOK_S)
    process.wait()
    return most


def table(measured):
    """What was planned and held, as Markdown."""
    lines = ["| configuration | planned | budget | held at the most | of the budget |", "|---|---:|---:|---:|---:|"]
    for one in measured:
        sizes = " | ".join(map(format_bytes, (one.planned, one.budget, one.held)))
        lines.append(f"| {one.name} | {sizes} | {100 * one.held / one.budget:.0f} % |")
    return "\n".join(lines)
