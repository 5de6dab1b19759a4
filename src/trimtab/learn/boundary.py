"""The boundary of an asymptotic confidence sequence: how far the interval reaches after t runs, for all t at once.

Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals
of Statistics 52(6), 2024 (arXiv 2103.06476; equation numbers are of its version 7). Theorem 2.2, equation 9: with the running
mean m_t and standard deviation s_t of the scores of t runs,

    m_t +- s_t * sqrt( 2 (t rho^2 + 1) / (t^2 rho^2) * log( sqrt(t rho^2 + 1) / alpha ) )

covers the mean at all t at once with probability 1 - alpha, once t is large. Equation 161 sets the t at which it is tightest:
rho^2 = (-2 log alpha + log(1 - 2 log alpha)) / t.
"""

from __future__ import annotations

from math import log

import numpy as np

from trimtab.learn import checks
from trimtab.learn.checks import Array


def tuned(alpha: float, planned: float) -> float:
    """Give the rho^2 that makes the sequence tightest at `planned` runs (equation 161, two-sided). Raises UsageError."""
    needed = -2.0 * log(checks.level(alpha))
    return (needed + log(needed + 1.0)) / checks.planned_runs(planned)


def boundary(runs: Array, alpha: float, planned: float) -> Array:
    """Standard deviations of a score that the interval reaches on either side after `runs` (theorem 2.2)."""
    rho2 = tuned(alpha, planned)
    inflated = runs * rho2 + 1.0
    return np.sqrt(2.0 * inflated * (0.5 * np.log(inflated) - log(alpha)) / rho2) / runs
