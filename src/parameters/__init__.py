"""What a parameter is: its range, step, unit and scale, and how its values are drawn and encoded."""
