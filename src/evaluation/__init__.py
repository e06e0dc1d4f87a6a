"""What a trained model is worth: tables with a floor and a baseline, and re-rendered sound."""
