"""Tensors that outlive a call of a part of the user's own: what it learnt there, the next call would know."""

import gc
import sys
import zlib
from collections import deque
from functools import cache
from types import BuiltinFunctionType, FunctionType, ModuleType

from glomfeat.core.own_modules import is_own_module

MOST, WIDEST = 1_000_000, 10_000  # objects, and those that one holds, so that a look takes a second or so at most
NAMED = type, FunctionType, BuiltinFunctionType


def checksums(part):
    """Find the tensors that a part can reach, in globals, closures, caches, classes and objects, and sum up each.

    Counters of changes would not do: fused optimisers and running statistics leave them as they are.

    Parameters
    ----------
    part : object
        What is called, such as a function. What is installed is not looked into, but for the package that it is from.
        Of very many objects, the nearest `MOST` are looked at, and none of a list or dict of more than `WIDEST`.

    Returns
    -------
    list of (Tensor, int)
        Empty if torch has not been imported.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    package = str(getattr(part, "__module__", "")).partition(".")[0]
    is_own = cache(lambda module: is_own_module(module) or module.partition(".")[0] == package != "glomfeat")
    seen, left, found = set(), deque([part]), []
    while left and len(seen) < MOST:
        one = left.popleft()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if issubclass(type(one), torch.Tensor):  # isinstance asks for __class__, which some answer with a warning
            found.append((one, _checksum(one)))
        elif one is part or (module := _module_of(one)) is None or is_own(module):
            held = gc.get_referents(one)
            left.extend(filter(gc.is_tracked, held) if len(held) <= WIDEST else ())  # others hold nothing, as texts
    return found


def changed(before):
    """The first tensor that has other numbers than before; None if there is none.

    Parameters
    ----------
    before : list
        What `checksums` returned.

    Examples
    --------
    >>> import torch
    >>> weights = torch.zeros(3)
    >>> before = checksums(lambda: weights)
    >>> changed(before), weights.add_(1.0), changed(before)
    (None, tensor([1., 1., 1.]), tensor([1., 1., 1.]))
    """
    return next((tensor for tensor, checksum in before if _checksum(tensor) != checksum), None)


def _module_of(thing):
    """The name of the module that a module, class or function is or is from; None for anything else."""
    if issubclass(type(thing), ModuleType):
        return thing.__name__
    return (getattr(thing, "__module__", None) or "builtins") if issubclass(type(thing), NAMED) else None


def _checksum(tensor):
    """A checksum of a tensor's numbers; 0 for tensors that are not one number beside the other in memory."""
    torch = sys.modules["torch"]
    numberless = torch.nn.parameter.is_lazy(tensor) or tensor.device.type == "meta" or tensor.is_quantized
    if numberless or tensor.layout is not torch.strided:
        return 0
    numbers = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    return zlib.crc32(numbers.view(torch.uint8).numpy())
