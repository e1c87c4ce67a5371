"""What a server that does not answer is said to say: the system's own words, without the client's."""

from __future__ import annotations

import pytest

from orchestrator.mlflow_connection import explain_silence

POOL = "API request to http://h:1/api failed with exception HTTPConnectionPool(host='h', port=1): "


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"{POOL}Max retries exceeded (Caused by NewConnectionError('<x>: [Errno 111] Connection refused'))",
         "[Errno 111] Connection refused"),
        (f"{POOL}Read timed out. (read timeout=10)", "timed out"),
        ("(Caused by SSLError(SSLCertVerificationError(1, '[SSL: FAILED] certificate verify failed: self-signed (_ssl.c:1)')))",
         "[SSL: FAILED] certificate verify failed: self-signed"),
        ("word " * 100, "word " * 23 + "..."),
    ],
)  # fmt: skip
def test_the_reason_is_shown_in_few_words(said: str, shown: str) -> None:
    assert f"does not answer ({shown}). Start it" in str(explain_silence(said, "http://h:1", "go without"))
