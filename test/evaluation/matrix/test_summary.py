"""What came of a matrix, as JSON and as tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcv.evaluation.matrix import Cell, Result, Summary
from dlcv.evaluation.matrix.summary import to_json, to_markdown


def cell(bag: str, configuration: str) -> Cell:
    return Cell(bag=bag, configuration=configuration, arguments=(Path(bag),))


@pytest.fixture
def summary(evaluation) -> Summary:
    def finished(bag: str, configuration: str, ate: float | None, **more) -> Result:
        told = {'state': 'done', 'tries': 1, 'seconds': 41.23, 'host': 'lab', **more}
        return Result(cell=cell(bag, configuration), evaluation=evaluation(ate), **told)

    return Summary(
        title='Nightly',
        columns={},
        results=(
            finished('kitti', 'default', 0.25),
            finished('kitti', 'small', 0.5, state='skipped'),
            finished('kitchen', 'default', 0.75, tries=2),
            Result(
                cell=cell('kitchen', 'small'), state='failed', tries=3, seconds=2, host='lab',
                error='exit code 1', log='one\nlast',
            ),
            Result(cell=cell('yard', 'small'), state='open'),
        ),
    )  # fmt: skip


def table(text: str, title: str) -> list[str]:
    return text.partition(f'{title}\n\n')[2].partition('\n\n')[0].splitlines()


def test_states(summary):
    text = to_markdown(summary)
    assert text.startswith('# Nightly\n\n5 cells: 2 done, 1 skipped, 1 failed, 1 not finished. ')
    assert '| kitti | [default](cells/kitti/default/) | done | 41.2 | lab |' in text
    assert '| kitti | [small](cells/kitti/small/) | skipped | 41.2 | lab |' in text
    assert '| kitchen | [default](cells/kitchen/default/) | done (try 2) | 41.2 | lab |' in text
    assert '| [small](failed/kitchen/small/) | failed after 3 tries | 2.0 | lab |' in text
    assert '| yard | small | not run |  |  |' in text


def test_numbers_with_the_best_of_each_bag(summary):
    assert table(to_markdown(summary), '## Odometry') == [
        '| bag | configuration | ATE (Sim3) (m) ↓ |',
        '| --- | --- | ---: |',
        '| kitti | [default](cells/kitti/default/) | **0.250** |',
        '| kitti | [small](cells/kitti/small/) | 0.500 |',
        '| kitchen | [default](cells/kitchen/default/) | 0.750 |',
    ]


def test_chosen_columns_and_why_there_is_no_number(summary):
    chosen = Summary(title='', results=summary.results[:1], columns={'odometry': ['t_rel', 'RPE']})
    assert table(to_markdown(chosen), '## Odometry') == [
        '| bag | configuration | t_rel (%) ↓ | RPE |',
        '| --- | --- | ---: | ---: |',
        '| kitti | [default](cells/kitti/default/) | path too short | - |',
    ]


def test_nodes_and_failures(summary):
    text = to_markdown(summary)
    assert '| kitti | [default](cells/kitti/default/) | 79/80, 12.3 ms |' in text
    assert text.endswith(
        '### kitchen / small\n\nfailed after 3 tries: exit code 1\n\n```text\none\nlast\n```\n'
    )


def test_json(summary):
    data = json.loads(to_json(summary))
    assert data['schema'] == 'dlcv-matrix/1'
    first, _, _, failed, _ = data['cells']
    assert first['sections']['odometry']['ATE (Sim3)'] == {
        'value': 0.25, 'unit': 'm', 'better': 'low', 'why': ''
    }  # fmt: skip
    assert first['nodes']['deepvo']['median_inference_ms'] == 12.34
    assert first['folder'] == 'cells/kitti/default'
    assert (failed['state'], failed['tries'], failed['log']) == ('failed', 3, 'one\nlast')


def test_a_number_that_is_none_is_null(evaluation):
    result = Result(cell=cell('a', 'b'), state='done', tries=1, evaluation=evaluation(float('nan')))
    text = to_json(Summary(title='', results=(result,), columns={}))
    assert json.loads(text)['cells'][0]['sections']['odometry']['ATE (Sim3)']['value'] is None


@pytest.mark.parametrize(
    ('keep', 'interrupted', 'code'), [(3, False, 0), (4, False, 1), (5, False, 1), (5, True, 130)]
)
def test_exit_code(summary, keep, interrupted, code):
    part = Summary(title='', results=summary.results[:keep], columns={}, interrupted=interrupted)
    assert part.exit_code == code
