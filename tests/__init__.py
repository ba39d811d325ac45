"""The tests, laid out like the layers they are of."""
