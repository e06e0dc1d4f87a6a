"""Faust programs of tests, and what skips tests without DawDreamer."""

import importlib.util

import pytest

needs_faust = pytest.mark.skipif(not importlib.util.find_spec("dawdreamer"), reason="dawdreamer is not installed")

CONTROLS = """
import("stdfaust.lib");
gate = checkbox("gate");
brightness = hgroup("My group (x)", vslider("c/d e.f[unit:Hz][scale:log][tooltip:say hi (a), b]", 100, 20, 2000, 0.01));
other = hgroup("other", hslider("c/d e.f", -100.5, -2e3, 2000, 0));
wave = nentry("wave[style:menu{'saw':0;'square wave':1}]", 1, 0, 1, 1);
count = nentry("count", 3, 1, 9, 2);
bend = hslider("bend[midi:pitchwheel]", 0, -2, 2, 0.01);
mute = checkbox("mute");
process = gate * 0.5 + 1e-9 * (brightness + other + wave + count + bend + mute) <: _, _;
"""

# The native voice again: a naive saw, the zero-delay ladder without saturation, and an exponential decay.
SAW_LADDER = """
import("stdfaust.lib");
freq = hslider("freq", 125, 20, 4000, 0.01);
gain = hslider("gain", 1, 0, 1, 0.01);
cutoff = hslider("cutoff", 1000, 20, 20000, 0.01);
resonance = hslider("resonance", 0, 0, 1, 0.001);
decay = hslider("decay", 1, 0.01, 10, 0.001);

saw = (+(freq / ma.SR) ~ ma.frac) - freq / ma.SR : ma.frac : *(2) : -(1);
ladder(x) = y letrec {
  's1 = s1 + 2 * v1;
  's2 = s2 + 2 * v2;
  's3 = s3 + 2 * v3;
  's4 = s4 + 2 * v4;
  'y = v4 + s4;
  where
    g = tan(ma.PI * cutoff / ma.SR);
    a = g / (1 + g);
    k = 4 * resonance;
    held = (1 - a) * (s4 + a * (s3 + a * (s2 + a * s1)));
    u = (x - k * held) / (1 + k * a * a * a * a);
    v1 = a * (u - s1);
    v2 = a * (v1 + s1 - s2);
    v3 = a * (v2 + s2 - s3);
    v4 = a * (v3 + s3 - s4);
};
process = saw : ladder * gain * exp(0 - ba.time / (decay * ma.SR));
"""
