"""Fitted scikit-learn parts and boosted trees as files that run no code when they are read.

skops rebuilds objects by the names of their types. Here a file is read only if every type in it is on a short list,
and if its arrays fit together: libsvm and XGBoost index into them without looking.
"""

import io
import json
import zipfile

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.svm import SVC

from glomfeat.bundle.format import COPY, BundleError, parse_json
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.svms import SVMs

MOST_UNPACKED, MOST_ENTRIES = 2_000_000_000, 1000
# Where our own types lay when bundles of format 1 and 2 were written.
MOVED = {"glomfeat.scaling": "glomfeat.models.heads.scaling", "glomfeat.svms": "glomfeat.models.heads.svms"}
OURS = ("glomfeat.models.heads.scaling.OneScale", "glomfeat.models.heads.svms.SVMs")
ALLOWED = {
    "DictNode": {"builtins.dict"},
    "JsonNode": {"builtins.str"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
    "TypeNode": {"builtins.str"},
    "NdArrayNode": {"numpy.ndarray", "numpy.float64", "numpy.float32", "numpy.int64", "numpy.int32"},
    "ObjectNode": {
        *OURS,
        "sklearn.decomposition._incremental_pca.IncrementalPCA",
        "sklearn.decomposition._pca.PCA",
        "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
        "sklearn.dummy.DummyClassifier",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._ridge.RidgeClassifier",
        "sklearn.naive_bayes.GaussianNB",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._label.LabelBinarizer",
        "sklearn.svm._classes.SVC",
    },
}
ARRAYS_OF_TREES = (
    *("left_children", "right_children", "parents", "split_indices", "split_conditions", "split_type"),
    *("default_left", "base_weights"),
)


def dump_skops(estimator):
    """A fitted estimator as bytes.

    Raises
    ------
    BundleError
        It holds a type that is not on the list.
    """
    import skops.io

    try:
        data = skops.io.dumps(estimator)
    except Exception as error:  # whatever an estimator of your own brings along
        raise BundleError(f"{type(estimator).__name__} cannot be put into a bundle: {error}") from error
    check_skops(data, f"{type(estimator).__name__} cannot be put into a bundle", "use one of glomfeat's own heads")
    return data


def load_skops(data, path):
    """The estimator that `dump_skops` wrote.

    Parameters
    ----------
    data : bytes
    path : path-like
        For messages.

    Raises
    ------
    BundleError
        Anything else than an estimator of the listed types whose arrays fit together.
    """
    import skops.io

    check_skops(data, f"{path} is refused", COPY)
    try:
        found = skops.io.loads(_as_of_now(data), trusted=list(OURS))
        _check_svms(found)
    except Exception as error:  # a crafted file fails in as many ways as there are attributes
        raise BundleError(f"{path} does not hold a fitted part ({type(error).__name__}): {COPY}") from error
    return found


def _as_of_now(data):
    """A file that was checked, in which types that have moved go by the names that they have now."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        schema = now = file.read("schema.json")
        for old, new in MOVED.items():
            now = now.replace(f'"{old}"'.encode(), f'"{new}"'.encode())
        if now == schema:
            return data
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as renamed:
            for name in file.namelist():
                renamed.writestr(name, now if name == "schema.json" else file.read(name))
    return packed.getvalue()


def check_skops(data, what, remedy):
    """Refuse a file of skops unless all of its types are on the list, before anything in it is built.

    Parameters
    ----------
    data : bytes
    what, remedy : str
        How the message starts and ends.

    Raises
    ------
    BundleError
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            entries = file.infolist()
            if len(entries) > MOST_ENTRIES or sum(entry.file_size for entry in entries) > MOST_UNPACKED:
                raise BundleError(f"{what}: it unpacks to more than a part has: {remedy}")
            schema = parse_json(file.read("schema.json"), "schema.json")
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError, OSError):
        raise BundleError(f"{what}: it is no file of skops: {remedy}") from None
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            if "__loader__" in node or "__class__" in node:
                module = str(node.get("__module__"))
                loader, kind = str(node.get("__loader__")), f"{MOVED.get(module, module)}.{node.get('__class__')}"
                if kind not in ALLOWED.get(loader, ()):
                    raise BundleError(
                        f"{what}: its type {kind} ({loader}) is not on the list of allowed ones; {remedy}"
                    )


