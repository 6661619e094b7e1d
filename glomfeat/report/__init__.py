"""The page, its figures and its sections: pure functions of a finished or half-finished run.

Reads what `glomfeat.results` read from an output folder, and images for thumbnails only. Runs nothing.
"""
