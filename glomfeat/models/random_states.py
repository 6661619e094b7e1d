"""Random states of estimators, of which none may stay open: two runs give the same numbers."""

from copy import deepcopy


def seeded(estimator, seed):
    """A clone of an estimator with the seed wherever it takes one, also inside a pipeline.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> seeded(SVC(random_state=7), 3).random_state
    3
    """
    from sklearn.base import clone

    return _with(clone(estimator), seed, _states(estimator))


def closed(estimator, seed):
    """An estimator itself, or a copy with the seed wherever its random state is None, which knows what it has learnt.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> [closed(SVC(random_state=state), 3).random_state for state in (7, None)]
    [7, 3]
    """
    still_open = [name for name, state in _states(estimator).items() if state is None]
    return _with(deepcopy(estimator), seed, still_open) if still_open else estimator


def _states(estimator):
    """The random states among the parameters, by name; what is no estimator has none."""
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        return {}
    return {name: state for name, state in estimator.get_params().items() if name.rpartition("__")[2] == "random_state"}


def _with(made, seed, names):
    made.set_params(**dict.fromkeys(names, seed))  # what it returns may be None
    return made
