"""How a batch gets to the device and its rows come back: one after the other, or on a GPU on three parallel streams."""

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
        """Allocate host memory from which batches are sent."""
        return torch.empty(shape, dtype=dtype)

    def start(self, net, pixels):
        """Start to run a batch through a network.

        Parameters
        ----------
        net : callable
            From channels-last uint8 images of shape (n, 3, side, side) to a row for each image.
        pixels : Tensor of uint8, shape (n, side, side, 3)
            Made by `buffer`; it must not change before the rows have arrived.

        Returns
        -------
        callable
            Waits for the rows, and returns them as an ndarray.

        Examples
        --------
        >>> lanes = Here(torch.device("cpu"))
        >>> lanes.start(lambda images: images.float().mean((2, 3)), torch.ones(1, 2, 2, 3, dtype=torch.uint8))()
        array([[1., 1., 1.]], dtype=float32)
        """
        rows = net(pixels.to(self.device).permute(0, 3, 1, 2))
        return lambda: rows.cpu().numpy()


class Lanes(Here):
    """A CUDA device: pixels arrive on one stream, kernels run on a second one, rows leave on a third.

    A batch arrives while the one before it is computed, and rows leave as soon as their own kernels have ended,
    whatever has been started after them.

    Parameters
    ----------
    device : torch.device
        The device that the network is on already.
    cuda : module
        Makes the streams; tests pass another module.
    """

    def __init__(self, device, cuda=torch.cuda):
        super().__init__(device)
        self.cuda = cuda
        self.there, self.work, self.back = (cuda.Stream(device) for _ in range(3))
        self.work.wait_stream(cuda.current_stream(device))  # on which the network was copied

    def buffer(self, shape, dtype=torch.uint8):
        """Allocate pinned memory, so that copies from and to it do not block this process."""
        return torch.empty(shape, dtype=dtype, pin_memory=self.device.type == "cuda")

    def start(self, net, pixels):
        """Start a batch as `Here.start` does, but without blocking."""
        with self.cuda.stream(self.there):
            given = pixels.to(self.device, non_blocking=True)
        self.work.wait_event(self.there.record_event())
        with self.cuda.stream(self.work):
            rows = net(given.permute(0, 3, 1, 2))
        self.back.wait_event(self.work.record_event())
        with self.cuda.stream(self.back):
            found = self.buffer(rows.shape, rows.dtype).copy_(rows, non_blocking=True)
        came, alive = self.back.record_event(), [given, rows]  # else their memory could be reused while it is read

        def wait():
            came.synchronize()
            alive.clear()
            return found.numpy()

        return wait


def lanes_of(device):
    """Make `Lanes` for a CUDA device, and `Here` for others."""
    return Lanes(device) if device.type == "cuda" else Here(device)
