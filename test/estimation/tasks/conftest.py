"""Who runs a task in tests."""

from __future__ import annotations

from types import SimpleNamespace

import pytest


class Host(SimpleNamespace):
    """Keeps what is sent to those who listen."""

    def wanted(self, name):
        return name in self.listeners

    def send(self, name, message):
        assert name in self.listeners
        self.sent.append((name, message))

    def judge(self, verdict):
        self.verdict = verdict

    def complain(self, text):
        self.complaint = text


@pytest.fixture
def host():
    """A function that makes a host of parameters, some of whose outputs are listened to."""

    def make(parameters, *listeners):
        return Host(parameters=parameters, sent=[], listeners=set(listeners))

    return make
