"""Log options, metrics and the report of a study with a tracking program that the user has."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from glomfeat.core.arms import FLOOR, StudyError
from glomfeat.metrics.table import METRICS, limits_of
from glomfeat.results.show import to_markdown
from glomfeat.results.tables import curves_table, finished_first, own_columns, with_figure

PACKAGES = {"mlflow": "mlflow", "tensorboard": "tensorboard"}
LONGEST = 6000  # most characters of a parameter in MLflow
FILES = ("report.html", "results.csv", "results.md", "results.tex", "methods.bib")
EXPERIMENT = "glomfeat"
EVENTS = "tensorboard"  # subfolder of the output folder
WIDEST = 1600  # most pixels of a figure's side


def check_track(name):
    """Raise an error if the tracking program is not installed.

    Parameters
    ----------
    name : str
        One of `PACKAGES`.

    Raises
    ------
    StudyError
        With the command that installs it.
    """
    if find_spec(PACKAGES[name]) is None:
        raise StudyError(
            f"--track {name} needs the package {PACKAGES[name]}, which is not installed: pip install "
            f'"glomfeat[{name}]", or leave --track out'
        )


def track(study, finished, say):
    """Log a study that has ended, with its report in the output folder.

    Only options, results of arms, and the report with its tables are logged, and nothing that holds names of images,
    cases or the folders above them.

    Parameters
    ----------
    study : Study
        A study that asks for it.
    finished : glomfeat.results.finished.Finished
    say : callable
        Called with a line that says where the log is, or why there is none.

    Returns
    -------
    bool
        Whether it was logged. A failure there costs no result.
    """
    log = {"mlflow": _to_mlflow, "tensorboard": _to_tensorboard}[study.track]
    try:
        say(f"{study.track}: {log(study, finished, Path(study.out).expanduser())}")
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        again = "run the same command once more to log it; all results are there"
        say(f"--track {study.track}: nothing or not all was logged ({type(error).__name__}: {first}): {again}")
        return False
    return True


def asked_options(study):
    """The options of a study that have a value, as texts; paths are cut to their last part.

    Parameters
    ----------
    study : Study

    Returns
    -------
    dict of str to str
    """
    found = {}
    for name, value in study.plain().items():
        if value is not None and value != []:
            text = " ".join(map(_without_folders, value if isinstance(value, list) else [value]))
            found[name] = text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."
    return found


def _without_folders(value):
    start, equals, place = str(value).rpartition("=")
    return f"{start}{equals}{Path(place).name}" if Path(place).expanduser().is_absolute() else str(value)


def _figures_of(row, own=()):
    """The metrics of an arm and their limits, as far as they are known."""
    names = [part for name in METRICS for part in (name, *limits_of(name))]
    found = {name: float(row[name]) for name in (*names, "threshold", "fit_s", *own) if row.get(name) is not None}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _to_mlflow(study, finished, out):
    """Log to MLflow: a run for the study, with a nested run for each arm."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # figures about patients go to nobody else
    import mlflow

    if "MLFLOW_EXPERIMENT_NAME" not in os.environ and "MLFLOW_EXPERIMENT_ID" not in os.environ:
        mlflow.set_experiment(EXPERIMENT)
    results, own = finished.results, own_columns(finished.results)
    by_arm = dict(list(finished.own_trials.groupby("arm")))
    with mlflow.start_run(run_name=out.name) as run:
        mlflow.log_params(asked_options(study))
        mlflow.set_tag("title", finished.title)
        known = with_figure(finished_first(results))
        if len(known):
            mlflow.set_tag("best arm", known.iloc[0]["arm"])
            mlflow.log_metrics(_figures_of(known.iloc[0], own))
        for name in FILES:
            if (out / name).is_file():
                mlflow.log_artifact(str(out / name))
        if (out / "figures").is_dir():
            mlflow.log_artifacts(str(out / "figures"), "figures")
        for _, row in results.iterrows():
            with mlflow.start_run(run_name=row["arm"], nested=True):
                mlflow.log_params({name: row[name] for name in ("arm", "kind", "feature", "reducer", "head", "status")})
                mlflow.log_metrics(_figures_of(row, own))
                for step, value in enumerate(by_arm[row["arm"]]["auroc"]):
                    if np.isfinite(value):
                        mlflow.log_metric("auroc_of_trial", float(value), step=step)
    return f"run {run.info.run_id} at {mlflow.get_tracking_uri()}"


def _to_tensorboard(study, finished, out):
    """Log to TensorBoard in the output folder: options and table as text, metrics as scalars, figures as images."""
    from torch.utils.tensorboard import SummaryWriter

    folder, results, own = out / EVENTS, finished.results, own_columns(finished.results)
    shutil.rmtree(folder, ignore_errors=True)  # an earlier run would be drawn as one curve with this one
    with SummaryWriter(log_dir=str(folder)) as writer:
        rows = "\n".join(f"| {name} | {value} |" for name, value in asked_options(study).items())
        writer.add_text("options", f"| option | value |\n|---|---|\n{rows}")
        table = to_markdown(results, finished.title, finished.positive)
        writer.add_text("report", f"{table}\n\nThe page is report.html in {out.name}.")
        for _, row in results.iterrows():
            for name, value in _figures_of(row, own).items():
                writer.add_scalar(f"{name}/{row['arm']}", value)
        for step, row in enumerate(finished.own_trials.to_dict("records")):
            if row["arm"] != FLOOR and np.isfinite(row["auroc"]):
                writer.add_scalar(f"auroc_of_trial/{row['arm']}", row["auroc"], step)
        for row in curves_table(finished).to_dict("records"):
            for name in ("train_loss", "inner_valid_loss", "inner_valid_auroc"):
                if np.isfinite(row[name]):
                    tag = f"{name}/{row['arm']} repeat {row['repeat']} fold {row['fold']}"
                    writer.add_scalar(tag, row[name], row["epoch"])
        for path in sorted((out / "figures").glob("*.png")):
            with Image.open(path) as image:
                image.thumbnail((WIDEST, WIDEST))
                writer.add_image(path.stem, np.asarray(image.convert("RGB")), dataformats="HWC")
    return f"tensorboard --logdir {folder}"
