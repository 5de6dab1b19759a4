"""How amounts are written and read: dollars with their cents, and with more digits where cents would hide them."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

_CENT = Decimal("0.01")
_NOTHING = Decimal("1e-9")
_AMOUNT = re.compile(r"(\d[\d_,]*(?:\.\d+)?|\.\d+)([kKmM]?)")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(,\d{3})+(?!\d)[^,]*")
MOST = Decimal(10) ** 15  # more of anything is a slip of the pen, and would leave the digits that sums are exact in
_SCALES = {"": 1, "k": 1000, "m": 1_000_000}
_PER_DAY = {
    "minute": Decimal(1440),
    "hour": Decimal(24),
    "day": Decimal(1),
    "week": 1 / Decimal(7),
    "month": 1 / Decimal(30),
}


def money(amount: Decimal, *, sign: bool = False) -> str:
    """Write dollars, as $1,234.50 or $0.125; with `sign`, +$30.00."""
    size, mark = abs(amount), "-" if amount < 0 else "+" if sign else ""
    if size > MOST:
        return f"{mark}${size:.3e}"
    cents = size.quantize(_CENT, ROUND_HALF_UP)
    if size >= 1 or cents == size:
        text = f"{cents:,.2f}"
    else:
        # Four digits that say something: 0.02889, 0.0005; as money, at least two behind the point.
        digits = max(2, 3 - size.adjusted())
        text = f"{size:.{digits}f}".rstrip("0")
        text += "0" * max(0, 2 - len(text.partition(".")[2]))
    return f"{mark}${text}"


def price(amount: Decimal) -> str:
    """Write a price with every digit it has, and its cents: $3.00, $0.125."""
    whole, _, rest = f"{amount.normalize():f}".partition(".")
    return f"${int(whole):,}.{rest.ljust(2, '0')}"


def count(amount: Decimal) -> str:
    """Write a number of calls or tokens; a mean with one digit behind the point."""
    # A third of a month's calls times three is whole but for the last digit that is kept.
    if abs(amount - amount.to_integral_value()) < _NOTHING:
        return f"{amount:,.0f}"
    return f"{amount:,.1f}" if abs(amount) >= 1 else f"{amount:.3g}"


def without_commas(text: str) -> str:
    """Take out the commas between thousands. Raises ValueError where they are no such: 1,5 is not meant as fifteen."""
    if "," in text and not _THOUSANDS.fullmatch(text):
        raise ValueError(f"{text!r}: a comma stands between thousands, a point before decimals")
    return text.replace(",", "")


def read_amount(text: str) -> Decimal:
    """Read 15000, 15,000, 15_000, 15k or 1.5M. Raises ValueError."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no amount")
    amount = Decimal(without_commas(found[1]).replace("_", "")) * _SCALES[found[2].lower()]
    if amount > MOST:
        raise ValueError(f"{text!r} is no amount of anything")
    return amount


def read_rate(text: str) -> Decimal:
    """Read calls as 1000, 1000/day, 1k/hour or 20000/month (of 30 days), and give them a day. Raises ValueError."""
    amount, slash, unit = text.strip().partition("/")
    per = unit.strip().lower().removesuffix("s") if slash else "day"
    if per not in _PER_DAY:
        raise ValueError(f"{unit!r} is none of {', '.join(_PER_DAY)}")
    return read_amount(amount) * _PER_DAY[per]
