"""Your own backbone: a network that a function of yours builds, used as a feature."""

from collections.abc import Callable
from dataclasses import dataclass

from glomfeat.features.base import FeatureError
from glomfeat.features.deep.checkpoints import digest_of
from glomfeat.features.deep.network import Deep
from glomfeat.features.deep.weights import IMAGENET_MEAN, IMAGENET_STD, Weights, seeded


@dataclass(frozen=True)
class OwnNet:
    """Build a user's own network, and check that it is the same each time.

    Attributes
    ----------
    function : callable
        ``function()`` returns the network.
    """

    function: Callable

    def __call__(self, model, weights, layer):
        net = self.make(model)
        found = digest_of(net)
        if found != weights.sha256:
            raise FeatureError(
                f"{model}: {_name_of(self.function)} built a network with sha256 {weights.sha256[:8]}, and then one "
                f"with {found[:8]}: let it return the same parameters each time"
            )
        return net

    def make(self, model):
        """Build the network; random parameters are drawn from a seed that is derived from the model's name."""
        with seeded(model):
            net = self.function()
        if not all(hasattr(net, name) for name in ("state_dict", "named_modules", "forward")):
            kind = type(net).__name__
            raise FeatureError(f"{model}: {_name_of(self.function)} returns {kind}: return a torch.nn.Module")
        return net.eval()


def _name_of(function):
    return getattr(function, "__name__", repr(function))


def Backbone(  # noqa: N802 -- named like Handcrafted and Head, the two other ways to add a part of one's own
    name, build, mean=IMAGENET_MEAN, std=IMAGENET_STD, device="auto", precision="float32", batch=Deep.batch
):
    """Make a feature of a network of your own.

    Parameters
    ----------
    name : str
        ``name.version``. The version must change whenever the network computes something else; a change of its
        parameters is noticed by their SHA-256.
    build : callable
        ``build()`` returns a torch.nn.Module, from normalised float images of shape (n, 3, side, side) to a tensor
        with a row per image. Parameters that are not loaded but random are drawn from a seed derived from the name.
    mean, std : sequence of 3 float
        Mean and standard deviation of the red, green and blue channels, on a scale of 0 to 1, that images are
        normalised with; ImageNet's by default.
    device, precision, batch
        As `glomfeat.features.deep.network.Deep`; a study replaces the first two by its own.

    Returns
    -------
    Deep

    Raises
    ------
    FeatureError
        The name has a slash, ``build()`` does not return a network, mean or std are not three numbers, or a number of
        std is not above 0.

    Examples
    --------
    >>> from torch import nn
    >>> net = Backbone("mine.v1", lambda: nn.Sequential(nn.Conv2d(3, 8, 5), nn.AdaptiveAvgPool2d(1)), device="cpu")
    >>> net.name, net.weights[:10]
    ('mine.v1.own-...', 'own sha256')
    """
    if "/" in name:
        raise FeatureError(f"{name}: write the name of a backbone without /, which separates the parts of an arm")
    mean, std = (tuple(float(value) for value in values) for values in (mean, std))
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise FeatureError(f"{name}: mean and std are {mean} and {std}: give three numbers each, std above 0")
    own = OwnNet(build)
    return Deep(name, Weights("own", digest_of(own.make(name)), None, mean, std), None, device, precision, batch, own)
