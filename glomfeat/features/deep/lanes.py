"""How a batch gets to what computes and its rows come back: at once, or on a GPU on three streams that overlap."""

import torch


class Here:
    """A processor, or a GPU that does one thing after the other.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device):
        self.device = device

    def buffer(self, shape, dtype=torch.uint8):
        """Memory of this machine from which batches are sent."""
        return torch.empty(shape, dtype=dtype)

    def start(self, net, pixels):
        """Begin to describe a batch.

        Parameters
        ----------
        net : callable
            From channels-last bytes of shape (n, 3, side, side) to a row for each image.
        pixels : Tensor of uint8, shape (n, side, side, 3)
            Of `buffer`; it must not change before the rows are there.

        Returns
        -------
        callable
            Waits for the rows, and gives them as an ndarray.

        Examples
        --------
        >>> lanes = Here(torch.device("cpu"))
        >>> lanes.start(lambda images: images.float().mean((2, 3)), torch.ones(1, 2, 2, 3, dtype=torch.uint8))()
        array([[1., 1., 1.]], dtype=float32)
        """
        rows = net(pixels.to(self.device).permute(0, 3, 1, 2))
        return lambda: rows.cpu().numpy()


class Lanes(Here):
    """A CUDA device: bytes arrive on one stream, kernels run on a second one, rows leave on a third.

    A batch arrives while the one before it is computed, and rows leave as soon as their own kernels have ended,
    whatever has been begun after them.

    Parameters
    ----------
    device : torch.device
        The network's, which lies there already.
    cuda : module
        What makes streams; another one for tests.
    """

    def __init__(self, device, cuda=torch.cuda):
        super().__init__(device)
        self.cuda = cuda
        self.there, self.work, self.back = (cuda.Stream(device) for _ in range(3))
        self.work.wait_stream(cuda.current_stream(device))  # on which the network was copied

    def buffer(self, shape, dtype=torch.uint8):
        """Pinned memory, from which and to which copies do not hold up this process."""
        return torch.empty(shape, dtype=dtype, pin_memory=self.device.type == "cuda")

    def start(self, net, pixels):
        """As `Here.start`, and nothing waits."""
        with self.cuda.stream(self.there):
            given = pixels.to(self.device, non_blocking=True)
        self.work.wait_event(self.there.record_event())
        with self.cuda.stream(self.work):
            rows = net(given.permute(0, 3, 1, 2))
        self.back.wait_event(self.work.record_event())
        with self.cuda.stream(self.back):
            found = self.buffer(rows.shape, rows.dtype).copy_(rows, non_blocking=True)
        came, alive = self.back.record_event(), [given, rows]  # another stream would reuse what this one still reads

        def wait():
            came.synchronize()
            alive.clear()
            return found.numpy()

        return wait


def lanes_of(device):
    """The `Lanes` of a CUDA device; of others `Here`."""
    return Lanes(device) if device.type == "cuda" else Here(device)
