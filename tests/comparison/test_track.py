"""Tracking: what a program of the user's is given of a study, by stand-ins that have its interface."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from helpers.running import refusal
from helpers.runs import GOOD, WEAK, end, make_run
from PIL import Image

import glomfeat
from glomfeat.comparison import track as tracking
from glomfeat.comparison.options import Study
from glomfeat.comparison.track import asked_options, track
from glomfeat.core.arms import FLOOR, StudyError
from glomfeat.results.finished import Finished
from studies.compare import main

pytestmark = pytest.mark.usefixtures("dealt_once")


class MLflow(ModuleType):
    """The part of mlflow's interface that is used; remembers what it is given."""

    def __init__(self, broken=False):
        super().__init__("mlflow")
        self.runs, self.open, self.experiment, self.broken = [], [], None, broken

    def set_experiment(self, name):
        self.experiment = name

    def get_tracking_uri(self):
        return "file:mlruns"

    @contextmanager
    def start_run(self, run_name, nested=False):
        assert nested == bool(self.open)
        one = SimpleNamespace(name=run_name, params={}, metrics={}, tags={}, steps=[], files=[])
        self.runs.append(one)
        self.open.append(one)
        yield SimpleNamespace(info=SimpleNamespace(run_id=f"id{len(self.runs)}"))
        self.open.pop()

    def log_params(self, params):
        if self.broken:
            raise ConnectionError("no server\nat all")
        assert len(params) <= 100 and all(len(str(value)) <= 6000 for value in params.values())
        self.open[-1].params |= params

    def log_metrics(self, metrics):
        assert all(np.isfinite(value) for value in metrics.values())
        self.open[-1].metrics |= metrics

    def log_metric(self, name, value, step):
        self.open[-1].steps.append((name, value, step))

    def set_tag(self, name, value):
        self.open[-1].tags[name] = value

    def log_artifact(self, path):
        self.open[-1].files.append(Path(path).name)

    def log_artifacts(self, path, to):
        self.open[-1].files += [f"{to}/{one.name}" for one in Path(path).iterdir()]


