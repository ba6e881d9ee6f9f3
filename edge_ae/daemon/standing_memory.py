"""Keeps the garbage collector from looking through what is there to stay.

A full collection looks at every object: modules, settings, assets. It holds up the loop for a tenth of a second or more, and finds
nothing. What is alive once the daemon is ready is set aside (`gc.freeze`), and again each time the assets have doubled.
"""

import gc


class StandingMemory:
    """One process's. Reference counts free most of what goes, set aside or not; cycles among it wait for `renew`."""

    def __init__(self) -> None:
        self._assets: int | None = None  # As many there were when it was set aside.

    def tick(self, assets: int) -> None:
        """Set aside what is there, where that is due."""
        if self._assets is None or assets > 2 * self._assets:
            self._assets = assets
            gc.unfreeze()
            gc.collect()
            gc.freeze()

    def renew(self) -> None:
        """Other models or settings have taken the place of those that were there: the next tick collects what is left of these."""
        self._assets = None
