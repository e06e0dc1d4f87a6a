"""Render clips of a Faust program by DawDreamer, which compiles it to machine code."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from src.synth.faust.program import COMPILING, code_of, dawdreamer
from src.utils.errors import UserError

BLOCK = 64  # samples between two changes of a control: a note ends at a multiple of it


@lru_cache(maxsize=8)
def _compiled(source: str, sample_rate: int) -> tuple[Any, Any, dict[str, int]]:
    """Return an engine, its processor and the indices of its parameters by address."""
    engine = dawdreamer().RenderEngine(sample_rate, BLOCK)
    processor = engine.make_faust_processor("faust")
    processor.set_dsp_string(code_of(source))
    if not processor.compile():
        raise UserError("synth.source: DawDreamer cannot compile the program")
    engine.load_graph([(processor, [])])
    return engine, processor, {row["name"]: row["index"] for row in processor.get_parameters_description()}


def render_clips(
    source: str,
    sample_rate: int,
    num_samples: int,
    values: Mapping[str, np.ndarray],
    gate: str | None,
    note_off: int,
) -> np.ndarray:
    """Return clips (T, V) float32 of a source; several channels are averaged.

    `values` are those of each clip, (V,), by a control's address. The control `gate` is 1 until sample `note_off`, a
    multiple of BLOCK, then 0. One thread renders at a time: DawDreamer gains nothing from
    more, and its state belongs to the process. Each clip begins with the program at rest.
    """
    count = len(next(iter(values.values())))
    clips = np.empty((num_samples, count), np.float32)
    with COMPILING:
        engine, processor, indices = _compiled(source, sample_rate)
        if gate is not None:
            held = np.arange(num_samples + BLOCK) < note_off
            processor.set_automation(gate, held.astype(np.float32))
        for clip in range(count):
            for address, given in values.items():
                processor.set_parameter(indices[address], float(given[clip]))
            engine.render((num_samples + 0.5) / sample_rate)  # DawDreamer cuts off fractions of a sample
            clips[:, clip] = engine.get_audio()[:, :num_samples].mean(axis=0)
    return clips
