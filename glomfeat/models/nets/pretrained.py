"""Torchvision's models with a last layer of our own, frozen or fine-tuned.

Networks of layers come by here too, so torchvision, which takes a second to import, is imported where it is used.
"""

from torch import nn

from glomfeat.features.deep.checkpoints import WeightsError
from glomfeat.models.nets.build import MeanPool


class Pretrained(nn.Module):
    """A torchvision model as a backbone without its last layer, and a new last layer of our own.

    Parameters
    ----------
    model : str
        A name of `glomfeat.features.deep.weights.model_names`.
    classes : int
        Logits, two for two classes.
    frozen : bool
        Then the backbone learns nothing: no gradients, and evaluation mode always, so that its batch
        normalisation and dropout are those of a feature extractor.
    side : int
        Of the input in pixels; only vision transformers depend on it.

    Attributes
    ----------
    dropped : str
        Prefix of the state of the layer that was replaced, which weights carry and the backbone does not.

    Examples
    --------
    >>> import torch
    >>> from glomfeat.models.nets.build import count
    >>> with torch.device("meta"):
    ...     count(Pretrained("resnet18", frozen=True))[:2]
    (11177538, 1026)
    """

    def __init__(self, model, classes=2, frozen=False, side=224):
        import torchvision

        super().__init__()
        settings = {"image_size": side} if model.startswith("vit_") else {}
        if model in ("googlenet", "inception_v3"):  # the second heads are for training from nothing
            settings = {"aux_logits": False, "init_weights": False, "transform_input": True}
        self.model, self.frozen = model, frozen
        self.backbone = torchvision.models.get_model(model, weights=None, **settings)
        width, self.dropped = _behead(self.backbone)
        self.head = nn.Linear(width, classes)
        self.backbone.requires_grad_(not frozen)

    def forward(self, images):
        return self.head(self.backbone(images))

    def train(self, mode=True):
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self


def _behead(model):
    """Take the last layer out of a torchvision model; return the width of its input and its prefix."""
    kinds = nn.Linear | nn.Conv2d
    name, last = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, kinds)][-1]
    parent, _, child = name.rpartition(".")
    if isinstance(last, nn.Linear):
        setattr(model.get_submodule(parent), child, nn.Identity())
        return last.in_features, name
    # SqueezeNet ends in a 1 x 1 convolution, a ReLU that would clip logits at zero, and a mean. A linear layer
    # after the mean computes the same without the ReLU.
    model.classifier = nn.Sequential(model.classifier[0], MeanPool())
    return last.in_channels, name


def load_backbone(net, where):
    """Find the weights of a backbone and load them.

    Parameters
    ----------
    net : Pretrained
    where : str
        As `glomfeat.features.deep.weights.find_weights`.

    Returns
    -------
    Weights
        What was loaded, with the mean and standard deviation that belong to it.

    Raises
    ------
    WeightsError
        There are none, or they are of another network.

    Examples
    --------
    >>> load_backbone(Pretrained("shufflenet_v2_x0_5"), "none").name
    'random'
    """
    from glomfeat.features.deep.weights import find_weights, load_state

    weights = find_weights(net.model, where)
    state = load_state(weights, net.model)
    for key in [key for key in state if key.startswith(f"{net.dropped}.")]:
        del state[key]
    try:
        net.backbone.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{weights.said} does not fit {net.model} at this side: {error}") from error
    return weights
