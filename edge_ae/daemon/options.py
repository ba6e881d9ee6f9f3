"""What the owner decides about a daemon, as plain values: the one place for its defaults."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """`node`, `base`: all topics of the daemon begin with `base/node`.

    `checkpoint_s`: how old a checkpoint may become; 0: no state is kept, and input is acknowledged at once.
    `receive_maximum`: messages that may wait for acknowledgement.
    `score_interval_s`: one score an asset in this time; `denoised`: with it, the newest row as the model restores it.
    `stats_interval_s`: how often `stats` is published.
    `resend_s`: a broker that lost its memory gets the events of so long again.
    `flood_limit`, `flood_window_s`: more new alerts than these in this time are one; 0: there is no limit.
    `max_assets`: no more are watched.
    `shadow_s`: the time of windows that a new model is judged by; `promotes`: it is put to use then, where both raised the same alerts.
    `install`: of models over MQTT; `signed` ones, `any`, or `never`.
    """

    node: str
    base: str = "edge-ae"
    checkpoint_s: float = 180.0
    receive_maximum: int = 65_535
    score_interval_s: float = 1.0
    denoised: bool = False
    stats_interval_s: float = 60.0
    resend_s: float = 3600.0
    flood_limit: int = 10
    flood_window_s: float = 600.0
    max_assets: int = 1_000
    shadow_s: float = 86_400.0
    promotes: bool = False
    install: Literal["signed", "any", "never"] = "signed"

    @property
    def prefix(self) -> str:
        """What all topics of the daemon begin with, without a `/` behind it."""
        return f"{self.base}/{self.node}"
