"""Turn a classification network into a feature extractor: cut it before its classes, or at a layer."""

import difflib
from collections import Counter

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from glomfeat.core.plugins import did_you_mean
from glomfeat.features.base import FeatureError
from glomfeat.features.deep.weights import CLASSES, load_network


def backbone(model, weights, layer=None):
    """Build a feature extractor: a classification network cut before its classes, or at a layer.

    Parameters
    ----------
    model : str
    weights : Weights
    layer : str or None
        A node of ``torchvision.models.feature_extraction``, such as "avgpool"; None for the input of the layer that
        gives the classes (512 numbers for resnet18, 4096 for vgg16, 512 for squeezenet1_1).

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    FeatureError
        The network has no such layer.
    WeightsError
        As `load_network`.
    """
    net = load_network(weights, model)
    if layer is None:
        return cut_classes(net)
    nodes = get_graph_node_names(net, suppress_diff_warning=True)[1][1:]
    parents = {node.rsplit(".", level)[0] for node in nodes for level in range(1, node.count(".") + 1)}
    known = {*nodes, *parents}
    if layer not in known:
        likely = {name for name in known if "." not in name} | {*difflib.get_close_matches(layer, known)}
        raise FeatureError(f"{model} has no layer {layer!r}: {did_you_mean(layer, likely)}")
    return create_feature_extractor(net, [layer], suppress_diff_warning=True)


def cut_classes(net):
    """Replace the last layer, which gives the classes, by the identity, so that the network returns that layer's input.

    Examples
    --------
    >>> cut_classes(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 1000)))
    Sequential(
      (0): Linear(in_features=8, out_features=4, bias=True)
      (1): ReLU()
      (2): Identity()
    )
    """
    widths = {
        name: getattr(part, "out_features", getattr(part, "out_channels", None))
        for name, part in net.named_modules()
        if isinstance(part, nn.Linear | nn.Conv2d)
    }
    net.set_submodule([name for name, width in widths.items() if width == CLASSES][-1], nn.Identity())
    return net


def fold_batch_norms(net):
    """Fold batch normalisations into the convolutions before them; a network that cannot be traced is left as it is.

    A convolution is changed only if it is used once and nothing but its normalisation reads its output. The network
    must be in evaluation mode; it is changed in place and returned.

    Examples
    --------
    >>> fold_batch_norms(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval())[1]
    Identity()
    """
    try:
        graph = fx.Tracer().trace(net)
    except Exception:  # data-dependent control flow fails in as many ways as there are networks
        return net
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in graph.nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        norm, conv = net.get_submodule(node.target), net.get_submodule(before.target)
        # the exact types, since subclasses may do more
        fits = type(norm) is nn.BatchNorm2d and type(conv) is nn.Conv2d and norm.track_running_stats
        if fits and calls[node.target] == calls[before.target] == 1:
            net.set_submodule(before.target, fuse_conv_bn_eval(conv, norm))
            net.set_submodule(node.target, nn.Identity())
    return net
