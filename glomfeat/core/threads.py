"""How many threads libraries of numbers may use at a time."""

import sys
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def limited_threads(threads):
    """Limit threads within a ``with``, as `threadpoolctl.threadpool_limits` does, which looks through all libraries.

    That takes milliseconds, a tenth of a small trial; libraries come with modules, so they are looked for again only
    where modules have come since.

    Parameters
    ----------
    threads : int or None

    Returns
    -------
    context manager
    """
    return _controller(len(sys.modules)).limit(limits=threads)


@lru_cache(maxsize=1)
def _controller(modules):
    return ThreadpoolController()
