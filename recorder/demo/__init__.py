"""Synthetic people who hold a call: for the demo, the benchmarks and the end-to-end tests."""
