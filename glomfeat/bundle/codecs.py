"""Fitted heads and reducers as files that run no code when they are read.

skops rebuilds objects by the names of their types. Here a file is read only if every type in it is on a short list, and
if its arrays fit together, because libsvm indexes into them without checking.
"""

import io
import json
import re
import zipfile

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.svm import SVC

from glomfeat.bundle.format import COPY, BundleError, parse_json
from glomfeat.models.heads.built_in import HEADS, entry_of, make_head
from glomfeat.models.heads.scoring import gives_scores
from glomfeat.models.heads.svms import SVMs

SKOPS, HEAD = "skops", "head.skops"
MOST_UNPACKED, MOST_ENTRIES = 2_000_000_000, 1000
# Where our own types were when bundles of format 1 and 2 were written.
MOVED = {"glomfeat.scaling": "glomfeat.models.heads.scaling", "glomfeat.svms": "glomfeat.models.heads.svms"}
ADDRESS = re.compile(r'(?<="__id__": )\d+|(?<="file": ")\d+(?=\.)')
# In addition to the types of the built-in heads: reducers, and users' own heads.
OBJECTS = {
    "sklearn.decomposition._incremental_pca.IncrementalPCA",
    "sklearn.decomposition._pca.PCA",
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
    "sklearn.linear_model._ridge.RidgeClassifier",
    "sklearn.naive_bayes.GaussianNB",
    "sklearn.preprocessing._label.LabelBinarizer",
}
NODES = {
    "DictNode": {"builtins.dict"},
    "JsonNode": {"builtins.str"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
    "TypeNode": {"builtins.str"},
    "NdArrayNode": {"numpy.ndarray", "numpy.float64", "numpy.float32", "numpy.int64", "numpy.int32"},
}


def _types_of_heads():
    return {kind for entry in HEADS.values() for kind in entry.types}


def dump_skops(estimator):
    """Store a fitted estimator as bytes.

    Raises
    ------
    BundleError
        It holds a type that is not on the list.
    """
    import skops.io

    try:
        data = skops.io.dumps(estimator)
    except Exception as error:  # whatever a user's own estimator may raise
        raise BundleError(f"{type(estimator).__name__} cannot be put into a bundle: {error}") from error
    _check_skops(data, f"{type(estimator).__name__} cannot be put into a bundle", "use one of glomfeat's own heads")
    return _without_addresses(data)


def _without_addresses(data):
    """The same file with objects numbered in order of appearance, and without times.

    skops numbers objects by their place in memory; here equal estimators make equal bytes.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        schema = file.read("schema.json").decode()
        numbers = {name: str(k) for k, name in enumerate(dict.fromkeys(ADDRESS.findall(schema)))}
        parts = {"schema.json": ADDRESS.sub(lambda match: numbers[match[0]], schema).encode()}
        for name in file.namelist():
            if name != "schema.json":
                stem, dot, suffix = name.partition(".")
                parts[f"{numbers.get(stem, stem)}{dot}{suffix}"] = file.read(name)
    return _packed(parts)


def _packed(parts):
    """A zip of named bytes that does not depend on when it is written."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name in sorted(parts):
            file.writestr(zipfile.ZipInfo(name), parts[name])
    return packed.getvalue()


def load_skops(data, path):
    """Rebuild the estimator that `dump_skops` wrote.

    Parameters
    ----------
    data : bytes
    path : path-like
        For messages.

    Raises
    ------
    BundleError
        It is anything but an estimator of the listed types whose arrays fit together.
    """
    import skops.io

    _check_skops(data, f"{path} is refused", COPY)
    try:
        ours = [kind for kind in _types_of_heads() if kind.startswith("glomfeat.")]
        found = skops.io.loads(_as_of_now(data), trusted=ours)
        _check_svms(found)
    except Exception as error:  # a crafted file can fail in as many ways as there are attributes
        raise BundleError(f"{path} does not hold a fitted part ({type(error).__name__}): {COPY}") from error
    return found


def _as_of_now(data):
    """A checked file in which types that have moved since get their present names."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        schema = now = file.read("schema.json")
        for old, new in MOVED.items():
            now = now.replace(f'"{old}"'.encode(), f'"{new}"'.encode())
        if now == schema:
            return data
        return _packed({name: file.read(name) for name in file.namelist()} | {"schema.json": now})


def _check_skops(data, what, remedy):
    """Refuse a skops file unless all of its types are on the list, before anything in it is built."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            entries = file.infolist()
            if len(entries) > MOST_ENTRIES or sum(entry.file_size for entry in entries) > MOST_UNPACKED:
                raise BundleError(f"{what}: it unpacks to more than a part has: {remedy}")
            schema = parse_json(file.read("schema.json"), "schema.json")
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError, OSError):
        raise BundleError(f"{what}: it is not a file of skops: {remedy}") from None
    waiting, allowed = [schema], NODES | {"ObjectNode": OBJECTS | _types_of_heads()}
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            if "__loader__" in node or "__class__" in node:
                module = str(node.get("__module__"))
                loader, kind = str(node.get("__loader__")), f"{MOVED.get(module, module)}.{node.get('__class__')}"
                if kind not in allowed.get(loader, ()):
                    raise BundleError(
                        f"{what}: its type {kind} ({loader}) is not on the list of allowed ones; {remedy}"
                    )


