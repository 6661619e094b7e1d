"""The run of `studies.bench`: each benchmark's data are made, measured and removed, and the report is written anew."""

import datetime
import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import joblib
import yaml

from glomfeat.core.environment import environment
from glomfeat.core.memory import budget_bytes
from glomfeat.core.progress import track
from studies.bench.measure import measure
from studies.bench.parts import device_of, plan
from studies.bench.plan import SIZES
from studies.bench.table import row_of, to_markdown


def bench(options, command):
    """Measure what a `Bench` asks for; give what bench.json holds.

    The report is written after each benchmark, so that what is measured is kept. It names the command.
    """
    size = "full" if options.full else "quick" if options.quick else "default"
    jobs, memory = options.jobs or joblib.cpu_count(), budget_bytes(options.memory)
    out, sizes = Path(options.out).expanduser(), SIZES[size].of_widths(options.widths)
    with tempfile.TemporaryDirectory(prefix="glomfeat-bench-", dir=options.scratch) as scratch:
        scratch = Path(scratch)
        device = device_of(options.device, scratch)
        out.mkdir(parents=True, exist_ok=True)
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(options).items()}
        (out / "study.yaml").write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
        report = {
            "command": command,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "size": size,
            "device": device["name"],
            "jobs": jobs,
            "memory_bytes": memory,
            "environment": environment(options, {}),
            "rows": [],
        }
        given = {"jobs": jobs, "device": device["device"], "memory": memory, "seed": options.seed}
        benchmarks = plan(options.only, sizes, given, scratch)
        for benchmark in track(benchmarks, "benchmarks", len(benchmarks)):
            folder = scratch / benchmark.folder
            folder.mkdir()
            sides = benchmark.make(folder)
            repeats = 1 if options.quick else options.repeats
            measured = measure(sides, folder, repeats, sizes.patience_s, memory, together=options.quick)
            for pair in benchmark.pairs:
                report["rows"].append(row_of(benchmark, pair, sides, measured, options.quick))
            shutil.rmtree(folder)
            (out / "bench.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            (out / "bench.md").write_text(to_markdown(report), encoding="utf-8")
    return report
