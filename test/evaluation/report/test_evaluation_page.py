"""The page says what the evaluation says, safely, and needs nothing else."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from dlcv.evaluation.report.evaluation_page import (
    LARGEST_SIDE,
    data_url,
    page,
    script_hash,
    write_page,
)
from dlcv.evaluation.scoring.model import (
    Evaluation,
    Metric,
    Moment,
    NodeResult,
    Plot,
    Section,
    Series,
)

VOID = {'meta', 'br', 'img', 'hr', 'input', 'link'}
EVIL = '<img src=http://evil.example/x onerror=alert(1)>"\'&</script></style>'
SHA = '0123456789abcdef' * 4


class Reader(HTMLParser):
    """Keeps what a browser would see: elements, their attributes, and the text outside scripts."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.text = [], [], ''
        self.feed(html)
        self.close()

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f'</{tag}> closes nothing'
        assert self.open.pop() == tag
        self.text += ' ' if tag in {'td', 'th', 'dt', 'dd'} else ''

    def handle_data(self, data):
        if self.open and self.open[-1] not in {'script', 'style'}:
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def words(self):
        return ' '.join(self.text.split())


def node(**changes):
    values = {
        'name': 'flownet',
        'images': 200,
        'answered': 187,
        'longest_gap': 1.25,
        'outcomes': {'processed': 187, 'superseded': 13},
        'inference_ms': (41.5, 48.0, 66.25, 140.2),
        'age_ms': (51.5, 58.0, 76.25, 150.2),
        'cpu': 0.52,
        'memory_mb': 688.4,
        'trained': True,
        'weights': 'flownet_c',
        'weights_sha256': SHA,
        'device': 'cpu',
        'message': '41.5 ms',
    }
    return NodeResult(**(values | changes))


def picture(value=128, height=24, width=32):
    return np.full((height, width, 3), value, np.uint8)


def moment(title='sample'):
    return Moment(
        stamp_ns=12_000_000_345,
        title=title,
        pictures=(('input', picture()), ('grey', picture()[..., 0])),
    )


def metric(**changes):
    return replace(
        Metric(
            name='ATE (SE3)',
            value=3.21449,
            unit='m',
            better='low',
            doc='Distance after alignment.',
            source='Sturm et al., IROS 2012',
            samples=(1.0,) * 1200,
        ),
        **changes,
    )


def path_plot(count=5000):
    angles = np.linspace(0, 6, count)
    return Plot(
        title='Path from above',
        x='x (m)',
        y='z (m)',
        equal=True,
        series=(
            Series(name='deepvo', x=np.cos(angles), y=np.sin(angles)),
            Series(name='truth', x=np.cos(angles), y=angles, style='truth'),
        ),
    )


@pytest.fixture
def evaluation():
    return Evaluation(
        title='a drive',
        mode='real-time',
        facts={'command': 'dlcv evaluate drive.mcap --mode real-time', 'host': 'Linux, 2 cores'},
        nodes=(
            node(),
            node(name='deepvo', trained=False, weights_sha256='', cpu=None, inference_ms=()),
        ),
        sections=(
            Section(
                name='odometry',
                title='Odometry',
                metrics=(metric(), metric(name='t_rel', value=None, why='no truth', samples=())),
                plots=(path_plot(),),
                moments=(moment('worst error: 9.1 m'),),
                notes=('Lengths over 100 m do not fit.',),
            ),
        ),
        samples=(moment(),),
        warnings=('the bag is truncated',),
    )


def test_it_is_written_where_it_was_asked_for(evaluation, tmp_path):
    path = write_page(evaluation, tmp_path / 'deep' / 'out')
    assert path == tmp_path / 'deep' / 'out' / 'index.html'
    assert path.read_text(encoding='utf-8') == page(evaluation)


def test_every_element_is_closed(evaluation):
    assert Reader(page(evaluation)).open == []


def test_it_says_what_was_found(evaluation):
    words = Reader(page(evaluation)).words
    for said in (
        '2 of 2 nodes answered; least: flownet, 93.5 % of 200 images.',
        '1 warning the bag is truncated',
        'Untrained networks: deepvo.',
        '187 of 200 1.25 s 187 13',
        '41.5 48.0 66.2 140 51.5 58.0 76.2 150 0.52 688',
        'UNTRAINED',
        'ATE (SE3) 3.214 m',
        'Distance after alignment. \N{MIDDLE DOT} Sturm et al., IROS 2012 \N{MIDDLE DOT} n = 1,200',
        'Lengths over 100 m do not fit.',
        'worst error: 9.1 m at 12.000000345 s',
        'dlcv evaluate drive.mcap --mode real-time',
        'host Linux, 2 cores',
        SHA,
    ):
        assert said in words


@pytest.mark.parametrize('value', [None, float('nan')])
def test_a_metric_without_a_value_says_why(evaluation, value):
    section = replace(
        evaluation.sections[0], metrics=(metric(value=value, why='no truth', samples=()),)
    )
    words = Reader(page(replace(evaluation, sections=(section,)))).words
    assert 'ATE (SE3) no truth' in words
    assert 'nan' not in words


def test_what_is_missing_does_not_appear():
    bare = Evaluation(title='bare', mode='recording', facts={}, nodes=())
    reader = Reader(page(bare))
    assert 'No node took part.' in reader.words
    assert not reader.all('table')
    assert not reader.all('h2')


