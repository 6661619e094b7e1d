"""The global random generators of Python, NumPy and torch, which parts of the user's own may draw from."""

import importlib.util
import random
import sys
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(seed):
    """Seed the global generators in a block, and leave them as they were.

    torch is not imported for it; if the block imports torch for the first time, it is seeded at once.

    Parameters
    ----------
    seed : int or None
        Below 2**32; None changes nothing.

    Examples
    --------
    >>> def draw():
    ...     with seeded(3):
    ...         return np.random.rand()
    >>> draw() == draw()
    True
    """
    if seed is None:
        yield
        return
    of_python, of_numpy = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 -- it is the point
    torch, comes = sys.modules.get("torch"), _SeedsTorch(seed)
    of_torch = _states(torch) if torch else ()
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        if torch:
            torch.manual_seed(seed)
        else:
            sys.meta_path.insert(0, comes)
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002
        for put_back, state in of_torch:
            put_back(state)
        if comes in sys.meta_path:
            sys.meta_path.remove(comes)


def _states(torch):
    """For the CPU, and for GPUs if they are in use, a function that puts its state back, and the state."""
    found = [(torch.set_rng_state, torch.get_rng_state())]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found.append((torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    return found


class _SeedsTorch:
    """A finder of modules that seeds torch as soon as it has been imported."""

    def __init__(self, seed):
        self.seed, self.asks = seed, False  # asking others where torch is asks this one, too

    def find_spec(self, name, path=None, target=None):
        """Find torch as others do, and have it seeded; no other module is found."""
        if name != "torch" or self.asks:
            return None
        self.asks = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.asks = False
        if spec and spec.loader:
            load = spec.loader.exec_module

            def load_and_seed(module):
                load(module)
                module.manual_seed(self.seed)

            spec.loader.exec_module = load_and_seed
        return spec
