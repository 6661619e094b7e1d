"""The run of `studies.bench`: each part's data are made, measured and removed, and the report is written anew."""

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
from studies.bench.measure import measure
from studies.bench.parts import DEFAULT, FULL, PARTS, QUICK
from studies.bench.table import row_of, to_markdown


def bench(options, command):
    """Measure what a `Bench` asks for; give what bench.json holds.

    The report is written after each list of rows, so that what is measured is kept. It names the command.
    """
    sizes = FULL if options.full else QUICK if options.quick else DEFAULT
    at, out = SimpleNamespace(**vars(sizes), seed=options.seed), Path(options.out).expanduser()
    at.jobs, at.memory = options.jobs or joblib.cpu_count(), budget_bytes(options.memory)
    at.device = str(find_device(options.device))
    report = {"command": command, "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    report |= {"device": at.device, "jobs": at.jobs, "memory_bytes": at.memory, "options": asdict(options)}
    report |= {"environment": environment(options, {}), "rows": []}
    names = [name for name in PARTS if name in options.only]
    with alone_in(out, "--out"), tempfile.TemporaryDirectory(prefix="glomfeat-bench-") as scratch:
        data, measuring = Path(scratch) / "data", Path(scratch) / "measuring"
        for name in track(names, "parts", len(names)):
            for rows in PARTS[name](at, data):
                sides = list(dict.fromkeys(side for row in rows for side in (row.ours, row.peer)))
                repeats = 1 if options.quick else options.repeats
                measured = measure(sides, measuring, repeats, at.patience_s, at.memory)
                report["rows"] += [row_of(name, row, measured, options.quick) for row in rows]
                shutil.rmtree(data, ignore_errors=True)
                write_text(out / "bench.json", json.dumps(report, indent=2) + "\n")
                write_text(out / "bench.md", to_markdown(report))
    return report
