"""Sounds as files that a page can hold."""

import base64
import io
import math
from typing import Any

import numpy as np
import soundfile


def encoded_sounds(clips: dict[str, np.ndarray], sample_rate: int, most: int) -> dict[str, Any]:
    """Return `sounds`, each clip (T,) as FLAC in base64, and a `note` if they are quieter or shorter than rendered.

    All clips have the same gain, so that their levels can be compared. Only the first `most` samples are kept.
    """
    peak = max(float(np.abs(clip).max()) for clip in clips.values())
    gain = 1.0 / peak if peak > 1.0 else 1.0
    notes = []
    if gain < 1.0:
        notes.append(f"All its sounds are {-20 * math.log10(gain):.1f} dB quieter here, since the loudest would clip.")
    if max(map(len, clips.values())) > most:
        notes.append(f"Only the first {most / sample_rate:.1f} s are in this page.")
    sounds = {}
    for kind, clip in clips.items():
        content = io.BytesIO()
        soundfile.write(content, gain * clip[:most], sample_rate, format="FLAC", subtype="PCM_16")
        sounds[kind] = base64.b64encode(content.getvalue()).decode()
    return {"sounds": sounds, "note": " ".join(notes)}
