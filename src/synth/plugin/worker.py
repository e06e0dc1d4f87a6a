"""Hosts a plug-in: a program of its own, which src.synth.plugin.host starts, and ends if the plug-in hangs.

It answers questions on the connection whose file descriptor is its first argument, until the other end closes.
"""

import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 512  # samples that a plug-in computes at once, as hosts do
PLACES = 101  # values of a parameter, evenly spaced in 0..1, whose texts are read


def load(source: str, preset: str, sample_rate: int) -> tuple[Any, Any]:
    """Return an engine and a new instance of the plug-in; raise RuntimeError if it cannot be loaded."""
    import dawdreamer

    engine = dawdreamer.RenderEngine(sample_rate, BLOCK)
    plugin = engine.make_plugin_processor("plugin", source)
    if preset and not (plugin.load_vst3_preset if Path(preset).suffix == ".vstpreset" else plugin.load_preset)(preset):
        raise RuntimeError(f"{preset}: the plug-in does not take this preset")
    engine.load_graph([(plugin, [])])
    return engine, plugin


def describe(plugin: Any) -> list[dict[str, Any]]:
    """Return of each parameter its index, name, unit and value, and its texts at PLACES values from 0 to 1."""
    parameters = []
    for row in plugin.get_parameters_description():
        at, value = row["index"], plugin.get_parameter(row["index"])
        texts = []
        for place in np.linspace(0.0, 1.0, PLACES):
            plugin.set_parameter(at, float(place))
            texts.append(str(plugin.get_parameter_text(at)))
        plugin.set_parameter(at, value)
        parameters.append({"index": at, "name": row["name"], "unit": row["label"], "value": value, "texts": texts})
    return parameters


def render(
    engine: Any, plugin: Any, values: dict[int, float], note: int, velocity: int, off: float, seconds: float
) -> np.ndarray:
    """Return the channels (C, T) float32 of a note that is released after `off` seconds."""
    for at, value in values.items():
        plugin.set_parameter(at, value)
    plugin.clear_midi()
    plugin.add_midi_note(note, velocity, 0.0, off)
    engine.render(seconds)
    return np.asarray(engine.get_audio(), np.float32)


def serve(connection: Connection, source: str, preset: str, sample_rate: int) -> None:
    """Answer ("describe",) and ("render", values, note, velocity, off, seconds, reuse); a fault is one line."""
    hosted: tuple[Any, Any] | None = None
    while True:
        try:
            kind, *arguments = connection.recv()
        except EOFError:
            return
        try:
            reuse = kind == "render" and arguments.pop()
            hosted = hosted if reuse and hosted else load(source, preset, sample_rate)
            found = describe(hosted[1]) if kind == "describe" else render(*hosted, *arguments)
            connection.send(("answer", found))
        except (RuntimeError, ImportError, OSError) as error:
            connection.send(("fault", " ".join(str(error).split())[:300]))


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # some plug-ins abort without a display
    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):  # what plug-ins print belongs in no table
        os.dup2(silent, stream.fileno())
    serve(Connection(int(sys.argv[1])), sys.argv[2], sys.argv[3], int(sys.argv[4]))
