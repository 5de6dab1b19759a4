"""How the claim desk is tested: a scripted model, a still clock, a real store, no network, no key."""

from decimal import Decimal
from pathlib import Path

from claims import ClaimDesk, ClaimRequest, Desk, Files, Letters, Payout
from trimtab import Status
from trimtab.testing import ScriptedModel, StillClock, app_for_tests, uses

PLAN = [
    {"id": "claim", "specialist": "files", "action": "find_claim", "inputs": {"claim_id": "K-18"}},
    {
        "id": "money",
        "specialist": "payout",
        "action": "pay",
        "inputs": {"claim_id": "$claim.claim_id", "amount": "$claim.estimate"},
        "needs": ["claim"],
    },
]


async def test_a_large_payment_waits_for_a_person_however_long_it_takes(tmp_path: Path) -> None:
    desk, clock = Desk(tmp_path / "desk.db"), StillClock()
    models = ScriptedModel(
        [
            uses("plan", subtasks=PLAN),
            uses("find_claim", claim_id="K-18"),
            uses("pay", claim_id="K-18", amount="1900.00"),
        ]
    )
    async with app_for_tests(ClaimDesk([Files(), Payout(desk), Letters(desk)]), models=models, clock=clock) as app:
        run = await app.start(ClaimDesk, ClaimRequest("pay claim K-18"))
        assert (await run.settled()).status is Status.AWAITING_APPROVAL
        clock.advance(days=20)
        assert desk.read("SELECT * FROM payments") == []
        await run.decide(approved=True, by="olga")
        assert (await run.result()).paid == Decimal(1900)
    assert len(desk.read("SELECT * FROM payments")) == 1
