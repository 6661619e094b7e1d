"""The report's page, figures and sections: pure functions of a finished or half-finished run.

They read what `glomfeat.results` read from an output folder, and images only for thumbnails. They run nothing.
"""
