"""How a network is trained, as data: `Recipe`, `Augment` and the settings that belong to each network."""

from dataclasses import dataclass, replace

from glomfeat.nets.architectures import find_architecture

FROZEN, FINETUNE = "frozen", "finetune"


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
    """

    flip: float = 0.5
    rotation: float = 15.0
    shift: float = 0.1


@dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    Attributes
    ----------
    lr : float
        Learning rate of Adam.
    batch : int
        Images per step. If the device runs out of memory, gradients of smaller parts are added up instead.
    epochs : int
        The most epochs.
    weight_decay : float
        Of Adam; an architecture's own L2 penalty is apart from it.
    augment : bool or Augment
        True stands for ``Augment()``.
    class_weight : {None, "balanced"}
        Balanced weighs each class by ``n / (classes * images of the class)``, counted on training rows.
    keep : {"best", "last"}
        Which epoch's state is kept. Best is by AUROC on inner-valid rows, ties by their loss.
    patience : int or None
        Stop after so many epochs without a new best one. It needs ``keep="best"``.
    precision : {"auto", "float32", "bfloat16"}
        Of the network's arithmetic; auto is bfloat16 on a GPU that has it, else float32.

    Raises
    ------
    ValueError
        A setting outside of what is allowed.

    Examples
    --------
    >>> Recipe(keep="lst")
    Traceback (most recent call last):
    ...
    ValueError: keep is 'lst': allowed are best, last
    """

    lr: float = 1e-3
    batch: int = 32
    epochs: int = 60
    weight_decay: float = 0.0
    augment: bool | Augment = True
    class_weight: str | None = None
    keep: str = "best"
    patience: int | None = 10
    precision: str = "auto"

    def __post_init__(self):
        for field, allowed in (
            ("keep", ("best", "last")),
            ("class_weight", (None, "balanced")),
            ("precision", ("auto", "float32", "bfloat16")),
        ):
            value = getattr(self, field)
            if value not in allowed:
                raise ValueError(f"{field} is {value!r}: allowed are {', '.join(map(str, allowed))}")
        for field in ("lr", "batch", "epochs"):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field} is {getattr(self, field)}: it must be above 0")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience is {self.patience}: it must be at least 1 epoch, or None")

    @property
    def augmentation(self):
        """The `Augment` to apply, or None."""
        return Augment() if self.augment is True else self.augment or None


_COMPACT = Recipe(lr=1e-3, batch=32, epochs=60, weight_decay=1e-4)
_BASELINE = Recipe(lr=1e-4, batch=64, epochs=60)
_HOMEMADE = replace(_BASELINE, weight_decay=1e-6)
_PRETRAINED = {
    FROZEN: Recipe(lr=1e-3, epochs=100, augment=False),
    FINETUNE: Recipe(lr=1e-4, epochs=10, augment=False),
}

RECIPES = {
    "compact": _COMPACT,
    **{f"baseline-{i}": replace(_BASELINE, epochs=50 if i <= 5 else 60) for i in range(1, 13)},
    "homemade-128": _HOMEMADE,
    "homemade-224": _HOMEMADE,
    "resnet18:frozen": replace(_PRETRAINED[FROZEN], lr=1e-3, epochs=100),
    "vgg16:frozen": replace(_PRETRAINED[FROZEN], lr=1e-5, epochs=50),
    "vgg19:frozen": replace(_PRETRAINED[FROZEN], lr=1e-5, epochs=50),
    "resnet18:finetune": replace(_PRETRAINED[FINETUNE], lr=1e-5, epochs=5),
    "vgg16:finetune": replace(_PRETRAINED[FINETUNE], lr=1e-5, epochs=9),
    "vgg19:finetune": replace(_PRETRAINED[FINETUNE], lr=1e-5, epochs=9),
}


def recipe_for(name, preset="default", **overrides):
    """The settings that belong to a network.

    Parameters
    ----------
    name : str
        A network's name. Torchvision models beyond the study's train with Adam 1e-3 for 100 epochs when frozen
        and with 1e-4 for 10 epochs when fine-tuned; ``module:function`` trains as `compact` does, a list of
        layers as the baselines do.
    preset : {"default", "paper"}
        Paper keeps the last epoch and never stops early, as the original study did.
    **overrides
        Fields of `Recipe` to replace.

    Returns
    -------
    Recipe

    Examples
    --------
    >>> recipe_for("resnet18:finetune").lr, recipe_for("homemade-128", "paper").keep
    (1e-05, 'last')
    """
    if preset not in ("default", "paper"):
        raise ValueError(f"preset is {preset!r}: allowed are default, paper")
    usual = _BASELINE if find_architecture(name) else _COMPACT
    recipe = RECIPES.get(name) or _PRETRAINED.get(name.partition(":")[2], usual)
    if preset == "paper":
        recipe = replace(recipe, keep="last", patience=None)
    return replace(recipe, **overrides)
