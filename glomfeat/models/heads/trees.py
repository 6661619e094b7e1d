"""Boosted trees as XGBoost's own JSON, checked before XGBoost reads it, which uses indices unchecked."""

import json

import numpy as np

ARRAYS_OF_TREES = (
    *("left_children", "right_children", "parents", "split_indices", "split_conditions", "split_type"),
    *("default_left", "base_weights"),
)


def dump_trees(estimator):
    """Return boosted trees as XGBoost's own JSON.

    Parameters
    ----------
    estimator : xgboost.XGBModel
        A fitted model.

    Returns
    -------
    bytes
    """
    return bytes(estimator.get_booster().save_raw("json"))


def load_trees(estimator, data, width, classes):
    """Load into an estimator what `dump_trees` wrote.

    Parameters
    ----------
    estimator : xgboost.XGBModel
    data : bytes
    width, classes : int
        Number of columns that the trees read, and number of classes.

    Returns
    -------
    xgboost.XGBModel
        The same estimator.

    Raises
    ------
    ValueError
        These are no boosted trees of that shape. A crafted file may raise many other exceptions.
    """
    about = json.loads(data)
    _check_trees(about["learner"], width, classes)
    # written anew from the checked values, because two parsers may read the same text differently
    estimator.load_model(bytearray(json.dumps(about).encode()))
    return estimator


def _check_trees(learner, width, classes):
    """Raise unless every index in the trees stays inside them, and children come after their parents."""
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
