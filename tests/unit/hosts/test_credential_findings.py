from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from trimtab.hosts.credentials import credential_findings
from trimtab.policy.spec import CredentialSpec

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def policy(**more):
    return {"tides": CredentialSpec("tides", **more)}


def test_credentials_of_the_policy_are_found_before_they_expire():
    soon = policy(env="TIDES", expires=NOW + timedelta(days=3))
    (only,) = credential_findings(NOW, soon, {"TIDES": "x"})
    assert only.what == "credential 'tides' expires in 3 days, at 2026-11-26 12:00 UTC"
    assert (only.where, only.weight) == ("trimtab.toml: credentials.tides", "warning")


def test_what_is_gone_is_an_error():
    gone = policy(env="TIDES", expires=NOW)
    assert [f.weight for f in credential_findings(NOW, gone, {})] == ["error", "error"]


def test_what_is_valid_is_not_spoken_of():
    assert credential_findings(NOW, policy(env="TIDES", expires=NOW + timedelta(days=8)), {"TIDES": "x"}) == []
    assert credential_findings(NOW, policy(), {}) == []


def login(folder, mode=0o600, **said):
    times = {key: at.timestamp() * 1000 if isinstance(at, datetime) else at for key, at in said.items()}
    file = folder / ".credentials.json"
    file.write_text(json.dumps({"claudeAiOauth": {"accessToken": "very-secret", **times}}))
    file.chmod(mode)
    return credential_findings(NOW, {}, {}, folder)


def test_a_login_that_renews_itself_may_be_past(tmp_path):
    past = NOW - timedelta(days=1)
    assert login(tmp_path, expiresAt=past, refreshToken="very-secret") == []
    (only,) = login(tmp_path, expiresAt=past, refreshToken="very-secret", refreshTokenExpiresAt=past)
    assert (only.weight, only.mend) == ("error", "claude /login")
    assert "very-secret" not in repr(only)


def test_a_login_that_does_not_renew_itself_is_found_before_and_after(tmp_path):
    assert [f.weight for f in login(tmp_path, expiresAt=NOW + timedelta(hours=5))] == ["warning"]
    assert [f.weight for f in login(tmp_path, expiresAt=NOW - timedelta(hours=5))] == ["error"]
    assert login(tmp_path, expiresAt=NOW + timedelta(days=30)) == []


def test_a_login_others_may_read_is_an_error(tmp_path):
    assert [f.mend[:9] for f in login(tmp_path, 0o644)] == ["chmod 600"]


@pytest.mark.parametrize("time", [True, "x", None, 1e300, -1e300, [], {}])
def test_times_of_any_kind_stop_nothing(tmp_path, time):
    assert login(tmp_path, expiresAt=time) == []


@pytest.mark.parametrize("text", ["", "[]", "null", '{"claudeAiOauth": 3}', '{"claudeAiOauth": [1]}', "\x00"])
def test_files_of_any_kind_stop_nothing(tmp_path, text):
    (tmp_path / ".credentials.json").write_text(text)
    assert credential_findings(NOW, {}, {}, tmp_path) == []
