"""What tests of several rooms need; no test file imports another."""
