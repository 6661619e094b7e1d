"""Makes features from their names."""

from collections.abc import Callable, Iterable
from pathlib import Path

from glomfeat.core.fingerprint import digest_of_code
from glomfeat.core.installed import missing_for_networks, need_networks
from glomfeat.core.part_errors import calling
from glomfeat.core.plugins import LISTS, Coded, PluginError, did_you_mean, if_path, is_own, resolve
from glomfeat.data.tables.columns import Asked
from glomfeat.features.base import Feature, FeatureError, Handcrafted, as_feature, following
from glomfeat.features.pixels import Pixels
from glomfeat.features.table import Table

__all__ = ["FEATURES", "FeatureError", "Handcrafted", "make_feature"]


def _classical() -> Feature:
    from glomfeat.features.handcrafted.classical import classical

    return classical()


def _shortcut() -> Feature:
    from glomfeat.features.handcrafted.shortcut import shortcut

    return shortcut()


FEATURES: dict[str, Callable[[], Feature]] = {"pixels": Pixels, "classical": _classical, "shortcut": _shortcut}


def feature_names() -> list[str]:
    """All feature names: ours and, if it is installed, those of torchvision's classification networks."""
    if missing_for_networks():
        return [*FEATURES]
    from glomfeat.features.deep.weights import model_names

    return [*FEATURES, *model_names()]


def make_feature(
    name: str,
    weights: str | Path = "imagenet",
    layer: str | None = None,
    device: str = "auto",
    precision: str = "float32",
    asked: Asked | None = None,
    images: Iterable[str] = (),
    side: int | None = None,
) -> Feature | Table:
    """Make a feature from its name.

    Parameters
    ----------
    name : str
        ``pixels``, ``classical``, ``shortcut``, a torchvision model, ``timm:NAME``, ``file:PATH`` or
        ``module:function``.
    weights, layer, device, precision
        For deep features, see `glomfeat.features.deep.network.deep`.
    asked : glomfeat.data.tables.columns.Asked, optional
        Which columns of a table are used.
    images : sequence of str
        Names of the images that will be looked up in a table.
    side : int or None
        Side of the images in pixels, which some networks of timm are built for; None if each feature reads images as
        `glomfeat.features.seen.view_of` says.

    Returns
    -------
    glomfeat.features.base.Feature
        A table has ``rows(names)`` instead of `transform`.

    Raises
    ------
    PluginError, FeatureError, WeightsError
        The name is unknown, or what it names cannot be used.
    NotInstalledError
        The feature is not one of ours, and the packages that networks need are not installed.
    PartError
        The user's own function raises.

    Examples
    --------
    >>> make_feature("shortcut").name
    'shortcut.v1'
    """
    if name.startswith("file:"):
        return Table(name.removeprefix("file:"), asked or Asked(), tuple(images))
    if name.startswith("timm:"):
        need_networks(name)
        from glomfeat.features.deep.timm_nets import timm_deep

        return timm_deep(name, weights, layer, device, precision, side)
    if name in FEATURES or is_own(name):
        factory = resolve(name, FEATURES, "feature")
        with calling("feature", name, factory):
            made = factory()
        feature = as_feature(made).having(device=device, precision=precision)
        if ":" not in name:
            return feature
        return following(feature, name.digest if isinstance(name, Coded) else digest_of_code(factory))
    check_feature(name)
    from glomfeat.features.deep.network import deep

    return deep(name, weights, layer, device, precision, side)


def check_feature(name: str) -> None:
    """Refuse the name of a feature that is neither ours nor torchvision's, without making it.

    Parameters
    ----------
    name : str
        As for `make_feature`. Names with a colon are found when the feature is made.

    Raises
    ------
    PluginError
        The name is unknown.
    NotInstalledError
        The feature is not one of ours, and the packages that networks need are not installed.
    """
    if name in FEATURES or is_own(name):
        return
    need_networks(f"feature {name!r}")
    from glomfeat.features.deep.weights import model_names

    if name not in model_names():
        known = did_you_mean(name, feature_names(), LISTS.format("feature"))
        raise PluginError(
            f"no feature is called {name!r}: {known}; also timm:NAME, file:PATH and your own module:function"
            f"{if_path(name)}"
        )
