"""Predict the maps of sound files, as arrays and as pictures."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from src.evaluation.each_file import for_each_file
from src.evaluation.map_tables import map_figure
from src.evaluation.plots import save_figure
from src.evaluation.predict import clip_image, make_front_end
from src.models.tasks.segment import map_task_of
from src.models.vimh_lit_module import VIMHLitModule
from src.spectral.audio_file import read_clip
from src.utils.files import path_text, shown_path, write_atomic

log = logging.getLogger(__name__)


def write_maps(model: VIMHLitModule, paths: list[Path], channel: str | None, output_dir: Path) -> list[str]:
    """Write NAME_map.npz and NAME_map.png of each sound; return a one-line error for each file that failed.

    The archive holds `map` (H, W) uint8, `probabilities` (K, H, W) float32, the `image` (H, W) in [0, 1], its first
    channel, and the names of the `classes`.
    """
    front_end, task = make_front_end(model.spec), map_task_of(model)

    def write_map(path: Path, stem: str) -> Iterator[str]:
        clip = read_clip(path, front_end.sample_rate, front_end.num_samples, channel)
        image, scale = clip_image(front_end, clip)
        with torch.inference_mode():
            features = model.features(image, scale)
            outputs = task(features)
            found = task.values(outputs)[0].numpy().astype(np.uint8)
            probabilities = task.probabilities(outputs)[0].float().numpy()
        if float(model.distances(image, features)[0]) > 1.0:
            log.warning("%s: unlike the sounds that the model was trained on, so the map may be wrong", path.name)
        name = path_text(stem)
        shown, classes, content = image[0, 0].numpy(), np.array(task.classes), io.BytesIO()
        np.savez_compressed(content, map=found, probabilities=probabilities, image=shown, classes=classes)
        write_atomic(output_dir / f"{name}_map.npz", content.getbuffer())
        columns = {"image": shown[None], "predicted map": found[None]}
        save_figure(map_figure(columns, model.spec), output_dir / f"{name}_map.png")
        yield name

    maps, faults = for_each_file(paths, write_map)
    written = sum(map(len, maps.values()))
    if written:
        log.info("maps of %d sound%s: %s", written, "" if written == 1 else "s", shown_path(output_dir))
    return faults
