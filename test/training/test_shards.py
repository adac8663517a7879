"""Samples in files: made once, the same for everybody, never mixed with others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcv.data.world import GaitShares, SampleConfig
from dlcv.training.recipe import Sample, TrainError
from dlcv.training.shards import KeptSamples, RenewedSamples, _of_worlds, kept


class Counted:
    """Samples that say how often they were made."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __getitem__(self, index: int) -> Sample:
        self.made.append(index)
        picture = np.full((3, 2, 2), index, np.uint8)
        return {'picture': picture, 'length': np.asarray(index / 2, np.float32)}


def keep(samples: Counted, folder: Path, made_by: str = 'a', seed: int = 0) -> KeptSamples:
    return KeptSamples(
        samples, count=10, per_shard=4, folder=folder, made_by={'by': made_by}, seed=seed
    )


def test_samples_are_those_of_the_source_with_their_types(tmp_path: Path) -> None:
    source = Counted()
    row = keep(source, tmp_path)
    for index in range(10):
        sample = row[index]
        assert sample['picture'].dtype == np.uint8
        assert np.array_equal(sample['picture'], np.full((3, 2, 2), index))
        assert sample['length'].shape == ()
        assert sample['length'].dtype == np.float32
        assert float(sample['length']) == index / 2


def test_each_is_made_once_even_for_later_runs(tmp_path: Path) -> None:
    first, second = Counted(), Counted()
    rows = keep(first, tmp_path), keep(second, tmp_path)
    for row in rows:
        for index in range(25):
            row[index]
    assert first.made == list(range(12))  # whole shards
    assert second.made == []


def test_later_rounds_take_all_of_them_in_another_order(tmp_path: Path) -> None:
    def numbers(row: KeptSamples, turn: int) -> list[int]:
        return [int(row[10 * turn + i]['picture'][0, 0, 0]) for i in range(10)]

    row = keep(Counted(), tmp_path)
    rounds = [numbers(row, turn) for turn in range(3)]
    assert all(sorted(order) == list(range(10)) for order in rounds)
    assert rounds[0] != rounds[1] != rounds[2]
    assert rounds == [numbers(keep(Counted(), tmp_path), turn) for turn in range(3)]
    assert rounds[1] != numbers(keep(Counted(), tmp_path, seed=1), 1)


def test_others_than_those_asked_for_are_refused(tmp_path: Path) -> None:
    keep(Counted(), tmp_path)[0]
    with pytest.raises(TrainError, match=r"by was 'a' and is now 'b'; name another folder"):
        keep(Counted(), tmp_path, made_by='b')[0]


def test_a_half_written_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / '000000.1.part').write_bytes(b'half')
    assert int(keep(Counted(), tmp_path)[1]['picture'][0, 0, 0]) == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(TrainError, match='file/000000'):
        keep(Counted(), tmp_path / 'file')[0]


def test_without_a_folder_nothing_repeats() -> None:
    source = Counted()
    row = kept(source, count=2, per_shard=2, folder='', made_by={}, seed=0)
    assert [int(row[i]['picture'][0, 0, 0]) for i in range(5)] == list(range(5))


def test_counts_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match='got 0 and 4'):
        KeptSamples(Counted(), count=0, per_shard=4, folder=tmp_path, made_by={}, seed=0)


def renew(samples: Counted, folder: Path, seed: int = 0) -> RenewedSamples:
    return RenewedSamples(
        samples, per_shard=4, window=3, uses=2, folder=folder, made_by={'by': 'a'}, seed=seed
    )


def number_of(sample: Sample) -> int:
    return int(sample['picture'][0, 0, 0])


def test_renewed_samples_come_from_a_window_that_moves_on(tmp_path: Path) -> None:
    row = renew(Counted(), tmp_path)
    for index in range(200):
        shard = number_of(row[index]) // 4
        assert index // 8 <= shard < index // 8 + 3


def test_renewed_samples_are_taken_as_often_as_asked_and_made_once(tmp_path: Path) -> None:
    source = Counted()
    row = renew(source, tmp_path)
    taken = [number_of(row[index]) for index in range(400)]
    inner = [number for number in taken if 12 <= number < 192]
    assert len(inner) / 180 == pytest.approx(2, abs=0.25)
    assert len(source.made) == len(set(source.made))


def test_renewed_samples_are_a_function_of_their_number(tmp_path: Path) -> None:
    row = renew(Counted(), tmp_path / 'a')
    taken = [number_of(row[index]) for index in range(100)]
    resumed = renew(Counted(), tmp_path / 'a')  # as a run that was killed goes on
    assert [number_of(resumed[index]) for index in range(60, 100)] == taken[60:]
    assert [number_of(resumed[index]) for index in range(20)] == taken[:20]  # from long ago
    other = renew(Counted(), tmp_path / 'b', seed=1)
    assert [number_of(other[index]) for index in range(100)] != taken


def test_renewed_samples_leave_few_files(tmp_path: Path) -> None:
    row = renew(Counted(), tmp_path)
    for index in range(400):
        row[index]
    assert len(list(tmp_path.iterdir())) <= 3 + 2
    with pytest.raises(TrainError, match='uses >= 1'):
        RenewedSamples(
            Counted(), per_shard=1, window=1, uses=0, folder=tmp_path, made_by={}, seed=0
        )


def test_files_of_before_there_were_gaits_are_still_read() -> None:
    _, made_by = _of_worlds(SampleConfig(), (), 0)
    assert 'gaits' not in made_by['worlds']
    _, other = _of_worlds(SampleConfig(gaits=GaitShares(still=0.1)), (), 0)
    assert other['worlds']['gaits']['still'] == 0.1
    assert {**other['worlds'], 'gaits': None} == {**made_by['worlds'], 'gaits': None}
