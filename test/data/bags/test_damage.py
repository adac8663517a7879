"""Damaged bags: what was readable is read, and nothing but a BagError is raised."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from dlcv.data.bags import Bag, BagError, BagWriter, WriteOptions, write_recording


@pytest.fixture(params=['none', 'zstd'])
def chunked(request, tmp_path, small_recording):
    """An MCAP file of several chunks (rosbags ends one at 1 MiB) and its messages."""
    big = small_recording(count=3).snapshot(0)
    path = tmp_path / 'whole.mcap'
    with BagWriter(path, compression=request.param) as bag:
        bag.add_topic('/numbers', 'std_msgs/msg/UInt8MultiArray')
        for i in range(24):
            bag.write_raw('/numbers', i, bytes([i]) + big.frame.image.tobytes() * 200)
    with Bag(path) as bag:
        return path, list(bag.raw())


@pytest.mark.parametrize('share', [0.2, 0.5, 0.8, 0.97, 0.9999])
def test_a_truncated_mcap_gives_its_first_messages(chunked, share):
    path, messages = chunked
    size = path.stat().st_size
    with path.open('r+b') as file:
        file.truncate(int(size * share))
    with pytest.raises(BagError, match=r'whole\.mcap.*messages on \d topics can be read'):
        Bag(path)
    with Bag(path, keep_damaged=True) as bag:
        assert bag.damage
        kept = list(bag.raw())
    assert kept == messages[: len(kept)]
    assert len(kept) == bag.message_count
    assert len(kept) >= len(messages) * share - 8  # at most a chunk is lost


def test_any_cut_is_either_read_or_refused(tmp_path, small_bag):
    whole = (small_bag / 'small.mcap').read_bytes()
    with Bag(small_bag) as bag:
        messages = list(bag.raw())
    path = tmp_path / 'cut.mcap'
    for size in [*range(0, 60, 15), *range(60, len(whole), len(whole) // 11)]:
        path.write_bytes(whole[:size])
        try:
            with Bag(path, keep_damaged=True) as bag:
                kept = list(bag.raw())
        except BagError:
            kept = []
        assert kept == messages[: len(kept)]


def test_a_damaged_chunk_ends_the_reading(chunked):
    path, messages = chunked
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = b'\xff' * 64
    path.write_bytes(data)
    with Bag(path, keep_damaged=True) as bag:
        kept = list(bag.raw())
        found = {raw.stamp_ns for raw in kept}
        assert found <= {raw.stamp_ns for raw in messages}
        compressed = len(data) < 24 * 1152 * 200
        assert bool(bag.damage) == compressed  # without a checksum nobody can tell
    if compressed:
        with Bag(path) as bag, pytest.raises(BagError, match=r'whole\.mcap'):
            list(bag.raw())


def test_a_killed_writer_leaves_what_it_wrote(tmp_path, small_recording):
    writer = BagWriter(tmp_path / 'b')
    writer.add_topic('/x', 'std_msgs/msg/UInt8MultiArray')
    for i in range(5):
        writer.write_raw('/x', i, bytes(600_000))
    writer._writer.abort()  # the file ends here, without index and metadata
    with Bag(tmp_path / 'b', keep_damaged=True) as bag:
        assert [raw.stamp_ns for raw in bag.raw()] == [0, 1, 2, 3]  # the fifth was in memory
        assert 'index' in bag.damage[0]


@pytest.fixture
def database(tmp_path, small_bag):
    store = get_typestore(Stores.ROS2_JAZZY)
    writer = Writer(tmp_path / 'b', version=8, storage_plugin=StoragePlugin.SQLITE3)
    with Bag(small_bag) as bag, writer:
        links = {
            t.name: writer.add_connection(t.name, t.msgtype, typestore=store) for t in bag.topics
        }
        for raw in bag.raw():
            writer.write(links[raw.topic], raw.stamp_ns, raw.data)
    return tmp_path / 'b' / 'b.db3'


def test_a_truncated_database_gives_its_first_messages(database, small_bag):
    (database.parent / 'metadata.yaml').unlink()
    with database.open('r+b') as file:
        file.truncate(database.stat().st_size * 2 // 3)
    with pytest.raises(BagError, match=r'b\.db3'):
        Bag(database.parent)
    with Bag(small_bag) as bag:
        messages = list(bag.raw())
    with Bag(database.parent, keep_damaged=True) as bag:
        kept = list(bag.raw())
        assert len(list(bag.frames())) > 3
    assert len(messages) / 3 < len(kept) < len(messages)
    assert kept == messages[: len(kept)]


def test_a_database_that_is_still_open_is_read_with_its_journal(database, small_bag):
    base = sqlite3.connect(database)
    base.execute('PRAGMA journal_mode=WAL')
    base.execute('PRAGMA wal_autocheckpoint=0')
    base.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (1, 9000000000, x'00')")
    base.commit()
    with Bag(small_bag) as bag:
        count = bag.message_count
    with pytest.raises(BagError, match='was not completed'):
        Bag(database)
    with Bag(database, keep_damaged=True) as bag:
        assert bag.message_count == count + 1
    base.close()


def test_a_missing_part_of_a_split_bag_is_named(tmp_path, small_bag):
    text = (small_bag / 'metadata.yaml').read_text()
    text = text.replace('  - small.mcap', '  - small.mcap\n  - small_1.mcap')
    (small_bag / 'metadata.yaml').write_text(text)
    with pytest.raises(BagError, match=r'missing.*small_1\.mcap'):
        Bag(small_bag)
    with Bag(small_bag, keep_damaged=True) as bag:
        assert len(list(bag.frames())) == 12


@pytest.mark.parametrize('text', ['', ': :', 'rosbag2_bagfile_information: {version: 5}', '[1]'])
def test_broken_metadata_is_noted_and_the_file_read(small_bag, text):
    (small_bag / 'metadata.yaml').write_text(text)
    with Bag(small_bag) as bag:
        assert len(list(bag.frames())) == 12
        assert not bag.damage
        assert len(bag.notes) == (text != 'rosbag2_bagfile_information: {version: 5}')


def test_what_is_no_bag_is_refused(tmp_path):
    with pytest.raises(BagError, match=r'no such bag; .* has \[\]'):
        Bag(tmp_path / 'nothing')
    with pytest.raises(BagError, match=r'holds no file of \.mcap, \.db3, \.bag'):
        Bag(tmp_path)
    for name in ('a.mcap', 'a.db3', 'a.bag', 'a.txt'):
        for content in (b'', b'no bag at all' * 50):
            (tmp_path / name).write_bytes(content)
            for keep in (True, False):
                with pytest.raises(BagError, match=name):
                    Bag(tmp_path / name, keep_damaged=keep)


def test_a_message_that_is_no_message_is_named(tmp_path):
    with BagWriter(tmp_path / 'b.mcap') as bag:
        bag.add_topic('/p', 'geometry_msgs/msg/PoseStamped')
        bag.write_raw('/p', 77, b'\x00\x01\x00\x00\x05')
    with (
        Bag(tmp_path / 'b.mcap') as bag,
        pytest.raises(BagError, match='a message of /p at 77 ns is no geometry_msgs'),
    ):
        bag.trajectory()


def test_a_cut_bag_of_a_recording_still_has_frames(tmp_path, small_recording):
    options = WriteOptions(compression='zstd')
    write_recording(small_recording(count=400), tmp_path / 'b', options=options)
    file = tmp_path / 'b' / 'b.mcap'
    shutil.copy(file, tmp_path / 'cut.mcap')
    with (tmp_path / 'cut.mcap').open('r+b') as stream:
        stream.truncate(file.stat().st_size * 9 // 10)
    with Bag(tmp_path / 'cut.mcap', keep_damaged=True) as bag:
        frames = list(bag.frames())
        assert 100 < len(frames) < 400
        assert len(bag.trajectory().stamps_ns) == len(frames)
