"""What the parts of `studies.bench` are made of: sizes, goals, pairs of sides, and how far two of them agree."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from glomfeat.core.errors import InputError
from glomfeat.core.memory import format_bytes

IMAGES, TABLES = "studies.bench.images", "studies.bench.tables"
FOLDS = 5


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    images: int  # of the phantom, for decoding, extraction and training
    side: int
    matrices: tuple  # (n, width, dtype) for reducers; 25 folds each
    k: int  # components
    ipca_folds: int  # how many folds are measured of the ways that take long, ours by `IncrementalPCA` included
    pca_folds: int
    table: tuple  # (n, widths, folds, repeats) of the two features for the harness
    outer_folds: int  # how many of the peer are measured
    net: tuple  # (name, side, batch, passes)
    growth: tuple  # (small n, large n, width)
    trials: tuple  # (n, width, folds, repeats) of the table for backends
    patience_s: float  # of `studies.bench.measure.measure`

    def of_widths(self, widths):
        """The same with the matrices of some widths only; a ValueError where there is no such width."""
        known = [width for _, width, _ in self.matrices]
        if not set(widths) <= set(known):
            raise InputError(f"--widths is {' '.join(map(str, widths))}: there are {', '.join(map(str, known))}")
        return replace(self, matrices=tuple(m for m in self.matrices if not widths or m[1] in widths))


WIDE = ((5758, 512, "float32"), (5758, 4096, "float32"), (5758, 25_088, "float32"), (5758, 150_528, "uint8"))
NARROW = ((5758, 512, "float32"), (1200, 4096, "float32"), (600, 25_088, "float32"), (400, 150_528, "uint8"))
SIZES = {
    "quick": Sizes(
        12, 64, ((120, 40, "float32"), (60, 400, "uint8")), 8, 2, 2, (160, (24, 40), 2, 1), 1, ("compact", 32, 4, 1),
        (60, 120, 32), (160, 8, 2, 2), 0.0,
    ),
    "default": Sizes(
        240, 224, NARROW, 128, 2, 1, (1000, (512, 4096), 5, 1), 1, ("compact", 128, 32, 2), (1000, 10_000, 512),
        (2000, 256, 5, 4), 20.0,
    ),
    "full": Sizes(
        2000, 224, WIDE, 128, 2, 1, (5758, (512, 4096), 5, 5), 1, ("compact", 224, 32, 2), (5000, 50_000, 4096),
        (5758, 512, 5, 5), 600.0,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """What a figure should reach."""

    of: str  # a column of the rows
    sign: str  # ">=" or "<="
    value: float
    rows: int = 0  # of a goal that is set for one number of rows; 0 if it holds for any

    def __str__(self):
        value = format_bytes(self.value) if self.of.endswith("bytes") else f"{self.value:g}"
        at = f" at {self.rows:,} rows" if self.rows else ""
        of = {"ours_peak_bytes": "peak", "row_bytes": "held for a further row"}.get(self.of, self.of.replace("_", " "))
        return f"{of} {self.sign} {value}{at}"

    def met(self, row):
        """Whether a row reaches it; None where it is set for another size, or nothing was measured."""
        found = row[self.of]
        if found is None or (self.rows and not row["size"].startswith(f"{self.rows:,} x ")):
            return None
        return found >= self.value if self.sign == ">=" else found <= self.value


@dataclass(frozen=True)
class Pair:
    """A row of the table: two sides, and what is said of them."""

    ours: str
    peer: tuple  # of several sides the seconds are added up
    basis: str = "process"  # or "work": which seconds make the ratio
    goals: tuple = ()
    agreement: str = ""  # a key of `AGREEMENTS`; empty where there is nothing to compare
    processes: int = 1  # of ours, where the peer is one and the ratio a speed-up


@dataclass(frozen=True)
class Benchmark:
    """Sides that are measured in turn, and the rows made of them."""

    part: str
    size: str
    folder: str  # where in the scratch folder its data lie
    make: Callable  # ``make(folder)`` writes the data and returns the sides, a dict of str to `Side`
    pairs: tuple


def _largest(ours, peer):
    return np.abs(ours["rows"].astype(float) - peer["rows"]).max()


def _relative(ours, peer):
    return _largest(ours, peer) / np.abs(peer["rows"]).max()


def _variances(ours, peer):
    a, b = (side["rows"].var(axis=0, ddof=1, dtype=np.float64) for side in (ours, peer))
    return (np.abs(a - b) / b).max() if len(a) == len(b) else np.inf


def _aurocs(ours, peer):
    differences = {}
    for key in peer:
        differences.setdefault(key.rsplit(" ", 2)[0], []).append(ours[key] - peer[key])
    return max(abs(np.mean(of_arm)) for of_arm in differences.values())


AGREEMENTS = {
    "grey levels": (_largest, "largest difference of a pixel, of 255"),
    "features": (_relative, "largest difference of a feature, relative to the largest feature"),
    "scores": (_largest, "largest difference of a score"),
    "variances": (_variances, "largest relative difference of a variance explained in the first fold's training rows"),
    "AUROC": (_aurocs, "largest difference of an arm's mean AUROC on the outer folds that the peer has done"),
}


def agree(name, ours, peer):
    """How far two measured sides agree by one of `AGREEMENTS`, and what that number is."""
    function, of = AGREEMENTS[name]
    with np.load(ours.kept) as a, np.load(peer.kept) as b:
        return float(function(dict(a), dict(b))), of
