"""A web page on this machine: drop a sound, see its parameters, edit them and hear the result."""
