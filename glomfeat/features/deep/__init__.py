"""Activations of pretrained networks, and where their parameters come from."""

from glomfeat.core.installed import need_networks

need_networks("a network")  # who knows its name has said so before
