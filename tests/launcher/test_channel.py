import os

import pytest

from disttorch_launcher.channel import channel_pair


@pytest.fixture
def ends():
    pair = channel_pair()
    yield pair
    for end in pair:
        end.close()


def test_messages_stay_whole_and_in_order(ends):
    one, other = ends
    for number in range(3):
        assert one.send({"n": number, "text": "é\n" * 1000})
    assert [other.receive()[0]["n"] for _ in range(3)] == [0, 1, 2]


def test_descriptors_travel_beside_and_do_not_survive_an_exec(ends):
    read_fd, write_fd = os.pipe()
    ends[0].send({}, [write_fd])
    os.close(write_fd)
    _, (received,) = ends[1].receive()
    os.write(received, b"x")
    assert os.read(read_fd, 1) == b"x"
    assert not os.get_inheritable(received)
    os.close(received)
    os.close(read_fd)


def test_end_of_file_tells_that_the_other_has_gone(ends):
    one, other = ends
    other.close()
    assert one.receive() == (None, ())
    assert one.send({"to": "nobody"})


def test_does_not_wait_for_room_unless_told_to(ends):
    one, other = ends
    sent = 0
    while one.send({"n": sent}, wait=False):
        sent += 1
    assert 0 < sent < 100_000
    assert other.receive()[0] == {"n": 0}
    assert [other.receive()[0]["n"] for _ in range(1, sent)] == list(range(1, sent))
    assert one.send({"n": sent}, wait=False)
