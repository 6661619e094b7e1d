"""Small studies."""

from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare

# Arguments of the smallest comparison of images.
SMALL = (
    *("--features", "shortcut", "--heads", "logreg", "--reducers", "none"),
    *("--folds", "2", "--size", "32", "--jobs", "1"),
)


def run_study(tmp_path, **options):
    small = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache"), "heads": ("logreg", "svm"), "jobs": 1}
    options = small | {"folds": 3} | options
    said = []
    return *compare(prepare(Study(**options), said.append), said.append), said
