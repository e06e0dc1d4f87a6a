"""Losses between waveforms, in time and in spectra."""
