"""The table of predictions, one row per arm, repeat and image, and how it is written."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from glomfeat.metrics.scores import decide, two_class

if TYPE_CHECKING:
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
    parts = list(predictions(run))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=OF_IMAGES)


def predictions(run):
    """Yield the rows of `predictions_table` trial by trial, because those of many arms take much memory.

    Yields
    ------
    pandas.DataFrame
    """
    table = run.manifest.table
    for trial in run.trials:
        record = run.record(trial)
        if record["status"] != "done":
            continue
        part = table.iloc[run.tested(trial)][["name", "case", "label"]].reset_index(drop=True)
        score = np.asarray(record["scores"], np.float64)
        part = part.assign(arm=str(trial.arm), repeat=trial.repeat, fold=str(trial.fold), split=run.manifest.split)
        part["score"] = score if two_class(score) else score[:, -1]
        part["threshold"], part["prediction"] = float(record["threshold"]), decide(score, record["threshold"])
        each = [] if two_class(score) else run.manifest.classes
        part = part.assign(**{f"score_{name}": score[:, k] for k, name in enumerate(each)})
        yield part[[*OF_IMAGES, *(column for column in part.columns if column not in OF_IMAGES)]]


def write_predictions(run: "Run", path: Path) -> None:
    """Write `predictions_table` as Parquet, in groups of rows, so that few are held at once."""
    import pyarrow as pa
    from pyarrow import parquet

    frames = _joined(predictions(run))
    first = next(frames, None)
    if first is None:
        predictions_table(run).to_parquet(path, index=False)
        return
    schema = pa.Schema.from_pandas(first, preserve_index=False)
    with parquet.ParquetWriter(path, schema) as writer:
        for frame in chain([first], frames):
            writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))


def _joined(parts: Iterable["pd.DataFrame"]) -> Iterator["pd.DataFrame"]:
    """Yield the same rows in tables of `ROWS` or a few more."""
    held: list[pd.DataFrame] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= ROWS:
            yield pd.concat(held, ignore_index=True)
            held = []
    if held:
        yield pd.concat(held, ignore_index=True)
