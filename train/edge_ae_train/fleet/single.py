"""A job that draws: the report of one asset, as `edge-ae-train report` makes it, for the ranking to link to."""

from pathlib import Path
from tempfile import TemporaryDirectory

from edge_ae.model.onnx_model import OnnxModel
from edge_ae_train.data.recorded import Series
from edge_ae_train.fleet.jobs import FleetJob, Product, file_name
from edge_ae_train.fleet.judging import series_of
from edge_ae_train.fleet.work import JudgeOptions
from edge_ae_train.report.report import report_of


def single_job(job: FleetJob) -> Product:
    """The HTML file alone: it has its pictures in itself."""
    options: JudgeOptions = job.options
    model = OnnxModel.load(Path(options.model.path))
    (source,) = job.sources
    series = Series(source.asset, series_of(source, model.spec, options.columns))
    with TemporaryDirectory() as scratch:
        page = report_of(model, [series], Path(scratch), options.rules).read_bytes()
    name = f"{file_name(source.asset)}.html"
    return Product({"report": name}, {name: page})