def test_columns_nobody_filled_are_left_out(evaluation):
    silent = node(inference_ms=(), age_ms=(), cpu=None, memory_mb=None, outcomes={})
    words = Reader(page(replace(evaluation, nodes=(silent,)))).words
    assert 'Time and load' not in words
    only_cpu = node(inference_ms=(), age_ms=(), memory_mb=None)
    words = Reader(page(replace(evaluation, nodes=(only_cpu,)))).words
    assert 'CPU, cores' in words
    assert 'Inference' not in words
    assert 'Memory' not in words


def evil_one():
    return Evaluation(
        title=EVIL,
        mode='lock-step',
        facts={'command': EVIL, EVIL: EVIL},
        nodes=(
            node(
                name=EVIL,
                outcomes={EVIL: 1},
                weights=EVIL,
                weights_sha256=EVIL,
                device=EVIL,
                message=EVIL,
            ),
        ),
        sections=(
            Section(
                name=EVIL,
                title=EVIL,
                metrics=(
                    Metric(name=EVIL, value=1.0, unit=EVIL, doc=EVIL, source=EVIL),
                    Metric(name=EVIL, value=None, why=EVIL),
                ),
                plots=(
                    Plot(
                        title=EVIL,
                        x=EVIL,
                        y=EVIL,
                        series=(Series(name=EVIL, x=np.zeros(1), y=np.zeros(1)),),
                    ),
                ),
                moments=(Moment(stamp_ns=0, title=EVIL, pictures=((EVIL, picture()),)),),
                notes=(EVIL,),
            ),
        ),
        warnings=(EVIL,),
    )


def test_what_comes_from_elsewhere_is_text(evaluation):
    html = page(evil_one())
    reader = Reader(html)
    assert '<img src=http' not in html
    assert reader.open == []
    assert not any('onerror' in attrs for _, attrs in reader.elements)
    assert len(reader.all('script')) == len(reader.all('style')) == 1
    assert reader.text.count(EVIL) > 20


@pytest.mark.parametrize('make', [evil_one, None])
def test_it_needs_nothing_from_outside(evaluation, make):
    html = page(make() if make else evaluation)
    reader = Reader(html)
    assert all(attrs['src'].startswith('data:image/jpeg;base64,') for attrs in reader.all('img'))
    for tag, attrs in reader.elements:
        assert 'src' not in attrs or tag == 'img'
        assert attrs.get('href', '#').startswith('#')
    assert not {'link', 'iframe', 'object', 'base', 'form'} & {tag for tag, _ in reader.elements}
    style, script = (
        re.search(f'<{t}>(.*?)</{t}>', html, re.DOTALL)[1] for t in ('style', 'script')
    )
    assert 'url(' not in style
    assert '@import' not in style
    assert not re.search(r'\b(fetch|import|XMLHttpRequest|innerHTML)\b', script)


def test_the_policy_allows_the_script_of_the_page_and_no_other(evaluation):
    html = page(evaluation)
    (policy,) = (m['content'] for m in Reader(html).all('meta') if 'http-equiv' in m)
    script = re.search('<script>(.*?)</script>', html, re.DOTALL)[1]
    assert "default-src 'none'" in policy
    assert policy.endswith(f"script-src '{script_hash(script)}'")


def test_links_of_the_page_lead_somewhere(evaluation):
    reader = Reader(page(evaluation))
    ids = {attrs['id'] for _, attrs in reader.elements if 'id' in attrs}
    links = {attrs['href'] for attrs in reader.all('a')}
    assert links == {'#task-1'}
    assert {link[1:] for link in links} <= ids


def test_tables_and_pictures_can_be_read_aloud(evaluation):
    reader = Reader(page(evaluation))
    assert len(reader.all('caption')) == len(reader.all('table')) == 4
    assert all('scope' in attrs for attrs in reader.all('th'))
    assert all(attrs['alt'] for attrs in reader.all('img'))
    axes = [a for a in reader.all('svg') if a.get('class') == 'axes']
    assert axes[0]['aria-label'].startswith(
        'Path from above: z (m) over x (m). deepvo: 5000 points'
    )


def test_each_series_has_a_line_and_a_legend(evaluation):
    reader = Reader(page(evaluation))
    classes = [p['class'] for p in reader.all('path')]
    assert classes == ['truth color-0', 'line color-1'] * 2  # keys of the legend, then lines
    assert [len(p['d']) < 60_000 for p in reader.all('path')] == [True] * 4
    assert 'Path from above truth deepvo z (m)' in reader.words


def test_a_plot_of_nothing_says_so(evaluation):
    empty = Plot(title='Errors', x='s', y='m', series=())
    section = replace(evaluation.sections[0], plots=(empty,))
    words = Reader(page(replace(evaluation, sections=(section,)))).words
    assert 'Errors No data.' in words


def test_pictures_are_in_the_page(evaluation):
    images = Reader(page(evaluation)).all('img')
    assert len(images) == 4
    data = base64.b64decode(images[0]['src'].partition(',')[2])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (24, 32, 3)
    assert abs(int(decoded.mean()) - 128) <= 2


def test_red_stays_red():
    red = picture()
    red[:] = 250, 10, 10
    data = base64.b64decode(data_url(red).partition(',')[2])
    b, g, r = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).mean((0, 1))
    assert r > 240 > 30 > max(b, g)


def test_large_pictures_are_made_smaller():
    data = base64.b64decode(data_url(picture(height=300, width=2400)).partition(',')[2])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (LARGEST_SIDE // 8, LARGEST_SIDE, 3)
