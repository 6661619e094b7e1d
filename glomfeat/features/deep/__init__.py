"""Activations of pretrained networks, and where their parameters come from."""

from glomfeat.core.installed import need_networks

need_networks("a network")  # a caller that knows the network's name has checked, and named it, before
