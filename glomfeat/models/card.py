"""The GPU of a study, for work of heads and reducers that gains by it: products of many rows, and growing trees."""

from functools import cache

from glomfeat.core.installed import missing_for_networks
from glomfeat.core.memory import format_bytes

MANY_ROWS = 50_000
CONTEXT_BYTES = 600_000_000  # of CUDA in each process, a generous estimate
HEAVY = 1e12  # multiplications for products of all rows; with fewer, a CPU takes only seconds


def find_card(device, rows, columns):
    """The GPU for products and trees; empty if there is none, if it is too small or if there is too little to do.

    Parameters
    ----------
    device : str
        The study's device.
    rows, columns : int
        Of the feature.

    Returns
    -------
    str

    Examples
    --------
    >>> find_card("auto", 5758, 512), find_card("cpu", 1_000_000, 512)
    ('', '')
    """
    if rows <= MANY_ROWS and rows * min(rows, columns) * columns < HEAVY:
        return ""
    card, size = _card_of(device)
    return card if 3 * 8 * min(rows, columns) ** 2 <= size // 2 else ""


def _card_of(device):
    """The CUDA device of a study and its bytes; does not load torch if the study runs on the CPU."""
    return ("", 0) if device == "cpu" else _cuda(device)


@cache
def _cuda(device):
    """The CUDA device of a study, and its bytes."""
    if device == "auto" and missing_for_networks():
        return "", 0
    from glomfeat.features.deep.device import card_bytes, find_device

    found = find_device(device)
    return (str(found), card_bytes(found)) if found.type == "cuda" else ("", 0)


def at_once_on(device, need, jobs):
    """How many trainings fit on a GPU at a time; `jobs` if there is no GPU.

    Parameters
    ----------
    device : str
        The study's device.
    need : int
        Bytes that one training takes.
    jobs : int
        The most to allow.

    Examples
    --------
    >>> at_once_on("cpu", 10**9, 4)
    4
    """
    card, size = _card_of(device)
    return max(1, min(jobs, size // (need + CONTEXT_BYTES))) if card else jobs


def planned_on_card(device, needs, jobs):
    """Lines of a plan: how much of a GPU trainings take, and how many share it.

    Parameters
    ----------
    device, jobs
        As in `at_once_on`.
    needs : dict of str to int
        Bytes, by arm.

    Returns
    -------
    list of str
        Empty if there is no GPU.
    """
    card, size = _card_of(device) if needs else ("", 0)
    return [
        f"{arm}: at most {format_bytes(need + CONTEXT_BYTES)} of the {format_bytes(size)} of {card}, "
        f"{at_once_on(device, need, jobs)} at a time"
        for arm, need in (needs if card else {}).items()
    ]
