"""Measurements as ratios within one run; never timed tests."""
