"""Random changes of training images, the same for a sample whatever batch and process it is in."""
