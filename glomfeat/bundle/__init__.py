"""Bundles: one folder that predicts, written by a study and read without trusting it.

Knows features, heads, reducers and networks, and how each is stored without code; not how a study is run.
"""


def load_bundle(path, weights=None, device="auto", trust=()):
    """Read a bundle and make it ready to predict; see `glomfeat.bundle.load.load_bundle`."""
    from glomfeat.bundle import load

    return load.load_bundle(path, weights, device, trust)
