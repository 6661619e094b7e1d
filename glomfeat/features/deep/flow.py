"""A flow of batches through a network; a batch takes images from as many shards as it needs to be full."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch

RING = 3  # batches in memory: one is being filled, one is on its way to the device, one is being computed


@dataclass(eq=False)
class _Asked:
    """The rows of one call of `Flow.add`, as far as they have arrived."""

    n: int
    done: object
    rows: np.ndarray | None = None
    left: int = 0


@dataclass(eq=False)
class _Slot:
    """A batch in the ring: its memory, and which call each of its rows belongs to."""

    pixels: torch.Tensor
    filled: int = 0
    parts: list = field(default_factory=list)  # tuples: `_Asked`, its first row, the place in the batch, how many
    copies: list = field(default_factory=list)


class Flow:
    """Run images through a network in batches of one size; the last batch is filled up with black images.

    While one batch is computed, the next one is on its way to the device, and threads fill the one after that.

    Parameters
    ----------
    net : callable
        As in `glomfeat.features.deep.lanes.Here.start`.
    lanes : glomfeat.features.deep.lanes.Here
    batch : int
        Images in a batch. It is halved for good if the memory of the device does not suffice.
    threads : int
        Number of threads that copy images into batches; with 0 the calling thread copies them.
    guard : callable
        ``guard(batch)`` returns a context manager in which batches are started and waited for.
    check : callable
        Called with the rows of each batch, including those of the black images.

    Examples
    --------
    >>> from glomfeat.features.deep.lanes import Here
    >>> flow, found = Flow(lambda images: images.float().mean((2, 3)), Here(torch.device("cpu")), batch=4), []
    >>> for n in (3, 2):
    ...     flow.add(np.ones((n, 2, 2, 3), np.uint8), found.append)
    >>> flow.finish()
    >>> [rows.shape for rows in found]
    [(3, 3), (2, 3)]
    """

    def __init__(self, net, lanes, batch, threads=0, guard=nullcontext, check=len):
        self.net, self.lanes, self.batch, self.guard, self.check = net, lanes, batch, guard, check
        self.pool = ThreadPoolExecutor(threads, "filling") if threads else None
        self.free, self.open, self.running, self.made = [], None, deque(), 0

    def add(self, pixels, done):
        """Add images.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (n, side, side, 3)
            Must not change before their rows have arrived.
        done : callable
            Called with the rows, an ndarray of float32, once all have arrived: during this call or later.
        """
        asked, start = _Asked(len(pixels), done, left=len(pixels)), 0
        while start < len(pixels):
            slot = self.open = self.open or self._slot(pixels.shape[1:])
            n = min(self.batch - slot.filled, len(pixels) - start)
            self._copy(slot, pixels[start : start + n])
            slot.parts.append((asked, start, slot.filled, n))
            slot.filled, start = slot.filled + n, start + n
            if slot.filled == self.batch:
                self._begin()

    def finish(self):
        """Run the last images through the network, and wait for all rows."""
        if self.open:
            self._begin()
        while self.running:
            self._receive()
        self.close()

    def close(self):
        """End the threads; rows that have not been waited for are lost."""
        self.running.clear()
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def _slot(self, shape):
        while not self.free and self.made == RING:
            self._receive()
        if self.free:
            return self.free.pop()
        self.made += 1
        return _Slot(self.lanes.buffer((self.batch, *shape)))

    def _copy(self, slot, pixels):
        to = slot.pixels.numpy()[slot.filled : slot.filled + len(pixels)]
        if self.pool:
            slot.copies.append(self.pool.submit(np.copyto, to, pixels))
        else:
            np.copyto(to, pixels)

    @torch.inference_mode()
    def _begin(self):
        slot, self.open = self.open, None
        for copy in slot.copies:
            copy.result()
        slot.pixels[slot.filled : self.batch] = 0
        while True:
            try:
                with self.guard(self.batch):
                    waits = [self._start(slot, start) for start in range(0, slot.filled, self.batch)]
                break
            except torch.OutOfMemoryError:
                if self.batch == 1:
                    raise
            waits = None  # outside of the handler, whose traceback would keep the failed batch's memory alive
            while self.running:
                self._receive()
            self.batch //= 2
            torch.cuda.empty_cache()
        self.running.append((slot, waits))

    def _start(self, slot, start):
        part = slot.pixels[start : start + self.batch]
        if len(part) < self.batch:  # if the slot's size is not a multiple of the batch that fits
            part = torch.cat([part, part.new_zeros(self.batch - len(part), *part.shape[1:])])
        return self.lanes.start(self.net, part)

    def _receive(self):
        slot, waits = self.running.popleft()
        with self.guard(self.batch):
            found = np.concatenate([wait() for wait in waits])
        self.check(found)
        for asked, start, at, n in slot.parts:
            if asked.rows is None:
                asked.rows = np.empty((asked.n, found.shape[1]), np.float32)
            asked.rows[start : start + n] = found[at : at + n]
            asked.left -= n
            if not asked.left:
                asked.done(asked.rows)
        slot.filled, slot.parts, slot.copies = 0, [], []
        self.free.append(slot)


class Dealt:
    """Several flows, one for each GPU, that take turns in what is added.

    Parameters
    ----------
    flows : list of Flow
    """

    def __init__(self, flows):
        self.flows, self.added = flows, 0

    def add(self, pixels, done):
        """As `Flow.add`."""
        self.flows[self.added % len(self.flows)].add(pixels, done)
        self.added += 1

    def finish(self):
        """As `Flow.finish`."""
        for flow in self.flows:
            flow.finish()

    def close(self):
        """As `Flow.close`."""
        for flow in self.flows:
            flow.close()
