"""Tables as people write them: encodings, separators, workbooks, headers, and which columns describe."""
