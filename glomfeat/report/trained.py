"""Sentences for the methods section on how networks were trained."""

from glomfeat.core.arms import Arm
from glomfeat.core.notes import NEW_HEAD
from glomfeat.core.words import capital, joined, number_of
from glomfeat.models.nets import applying, averages, converges, recipe_for, split_mode
from glomfeat.models.nets.grid import CALLED
from glomfeat.models.nets.modes import LAST, LORA

OF_PAPER = "The rate of Adam was constant and the last state was kept; inner-valid cases were not learnt."
IN_EPOCHS = (
    "AdamW followed a cosine schedule with warm-up (Loshchilov & Hutter 2017, 2019), and a moving average of states "
    "was kept"
)
LEARNT_TOO = ": first without the inner-valid cases, which it scored before it learnt them, then on all training cases."
NOT_LEARNT = "; it scored the inner-valid cases, which were not learnt."
BALANCED = "The loss of networks weighted classes inversely to their numbers of training images."
UNWEIGHTED = "The loss of networks gave each training image the same weight."
CHANGED = {
    "none": "Training images were not changed.",
    "paper": "Training images were flipped, rotated by up to 15 degrees and shifted by up to a tenth of their side.",
    "histology": (
        "Training images were flipped and turned by right angles, cropped to at least 0.7 of their area, and the "
        "amounts of two stains, by the stain vectors of the training images (Macenko et al. 2009), changed by up to a "
        "fifth."
    ),
}
ASKED = {
    "randaugment": "Two random operations of magnitude {:g} were added (RandAugment, Cubuk et al. 2020).",
    "mixup": "Mixtures of two images were learnt (mixup with parameter {:g}, Zhang et al. 2018).",
    "label_smoothing": "Labels were smoothed by {:g}.",
    "layer_decay": "Learning rates of pretrained networks fell by a factor of {:g} per block towards the image.",
    "head_epochs": "In the first {:g} epochs the last layer of pretrained networks learnt alone.",
    "drop_path": "Residual branches of pretrained networks were left out with probabilities of up to {:g}.",
}
OFF = {"layer_decay": 1}
TUNED = "{} of networks that are trained in epochs {} chosen in each fold{}, by the cross-entropy on inner-valid cases."
BEGUN = "{} began with the parameters of a network of another study, which had learnt none of these images."
ANEW = " The last layer started anew, because that study had other classes."


def trained_nets(run, starts):
    """Leave out the networks that were skipped in all of their trials.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    starts : dict of str to str
        What each network starts from.

    Returns
    -------
    dict of str to str
    """
    how = {}
    for trial in run.trials:
        how.setdefault(trial.arm.net, set()).add(run.record(trial)["status"])
    return {name: start for name, start in starts.items() if how.get(name) != {"skipped"}}


def has_new_heads(run):
    """Whether last layers started anew, because the bundle of ``--init`` is for other classes."""
    return any(NEW_HEAD in run.record(trial)["reason"] for trial in run.trials if trial.arm.net)


