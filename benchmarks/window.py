"""Time and accuracy of odometry's least squares beside SciPy's and OpenCV's, in the same run.

    python benchmarks/window.py [--runs 5] [--keyframes 10] [--landmarks 1000] [--sights 6000]

Windows of a drive past points 3 to 30 m away, with one pixel of noise in every picture (focal
length 500 pixels), some of the matches wrong, started 2 cm, 0.2 degrees and a fifth of the depth
off. SciPy gets the same residuals with their exact sparse Jacobian. One new picture of 600 of the
points beside OpenCV's PnP and triangulation. Methods run by turns; times are of the process.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')  # before NumPy reads it: one core for everybody

import cv2
import numpy as np
import scipy
from scipy.optimize import least_squares
from scipy.sparse import coo_matrix, csr_matrix, identity, vstack
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.perturbation import moved_by
from dlcv.estimation.odometry.pose import Landmarks, refine_pose
from dlcv.estimation.odometry.reprojection import along, by_vector, reproject, turned
from dlcv.estimation.odometry.triangulation import triangulate
from dlcv.estimation.odometry.window import Window, adjust
from dlcv.geometry.trajectory import extent, rigid

PIXEL = 1 / 500
OUTLIERS = (0.0, 0.1, 0.3)
WIDTH = 0.64  # from the middle to the edge of a picture, normalised
SEEN = 600  # points of one new picture
SOLVER = {'atol': 1e-8, 'btol': 1e-8}  # SciPy's own tolerances end it centimetres away

Result = tuple[float, float]  # degrees, centimetres


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Drive:
    """A window to adjust, and the truth."""

    poses: Any
    inverse_depth: Any
    window: Window


def drive(seed: int, outliers: float, keyframes: int, landmarks: int, sights: int) -> Drive:
    """Return a window whose first two poses are true and stand still."""
    rng = np.random.default_rng(seed)
    poses = np.stack(
        [
            rigid(
                Rotation.from_rotvec(0.02 * rng.normal(size=3)).as_matrix(),
                [0.2 * math.sin(k), 0.05 * k, 0.3 * k],
            )
            for k in range(keyframes)
        ]
    )
    anchor = rng.integers(0, keyframes, landmarks)
    rays = rng.uniform(-0.5, 0.5, (landmarks, 2))
    inverse_depth = 1 / rng.uniform(3, 30, landmarks)
    cells = np.argwhere(np.arange(keyframes)[:, None] != anchor)
    keyframe, landmark = cells[rng.permutation(len(cells))].T
    xy, ahead = sights_of(poses, anchor, rays, inverse_depth, keyframe, landmark)
    shown = np.nonzero(ahead & (np.abs(xy) < WIDTH).all(1))[0][:sights]
    keyframe, landmark, xy = keyframe[shown], landmark[shown], xy[shown]
    xy += PIXEL * rng.normal(size=xy.shape)
    wrong = rng.random(len(xy)) < outliers
    xy[wrong] = rng.uniform(-0.5, 0.5, (int(wrong.sum()), 2))
    start = poses.copy()
    for k in range(2, keyframes):
        start[k] = moved_by(poses[k], rng.normal(size=6) * np.repeat((0.02, 0.004), 3))
    window = Window(
        odom_from_camera=start,
        fixed=2,
        anchor=anchor,
        rays=rays + PIXEL * rng.normal(size=rays.shape),
        ray_stddev=PIXEL,
        inverse_depth=inverse_depth * np.exp(0.2 * rng.normal(size=landmarks)),
        keyframe=keyframe,
        landmark=landmark,
        xy=xy,
        stddev=PIXEL,
        prior_inverse_depth=np.zeros(landmarks),
        prior_stddev=np.full(landmarks, np.inf),
    )
    return Drive(poses=poses, inverse_depth=inverse_depth, window=window)


def sights_of(
    poses: Any, anchor: Any, rays: Any, inverse_depth: Any, keyframe: Any, landmark: Any
) -> tuple[Any, Any]:
    """Return where landmarks are seen ``(M, 2)``, and whether they are in front ``(M,)``."""
    own = anchor[landmark]
    ray = np.column_stack((rays, np.ones(len(rays))))[landmark]
    seen = reproject(
        np.moveaxis(poses[keyframe, :3, :3], 0, -1),
        np.einsum('mij,mj->im', poses[own, :3, :3], ray),
        (poses[own, :3, 3] - poses[keyframe, :3, 3]).T,
        inverse_depth[landmark],
    )
    return seen.xy.T.copy(), seen.ahead


class SparseProblem:
    """The same squares for SciPy: residuals and their sparse Jacobian of one vector."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.free = len(window.odom_from_camera) - window.fixed
        self.landmarks = len(window.anchor)
        self.own = window.anchor[window.landmark]

    def state(self, x: Any) -> tuple[Any, Any, Any]:
        """Return poses, rays and inverse depths at ``x``."""
        window, poses = self.window, self.window.odom_from_camera.copy()
        steps = x[: 6 * self.free].reshape(-1, 6)
        for k, step in enumerate(steps, window.fixed):
            poses[k] = moved_by(poses[k], step)
        bend, change = np.split(x[6 * self.free :].reshape(3, -1), (2,))
        return poses, window.rays + PIXEL * bend.T, window.inverse_depth + change[0]

    def residuals(self, x: Any) -> Any:
        """Return ``(2 M + 2 L,)``: image points, then rays."""
        xy, _ = sights_of(*self.arguments(x))
        bend = x[6 * self.free : 6 * self.free + 2 * self.landmarks]
        return np.concatenate((((xy - self.window.xy) / PIXEL).T.ravel(), bend))

    def arguments(self, x: Any) -> Any:
        """Return what `sights_of` takes."""
        window = self.window
        poses, rays, depth = self.state(x)
        return poses, window.anchor, rays, depth, window.keyframe, window.landmark

    def jacobian(self, x: Any) -> csr_matrix:
        """Return the derivative of `residuals`; steps of poses are small, as in ours."""
        window, own = self.window, self.own
        poses, rays, depth = self.state(x)
        turn = np.moveaxis(poses[window.keyframe, :3, :3], 0, -1)
        anchors = np.moveaxis(poses[own, :3, :3], 0, -1)
        ray = np.column_stack((rays, np.ones(len(rays))))[window.landmark].T
        bearing = np.einsum('ijm,jm->im', anchors, ray)
        offset = (poses[own, :3, 3] - poses[window.keyframe, :3, 3]).T
        near = depth[window.landmark]
        seen = reproject(turn, bearing, offset, near)
        gradient = by_vector(turn, seen) / PIXEL
        first, count = 6 * window.fixed, len(near)
        by_shift, by_turn = near * gradient, turned(gradient, seen.vector)
        blocks = [
            (6 * window.keyframe - first, np.concatenate((-by_shift, by_turn))),
            (6 * own - first, np.concatenate((by_shift, -turned(gradient, bearing)))),
        ]
        rows, columns, values = [], [], []
        for start, block in blocks:
            for i, part in enumerate(block):
                held = start >= 0
                rows.append(np.concatenate((np.nonzero(held)[0], count + np.nonzero(held)[0])))
                columns.append(np.tile(start[held] + i, 2))
                values.append(part[:, held].ravel())
        parts = [along(gradient, PIXEL * anchors[:, i]) for i in (0, 1)]
        for i, part in enumerate([*parts, along(gradient, offset)]):
            rows.append(np.arange(2 * count))
            columns.append(np.tile(6 * self.free + i * self.landmarks + window.landmark, 2))
            values.append(part.ravel())
        size = 6 * self.free + 3 * self.landmarks
        cells = (np.concatenate(rows), np.concatenate(columns))
        seen_part = coo_matrix((np.concatenate(values), cells), (2 * count, size))
        ray_part = identity(size, format='csr')[6 * self.free : 6 * self.free + 2 * self.landmarks]
        return vstack((seen_part, ray_part), format='csr')


