"""Small studies."""

from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core import workers

# Arguments of the smallest comparison of images.
SMALL = (
    *("--features", "shortcut", "--heads", "logreg", "--reducers", "none"),
    *("--folds", "2", "--size", "32", "--jobs", "1"),
)


def _start_here(function, threads, seconds, folder, call, number):
    """As `glomfeat.core.workers._start`, without another process."""
    future = Future()
    try:
        future.set_result(function(call.item))
    except Exception as error:
        future.set_exception(error)
    return workers._Running(call, (), future, "")


@contextmanager
def parts_called_here():
    """Call parts of the user's own in this process, which saves starting another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "_start", _start_here)
        yield


def run_study(tmp_path, **options):
    small = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache"), "heads": ("logreg", "svm"), "jobs": 1}
    options = small | {"folds": 3} | options
    said = []
    return *compare(prepare(Study(**options), said.append), said.append), said
