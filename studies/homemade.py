"""The two homemade networks of the original study: ROC, and confusion matrices at 0.5 and at the threshold."""

from dataclasses import dataclass
from pathlib import Path

from studies._cli import parse_options, run_main
from studies._original import OriginalStudy, run_original

NETS = ("homemade-128", "homemade-224")


@dataclass(frozen=True)
class Homemade(OriginalStudy):
    """Compare the homemade networks of the original study, with its published figures next to ours."""

    nets: tuple[str, ...] = NETS
    """Networks trained on the same folds."""
    out: str = "runs/homemade"
    """Output folder. A run of the same study in it is resumed."""


def _roc_table(run):
    """The points of the ROC curve of each trial of a network, from its out-of-fold scores.

    Each fold has a network of its own, and so a curve. With more than two classes, it is that of the last class against
    the rest.
    """
    import numpy as np
    import pandas as pd
    from sklearn.metrics import roc_curve

    from glomfeat.metrics.scores import of_class

    parts = []
    for trial, record in run.done(run.trials).items():
        if not trial.arm.net:
            continue
        score = np.asarray(record["scores"], np.float64)
        positive = run.manifest.labels[run.tested(trial)] == len(run.manifest.classes) - 1
        fpr, tpr, threshold = roc_curve(positive, of_class(score))
        points = {"fpr": fpr, "tpr": tpr, "threshold": threshold}
        parts.append(pd.DataFrame({"arm": str(trial.arm), "repeat": trial.repeat, "fold": trial.fold, **points}))
    columns = ["arm", "repeat", "fold", "fpr", "tpr", "threshold"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def main(arguments):
    """Run the study that the command line describes.

    Exit status: 0 done, 1 some trials failed or images were set aside.
    """
    study = parse_options(Homemade, arguments, "python -m studies.homemade")

    def show(console, prepared, run):
        from glomfeat.results.save import save_table

        path = Path(prepared.study.out).expanduser() / "roc.csv"
        save_table(_roc_table(run), path)
        console.out(f"ROC points of each fold: {path}")

    return run_original(study, {}, show)


if __name__ == "__main__":
    run_main(main)
