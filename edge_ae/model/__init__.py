"""Model files: loaded, verified, scored. Imported before onnxruntime, so that it starts without its telemetry.

The newest wheels write a device id and a database below the home as soon as they are imported, keep a thread of their
own, and look up the vendor's name some seconds later. The variable is read at the import; it is the only switch that
keeps all three away.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
