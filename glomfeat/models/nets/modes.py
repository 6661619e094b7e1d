"""What the name of a network says: which model is trained, how much of it learns, and what its scores average over."""

import re
from dataclasses import dataclass

from glomfeat.core.plugins import Own
from glomfeat.data.files import sha256_of

FROZEN, LAST, FINETUNE, LORA = "frozen", "last", "finetune", "lora"
IN_WORDS = "frozen, last2 (or another number of its last blocks), finetune, lora"
RANK, ALL, ATTENTION = 8, "all", "attention"  # the usual rank of adapters, and which layers get one
OF_BUNDLES = "bundle sha256:"  # begins what is said of a start from a bundle
VIEWS = 8  # of a square: four right-angle turns, each flipped too
_TRAINED = re.compile(rf"(.+):({FROZEN}|{LAST}(?=[1-9])|{FINETUNE}|{LORA})(\d*)")
_NEARLY = re.compile(rf"(.+?):(?:{FROZEN}|{LAST}|{FINETUNE}|{LORA})\d*")
_AVERAGED = re.compile(rf"(.+)\+tta{VIEWS}")


@dataclass(frozen=True)
class Mode:
    """How a pretrained network is trained.

    Attributes
    ----------
    model : str
        A model of torchvision, or ``timm:NAME``.
    how : {"frozen", "last", "finetune", "lora"}
    blocks : int
        For "last", how many of its last blocks learn; else 0.
    """

    model: str
    how: str = FINETUNE
    blocks: int = 0


def split_mode(name):
    """Read from a name which part of a pretrained network is trained; None for any other network.

    Examples
    --------
    >>> split_mode("timm:vit_tiny_patch16_224:last2+tta8")
    Mode(model='timm:vit_tiny_patch16_224', how='last', blocks=2)
    >>> split_mode("compact") is split_mode("mylab:net") is None
    True
    """
    match = None if isinstance(name, Own) else _TRAINED.fullmatch(one_view(name))
    if match is None or (match[3] and match[2] != LAST):
        return None
    return Mode(match[1], match[2], int(match[3] or 0))


def nearly_named(name):
    """Find the model in a name that does not end in a valid mode: what precedes a misspelt mode, or the last colon.

    Examples
    --------
    >>> nearly_named("timm:test_vit:last0"), nearly_named("timm:test_vit"), nearly_named("resnet18:finetun")
    ('timm:test_vit', 'timm:test_vit', 'resnet18')
    """
    if match := _NEARLY.fullmatch(one_view(name)):
        return match[1]
    return one_view(name) if name.startswith("timm:") else one_view(name).rpartition(":")[0]


def one_view(name):
    """Remove the suffix for averaging over views from a network's name.

    Examples
    --------
    >>> one_view("compact+tta8"), one_view("mylab:net")
    ('compact', 'mylab:net')
    """
    match = _AVERAGED.fullmatch(name)
    if match is None:
        return name
    return Own(match[1], name.brings, name.digest) if isinstance(name, Own) else match[1]


def averages(name):
    """Whether a network's scores are means over eight flips and turns of each image.

    Examples
    --------
    >>> averages("compact+tta8"), averages("compact")
    (True, False)
    """
    return bool(_AVERAGED.fullmatch(name))


def averaged(name):
    """Add the suffix for means over eight flips and turns of each image to a network's name.

    Examples
    --------
    >>> averaged("compact"), averaged("compact+tta8")
    ('compact+tta8', 'compact+tta8')
    """
    if averages(name):
        return name
    text = f"{name}+tta{VIEWS}"
    return Own(text, name.brings, name.digest) if isinstance(name, Own) else text


def begun_with(path):
    """Describe the start of a network whose training begins with the parameters in a file."""
    return f"{OF_BUNDLES}{sha256_of(path)}"
