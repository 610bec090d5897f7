"""Every foreign wire: adapters answer ports the domain declares; inbound ones call domain services."""
