"""A stand-in for `dlcv evaluate` whose doings are written in the bag."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dlcv.evaluation.scoring.files import write_json
from dlcv.evaluation.scoring.model import Evaluation, Metric, NodeResult, Section

FAKE = '''
"""Do what the bag says, after leaving a mark that it was begun."""
import os, signal, sys, time
from pathlib import Path

journal, bag, *options = sys.argv[1:]
out = Path(options[options.index('-o') + 1])
words = Path(bag).read_text().split() or ['ok']
marks = Path(journal)
begun = len(list(marks.glob(f'{Path(bag).stem}.*')))
(marks / f'{Path(bag).stem}.{time.time_ns()}').write_text(f'{os.getpid()} {" ".join(options)}')
print('evaluating', bag, flush=True)
match words:
    case ['fail']:
        sys.exit('the bag is bad')
    case ['fail', 'first', count] if begun < int(count):
        sys.exit('not yet')
    case ['die']:
        os.kill(os.getpid(), signal.SIGSEGV)
    case ['wait', path]:
        while not Path(path).exists():
            time.sleep(0.02)
    case ['deaf']:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
text = (marks / 'evaluation.json').read_text()
(out / 'evaluation.json').write_text(text[:100] if words == ['torn'] else text)
(out / 'page').mkdir()
(out / 'page' / 'large.bin').write_bytes(bytes(100_000))
'''


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A folder with bags and a matrix file, and a program that runs their cells."""

    folder: Path
    program: tuple[str, ...]
    journal: Path

    @property
    def matrix(self) -> Path:
        return self.folder / 'matrix.yaml'

    @property
    def out(self) -> Path:
        return self.folder / 'out'

    def write(self, bags: dict[str, str], more: str = 'configurations: {default: {}}') -> Path:
        """Write bags, by name and what they say, and a matrix of them."""
        for name, text in bags.items():
            (self.folder / f'{name}.mcap').write_text(text)
        entries = ''.join(f'  {name}: {name}.mcap\n' for name in bags)
        self.matrix.write_text(f'bags:\n{entries}{more}\n')
        return self.matrix

    def begun(self, bag: str) -> list[str]:
        """Return the process and options of each run of a bag so far."""
        return [path.read_text() for path in sorted(self.journal.glob(f'{bag}.*'))]


@pytest.fixture
def evaluation() -> Callable[..., Evaluation]:
    """Makes an evaluation with an error of odometry."""

    def make(ate: float | None = 0.25) -> Evaluation:
        metrics = (
            Metric(name='ATE (Sim3)', value=ate, unit='m', better='low', samples=(0.1, 0.4)),
            Metric(name='t_rel', value=None, unit='%', better='low', why='path too short'),
        )
        node = NodeResult(
            name='deepvo', images=80, answered=79, longest_gap=0.2, inference_ms=(12.34, 20, 30, 40)
        )
        return Evaluation(
            title='A walk',
            mode='in-process',
            facts={},
            nodes=(node,),
            sections=(Section(name='odometry', title='Odometry', metrics=metrics),),
        )

    return make


@pytest.fixture
def desk(tmp_path: Path, evaluation: Callable[..., Evaluation]) -> Desk:
    journal = tmp_path / 'journal'
    journal.mkdir()
    write_json(evaluation(), journal / 'evaluation.json')
    (tmp_path / 'fake.py').write_text(FAKE)
    program = (sys.executable, '-S', str(tmp_path / 'fake.py'), str(journal))
    return Desk(folder=tmp_path, program=program, journal=journal)
