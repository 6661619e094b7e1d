"""Random states of estimators, of which none may stay open: two runs give the same numbers."""

from copy import deepcopy


def copied(estimator):
    """A copy of an estimator, so that no fit changes what the user's function may return again.

    Nothing fits what a FrozenEstimator holds, and it may be large: it is not copied. Neither is an estimator that
    cannot be copied, such as one with a lock.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator; from sklearn.svm import SVC
    >>> fixed, free = FrozenEstimator(SVC()), SVC()
    >>> copied(fixed) is fixed, copied(free) is free
    (True, False)
    """
    from sklearn.frozen import FrozenEstimator

    inside = estimator.get_params().values() if _has_params(estimator) else ()
    kept = {id(part): part for part in [estimator, *inside] if isinstance(part, FrozenEstimator)}
    try:
        return deepcopy(estimator, kept)
    except Exception:
        return estimator


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
    """A copy of an estimator with the seed wherever its random state is None, which knows what it has learnt.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> [closed(SVC(random_state=state), 3).random_state for state in (7, None)]
    [7, 3]
    """
    return _with(copied(estimator), seed, [name for name, state in _states(estimator).items() if state is None])


def _states(estimator):
    """The random states among the parameters, by name; what is no estimator has none."""
    if not _has_params(estimator):
        return {}
    return {name: state for name, state in estimator.get_params().items() if name.rpartition("__")[2] == "random_state"}


def _has_params(estimator):
    return hasattr(estimator, "get_params") and not isinstance(estimator, type)


def _with(made, seed, names):
    if names:
        made.set_params(**dict.fromkeys(names, seed))  # what it returns may be None
    return made