def how_trained(identity, starts, learns_all=True, new_heads=False):
    """Write sentences on the training of a study's networks.

    Parameters
    ----------
    identity : dict
        The study's settings.
    starts : dict of str to str
        What each network started from.
    learns_all : bool
        Whether inner-valid cases are learnt in the end, which they are unless they are the same for all arms.
    new_heads : bool
        From `has_new_heads`.

    Returns
    -------
    str

    Examples
    --------
    >>> how_trained({"augment": "none", "preset": "paper", "tune": True}, {"compact": "none"})[-62:]
    'successive halving, by the cross-entropy on inner-valid cases.'
    """
    modes = {name: split_mode(Arm(net=name).network) for name in starts}
    preset = identity.get("preset", "default")
    frozen = [name for name in starts if converges(Arm(net=name).network, {"preset": preset})]
    in_epochs = [name for name in starts if name not in frozen]
    usual = OF_PAPER if preset == "paper" else IN_EPOCHS + (LEARNT_TOO if learns_all else NOT_LEARNT)
    said = [usual] if in_epochs else []
    if frozen:
        said.append(
            f"For {joined(frozen)}, only the last layer was fitted: a logistic regression on the backbone's outputs, "
            "fitted to convergence, with its penalty chosen on inner splits."
        )
    said += _numbers(identity, in_epochs)
    said.append(BALANCED if identity.get("class_weight") == "balanced" else UNWEIGHTED)
    for name, mode in modes.items():
        if mode and mode.how == LAST:
            blocks = f"last {mode.blocks} blocks" if mode.blocks > 1 else "last block"
            said.append(f"For {name}, only the {blocks} and the last layer learnt.")
    if adapted := [name for name, mode in modes.items() if mode and mode.how == LORA]:
        where = {"all": "all layers", "attention": "layers of attention"}
        layers = identity.get("lora_layers", "all")
        said.append(
            f"For {joined(adapted)}, adapters of rank {identity.get('lora_rank', 8)} in "
            f"{where.get(layers, f'the layers {layers}')} (Hu et al. 2022) and the last layer learnt."
        )
    said += _augmented(identity, in_epochs)
    asked = {name: identity.get(name) for name in ASKED}
    said += [ASKED[name].format(value) for name, value in asked.items() if value and value != OFF.get(name, 0)]
    if identity.get("precision") == "bfloat16":
        said.append(
            "Networks computed in bfloat16. The last layer of built-in and of pretrained networks computed in float32."
        )
    if identity.get("compile") and len(frozen) < len(starts):
        said.append("The steps of training in epochs were compiled.")
    if tuned := identity.get("tune"):
        said.append(_how_tuned(tuned))
    if several := [name for name in starts if averages(Arm(net=name).network)]:
        said.append(f"Scores of {joined(several)} were means of logits over eight flips and turns of an image.")
    if begun := [name for name, start in starts.items() if start.startswith("bundle ")]:
        said.append(BEGUN.format(joined(begun)) + (ANEW if new_heads else ""))
    return " ".join(said)


def _recipe(identity, name):
    """The recipe of a network, with the numbers that a study asks for."""
    asked = {field: identity[field] for field in ("epochs", "batch", "lr") if identity.get(field) is not None}
    return recipe_for(Arm(net=name).network, identity.get("preset", "default"), **asked)


def _grouped(names, of):
    """Names by what `of` gives for them; None stands for all names if there is only one group."""
    groups = {}
    for name in names:
        groups.setdefault(of(name), []).append(name)
    return [(found, None if len(groups) == 1 else joined(group)) for found, group in groups.items()]


def _numbers(identity, names):
    """Say how long networks learnt, in which batches and how fast, apart from what was chosen in each fold."""
    chosen = _chosen(identity.get("tune"))

    def words(name):
        recipe = _recipe(identity, name)
        up_to = "of" if recipe.schedule == "constant" else "of up to"
        epochs = f"for {number_of(recipe.epochs, 'epoch')} "
        rate = f", at a learning rate {up_to} {recipe.lr:g}"
        return f"{'' if 'epochs' in chosen else epochs}in batches of {recipe.batch}{'' if 'lr' in chosen else rate}"

    return [f"{who or 'Networks'} learnt {how}." for how, who in _grouped(names, words)]


def _augmented(identity, names):
    """Say how training images of networks were changed, unless that was chosen in each fold."""
    asked = identity.get("augment")
    if not asked and "augment" in _chosen(identity.get("tune")):
        return []

    def policy(name):
        follows = applying(Arm(net=name).network, {"augment": asked}).get("augment")  # a frozen network cannot
        return follows or ("paper" if _recipe(identity, name).augment else "none")

    found = _grouped(names, policy)
    return [CHANGED[how].replace("images", f"images of {who}", 1) if who else CHANGED[how] for how, who in found]


def _chosen(tuned):
    """The settings that are chosen in each fold: the usual ones (True), or those of a grid as the user wrote it."""
    if not tuned:
        return []
    return [*CALLED] if tuned is True else [text.partition("=")[0] for text in tuned]


def _how_tuned(tuned):
    """Say what was chosen among: the usual settings (True), or those of a grid as the user wrote it."""
    given = {} if tuned is True else dict(text.split("=") for text in tuned)
    chosen = [
        CALLED[name] + (f" ({given[name].replace(',', ', ')})" if given else "")
        for name in CALLED
        if name in (given or CALLED)
    ]
    halved = "" if [*given] == ["epochs"] else " by successive halving"
    text = joined(chosen)
    return TUNED.format(capital(text), "was" if len(chosen) == 1 else "were", halved)
