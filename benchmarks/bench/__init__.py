"""What the benchmarks of the store share: generated traffic, the stores it fills, and how questions are timed."""
