"""A GPU that is not there: one that records what is asked of it, and one that knows shapes and devices alone."""

from contextlib import contextmanager
from itertools import chain

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call


class Recording:
    """What `torch.cuda` makes of streams, which computes at once and notes what each piece of work would wait for.

    Attributes
    ----------
    log : list of tuple
        In the order in which this process asked for it: ``("work", stream, number)`` and ``("waited", event)``.
    """

    def __init__(self):
        self.log, self.streams, self.current = [], [], None

    def Stream(self, device):  # noqa: N802
        self.streams.append(_Stream(self, ["there", "work", "back"][len(self.streams) % 3]))
        return self.streams[-1]

    def current_stream(self, device):
        return None

    @contextmanager
    def stream(self, stream):
        stream.done += 1
        stream.needs[stream.done] = {(stream.name, stream.done - 1), *stream.waits}
        stream.waits = set()
        self.log.append(("work", stream.name, stream.done))
        yield

    def needed(self, name, number):
        """All work that a piece of work waits for, itself included, as sets of numbers by stream."""
        by_name, found, left = {stream.name: stream for stream in self.streams}, set(), {(name, number)}
        while left:
            one = left.pop()
            if one[1] and one not in found:
                found.add(one)
                left |= by_name[one[0]].needs[one[1]]
        return {of: {number for name, number in found if name == of} for of in by_name}


class _Stream:
    def __init__(self, cuda, name):
        self.cuda, self.name, self.done, self.needs, self.waits = cuda, name, 0, {}, set()

    def wait_stream(self, other):
        pass

    def wait_event(self, event):
        self.waits.add((event.name, event.number))

    def record_event(self):
        return _Event(self.cuda, self.name, self.done)


class _Event:
    def __init__(self, cuda, name, number):
        self.cuda, self.name, self.number = cuda, name, number

    def synchronize(self):
        self.cuda.log.append(("waited", self.name, self.number))


def on_a_gpu_of_shapes(module, given, training=False):
    """What a module gives on a CUDA device that holds no numbers; a tensor that was left elsewhere is an error.

    Parameters
    ----------
    module : torch.nn.Module
        On the meta device, or any.
    given : callable
        Makes what it reads; tensors that are made within get the CUDA device.
    """
    with _without_a_driver(), FakeTensorMode(), torch.set_grad_enabled(training):
        parts = chain(module.named_parameters(), module.named_buffers())
        state = {
            name: torch.empty(part.shape, dtype=part.dtype, device="cuda", requires_grad=part.requires_grad)
            for name, part in parts
        }
        with torch.device("cuda"):
            asked = given()
        return functional_call(module, state, (asked,))


@contextmanager
def _without_a_driver():
    """Skip the test with a release of torch that asks for the driver of a card it only imitates, such as 2.7."""
    try:
        yield
    except RuntimeError as error:
        if "CUDA driver" not in str(error):
            raise
        pytest.skip("this release of torch asks for the driver of a card that it only imitates")
