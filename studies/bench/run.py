"""Run `studies.bench`: make data, measure, remove the data, and write the report anew after each step."""

import datetime
import json
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import joblib

from glomfeat.core.atomic import write_text
from glomfeat.core.environment import environment
from glomfeat.core.locks import alone_in
from glomfeat.core.memory import budget_bytes
from glomfeat.core.progress import track
from glomfeat.features.deep.device import find_device
from studies.bench.measure import measure
from studies.bench.parts import CARD, DEFAULT, FULL, PARTS, QUICK, card
from studies.bench.table import row_of, to_markdown

WORKERS = 8  # by default, where the rows of a GPU are measured
WEEK = 7 * 24 * 60


def bench(options, command):
    """Measure what a `Bench` asks for; return the contents of bench.json or card.json, which include `command`."""
    name, out = "card" if options.minutes else "bench", Path(options.out).expanduser()
    sizes = QUICK if options.quick else CARD if options.minutes else FULL if options.full else DEFAULT
    at = SimpleNamespace(**vars(sizes), seed=options.seed, memory=budget_bytes(options.memory))
    at.jobs = options.jobs or (WORKERS if options.minutes else joblib.cpu_count())
    at.device = str(find_device(options.device))
    at.precision = "bfloat16" if at.device.startswith("cuda") else "float32"
    report = {"command": command, "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    report |= {"device": at.device, "jobs": at.jobs, "memory_bytes": at.memory, "options": asdict(options), "rows": []}
    with alone_in(out, "--out"), tempfile.TemporaryDirectory(prefix="glomfeat-bench-") as scratch:
        for rows in _measure(options, at, Path(scratch)):
            report["rows"] += rows
            report["environment"] = environment(options, {})
            write_text(out / f"{name}.json", json.dumps(report, indent=2) + "\n")
            write_text(out / f"{name}.md", to_markdown(report))
    return report


def _measure(options, at, scratch):
    """Measure the parts in turn; yield lists of rows. The data of a part are removed before the next one."""
    parts = {"card": card} if options.minutes else {name: PARTS[name] for name in PARTS if name in options.only}
    repeats, ends = 1 if options.quick else options.repeats, time.perf_counter() + 60 * (options.minutes or WEEK)
    for name, part in track(parts.items(), "parts", len(parts)):
        for rows in part(at, scratch / "data"):
            sides = list(dict.fromkeys(side for row in rows for side in (row.ours, row.peer)))
            measured = measure(sides, scratch / "measuring", repeats, at.patience_s, at.memory, ends)
            yield [row_of(name, row, measured) for row in rows]
        shutil.rmtree(scratch / "data", ignore_errors=True)
