"""Products of matrices on a GPU."""

import torch

from glomfeat.features.deep.device import tf32


def products_on(card, panels, size):
    """`glomfeat.models.reducers.pca.outer_products` on a GPU, in the types of the panels; sums are in float64.

    Parameters
    ----------
    card : str
        As ``torch.device`` knows it.
    panels : iterable of ndarray of float32 or float64, shape (size, any)
    size : int

    Returns
    -------
    ndarray of float64, shape (size, size)
    """
    device = torch.device(card)
    total = torch.zeros((size, size), dtype=torch.float64, device=device)
    with tf32(False, device):
        for panel in panels:
            part = torch.from_numpy(panel).to(device)
            total += part @ part.T
    return total.cpu().numpy()
