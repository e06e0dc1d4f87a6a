"""New datasets from existing ones: merged, filtered, split and balanced by plans of samples, then copied once."""
