"""Storage files as other tools write them: what is in the file is read, whatever is said of it."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from dataclasses import dataclass, field

import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from dlcv.data.bags import Bag, BagError
from dlcv.data.bags.vocabulary import COMPOSER, IMAGE, TF, typestore

MAGIC = b'\x89MCAP0\r\n'
TEXT = 'std_msgs/msg/String'


def sized(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack('<I', len(data)) + data


def record(opcode, data):
    return struct.pack('<BQ', opcode, len(data)) + data


@dataclass
class Channel:
    topic: str
    msgtype: str
    definition: str = ''
    encoding: str = 'ros2msg'
    serialization: str = 'cdr'
    notes: dict[str, str] = field(default_factory=dict)


def mcap(channels, chunks, *, profile='ros2', summary=True, statistics=True, chunked=True):
    """Return an MCAP file; each chunk is a list of (number of the channel, stamp, bytes)."""
    announced = b''
    for i, c in enumerate(channels, 1):
        schema = struct.pack('<H', i) + sized(c.msgtype) + sized(c.encoding) + sized(c.definition)
        notes = b''.join(sized(key) + sized(value) for key, value in c.notes.items())
        channel = struct.pack('<HH', i, i) + sized(c.topic) + sized(c.serialization) + sized(notes)
        announced += record(3, schema) + record(4, channel)
    data = MAGIC + record(1, sized(profile) + sized('made by hand'))
    index, counts, stamps = b'', {}, []
    data += b'' if chunked else announced
    for number, messages in enumerate(chunks):
        body = announced if chunked and number == 0 else b''
        for channel, stamp, content in messages:
            body += record(5, struct.pack('<HIQQ', channel, 0, stamp, stamp) + content)
            counts[channel] = counts.get(channel, 0) + 1
            stamps.append(stamp)
        if not chunked:
            data += body
            continue
        times = [stamp for _, stamp, _ in messages]
        span = struct.pack('<QQ', min(times, default=0), max(times, default=0))
        size = struct.pack('<Q', len(body))
        chunk = record(6, span + size + struct.pack('<I', 0) + sized('') + size + body)
        index += record(
            8,
            span + struct.pack('<QQIQ', len(data), len(chunk), 0, 0) + (sized('') + size + size),
        )
        data += chunk
    data += record(15, struct.pack('<I', 0))
    begin = len(data) if summary else 0
    if summary:
        data += announced + index
    if summary and statistics:
        numbers = (len(stamps), len(channels), len(channels), 0, 0, len(chunks))
        span = min(stamps, default=0), max(stamps, default=0)
        rows = b''.join(struct.pack('<HQ', *item) for item in counts.items())
        data += record(11, struct.pack('<QHIIIIQQ', *numbers, *span) + sized(rows))
    return data + record(2, struct.pack('<QQI', begin, 0, 0)) + MAGIC


def string(value):
    return bytes(typestore().serialize_cdr(typestore().types[TEXT](value), TEXT))


WORDS = Channel('/words', TEXT, 'string data')
CHUNKS = [[(1, 5, string('b')), (1, 3, string('a'))], [(1, 9, string('d')), (1, 5, string('c'))]]


def read(path, **options):
    with Bag(path, **options) as bag:
        return [(raw.stamp_ns, message.data) for raw, message in bag.read(['/words'])]


@pytest.fixture
def put(tmp_path):
    def put(*args, name='a.mcap', **options):
        (tmp_path / name).write_bytes(mcap(*args, **options))
        return tmp_path / name

    return put


# MCAP


@pytest.mark.parametrize('summary', [True, False])
@pytest.mark.parametrize('statistics', [True, False])
@pytest.mark.parametrize('chunked', [True, False])
@pytest.mark.parametrize('profile', ['ros2', '', 'ros1', 'px4'])
def test_whole_files_of_all_shapes(put, summary, statistics, chunked, profile):
    shape = {'summary': summary, 'statistics': statistics, 'chunked': chunked, 'profile': profile}
    path = put([WORDS], CHUNKS, **shape)
    assert read(path) == [(3, 'a'), (5, 'b'), (5, 'c'), (9, 'd')]
    with Bag(path) as bag:
        assert (bag.damage, bag.notes, bag.message_count) == ([], [], 4)
        assert (bag.start_ns, bag.end_ns) == (3, 9)
        assert [raw.stamp_ns for raw in bag.raw(start_ns=5, stop_ns=9)] == [5, 5]


@pytest.mark.parametrize(
    'other',
    [
        Channel('/state', 'State', '{}', 'jsonschema', 'json'),
        Channel('/state', 'foxglove.Log', '\x00', 'protobuf', 'protobuf'),
        Channel('/state', 'State', '', 'flatbuffer', 'flatbuffer'),
        Channel('/state', '', '', '', 'json'),
    ],
)
@pytest.mark.parametrize('summary', [True, False])
def test_what_is_not_of_ros_is_left_out_with_a_note(put, other, summary):
    path = put([WORDS, other], [[*CHUNKS[0], (2, 4, b'{}')]], summary=summary)
    assert read(path) == [(3, 'a'), (5, 'b')]
    with Bag(path) as bag:
        assert [topic.name for topic in bag.topics] == ['/words']
        assert [f'/state ({other.serialization})' in note for note in bag.notes] == [True]
        assert len(list(bag.raw())) == 2


def test_a_file_without_anything_of_ros_is_refused_with_that_reason(put):
    path = put([Channel('/state', 'State', '{}', 'jsonschema', 'json')], [[(1, 4, b'{}')]])
    for keep in (True, False):
        with pytest.raises(BagError, match=r'none of its messages are of ROS: /state \(json\)'):
            Bag(path, keep_damaged=keep)


def test_a_file_with_a_bad_index_is_read_from_its_start(put):
    data = bytearray(mcap([WORDS], CHUNKS))
    begin = data.rindex(record(15, struct.pack('<I', 0))) + 13
    data[begin + 9 : begin + 40] = b'\xff' * 31
    path = put([WORDS], CHUNKS)
    path.write_bytes(data)
    assert read(path) == [(3, 'a'), (5, 'b'), (5, 'c'), (9, 'd')]


def test_a_cut_file_says_where_it_was_cut_in_words(put):
    path = put([WORDS], CHUNKS, chunked=False)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(string('d'))])
    with pytest.raises(BagError, match=r'a\.mcap: cut in the record at byte \d+ of \d+; before'):
        Bag(path)
    assert read(path, keep_damaged=True) == [(3, 'a'), (5, 'b')]


def test_a_cut_chunk_gives_its_messages_before_the_cut(put):
    path = put([WORDS], [[*CHUNKS[0], *CHUNKS[1]]])
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(string('d')) + 3])
    assert read(path, keep_damaged=True) == [(3, 'a'), (5, 'b')]
    with pytest.raises(BagError, match='cut in the record at byte'):
        Bag(path)


def test_messages_of_ros_1_in_mcap_are_translated(put):
    store = get_typestore(Stores.ROS1_NOETIC)
    kinds = store.types
    time = kinds['builtin_interfaces/msg/Time'](3, 4)
    header = kinds['std_msgs/msg/Header'](7, time, '/cam')
    image = kinds[IMAGE](header, 2, 3, 'mono8', 0, 3, np.arange(6, dtype=np.uint8))
    definition, _ = store.generate_msgdef(IMAGE)
    data = bytes(store.serialize_ros1(image, IMAGE))
    for text, latching in ((definition, '1'), ('', '0')):
        old = Channel(
            '/image', 'sensor_msgs/Image', text, 'ros1msg', 'ros1', {'latching': latching}
        )
        with Bag(put([old], [[(1, 5, data)]], profile='ros1')) as bag:
            assert bag.find_images() == '/image'
            assert bag.topics[0].latched == (latching == '1')
            frame = next(bag.frames())
            assert (frame.stamp_ns, frame.frame_id) == (3_000_000_004, 'cam')
            np.testing.assert_array_equal(frame.image, np.arange(6).reshape(2, 3))
            raw = next(bag.raw())
            assert typestore().deserialize_cdr(raw.data, IMAGE).width == 3


@pytest.mark.parametrize('topic', ['/tf_static', '/robot/tf_static'])
def test_tf_static_is_latched_whatever_the_bag_says(put, topic):
    message = COMPOSER.tf(COMPOSER.transform(COMPOSER.header(5, 'a'), 'b', np.eye(4)))
    data = bytes(typestore().serialize_cdr(message, TF))
    both = [Channel(topic, TF), Channel('/tf', TF)]
    with Bag(put(both, [[(1, 5, data), (2, 5, data)]])) as bag:
        assert {t.name: t.latched for t in bag.topics} == {topic: True, '/tf': False}


@pytest.mark.parametrize('said', ['- durability: 1\n', '- durability: transient_local\n'])
def test_a_file_says_what_is_latched(put, said):
    latched = Channel('/words', TEXT, notes={'offered_qos_profiles': said})
    with Bag(put([latched], CHUNKS)) as bag:
        assert bag.topics[0].latched


# SQLite3


@pytest.fixture
def database(tmp_path, small_bag):
    writer = Writer(tmp_path / 'db', version=8, storage_plugin=StoragePlugin.SQLITE3)
    with Bag(small_bag) as bag, writer:
        links = {
            t.name: writer.add_connection(t.name, t.msgtype, typestore=typestore())
            for t in bag.topics
        }
        for raw in bag.raw():
            writer.write(links[raw.topic], raw.stamp_ns, raw.data)
    return tmp_path / 'db' / 'db.db3'


@pytest.mark.parametrize(
    'changes',
    [
        'DROP TABLE message_definitions',
        'DROP TABLE schema',
        'DELETE FROM schema; ALTER TABLE topics DROP COLUMN type_description_hash',
        'UPDATE schema SET schema_version = 99',
        'DROP INDEX timestamp_idx; UPDATE topics SET serialization_format = ""',
        "UPDATE message_definitions SET encoded_message_definition = 'nonsense {'",
        "UPDATE message_definitions SET encoding = 'unknown'",
        "UPDATE topics SET offered_qos_profiles = ': no yaml ['",
    ],
)
@pytest.mark.parametrize('metadata', [True, False])
def test_databases_of_other_versions_and_makers(database, small_bag, changes, metadata):
    base = sqlite3.connect(database)
    base.executescript(changes)
    base.close()
    if not metadata:
        (database.parent / 'metadata.yaml').unlink()
    with Bag(database.parent) as bag, Bag(small_bag) as wanted:
        assert list(bag.raw()) == list(wanted.raw())
        assert len(list(bag.frames())) == 12
        assert len(bag.trajectory().stamps_ns) == 12


# metadata.yaml


def change(folder, do):
    path = folder / 'metadata.yaml'
    data = yaml.safe_load(path.read_text())
    do(data['rosbag2_bagfile_information'])
    path.write_text(yaml.safe_dump(data))


def _qos(value):
    def do(info):
        for topic in info['topics_with_message_count']:
            topic['topic_metadata']['offered_qos_profiles'] = value

    return do


def _topics(info):
    for topic in info['topics_with_message_count']:
        topic['message_count'] = 0
        topic['topic_metadata']['type'] = 'std_msgs/msg/String'
        topic['topic_metadata']['type_description_hash'] = 'RIHS01_0'


@pytest.mark.parametrize(
    'do',
    [
        _qos(''),
        _qos([]),
        _qos('- durability: 2\n  history: 1\n'),
        _qos('no yaml: ['),
        _topics,
        lambda info: info.update(topics_with_message_count=[]),
        lambda info: info.update(message_count=0, duration={'nanoseconds': 0}),
        lambda info: info.update(compression_mode='message', compression_format='zstd'),
        lambda info: info.update(compression_mode='FILE', compression_format='zstd'),
        lambda info: info.update(compression_mode='file', compression_format='lz4'),
        lambda info: info.update(version=99, storage_identifier='my_storage'),
        lambda info: info.update(relative_file_paths=['small/small.mcap']),
        lambda info: info.update(relative_file_paths=[]),
        lambda info: [info.pop(key) for key in list(info) if key != 'version'],
    ],
)
def test_metadata_does_not_decide_what_the_files_say(small_bag, tmp_path, do):
    with Bag(small_bag) as bag:
        wanted, topics = list(bag.raw()), bag.topics
    change(small_bag, do)
    with Bag(small_bag) as bag:
        assert list(bag.raw()) == wanted
        assert bag.topics == topics
        assert not bag.damage


def test_what_only_metadata_knows_of_latched_topics_counts(put, tmp_path):
    put([WORDS], CHUNKS)
    info = {
        'relative_file_paths': ['a.mcap'],
        'topics_with_message_count': [
            {'topic_metadata': {'name': '/words', 'offered_qos_profiles': '- durability: 1'}}
        ],
    }
    (tmp_path / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': info}))
    with Bag(tmp_path) as bag:
        assert bag.topics[0].latched


def test_renamed_files_are_read_with_a_note(small_bag):
    (small_bag / 'small.mcap').rename(small_bag / 'kitchen.mcap')
    with Bag(small_bag) as bag:
        assert len(list(bag.frames())) == 12
        assert any('small.mcap, there is kitchen.mcap' in note for note in bag.notes)


@pytest.mark.parametrize('suffix', ['.db3', '.bag'])
def test_a_file_is_what_its_first_bytes_say(small_bag, suffix):
    (small_bag / 'small.mcap').rename(small_bag / f'small{suffix}')
    (small_bag / 'metadata.yaml').unlink()
    with Bag(small_bag / f'small{suffix}') as bag:
        assert len(list(bag.frames())) == 12


def test_a_file_that_metadata_does_not_name_is_noted(small_bag, put, tmp_path):
    shutil.copy(put([WORDS], CHUNKS), small_bag / 'other.mcap')
    with Bag(small_bag) as bag:
        assert '/words' not in {topic.name for topic in bag.topics}
        assert any('other.mcap is not read' in note for note in bag.notes)


def test_fewer_messages_than_metadata_counts_are_noted(small_bag):
    change(small_bag, lambda info: info.update(message_count=1000))
    with Bag(small_bag) as bag:
        assert any('counts 1000 messages, its files hold' in note for note in bag.notes)


@pytest.mark.parametrize('plugin', [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
@pytest.mark.parametrize('mode', [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize('metadata', [True, False])
def test_compressed_files_and_messages_are_recognised(tmp_path, small_bag, plugin, mode, metadata):
    writer = Writer(tmp_path / 'z', version=8, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with Bag(small_bag) as bag, writer:
        wanted = list(bag.raw())
        links = {
            t.name: writer.add_connection(t.name, t.msgtype, typestore=typestore())
            for t in bag.topics
        }
        for raw in wanted:
            writer.write(links[raw.topic], raw.stamp_ns, raw.data)
    if not metadata:
        (tmp_path / 'z' / 'metadata.yaml').unlink()
    with Bag(tmp_path / 'z') as bag:
        assert list(bag.raw()) == wanted
