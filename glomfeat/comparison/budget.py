"""How much memory an arm needs, and how much of the budget it may use."""

from dataclasses import dataclass, replace

from glomfeat.core.arms import Arm
from glomfeat.core.memory import Need
from glomfeat.core.workers import PROCESS_BYTES, alone
from glomfeat.models.heads.built_in import head_bytes
from glomfeat.models.nets import is_own_net, net_bytes
from glomfeat.models.reducers.fit import leaves_as_is, parse_reducer
from glomfeat.models.reducers.routes import Route, find_route

TORCH_BYTES = 450_000_000
PARENT_BYTES = 250_000_000
COMPONENTS = 128, 64, 32, 16, 8  # of the reducers to suggest if the one in use needs too much
IMAGE_BYTES = 3_000  # for an image's names, paths, digests, folds and scores, and the tables made of them


@dataclass(frozen=True)
class Plan:
    """What an arm needs.

    Attributes
    ----------
    route : Route or None
        Of its reduction; None if nothing is reduced.
    trial : Need
        Memory of a trial whose reduction is stored.
    otherwise : str
        What helps apart from more memory, as the end of a sentence; empty if no option of the study does.
    """

    route: Route | None
    trial: Need
    otherwise: str = ""

    @property
    def most(self):
        """The largest need, of a trial or of the steps before it."""
        before = [self.route.fold, self.route.shared] if self.route else []
        return max([self.trial, *filter(None, before)], key=lambda need: need.bytes)


def net_need(name, settings, n, seconds=None):
    """Bytes that training a network needs, as `glomfeat.models.nets.net_bytes` says.

    Returns
    -------
    int
        0 for a network of the user's own that cannot be built, because its trials will say why.
    """
    if not is_own_net(name):
        return net_bytes(name, settings, n)
    try:
        return alone(net_bytes, name, settings, n, seconds=seconds)
    except Exception:
        return 0


def needs_of_nets(prepared):
    """The settings of each network of a study, and how many bytes training it needs, by its name in arms.

    Parameters
    ----------
    prepared : Prepared

    Returns
    -------
    dict of str to (dict, int)
    """
    n, seconds = len(prepared.manifest), prepared.study.timeout
    settings = {name: prepared.net_settings(name) for name in prepared.nets}
    return {name: (own, net_need(Arm(net=name).network, own, n, seconds)) for name, own in settings.items()}


def free_bytes(budget, torch, images=0):
    """Memory that a study may plan with: its budget less what its own process and one worker hold.

    It depends on the study alone, so that a resumed study fits the same arms, by the same routes.

    Parameters
    ----------
    budget : int
    torch : bool
        Whether there are deep features or networks.
    images : int
        How many the study has, if that is known.
    """
    return budget - PARENT_BYTES - PROCESS_BYTES - TORCH_BYTES * torch - IMAGE_BYTES * images


def plan_arm(arm, repeats, tested, matrix, standardise, free, nets, ahead=0):
    """Plan how an arm is computed, and how much memory that needs.

    Parameters
    ----------
    arm : Arm
    repeats, tested : int
        How often cases are dealt, and how many trials the arm has in all.
    matrix : Matrix or Shape or None
        The feature, of which only shape and type are used; None for networks and for the floor.
    standardise : bool
    free : int
        Bytes, as `free_bytes` returns them.
    nets : dict of str to (dict, int)
        As in `make_tasks`.
    ahead : int
        How many columns are joined to those of the feature.

    Returns
    -------
    Plan
    """
    if arm.net:
        batch = "parameters, gradients, moments and activations of a batch, and torch"
        return Plan(None, Need(nets[arm.net][1] + TORCH_BYTES, batch), ", or pass a smaller --batch")
    if matrix is None:
        return Plan(None, Need(0, "nothing"))
    settings = matrix, repeats, tested, standardise, free, ahead
    width, plan = matrix.shape[1], _reduced(arm.head, arm.reducer, *settings)
    kept = width if plan.route is None else parse_reducer(arm.reducer)[1] or width
    smaller = [f"ipca{k}" for k in COMPONENTS if k < kept or (k == kept < width and arm.reducer.startswith("pca"))]
    if plan.most.bytes > free:
        smaller = [name for name in smaller if _reduced(arm.head, name, *settings).most.bytes <= free]
    return replace(plan, otherwise=f", or take a smaller reducer such as {smaller[0]}") if smaller else plan


def _reduced(head, reducer, matrix, repeats, tested, standardise, free, ahead):
    """The plan of a head that reads reduced rows."""
    (n, width), k = matrix.shape, parse_reducer(reducer)[1]
    as_is = leaves_as_is(reducer, width)
    columns = ahead + (width if as_is else k or width)
    size = n * columns * 4 + head_bytes(head, n, columns)
    rows = Need(size, f"{n} rows of {columns} columns, and what {head} makes of them")
    if as_is:
        return Plan(None, rows)
    return Plan(find_route(reducer, matrix, repeats, tested, standardise, free), rows)
