"""Workers in other processes of this host, over Unix sockets; Objects are handed over by descriptor."""
