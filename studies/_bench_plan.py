"""What the parts of `studies.bench` are made of: sizes, goals, pairs of sides, and how far two of them agree."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from glomfeat.core.errors import InputError
from glomfeat.core.memory import format_bytes

IMAGES, TABLES = "studies._bench_sides", "studies._bench_tables"
FOLDS = 5


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes
    ----------
    images, side : int
        Of the phantom, for decoding, extraction and training.
    matrices : tuple of (n, width, dtype)
        For reducers; 25 folds each.
    k : int
        Components.
    ipca_folds, pca_folds : int
        How many folds are measured of the ways that take long, ours by `IncrementalPCA` included.
    table : tuple of (n, widths, folds, repeats)
        Of the two features for the harness.
    outer_folds : int
        How many outer folds of the peer are measured.
    net : tuple of (name, side, batch, passes)
    growth : tuple of (small n, large n, width)
    trials : tuple of (n, width, folds, repeats)
        Of the table for backends.
    patience_s : float
        See `studies._bench_measure.measure`.
    """

    images: int
    side: int
    matrices: tuple
    k: int
    ipca_folds: int
    pca_folds: int
    table: tuple
    outer_folds: int
    net: tuple
    growth: tuple
    trials: tuple
    patience_s: float

    def of_widths(self, widths):
        """The same, with the matrices of some widths only.

        Raises
        ------
        InputError
            There is no such width.
        """
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
    """What a figure should reach.

    Attributes
    ----------
    of : {"ratio", "peak_ratio", "row_bytes", "ours_peak_bytes", "agreement"}
        A column of the rows.
    sign : {">=", "<="}
    value : float
    rows : int
        Of a goal that is set for one number of rows; 0 if it holds for any.
    """

    of: str
    sign: str
    value: float
    rows: int = 0

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
    """A row of the table: two sides, and what is said of them.

    Attributes
    ----------
    ours : str
    peer : tuple of str
        Sides; of several the seconds are added up.
    basis : {"process", "work"}
        Which seconds make the ratio.
    goals : tuple of Goal
    agreement : str
        A key of `AGREEMENTS`; empty where there is nothing to compare.
    processes : int
        Of ours, where the peer is one and the ratio a speed-up.
    """

    ours: str
    peer: tuple
    basis: str = "process"
    goals: tuple = ()
    agreement: str = ""
    processes: int = 1


@dataclass(frozen=True)
class Benchmark:
    """Sides that are measured in turn, and the rows made of them.

    Attributes
    ----------
    part, size : str
    folder : str
        Where in the scratch folder its data lie.
    make : callable
        ``make(folder)`` writes the data and returns the sides, a dict of str to `Side`.
    pairs : tuple of Pair
    """

    part: str
    size: str
    folder: str
    make: Callable
    pairs: tuple


def _grey_levels(ours, peer, folder):
    return np.abs(_kept(ours).astype(int) - _kept(peer)).max()


def _features(ours, peer, folder):
    return np.abs(_kept(ours) - _kept(peer)).max() / np.abs(_kept(peer)).max()


def _scores(ours, peer, folder):
    return np.abs(_kept(ours) - _kept(peer)).max()


def _variances(ours, peer, folder):
    train = np.load(folder / "data" / "parts.npy")[0] != 0
    a, b = (_kept(side)[train].var(axis=0, ddof=1, dtype=np.float64) for side in (ours, peer))
    return (np.abs(a - b) / b).max() if len(a) == len(b) else np.inf


def _aurocs(ours, peer, folder):
    differences = {}
    for key, found in peer.found["auroc"].items():
        differences.setdefault(key.rsplit(" ", 2)[0], []).append(ours.found["auroc"][key] - found)
    return max(abs(np.mean(of_arm)) for of_arm in differences.values())


def _kept(measured):
    return np.load(measured.kept)


AGREEMENTS = {
    "grey levels": (_grey_levels, "largest difference of a pixel, of 255"),
    "features": (_features, "largest difference of a feature, relative to the largest feature"),
    "scores": (_scores, "largest difference of a score"),
    "variances": (_variances, "largest relative difference of a variance explained in the first fold's training rows"),
    "AUROC": (_aurocs, "largest difference of an arm's mean AUROC on the outer folds that the peer has done"),
}
