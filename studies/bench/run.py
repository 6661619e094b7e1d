"""Run `studies.bench`: make data, measure, remove the data, and write the report anew after each step."""

import datetime
import json
import shutil
import tempfile
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
from studies.bench.card import WORKERS, measure_card
from studies.bench.measure import measure
from studies.bench.parts import DEFAULT, FULL, PARTS, QUICK
from studies.bench.table import row_of, to_markdown


def bench(options, command):
    """Measure what a `Bench` asks for; return the contents of bench.json or card.json, which include `command`."""
    name, steps = ("card", measure_card) if options.minutes else ("bench", _measure_parts)
    at, out = SimpleNamespace(seed=options.seed, memory=budget_bytes(options.memory)), Path(options.out).expanduser()
    at.jobs = options.jobs or (WORKERS if options.minutes else joblib.cpu_count())
    at.device = str(find_device(options.device))
    report = {"command": command, "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    report |= {"device": at.device, "jobs": at.jobs, "memory_bytes": at.memory, "options": asdict(options), "rows": []}
    with alone_in(out, "--out"), tempfile.TemporaryDirectory(prefix="glomfeat-bench-") as scratch:
        for rows in steps(options, at, Path(scratch)):
            report["rows"] += rows
            report["environment"] = environment(options, {})
            write_text(out / f"{name}.json", json.dumps(report, indent=2) + "\n")
            write_text(out / f"{name}.md", to_markdown(report))
    return report


def _measure_parts(options, at, scratch):
    """Measure the parts in turn; yield lists of rows. The data of a list are removed before the next one."""
    sizes = FULL if options.full else QUICK if options.quick else DEFAULT
    at = SimpleNamespace(**vars(at), **vars(sizes))
    names = [name for name in PARTS if name in options.only]
    for name in track(names, "parts", len(names)):
        for rows in PARTS[name](at, scratch / "data"):
            sides = list(dict.fromkeys(side for row in rows for side in (row.ours, row.peer)))
            repeats = 1 if options.quick else options.repeats
            measured = measure(sides, scratch / "measuring", repeats, at.patience_s, at.memory)
            yield [row_of(name, row, measured) for row in rows]
            shutil.rmtree(scratch / "data", ignore_errors=True)
