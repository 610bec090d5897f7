"""Metering of clusters: what accounting says was used, by whomever, against what the portal charged."""
