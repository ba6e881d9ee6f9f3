"""Which families are trained, and how far: each as far as it may still win.

    cva, pca, cae, and hybrid of them ─── whole ────────────────────────────────────────────────┐
    ae, dae, vae ─── an eighth of their steps ─── the better half: a third ─── the best: whole ─┴─► what is compared
                          └─ out: what lags further behind the leader than training makes up for

Successive halving (Jamieson and Talwalkar, AISTATS 2016) by the share of the injected faults that each finds. Each rung trains
anew, for the learning rate falls to nothing within its steps: so few steps show what they are worth. Knows families by their
names alone, and nothing of what is in them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edge_ae_train import select
from edge_ae_train.blend import blended
from edge_ae_train.candidates import WHOLE, Candidate, Effort, train_candidate
from edge_ae_train.material import Material
from edge_ae_train.models.families import CONVOLUTION, HYBRID, LINEAR
from edge_ae_train.progress import Reporter, in_parts
from edge_ae_train.select import GAIN, TIE, Contender, Trials

WORK = {
    "cva": 1.0,
    "pca": 1.0,
    "hybrid": 1.0,
    "cae": 3.0,
    "ae": 1.5,
    "dae": 3.0,
    "vae": 3.5,
}  # of a family, beside the others
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
    at_once = [family for family in families if family in (*LINEAR, HYBRID, CONVOLUTION) or not halving]
    networks = [family for family in families if family not in at_once]
    *parts, rest = in_parts(reporter, [*(WORK[f] for f in at_once), sum(WORK[f] for f in networks)])
    contenders = {family: race.whole(family, part) for family, part in zip(at_once, parts, strict=True)}
    left_out: dict[str, str] = {}
    heats = in_parts(rest, [*(rung.work for rung in RUNGS), 1.0])
    for rung, part in zip(RUNGS, heats, strict=False):
        out = _out_after(rung, networks, contenders, race, part) if networks else {}
        networks = [family for family in networks if family not in out]
        left_out |= out
    last = next(heats)
    contenders |= {family: race.whole(family, last) for family in networks}
    return Compared(contenders, left_out)


class Race:
    """Families, and the faults that each of them is to find: planned once the first has said which blocks can be held out."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._trials: Trials | None = None
        self._whole: dict[str, Contender] = {}

    def whole(self, family: str, reporter: Reporter) -> Contender:
        """Trained once, whoever asks for it."""
        if family not in self._whole:
            self._whole[family] = self._hybrid(reporter) if family == HYBRID else self.run(family, reporter)
        return self._whole[family]

    def run(self, family: str, reporter: Reporter, effort: Effort = WHOLE, every: int = 1) -> Contender:
        """`every`: one in so many of the faults is looked for."""
        candidate = train_candidate(family, self._material, reporter.part(0.0, TRAINED), effort)
        reporter.step(f"{family}: looking for injected faults", TRAINED)
        return self._judged(candidate, every)

    def _judged(self, candidate: Candidate, every: int = 1) -> Contender:
        if self._trials is None:
            one = self._material
            self._trials = select.plan(candidate, one.standardise, one.seed, one.judged)
        return select.tried(candidate, select.thinned(self._trials, every))

    def _hybrid(self, reporter: Reporter) -> Contender:
        """The better linear family with a network's share; by itself, where it finds more with it by no more than chance."""
        *parts, last = in_parts(reporter, [WORK[family] for family in (*LINEAR, CONVOLUTION, HYBRID)])
        found = {family: self.whole(family, part) for family, part in zip((*LINEAR, CONVOLUTION), parts, strict=True)}
        linear = found[select.best({family: found[family].found for family in LINEAR})]
        last.step(f"{HYBRID}: looking for injected faults")
        mixed = self._judged(blended(linear.candidate, found[CONVOLUTION].candidate, self._material))
        if mixed.found["all"] - linear.found["all"] > GAIN:
            return mixed
        return replace(linear, candidate=replace(linear.candidate, family=HYBRID))


def _out_after(
    rung: Rung, families: Sequence[str], whole: Mapping[str, Contender], race: Race, reporter: Reporter
) -> dict[str, str]:
    """Who is trained no further than this rung, and why. `whole`: those that were trained whole."""
    found = {family: one.found["all"] for family, one in whole.items()}
    linear = max(LINEAR, key=lambda family: found[family])
    best = max(found, key=lambda family: found[family])
    if found[best] + TIE > 1.0:
        return dict.fromkeys(families, f"not tried: {best} finds {found[best]:.0%}")
    runners = (linear, *families)  # a linear one again, for with few rows a rung calibrates on fewer, and all find less
    shares = {
        family: race.run(family, part, rung.effort, rung.every).found["all"]
        for family, part in zip(runners, in_parts(reporter, [WORK[family] for family in runners]), strict=True)
    }
    lead = shares.pop(linear) + found[best] - found[linear]
    going_on = sorted(shares, key=lambda family: -shares[family])[: (len(families) + 1) // 2]
    return {
        family: f"{share:.0%} after {rung.effort.steps:.0%} of its training, {best} {lead:.0%}"
        for family, share in shares.items()
        if share + rung.growth < lead + TIE or family not in going_on
    }
