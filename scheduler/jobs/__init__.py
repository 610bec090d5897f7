"""Jobs on clusters: submit once, follow, meter, charge. ``ports.py`` is the scheduler adapter."""
