"""Settings of torch for a block of code: the number of threads, and results that repeat."""

import os
import warnings
from contextlib import contextmanager

import torch


@contextmanager
def threads(number):
    """Let torch use this many threads within a block.

    Examples
    --------
    >>> with threads(1):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def reproducible(device, exact=True):
    """Prefer deterministic algorithms, unless not `exact`, and leave the global random state untouched, within a block.

    Yields
    ------
    list of str
        Filled at the end with the operations that had no deterministic algorithm on this device.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with reproducible("cpu"):
    ...     _ = torch.manual_seed(1), torch.rand(3)
    >>> torch.equal(before, torch.get_rng_state())
    True
    """
    notes = []
    cuda = torch.device(device).type == "cuda"
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    if cuda:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, cuBLAS's results do not repeat
    number = torch.device(device).index
    devices = [torch.cuda.current_device() if number is None else number] if cuda else []
    with torch.random.fork_rng(devices=devices), warnings.catch_warnings(record=True) as caught:
        try:
            warnings.filterwarnings("always", message=".*deterministic")
            torch.use_deterministic_algorithms(exact, warn_only=True)
            torch.utils.deterministic.fill_uninitialized_memory = False  # it only slows code that writes all it reads
            yield notes
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
            torch.utils.deterministic.fill_uninitialized_memory = fill
    for warning in caught:
        text = str(warning.message)
        if "deterministic" in text:
            note = f"not deterministic on {device}: {text.splitlines()[0]}"
            notes += [note] if note not in notes else []
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
