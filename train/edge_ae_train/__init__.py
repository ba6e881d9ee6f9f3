"""The workstation side: train, compare, calibrate, export."""

import edge_ae.model  # noqa: F401  # before anything here imports onnxruntime, whose telemetry it keeps off
