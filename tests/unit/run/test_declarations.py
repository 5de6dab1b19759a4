"""What is declared wrongly is refused when it is declared or composed, never in a run."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import Field
from tests.integration.booking import Booking, Pricing, World, booking

from trimtab import App, Done, Failed, Handoff, Rejected, Retry, Specialist, Step, Workflow, tool
from trimtab.core.errors import DeclarationError, RequestError
from trimtab.policy.load import parse
from trimtab.run.signature import fields_of, success_type
from trimtab.run.tool import Tool, over

POLICY = parse('[roles]\ndefault = "anthropic:x"\n', "testing")


class Sum(Workflow[str, Any], name="sum"):
    """You add."""

    def conclude(self, request: str, results: Any) -> Any:
        return None


def compose(kind: type[Specialist[Any]]) -> App:
    return App(Sum([kind()]), policy=POLICY)


def test_a_tool_needs_a_docstring():
    with pytest.raises(DeclarationError, match="tool 'add' has no docstring") as told:

        @tool("read")
        async def add(self: Any, step: Step) -> int:
            return 1

    assert "what the model reads" in told.value.hint


def test_a_tool_takes_a_step_and_then_arguments_by_name():
    async def no_step(self: Any) -> int:
        """Add."""
        return 1

    async def starred(self: Any, step: Step, *numbers: int) -> int:
        """Add."""
        return 1

    async def double_starred(self: Any, step: Step, **numbers: int) -> int:
        """Add."""
        return 1

    async def by_place(self: Any, step: Step, number: int, /) -> int:
        """Add."""
        return 1

    for function in (no_step, starred, double_starred, by_place):
        with pytest.raises(DeclarationError, match=f"tool '{function.__name__}' must take self, a step"):
            tool("read")(function)


def test_a_reversible_tool_needs_a_compensation():
    with pytest.raises(DeclarationError, match=r"adder.add is reversible and has no compensation") as told:

        class Adder(Specialist, role="adder"):
            """You add."""

            @tool("reversible")
            async def add(self, step: Step) -> int:
                """Add."""
                return 1

    assert "@add.compensate" in told.value.hint


class Unknown:
    pass


@pytest.mark.parametrize("annotation", [Unknown, "Nowhere", "int |", object()])
def test_an_annotation_that_json_cannot_carry_is_refused_when_the_app_is_composed(annotation):
    async def add(self: Any, step: Step, number: Any) -> int:
        """Add."""
        return 1

    add.__annotations__["number"] = annotation

    class Adder(Specialist, role="adder"):
        """You add."""

    Adder.tools = {"add": tool("read")(add)}
    with pytest.raises(DeclarationError, match="tool 'add': its annotations cannot be used"):
        compose(Adder)


def test_a_parameter_without_an_annotation_is_refused_by_name():
    class Adder(Specialist, role="adder"):
        """You add."""

        @tool("read")
        async def add(self, step: Step, number, other: int) -> int:
            """Add."""
            return 1

    with pytest.raises(
        DeclarationError, match="tool 'add': its annotations cannot be used: 'number' has no annotation"
    ):
        compose(Adder)


def test_a_result_that_json_cannot_carry_is_refused_when_the_app_is_composed():
    class Adder(Specialist, role="adder"):
        """You add."""

        @tool("read")
        async def add(self, step: Step) -> Unknown:
            """Add."""
            return Unknown()

    with pytest.raises(DeclarationError, match="tool 'add': its annotations cannot be used"):
        compose(Adder)


def test_requests_results_and_answers_are_types_that_json_can_carry():
    with pytest.raises(DeclarationError, match=r"Adding: .*Unknown.* cannot be used"):

        class Adding(Workflow[Unknown, Any], name="adding"):
            """You add."""

    with pytest.raises(DeclarationError, match=r"Adder: .*Unknown.* cannot be used"):

        class Adder(Specialist[Unknown], role="adder"):
            """You add."""


def test_two_tools_of_one_name_are_refused():
    with pytest.raises(DeclarationError, match="adder has two tools named 'add'"):

        class Adder(Specialist, role="adder"):
            """You add."""

            @tool("read")
            async def add(self, step: Step) -> int:
                """Add."""
                return 1

            @tool("read", name="add")
            async def sum_up(self, step: Step) -> int:
                """Add."""
                return 1


def test_the_tool_that_takes_answers_cannot_be_declared_over():
    with pytest.raises(DeclarationError, match=r"adder.answer"):

        class Adder(Specialist[int], role="adder"):
            """You add."""

            @tool("read")
            async def answer(self, step: Step) -> int:
                """Add."""
                return 1


@pytest.mark.parametrize("role", ["", "two words", "orchestrator", "9", None])
def test_a_role_is_a_name(role):
    with pytest.raises(DeclarationError, match="is not a name for a specialist"):

        class Adder(Specialist, role=role):
            """You add."""


def test_specialists_and_workflows_need_instructions():
    with pytest.raises(DeclarationError, match="specialist 'adder' has no docstring"):

        class Adder(Specialist, role="adder"):
            pass

    with pytest.raises(DeclarationError, match="workflow 'other' has no docstring"):

        class Other(Workflow[str, str], name="other"):
            pass


def test_a_workflow_has_specialists_of_different_roles():
    with pytest.raises(DeclarationError, match="workflow 'booking' has two specialists of one role"):
        Booking([Pricing(World()), Pricing(World())])
    with pytest.raises(DeclarationError, match="workflow 'booking' has no specialists"):
        Booking([])


def test_an_app_has_workflows_of_different_names():
    with pytest.raises(DeclarationError, match="different names"):
        App(booking(World()), booking(World()), policy=POLICY)
    with pytest.raises(DeclarationError, match="different names"):
        App(policy=POLICY)


async def test_an_app_knows_its_workflows_by_name():
    with pytest.raises(DeclarationError, match="no workflow 'typo' in this app") as told:
        App(booking(World()), policy=POLICY).workflow("typo")
    assert told.value.hint == "it has booking"


def test_a_request_that_does_not_fit_is_refused_with_every_wrong_field():
    with pytest.raises(RequestError, match=r"not a request for 'booking': text: .*; sender: "):
        booking(World()).read_request({"sender": 7})


# -- what a tool takes -------------------------------------------------------------------------------------------------


class Searching(Specialist, role="searching"):
    """You search."""

    @tool("read", name="find-boats")
    async def find(
        self,
        step: Step,
        from_: Annotated[str, Field(alias="from", min_length=2)],
        json: int = 1,
        copy: int = 0,
        model_name: str = "",
    ) -> list[dict[str, int]] | Rejected | Retry | Failed:
        """Find."""
        return [{from_: json}]


def find() -> Tool:
    return Searching.tools["find-boats"]


def test_an_alias_is_what_plans_and_models_write():
    assert find().parameters == {"from": True, "json": False, "copy": False, "model_name": False}
    assert find().read({"from": "ab", "json": 2}) == {"from_": "ab", "json": 2}
    assert find().check({"from": "ab"}) == []
    assert [f.split(":")[0] for f in find().check({"from_": "ab"})] == ["from", "from_"]
    assert find().spec.schema["required"] == ["from"]


async def test_a_tool_is_still_a_method_that_a_test_can_call():
    step = Step("r", "s", "k", 1, Any, None)
    assert await Searching().find(step, "ab", json=3) == [{"ab": 3}]


def test_planned_inputs_are_checked_as_far_as_they_are_known():
    check = find().check_inputs
    assert check({"from": "$q.x"}, []) == []
    assert check({"from": "$q.x", "json": "$q.y"}, []) == []
    assert [f.split(":")[0] for f in check({"json": "many"}, ["json"])] == [
        "input 'from' of find-boats",
        "input 'json' of find-boats",
    ]
    assert check({"from": "ab", "extra": "$q.x"}, ["from"]) == [
        "input 'extra' of find-boats: Extra inputs are not permitted"
    ]


@pytest.mark.parametrize(
    ("declared", "success"),
    [
        (int, int),
        (int | Rejected, int),
        (Done[int] | Retry | Failed, int),
        (Handoff[str] | str, str),
        (Annotated[int | Rejected, "why"], int),
        (Rejected, Rejected),
        (int | None, int | None),
        (int | Handoff[str] | Failed, int | str),
    ],
)
def test_the_type_of_a_success_is_what_is_left_without_the_refusals(declared, success):
    assert success_type(declared) == success


def test_fields_are_known_where_the_type_tells():
    assert fields_of(Unknown) is None
    assert fields_of(int) is None
    assert fields_of(dict[str, int]) is None
    assert Pricing.tools["quote"].result_fields == {"total", "secret"}


def test_a_step_gives_the_request_as_the_type_it_has():
    step = Step("r", "s", "k", 1, Any, "text")
    assert step.request_as(str) == "text"
    with pytest.raises(DeclarationError, match="the request is a 'str', not a 'int'"):
        step.request_as(int)


def test_an_amount_over_the_limit_needs_a_person():
    step = Step("r", "s", "k", 1, Any, None)
    needed = over(Decimal(500))
    assert [needed(None, step, {"amount": a}) for a in (Decimal(500), 500.01, "501", 12)] == [False, True, True, False]
