"""What learns: heads, reducers, networks, and the choices that are made inside the training cases.

Knows rows of features or pixels, labels and inner splits. Never sees an outer test fold's label.
"""
