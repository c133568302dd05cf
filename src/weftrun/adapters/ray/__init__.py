"""Workers on the hosts of a Ray cluster: Ray tells which hosts there are, starts an actor on each, carries bytes."""
