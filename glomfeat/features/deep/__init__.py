"""Activations of pretrained networks, and where their parameters come from."""
