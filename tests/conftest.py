"""Small data that several test modules need."""

import gc
import os
import sys
from pathlib import Path
from types import SimpleNamespace

# Tests run side by side: threads of one would wait for those of another. Libraries read this when they are imported.
os.environ["OMP_NUM_THREADS"] = "1"

import psutil
import pytest

from glomfeat.core.workers import no_workers_left
from glomfeat.data.phantom import Phantom, make_phantom

# Tests begin hundreds of processes: without byte code each of them would compile the library anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

TESTS = Path(__file__).parent
TOGETHER = "tests/bundle/"  # whose files share `models`, which takes longest to make
MEASURING = "tests/core/", "tests/comparison/test_planning.py", "tests/commands/test_memory_campaign.py"
# Where workbooks are read, or broken off on a full disk.
WORKBOOKS = "tests/results/test_workbook.py", "tests/comparison/test_compare.py", "tests/comparison/test_full_disk.py"
# Where figures are looked at as files.
PICTURES = "tests/report/test_report.py", "tests/report/test_paper.py", "tests/comparison/test_track.py"
# Where shuffles are counted, or compared with those of other processes.
SHUFFLES = (
    *("tests/comparison/test_importance.py", "tests/core/test_backends.py", "tests/commands/test_campaign.py"),
    *("tests/models/test_ensemble.py", "tests/results/test_leak.py", "glomfeat/comparison/explain/importance.py"),
)


class _OnlyExamples:
    """Collect only modules with examples, apart from tests; the others would be imported in vain."""

    def pytest_ignore_collect(self, collection_path):
        """Ignore a module without examples."""
        if collection_path.suffix != ".py" or collection_path.is_relative_to(TESTS):
            return None
        return True if b">>>" not in collection_path.read_bytes() else None


def pytest_configure(config):
    """Look at modules everywhere, and not only beside this file."""
    config.pluginmanager.register(_OnlyExamples())


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for no garbage among what is imported, which stays until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One process more than there are cores, for tests wait for other processes, browsers and disks."""
    return psutil.cpu_count() + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give files to workers whole, and those of one folder all to one worker."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return TOGETHER if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)

    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(autouse=True, scope="module")
def _own_workers():
    with no_workers_left():
        yield


def _write_plainly(sheets, path):
    """The text of a workbook's sheets."""
    given = [(sheet.title, sorted(sheet.flags), sheet.table.to_dict("list")) for sheet in sheets]
    path.write_text(repr(given), encoding="utf-8", errors="backslashreplace")


# What takes a tenth or a twentieth of all tests' time, what stands for it, and where it does not: resident sizes of
# processes, for reading what they share with others takes long; workbooks; figures at 300 dpi; shuffles of columns.
SHORTER = (
    ("psutil.Process.memory_full_info", psutil.Process.memory_info, MEASURING),
    ("glomfeat.results.workbook.write_workbook", _write_plainly, WORKBOOKS),
    ("glomfeat.report.write.save_pngs", lambda pictures, folder: None, PICTURES),
    ("glomfeat.comparison.explain.importance.SHUFFLES", 1, SHUFFLES),
)


@pytest.fixture(autouse=True, scope="module")
def _shorter(request):
    with pytest.MonkeyPatch.context() as patch:
        for name, value, but in SHORTER:
            if not request.node.nodeid.startswith(but):
                patch.setattr(name, value)
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_wait_for_the_disk():
    """Files that are whole as soon as they are written: only a loss of power could tell, and a test has none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory):
    """A phantom of 48 small images of 8 cases."""
    folder = tmp_path_factory.mktemp("phantom") / "data"
    return make_phantom(folder, Phantom(images=48, cases=8, min_px=60, max_px=90))


@pytest.fixture(scope="session")
def few_images(tmp_path_factory):
    """Half as many images as those of `phantom_folder`, for networks that read them large."""
    folder = tmp_path_factory.mktemp("few") / "data"
    return make_phantom(folder, Phantom(images=24, cases=8, min_px=60, max_px=90))


@pytest.fixture
def feature_table(tmp_path):
    """A feature table of 160 rows of 16 cases, two columns of which tell the classes apart, one only weakly."""
    from helpers.runs import write_feature_table

    return write_feature_table(tmp_path / "table.csv")


@pytest.fixture(scope="session")
def pretrained_folder(tmp_path_factory):
    """A folder with a file of weights of squeezenet1_1, whose configuration says 224 px and a bilinear filter."""
    from safetensors.torch import save_file

    from glomfeat.features.deep.weights import random_network

    folder = tmp_path_factory.mktemp("weights")
    save_file(random_network("squeezenet1_1").state_dict(), folder / "squeezenet1_1.mine.safetensors")
    return folder


@pytest.fixture
def without_report(monkeypatch):
    """Studies without the seconds that drawing their report takes, for tests that do not read it."""
    import glomfeat.comparison.result  # noqa: F401 (imported later, it would keep the patched function)

    monkeypatch.setattr("glomfeat.report.write.write_report", lambda out, *rest, **more: Path(out) / "report.html")


@pytest.fixture
def parts_here():
    """Parts of the user's own that are called in this process, for tests of what else a study does with them."""
    from helpers.running import parts_called_here

    with parts_called_here():
        yield


