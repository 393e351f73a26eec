"""Owns the only ways out of a box: to the models of its task, and to the hosts that it may reach."""
