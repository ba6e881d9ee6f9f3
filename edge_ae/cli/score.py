"""`edge-ae score`: a recording through the daemon's own pipeline."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge_ae.cli.options import alert_rules, data_options, read_options, rules_options, spare, stem
from edge_ae.cli.progress import progress

WHAT = "score a recording with the daemon's own pipeline"
EXAMPLE = "edge-ae score --model pump.onnx --data week.csv --out scores.csv"


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="ONNX", help="the model file")
    data_options(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="CSV", help="one line for each line of the recording"
    )
    parser.add_argument("--explain", action="store_true", help="add score_<channel> columns")
    parser.add_argument("--events", type=Path, metavar="JSONL", help="write the alerts too, one JSON object a line")
    parser.add_argument("--reconstruction", type=Path, metavar="CSV", help="write what the model expected, too")
    rules_options(parser)
    parser.add_argument(
        "--node", default="offline", help="the node in the alerts, part of their ids (default: %(default)s)"
    )
    parser.add_argument(
        "--asset", help="the asset to score, in the alerts part of their ids (default: the recording's name)"
    )


def execute(options: Namespace) -> int:
    from edge_ae.core.detector import Watch
    from edge_ae.model.onnx_model import OnnxModel
    from edge_ae.offline import Outputs, score_table, write_outputs
    from edge_ae.store.recording.table import BACKWARDS, newest_first, one_asset, take
    from edge_ae.store.recordings import read_recording

    rules = alert_rules(options)
    spare((options.model, options.data), (options.out, options.events, options.reconstruction))
    outputs = Outputs(options.out, options.explain, options.events, options.reconstruction)
    model = OnnxModel.load(options.model)
    with progress("bytes") as draw:
        table = one_asset(read_recording(options.data, read_options(options), draw), options.asset)
    for note in table.notes:
        print(note, file=sys.stderr)
    is_turned = newest_first(table)
    with progress("lines") as draw:
        result = score_table(
            take(table, BACKWARDS) if is_turned else table,
            model,
            Watch(model, rules),
            node=options.node,
            asset=options.asset or stem(options.data),
            explained=outputs.explained,
            progress=draw,
        )
    result = result.turned() if is_turned else result
    write_outputs(outputs, table, result, model.spec)
    if text := result.unused(options.data):
        print(text, file=sys.stderr)
    return 0 if result.scored > 0 else 1
