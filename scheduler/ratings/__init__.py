"""What enterprises say of a service when it is over, and what the lab answers. Public, without names or titles."""
