"""Small studies."""

from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from glomfeat.comparison.compare import compare
from glomfeat.comparison.folder import journal_of
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core import workers
from studies._cli import run_main

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


def refusal(main, capsys, *arguments):
    """The one line in which a command refuses what it is given."""
    with pytest.raises(SystemExit) as ended:
        run_main(main, list(map(str, arguments)))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


def run_study(tmp_path, **options):
    """Run a comparison as the command does; give what finished, results, images set aside, and the lines it said."""
    small = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache"), "heads": ("logreg", "svm"), "jobs": 1}
    study, said = Study(**small | {"folds": 3} | options), []
    journal = journal_of(study)
    return *compare(prepare(study, said.append, journal=journal), said.append, journal), said
