"""The bare loop that `tests.bench.fleet` compares with: read, fit and save, one asset after the other in one process.

python -m tests.bench.fleet_loop DATA OUT
"""

import sys
from pathlib import Path

from edge_ae_train import fit
from edge_ae_train.data import prepare
from edge_ae_train.data.loading import read_table
from edge_ae_train.export import Origin, save
from edge_ae_train.fleet.fitting import digest_of

from edge_ae.core.timestamps import rfc3339
from tests.bench.fleet import FAMILY, LENGTH


def main(data: Path, out: Path) -> None:
    out.mkdir()
    for path in sorted(data.glob("*.parquet")):
        table = read_table(path)
        recording = prepare.recording_of([table], prepare.RowOptions(length=LENGTH))
        fitted = fit.fit(recording.segments, fit.Options(FAMILY, LENGTH))
        origin = Origin(path.stem, rfc3339(int(table.t_ns[-1])), digest_of([table]))
        save(fitted, recording, origin, out / f"{path.stem}.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
