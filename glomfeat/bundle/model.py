"""What predicts, in memory: preprocess, feature, reducer and head, or a network; with threshold and classes."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from glomfeat.bundle.format import BundleError
from glomfeat.bundle.reference import Reference
from glomfeat.bundle.seen import Seen
from glomfeat.core.errors import InputError
from glomfeat.core.global_generators import seeded
from glomfeat.core.threads import limited_threads
from glomfeat.data.files import read_bytes, stamp_of
from glomfeat.data.images.decode import ImageError, Preprocess, encode_png
from glomfeat.data.labels.find import EVALUATION
from glomfeat.features.handcrafted.shortcut import shortcut
from glomfeat.metrics.scores import decide
from glomfeat.models.calibration import Calibration
from glomfeat.models.heads.scoring import copy_rows, scores_of

OK, UNLIKE, UNOPENED = "ok", "ok (unlike training data)", "cannot be opened"
COLUMNS = EVALUATION
MOST_FILE_BYTES = 500_000_000  # 80 million pixels of 16-bit colour, uncompressed
BATCH = 32
SHAPES = "(height, width, 3) or (height, width)"


def as_text(path):
    r"""A path as text that can be written anywhere, with � for bytes of its name that are not text.

    Examples
    --------
    >>> from pathlib import Path
    >>> as_text(Path("a") / os.fsdecode(b"\xff.png"))
    'a/�.png'
    """
    return os.fsencode(path).decode("utf-8", "replace")


def parts_of(count, batch):
    """Slices of some rows, at most `batch` each.

    Raises
    ------
    InputError
        `batch` is less than 1.

    Examples
    --------
    >>> parts_of(3, 2)
    [slice(0, 2, None), slice(2, 3, None)]
    """
    if batch < 1:
        raise InputError(f"batch is {batch}: at least 1")
    return [slice(start, min(start + batch, count)) for start in range(0, count, batch)]


def stacked(decoded):
    """Squares and sizes of `Bundle.decode` as arrays."""
    return np.stack([found[0] for found in decoded]), np.array([found[1] for found in decoded], np.int32)


def _as_images(images):
    """Images as a list; refuses a table, a single image or no image."""
    if kind := _no_list(images):
        raise BundleError(
            f"this bundle reads images, and {kind} was given: give a list of paths or arrays; python -m "
            "studies.evaluate takes a folder, and rows of a table are for bundles that learnt such rows"
        )
    images = list(images)
    other = next((k for k, one in enumerate(images) if not isinstance(one, str | os.PathLike | np.ndarray)), None)
    if other is not None:
        raise BundleError(f"image {other} is {images[other]!r}: give its path, or an array of bytes of shape {SHAPES}")
    return images


def _no_list(images):
    """What was given instead of a list of images; empty if a list was."""
    if isinstance(images, pd.DataFrame):
        return "a table"
    if isinstance(images, str | os.PathLike):
        return "a path"
    if isinstance(images, np.ndarray) and images.dtype != object:
        colours = images.ndim == 3 and images.shape[-1] <= 4  # and is not several images without colours
        return "one array" if images.ndim < 3 or colours else ""
    return "" if isinstance(images, Iterable) else repr(images)


@dataclass(frozen=True)
class FeatureModel:
    """A model made of a feature, a reducer and a head.

    Attributes
    ----------
    feature
        From `glomfeat.features.make.make_feature`.
    reducer
        From `glomfeat.models.reducers.kept`.
    estimator : classifier
    classes, threads : int
    """

    feature: Any
    reducer: Any
    estimator: Any
    classes: int
    threads: int

    def score(self, pixels, sizes):
        """The head's scores, and the reduced rows that it read."""
        with seeded(0):  # parts of the user's own may draw from global generators
            rows = self.feature.transform(pixels, sizes)
        return self.of_rows(rows)

    def of_rows(self, rows):
        """Like `score`, for rows of the feature; always `BATCH` at once, because last bits depend on the number."""
        with limited_threads(self.threads):
            parts = [self._of_batch(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
        scores, reduced = zip(*parts, strict=True)
        return np.concatenate(scores), np.concatenate(reduced)

    def _of_batch(self, rows):
        filled = np.concatenate([rows, np.repeat(rows[:1], BATCH - len(rows), axis=0)])
        with seeded(0):
            reduced = self.reducer.transform(filled)
        with seeded(0):
            scores = scores_of(self.estimator, copy_rows(reduced), self.classes)
        return scores[: len(rows)], reduced[: len(rows)]


@dataclass(frozen=True)
class NetModel:
    """A model that is a trained network.

    Attributes
    ----------
    net : NetClassifier
    classes : int
    """

    net: Any
    classes: int

    def score(self, pixels, sizes):
        """The network's scores, and None for rows."""
        scores = self.net.predict_proba(pixels)
        return (scores[:, 1] if self.classes == 2 else scores), None


@dataclass(frozen=True, repr=False)
class Bundle:
    """A model with everything that it takes to predict from image files.

    `glomfeat.load_bundle` reads one; `glomfeat.comparison.refit.refit_arm` makes one.

    Attributes
    ----------
    about : dict
        Plain data: what ``bundle.json`` says.
    preprocess : Preprocess
    model : FeatureModel or NetModel
    reference : Reference
        What the training images were like.
    out_of_fold : dict of str to ndarray
        The arm's scores in the study, for images that the scoring model had not learnt from: ``score``, ``label``,
        ``case`` (index into ``about["trained_on"]["cases"]``), ``repeat``.
    seen : glomfeat.bundle.seen.Seen
        Digests of what it has learnt from.
    calibration : Calibration
        The map that scores pass through.
    """

    about: dict
    preprocess: Preprocess
    model: Any
    reference: Reference
    out_of_fold: dict = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)
    calibration: Calibration = field(default_factory=Calibration)

    def __repr__(self):
        trained, of = self.about["trained_on"], "images" if self.table is None else "rows"
        classes = ", ".join(map(repr, self.about["classes"]))
        return f"<{type(self).__name__} {self.about['arm']}: {classes}; trained on {trained['images']:,} {of}>"

    @property
    def parts(self):
        """The models that it consists of: itself alone, or the members of an ensemble."""
        return (self,)

    def with_parts(self, parts):
        """The same bundle made of other parts than its `parts`."""
        return parts[0]

    @property
    def table(self):
        """The columns of the table whose rows it reads; None if it reads images."""
        return None

    @property
    def classes_(self):
        """Names of the classes, in the order of the columns of `predict_proba`; the last one is the positive class."""
        return np.array(self.about["classes"])

    @property
    def threshold(self):
        """The threshold on the positive class's score; NaN with more than two classes."""
        found = self.about["threshold"]["value"]
        return float("nan") if found is None else found

    @property
    def columns(self):
        """Names of the columns of `predict`."""
        classes = self.about["classes"]
        return COLUMNS if len(classes) == 2 else (*COLUMNS, *(f"score_{name}" for name in classes))

    def predict(self, images, batch=BATCH):
        """Predict the class of images.

        Parameters
        ----------
        images : sequence of path-like, or of ndarray of uint8, shape (height, width, 3) or (height, width)
        batch : int
            Images held at once. It may change the last bits of a network's scores, and of no others.

        Returns
        -------
        pandas.DataFrame
            A row for each image: ``name`` (the path, or the number of the array), ``prediction`` (index of the class),
            ``label`` (its name), ``score`` (of the positive class; with more than two classes, of the predicted one),
            ``threshold``, ``status``: ``ok``, ``ok (unlike training data)``, or why there is no prediction. With more
            than two classes there is also a column ``score_<class>`` for each.

        Examples
        --------
        >>> import glomfeat
        >>> glomfeat.load_bundle("models/mine").predict(["a.png", "b.png"])  # doctest: +SKIP
        """
        images = _as_images(images)
        names = [str(k) if isinstance(image, np.ndarray) else as_text(image) for k, image in enumerate(images)]
        rows = []
        for part in parts_of(len(images), batch):
            rows += self.rows(names[part], [self.decode(image) for image in images[part]])
        return self.as_frame(rows)

    def as_frame(self, rows):
        """Turn what `rows` returns into the table that `predict` returns."""
        frame = pd.DataFrame(rows, columns=[*self.columns, "unlike"]).drop(columns="unlike")
        scores = [column for column in self.columns if column.startswith("score")]
        return frame.astype({"prediction": "Int64", "threshold": float} | dict.fromkeys(scores, float))

    def predict_proba(self, images, batch=BATCH):
        """Scores of all classes, as scikit-learn's classifiers give them.

        Parameters
        ----------
        images, batch
            As for `predict`.

        Returns
        -------
        ndarray of float64, shape (n, classes)

        Raises
        ------
        ImageError
            An image cannot be read; `predict` has a row with the reason instead.
        """
        images, parts = _as_images(images), [np.empty((0, len(self.classes_)))]
        for part in parts_of(len(images), batch):
            decoded = [self.decode(image) for image in images[part]]
            bad = [(k, found) for k, found in enumerate(decoded, part.start) if isinstance(found, str)]
            if bad:
                raise ImageError(f"image {bad[0][0]} cannot be read: {bad[0][1]}; predict gives such images a row")
            parts.append(self.as_columns(self._scores(decoded)[0]))
        return np.concatenate(parts)

    def as_columns(self, scores):
        """Scores with a column for each class, even for two classes."""
        return np.column_stack([1 - scores, scores]) if scores.ndim == 1 else scores

    def decode(self, image):
        """Decode an image to its square and its size before padding, or say why it cannot be read.

        Parameters
        ----------
        image : path-like or ndarray of uint8

        Returns
        -------
        (ndarray of uint8, tuple of int) or str
            For an ensemble, one of the former for each preprocess of its members.
        """
        try:
            if isinstance(image, np.ndarray):
                drawn = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))
                if image.dtype != np.uint8 or not drawn or not image.size:
                    kind = f"{image.dtype} of shape {image.shape}"
                    raise ImageError(f"an array of {kind}: bytes of shape {SHAPES} are read")
                return self._read(encode_png(image))
            size, _ = stamp_of(image)
            if size > MOST_FILE_BYTES:
                raise ImageError(f"{size:,} bytes are more than {MOST_FILE_BYTES:,} allowed")
            return self._read(read_bytes(image))
        except OSError as error:
            return f"{UNOPENED}: {error.strerror or error}"
        except ImageError as error:
            return str(error)

    def _read(self, data):
        return self.preprocess.read(data)

    def square(self, decoded):
        """The square and the size of a decoded image, as the model or the first member of an ensemble reads it."""
        return decoded

    def decode_all(self, images, threads):
        """Decode several images in threads, like `decode`."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.decode, images))

    def rows(self, names, decoded):
        """A tuple for each image: the columns of `predict`, and in what the image is unlike the training images.

        Parameters
        ----------
        names : list of str
        decoded : list
            From `decode`. Those that could be read are scored together.
        """
        good = [found for found in decoded if not isinstance(found, str)]
        told, nothing = iter(self._predicted(good)), (None,) * (len(self.columns) - len(COLUMNS))
        return [(name, *((None, "", None, None, found, *nothing, ()) if isinstance(found, str) else next(told)))
                for name, found in zip(names, decoded, strict=True)]  # fmt: skip

    def _predicted(self, decoded):
        if not decoded:
            return
        scores, seen = self._scores(decoded)
        two = scores.ndim == 1
        predicted = decide(scores, self.threshold if two else None)
        unlike = self._unlike(seen)
        threshold = self.threshold if two else None
        for row, index in enumerate(predicted.tolist()):
            score = scores[row] if two else scores[row, index]
            status = UNLIKE if unlike[row] else OK
            each = () if two else scores[row].tolist()
            yield index, self.about["classes"][index], float(score), threshold, status, *each, unlike[row]

    def _scores(self, decoded):
        pixels, sizes = stacked(decoded)
        scores, reduced = self.model.score(pixels, sizes)
        return self.calibration.apply(scores), (reduced, pixels, sizes)

    def _unlike(self, seen):
        reduced, pixels, sizes = seen
        return self.reference.unlike(shortcut().transform(pixels, sizes), reduced)
