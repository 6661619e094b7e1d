"""Faults of disks: full, over a quota, read-only, away; of the output, of the cache, and of what is read."""

import contextlib
import errno
from functools import partial

from helpers.campaign.jobs import folder_of
from helpers.campaign.judge import Fault
from helpers.faults import READ, failing

MEANT = {
    "ENOSPC": "a full disk",
    "EDQUOT": "a used-up quota",
    "EROFS": "a disk that may only be read",
    "EIO": "a disk that fails",
    "ESTALE": "a network folder that is away",
    "EACCES": "no permission",
    "ENOENT": "a folder that is gone",
}
WRITING = (
    *("compare", "compare images", "audit", "export", "report", "refit", "evaluate", "crops", "coverage", "bench"),
    *("export h5", "audit images"),
)


def disks():
    """All faults of this file."""
    found = []
    for k, (code, meant) in enumerate(MEANT.items()):
        names = WRITING if code == "ENOSPC" else [WRITING[(j + 5 * k) % len(WRITING)] for j in range(4)]
        found += [
            Fault(f"{code}, {meant}, at something written", name, partial(_at, name, code, j % 2 == 0), _says(name))
            for j, name in enumerate(names)
        ]
    found += [
        Fault("a cache on such a disk", name, partial(_of_cache, name, code, j % 2 == 0), ("cache",), cold=True)
        for j, (name, code) in enumerate(
            [("compare", "ENOSPC"), ("compare images", "ENOSPC"), ("export", "EDQUOT"), ("audit images", "EROFS")]
            + [("compare images", "EIO"), ("export", "EACCES"), ("compare", "ESTALE")]
        )
    ]
    found += [
        Fault("a file that cannot be read", name, partial(_unread, what, code), (what,) if says else ())
        for name, what, code, says in (
            ("compare", "table.csv", "EACCES", True),
            ("compare", "table.csv", "EIO", True),
            ("compare images", "public.csv", "EACCES", True),
            ("audit", "table.csv", "EACCES", True),
            ("evaluate", "bundle.json", "EACCES", True),
            ("evaluate", "head.skops", "EIO", True),
            ("refit", "study.yaml", "EACCES", True),
            ("coverage", "table.csv", "EACCES", True),
            ("crops", "geojson", "EACCES", False),
        )
    ]
    found += [
        Fault("a file where the output folder should be", name, partial(_in_the_way, name), _says(name))
        for name in ("compare", "audit", "export", "bench")
    ]
    found += [
        Fault("an output that is a link to itself", name, partial(_looping, name), _says(name))
        for name in ("compare", "export", "crops")
    ]
    return found


def _says(name):
    return (folder_of(name),)


@contextlib.contextmanager
def _at(name, code, lasting, scene):
    at = int(scene.rng.integers(1, scene.things(name, folder_of(name)) + 1))
    with failing(scene.place / folder_of(name), getattr(errno, code), at, lasting=lasting):
        yield


@contextlib.contextmanager
def _of_cache(name, code, lasting, scene):
    at = int(scene.rng.integers(1, scene.things(name, "cache", cold=True) + 1))
    with failing(scene.place / "cache", getattr(errno, code), at, lasting=lasting):
        yield


@contextlib.contextmanager
def _unread(what, code, scene):
    with failing(scene.place, getattr(errno, code), 1, (READ,), lasting=True, only=what):
        yield


@contextlib.contextmanager
def _in_the_way(name, scene):
    path = scene.place / folder_of(name)
    path.write_text("something else")
    yield
    path.unlink()


@contextlib.contextmanager
def _looping(name, scene):
    path = scene.place / folder_of(name)
    path.symlink_to(path.name)
    yield
    path.unlink()
