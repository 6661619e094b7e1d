"""Which class each image is of, by tables or by folders."""
