"""What is wrong with a data set, as coded checks; which duplicates it holds; what can be told without looking."""
