"""Review of proposals: who may judge what, on which scale, how grades become a rank, and why."""
