"""What nodes of one process hand each other: pictures decoded once, answers as they are."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from dlcv.ros.exchange import KEPT, Arrived, Exchange, Pictures

TOPIC = '/camera/image'


class Decoder:
    """Counts what it decodes; refuses texts."""

    def __init__(self) -> None:
        self.decoded: list[Any] = []

    def __call__(self, message: Any) -> Any:
        self.decoded.append(message)
        if isinstance(message, str):
            raise ValueError(message)
        return np.full((2, 2), message, np.uint8)


def _pictures(takers: int) -> Pictures:
    pictures = Pictures()
    for _ in range(takers):
        pictures.expect(TOPIC, +1)
    return pictures


def test_a_picture_that_two_take_is_decoded_once() -> None:
    pictures, decode = _pictures(2), Decoder()
    first = pictures.of(Arrived(7, (TOPIC, 1)), decode)
    assert pictures.of(Arrived(7, (TOPIC, 1)), decode) is first
    assert pictures.of(Arrived(8, (TOPIC, 2)), decode).tolist() == [[8, 8], [8, 8]]
    assert decode.decoded == [7, 8]


def test_no_picture_is_kept_for_one_alone_or_without_its_time_of_sending() -> None:
    decode = Decoder()
    pictures = _pictures(1)
    assert pictures.of(Arrived(7, (TOPIC, 1)), decode) is not pictures.of(
        Arrived(7, (TOPIC, 1)), decode
    )
    pictures.expect(TOPIC, +1)
    assert pictures.of(Arrived(7), decode) is not pictures.of(Arrived(7), decode)


def test_what_cannot_be_decoded_is_refused_for_all_who_take_it() -> None:
    pictures, decode = _pictures(2), Decoder()
    for _ in range(2):
        with pytest.raises(ValueError, match='no picture'):
            pictures.of(Arrived('no picture', (TOPIC, 1)), decode)
    assert decode.decoded == ['no picture']


def test_only_the_newest_pictures_are_kept() -> None:
    pictures, decode = _pictures(2), Decoder()
    for sent in (*range(KEPT + 1), 0, KEPT):
        pictures.of(Arrived(sent, (TOPIC, sent)), decode)
    assert decode.decoded == [*range(KEPT + 1), 0]


def test_two_threads_wait_for_one_decoder() -> None:
    pictures, begun, go_on = _pictures(2), threading.Event(), threading.Event()
    decoded: list[Any] = []
    taken: list[Any] = []

    def decode(message: Any) -> Any:
        decoded.append(message)
        begun.set()
        assert go_on.wait(10)
        return np.zeros((2, 2), np.uint8)

    def take() -> None:
        taken.append(pictures.of(Arrived(7, (TOPIC, 1)), decode))

    threads = [threading.Thread(target=take) for _ in range(2)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert decoded == [7]
    assert taken[0] is taken[1]


def test_what_is_answered_reaches_who_listens_as_it_is() -> None:
    exchange, heard = Exchange(), []
    exchange.offer('/a')
    exchange.open('/a')
    answer = object()
    exchange.hand('/a', answer)
    exchange.listen('/a', heard.append)
    take = heard.append
    exchange.listen('/a', take)
    exchange.hand('/a', answer)
    assert heard == [answer, answer]
    assert exchange.listeners('/a') == 2
    exchange.leave('/a', take)
    exchange.hand('/a', answer)
    assert len(heard) == 3
    assert (exchange.offers('/a'), exchange.offers('/b')) == (True, False)
    assert (exchange.publishers('/a'), exchange.publishers('/b')) == (1, 0)
