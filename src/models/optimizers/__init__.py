"""What is done to an optimizer: parameter groups, and hooks that change its gradients or its weights."""
