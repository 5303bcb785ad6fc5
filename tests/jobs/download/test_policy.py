"""What may be connected to, and how the allow-list is read."""

from __future__ import annotations

import ipaddress

import pytest
from pydantic import ValidationError

from jobyard.jobs.download import DownloadRefused, DownloadSettings
from jobyard.jobs.download.policy import Policy, parse_allow, parse_ports


def check(policy: Policy, host: str, port: int, *addresses: str) -> None:
    policy.check(host, port, [ipaddress.ip_address(address) for address in addresses])


def allowing(allow: str, ports: str = "80,443") -> Policy:
    return Policy(parse_allow(allow), parse_ports(ports))


def test_a_public_address_on_a_usual_port_is_accepted() -> None:
    check(Policy(), "example.org", 443, "93.184.216.34", "2606:2800:220:1::1")


def test_a_name_with_one_private_address_among_public_ones_is_refused() -> None:
    with pytest.raises(DownloadRefused, match=r"example.org \(10.0.0.5\) is not a public address \(private\)"):
        check(Policy(), "example.org", 443, "93.184.216.34", "10.0.0.5")


@pytest.mark.parametrize("port", [22, 25, 6379, 8080])
def test_other_ports_are_refused(port: int) -> None:
    with pytest.raises(DownloadRefused, match=f"port {port} is not among .*80, 443"):
        check(Policy(), "example.org", port, "93.184.216.34")


def test_further_ports_come_from_the_settings() -> None:
    check(DownloadSettings(ports="80, 443, 8443").policy(), "example.org", 8443, "93.184.216.34")


def test_an_allowed_network_is_accepted_on_the_usual_ports_only() -> None:
    policy = allowing("10.20.0.0/16")
    check(policy, "images", 80, "10.20.3.4")
    check(policy, "images", 80, "::ffff:10.20.3.4")
    with pytest.raises(DownloadRefused):
        check(policy, "images", 80, "10.21.0.1")
    with pytest.raises(DownloadRefused):
        check(policy, "images", 6379, "10.20.3.4")


def test_an_entry_with_a_port_opens_that_port_and_no_other() -> None:
    policy = allowing("10.20.0.0/16:9000")
    check(policy, "images", 9000, "10.20.3.4")
    with pytest.raises(DownloadRefused):
        check(policy, "images", 80, "10.20.3.4")


def test_an_allowed_host_name_is_accepted_whatever_its_address_but_not_another_name_of_it() -> None:
    policy = allowing("Images.Internal:8080")
    check(policy, "images.internal", 8080, "192.168.7.7")
    check(policy, "images.internal.", 8080, "192.168.7.7")
    with pytest.raises(DownloadRefused):
        check(policy, "evil.example", 8080, "192.168.7.7")
    with pytest.raises(DownloadRefused):
        check(policy, "sub.images.internal", 8080, "192.168.7.7")


@pytest.mark.parametrize("allow", ["evil.example", "169.254.0.0/16", "169.254.169.254", "0.0.0.0/0"])
def test_metadata_addresses_stay_closed_whatever_is_allowed(allow: str) -> None:
    with pytest.raises(DownloadRefused, match="metadata"):
        check(allowing(allow), "evil.example", 80, "169.254.169.254")


def test_ipv6_entries_with_and_without_port() -> None:
    policy = allowing("fd00:1::/32, [::1]:9000, [fd00:2::/32]:8080")
    check(policy, "a", 80, "fd00:1::5")
    check(policy, "b", 9000, "::1")
    check(policy, "c", 8080, "fd00:2::5")
    with pytest.raises(DownloadRefused):
        check(policy, "b", 80, "::1")


@pytest.mark.parametrize(
    "allow", ["10.0.0.0/33", "10.0.0.1/8", "300.1.2.3", "host name", "host:port", "host:0", "host:70000", "a/b", "*"]
)
def test_an_entry_that_cannot_be_read_is_refused_by_name(allow: str) -> None:
    with pytest.raises(ValidationError, match="allow"):
        DownloadSettings(allow=allow)


@pytest.mark.parametrize("ports", ["http", "0", "65536", "-1", "٣"])
def test_ports_that_are_none_are_refused(ports: str) -> None:
    with pytest.raises(ValidationError, match="ports"):
        DownloadSettings(ports=ports)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_DOWNLOAD_ALLOW", "images.internal:8080")
    monkeypatch.setenv("JOBYARD_DOWNLOAD_PORTS", "80")
    policy = DownloadSettings().policy()
    assert policy == allowing("images.internal:8080", "80")
