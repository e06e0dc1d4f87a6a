"""Use a trained model from Python, cell by cell: python examples/python_api.py [CHECKPOINT] [VIMH DIRECTORY]."""

# %% Load the given checkpoint, or the best checkpoint of the newest training run
import sys

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np

from src import api

checkpoint, data_dir = [*sys.argv[1:3], None, None][:2]
model = api.load(checkpoint or "best")
print("parameters:", ", ".join(f"{parameter.name} [{parameter.unit or '-'}]" for parameter in model.spec.space))

# %% Make a sound that is not in the dataset, and predict its parameters
rng = np.random.default_rng(20)
true = {parameter.name: rng.uniform(parameter.min, parameter.max) for parameter in model.spec.space}
sound, sample_rate = api.render(model, true)
prediction = api.predict(model, sound, sample_rate)
for name, value in prediction.values.items():
    interval = f"{prediction.low[name]:.4g} .. {prediction.high[name]:.4g}"
    print(
        f"{name:>20}: true {true[name]:.4g}, predicted {value:.4g}, 90 % interval {interval} {prediction.units[name]}"
    )

# %% Render the prediction, and compare it with the sound
rendered, _ = api.render(model, prediction.values)
error_db = 10 * np.log10(np.mean((rendered - sound) ** 2) / np.mean(sound**2))
print(f"error of the waveform: {error_db:.1f} dB of the sound's energy")

# %% Test the model on the test split of its dataset
for row in api.evaluate(checkpoint or "best", data_dir).rows:
    low, high = row.intervals["mae"] or (np.nan, np.nan)  # a single sound has none
    print(f"{row.name:>20}: MAE {row.mae:.3g}, 95 % interval {low:.3g} .. {high:.3g} {row.unit}")