def _svms_in(part):
    """The support vector machines in an estimator, however deep."""
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
    """Raise unless the arrays of each support vector machine fit together."""
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


def dump_trees(estimator):
    """Boosted trees as XGBoost's own JSON.

    Returns
    -------
    bytes
    """
    return bytes(estimator.get_booster().save_raw("json"))


def load_trees(data, path, width, classes):
    """The classifier that `dump_trees` wrote.

    Parameters
    ----------
    data : bytes
    path : path-like
        For messages.
    width, classes : int
        Columns that it reads, and classes that it knows.

    Raises
    ------
    BundleError
        Not boosted trees of that shape.
    """
    about = parse_json(data, path)
    try:
        _check_trees(about["learner"], width, classes)
        estimator = make_head("xgboost", 0).estimator
        # written anew from what was checked: two parsers may disagree on what a text holds
        estimator.load_model(bytearray(json.dumps(about).encode()))
    except Exception as error:  # a crafted file fails in as many ways as there are fields
        raise BundleError(f"{path} does not hold boosted trees ({type(error).__name__}): {COPY}") from error
    return estimator


def _check_trees(learner, width, classes):
    """Raise unless every index in the trees stays inside of them; children lie behind their parents."""
    booster, shape = learner["gradient_booster"], learner["learner_model_param"]
    objective = "binary:logistic" if classes == 2 else "multi:softprob"
    if booster["name"] != "gbtree" or learner["objective"]["name"] != objective or int(shape["num_feature"]) != width:
        raise ValueError("another kind of model")
    if int(shape["num_target"]) != 1 or int(shape["num_class"]) != (0 if classes == 2 else classes):
        raise ValueError("other classes")
    model = booster["model"]
    trees, groups = model["trees"], np.asarray(model["tree_info"])
    if any(model.get("cats", {}).values()):
        raise ValueError("categories")
    rounds = np.asarray(model["iteration_indptr"])
    outputs = 1 if classes == 2 else classes
    if len(groups) != len(trees) or not ((groups >= 0) & (groups < outputs)).all():
        raise ValueError("trees of no class")
    if rounds[0] != 0 or rounds[-1] != len(trees) or (np.diff(rounds) < 0).any():
        raise ValueError("rounds without trees")
    for tree in trees:
        arrays = {name: np.asarray(tree[name], np.float64) for name in ARRAYS_OF_TREES}
        nodes, param = len(arrays["parents"]), tree["tree_param"]
        left, right, column = (arrays[name] for name in ("left_children", "right_children", "split_indices"))
        if {len(array) for array in arrays.values()} != {nodes} or int(param["num_nodes"]) != nodes or nodes < 1:
            raise ValueError("a tree with arrays of several lengths")
        if int(param["num_feature"]) not in (0, width) or int(param["size_leaf_vector"]) > 1 or tree["categories"]:
            raise ValueError("a tree of another kind")
        leaf, behind = left == -1, np.arange(nodes)
        inside = (left > behind) & (right > behind) & (left < nodes) & (right < nodes)
        if arrays["split_type"].any() or not (inside | (leaf & (right == -1))).all():
            raise ValueError("a tree with children outside of it")
        if not ((column >= 0) & (column < width)).all():
            raise ValueError("a tree that reads a column which is not there")


def to_json(value):
    """Plain data with NaN as None, for JSON without NaN."""
    return json.loads(json.dumps(value, default=_plain), parse_constant=lambda name: None)


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | np.ndarray):
        return list(value)
    raise TypeError(f"{value!r} is not plain data")
