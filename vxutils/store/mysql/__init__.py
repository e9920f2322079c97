"""The MySQL stores: the two databases of the C system, and a table for how far each of them has come."""
