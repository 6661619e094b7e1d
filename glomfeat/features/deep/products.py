"""Products of matrices on a GPU."""

import torch

from glomfeat.features.deep.device import tf32


def products_on(card, panels, size):
    """Sum products of panels with their transposes on a GPU, as `glomfeat.models.reducers.pca.outer_products` does.

    Products are in the dtype of the panels, sums in float64.

    Parameters
    ----------
    card : str
        The device, as for ``torch.device``.
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
