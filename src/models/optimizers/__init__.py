"""Parameter groups of optimizers, and hooks that change an optimizer's gradients or weights."""
