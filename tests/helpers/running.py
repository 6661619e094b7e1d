"""Small studies."""

from contextlib import contextmanager

import pytest

from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.watched import NotSent

# Arguments of the smallest comparison of images.
SMALL = (
    *("--features", "shortcut", "--heads", "logreg", "--reducers", "none"),
    *("--folds", "2", "--size", "32", "--jobs", "1"),
)


@contextmanager
def parts_called_here():
    """Call parts of the user's own in this process, which saves starting another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.core.workers.pack", lambda function, item: NotSent("it stays here"))
        yield


def run_study(tmp_path, **options):
    small = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache"), "heads": ("logreg", "svm"), "jobs": 1}
    options = small | {"folds": 3} | options
    said = []
    return *compare(prepare(Study(**options), said.append), said.append), said
