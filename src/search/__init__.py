"""Hyperparameter searches: a study, its trials, its best, its report."""
