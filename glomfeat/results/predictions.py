"""The table of predictions, one row per arm, repeat and image, and how it is written."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glomfeat.metrics.scores import decide, of_class

if TYPE_CHECKING:
    from glomfeat.core.arms import Trial
    from glomfeat.results.run import Run

OF_IMAGES = ["arm", "repeat", "name", "case", "fold", "label", "score", "threshold", "prediction", "split"]
ROWS = 100_000  # held at once


def predictions_table(run):
    """The predictions of a run, one row per arm x repeat x image that was tested.

    Returns
    -------
    pandas.DataFrame
        ``arm, repeat, name, case, fold, label, score, threshold, prediction, split``: `prediction` is the class that is
        called at the threshold, as an index like `label`. With more than two classes there is also a column
        ``score_<class>`` for each; `score` is then the last class's, the largest score decides, and there is no
        threshold.
    """
    frames = list(_frames(run))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=OF_IMAGES)


def write_predictions(run: "Run", path: Path) -> None:
    """Write `predictions_table` as Parquet, in groups of rows, so that few are held at once."""
    import pyarrow as pa
    from pyarrow import parquet

    frames = _frames(run)
    first = next(frames, None)
    if first is None:
        predictions_table(run).to_parquet(path, index=False)
        return
    schema = pa.Schema.from_pandas(first, preserve_index=False)
    with parquet.ParquetWriter(path, schema) as writer:
        for frame in chain([first], frames):
            writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))


def _frames(run: "Run") -> Iterator["pd.DataFrame"]:
    """Yield the rows of `predictions_table` in tables of `ROWS` or a few more, each made at once from whole columns."""
    held: list[Trial] = []
    rows = 0
    for trial in run.done(run.trials):
        held.append(trial)
        rows += len(run.tested(trial))
        if rows >= ROWS:
            yield _frame(run, held)
            held, rows = [], 0
    if held:
        yield _frame(run, held)


def _frame(run: "Run", trials: list["Trial"]) -> "pd.DataFrame":
    manifest: Any = run.manifest
    records, rows = [run.record(trial) for trial in trials], [run.tested(trial) for trial in trials]
    images = list(map(len, rows))
    scores = [np.asarray(record["scores"], np.float64) for record in records]
    decisions = [decide(score, record["threshold"]) for score, record in zip(scores, records, strict=True)]
    score = np.concatenate(scores)

    def each(values: list[Any]) -> "pd.Series":
        return pd.Series(values).repeat(images).reset_index(drop=True)

    part = manifest.table[["name", "case", "label"]].iloc[np.concatenate(rows)].reset_index(drop=True)
    part = part.assign(
        arm=each([str(trial.arm) for trial in trials]),
        repeat=each([trial.repeat for trial in trials]),
        fold=each([str(trial.fold) for trial in trials]),
        score=of_class(score),
        threshold=each([float(record["threshold"]) for record in records]),
        prediction=np.concatenate(decisions),
        split=manifest.split,
    )
    of_classes = {f"score_{name}": score[:, k] for k, name in enumerate(manifest.classes if score.ndim > 1 else [])}
    return part[OF_IMAGES].assign(**of_classes)
