"""An honest comparison of features and heads for classifying kidney glomeruli: one harness, split by case."""

from typing import TYPE_CHECKING

__version__ = "0.17.0"
__all__ = [
    "Backbone",
    "Handcrafted",
    "Head",
    "Phantom",
    "Preprocess",
    "Study",
    "UserError",
    "__version__",
    "compare",
    "load_bundle",
    "make_phantom",
    "read_manifest",
]

if TYPE_CHECKING:
    from glomfeat.bundle.load import load_bundle
    from glomfeat.comparison.api import compare
    from glomfeat.comparison.options import Study
    from glomfeat.core.errors import UserError
    from glomfeat.data.images.decode import Preprocess
    from glomfeat.data.manifest import read_manifest
    from glomfeat.data.phantom import Phantom, make_phantom
    from glomfeat.features.deep.backbone import Backbone
    from glomfeat.features.make import Handcrafted
    from glomfeat.models.heads.built_in import Head
else:  # a type checker would otherwise take every name for a public one, because of __getattr__
    _HOME = {
        "Backbone": "glomfeat.features.deep.backbone",
        "Handcrafted": "glomfeat.features.make",
        "Head": "glomfeat.models.heads.built_in",
        "Phantom": "glomfeat.data.phantom",
        "Preprocess": "glomfeat.data.images.decode",
        "Study": "glomfeat.comparison.options",
        "UserError": "glomfeat.core.errors",
        "compare": "glomfeat.comparison.api",
        "load_bundle": "glomfeat.bundle.load",
        "make_phantom": "glomfeat.data.phantom",
        "read_manifest": "glomfeat.data.manifest",
    }

    def __getattr__(name):
        # public names are found on first use, so that importing the package stays fast
        if name not in _HOME:
            raise AttributeError(f"module 'glomfeat' has no attribute {name!r}: there are {', '.join(__all__)}")
        import importlib

        return getattr(importlib.import_module(_HOME[name]), name)

    def __dir__():
        return sorted(__all__)
