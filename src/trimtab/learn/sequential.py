"""A planned readout with a fixed number of looks: O'Brien-Fleming boundaries. Only while the weight stays as it was.

O'Brien, Fleming, "A multiple testing procedure for clinical trials", Biometrics 35, 1979: at look k of K, equally spaced, reject
where |Z_k| >= C sqrt(K/k). On the scale of the sum S_k = sqrt(k) Z_k, a Brownian motion at times 1 to K under "no difference",
that is one constant C sqrt(K), and P(no crossing) follows from the recursion of Armitage, McPherson, Rowe, "Repeated
significance tests on accumulating data", JRSS A 132, 1969 (Jennison, Turnbull, "Group Sequential Methods", 2000, chapter 19):

    f_1 = phi,   f_k(s) = integral over |u| < C sqrt(K) of f_{k-1}(u) phi(s - u) du.

The integrals are Gauss-Legendre sums, exact to about 1e-12; nothing is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, inf, pi, sqrt

import numpy as np

from trimtab.core.errors import UsageError
from trimtab.learn import checks
from trimtab.learn.checks import Array

_MOST_LOOKS = 200


@dataclass(frozen=True, slots=True)
class OBrienFleming:
    """The plan. `z` and `nominal` hold, for each look, the least |z| that rejects and its two-sided fixed-sample level."""

    looks: int
    alpha: float
    constant: float

    @property
    def z(self) -> tuple[float, ...]:
        """C sqrt(K/k) for k = 1 to K."""
        return tuple(self.constant * sqrt(self.looks / look) for look in range(1, self.looks + 1))

    @property
    def nominal(self) -> tuple[float, ...]:
        """Two-sided normal tail beyond `z`: what an ordinary p-value must fall below at each look."""
        return tuple(erfc(z / sqrt(2.0)) for z in self.z)

    def crossed(self, look: int, z: float) -> bool:
        """Say whether to reject at `look` (from 1), given the z-statistic of all runs so far. Raises UsageError."""
        return abs(z) >= self.z[self._checked(look) - 1]

    def p_value(self, look: int, z: float) -> float:
        """Give the least alpha whose boundary `z` reaches at this look; over several looks the least of them is a p-value.

        (Liu, Anderson, "On adaptive extensions of group sequential trials", JASA 103, 2008: sequential p-values.)
        """
        look = self._checked(look)
        if z != z:  # noqa: PLR0124  nan
            raise UsageError(f"look {look}: z is {z!r}, expected a number")
        return _ever(self.looks, abs(z) * sqrt(look / self.looks))

    def _checked(self, look: int) -> int:
        if not 1 <= look <= self.looks:
            raise UsageError(f"look {look!r} of a plan with {self.looks} looks, expected 1 to {self.looks}")
        return look


def obrien_fleming(looks: int, alpha: float = 0.05) -> OBrienFleming:
    """Plan `looks` equally spaced two-sided looks that together reject a true "no difference" with probability `alpha`."""
    checks.level(alpha)
    if not 1 <= looks <= _MOST_LOOKS:
        raise UsageError(f"looks is {looks!r}, expected 1 to {_MOST_LOOKS}", hint="for more looks use the e-process")
    low, high = 0.0, 10.0
    while high - low > 1e-10:  # noqa: PLR2004  well below what anybody prints
        middle = (low + high) / 2
        low, high = (middle, high) if _ever(looks, middle) > alpha else (low, middle)
    return OBrienFleming(looks, alpha, (low + high) / 2)


def _ever(looks: int, constant: float) -> float:
    """P(|S_k| >= constant sqrt(K) at some look), summed look by look so that small probabilities keep their digits."""
    if constant <= 0.0:
        return 1.0
    if constant == inf:
        return 0.0
    edge = min(constant, 38.0) * sqrt(looks)
    node, weight = np.polynomial.legendre.leggauss(int(48 + 6 * min(edge, 8.0 * sqrt(looks))))
    keep = min(edge, 9.0 * sqrt(looks))  # beyond, the walk never is
    at, weights = node * keep, weight * keep
    density = _normal(at)
    step = _normal(at[:, None] - at[None, :]) * weights
    out = np.array([0.5 * (erfc((edge - s) / sqrt(2.0)) + erfc((edge + s) / sqrt(2.0))) for s in at.tolist()]) * weights
    ever = erfc(edge / sqrt(2.0))
    for _ in range(looks - 1):
        ever += float(density @ out)
        density = step @ density
    return min(ever, 1.0)


def _normal(x: Array) -> Array:
    return np.exp(-0.5 * x * x) / sqrt(2.0 * pi)