def ours(iterations: int) -> Callable[[Drive], Result]:
    """Return our adjustment."""

    def method(of: Drive) -> Result:
        found = adjust(of.window, iterations=iterations)
        return wrong_by(found.odom_from_camera[-1], of.poses[-1])

    return method


def scipys(loss: str) -> Callable[[Drive], Result]:
    """Return SciPy's trust region, which ends by its own tolerances."""

    def method(of: Drive) -> Result:
        problem = SparseProblem(of.window)
        start = np.zeros(6 * problem.free + 3 * problem.landmarks)
        found = least_squares(
            problem.residuals, start, problem.jacobian, x_scale='jac', loss=loss,
            f_scale=2.0, max_nfev=100, tr_solver='lsmr', tr_options=SOLVER,
        )  # fmt: skip
        return wrong_by(problem.state(found.x)[0][-1], of.poses[-1])

    return method


def picture(of: Drive, outliers: float) -> tuple[Landmarks, Any, Any, Any]:
    """Return landmarks, where one new picture shows them, its true pose, and a prediction."""
    rng = np.random.default_rng(1)
    truth = moved_by(of.poses[-1], np.array([0.05, 0.02, 0.3, 0.01, 0.02, -0.01]))
    count = min(SEEN, len(of.window.anchor))
    poses = np.concatenate((of.poses, truth[None]))
    new = np.full(count, len(of.poses))
    xy, ahead = sights_of(
        poses, of.window.anchor, of.window.rays, of.inverse_depth, new, np.arange(count)
    )
    xy += PIXEL * rng.normal(size=xy.shape)
    wrong = (rng.random(count) < outliers) | ~ahead
    xy[wrong] = rng.uniform(-0.5, 0.5, (int(wrong.sum()), 2))
    landmarks = Landmarks(
        odom_from_anchor=of.poses,
        anchor=of.window.anchor[:count],
        rays=of.window.rays[:count],
        inverse_depth=of.inverse_depth[:count],
        variance=np.zeros(count),
    )
    return landmarks, xy, truth, of.poses[-1]


