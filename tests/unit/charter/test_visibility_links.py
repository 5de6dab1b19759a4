"""Secret links pass the scan for amounts and keys, whatever chance makes of them."""

from __future__ import annotations

from decimal import Decimal

from charter import addresses, visibility


def test_no_secret_link_is_taken_for_an_amount_or_a_key():
    figures = [Decimal(n) for n in range(1, 1000)]
    links = [addresses.waiver_link("acme", addresses.secret()) for _ in range(2000)]
    assert not visibility.figure_in(links, figures)
    assert not visibility.credential_in(links)


def test_an_amount_beside_letters_is_still_seen():
    for text in ("they pay 840 for it", "EUR840", "840USD", "840.75", "1,120.00"):
        assert visibility.figure_in([text], [Decimal(840), Decimal("840.75"), Decimal(1120)])
