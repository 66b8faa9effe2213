"""Binding: which addresses, and one line with the way out where one cannot be had."""

import errno
import os
import select
import socket
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from highperf.config import Layers, Settings, resolve
from highperf.errors import StartupError
from highperf.server import sockets
from highperf.server.sockets import (
    Listeners,
    bind,
    bind_failure,
    listen,
    open_listeners,
    take_waiting,
    url_of,
)

LINUX_ONLY = pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="/proc tells who holds a port")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def bound(stack: ExitStack, host: str, port: int = 0) -> list[socket.socket]:
    return [stack.enter_context(listener) for listener in bind(host, port)]


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 5).close()
    except OSError:
        return False
    return True


def test_port_zero_picks_a_free_port() -> None:
    with ExitStack() as stack:
        first, second = bound(stack, "127.0.0.1")[0], bound(stack, "127.0.0.1")[0]
        ports = {first.getsockname()[1], second.getsockname()[1]}
        assert len(ports) == 2
        assert 0 not in ports


def test_sockets_do_not_block_and_may_follow_a_server_that_just_ended() -> None:
    with ExitStack() as stack:
        (listener,) = bound(stack, "127.0.0.1")
        assert not listener.getblocking()
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def test_every_address_of_a_name_listens_on_one_port() -> None:
    with ExitStack() as stack:
        listeners = bound(stack, "localhost")
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
        assert "127.0.0.1" in {listener.getsockname()[0] for listener in listeners}


@IPV6
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_stand_in_brackets(host: str) -> None:
    with ExitStack() as stack:
        (listener,) = bound(stack, host)
        assert listener.getsockname()[0] == "::1"
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


@IPV6
def test_the_ipv6_wildcard_takes_ipv4_too() -> None:
    with ExitStack() as stack:
        (listener,) = bound(stack, "::")
        listener.listen()
        port = listener.getsockname()[1]
        assert accepts("127.0.0.1", port)
        assert accepts("::1", port)


@LINUX_ONLY
def test_a_port_in_use_names_its_holder_and_the_way_out() -> None:
    with ExitStack() as stack:
        (holder,) = bound(stack, "127.0.0.1")
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(StartupError) as caught:
            bind("127.0.0.1", port)
    said = str(caught.value)
    assert said.startswith(f'Port {port} on 127.0.0.1 is in use (pid {os.getpid()} "')
    assert said.endswith(f'"). Try --port {port + 1 if port < 65535 else port - 1} or --port 0.')
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("number", "host", "port", "sentence"),
    [
        (errno.EACCES, "0.0.0.0", 80, "Port 80 on 0.0.0.0 needs privileges that this process does not have. "
                                      "Try --port 8080."),
        (errno.EADDRNOTAVAIL, "192.0.2.1", 80, "192.0.2.1 is not an address of this machine. "
                                               "Try --host 127.0.0.1, or --host 0.0.0.0 for all."),
        (errno.EADDRINUSE, "::1", 65535, "Port 65535 on [::1] is in use. Try --port 65534 or --port 0."),
        (errno.ENOBUFS, "::1", 80, "Could not listen on [::1], port 80: No buffer space available. "
                                   "Try another --host or --port."),
    ],
)  # fmt: skip
def test_a_refusal_of_the_kernel_is_put_in_one_line(number: int, host: str, port: int, sentence: str) -> None:
    assert bind_failure(OSError(number, ""), host, port) == sentence


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartupError, match=r"^192\.0\.2\.1 is not an address of this machine\."):
        bind("192.0.2.1", 0)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "x" * 300, "256.1.1.1", "::g"])
def test_a_host_that_cannot_be_resolved_is_named(host: str) -> None:
    with pytest.raises(StartupError, match=r"^Host \".*\" cannot be resolved: .* Try --host 127\.0\.0\.1") as caught:
        bind(host, 0)
    assert len(str(caught.value).splitlines()) == 1


def test_connections_that_wait_are_taken_until_there_are_none() -> None:
    with ExitStack() as stack:
        (listener,) = bound(stack, "127.0.0.1")
        listener.listen()
        address = listener.getsockname()
        clients = [stack.enter_context(socket.create_connection(address, 5)) for _ in range(3)]
        taken = [stack.enter_context(connection) for connection in take_waiting(listener)]
        assert {peer.getpeername() for peer in taken} == {client.getsockname() for client in clients}
        assert take_waiting(listener) == []


