"""Which addresses are public: everything else is somebody's inside."""

from __future__ import annotations

import pytest

from integrations.ics.addresses import is_public


@pytest.mark.parametrize("address", ["1.1.1.1", "223.5.5.5", "2400:3200::1", "64:ff9b::101:101", "::ffff:1.1.1.1"])
def test_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "fd00::1", "fec0::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"),
        *("169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"),
        *("224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "2001:db8::1"),
        *("2002:7f00:1::", "2001:0:7f00:1::", "100.64.0.1", "", "localhost", "1.1.1", "0x7f.1"),
        *("64:ff9b:1::a00:1", "::127.0.0.1", "::ffff:0:10.0.0.1", "5f00::1", "3fff::1"),
    ],
)
def test_not_public(address):
    assert not is_public(address)


def test_this_machine_only_where_asked_for():
    assert is_public("127.0.0.1", loopback=True)
    assert is_public("::1", loopback=True)
    assert not is_public("10.0.0.1", loopback=True)
    assert not is_public("169.254.169.254", loopback=True)
