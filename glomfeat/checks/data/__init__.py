"""What is wrong with a data set, as coded checks; what duplicates it holds; what can be told without looking."""