# The sockets of several slots.

BALANCED_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="only Linux balances among sockets of one port")


def opened(stack: ExitStack, slots: int = 1, **flags: object) -> Listeners:
    return stack.enter_context(closing(open_listeners(settings(**flags), slots)))


def settings(**flags: object) -> Settings:
    return resolve(Layers(flags={name: str(value) for name, value in flags.items()}))


def is_shared_out(listener: socket.socket) -> bool:
    return bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))


def test_one_slot_has_the_port_to_itself() -> None:
    with ExitStack() as stack:
        ((listener,),) = opened(stack, 1, port=0).slots
        assert not is_shared_out(listener)


def test_a_second_slot_shares_the_socket_of_one_that_was_alone() -> None:
    with ExitStack() as stack:
        listeners = opened(stack, 1, port=0)
        ((listener,),) = listeners.slots
        (second,) = [stack.enter_context(other) for other in listeners.another_slot()]
        listen(second, 1)
        listener.close()
        assert accepts(*second.getsockname())


@BALANCED_ONLY
def test_each_slot_has_a_socket_on_the_one_port_that_was_picked() -> None:
    with ExitStack() as stack:
        listeners = opened(stack, 3, host="localhost", port=0)
        slots = [*listeners.slots, [stack.enter_context(added) for added in listeners.another_slot()]]
        every = [listener for slot in slots for listener in slot]
        assert len({listener.fileno() for listener in every}) == len(every)
        assert len({listener.getsockname()[1] for listener in every}) == 1
        assert all(map(is_shared_out, every))
        addresses = [[listener.getsockname() for listener in slot] for slot in slots]
        assert all(slot == addresses[0] for slot in addresses)


@BALANCED_ONLY
def test_one_slot_that_may_be_joined_by_others_shares_its_port_from_the_start() -> None:
    with ExitStack() as stack:
        listeners = stack.enter_context(closing(open_listeners(settings(port=0), may_grow=True)))
        (added,) = [stack.enter_context(listener) for listener in listeners.another_slot()]
        assert added.getsockname() == listeners.slots[0][0].getsockname()
        assert is_shared_out(added)


def test_where_sockets_of_one_port_are_not_balanced_slots_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "BALANCED", False)
    with ExitStack() as stack:
        listeners = opened(stack, 2, port=0)
        (added,) = [stack.enter_context(listener) for listener in listeners.another_slot()]
        (first,), (second,) = listeners.slots
        listen(first, 1)
        assert not is_shared_out(first)
        assert second.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert added.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@BALANCED_ONLY
def test_slots_get_connections_side_by_side() -> None:
    with ExitStack() as stack:
        slots = opened(stack, 2, port=0).slots
        for (listener,) in slots:
            listen(listener, 100)
        for _ in range(64):
            stack.enter_context(socket.create_connection(slots[0][0].getsockname(), 5))
        taken = [[stack.enter_context(peer) for peer in take_waiting(listener)] for (listener,) in slots]
        assert sum(map(len, taken)) == 64
        assert all(taken)


@BALANCED_ONLY
@pytest.mark.parametrize("listening", [True, False], ids=["listening", "starting"])
@pytest.mark.parametrize("slots", [1, 2])
def test_nobody_joins_the_port_of_several_slots(slots: int, listening: bool) -> None:
    with ExitStack() as stack:
        first = opened(stack, 2, port=0)
        port = first.slots[0][0].getsockname()[1]
        if listening:
            listen(first.slots[0][0], 1)
        with pytest.raises(StartupError, match=rf"^Port {port} on 127\.0\.0\.1 is in use"):
            open_listeners(settings(port=port), slots)


@BALANCED_ONLY
def test_a_server_of_another_kind_that_shares_its_port_is_not_joined() -> None:
    with ExitStack() as stack:
        other = stack.enter_context(socket.socket())
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(StartupError, match=r"is in use"):
            open_listeners(settings(port=other.getsockname()[1]), 2)


