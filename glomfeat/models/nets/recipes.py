"""How a network is trained, as data: `Recipe`, `Augment` and the settings that belong to each network."""

import math
from dataclasses import dataclass, replace

from glomfeat.core.errors import InputError
from glomfeat.models.nets.architectures import find_architecture
from glomfeat.models.nets.modes import ALL, FINETUNE, FROZEN, LAST, LORA, RANK, one_view, split_mode


@dataclass(frozen=True)
class Augment:
    """Random changes of a training image, drawn anew for each image and epoch; nearest pixels fill the gaps.

    Attributes
    ----------
    flip : float
        Probability of a horizontal flip.
    rotation : float
        Largest angle in degrees, either way.
    shift : float
        Largest shift across and down, either way, as a part of the side.
    vertical : float
        Probability of a vertical flip.
    turn : float
        Probability that rows and columns change places; with both flips at 0.5, so is this, and all eight ways to lay a
        square are equally frequent.
    stain : float
        By which part, either way, the amount of each of two stains is changed at the most; their vectors are those of
        the training images (Macenko et al. 2009).
    crop : float
        The smallest part of the area that is kept, of a square somewhere in the image; 1: all of it.
    randaugment : int
        Magnitude of RandAugment's two operations (Cubuk et al. 2020), of 30; 0: none.
    """

    flip: float = 0.5
    rotation: float = 15.0
    shift: float = 0.1
    vertical: float = 0.0
    turn: float = 0.0
    stain: float = 0.0
    crop: float = 1.0
    randaugment: int = 0


