"""Render clips of a Faust program by a C compiler, if there is one: unlike DawDreamer's engine, on all cores at once.

The C that Faust's compiler writes is built once per process, without options that depend on the processor. Each call
has a state of its own, so that threads render at the same time; on one core the two engines are equally fast.
"""

import ctypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from src.synth.faust.program import COMPILING, Program, describe_program
from src.utils.errors import UserError

_COMPILERS = ("cc", "gcc", "clang")
_OPTIONS = ("-O2", "-ffp-contract=off", "-fPIC", "-shared", "-w")  # the same bytes on all processors of a kind
_SECONDS = 120.0  # to compile: the library's largest models take 15 s

_INTERFACE = re.compile(r"void (?:metadata|buildUserInterface)mydsp\(.*?\n}\n", re.DOTALL)  # needs Faust's headers

_FLUSH = """
#if defined(__SSE2__)
#include <xmmintrin.h>
static unsigned flush_denormals(void) { unsigned old = _mm_getcsr(); _mm_setcsr(old | 0x8040); return old; }
static void restore(unsigned old) { _mm_setcsr(old); }
#else
static unsigned flush_denormals(void) { return 0; }
static void restore(unsigned old) { (void)old; }
#endif
"""  # decaying filters end in denormals, which take a hundred times as long

_RENDER = """
void prepare(int sample_rate) {{ mydsp *dsp = newmydsp(); initmydsp(dsp, sample_rate); deletemydsp(dsp); }}

int render_clips(int sample_rate, int clips, int count, int note_off, const float *values, float *out) {{
  mydsp *dsp = newmydsp();
  float *buffer = (float *)malloc(sizeof(float) * {outputs} * (size_t)count);
  if (!dsp || !buffer) {{ free(buffer); free(dsp); return 1; }}
  unsigned old = flush_denormals();
  for (int clip = 0; clip < clips; clip++) {{
    instanceInitmydsp(dsp, sample_rate);
    const float *given = values + (size_t)clip * {controls};
    {assignments}
    for (int part = 0; part < 2; part++) {{
      int start = part ? note_off : 0, stop = part ? count : note_off;
      float *outputs[{outputs}];
      for (int channel = 0; channel < {outputs}; channel++) outputs[channel] = buffer + (size_t)channel * count + start;
      {gate}
      if (stop > start) computemydsp(dsp, stop - start, 0, outputs);
    }}
    for (int at = 0; at < count; at++) {{
      float sum = 0;
      for (int channel = 0; channel < {outputs}; channel++) sum += buffer[(size_t)channel * count + at];
      out[(size_t)at * clips + clip] = sum / {outputs};
    }}
  }}
  restore(old);
  free(buffer);
  deletemydsp(dsp);
  return 0;
}}
"""


@cache
def find_compiler() -> str | None:
    """Return the path of a C compiler, or None."""
    found = [path for path in map(shutil.which, _COMPILERS) if path]
    return found[0] if found else None


@cache
def compiler_version() -> str:
    """Return the first line in which the compiler names itself."""
    found = subprocess.run([str(find_compiler()), "--version"], capture_output=True, text=True, check=False)
    return found.stdout.partition("\n")[0].strip()


def c_text(program: Program, addresses: tuple[str, ...], gates: tuple[str, ...]) -> str:
    """Return the program's C and a function that renders clips from the values of the controls `addresses`."""
    zones = {control.address: control.zone for control in program.controls}
    assignments = " ".join(f"dsp->{zones[address]} = given[{at}];" for at, address in enumerate(addresses))
    render = _RENDER.format(
        outputs=program.num_outputs,
        controls=len(addresses),
        assignments=assignments,
        gate=" ".join(f"dsp->{zones[gate]} = part ? 0 : 1;" for gate in gates),
    )
    return "\n".join([_INTERFACE.sub("", program.c_text), _FLUSH, render])


@lru_cache(maxsize=16)
def _library(source: str, addresses: tuple[str, ...], gates: tuple[str, ...], sample_rate: int) -> ctypes.CDLL:
    """Compile and load a program, whose tables are those of one sample rate; raise UserError if the compiler fails."""
    with COMPILING, tempfile.TemporaryDirectory() as folder:
        text, library = Path(folder, "program.c"), Path(folder, "program.so")
        text.write_text(c_text(describe_program(source), addresses, gates))
        command = [str(find_compiler()), *_OPTIONS, str(text), "-o", str(library), "-lm"]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS)
            loaded = ctypes.CDLL(str(library))
        except (subprocess.SubprocessError, OSError) as error:
            reason = " ".join(str(getattr(error, "stderr", None) or error).split())[:300]
            remedy = "give synth.settings.engine=dawdreamer"
            raise UserError(f"synth.source: {command[0]} cannot build the program ({reason}); {remedy}") from error
        loaded.prepare(sample_rate)
        return loaded


def render_clips(
    source: str,
    sample_rate: int,
    num_samples: int,
    values: Mapping[str, np.ndarray],
    gates: tuple[str, ...],
    note_off: int,
) -> np.ndarray:
    """Return clips (T, V) float32, as src.synth.faust.engine.render_clips."""
    library = _library(source, tuple(values), gates, sample_rate)
    given = np.ascontiguousarray(np.stack(list(values.values()), axis=1), np.float32)
    clips = np.empty((num_samples, len(given)), np.float32)
    pointers = (ctypes.c_void_p(array.ctypes.data) for array in (given, clips))
    if library.render_clips(sample_rate, len(given), num_samples, min(note_off, num_samples), *pointers):
        raise MemoryError("a Faust program and its clips do not fit into memory")
    return clips
