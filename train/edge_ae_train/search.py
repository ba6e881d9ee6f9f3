"""Which families are trained, and how far: each as far as it may still win.

    cva, pca ─── whole ─────────────────────────────────────────────────────────────────────────────┐
    hybrid ─── its network by a quarter ─── whole, where it may find more than they do ─────────────┼─► what is compared
    cae, ae, dae, vae ─── a quarter of their steps ─── the best: whole, where it may lead by then ──┘

By the share of the injected faults that each finds: successive halving (Jamieson and Talwalkar, AISTATS 2016) that ends with the
first cut, for a network that is to lead shows it early; what it learns then restores rows better, and finds hardly more faults. A
quarter is trained for itself, for the learning rate falls to nothing within its steps: so few show what they are worth. Knows
families by their names alone, and nothing of what is in them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edge_ae_train import select
from edge_ae_train.blend import blended
from edge_ae_train.candidates import WHOLE, Candidate, train_candidate
from edge_ae_train.material import Material
from edge_ae_train.models.families import CONVOLUTION, HYBRID, LINEAR
from edge_ae_train.progress import SILENT, Reporter, in_parts
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


QUARTER = 1 / 4  # of a network's steps
EVERY = 4  # one in so many of the injected faults is looked for after a quarter
GROWTH = 0.05  # of the share found, by the other three: as much as any network has shown on random plants and simulated pumps
HYBRID_GROWTH = 0.005  # of the hybrid's, most of which its linear family finds already


@dataclass(frozen=True)
class Compared:
    """`contenders`: the families that were trained whole. `left_out`: the others, each with the reason."""

    contenders: Mapping[str, Contender]
    left_out: Mapping[str, str]


def compare(families: Sequence[str], material: Material, reporter: Reporter, *, halving: bool) -> Compared:
    """`families`: the linear ones first. `halving`: what cannot win is not trained whole."""
    race = Race(material)
    at_once = [family for family in families if family in LINEAR or not halving]
    others = [family for family in families if family not in at_once]
    *parts, rest = in_parts(reporter, [*(WORK[f] for f in at_once), sum(WORK[f] for f in others)])
    contenders = {family: race.whole(family, part) for family, part in zip(at_once, parts, strict=True)}
    left_out: dict[str, str] = {}
    # The hybrid first: where it leads, the others have more to reach.
    heats = [[HYBRID], [family for family in others if family != HYBRID]]
    for heat, part in zip(heats, in_parts(rest, [1.0] * len(heats)), strict=True):
        early, late = in_parts(part, [1.0, 1.0 / QUARTER])
        winner, out = _heat([family for family in heat if family in others], contenders, race, early)
        left_out |= out
        if winner is not None:
            contenders[winner] = race.whole(winner, late)
    if HYBRID in contenders and CONVOLUTION in left_out:  # it has been trained whole
        contenders[CONVOLUTION] = race.whole(CONVOLUTION, rest)
        del left_out[CONVOLUTION]
    return Compared({family: contenders[family] for family in families if family in contenders}, left_out)


def _heat(
    families: Sequence[str], contenders: Mapping[str, Contender], race: "Race", reporter: Reporter
) -> tuple[str | None, dict[str, str]]:
    """Who is trained whole, if any, and why each of the others is not."""
    leader = max(contenders, key=lambda family: contenders[family].found["all"])
    most = contenders[leader].found["all"]
    if not families or most + _needed(families[0])[0] > 1.0:
        return None, dict.fromkeys(families, f"not tried: {leader} finds {most:.0%}")
    parts = in_parts(reporter, [WORK[family] for family in families])
    shares = {family: race.early(family, part) for family, part in zip(families, parts, strict=True)}
    lead = race.share(contenders[leader])
    best = max(shares, key=lambda family: shares[family])
    ahead, growth = _needed(best)
    winner = best if shares[best] + growth >= lead + ahead else None
    reasons = {
        family: f"{share:.0%} after {QUARTER:.0%} of its training, {leader} {lead:.0%}"
        for family, share in shares.items()
    }
    return winner, {family: reason for family, reason in reasons.items() if family != winner}


def _needed(family: str) -> tuple[float, float]:
    """The lead with which a family ships, and the growth that may still bring it."""
    return (GAIN, HYBRID_GROWTH) if family == HYBRID else (TIE, GROWTH)


class Race:
    """Families, each trained once, whoever asks for it, and the faults that each is to find: planned once the first has said which
    blocks can be held out."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._trials: Trials | None = None
        self._trained: dict[tuple[str, float], Candidate] = {}
        self._whole: dict[str, Contender] = {}

    def whole(self, family: str, reporter: Reporter) -> Contender:
        """Trained whole, and tried on all faults."""
        if family not in self._whole:
            contender = self._judged(self._candidate(family, WHOLE, reporter))
            self._whole[family] = self._earned(contender) if family == HYBRID else contender
        return self._whole[family]

    def early(self, family: str, reporter: Reporter) -> float:
        """The share that it finds after a QUARTER of its training, of one in EVERY of the faults."""
        return self._judged(self._candidate(family, QUARTER, reporter), EVERY).found["all"]

    def share(self, contender: Contender) -> float:
        """The share that one which is trained whole finds of the same faults."""
        return self._judged(contender.candidate, EVERY).found["all"]

    def _candidate(self, family: str, steps: float, reporter: Reporter) -> Candidate:
        if (family, steps) not in self._trained:
            train = self._blended if family == HYBRID else self._network
            self._trained[family, steps] = train(family, steps, reporter)
        return self._trained[family, steps]

    def _network(self, family: str, steps: float, reporter: Reporter) -> Candidate:
        candidate = train_candidate(family, self._material, reporter.part(0.0, TRAINED), steps)
        reporter.step(f"{family}: looking for injected faults", TRAINED)
        return candidate

    def _blended(self, family: str, steps: float, reporter: Reporter) -> Candidate:
        """The better linear family with a network's share."""
        linear = self._linear(reporter)
        network = self._candidate(CONVOLUTION, steps, reporter)
        reporter.step(f"{family}: looking for injected faults", TRAINED)
        return blended(linear.candidate, network, self._material)

    def _linear(self, reporter: Reporter) -> Contender:
        found = {family: self.whole(family, reporter) for family in LINEAR}
        return found[select.best({family: one.found for family, one in found.items()})]

    def _earned(self, mixed: Contender) -> Contender:
        """The hybrid; its linear family by itself, where it finds more with the network by no more than chance."""
        linear = self._linear(SILENT)
        if mixed.found["all"] - linear.found["all"] > GAIN:
            return mixed
        return replace(linear, candidate=replace(linear.candidate, family=HYBRID))

    def _judged(self, candidate: Candidate, every: int = 1) -> Contender:
        if self._trials is None:
            one = self._material
            self._trials = select.plan(candidate, one.standardise, one.seed, one.judged)
        return select.tried(candidate, select.thinned(self._trials, every))
