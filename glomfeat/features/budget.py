"""Memory that extraction needs, calculated before it starts, and the fastest settings that fit into a budget."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from glomfeat.core.memory import Need, format_bytes
from glomfeat.core.words import number_of
from glomfeat.core.workers import PROCESS_BYTES
from glomfeat.data.files import open_bytes, stamp_of
from glomfeat.data.images.decode import FORMATS, LONGEST_PX, ImageError
from glomfeat.data.images.dicom import SUFFIXES as DICOM
from glomfeat.data.images.dicom import size_of
from glomfeat.data.images.stain import SCRATCH_BYTES
from glomfeat.features.base import Handcrafted, as_feature
from glomfeat.features.pixels import Pixels
from glomfeat.features.seen import plain
from glomfeat.features.table import Table
from glomfeat.features.users import describe_rows

LOOKED_AT = 128
AHEAD = 2
# Features that stream (see `glomfeat.features.base.Feature`) read faster than one thread verifies stored shards.
AHEAD_OF_STREAMS, READERS = 8, 4
# Bytes for each pixel of a source image, padded to a square, while it is decoded: the file's own mode, an upright
# copy, one with alpha and its background (4 bytes each), and RGB; 16-bit grey passes through 64-bit integers.
SOURCE_BYTES = 24
DESCRIBED_BYTES = 200  # for each pixel, enough for two dozen float64 planes; `classical` needs 114


def is_network(feature):
    """Whether a feature describes all rows of a shard in one call, in this process."""
    return not isinstance(plain(feature), Handcrafted | Pixels | Table)


def largest_source(paths):
    """The side of the square that is made of the largest image, taken from the headers of some files.

    It reads the headers of the largest files, and of as many others spread evenly over all files.

    Parameters
    ----------
    paths : sequence of str

    Returns
    -------
    int
        Pixels; 0 if no header can be read.
    """
    weights = [_file_bytes(path) for path in paths]
    rows = {*np.argsort(weights)[-LOOKED_AT // 2 :], *np.linspace(0, len(paths) - 1, LOOKED_AT // 2).astype(int)}
    found = max((_side(paths[row]) for row in sorted(rows)), default=0) if len(paths) else 0
    return min(found, LONGEST_PX)


def _file_bytes(path):
    try:
        return stamp_of(path)[0]
    except (OSError, ImageError):
        return 0


def _side(path):
    try:
        with open_bytes(path) as file:
            if str(path).lower().endswith(DICOM):
                return max(size_of(file) or (0,))
            with Image.open(file, formats=FORMATS) as image:
                return max(image.size)
    except Exception:  # decoding will set the image aside with its reason
        return 0


def decode_need(rows, side, source, threads, ahead, stain=False):
    """Memory that decoding needs while one shard is being read.

    Parameters
    ----------
    rows : int
        Rows of the largest shard.
    side : int
        Side of the square, in pixels.
    source : int
        As `largest_source` returns it.
    threads : int
        Threads that decode.
    ahead : int
        Shards that are decoded in advance.
    stain : bool
        Whether stains are normalised.

    Returns
    -------
    Need

    Examples
    --------
    >>> decode_need(100, 224, 800, 2, 2)
    Need(bytes=93..., how='4 shards of 100 x 224 x 224 x 3 bytes, 2 threads with images of up to 800 px')
    """
    shards = ahead + 2  # the one being read, those waiting, and the one in work, both as an array and as a file
    scratch = SOURCE_BYTES * source**2 + 8 * source * side + (SCRATCH_BYTES if stain else 0)
    decoding = f"{number_of(threads, 'thread')} with images of up to {source} px"
    how = f"{shards} shards of {rows} x {side} x {side} x 3 bytes, {decoding}"
    return Need(shards * rows * side**2 * 3 + threads * scratch, how)


def networks_need(networks, side, rows):
    """Memory that deep features need; they run in turn on each shard, so all networks are held at once.

    Parameters
    ----------
    networks : list
        Features; only those with an outline count, see `glomfeat.features.base.Feature`.
    side, rows : int
        As in `decode_need`.

    Returns
    -------
    Need
    """
    outlines = {f.name: f.outline(side) for f in networks if _tells(f, side)}
    if not outlines:
        return Need(0, "networks that do not tell")
    held = sum(o.parameters for o in outlines.values())
    works = max(max(o.building - o.parameters, o.forward + 2 * rows * o.columns * 4) for o in outlines.values())
    batches = "/".join(str(f.at_once(side)) for f in networks if f.name in outlines)
    how = f"{format_bytes(held)} of parameters, {format_bytes(works)} of a forward pass in batches of {batches}"
    return Need(held + works, how)


def _tells(feature, side):
    """Whether a feature says what it needs; if asking fails, it is computed all the same and fails with its reason."""
    try:
        return bool(feature.outline(side))
    except (OSError, MemoryError):
        raise
    except Exception:
        return False


def handcrafted_need(rows, side):
    """Memory that a handcrafted feature needs in each process that computes it.

    Parameters
    ----------
    rows, side : int
        As in `decode_need`.

    Returns
    -------
    Need
    """
    how = f"a shard of {rows} x {side} x {side} x 3 bytes and its description"
    return Need(2 * rows * side**2 * 3 + DESCRIBED_BYTES * side**2, how)


def width_of(feature, side, pixels, sizes):
    """How many columns a feature has.

    Parameters
    ----------
    feature
        As `glomfeat.features.make.make_feature` returns it, but not a table.
    side : int
        Side of the square, in pixels.
    pixels : ndarray of uint8, shape (n, side, side, 3)
    sizes : ndarray of int, shape (n, 2)
        Width and height of some images; the first image is described if this is the only way to know.

    Returns
    -------
    int

    Examples
    --------
    >>> width_of(Pixels(), 224, None, None)
    150528
    """
    if isinstance(plain(feature), Pixels):
        return side**2 * 3
    outline = feature.outline(side)
    return outline.columns if outline else describe_rows(feature, pixels[:1], sizes[:1]).shape[1]


@dataclass(frozen=True)
class Pace:
    """How extraction works within a budget.

    Attributes
    ----------
    ahead : int
        Shards that are decoded in advance.
    threads : int
        Threads that decode.
    workers : int
        Processes that compute handcrafted features.
    features : list
        The features, with batches of deep ones that fit.
    needs : dict of str to Need
        By stage: ``decode``, ``networks`` (besides decoding), ``handcrafted`` (for each worker, besides its process).
    readers : int
        Shards that are decoded, or read and verified, at a time; they share the threads.
    """

    ahead: int
    threads: int
    workers: int
    features: list
    needs: dict = field(default_factory=dict)
    readers: int = 1


def find_pace(features, side, rows, source, jobs, free=None, halve=True, stain=False):
    """The fastest settings that fit into a budget.

    Parameters
    ----------
    features : list
    side, rows, source : int
        As in `decode_need`.
    jobs : int
        Most threads and processes.
    free : int or None
        Bytes on top of what this process holds; None for no limit.
    halve : bool
        Whether networks may use smaller batches, which changes the last digits of their output.
    stain : bool
        Whether stains are normalised.

    Returns
    -------
    Pace

    Raises
    ------
    BudgetError
        Even the smallest settings do not fit; raised before anything is decoded or computed.
    OSError
        The parameters of a network cannot be read.

    Examples
    --------
    >>> find_pace([Pixels()], 224, 100, 800, 2, 80_000_000).ahead
    1
    """
    features = [as_feature(f.within(free, side)) if halve and _tells(f, side) else f for f in features]
    networks = [f for f in features if is_network(f)]
    needs = {"networks": networks_need(networks, side, rows)} if networks else {}
    left = None if free is None else free - sum(need.bytes for need in needs.values())
    streams = any(plain(feature).streams for feature in networks)
    most = AHEAD_OF_STREAMS if streams else AHEAD
    settings = [(ahead, threads) for threads in range(jobs, 0, -1) for ahead in range(most, -1, -1)]
    for ahead, threads in settings:
        needs["decode"] = decode_need(rows, side, source, threads, ahead, stain)
        if left is None or needs["decode"].bytes <= left:
            break
    else:
        smaller = "pass a smaller --size"
        beside = 0
        if networks:
            smaller, beside = f"{smaller}, or fewer --features at a time", needs["decode"].bytes
            needs["networks"].check("the networks' extraction", free, smaller, 2 * beside)
        needs["decode"].check("decoding", left, smaller, beside)  # batches of networks grow with the budget
    workers = jobs
    if any(isinstance(plain(f), Handcrafted) for f in features):
        needs["handcrafted"] = need = handcrafted_need(rows, side)
        while free is not None and workers > 1 and workers * (need.bytes + PROCESS_BYTES) > free:
            workers -= 1
        if free is not None:
            need.check("a handcrafted feature", free, "pass a smaller --size")
    return Pace(ahead, threads, workers, features, needs, min(READERS, threads, ahead + 1) if streams else 1)
