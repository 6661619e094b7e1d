"""Sentences for the methods section on how networks were trained."""

from glomfeat.core.arms import Arm
from glomfeat.core.words import joined
from glomfeat.models.nets import averages, converges, split_mode
from glomfeat.models.nets.grid import CALLED
from glomfeat.models.nets.modes import LAST, LORA

OF_PAPER = "The rate of Adam was constant and the last state was kept; inner-valid cases were not learnt."
IN_EPOCHS = (
    "AdamW followed a cosine schedule with warm-up (Loshchilov & Hutter 2017, 2019), and a moving average of states "
    "was kept: first without the inner-valid cases, which it scored before it learnt them, then on all training cases."
)
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


def how_trained(identity, starts):
    """Write sentences on the training of a study's networks.

    Parameters
    ----------
    identity : dict
        The study's settings.
    starts : dict of str to str
        What each network started from.

    Returns
    -------
    str

    Examples
    --------
    >>> how_trained({"augment": "none", "preset": "paper", "tune": True}, {"compact": "none"})[-62:]
    'successive halving, by the cross-entropy on inner-valid cases.'
    """
    modes = {name: split_mode(Arm(net=name).network) for name in starts}
    frozen = [name for name in starts if converges(Arm(net=name).network, {})]
    said = [] if len(frozen) == len(starts) else [IN_EPOCHS]
    if frozen:
        said.append(
            f"For {joined(frozen)}, only the last layer was fitted: a logistic regression on the backbone's outputs, "
            "fitted to convergence, with its penalty chosen on inner splits."
        )
    if identity.get("preset") == "paper":
        said = [OF_PAPER]
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
    if identity.get("augment"):
        said.append(CHANGED[identity["augment"]])
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
        said.append(BEGUN.format(joined(begun)))
    return " ".join(said)


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
    return TUNED.format(text[0].upper() + text[1:], "was" if len(chosen) == 1 else "were", halved)
