"""Everything that learns: heads, reducers, networks, and the choices made inside the training cases.

Knows rows of features or pixels, labels and inner splits. Never sees a label of an outer test fold.
"""
