"""The blocks of a pretrained network, counted from the image: which parameters belong to one step of depth."""

from torch import nn

CONTAINERS = nn.Sequential | nn.ModuleList | nn.ModuleDict
MOST = 0.5  # of all parameters: a part that holds more than this is not a block itself but contains blocks


def find_blocks(backbone):
    """List the names of parameters block by block, beginning with the block that reads the image.

    For timm's networks, timm itself says what belongs together. For others, lists of layers, and parts that hold more
    than half of all parameters, are taken apart, and what is left whole is a block. A part that holds only vectors,
    such as a last normalisation, belongs to the block before it, and so does a parameter outside of all parts, such as
    positions; before the first block they belong to the first block, such as a class token.

    Parameters
    ----------
    backbone : torch.nn.Module
        May lie on the meta device.

    Returns
    -------
    list of list of str

    Examples
    --------
    >>> layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3))
    >>> find_blocks(layers)
    [['0.weight', '0.bias', '1.weight', '1.bias'], ['3.weight', '3.bias']]
    """
    sizes = {name: parameter.ndim for name, parameter in backbone.named_parameters()}
    blocks, before = [], []
    for names, whole in _of_timm(backbone) or _of_layers(backbone):
        if whole and any(sizes[name] > 1 for name in names):
            blocks.append([*before, *names])
            before = []
        elif blocks:
            blocks[-1] += names
        else:
            before += names
    return blocks


def _of_timm(backbone):
    """What timm says about a network of its own, also if it is wrapped for pooling; None for other networks."""
    inner, prefix = (backbone, "") if hasattr(backbone, "group_matcher") else (getattr(backbone, "net", None), "net.")
    if not hasattr(inner, "group_matcher"):
        return None
    from timm.models import group_parameters

    groups = group_parameters(inner, inner.group_matcher(coarse=False), reverse=False)
    return [([prefix + name for name in groups[depth]], True) for depth in sorted(groups)]


def _of_layers(backbone):
    """Parts with the names of their parameters, and the parameters that belong to no part."""
    total = sum(parameter.numel() for parameter in backbone.parameters())
    found = []

    def take(module, prefix):
        children = list(module.named_children())
        large = sum(parameter.numel() for parameter in module.parameters()) > MOST * total
        if not children or not (isinstance(module, CONTAINERS) or large):
            found.append(([prefix + name for name, _ in module.named_parameters()], True))
            return
        found.append(([prefix + name for name, _ in module.named_parameters(recurse=False)], False))
        for name, child in children:
            take(child, f"{prefix}{name}.")

    take(backbone, "")
    return [(names, whole) for names, whole in found if names]
