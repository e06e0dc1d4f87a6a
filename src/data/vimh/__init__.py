"""The VIMH format: records, label arrays and pickled twins, read and written."""
