"""ExoFlow (OSDI 2023): its applications, made anew on one machine, under failures that the originals never had."""
