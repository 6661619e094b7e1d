"""What an arm takes of memory, and what of the budget there is for it."""

from dataclasses import dataclass

from glomfeat.core.memory import Need
from glomfeat.core.workers import PROCESS_BYTES
from glomfeat.models.heads.built_in import head_bytes
from glomfeat.models.reducers.fit import leaves_as_is, parse_reducer
from glomfeat.models.reducers.routes import Route, find_route

TORCH_BYTES = 450_000_000
PARENT_BYTES = 250_000_000
IMAGE_BYTES = 3_000  # names, paths, digests, folds and scores of an image, and the tables made of them


@dataclass(frozen=True)
class Plan:
    """What an arm takes.

    Attributes
    ----------
    route : Route or None
        Of its reduction; None where nothing is reduced.
    trial : Need
        Of a trial whose reduction is stored.
    remedy : str
        What else helps than more memory.
    """

    route: Route | None
    trial: Need
    remedy: str = "take a smaller reducer such as ipca128"

    @property
    def most(self):
        """The largest need, of a trial or of what comes before it."""
        before = [self.route.fold, self.route.shared] if self.route else []
        return max([self.trial, *filter(None, before)], key=lambda need: need.bytes)


def free_bytes(budget, torch, images=0):
    """What a study may plan with: its budget less what its own process and one worker hold.

    It is a function of the study alone, so that what fits, and by which route, is the same when it is resumed.

    Parameters
    ----------
    budget : int
    torch : bool
        Whether there are deep features or networks.
    images : int
        How many the study has, where that is known.
    """
    return budget - PARENT_BYTES - PROCESS_BYTES - TORCH_BYTES * torch - IMAGE_BYTES * images


def plan_arm(arm, repeats, tested, matrix, standardise, free, nets):
    """How an arm goes about its work, and what memory that takes.

    Parameters
    ----------
    arm : Arm
    repeats, tested : int
        How often cases are dealt, and how many trials the arm has in all.
    matrix : Matrix or Shape or None
        The feature, of which only shape and type are looked at; None of networks and of the floor.
    standardise : bool
    free : int
        Bytes, of `free_bytes`.
    nets : dict of str to (dict, int)
        As `make_tasks`.

    Returns
    -------
    Plan
    """
    if arm.net:
        batch = "parameters, gradients, moments and activations of a batch, and torch"
        return Plan(None, Need(nets[arm.net][1] + TORCH_BYTES, batch), "pass a smaller --batch")
    if matrix is None:
        return Plan(None, Need(0, "nothing"))
    (n, width), k = matrix.shape, parse_reducer(arm.reducer)[1]
    as_is = leaves_as_is(arm.reducer, width)
    columns = width if as_is else k or width
    size = n * columns * 4 + head_bytes(arm.head, n, columns)
    rows = Need(size, f"{n} rows of {columns} columns, and what {arm.head} makes of them")
    if as_is:
        return Plan(None, rows)
    return Plan(find_route(arm.reducer, matrix, repeats, tested, standardise, free), rows)
