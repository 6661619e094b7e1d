"""Which class each image belongs to, by tables or by folders."""
