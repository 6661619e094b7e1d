"""How a network is trained, as data: `Recipe`, `Augment` and the settings that belong to each network."""

import math
from dataclasses import dataclass, replace

from glomfeat.core.errors import InputError
from glomfeat.core.installed import missing_for_networks
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
        Largest angle in degrees, in either direction.
    shift : float
        Largest shift across and down, in either direction, as a fraction of the side.
    vertical : float
        Probability of a vertical flip.
    turn : float
        Probability that rows and columns are exchanged; if this and both flips are 0.5, all eight ways to lay a square
        are equally frequent.
    stain : float
        Largest relative change, in either direction, of the amount of each of two stains; the stain vectors are
        estimated from the training images (Macenko et al. 2009).
    crop : float
        The smallest fraction of the area that a square cut from somewhere in the image keeps; 1 keeps all of it.
    randaugment : int
        Magnitude of RandAugment's two operations (Cubuk et al. 2020), from 0 for none to 30.
    """

    flip: float = 0.5
    rotation: float = 15.0
    shift: float = 0.1
    vertical: float = 0.0
    turn: float = 0.0
    stain: float = 0.0
    crop: float = 1.0
    randaugment: int = 0


# The policies that --augment names; without it, each network has its own, which is `paper` or none.
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
        Learning rate, at the peak of the schedule.
    batch : int
        Images per step. If the device runs out of memory, gradients of smaller parts are added up instead.
    epochs : int
        Passes over the rows to learn from, while the inner-valid rows are held out.
    again : float
        Number of passes over all training rows that follow once the inner-valid rows have been scored, as a fraction of
        `epochs`, rounded up; they begin at a tenth of `lr`. 0 for none.
    schedule : {"cosine", "constant"}
        Course of the learning rate: cosine rises during the fraction `WARM_UP` of the steps, and then falls to nearly
        zero as half a cosine wave; constant stays the same.
    average : float
        The state that is kept is a moving average over this fraction of all steps. With 0 it is the last state.
    weight_decay : float
        Weight decay of Adam; an architecture's own L2 penalty is separate.
    decoupled : bool
        Whether `weight_decay` shrinks the weights themselves (AdamW; Loshchilov & Hutter 2019), except for biases and
        scales of normalisations; else it is added to all gradients, as in Adam.
    converge : bool
        For frozen networks: the last layer is the logreg head, fitted to convergence with a penalty chosen on inner
        splits, and no epoch is trained. Only without augmentation.
    augment : bool, Augment or str
        True stands for ``Augment()``, a string for one of `POLICIES`.
    randaugment : int
        As in `Augment`; it is added to what `augment` says.
    layer_decay : float
        For pretrained networks: factor of the learning rate for each block between a parameter and the last layer. With
        1, all learn at one rate.
    head_epochs : int
        For pretrained networks: epochs in which the last layer learns alone, before `epochs`.
    drop_path : float
        For pretrained networks: probability of leaving out the last residual branch in training; it is lower for those
        before it.
    label_smoothing : float
        The fraction of a label that is shared equally among all classes in training.
    mixup : float
        Both parameters of the beta distribution from which the shares in mixtures of two images are drawn; 0 for none.
    lora_rank : int
        Rank of the adapters of ``:lora``.
    lora_layers : str
        Which layers get an adapter: all, attention, or a pattern of their names.
    class_weight : {None, "balanced"}
        Balanced weights each class by ``n / (classes * images of the class)``, counted on training rows.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the network's arithmetic; with auto, steps of training compute in bfloat16 on a GPU that supports
        it, and everything else in float32.
    compile : bool
        Whether torch compiles the steps of training, which needs a GPU and changes the last digits. Images are scored
        without it.

    Raises
    ------
    InputError
        A setting is not allowed.

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
    compile: bool = False

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


# The original study's training: a constant rate, no average, and no held-out image was learnt in the end.
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
    """Whether a network is fitted to convergence, on inner splits like those of heads, instead of trained in epochs.

    Parameters
    ----------
    name : str
    settings : dict
        Settings of `glomfeat.models.nets.make_net`.

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
    """Find the settings that belong to a network.

    Parameters
    ----------
    name : str
        A network's name. Pretrained models that are not the study's are trained like those of the study,
        ``module:function`` like `compact`, and a list of layers like the baselines.
    preset : {"default", "paper"}
        Paper trains as the original study did, and keeps the last epoch's state. By default the rate rises to twice the
        paper's and falls to nearly zero, in fewer epochs if training starts from scratch; the state that is kept is an
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
        There is no such preset, or a setting is not allowed.

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
    """Derive the default preset's recipe of a network from the paper preset's."""
    mode = split_mode(name)
    finetuned = mode is not None and mode.how != FROZEN
    return Recipe(
        lr=2 * recipe.lr,  # the mean of half a cosine wave is half of its height
        batch=recipe.batch,
        epochs=recipe.epochs if finetuned else Recipe.epochs,
        again=0.2 if finetuned else Recipe.again,  # a pretrained network knows much before it begins
        converge=converges(name, overrides),
        augment=recipe.augment,
    )


OF_TRAINING = ("augment", "randaugment", "label_smoothing", "mixup", "compile")
OF_BACKBONES = ("layer_decay", "head_epochs", "drop_path")
OF_ADAPTERS = ("lora_rank", "lora_layers")


def applying(name, asked):
    """Select, from settings that are meant for all networks, those that one network can follow.

    Parameters
    ----------
    name : str
    asked : dict
        Fields of `Recipe`.

    Returns
    -------
    dict
        The settings without those that do not apply: a frozen network passes each image through its backbone once, only
        ``:lora`` has adapters, only pretrained networks have blocks that can learn at different rates, and not all of
        them have branches that can be left out.

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
    if asked.get("drop_path") and "drop_path" not in refused and not missing_for_networks():  # else others say so
        from glomfeat.models.nets.pretrained import has_branches

        refused |= set() if has_branches(one_view(name)) else {"drop_path"}
    return {field: value for field, value in asked.items() if field not in refused}
