"""The device that torch computes on, and the precision."""

from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from glomfeat.core.arms import REDUCED
from glomfeat.core.errors import InputError

HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
PRECISIONS = ("float32", *REDUCED)
# Linux's names of the instructions that multiply bfloat16 numbers, on processors of Intel and AMD, and on ARM's.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


@cache
def processor_computes_in_bfloat16(cpuinfo="/proc/cpuinfo"):
    """Whether the processor has instructions for bfloat16; without them it is emulated in float32, which is slower.

    Examples
    --------
    >>> processor_computes_in_bfloat16("/dev/null")
    False
    """
    try:
        lines = Path(cpuinfo).read_text().splitlines()
    except OSError:
        return False  # only Linux has this file
    flags = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return bool(BFLOAT16_FLAGS & set(next(flags, ())))


def find_device(device, precision="float32", compiled=False):
    """Find the device that a study asks for.

    Parameters
    ----------
    device : str
        ``auto``, or what ``torch.device`` knows.
    precision : str
        One of `PRECISIONS`, or ``auto`` for what the device is good at, which every device allows.
    compiled : bool
        Whether networks are to be compiled, which only GPUs of CUDA allow.

    Returns
    -------
    torch.device

    Raises
    ------
    InputError
        There is no such device, or it does not compute in the precision, or cannot have networks compiled.

    Examples
    --------
    >>> find_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError:
        raise InputError(f"device is {device!r}: allowed are auto, cpu, cuda, cuda:N, mps") from None
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device is {device!r}, but torch finds {torch.cuda.device_count()} CUDA devices: take auto")
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("device is 'mps', but torch finds none: take auto")
    if compiled and found.type != "cuda":
        raise InputError(f"compile needs a CUDA device, and this is {found}: leave it out")
    if precision in ("auto", "float32") or found.type == "cuda":
        return found
    if precision != "bfloat16" or found.type != "cpu":
        raise InputError(f"precision {precision} needs a CUDA device, and this is {device}: take float32")
    if not processor_computes_in_bfloat16():
        raise InputError(
            "precision bfloat16 needs a CUDA device, or a processor that computes in it (on Linux, one with "
            "AVX512_BF16 or AMX, or ARM's BF16), and this one does not: take float32"
        )
    return found


def cards_of(device):
    """List the GPUs that share a device's work: all that torch finds, unless one is named by its number.

    Examples
    --------
    >>> cards_of(torch.device("cuda", 1))
    [device(type='cuda', index=1)]
    """
    several = torch.cuda.device_count() if device.type == "cuda" and device.index is None else 1
    return [torch.device("cuda", number) for number in range(several)] if several > 1 else [device]


def card_bytes(device):
    """The total memory of a CUDA device in bytes."""
    return torch.cuda.get_device_properties(device).total_memory


@contextmanager
def tf32(allowed, device):
    """Set whether CUDA may round float32 to TF32 within a block, and restore the setting after it."""
    if device.type != "cuda":
        yield
        return
    cuda, cudnn, value = torch.backends.cuda.matmul, torch.backends.cudnn, "tf32" if allowed else "ieee"
    if hasattr(cudnn, "conv"):
        switches = [(cuda, "fp32_precision", value), (cudnn.conv, "fp32_precision", value)]
    else:  # torch before 2.9
        switches = [(cuda, "allow_tf32", allowed), (cudnn, "allow_tf32", allowed)]
    before = [getattr(home, name) for home, name, _ in switches]
    try:
        for home, name, new in switches:
            setattr(home, name, new)
        yield
    finally:
        for (home, name, _), old in zip(switches, before, strict=True):
            setattr(home, name, old)
