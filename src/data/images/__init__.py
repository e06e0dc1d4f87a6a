"""Images with class labels, which no sound made."""
