"""What reports and comparisons of benchmarks are made of; the formats themselves are files of `reports/`."""
