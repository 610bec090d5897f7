"""Hold an enterprise inside each cluster to what it was granted and can still pay for, whoever submits."""
