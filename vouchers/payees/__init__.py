"""Bank accounts that providers and enterprises are paid to: proposed, checked, verified, in force after a cooling-off."""
