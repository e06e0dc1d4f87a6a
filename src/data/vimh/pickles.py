"""Pickle copies of VIMH splits, which contain only arrays and plain containers."""

import pickle
from pathlib import Path

import numpy as np

from src.data.plain_pickle import load_plain_pickle, plain_array
from src.data.vimh.records import CURRENT_METADATA_BYTES, Records, pack_records
from src.utils.errors import UserError

_REMEDY = "use the binary file, or make the dataset again"
_LABEL_KEYS = ("vimh_labels", "labels", "multihead_labels")


def read_pickle(
    path: Path, image_shape: tuple[int, int, int], num_parameters: int, scale_of_all: np.ndarray | None = None
) -> Records:
    """Read a pickle copy into version 2.1 records in memory; a UserError names the invalid key.

    `scale_of_all` (2,) is the dB range that all records have, if it is known.
    """
    content = load_plain_pickle(path, _REMEDY)
    if not isinstance(content, dict):
        raise UserError(f"{path}: a {type(content).__name__} found, a dict expected; {_REMEDY}")
    channels, height, width = image_shape
    for key, expected in (("height", height), ("width", width), ("channels", channels)):
        found = content.get(key, expected)
        if found != expected:
            shown = found if isinstance(found, int) else f"a {type(found).__name__}"
            raise UserError(f"{path}: {key} {shown} found, {expected} expected; {_REMEDY}")
    data = plain_array(path, content, ("data",), np.uint8, _REMEDY)
    if data.ndim < 2 or data[0].size != channels * height * width:
        raise UserError(f"{path}: data {data.shape} found, (n, {channels * height * width}) expected; {_REMEDY}")
    labels = plain_array(path, content, _LABEL_KEYS, np.uint8, _REMEDY)
    if labels.shape != (len(data), 1 + 2 * num_parameters):
        raise UserError(
            f"{path}: labels {labels.shape} found, {(len(data), 1 + 2 * num_parameters)} expected; {_REMEDY}"
        )
    ids = labels[:, 1::2]
    if (labels[:, 0] != num_parameters).any() or (np.sort(ids, axis=1) != np.arange(num_parameters)).any():
        raise UserError(f"{path}: each row of labels must be [{num_parameters}, id, value, ...]; {_REMEDY}")
    codes = np.empty_like(ids)
    np.put_along_axis(codes, ids.astype(np.int64), labels[:, 2::2], axis=1)
    scale = np.zeros((len(data), 2), np.float32)
    if content.get("scale_factors") is not None:
        scale = plain_array(path, content, ("scale_factors",), np.float32, _REMEDY)
        if scale.shape != (len(data), 2) or not np.isfinite(scale).all() or (scale[:, 0] > scale[:, 1]).any():
            raise UserError(f"{path}: scale_factors must be {len(data)} finite pairs [min, max]; {_REMEDY}")
        if scale_of_all is not None and (scale != scale_of_all).any():
            raise UserError(f"{path}: scale_factors must all be {scale_of_all.tolist()}, as the JSON says; {_REMEDY}")
    records = pack_records(data.reshape(-1, channels, height, width), codes, scale)
    shapes = np.array([image_shape], np.uint16)
    return Records(records.reshape(-1), CURRENT_METADATA_BYTES, np.arange(num_parameters), shapes)


def write_pickle(path: Path, records: Records) -> None:
    """Write a split as a pickle in the predecessor's format (protocol 4); it is held in memory completely."""
    images, codes, scale = records.gather(np.arange(len(records)))
    labels = np.empty((len(codes), 1 + 2 * codes.shape[1]), np.uint8)
    labels[:, 0] = codes.shape[1]
    labels[:, 1::2] = np.arange(codes.shape[1])
    labels[:, 2::2] = codes
    channels, height, width = images.shape[1:]
    content = {
        "data": images.reshape(len(images), -1),
        "vimh_labels": labels.tolist(),
        "scale_factors": scale,
        "height": height,
        "width": width,
        "channels": channels,
        "image_size": images[0].size,
    }
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=4)
