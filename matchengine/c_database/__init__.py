"""An exchange that the C system has left in MySQL: read, built again, and taken over."""
