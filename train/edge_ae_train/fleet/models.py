"""A folder of models -> which model an asset has: what `fleet fit` wrote, or model files that anybody put together.

`classes.csv` says which; an asset that it does not name has the file that is called as it is. One file is the model of all.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from edge_ae.errors import BadData
from edge_ae_train.fleet import classes
from edge_ae_train.fleet.classes import Grouping
from edge_ae_train.fleet.jobs import file_name
from edge_ae_train.fleet.sources import AssetSource

DEVICES = ("device", "asset")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """`key`: the asset or class that it is of."""

    key: str
    path: str
    sha256: str


@dataclass(frozen=True)
class ModelFolder:
    """`classes`: of assets, where the folder says so."""

    path: Path
    classes: Mapping[str, str]

    def model_of(self, asset: str) -> ModelFile | None:
        """None: there is none."""
        key = self.classes.get(asset, asset)
        path = self.path if self.path.is_file() else self._file_of(key)
        if not path.is_file():
            return None
        key = path.stem if self.path.is_file() else key
        return ModelFile(key, str(path.absolute()), hashlib.sha256(path.read_bytes()).hexdigest())

    def _file_of(self, key: str) -> Path:
        """As fleet commands write its name, or as a person does who copies `Pumpe Süd.onnx` there."""
        written, plain = (self.path / f"{name}.onnx" for name in (file_name(key), key))
        is_name = "/" not in key and "\0" not in key
        return plain if is_name and not written.exists() and plain.is_file() else written

    @property
    def keys(self) -> list[str]:
        """Of the model files in the folder."""
        return [unquote(path.stem) for path in sorted(self.path.glob("*.onnx"))]


def model_folder(path: Path) -> ModelFolder:
    """BadData where there is no such folder or file."""
    if not path.exists():
        raise BadData(f"{path}: is not there; name the folder that fleet fit wrote, or a model file")
    listed = path / classes.FILE
    return ModelFolder(path, classes.read(listed) if listed.is_file() else {})


def with_models(folder: ModelFolder, found: Sequence[AssetSource]) -> tuple[dict[str, ModelFile], dict[str, str]]:
    """The model of each asset, and why others have none."""
    models, faults = {}, {}
    for source in found:
        model = folder.model_of(source.asset)
        if model is None:
            faults[source.asset] = f"{folder.path}: holds no model for it"
        else:
            models[source.asset] = model
    return models, faults


def by_model(folder: ModelFolder, found: Sequence[AssetSource]) -> tuple[Grouping, dict[str, ModelFile]]:
    """The assets of each model, and the models by their keys."""
    models, faults = with_models(folder, found)
    members: dict[str, list[AssetSource]] = {}
    for source in found:
        if (model := models.get(source.asset)) is not None:
            members.setdefault(model.key, []).append(source)
    return Grouping({key: tuple(sources) for key, sources in members.items()}, faults), {
        model.key: model for model in models.values()
    }


def devices_of(folder: ModelFolder, listed: Path | None) -> dict[str, ModelFile]:
    """The model of each device: `listed` is a CSV of device and asset or class; None: a device for each asset of the folder.
    BadData where a device has none."""
    if listed is None and folder.path.is_file():
        raise BadData(f"{folder.path}: is one model for all; say with --devices which devices there are")
    known = folder.classes or folder.keys
    asked = {asset: asset for asset in known} if listed is None else classes.read(listed, DEVICES)
    models = {device: folder.model_of(asset) for device, asset in asked.items()}
    if lacking := [device for device, model in models.items() if model is None]:
        raise BadData(f"{folder.path}: holds no model for {len(lacking)} devices, such as {lacking[0]}")
    if not models:
        raise BadData(f"{folder.path}: holds no models" if listed is None else f"{listed}: names no device")
    return {device: model for device, model in models.items() if model is not None}
