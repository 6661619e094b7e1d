"""Limits of support vector machines on many rows: how many machines, of how many rows, in how many bytes."""

MOST_ROWS, MOST_MACHINES = 6000, 8  # rows of one machine (the founding data set has fewer), and machines
CACHE_BYTES = 200 * 2**20  # libsvm's cache for rows of the kernel, SVC's default
OF_PARTS, NOT_ALL = "support vector machines of parts of the rows", "others are not learnt"


def kernel_bytes(n_train: int, columns: int) -> int:
    """Most bytes of the kernel of an inner split together with libsvm's cache.

    Examples
    --------
    >>> kernel_bytes(MOST_ROWS, 8) == kernel_bytes(10 * MOST_ROWS, 128)
    True
    """
    rows = min(n_train, MOST_ROWS)
    return 9 * rows**2 + min(4 * rows**2, CACHE_BYTES)
