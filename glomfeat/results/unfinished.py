"""Arms whose trials are not all done: their figures are from some of their trials only."""

from glomfeat.results.parts import finished_arms

UNFINISHED = "its trials are not all done"


def note_unfinished(table, run):
    """Begin ``note`` of each row of an arm whose trials are not all done with `UNFINISHED`.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns ``arm`` and ``note``.
    run : Run

    Returns
    -------
    pandas.DataFrame
    """
    finished = finished_arms(run)
    notes = [
        note if arm in finished else "; ".join(filter(None, [UNFINISHED, note]))
        for arm, note in zip(table["arm"], table["note"], strict=True)
    ]
    return table.assign(note=notes)
