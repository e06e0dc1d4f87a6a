"""Render clips of a Faust program by DawDreamer, which compiles it to machine code."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from src.synth.faust.program import COMPILING, code_of, dawdreamer, describe_program, fault_of, writes_tables
from src.utils.errors import UserError

BLOCK = 64  # samples between two changes of a control: a note ends at a multiple of it


@lru_cache(maxsize=8)
def _compiled(source: str, sample_rate: int) -> tuple[Any, Any, dict[str, int]]:
    """Return an engine, its processor and the indices of its parameters by address."""
    if writes_tables(describe_program(source)):
        raise UserError(
            "synth.source: the program writes a table, which DawDreamer does not clear between clips; install a C "
            "compiler, and give synth.settings.engine=c"
        )
    engine = dawdreamer().RenderEngine(sample_rate, BLOCK)
    processor = engine.make_faust_processor("faust")
    processor.set_dsp_string(code_of(source))
    try:
        processor.compile()
    except RuntimeError as error:
        raise UserError(f"synth.source: {fault_of(error)}") from error
    engine.load_graph([(processor, [])])
    return engine, processor, {row["name"]: row["index"] for row in processor.get_parameters_description()}


def render_clips(
    source: str,
    sample_rate: int,
    num_samples: int,
    values: Mapping[str, np.ndarray],
    gates: tuple[str, ...],
    note_off: int,
) -> np.ndarray:
    """Return clips (T, V) float32 of a source; several channels are averaged.

    `values` are those of each clip, (V,), by a control's address. The controls `gates` are 1 until sample `note_off`, a
    multiple of BLOCK, then 0. One thread renders at a time: DawDreamer gains nothing from more, and its state belongs
    to the process. Each clip begins with the program at rest.
    """
    count = len(next(iter(values.values())))
    clips = np.empty((num_samples, count), np.float32)
    with COMPILING:
        engine, processor, indices = _compiled(source, sample_rate)
        held = np.arange(num_samples + BLOCK) < note_off
        for address in gates:
            processor.set_automation(_known(address, indices), held.astype(np.float32))
        places = {_known(address, indices): given for address, given in values.items()}
        for clip in range(count):
            for address, given in places.items():
                processor.set_parameter(indices[address], float(given[clip]))
            engine.render((num_samples + 0.5) / sample_rate)  # DawDreamer cuts off fractions of a sample
            clips[:, clip] = engine.get_audio()[:, :num_samples].mean(axis=0)
    return clips


def _known(address: str, indices: Mapping[str, int]) -> str:
    """Return an address that DawDreamer knows; raise UserError for any other, such as one with an umlaut."""
    if address not in indices:
        raise UserError(
            f"synth.source: DawDreamer has no control {address}; use letters, digits and spaces in its label, or give "
            "synth.settings.engine=c"
        )
    return address
