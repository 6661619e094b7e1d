"""What explains a finished study: nearest images, groups of columns, where networks look."""