@pytest.fixture(scope="module")
def fewer_trees():
    """Boosted trees that grow one by one of few rows too, which takes a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.models.heads.built_in.TREES_OF_FEW", 1)
        yield


@pytest.fixture(scope="module")
def dealt_once():
    """Inner folds that are dealt once of few cases too, for tests of studies whose choices are not the point."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.data.splits.MOST_DEALS", 1)
        yield


@pytest.fixture(scope="module")
def without_figures():
    """Reports without the seconds that drawing their figures takes, for tests of what else the page says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.report.write.find_figures", list)
        patch.setattr("glomfeat.report.evaluation_page.FIGURES", ())
        yield


@pytest.fixture
def only_exact_copies(monkeypatch):
    """Audits that look for copies by their bytes alone and probe no colour, for tests of what else they say."""
    from helpers.planting import exact_copies

    monkeypatch.setattr("glomfeat.checks.data.run.find_pairs", exact_copies)
    for probe in ("probe_classes", "probe_groups"):
        monkeypatch.setattr(f"glomfeat.checks.data.run.{probe}", lambda *rest: [])


@pytest.fixture
def no_changed_copies(monkeypatch):
    """Cohorts in which no changed copies are looked for, for tests of what else they do."""
    monkeypatch.setattr("glomfeat.comparison.score_cohorts.refuse_near_copies", lambda *rest: None)


@pytest.fixture(scope="session")
def models(few_images, tmp_path_factory):
    """A finished study of the phantom, and bundles of some arms in memory and on the disk, by kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.models.heads.built_in.TREES_OF_FEW", 1)  # as in fewer_trees
        patch.setattr("glomfeat.data.splits.MOST_DEALS", 1)  # as in dealt_once
        return make_models(few_images, tmp_path_factory.mktemp("models"))


def make_models(images, place):
    """What `models` holds."""
    from glomfeat.bundle.save import folder_of, save_bundle
    from glomfeat.comparison.compare import compare
    from glomfeat.comparison.options import Study
    from glomfeat.comparison.prepare import prepare
    from glomfeat.comparison.refit import refit_arm
    from glomfeat.features.extract import extract

    options = {"features": ("shortcut", "squeezenet1_1"), "reducers": ("none", "ipca4", "pca4"), "nets": ("F-D8-out",)}
    ensembles = "shortcut/none/logreg,shortcut/none/svm", "shortcut/none/svm,net:F-D8-out,shortcut/none/logreg"
    options |= {
        "ensembles": ensembles,
        "size": 64,
        "folds": 2,
        "epochs": 1,
        "jobs": 1,
        "weights": "none",
        "cache": str(place / "cache"),
    }
    prepared = prepare(Study(data=str(images), out=str(place / "out"), **options), lambda line: None)
    compare(prepared, lambda line: None)
    where = prepared.store, 1, prepared.study.on_error, prepared.views_of_nets
    extracted = extract(prepared.manifest, prepared.features, prepared.preprocess, *where)
    deep = prepared.features[1].name
    chosen = {
        "logreg": "shortcut.v1/none/logreg",
        "svm": "shortcut.v1/ipca4/svm",
        "deep": f"{deep}/pca4/xgboost",
        "net": "net:F-D8-out",
    }
    made = {kind: refit_arm(prepared, extracted, arm) for kind, arm in chosen.items()}
    folders = {kind: place / "bundles" / folder_of(arm) for kind, arm in chosen.items()}
    for kind, folder in folders.items():
        save_bundle(made[kind], folder)
    found = {"prepared": prepared, "extracted": extracted, "arms": chosen, "made": made, "folders": folders}
    return SimpleNamespace(images=images, **found)
