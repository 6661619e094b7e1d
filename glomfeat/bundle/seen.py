"""What a bundle has learnt from: which images or rows, and which cases; and where the numbers of its network are."""

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np
from safetensors.numpy import load_file

from glomfeat.bundle.format import ARRAYS
from glomfeat.data.cases import written_loosely
from glomfeat.features.pixels import digest_of_square

NET = "net.safetensors"
FILES, PIXELS, CASES, OLDER = "seen", "seen.pixels", "seen.cases.", "seen.older"
ROUNDS = 1000  # whoever tries out all numbers that a patient may have needs hours, and not seconds


@dataclass(frozen=True)
class Seen:
    """Digests of what a model has learnt from, which name no image and no case.

    Those of bundles that its network started from are among them.

    Attributes
    ----------
    files : ndarray of uint64
        The first eight bytes of the SHA-256 of each image's file; for rows of a table, of each row's numbers.
    pixels : ndarray of uint64 or None
        Digests of images as the model reads them, from `digests_of_pixels`; None if they are not known.
    cases : dict of str to ndarray of uint64, or None
        From `digests_of_cases`, by their salt; None in bundles of older versions, which do not know them.
    older : bool
        Whether a bundle that the network started from is of an older version, so that some pixels and cases are not
        known.
    """

    files: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    pixels: np.ndarray | None = None
    cases: dict | None = None
    older: bool = False

    @classmethod
    def from_arrays(cls, arrays):
        """Rebuild it from what `arrays` gives."""
        cases = {name.removeprefix(CASES): found for name, found in arrays.items() if name.startswith(CASES)}
        return cls(arrays[FILES], arrays.get(PIXELS), cases or None, OLDER in arrays)

    def arrays(self):
        """The same as named arrays."""
        found = {FILES: self.files} | {f"{CASES}{salt}": digests for salt, digests in (self.cases or {}).items()}
        found |= {OLDER: np.ones(1, np.uint8)} if self.older else {}
        return found if self.pixels is None else found | {PIXELS: self.pixels}

    def after(self, others):
        """The same, with what others had learnt before."""
        new = [np.setdiff1d(other.files, self.files) for other in others]
        files = np.concatenate([self.files, *([np.unique(np.concatenate(new))] if new else [])])
        cases = {salt: digests for one in (*others, self) for salt, digests in (one.cases or {}).items()}
        older = self.older or any(one.older or one.cases is None for one in others)
        found = replace(self, files=files, cases=cases or None, older=older)
        for other in others:
            found = found if other.pixels is None else found.with_pixels(other.pixels)
        return found

    def with_pixels(self, digests):
        """The same with further digests of pixels."""
        return replace(self, pixels=digests if self.pixels is None else np.union1d(self.pixels, digests))

    def count_cases(self, cases):
        """Count cases that are named like those that the model learnt; zero if it does not know these.

        Parameters
        ----------
        cases : sequence of str
        """
        cases = sorted(set(cases))
        known = [np.isin(_digests(cases, salt), found) for salt, found in (self.cases or {}).items() if len(found)]
        return int(np.any(known, axis=0).sum()) if known else 0


def digests_of_cases(cases, salt):
    """Digests of cases by their names, in an order that says nothing about them.

    Names that `glomfeat.data.cases.written_loosely` takes for one have one digest.

    Parameters
    ----------
    cases : sequence of str
    salt : str
        Of these data alone, so that digests of several data sets cannot be compared.

    Returns
    -------
    ndarray of uint64
        Sorted, each once.

    Examples
    --------
    >>> digests_of_cases(["P 01", "p-1"], "a").tolist() == digests_of_cases(["P1"], "a").tolist()
    True
    >>> digests_of_cases(["P1"], "a").tolist() == digests_of_cases(["P1"], "b").tolist()
    False
    """
    return np.unique(_digests(sorted(set(cases)), salt))


def _digests(cases, salt):
    found = (hashlib.pbkdf2_hmac("sha256", written_loosely(case).encode(), salt.encode(), ROUNDS) for case in cases)
    return np.array([int.from_bytes(digest[:8]) for digest in found], np.uint64)


def digests_of_pixels(rows):
    """Digests of images by their pixels, without those of a single colour, which equal no other.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, 3)
        From `glomfeat.features.pixels.pixel_digest`.

    Returns
    -------
    ndarray of uint64
    """
    high, middle, low = rows[rows.any(axis=1)].astype(np.uint64).T  # three bytes each, of which eight in all count
    return np.unique(high << np.uint64(40) | middle << np.uint64(16) | low >> np.uint64(8))


def digest_of_decoded(pixels, size):
    """The digest of a decoded image as in `digests_of_pixels`; zero for an image of a single colour.

    Examples
    --------
    >>> from glomfeat.features.pixels import pixel_digest
    >>> image = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    >>> rows = pixel_digest().transform(image, np.array([[4, 4]]))
    >>> digests_of_pixels(rows).tolist() == [digest_of_decoded(image[0], (4, 4))]
    True
    >>> digest_of_decoded(image[0] * 0, (4, 4))
    0
    """
    return int.from_bytes((digest_of_square(pixels, size) or b"")[:8])


def read_seen(folder):
    """Read what a bundle has learnt from.

    Parameters
    ----------
    folder : Path
        Its files have been checked by `glomfeat.bundle.format.read_about`.

    Returns
    -------
    Seen
    """
    return Seen.from_arrays(load_file(folder / ARRAYS))
