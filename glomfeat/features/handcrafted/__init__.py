"""Features from scikit-image and from size and colour alone."""
