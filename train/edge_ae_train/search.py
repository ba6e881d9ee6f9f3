"""Which families are trained, and how far: each as far as it may still win.

    cva, pca ─── whole ────────────────────────────────────────────────────────────────────────┐
    networks ─── an eighth of their steps ─── the better half: a third ─── the best: whole ────┴─► what is compared
                           └─ out: what lags further behind the linear families than training makes up for

Successive halving (Jamieson and Talwalkar, AISTATS 2016) by the share of the injected faults that each finds. Each rung trains
anew, for the learning rate falls to nothing within its steps: so few steps show what they are worth. Knows families by their
names alone, and nothing of what is in them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_ae_train import select
from edge_ae_train.candidates import WHOLE, Effort, Material, train_candidate
from edge_ae_train.models.linear import LINEAR
from edge_ae_train.progress import Reporter, in_parts
from edge_ae_train.select import TIE, Contender, Trials

WORK = {"cva": 1.0, "pca": 1.0, "cae": 3.0, "ae": 1.5, "dae": 3.0, "vae": 3.5}  # of a family, beside the others
TRAINED = 0.8  # of a family's work; then faults are looked for


@dataclass(frozen=True, slots=True)
class Rung:
    """`every`: one in so many of the injected faults is looked for. `growth`: of the share found, by the training still to come:
    more than any family has shown on random plants and simulated pumps. `work`: beside whole training."""

    effort: Effort
    every: int
    growth: float
    work: float


RUNGS = (Rung(Effort(1 / 8, blocks=2), 4, 0.08, 0.15), Rung(Effort(1 / 3, blocks=2), 2, 0.05, 0.35))


@dataclass(frozen=True)
class Compared:
    """`contenders`: the families that were trained whole. `left_out`: the others, each with the reason."""

    contenders: Mapping[str, Contender]
    left_out: Mapping[str, str]


def compare(families: Sequence[str], material: Material, reporter: Reporter, *, halving: bool) -> Compared:
    """`families`: the linear ones first. `halving`: a network that cannot win is not trained whole."""
    race = Race(material)
    at_once = [family for family in families if family in LINEAR or not halving]
    networks = [family for family in families if family not in at_once]
    *parts, rest = in_parts(reporter, [*(WORK[f] for f in at_once), sum(WORK[f] for f in networks)])
    contenders = {family: race.run(family, part) for family, part in zip(at_once, parts, strict=True)}
    left_out: dict[str, str] = {}
    heats = in_parts(rest, [*(rung.work for rung in RUNGS), 1.0])
    for rung, part in zip(RUNGS, heats, strict=False):
        out = _out_after(rung, networks, contenders, race, part) if networks else {}
        networks = [family for family in networks if family not in out]
        left_out |= out
    last = next(heats)
    contenders |= {family: race.run(family, last) for family in networks}
    return Compared(contenders, left_out)


class Race:
    """Families, and the faults that each of them is to find: planned once the first has said which blocks can be held out."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._trials: Trials | None = None

    def run(self, family: str, reporter: Reporter, effort: Effort = WHOLE, every: int = 1) -> Contender:
        """`every`: one in so many of the faults is looked for."""
        candidate = train_candidate(family, self._material, reporter.part(0.0, TRAINED), effort)
        if self._trials is None:
            one = self._material
            self._trials = select.plan(candidate, one.standardise, one.seed, one.judged)
        reporter.step(f"{family}: looking for injected faults", TRAINED)
        return Contender(candidate, select.found(candidate, select.thinned(self._trials, every)))


def _out_after(
    rung: Rung, families: Sequence[str], whole: Mapping[str, Contender], race: Race, reporter: Reporter
) -> dict[str, str]:
    """Who is trained no further than this rung, and why. `whole`: those that were trained whole."""
    best = max(whole, key=lambda family: whole[family].found["all"])
    if whole[best].found["all"] + TIE > 1.0:
        return dict.fromkeys(families, f"not tried: {best} finds {whole[best].found['all']:.0%}")
    runners = (
        best,
        *families,
    )  # the best again, for with few rows a rung has fewer to calibrate on, and each finds less
    shares = {
        family: race.run(family, part, rung.effort, rung.every).found["all"]
        for family, part in zip(runners, in_parts(reporter, [WORK[family] for family in runners]), strict=True)
    }
    lead = shares.pop(best)
    going_on = sorted(shares, key=lambda family: -shares[family])[: (len(families) + 1) // 2]
    return {
        family: f"{share:.0%} after {rung.effort.steps:.0%} of its training, when {best} found {lead:.0%}"
        for family, share in shares.items()
        if share + rung.growth < lead + TIE or family not in going_on
    }
