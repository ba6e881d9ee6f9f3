"""Follows the links of the folders of models: a new one runs beside the one in use, is compared with it, and takes its place.

    shadow -> S         S runs beside the model in use for `shadow_ns`; the difference in alerts is told; where there is none, and `promotes`
                        is set, it is put to use; one that was made on this machine, unless it raised more alerts: that is turned away
    current -> C        C is put to use once it is warm, so that no window is lost; what was in use runs beside it for as long, and is back
                        at once when the links say so, or when C fails

A folder's links are the one place where wishes are kept: commands over MQTT and `edge-ae model` come down to them. A restart goes on with the
model that was in use, and then follows them. A model
that cannot be loaded or does not score is refused in one sentence, and the links are set back where we may write them.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_ae.core.alert_events import Outcome
from edge_ae.core.shadow import SideBySide
from edge_ae.daemon.ingest import Feed, Ingest
from edge_ae.errors import BadModel, ModelFails
from edge_ae.model.followed_folder import FollowedFolder, Role
from edge_ae.model.registry import require_like

log = logging.getLogger(__name__)

WARM_UPS = 2
"""What is waited for a model that is wanted in use, in windows' lengths: an asset that has sent no row by then has none to lose."""


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """`shadow_ns`: the time of windows that a model is judged by before it is believed. `promotes`: it is put to use then, where
    both have raised the same alerts; else a person decides."""

    shadow_ns: int
    promotes: bool = False


