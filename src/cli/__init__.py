"""From a command line to a config, and from a config to objects."""