def points_of(landmarks: Landmarks) -> Any:
    """Return ``(N, 3)`` in odom."""
    ray = np.column_stack((landmarks.rays, np.ones(len(landmarks.rays))))
    frames = np.asarray(landmarks.odom_from_anchor)[landmarks.anchor]
    turned_rays = np.einsum('nij,nj->ni', frames[:, :3, :3], ray)
    return frames[:, :3, 3] + turned_rays / np.asarray(landmarks.inverse_depth)[:, None]


def refined(landmarks: Landmarks, xy: Any, start: Any) -> Any:
    """Return the pose by ours."""
    return refine_pose(start, landmarks, xy, PIXEL).odom_from_camera


def opencv(landmarks: Landmarks, xy: Any, start: Any) -> Any:
    """Return the pose by OpenCV's consensus, started there, and its refinement on the inliers."""
    inverse, points = np.linalg.inv(start), points_of(landmarks)
    turn, shift = cv2.Rodrigues(inverse[:3, :3])[0], inverse[:3, 3:].copy()
    cv2.setRNGSeed(0)
    _, turn, shift, inliers = cv2.solvePnPRansac(
        points, xy, np.eye(3), None, turn, shift,
        useExtrinsicGuess=True, reprojectionError=3.7 * PIXEL, flags=cv2.SOLVEPNP_ITERATIVE,
    )  # fmt: skip
    best = inliers[:, 0]
    turn, shift = cv2.solvePnPRefineLM(points[best], xy[best], np.eye(3), None, turn, shift)
    return np.linalg.inv(rigid(cv2.Rodrigues(turn)[0], shift[:, 0]))