class ModelRollout:
    """Of the folders that the feeds of `ingest` have their models from."""

    def __init__(self, ingest: Ingest, options: RolloutOptions) -> None:
        self._ingest = ingest
        self._options = options
        self._wanted_ns: dict[str, int] = {}  # folder -> since when a model that is not warm is wanted in use

    # -- windows -----------------------------------------------------------------------------------------------

    @property
    def due(self) -> int:
        """How many windows `step` would score, and assets of which it would look at more than these."""
        return self._ingest.fleet.due + self._ingest.shadows.fleet.due

    def step(self) -> list[Outcome]:
        """Score and judge what is due, and give what came of it with the models in use."""
        outcomes = self._step_in_use()
        self._step_beside(outcomes)
        return outcomes

    def _step_in_use(self) -> list[Outcome]:
        while True:
            try:
                return self._ingest.fleet.step()
            except ModelFails as fault:
                self._fall_back(fault)

    def _step_beside(self, outcomes: Iterable[Outcome]) -> None:
        while True:
            try:
                self._ingest.shadows.step(outcomes)
                return
            except ModelFails as fault:
                outcomes = ()  # they are counted
                self._give_up(fault)

    def _fall_back(self, fault: ModelFails) -> None:
        """Judge what is due with the model that was in use before. Without one there is nothing to fall back to."""
        failing = [folder for folder in self.folders() if folder.running == fault.sha256 and folder.role is Role.FORMER]
        if not any(folder.beside is not None for folder in failing):
            raise fault
        for folder in failing:
            self._exchange(folder, self.assets_of(folder))
            self._refuse(folder, fault.sha256, str(fault))

    def _give_up(self, fault: ModelFails) -> None:
        failing = [folder for folder in self.folders() if folder.beside_sha256 == fault.sha256]
        if not failing:
            raise fault
        for folder in failing:
            self._refuse(folder, fault.sha256, str(fault))

    # -- the links ---------------------------------------------------------------------------------------------

    def folders(self) -> list[FollowedFolder]:
        """Each once, also those whose assets are yet to come."""
        every = (folder for feed in self._ingest.feeds for folder in feed.watches.folders)
        return list({id(folder): folder for folder in every}.values())

    def look(self, now_ns: int) -> bool:
        """Follow what the links say now; no window may be due. True: a model has come or gone, so that a checkpoint is due."""
        before = [(one.running, one.beside_sha256) for one in self.folders()]
        for folder, assets in self._with_assets():
            self._follow(folder, assets, now_ns)
        return before != [(one.running, one.beside_sha256) for one in self.folders()]

    def _follow(self, folder: FollowedFolder, assets: Sequence[str], now_ns: int) -> None:
        current, _, shadow = folder.registry.links()
        folder.refused = {sha256: why for sha256, why in folder.refused.items() if sha256 in (current, shadow)}
        if current is not None and current != folder.running and current not in folder.refused:
            self._want(folder, assets, current, now_ns)
        else:
            self._wanted_ns.pop(folder.name, None)
            self._follow_beside(folder, assets, None if shadow in folder.refused else shadow)
        self._cover(folder, assets)

    def _want(self, folder: FollowedFolder, assets: Sequence[str], sha256: str, now_ns: int) -> None:
        if folder.beside_sha256 != sha256 and not self._begin(folder, assets, sha256, Role.NEXT):
            return
        self._cover(folder, assets)
        since_ns = self._wanted_ns.setdefault(folder.name, now_ns)
        if self._is_warm(assets) or now_ns - since_ns >= _patience_ns(folder):
            del self._wanted_ns[folder.name]
            self._exchange(folder, assets)
            log.info("%s: model %s is in use", folder.name, sha256[:12])

    def _follow_beside(self, folder: FollowedFolder, assets: Sequence[str], shadow: str | None) -> None:
        if shadow is not None and (folder.beside_sha256, folder.role) != (shadow, Role.SHADOW):
            self._begin(folder, assets, shadow, Role.SHADOW)
        elif folder.beside is None:
            return
        elif shadow is None and folder.role is not Role.FORMER:
            self._end(folder, assets)
        elif self.compared(assets).judged_ns >= self._options.shadow_ns:
            self._conclude(folder, assets)

    def _conclude(self, folder: FollowedFolder, assets: Sequence[str]) -> None:
        """The one beside has been judged by for as long as was wanted."""
        assert folder.beside is not None
        sha256, found = folder.beside.spec.sha256, self.compared(assets)
        if folder.role is Role.FORMER:
            log.info("%s: model %s runs beside no more: %s", folder.name, sha256[:12], found.text("before", "now"))
            self._end(folder, assets)
        elif not folder.is_told:
            folder.is_told = True
            log.info("%s: model %s: %s", folder.name, sha256[:12], found.text("new", "current"))
            if folder.promotes and found.is_louder:
                self._refuse(folder, sha256, f"model {sha256[:12]}: {found.text('new', 'current')}")
            elif folder.promotes or (self._options.promotes and found.agree):
                self._promote(folder, sha256)

    def _promote(self, folder: FollowedFolder, sha256: str) -> None:
        try:
            folder.registry.promote(sha256, folder.verify)
        except BadModel as fault:
            self._refuse(folder, sha256, str(fault))

    # -- models that come and go -------------------------------------------------------------------------------

    def _begin(self, folder: FollowedFolder, assets: Sequence[str], sha256: str, role: Role) -> bool:
        """Run a model beside. False: it is refused."""
        registry = folder.registry
        try:
            model = folder.load(registry.path_of(sha256))
            require_like(folder.current.spec, model.spec, registry.path_of(sha256), registry.folder)
        except BadModel as fault:
            self._refuse(folder, sha256, str(fault))
            return False
        self._end(folder, assets)
        folder.begin(model, role)
        log.info("%s: model %s runs beside %s", folder.name, sha256[:12], folder.running[:12])
        return True

    def _end(self, folder: FollowedFolder, assets: Sequence[str]) -> None:
        folder.end()
        for asset in assets:
            if asset in self._ingest.shadows.fleet.detectors:
                self._ingest.shadows.end(asset)
                self._ingest.touched.add(asset)
        self.doubt()

    def _cover(self, folder: FollowedFolder, assets: Sequence[str]) -> None:
        """Assets that have come since are watched beside, too."""
        if folder.beside is None:
            return
        shadows, detectors = self._ingest.shadows, self._ingest.fleet.detectors
        for asset in assets:
            watch = self._ingest.watches_of(asset).beside_of(asset)
            if watch is not None and asset not in shadows.fleet.detectors:
                shadows.begin(detectors[asset], watch)
                self._ingest.touched.add(asset)

    def _exchange(self, folder: FollowedFolder, assets: Sequence[str]) -> None:
        self._cover(folder, assets)
        folder.exchange()
        self._ingest.shadows.exchange(assets, self._ingest.fleet)
        self._ingest.touched.update(assets)
        self.doubt()

    def doubt(self) -> None:
        """A model in use is on probation while there is one to go back to at once; called anew for each new fleet."""
        doubted = [one.running for one in self.folders() if one.beside is not None and one.role is Role.FORMER]
        self._ingest.fleet.on_probation = frozenset(doubted)

    def _refuse(self, folder: FollowedFolder, sha256: str, why: str) -> None:
        """Do without a model that a link names, and set the link back."""
        folder.refused[sha256] = folder.note = f"{why}; model {folder.running[:12]} is in use"
        log.error("%s: %s", folder.name, folder.note)
        if folder.beside_sha256 == sha256:
            self._end(folder, self.assets_of(folder))
        try:
            folder.registry.set_back(sha256, folder.running)
        except BadModel as fault:
            log.warning("the links of the folder stay as they are: %s", fault)

    # -- what is known of them ---------------------------------------------------------------------------------

    def _with_assets(self) -> Iterator[tuple[FollowedFolder, list[str]]]:
        """The folders, and the assets that are watched with a model of each."""
        grouped: dict[int, list[str]] = {id(folder): [] for folder in self.folders()}
        for asset in self._ingest.fleet.detectors:
            folder = self._ingest.watches_of(asset).folder_of(asset)
            if folder is not None:
                grouped[id(folder)].append(asset)
        return ((folder, grouped[id(folder)]) for folder in self.folders())

    def assets_of(self, folder: FollowedFolder) -> list[str]:
        """Those that are watched with a model of the folder."""
        return next(assets for one, assets in self._with_assets() if one is folder)

    def compared(self, assets: Sequence[str]) -> SideBySide:
        """What the models in use and those beside them have raised."""
        return self._ingest.shadows.compared(assets)

    def _is_warm(self, assets: Sequence[str]) -> bool:
        beside, detectors = self._ingest.shadows.fleet.detectors, self._ingest.fleet.detectors
        return all(beside[asset].is_warm or not detectors[asset].is_warm for asset in assets)

    # -- restarts ----------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        return {
            folder.name: {
                "running": folder.running,
                "beside": folder.beside_sha256,
                "told": folder.is_told,
                "note": folder.note,
            }
            for folder in self.folders()
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """After a restart: go on with the models that were in use, whatever the links have come to say meanwhile, so that an alert that was
        told before the state was kept is the same one again; then the links are followed. What cannot be loaded is gone on without."""
        for folder in self.folders():
            running = state.get(folder.name, {}).get("running")
            if running in (None, folder.running):
                continue
            try:
                folder.current = folder.load(folder.registry.path_of(running))
            except BadModel as fault:
                log.warning("%s: %s; model %s is in use", folder.name, fault, folder.running[:12])
        self.restore(self._ingest.feeds, state)

    def restore(self, feeds: Iterable[Feed], state: Mapping[str, Any]) -> None:
        """Load what ran beside, before assets are taken up by these feeds; what cannot be loaded is gone on without."""
        for folder in {id(one): one for feed in feeds for one in feed.watches.folders}.values():
            known = state.get(folder.name, {})
            folder.note = known.get("note") if folder.note is None else folder.note
            current, previous, shadow = folder.registry.links()
            ran_beside = known.get("beside") is not None or known.get("running") == previous
            sha256, role = (shadow, Role.SHADOW) if shadow is not None else (previous, Role.FORMER)
            if current not in (None, folder.running):
                sha256, role = current, Role.NEXT
            if sha256 in (None, folder.running) or (role is Role.FORMER and not ran_beside):
                continue
            self._load_beside(folder, sha256, role)
            folder.is_told = known.get("told") is True and known.get("beside") == sha256

    def _load_beside(self, folder: FollowedFolder, sha256: str, role: Role) -> None:
        try:
            folder.begin(folder.load(folder.registry.path_of(sha256)), role)
        except BadModel as fault:
            log.error("%s: %s; nothing runs beside the model in use", folder.name, fault)


def _patience_ns(folder: FollowedFolder) -> int:
    assert folder.beside is not None
    spec = folder.beside.spec
    return WARM_UPS * (spec.length + spec.hop) * spec.period_ns
