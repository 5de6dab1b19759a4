"""The ends of a quantile confidence sequence, as ranks: exact, for any distribution, at all times at once.

Howard and Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification", Bernoulli
28(3), 2022, theorem 1: order statistics between which the quantile lies, from the beta-binomial mixture of the sub-Bernoulli
process. Of t values, let k be those at or below the q-quantile: each is so with probability at least q. If that probability is
q or more, then for a Beta(r q, r (1 - q)) prior cut to (0, q)

    E_t(k) = integral of (x/q)^k ((1-x)/(1-q))^(t-k) dprior(x)

is a supermartingale that starts at 1, so by Ville it stays below 2/alpha with probability 1 - alpha/2 (their proof and
Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 2021,
the one-sided beta-binomial mixture). The least k it allows is the rank of the lower end; the upper end mirrors it. Ties do no harm.
"""

from __future__ import annotations

from math import ceil, lgamma, log

from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from trimtab.core.errors import UsageError
from trimtab.learn.boundary import tuned


def ranks(count: int, q: float, alpha: float, planned: float) -> tuple[int, int]:
    """Give the ranks (from 1) of the ends among `count` sorted values; 0 and `count` + 1 where an end is still infinite."""
    if not 0.0 < q < 1.0:
        raise UsageError(f"quantile is {q!r}, expected a probability above 0 and below 1, such as 0.95")
    strength = max(1.0 / tuned(alpha, planned), 1.0)  # a prior worth so many values has the variance rho^2 q (1 - q)
    return _least(count, q, alpha, strength), count + 1 - _least(count, 1.0 - q, alpha, strength)


def _least(count: int, q: float, alpha: float, strength: float) -> int:
    """Fewest values below the quantile that E_t does not refute; E_t falls as they grow, so halve."""
    below, allowed = -1, ceil(q * count)
    while allowed - below > 1:
        middle = (allowed + below) // 2
        if _log_e(middle, count, q, strength) < log(2.0 / alpha):
            allowed = middle
        else:
            below = middle
    return allowed


def _log_e(below: int, count: int, q: float, strength: float) -> float:
    """Log of E_t: the incomplete Beta functions of posterior and prior up to q, over the likelihood under q."""
    a, b = strength * q, strength * (1.0 - q)
    after = a + below, b + count - below
    inside = float(special.betainc(*after, q)) / float(special.betainc(a, b, q))
    return log(inside) + _log_beta(*after) - _log_beta(a, b) - below * log(q) - (count - below) * log(1.0 - q)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