# What --augment names; without it each network has its own, which is `paper` or nothing.
POLICIES = {
    "none": None,
    "paper": Augment(),
    "histology": Augment(rotation=0.0, shift=0.0, vertical=0.5, turn=0.5, stain=0.2, crop=0.7),
}
STILL = Augment(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    Attributes
    ----------
    lr : float
        Learning rate: the highest of a schedule.
    batch : int
        Images per step. If the device runs out of memory, gradients of smaller parts are added up instead.
    epochs : int
        Passes over the rows to learn from, while the inner-valid rows are held out.
    again : float
        How many passes over all training rows follow when the inner-valid ones have been scored, as a part of
        `epochs`, rounded up; they begin at a tenth of `lr`. 0: none.
    schedule : {"cosine", "constant"}
        Of the learning rate: it rises during `WARM_UP` of the steps and then falls to zero as a half wave, or stays.
    average : float
        The state that is kept is an average of those of the last steps: over so many, as a part of all steps. 0: it is
        the last one.
    weight_decay : float
        Of Adam; an architecture's own L2 penalty is apart from it.
    decoupled : bool
        Whether `weight_decay` shrinks the weights themselves (AdamW; Loshchilov & Hutter 2019), but no bias and no
        scale of a normalisation; else it is a part of all gradients, as in Adam.
    converge : bool
        Of a frozen network: its last layer is the logistic regression of the heads, fitted to convergence with a
        penalty that inner splits choose, and no epoch is trained. Without augmentation only.
    augment : bool, Augment or str
        True stands for ``Augment()``, a text for one of `POLICIES`.
    randaugment : int
        Of `Augment`, beside what `augment` says.
    layer_decay : float
        Of a pretrained network: by what the learning rate is multiplied for each block between a parameter and the last
        layer. 1: all learn at one rate.
    head_epochs : int
        Of a pretrained network: epochs in which the last layer learns alone, before `epochs`.
    drop_path : float
        Of a pretrained network: how often the last residual branch is left out in training, those before it less often.
    label_smoothing : float
        Which part of a label is shared equally among all classes in training.
    mixup : float
        Both parameters of the beta distribution of which mixtures of two images are learnt; 0: none.
    lora_rank : int
        Of the adapters of ``:lora``.
    lora_layers : str
        Which layers get one: all, attention, or a pattern of their names.
    class_weight : {None, "balanced"}
        Balanced weighs each class by ``n / (classes * images of the class)``, counted on training rows.
    precision : {"auto", "float32", "bfloat16"}
        Of the network's arithmetic; auto is bfloat16 on a GPU that has it, else float32.

    Raises
    ------
    InputError
        A setting outside of what is allowed.

    Examples
    --------
    >>> Recipe(schedule="cosin")
    Traceback (most recent call last):
    ...
    glomfeat.core.errors.InputError: schedule is 'cosin': allowed are cosine, constant
    """

    lr: float = 1e-3
    batch: int = 32
    epochs: int = 10
    again: float = 0.5
    schedule: str = "cosine"
    average: float = 0.1
    weight_decay: float = 0.01
    decoupled: bool = True
    converge: bool = False
    augment: bool | Augment | str = True
    class_weight: str | None = None
    precision: str = "auto"
    randaugment: int = 0
    layer_decay: float = 1.0
    head_epochs: int = 0
    drop_path: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    lora_rank: int = RANK
    lora_layers: str = ALL

    def __post_init__(self):
        for field, allowed in (
            ("schedule", ("cosine", "constant")),
            ("class_weight", (None, "balanced")),
            ("precision", ("auto", "float32", "bfloat16")),
        ):
            value = getattr(self, field)
            if value not in allowed:
                raise InputError(f"{field} is {value!r}: allowed are {', '.join(map(str, allowed))}")
        if isinstance(self.augment, str) and self.augment not in POLICIES:
            raise InputError(f"augment is {self.augment!r}: allowed are {', '.join(POLICIES)}")
        for field in ("lr", "batch", "epochs", "layer_decay", "lora_rank"):
            if getattr(self, field) <= 0:
                raise InputError(f"{field} is {getattr(self, field)}: it must be above 0")
        for field, most in (
            *(("again", 1), ("average", 1), ("weight_decay", math.inf), ("layer_decay", 1), ("head_epochs", math.inf)),
            *(("drop_path", 0.9), ("label_smoothing", 0.9), ("mixup", 10), ("randaugment", 30)),
        ):
            if not 0 <= getattr(self, field) <= most:
                allowed = "at least 0" if most == math.inf else f"0 to {most}"
                raise InputError(f"{field} is {getattr(self, field)}: allowed is {allowed}")
        if self.converge and self.augmentation:
            raise InputError("converge is True and so is augment: what is described once cannot change at each epoch")

    @property
    def augmentation(self):
        """The `Augment` to apply, or None."""
        found = POLICIES[self.augment] if isinstance(self.augment, str) else self.augment
        found = Augment() if found is True else found or None
        return replace(found or STILL, randaugment=self.randaugment) if self.randaugment else found


# What the original study did not do: its rate stood still, nothing was averaged, and no held-out image was learnt.
_PAPER = Recipe(again=0.0, schedule="constant", average=0.0, weight_decay=0.0, decoupled=False)
_PAPERS_COMPACT = replace(_PAPER, epochs=60, weight_decay=1e-4)
_PAPERS_BASELINE = replace(_PAPER, lr=1e-4, batch=64, epochs=60)
_PAPERS_PRETRAINED = {
    FROZEN: replace(_PAPER, epochs=100, augment=False),
    FINETUNE: replace(_PAPER, lr=1e-4, epochs=10, augment=False),
}
_PAPERS_PRETRAINED[LAST] = _PAPERS_PRETRAINED[FINETUNE]
_PAPERS_PRETRAINED[LORA] = replace(_PAPERS_PRETRAINED[FINETUNE], lr=5e-4)  # adapters begin at nothing
PAPERS = {
    "compact": _PAPERS_COMPACT,
    **{f"baseline-{i}": replace(_PAPERS_BASELINE, epochs=50 if i <= 5 else 60) for i in range(1, 13)},
    **dict.fromkeys(("homemade-128", "homemade-224"), replace(_PAPERS_BASELINE, weight_decay=1e-6)),
    "resnet18:frozen": _PAPERS_PRETRAINED[FROZEN],
    **dict.fromkeys(("vgg16:frozen", "vgg19:frozen"), replace(_PAPERS_PRETRAINED[FROZEN], lr=1e-5, epochs=50)),
    "resnet18:finetune": replace(_PAPERS_PRETRAINED[FINETUNE], lr=1e-5, epochs=5),
    **dict.fromkeys(("vgg16:finetune", "vgg19:finetune"), replace(_PAPERS_PRETRAINED[FINETUNE], lr=1e-5, epochs=9)),
}


def converges(name, settings):
    """Whether a network is fitted to convergence, on inner splits such as heads have, and not trained in epochs.

    Parameters
    ----------
    name : str
    settings : dict
        Of `glomfeat.models.nets.make_net`.

    Examples
    --------
    >>> converges("resnet18:frozen", {}), converges("resnet18:frozen", {"preset": "paper"}), converges("compact", {})
    (True, False, False)
    """
    if settings.get("recipe"):
        return settings["recipe"].converge
    mode, preset = split_mode(name), settings.get("preset", "default")
    frozen = mode is not None and mode.how == FROZEN
    changed = settings.get("augment") not in (None, False, "none") or settings.get("randaugment")
    return settings.get("converge", frozen and preset == "default" and not changed)


def recipe_for(name, preset="default", **overrides):
    """The settings that belong to a network.

    Parameters
    ----------
    name : str
        A network's name. Pretrained models beyond the study's are trained as its are; ``module:function`` is trained
        as `compact` is, a list of layers as the baselines are.
    preset : {"default", "paper"}
        Paper trains as the original study did, and keeps the last epoch's state. By default the rate rises to twice the
        paper's and falls to zero, in fewer epochs where training begins from nothing; the state that is kept is an
        average, and all training rows are learnt in the end. The last layer of a frozen network is fitted to
        convergence.
    **overrides
        Fields of `Recipe` to replace.

    Returns
    -------
    Recipe

    Raises
    ------
    InputError
        There is no such preset, or a setting is outside of what is allowed.

    Examples
    --------
    >>> recipe_for("compact").epochs, recipe_for("compact", "paper").epochs
    (10, 60)
    >>> recipe_for("compact", "papers")
    Traceback (most recent call last):
    ...
    glomfeat.core.errors.InputError: preset is 'papers': allowed are default, paper
    """
    if preset not in ("default", "paper"):
        raise InputError(f"preset is {preset!r}: allowed are default, paper")
    usual, mode = _PAPERS_BASELINE if find_architecture(name) else _PAPERS_COMPACT, split_mode(name)
    recipe = PAPERS.get(one_view(name)) or (_PAPERS_PRETRAINED[mode.how] if mode else usual)
    if preset == "default":
        recipe = _of_today(name, recipe, overrides)
    return replace(recipe, **overrides)


def _of_today(name, recipe, overrides):
    """The default preset's recipe of a network that the paper's preset trains by another."""
    mode = split_mode(name)
    finetuned = mode is not None and mode.how != FROZEN
    return Recipe(
        lr=2 * recipe.lr,  # the mean of a half wave is half of its height
        batch=recipe.batch,
        epochs=recipe.epochs if finetuned else Recipe.epochs,
        again=0.2 if finetuned else Recipe.again,  # which knows much before it begins
        converge=converges(name, overrides),
        augment=recipe.augment,
    )


OF_TRAINING = ("augment", "randaugment", "label_smoothing", "mixup")
OF_BACKBONES = ("layer_decay", "head_epochs", "drop_path")
OF_ADAPTERS = ("lora_rank", "lora_layers")


def applying(name, asked):
    """What of the settings that are asked of all networks one network can follow.

    Parameters
    ----------
    name : str
    asked : dict
        Fields of `Recipe`.

    Returns
    -------
    dict
        Without what it cannot: a frozen network describes each image once, adapters are those of ``:lora``, and a
        network that is no pretrained one has no blocks that learn at other rates.

    Examples
    --------
    >>> applying("compact", {"lr": 0.1, "layer_decay": 0.7}), applying("resnet18:frozen", {"mixup": 0.2})
    ({'lr': 0.1}, {})
    """
    mode, refused = split_mode(name), set()
    if mode is None or mode.how != LORA:
        refused |= {*OF_ADAPTERS}
    if mode is None or mode.how == FROZEN:
        refused |= {*OF_BACKBONES}
    if mode is not None and mode.how == FROZEN:
        refused |= {*OF_TRAINING}
    return {field: value for field, value in asked.items() if field not in refused}
