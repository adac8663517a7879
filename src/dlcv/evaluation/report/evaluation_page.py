"""The page of an evaluation: one HTML file that needs nothing else, and reads well without script.

The templates hold all markup, and escape all that comes from a bag, a node or a user. A content
security policy allows the page its own script, pictures inside the page, and nothing from outside.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from dlcv.evaluation.report import wording
from dlcv.evaluation.report.plots import SIZE, draw
from dlcv.evaluation.scoring.model import Evaluation
from dlcv.files import write_whole
from dlcv.types import ByteImage

if TYPE_CHECKING:
    from jinja2 import Environment

LARGEST_SIDE = 960  # pixels of a picture in the page
QUALITY = 88  # of JPEG


def write_page(evaluation: Evaluation, folder: Path) -> Path:
    """Write ``index.html`` and return its path.

    Args:
        evaluation: What to show.
        folder: Where; made when missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'index.html'
    write_whole(path, page(evaluation))
    return path


def page(evaluation: Evaluation) -> str:
    """Return the page as HTML."""
    from markupsafe import Markup  # jinja2's own; both come with the extra `eval`

    script = _file('evaluation.js')
    return (
        _environment()
        .get_template('evaluation.html')
        .render(
            evaluation=evaluation,
            style=Markup(_file('evaluation.css')),  # noqa: S704  (our own file)
            script=Markup(script),  # noqa: S704  (our own file)
            script_hash=script_hash(script),
        )
    )


def script_hash(script: str) -> str:
    """Return the source expression by which a content security policy knows a script."""
    return f'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'


def data_url(image: ByteImage) -> str:
    """Return an RGB or grey image as a JPEG in a data URL, no larger than a screen needs."""
    import cv2

    scale = min(1.0, LARGEST_SIDE / max(image.shape[:2]))
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.ndim == 3 else cv2.COLOR_GRAY2BGR)
    if scale < 1:
        bgr = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return f'data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}'


def seconds(stamp_ns: int) -> str:
    """Return a stamp in seconds, to the nanosecond."""
    return f'{stamp_ns // 10**9}.{stamp_ns % 10**9:09d}'


def _file(name: str) -> str:
    return resources.files('dlcv.evaluation.report').joinpath(name).read_text(encoding='utf-8')


def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_file),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {'draw': draw, 'data_url': data_url, 'seconds': seconds}
    environment.globals |= {'say': wording, 'size': SIZE}
    return environment
