"""What adapters share that pass messages and Objects over sockets."""