class Writer:
    """The part of SummaryWriter's interface that is used."""

    made = None

    def __init__(self, log_dir):
        Writer.made, self.folder, self.scalars, self.texts, self.images = self, log_dir, {}, {}, {}
        Path(log_dir).mkdir(parents=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def add_scalar(self, tag, value, step=None):
        self.scalars[tag, step] = value

    def add_text(self, tag, text):
        self.texts[tag] = text

    def add_image(self, tag, image, dataformats):
        assert image.dtype == np.uint8 and dataformats == "HWC"
        self.images[tag] = image.shape


@pytest.fixture
def installed(monkeypatch):
    """Both programs, as far as they are used."""
    mlflow, tensorboard = MLflow(), ModuleType("torch.utils.tensorboard")
    tensorboard.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", tensorboard)
    monkeypatch.setattr(tracking, "find_spec", lambda name: name)
    for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    return mlflow


@pytest.fixture
def out(tmp_path):
    (tmp_path / "mine" / "figures").mkdir(parents=True)
    for name in ("report.html", "results.csv", "predictions.parquet", "folds.csv", "study.yaml"):
        (tmp_path / "mine" / name).touch()
    Image.new("RGB", (3000, 1500)).save(tmp_path / "mine" / "figures" / "forest.png")
    return tmp_path / "mine"


@pytest.fixture(scope="module")
def finished():
    return Finished(**make_run().given(), title="made up")


def test_mlflow_has_a_run_of_the_study_and_one_of_each_arm(installed, out, finished):
    said = []
    assert track(Study(data=str(out / "images"), out=str(out), track="mlflow", folds=3), finished, said.append)
    assert said == ["mlflow: run id1 at file:mlruns"] and installed.experiment == "glomfeat"
    whole, *arms = installed.runs
    assert whole.name == "mine" and whole.params["folds"] == "3" and whole.params["data"] == "images"
    assert whole.tags == {"title": "made up", "best arm": GOOD}
    assert whole.files == ["report.html", "results.csv", "figures/forest.png"], "no file that holds names of images"
    assert [arm.name for arm in arms] == [GOOD, WEAK, FLOOR]
    row = finished.results.iloc[0]
    assert arms[0].metrics["auroc"] == whole.metrics["auroc"] == row["auroc"]
    assert arms[0].metrics["sensitivity_t_lo"] == row["sensitivity_t_lo"] and arms[0].params["head"] == "logreg"
    trials = finished.own_trials.query("arm == @GOOD")["auroc"]
    assert arms[0].steps == [("auroc_of_trial", value, step) for step, value in enumerate(trials)]
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_the_best_arm_is_a_finished_one(installed, out):
    part = Finished(**end(make_run(), GOOD, "failed", "it broke", folds=[0]).given(), title="made up")
    assert part.results["arm"].iloc[0] == GOOD, "with its folds it has the highest AUROC"
    track(Study(data=str(out / "images"), out=str(out), track="mlflow", folds=3), part, [].append)
    assert installed.runs[0].tags["best arm"] == WEAK


def test_tensorboard_has_options_figures_and_metrics(installed, out, finished):
    (out / "tensorboard").mkdir()
    (out / "tensorboard" / "events.old").touch()
    said = []
    assert track(Study(out=str(out), track="tensorboard"), finished, said.append)
    assert said == [f"tensorboard: tensorboard --logdir {out / 'tensorboard'}"]
    made = Writer.made
    assert not list((out / "tensorboard").iterdir()), "what an earlier run of the study wrote there is replaced"
    assert made.scalars[f"auroc/{GOOD}", None] == finished.results["auroc"][0]
    assert (f"auroc_of_trial/{WEAK}", 9) in made.scalars and made.images == {"forest": (800, 1600, 3)}
    assert "| folds | 5 |" in made.texts["options"] and f"| {GOOD} |" in made.texts["report"]
    assert str(out.parent) not in "".join(made.texts.values())


@pytest.mark.parametrize("name", ["mlflow", "tensorboard"])
def test_a_program_that_is_not_installed_is_refused_before_any_work(monkeypatch, capsys, tmp_path, name):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    said = refusal(main, capsys, "no such data", "--track", name, "--out", tmp_path / "out")
    assert said == (
        f'error: --track {name} needs the package {name}, which is not installed: pip install "glomfeat[{name}]", or '
        "leave --track out\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_away_costs_no_result(installed, out, finished, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", MLflow(broken=True))
    said = []
    assert not track(Study(out=str(out), track="mlflow"), finished, said.append)
    assert said == [
        "--track mlflow: nothing or not all was logged (ConnectionError: no server): run the same command once more to "
        "log it; all results are there"
    ]


def test_options_are_texts_without_folders_above_them():
    study = Study(
        data="/home/smith/images", test=("north=/mnt/b/north", "/mnt/c/south"), margin=0.05, reference="a/b/c"
    )
    found = asked_options(study)
    assert found["data"] == "images" and found["test"] == "north=north south" and found["margin"] == "0.05"
    assert found["reference"] == "a/b/c" and found["heads"] == "logreg svm xgboost" and "labels" not in found
    assert len(asked_options(Study(nets=("C16-" * 3000 + "out",)))["nets"]) == 6000


def test_compare_tracks_when_it_has_ended(feature_table, tmp_path, installed, capsys, without_report, monkeypatch):
    small = ["--heads", "logreg", "--reducers", "none", "--folds", "2", "--jobs", "1", "--cache", tmp_path / "cache"]
    given = [feature_table, *small, "--out", tmp_path / "out", "--track", "mlflow"]
    assert main(list(map(str, given))) == 0
    assert capsys.readouterr().out.rstrip().endswith("mlflow: run id1 at file:mlruns") and len(installed.runs) == 3
    monkeypatch.setitem(sys.modules, "mlflow", MLflow(broken=True))
    monkeypatch.setattr("glomfeat.comparison.result.write_report", lambda out, *rest, **more: out / "report.html")
    options = {"heads": "logreg", "reducers": "none", "folds": 2, "jobs": 1, "cache": tmp_path / "cache"}
    with pytest.warns(UserWarning, match="^--track mlflow: nothing or not all was logged"):
        glomfeat.compare(feature_table, **options, out=tmp_path / "out", track="mlflow", quiet=True)
    with pytest.raises(StudyError, match=r"^track is 'wandb': allowed are mlflow, tensorboard or None"):
        glomfeat.compare(feature_table, track="wandb")