def two_views(of: Drive) -> dict[str, Callable[[], Any]]:
    """Return triangulations of as many points of the first keyframe seen by the last one."""
    rng = np.random.default_rng(2)
    rays, anchor = rng.uniform(-0.3, 0.3, (SEEN, 2)), np.zeros(SEEN, np.intp)
    last, each = np.full(SEEN, len(of.poses) - 1), np.arange(SEEN)
    xy, _ = sights_of(of.poses, anchor, rays, 1 / rng.uniform(5, 30, SEEN), last, each)
    cameras = [np.linalg.inv(p)[:3] for p in (of.poses[0], of.poses[-1])]

    def mine() -> Any:
        return triangulate(
            of.poses, anchor=anchor, rays=rays, keyframe=last, landmark=each, xy=xy, stddev=PIXEL
        )

    return {
        'triangulate': mine,
        'OpenCV triangulatePoints': lambda: cv2.triangulatePoints(*cameras, rays.T, xy.T),
    }


def wrong_by(pose: Any, truth: Any) -> Result:
    """Return degrees and centimetres between two poses."""
    metres, radians = extent(np.linalg.inv(truth) @ pose)
    return math.degrees(radians), 100 * metres


def timed(method: Callable[[], Any]) -> tuple[float, Any]:
    """Return milliseconds of the process, and the answer."""
    start = time.process_time()
    answer = method()
    return 1e3 * (time.process_time() - start), answer


def report(what: str, runs: dict[str, list[tuple[float, Result]]]) -> None:
    """Print one line for each method."""
    base = statistics.median(ms for ms, _ in next(iter(runs.values())))
    for name, results in runs.items():
        median = statistics.median(ms for ms, _ in results)
        degrees, metres = (statistics.median(r[i] for _, r in results) for i in (0, 1))
        print(
            f'{what:8s}  {name:26s} {median:9.2f} {median / base:8.2f} {degrees:9.4f} {metres:9.3f}'
        )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=int, default=5, help='seeds for each share of outliers')
    parser.add_argument('--keyframes', type=int, default=10)
    parser.add_argument('--landmarks', type=int, default=1000)
    parser.add_argument('--sights', type=int, default=6000, help='observations')
    args = parser.parse_args()
    size = (args.keyframes, args.landmarks, args.sights)
    cv2.setNumThreads(1)
    print(
        f'{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {platform.node()}, '
        f'{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, one thread, '
        f'NumPy {np.__version__}, SciPy {scipy.__version__}, OpenCV {cv2.__version__}\n'
        f'windows of {size[0]} keyframes, {size[1]} landmarks, at most {size[2]} observations; '
        f'{args.runs} seeds; medians; ratio is of times, to the first line of each\n\n'
        'outliers  method                            ms    ratio   degrees        cm'
    )
    adjustments = {
        'adjust': ours(10),
        'adjust, 2 + 3 steps': ours(2),
        'SciPy, sparse, cauchy': scipys('cauchy'),
        'SciPy, sparse, linear': scipys('linear'),
    }
    for outliers in OUTLIERS:
        runs: dict[str, list[tuple[float, Result]]] = {name: [] for name in adjustments}
        for seed in range(args.runs):
            of = drive(seed, outliers, *size)
            for name, method in adjustments.items():
                runs[name].append(timed(lambda m=method, d=of: m(d)))
        report(f'{outliers:.0%}', runs)
    print()
    poses = {'refine_pose': refined, 'OpenCV PnP': opencv}
    for outliers in OUTLIERS:
        runs = {name: [] for name in poses}
        for seed in range(args.runs):
            landmarks, xy, truth, start = picture(drive(seed, 0.0, *size), outliers)
            for name, pose in poses.items():
                ms, found = timed(lambda p=pose, a=(landmarks, xy, start): p(*a))
                runs[name].append((ms, wrong_by(found, truth)))
        report(f'{outliers:.0%}', runs)
    print()
    triangulations = two_views(drive(0, 0.0, *size))
    report(
        '', {n: [(timed(m)[0], (0.0, 0.0)) for _ in range(20)] for n, m in triangulations.items()}
    )


if __name__ == '__main__':
    main()
