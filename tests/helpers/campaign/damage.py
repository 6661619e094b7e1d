"""Faults of files that lie there: cut short, emptied, a bit turned, deleted; and clocks that jump."""

import contextlib
import os
import time
from functools import partial
from unittest.mock import patch

from helpers.campaign.judge import Fault

WAYS = ("cut short", "emptied", "a bit turned", "deleted")
TABLES = ("results.csv", "predictions.parquet", "folds.csv", "quarantine.csv", "environment.json", "importance.csv")


def damage():
    """All faults of this file."""
    found = []
    for way in WAYS:
        found += [
            Fault(f"a stored array, {way}", name, partial(_harm, "cache/**/output.pkl", way), fresh=True)
            for name in ("compare", "compare images", "export")
        ]
        found += [
            Fault(f"the journal, {way}", "compare", partial(_harm, "table/journal.jsonl", way), fresh=False)
            for _ in range(3 if way in WAYS[::2] else 1)
        ]
        found += [
            Fault(f"a table of a run, {way}", "compare", partial(_harm, f"table/{name}", way), fresh=False)
            for name in TABLES[:: 1 if way == "cut short" else 3]
        ]
        found += [
            Fault(f"study.yaml, {way}", name, partial(_harm, f"{out}/study.yaml", way), ("study.yaml",), fresh)
            for name, out, fresh in (("compare", "table", False), ("refit", "images", True))
        ]
        found += [
            Fault(f"a file of a bundle, {way}", "evaluate", partial(_harm, f"bundle/{name}", way), (name,))
            for name in ("bundle.json", "head.skops")
        ]
        found.append(
            Fault(f"rows of an evaluation, {way}", "evaluate", partial(_harm, "scores/scores.csv", way), (), False)
        )
    found += [
        Fault("a torn last line of the journal", "compare", partial(_torn, scrap), fresh=False)
        for scrap in ('{"arm": "t', "\0" * 40, '{"arm": "x/none/logreg", "repeat": 0, "fold": 0, "status": "done"')
    ]
    found += [
        Fault("a note of the cache, damaged", name, partial(_harm, pattern, way))
        for name, pattern, way in (
            ("compare", "cache/**/metadata.json", "cut short"),
            ("compare images", "cache/**/metadata.json", "deleted"),
            ("compare images", "cache/**/func_code.py", "emptied"),
            ("export", "cache/**/func_code.py", "deleted"),
        )
    ]
    found += [
        Fault("a clock that jumps", name, partial(_jumping, by_s))
        for name in ("compare", "report", "evaluate")
        for by_s in (-86_400.0, 3.2e8)
    ]
    return found


@contextlib.contextmanager
def _harm(pattern, way, scene):
    paths = sorted(scene.place.glob(pattern))
    path = paths[scene.rng.integers(len(paths))]
    whole, stamp = path.read_bytes(), path.stat()
    if way == "deleted":
        path.unlink()
    elif whole:
        at = int(scene.rng.integers(len(whole)))
        bit = bytes([whole[at] ^ 1 << int(scene.rng.integers(8))])
        changed = {"cut short": whole[:at], "emptied": b""}.get(way, whole[:at] + bit + whole[at + 1 :])
        path.write_bytes(changed)
    yield
    if not path.exists() or path.read_bytes() != whole:
        path.write_bytes(whole)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


@contextlib.contextmanager
def _torn(scrap, scene):
    with (scene.place / "table" / "journal.jsonl").open("a") as file:
        file.write(scrap)
    yield


@contextlib.contextmanager
def _jumping(by_s, scene):
    real, calls = time.time, []

    def jumping():
        calls.append(1)
        return real() + by_s * (len(calls) % 7 > 3)

    with patch("time.time", jumping):
        yield
