"""Sealing, key files, and what of an address may be seen."""

import stat
import threading
from pathlib import Path

import pytest

from pipeline.deliver.secrets import KEY_FILE, Vault, masked, new_key, open_vault, scrubbed, secret_parts
from pipeline.errors import WindvaneError

SLACK = "https://hooks.slack.com/services/T0AAAAAAA/B0BBBBBBB/abcdefghijklmnop"
DING = "https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef#secret=SECabcdefgh"


def test_what_is_sealed_cannot_be_read_and_comes_back_whole():
    vault = Vault([new_key()])
    for text in (SLACK, DING, "ann@example.org", "密钥"):
        sealed = vault.seal(text)
        assert sealed.startswith("sealed:") and text not in sealed and vault.unseal(sealed) == text
        assert vault.seal(sealed) == sealed  # never twice
    assert vault.seal("") == "" and vault.unseal(SLACK) == SLACK  # stored before there was a key


def test_without_a_key_nothing_is_sealed():
    vault = Vault()
    assert not vault.can_seal and vault.seal(SLACK) == SLACK and vault.keys_for("links") == ()
    with pytest.raises(WindvaneError, match="another key"):
        vault.unseal(Vault([new_key()]).seal(SLACK))


def test_a_key_is_changed_without_losing_what_the_old_one_sealed():
    old, new = new_key(), new_key()
    sealed = Vault([old]).seal(SLACK)
    both = open_vault(f"{new}, {old}")
    assert both.unseal(sealed) == SLACK
    with pytest.raises(WindvaneError, match="another key"):
        Vault([new]).unseal(sealed)
    assert both.unseal(both.seal(SLACK)) == Vault([new]).unseal(both.seal(SLACK))
    assert both.keys_for("links")[1] == Vault([old]).keys_for("links")[0] != Vault([old]).keys_for("other")[0]
    with pytest.raises(WindvaneError, match="windvane secret-key"):
        open_vault("short")


def test_a_data_folder_gets_one_key_file_that_only_its_owner_reads(tmp_path: Path):
    found: list[Vault] = []
    threads = [threading.Thread(target=lambda: found.append(open_vault(None, tmp_path / "new"))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    path = tmp_path / "new" / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and [p.name for p in path.parent.iterdir()] == [KEY_FILE]
    sealed = found[0].seal(SLACK)
    assert len(found) == 8 and all(v.unseal(sealed) == SLACK for v in found)
    assert open_vault(None, tmp_path / "new").unseal(sealed) == SLACK
    assert not open_vault(None, None).can_seal


def test_masks():
    assert masked(SLACK) == "https://hooks.slack.com/•••mnop"
    assert "0123456789abcdef" not in masked(DING) and "SEC" not in masked(DING)
    assert masked("http://10.0.0.1:81/a") == "http://10.0.0.1:81/•••" and masked("") == ""
    assert masked("https://ann:pw@host/").startswith("https://host/") and "pw" not in masked("https://ann:pw@host/")
    assert masked("ann@example.org, bo@x.cn") == "a•••@example.org, b•••@x.cn" and masked("token") == "•••"
    vault = Vault([new_key()])
    assert masked(vault.seal(SLACK)) == "•••" and vault.masked(vault.seal(SLACK)).endswith("mnop")
    assert Vault().masked(vault.seal(SLACK)) == "•••"


def test_scrubbing_leaves_no_part_of_a_token():
    said = f"cannot reach {DING} (token 0123456789abcdef, SECabcdefgh, /robot/send?access_token=0123456789abcdef)"
    clean = scrubbed(said, *secret_parts(DING))
    assert "0123456789" not in clean and "SECabc" not in clean and clean.startswith("cannot reach •••")
    assert "abcdefghijklmnop" not in scrubbed(f"x {SLACK} /abcdefghijklmnop", *secret_parts(SLACK))
