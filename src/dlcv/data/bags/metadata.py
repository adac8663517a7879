"""What is taken from metadata.yaml: which files a bag has, and what they do not say themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml

from dlcv.config import load_yaml
from dlcv.data.bags.storage import says_latched

NAME = 'metadata.yaml'


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """What a metadata.yaml says; empty where there is none.

    Attributes:
        files: Names of the storage files, in order.
        latched: Topics that were offered as transient local.
        messages: Their number; None where it is not said.
    """

    files: tuple[str, ...] = ()
    latched: frozenset[str] = frozenset()
    messages: int | None = None


def read_metadata(folder: Path, notes: list[str]) -> Metadata:
    """Read the metadata.yaml of a folder as far as it can be read.

    Args:
        folder: A folder with storage files.
        notes: Is told why it cannot be read.
    """
    path = folder / NAME
    if not path.exists():
        return Metadata()
    try:
        said = load_yaml(path.read_text(encoding='utf-8'))['rosbag2_bagfile_information']
        files = said.get('relative_file_paths') or ()
        messages = said.get('message_count')
        return Metadata(
            files=tuple(PurePath(str(name)).name for name in files),
            latched=frozenset(_latched(said.get('topics_with_message_count') or ())),
            messages=messages if isinstance(messages, int) else None,
        )
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as err:
        words = ' '.join(str(err).split())
        notes.append(f'{path} cannot be read, its folder is: {type(err).__name__}: {words}')
        return Metadata()


def _latched(topics: Any) -> set[str]:
    found = set()
    for entry in topics:
        topic: Mapping[str, Any] = entry['topic_metadata']
        qos = topic.get('offered_qos_profiles') or ''
        if says_latched(qos if isinstance(qos, str) else repr(qos)):
            found.add(topic['name'])
    return found
