import pytest

from tests.acceptance.terminal import Terminal


@pytest.fixture
def terminal(tmp_path):
    (tmp_path / "home").mkdir()
    return Terminal(tmp_path)