def _svms_in(part):
    """Yield the support vector machines in an estimator, however deep."""
    if isinstance(part, np.ndarray) and part.dtype == object:
        part = part.ravel().tolist()
    if isinstance(part, SVMs):
        same = {(type(one), one.n_features_in_, tuple(one.classes_)) for one in part.machines_}
        if type(part.machines_) is not list or same != {(SVC, part.n_features_in_, tuple(part.classes_))}:
            raise ValueError("machines that do not go together")
    if isinstance(part, list | tuple | dict):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from _svms_in(inner)
    elif isinstance(part, SVC):
        yield part
    elif isinstance(part, BaseEstimator):
        yield from _svms_in(vars(part))


def _check_svms(estimator):
    """Raise an error unless the arrays of each support vector machine fit together."""
    for part in _svms_in(estimator):
        n, width = part.support_vectors_.shape
        counts, classes = np.asarray(part._n_support), len(part.classes_)
        pairs = classes * (classes - 1) // 2
        fits = (
            counts.shape == (classes,)
            and (counts >= 0).all()
            and counts.sum() == n == len(part.support_)
            and part._dual_coef_.shape == part.dual_coef_.shape == (classes - 1, n)
            and part._intercept_.shape == part.intercept_.shape == (pairs,)
            and part.n_features_in_ == width == part.shape_fit_[1]
            and part._sparse is False
            and part.kernel == "rbf"
        )
        if not fits:
            raise ValueError("arrays of a support vector machine do not fit together")


def dump_head(name, estimator):
    """Store a fitted head as a file of a bundle.

    Parameters
    ----------
    name : str
        As for `glomfeat.models.heads.built_in.make_head`.
    estimator : classifier

    Returns
    -------
    stored : str
        In what form, for `load_head`.
    file : str
    data : bytes

    Raises
    ------
    BundleError
        It holds a type that is not on the list.
    """
    codec = entry_of(name).codec
    return (codec.name, codec.file, codec.dump(estimator)) if codec else (SKOPS, HEAD, dump_skops(estimator))


def load_head(stored, folder, width, classes):
    """Rebuild the head that `dump_head` wrote.

    Parameters
    ----------
    stored : str
    folder : path-like
        The bundle's.
    width, classes : int
        The number of columns that it reads, and of classes that it knows.

    Returns
    -------
    classifier

    Raises
    ------
    BundleError
        It is not a classifier, or not one of that shape.
    """
    if stored == SKOPS:
        estimator = load_skops((folder / HEAD).read_bytes(), folder / HEAD)
        if not gives_scores(estimator):
            raise BundleError(f"{folder / HEAD} holds no classifier: {COPY}")
        return estimator
    codecs = {entry.codec.name: (name, entry.codec) for name, entry in HEADS.items() if entry.codec}
    name, codec = codecs[stored]
    path = folder / codec.file
    data, new = path.read_bytes(), make_head(name, 0).estimator
    try:
        return codec.load(new, data, width, classes)
    except Exception as error:  # a crafted file can fail in as many ways as there are fields
        raise BundleError(f"{path} does not hold {codec.what} ({type(error).__name__}): {COPY}") from error


def to_json(value):
    """Plain data with NaN as None, for JSON without NaN."""
    return json.loads(json.dumps(value, default=_plain), parse_constant=lambda name: None)


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | np.ndarray):
        return list(value)
    raise TypeError(f"{value!r} is not plain data")
