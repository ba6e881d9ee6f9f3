"""`make vm`: edge-ae on a Debian with systemd in a virtual machine, from the first file to the last, and through power cuts.

    python -m tests.machines.vm [--only life|power] [--cuts 20] [--accelerator kvm]

Exit status 0: all as it should be; 1: something is not; 77: this machine cannot do it, and why. Emulated (TCG) a start takes a
minute; where the processor helps (KVM), seconds.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chaos.plant import plant
from tests.chaos.world import MODEL
from tests.machines import vm_root
from tests.machines.base_root import KEPT
from tests.machines.findings import Finding, clean_up_on_sigterm, closed, guarded
from tests.machines.vm_life import life
from tests.machines.vm_power import power

UNSAFE_CUTS = 2


def checks(options: argparse.Namespace) -> Iterator[Finding]:
    pump = plant(MODEL)
    KEPT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=KEPT, prefix="run-") as scratch:
        folder = Path(scratch)
        kit = vm_root.kit(folder, {"pump.onnx": pump.model})
        if "life" in options.only:
            yield from guarded(life(kit, folder, options.accelerator))
        if "power" in options.only:
            for number, (cache, cuts) in enumerate(shares(options.cuts)):
                place = folder / f"power-{number}"
                yield from guarded(power(kit, pump, place, options.accelerator, cache, cuts))


def shares(cuts: int) -> list[tuple[str, int]]:
    """Both caches that keep what is flushed take half each; the one that does not is only looked at."""
    parts = (("none", (cuts + 1) // 2), ("writethrough", cuts // 2), ("unsafe", min(cuts, UNSAFE_CUTS)))
    return [(cache, count) for cache, count in parts if count > 0]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.machines.vm", description="edge-ae in a virtual machine.")
    parser.add_argument("--only", nargs="*", default=["life", "power"], choices=["life", "power"])
    parser.add_argument("--cuts", type=int, default=20, help="power cuts amid alerts (%(default)s)")
    parser.add_argument("--accelerator", default="tcg", choices=["tcg", "kvm"])
    options = parser.parse_args()
    clean_up_on_sigterm()
    return closed("vm", vm_root.lacking(), lambda: checks(options))


if __name__ == "__main__":
    sys.exit(main())