@BALANCED_ONLY
def test_slots_take_a_port_whose_last_connections_have_just_ended() -> None:
    with ExitStack() as stack:
        first = opened(stack, 1, port=0)
        (listener,) = first.slots[0]
        listen(listener, 1)
        client = stack.enter_context(socket.create_connection(listener.getsockname(), 5))
        listener.setblocking(True)
        listener.accept()[0].close()  # the side that closes first is left in TIME_WAIT
        assert client.recv(1) == b""
        client.close()
        port = listener.getsockname()[1]
        first.close()
        second = opened(stack, 2, port=port)
        added = [stack.enter_context(listener) for listener in second.another_slot()]
        for (listener,) in [*second.slots, added]:
            listen(listener, 1)
        assert accepts("127.0.0.1", port)


def test_what_is_closed_is_closed_for_all_slots_and_may_be_closed_again() -> None:
    listeners = open_listeners(settings(port=0), 2)
    listeners.close()
    listeners.close()
    assert all(listener.fileno() == -1 for slot in listeners.slots for listener in slot)


@pytest.mark.parametrize(
    ("host", "networks", "warned"),
    [
        ("0.0.0.0", "*", True),
        ("0.0.0.0", "10.0.0.0/8,0.0.0.0/0", True),
        ("0.0.0.0", "10.0.0.0/8", False),
        ("0.0.0.0", "off", False),
        ("127.0.0.1", "*", False),
        ("localhost", "*", False),
    ],
)
def test_whoever_trusts_everyone_where_everyone_can_come_is_warned(
    host: str, networks: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack, caplog.at_level("WARNING"):
        opened(stack, host=host, port=0, forwarded_allow_ips=networks)
    assert ("trusts everyone" in caplog.text) is warned
    assert not warned or "0.0.0.0 can be reached from outside" in caplog.text


def test_a_unix_socket_is_not_public(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack, caplog.at_level("WARNING"):
        opened(stack, uds=str(tmp_path / "s"), forwarded_allow_ips="*")
    assert not caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no filter for a socket")
@pytest.mark.parametrize("slots", [1, 2])
def test_who_is_turned_away_is_not_connected_and_who_waits_already_is_not_reset(slots: int) -> None:
    listeners = open_listeners(settings(port=0), slots)
    for [listener] in listeners.slots:
        listen(listener, 10)
    waiting = [socket.create_connection(listeners.slots[0][0].getsockname()) for _ in range(8)]
    listeners.turn_away()
    with socket.socket() as late:
        late.setblocking(False)
        assert late.connect_ex(listeners.slots[0][0].getsockname()) == errno.EINPROGRESS
        taken = [connection for [listener] in listeners.slots for connection in take_waiting(listener)]
        listeners.close()
        assert len(taken) == 8
        poll = select.poll()
        poll.register(late, select.POLLOUT)
        assert not poll.poll(0)
    for connection in taken:
        connection.sendall(b"!")
    assert [client.recv(1) for client in waiting] == [b"!"] * 8
    for end in (*taken, *waiting):
        end.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no filter for a socket")
def test_whose_handshake_is_under_way_is_not_turned_away() -> None:
    with closing(open_listeners(settings(port=0))) as listeners, socket.socket() as client:
        [listener] = listeners.slots[0]
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)  # it is, until octets come
        listen(listener, 10)
        client.connect(listener.getsockname())
        assert not take_waiting(listener)
        listeners.turn_away()
        client.sendall(b"!")
        [connection] = take_waiting(listener)
        with connection:
            assert connection.recv(1) == b"!"


def test_who_is_turned_away_from_a_unix_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(open_listeners(settings(uds="shop.sock"))) as listeners, socket.socket(socket.AF_UNIX) as waiting:
        listen(listeners.slots[0][0], 1)
        waiting.connect("shop.sock")
        listeners.turn_away()
        with socket.socket(socket.AF_UNIX) as late:
            assert late.connect_ex("shop.sock") == errno.ECONNREFUSED
        [connection] = take_waiting(listeners.slots[0][0])
        connection.close()


def test_nobody_is_turned_away_from_the_sockets_of_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        listeners = open_listeners(settings(fd=str(os.dup(given.fileno()))))
        listeners.turn_away()
        listeners.close()
        socket.create_connection(given.getsockname()).close()
