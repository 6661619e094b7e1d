"""How much memory each arm of a study needs, and whether it fits into the budget."""

from glomfeat.comparison.budget import needs_of_nets, plan_arm
from glomfeat.comparison.cohorts import left_to_score
from glomfeat.comparison.disk_needs import check_disk, disk_needs
from glomfeat.comparison.perturbed import left_to_change
from glomfeat.comparison.survey import shapes, survey
from glomfeat.core.arms import FLOOR
from glomfeat.core.memory import BudgetError, format_bytes


def plan_arms_of(prepared, widths):
    """The plan of each arm whose feature's width is known.

    Parameters
    ----------
    prepared : Prepared
    widths : dict of str to int

    Returns
    -------
    dict of Arm to Plan
    """
    matrices = shapes(prepared, widths)
    standardise, ahead = prepared.standardise, prepared.joining.ahead
    often, nets = (prepared.study.repeats, prepared.study.tested), needs_of_nets(prepared)
    return {
        arm: plan_arm(
            *(arm, *often, matrices.get(arm.feature), standardise.get(arm.feature), prepared.free, nets),
            ahead(arm.feature),
        )
        for arm in prepared.arms
        if arm.net or arm.members or str(arm) == FLOOR or arm.feature in matrices
    }


def check_all(prepared, journal, say):
    """Refuse a study that does not fit into memory or on the disk, before any work.

    Parameters and errors are those of `_check_memory` and `glomfeat.comparison.disk_needs.check_disk`.
    """
    done = journal.done()
    left = left_to_change(prepared, journal) or left_to_score(prepared, journal)
    if all(trial.key in done for trial in prepared.all_trials) and not left:
        return
    found = survey(prepared)
    _check_memory(prepared, found.widths, say)
    check_disk(prepared, disk_needs(prepared, found, done), say)


def _check_memory(prepared, widths, say):
    """Refuse a budget that extraction or every arm exceeds, and say which arms will be skipped, before any work."""
    plans = plan_arms_of(prepared, widths).items()
    plans = {arm: plan for arm, plan in plans if str(arm) != FLOOR and not arm.members}
    too_large = {arm: plan for arm, plan in plans.items() if plan.most.bytes > prepared.free}
    have = f"{format_bytes(max(prepared.free, 0))} of {format_bytes(prepared.budget)} are left beside the processes"
    if plans and len(too_large) == len(plans):
        arm, plan = min(too_large.items(), key=lambda item: item[1].most.bytes)
        whole = format_bytes(plan.most.bytes + prepared.budget - prepared.free)
        raise BudgetError(
            f"{arm} needs {format_bytes(plan.most.bytes)} ({plan.most.how}) and {have}: raise --memory to {whole}"
            f"{plan.otherwise}"
        )
    for arm, plan in too_large.items():
        say(f"skipped for memory: {arm} needs {format_bytes(plan.most.bytes)} ({plan.most.how}) and {have}")
