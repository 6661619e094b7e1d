"""Compare features and heads for classifying kidney glomeruli, honestly: one harness, split by case."""

import importlib

__version__ = "0.6.1"

_HOME = {
    "Backbone": "glomfeat.features.deep.backbone",
    "Handcrafted": "glomfeat.features.make",
    "Head": "glomfeat.models.heads.built_in",
    "Phantom": "glomfeat.data.phantom",
    "Preprocess": "glomfeat.data.images.decode",
    "Study": "glomfeat.comparison.options",
    "compare": "glomfeat.comparison.api",
    "load_bundle": "glomfeat.bundle",
    "make_phantom": "glomfeat.data.phantom",
    "read_manifest": "glomfeat.data.manifest",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name):
    # public names are found on first use, so that importing the package stays fast
    if name not in _HOME:
        raise AttributeError(f"module 'glomfeat' has no attribute {name!r}: there are {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)
