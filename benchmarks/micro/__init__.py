"""Micro-benchmarks: what each part costs, beside what one would do instead, in the same run."""
