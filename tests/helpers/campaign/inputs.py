"""Faults of what is read: images that go or change, what is no file, names, damaged tables, too little memory."""

import contextlib
import os
import shutil
import socket
from functools import partial
from unittest.mock import patch

from helpers.campaign.judge import Fault
from helpers.faults import READ, failing

OF_IMAGES = ("compare images", "audit images", "export", "evaluate")
TABLES = {
    "compare": "table.csv",
    "audit": "table.csv",
    "export h5": "table.csv",
    "coverage": "table.csv",
    "compare parquet": "table.parquet",
    "compare h5": "table.h5",
    "compare npy": "rows.npy",
    "compare zip": "phantom.zip",
}
GARBAGE = {
    "cut short": lambda whole, rng: whole[: int(rng.integers(1, len(whole)))],
    "emptied": lambda whole, rng: b"",
    "random bytes": lambda whole, rng: rng.bytes(len(whole)),
    "its end overwritten": lambda whole, rng: whole[:-64] + rng.bytes(64),
    "its beginning overwritten": lambda whole, rng: rng.bytes(64) + whole[64:],
}


def inputs():
    """All faults of this file."""
    found = [Fault("an image that is gone", name, _gone, cold=True, elsewhere=True) for name in OF_IMAGES]
    found += [
        Fault(f"an image that {what} while it is read", name, partial(_meanwhile, change), cold=True, elsewhere=True)
        for what, change in (("goes", _delete), ("is cut short", _cut), ("becomes another", _swap))
        for name in ("compare images", "evaluate")
    ]
    found += [
        Fault(f"{what} among the images", name, partial(_beside, make), own_process=True, cold=True, elsewhere=True)
        for what, make in (("a named pipe", _fifo), ("a device", _device), ("a socket", _socket))
        for name in ("audit images", "evaluate")
    ]
    found += [
        Fault(
            "a named pipe in the place of an image", name, _pipe_for_image, own_process=True, cold=True, elsewhere=True
        )
        for name in ("compare images", "evaluate")
    ]
    found += [
        Fault("an image that may not be read", name, _not_allowed, cold=True) for name in ("compare images", "evaluate")
    ]
    found += [
        Fault(f"{what} among the images", name, partial(_beside_here, make), cold=True, elsewhere=True)
        for what, make in (
            ("a name that is no UTF-8", _no_utf8),
            ("a loop of links", _loop),
            ("a broken link", _broken),
        )
        for name in ("audit images", "evaluate")
    ]
    for k, (name, file) in enumerate(TABLES.items()):
        for how in list(GARBAGE)[: 4 if k > 3 else 2]:
            kind = f"a damaged {file.rpartition('.')[2]}"
            says = (file,) if not (how == "cut short" and file.endswith("csv")) else ()
            found.append(Fault(kind, name, partial(_garbage, file, how), says, cold=True, elsewhere=True))
    found += [
        Fault("too little memory", name, _poor, ("--memory",), cold=True)
        for name in ("compare", "compare images", "export", "evaluate")
    ]
    found += [
        Fault("damaged weights", "compare deep", partial(_weights, how), ("weights",), cold=True, elsewhere=True)
        for how in ("gone", "empty", "cut short")
    ]
    return found


def _images(scene):
    return sorted((scene.place / "phantom").glob("*/*.png"))


def _one(scene):
    images = _images(scene)
    return images[scene.rng.integers(len(images))]


@contextlib.contextmanager
def _kept(scene):
    """The images as they were, afterwards."""
    try:
        yield
    finally:
        shutil.rmtree(scene.place / "phantom")
        shutil.copytree(scene.base / "phantom", scene.place / "phantom", symlinks=True)


@contextlib.contextmanager
def _gone(scene):
    with _kept(scene):
        _one(scene).unlink()
        yield


@contextlib.contextmanager
def _meanwhile(change, scene):
    """An image is changed at the moment when it is opened for the n-th time."""
    path = _one(scene)
    at = int(scene.rng.integers(1, 3))
    with _kept(scene), failing(path.parent, None, at, (READ,), only=path.name, instead=partial(change, path)):
        yield


def _delete(path):
    path.unlink(missing_ok=True)


def _cut(path):
    os.truncate(path, path.stat().st_size // 2)


def _swap(path):
    other = next(one for one in sorted(path.parent.glob("*.png")) if one != path)
    path.write_bytes(other.read_bytes())


@contextlib.contextmanager
def _beside(make, scene):
    with _kept(scene):
        make(_images(scene)[0].with_name("P09_PAS_1of1_0123456789abcdef01234567.png"))
        yield _in_a_process(scene)


def _in_a_process(scene):
    return lambda name: scene.zygote.run(name, scene.place)


@contextlib.contextmanager
def _pipe_for_image(scene):
    with _kept(scene):
        path = _one(scene)
        path.unlink()
        os.mkfifo(path)
        yield _in_a_process(scene)


@contextlib.contextmanager
def _beside_here(make, scene):
    with _kept(scene):
        make(_images(scene)[0].parent)
        yield


def _fifo(path):
    os.mkfifo(path)


def _device(path):
    path.symlink_to("/dev/zero")


def _socket(path):
    with socket.socket(socket.AF_UNIX) as one, contextlib.chdir(path.parent):  # its whole path may be too long
        one.bind(path.name)


@contextlib.contextmanager
def _not_allowed(scene):
    with failing(scene.place / "phantom", 13, 1, (READ,), lasting=True, only=_one(scene).name):
        yield


def _no_utf8(folder):
    shutil.copy(next(iter(sorted(folder.glob("*.png")))), os.fsencode(folder) + b"/P09_PAS_1of1_\xff\xfe.png")


def _loop(folder):
    (folder / "again").symlink_to(folder)


def _broken(folder):
    (folder / "P09_PAS_1of1_0123456789abcdef01234567.png").symlink_to(folder / "nowhere.png")


@contextlib.contextmanager
def _garbage(file, how, scene):
    path = scene.place / file
    path.write_bytes(GARBAGE[how](path.read_bytes(), scene.rng))
    yield
    shutil.copy2(scene.base / file, path)


@contextlib.contextmanager
def _poor(scene):
    with patch("glomfeat.core.memory.limits", lambda: {"machine": 40_000_000}):
        yield


@contextlib.contextmanager
def _weights(how, scene):
    (path,) = (scene.place / "weights").iterdir()
    whole = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes(whole[: len(whole) // 2] if how == "cut short" else b"")
    yield
    path.write_bytes(whole)
