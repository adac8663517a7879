"""The renderer: which patch each pixel sees, exactly, what colour it has, and where it moves.

For a patch with corner o and edges p, q in camera axes, the viewing ray d of a pixel meets its
plane at depth z where ``z d = o + u p + v q``. So ``(u, v, 1) / z = [p q o]^-1 d``: the numbers
U = u / z, V = v / z and W = 1 / z are affine functions of the pixel (perspective-correct
interpolation), and the pixel is inside when U, V, W - U and W - V are all >= 0, which implies that
the patch is in front of the camera. Nothing is clipped, and inverse depth is exact; so is the flow,
which follows from inverse depth, the motion of the camera and that of the body a patch belongs to.

Colours are filtered: textures by anisotropic mip-mapping, outlines by what four samples see in the
pixels at which the patch changes.

B: views  N: patches  K: bodies  E: pixels on outlines  Q: pixels
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dlcv.classes import UNLABELLED
from dlcv.data.world.scene import Array, Scene, WorldError
from dlcv.data.world.shade import Shader
from dlcv.data.world.visibility import Visibility, indices
from dlcv.types import Camera

THINNEST = 0.15  # pixels; narrower patches are left out, they would only flicker
NEAREST = 0.05  # metres before a camera; of points that pass it nearer, motion is not told
SUBSAMPLES = ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """What a batch of cameras sees; ``view[2:4]`` is a batch of some of them.

    Attributes:
        image: ``(B, H, W, 3)`` uint8 sRGB.
        inverse_depth: ``(B, H, W)`` float64 in 1/m, exact; 0 in the sky.
        patch: ``(B, H, W)`` int64 index of the patch seen, -1 for none.
        planes: ``(B, N, 3, 3)`` float64; row 2 maps (x, y, 1) of a pixel to the inverse depth of
            each patch's plane, rows 0 and 1 to U and V.
        pixel_from_rest: ``(B, K + 1, 4, 4)`` float64; maps a point (X, Y, Z, 1) of the still
            world (0) and of each body, as the scene has it, to (x z, y z, z, 1) with its pixel
            (x, y) and depth z.
    """

    image: Tensor
    inverse_depth: Tensor
    patch: Tensor
    planes: Tensor
    pixel_from_rest: Tensor

    def __len__(self) -> int:
        return len(self.patch)

    def __getitem__(self, views: slice) -> View:
        return View(**{field.name: getattr(self, field.name)[views] for field in fields(self)})


class Renderer:
    """Renders one scene; keeps its textures and light on a device.

    Args:
        scene: The world.
        device: Torch device.
        finest: Levels of detail to leave out of the textures; 1 takes a quarter of the memory
            and is hardly seen in pictures 320 pixels wide.
    """

    def __init__(
        self, scene: Scene, device: str | torch.device = 'cpu', *, finest: int = 0
    ) -> None:
        self.scene = scene
        self.device = torch.device(device)
        self._origin = self._put(scene.origin)
        self._edge_u = self._put(scene.edge_u)
        self._edge_v = self._put(scene.edge_v)
        lengths = np.linalg.norm((scene.edge_u, scene.edge_v), axis=-1)  # (2, N)
        self._reach, self._width = self._put(lengths.sum(0) / 2), self._put(lengths.min(0))
        self._one_sided = ~self._put(scene.two_sided)
        self._infinite = self._put(scene.infinite)
        self._body = self._put(scene.body)
        self._label = self._put(scene.label)
        self._carried = self._put(np.flatnonzero(scene.body))  # patches that move
        self._visibility = Visibility(self._put(scene.cutout), self._put(scene.cutouts))
        self._shader = Shader(scene, self.device, finest)

    def _put(self, array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    @torch.no_grad()
    def render(
        self, camera: Camera, world_from_camera: Array, world_from_rest: Array | None = None
    ) -> View:
        """Render the views of one camera at several poses, in one batch.

        Args:
            camera: Intrinsics without distortion.
            world_from_camera: ``(B, 4, 4)`` metres.
            world_from_rest: ``(B, K, 4, 4)`` how far each body has moved from where the scene has
                it; None leaves all of them there.

        Raises:
            WorldError: The camera has lens distortion, or the poses have another shape.
        """
        if camera.distorted:
            raise WorldError(
                f'the world renders ideal cameras, got {camera.distortion_model} distortion '
                f'{list(camera.distortion)}; use camera.undistorted()'
            )
        if world_from_camera.ndim != 3 or world_from_camera.shape[1:] != (4, 4):
            raise WorldError(f'poses must be (B, 4, 4), got {world_from_camera.shape}')
        camera_from_rest = self._camera_from_rest(world_from_camera, world_from_rest)
        planes, facing = self._planes(camera, self._put(camera_from_rest))
        lines = _lines(planes)
        patch = self._visibility.patches(lines, facing, camera.height, camera.width)
        return View(
            image=self._shaded(lines.float(), patch),
            inverse_depth=self._inverse_depth(lines, patch),
            patch=patch,
            planes=planes,
            pixel_from_rest=self._put(_lens(camera) @ camera_from_rest),
        )

    @torch.no_grad()
    def flow(self, first: View, second: View) -> tuple[Tensor, Tensor]:
        """Return the motion of what ``first`` shows, and where ``second`` does not show it.

        The views may differ in time, in place or in both: between a left and a right view the
        motion is the negative disparity.

        Args:
            first: B views.
            second: B views of the same camera; each is compared with the same number in ``first``.

        Returns:
            ``(B, H, W, 2)`` float64 flow in pixels, NaN for points that are not `NEAREST` metres
            ahead of the second camera, and
            ``(B, H, W)`` bool: hidden by something nearer, or out of the picture.
        """
        there, ahead = self._motion(first, second.pixel_from_rest)
        return _from_pixels(there), self._hidden(first, second, there, ahead)

    @torch.no_grad()
    def hidden(self, first: View, second: View) -> Tensor:
        """Return the second of what :meth:`flow` returns, for who does not need the motion."""
        return self._hidden(first, second, *self._motion(first, second.pixel_from_rest))

    @torch.no_grad()
    def displacement(
        self,
        view: View,
        camera: Camera,
        world_from_camera: Array,
        world_from_rest: Array | None = None,
    ) -> Tensor:
        """Return how far what ``view`` shows moves until a later time, without a picture of then.

        Args:
            view: B views.
            camera: Their intrinsics.
            world_from_camera: ``(B, 4, 4)`` poses at the later time.
            world_from_rest: ``(B, K, 4, 4)`` motions of the bodies at the later time.

        Returns:
            ``(B, H, W, 2)`` float64 pixels, NaN for points that are not `NEAREST` metres
            ahead of the camera then.
        """
        camera_from_rest = self._camera_from_rest(world_from_camera, world_from_rest)
        there, _ = self._motion(view, self._put(_lens(camera) @ camera_from_rest))
        return _from_pixels(there)

    def _motion(self, first: View, pixel_from_rest: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Return x and y of each pixel's point later, and its depth then over that now.

        They are NaN for points that are not `NEAREST` metres ahead of the camera then.
        """
        matrix = pixel_from_rest @ torch.linalg.inv(first.pixel_from_rest)  # (B, K + 1, 4, 4)
        moved = _moved(matrix[:, 0, :3], first.inverse_depth)  # (3, B, H, W)
        if len(self._carried):
            self._carry(matrix, first, moved)
        ahead = torch.where(moved[2] > NEAREST * first.inverse_depth, moved[2], torch.nan)
        return (moved[0] / ahead, moved[1] / ahead), ahead

    def moving(self, patch: Tensor) -> Tensor:
        """Return which of the patches seen belong to bodies that move, of the same shape."""
        return (self._body[patch.clamp(min=0)] > 0) & (patch >= 0)

    def labels(self, patch: Tensor) -> Tensor:
        """Return the class of the patches seen, uint8 of the same shape; see `dlcv.classes`."""
        return torch.where(patch >= 0, self._label[patch.clamp(min=0)], UNLABELLED)

    def _carry(self, matrix: Tensor, first: View, moved: Tensor) -> None:
        """Write where what moves by itself goes into ``moved`` ``(3, B, H, W)``, in place."""
        pixel = indices(self.moving(first.patch).view(-1))
        view, y, x = _unravel(pixel, first.patch.shape)
        body = self._body.index_select(0, first.patch.view(-1).index_select(0, pixel))
        flat = matrix[:, :, :3].reshape(-1, 12).t().contiguous()  # (12, B (K + 1))
        rows = flat.index_select(1, view * matrix.shape[1] + body).view(3, 4, -1)
        inverse_depth = first.inverse_depth.view(-1).index_select(0, pixel)
        goal = rows[:, 0] * x + rows[:, 1] * y + rows[:, 2] + rows[:, 3] * inverse_depth
        moved.view(3, -1).index_copy_(1, pixel, goal)

    def _hidden(
        self, first: View, second: View, there: tuple[Tensor, Tensor], ahead: Tensor
    ) -> Tensor:
        """Return which points of ``first``, now at ``there``, ``second`` does not show.

        Where all four pixels around a point see the patch it belongs to, it is in sight. Else the
        patches that they see decide, exactly: is one of them nearer at that very point?
        """
        batch, height, width = first.patch.shape
        x, y = (part.float() for part in there)  # (B, H, W)
        slack = 1e-4  # what does not move may be computed to leave the picture by a rounding
        seen = (x >= -slack) & (x <= width - 1 + slack) & (y >= -slack) & (y <= height - 1 + slack)
        x0 = x.clamp(0, max(width - 2, 0)).nan_to_num_().int()
        y0 = y.clamp(0, max(height - 2, 0)).nan_to_num_().int()
        view = torch.arange(batch, device=self.device)[:, None, None]
        corner = ((view * height + y0) * width + x0).view(-1)
        other = second.patch.view(-1)
        calm = _calm(second.patch).view(-1).index_select(0, corner) == first.patch.view(-1)
        doubtful = indices(seen.view(-1) & ~calm)
        corner, right, down = corner[doubtful], min(width - 1, 1), min(height - 1, 1) * width
        around = torch.stack((corner, corner + right, corner + down, corner + right + down))
        who, near = self._visibility.nearest_of(
            _lines(second.planes.float()),
            doubtful // (height * width) * len(self.scene),
            other.index_select(0, around.view(-1)).view_as(around),
            x.view(1, -1).index_select(1, doubtful),
            y.view(1, -1).index_select(1, doubtful),
        )
        expected = (first.inverse_depth.view(-1)[doubtful] / ahead.view(-1)[doubtful]).float()
        nearer = (near[0] > expected * (1 + 1e-4)) & ~self._infinite[who[0].clamp(min=0)]
        hidden = ~seen
        hidden.view(-1)[doubtful] = nearer
        return hidden

    # -- geometry ------------------------------------------------------------------------------

    def _camera_from_rest(self, world_from_camera: Array, world_from_rest: Array | None) -> Array:
        """Return the motion of the still world (0) and of each body, ``(B, K + 1, 4, 4)``."""
        batch, bodies = len(world_from_camera), self.scene.bodies
        motion = np.broadcast_to(np.eye(4), (batch, bodies + 1, 4, 4)).copy()
        if world_from_rest is not None:
            if world_from_rest.shape != (batch, bodies, 4, 4):
                raise WorldError(
                    f'motions must be {(batch, bodies, 4, 4)}, got {world_from_rest.shape}'
                )
            motion[:, 1:] = world_from_rest
        return np.asarray(np.linalg.inv(world_from_camera)[:, None] @ motion)

    def _planes(self, camera: Camera, camera_from_rest: Tensor) -> tuple[Tensor, Tensor]:
        """Return (U, V, W) as functions of the pixel ``(B, N, 3, 3)``, and who faces the camera."""
        world = camera_from_rest[:, 0, None]  # (B, 1, 4, 4)
        shift = world[..., :3, 3] * ~self._infinite[:, None]
        o = self._origin @ world[:, 0, :3, :3].mT + shift  # (B, N, 3)
        p, q = (edge @ world[:, 0, :3, :3].mT for edge in (self._edge_u, self._edge_v))
        if len(carried := self._carried):
            own = camera_from_rest[:, self._body[carried]]  # (B, C, 4, 4)
            turned = [
                (own[..., :3, :3] @ part[carried, :, None]).squeeze(-1)
                for part in (self._origin, self._edge_u, self._edge_v)
            ]
            o[:, carried] = turned[0] + own[..., :3, 3]
            p[:, carried], q[:, carried] = turned[1], turned[2]
        across = torch.cross(p, q, dim=-1)
        volume = (o * across).sum(-1)  # > 0 when seen from the front
        edge_on = volume.abs() < 1e-12
        facing = ~edge_on & ((volume > 0) | ~self._one_sided)
        z = o[..., 2] + (p[..., 2] + q[..., 2]) / 2  # of the middle
        near_enough = self._width * max(camera.fx, camera.fy) > THINNEST * (z - self._reach)
        facing &= self._infinite | ((z > -self._reach) & near_enough)
        rows = (torch.cross(q, o, dim=-1), torch.cross(o, p, dim=-1), across)
        inverse = torch.stack(rows, -2) / torch.where(edge_on, 1.0, volume)[..., None, None]
        ray_from_pixel = torch.from_numpy(np.linalg.inv(camera.matrix)).to(self.device)
        return inverse @ ray_from_pixel, facing

    def _inverse_depth(self, lines: Tensor, patch: Tensor) -> Tensor:
        batch, height, width = patch.shape
        known = patch.clamp(min=0)
        view = torch.arange(batch, device=self.device)[:, None, None] * len(self.scene)
        row = lines[6:].index_select(1, (view + known).view(-1)).view(3, *patch.shape)
        x = torch.arange(width, device=self.device, dtype=torch.float64)
        y = torch.arange(height, device=self.device, dtype=torch.float64)[:, None]
        inverse = torch.addcmul(torch.addcmul(row[2], row[0], x), row[1], y)
        infinite = self._infinite.index_select(0, known.view(-1)).view_as(patch)
        return inverse.masked_fill_(infinite | (patch < 0), 0)

    # -- colour --------------------------------------------------------------------------------

    def _shaded(self, lines: Tensor, patch: Tensor) -> Tensor:
        batch, height, width = patch.shape
        base = torch.arange(batch, device=self.device)[:, None, None] * len(self.scene)
        x = torch.arange(width, device=self.device, dtype=torch.float32)
        y = torch.arange(height, device=self.device, dtype=torch.float32)[:, None]
        base, x, y = (part.expand_as(patch).reshape(-1) for part in (base, x, y))
        linear = self._shader(lines, base, patch.view(-1), x, y)
        outline = indices(_outline(patch).view(-1))
        linear.index_copy_(0, outline, self._blended(lines, patch, linear, outline))
        return _encode(linear).view(*patch.shape, 3)

    def _blended(self, lines: Tensor, patch: Tensor, linear: Tensor, pixel: Tensor) -> Tensor:
        """Return the colour ``(E, 4)`` of pixels on outlines, as seen by four samples in each.

        A sample has the colour of the patch that it sees, as it is at the nearest of the pixel and
        its neighbours.
        """
        view, y, x = _unravel(pixel, patch.shape)
        offset = torch.tensor(SUBSAMPLES, device=self.device).t()[..., None]  # (2, 4, 1)
        around = _neighbours(patch.shape, view, y, x)  # (5, E)
        seen = patch.view(-1).index_select(0, around.view(-1)).view_as(around)
        who, _ = self._visibility.nearest_of(
            lines, view * len(self.scene), seen, x + offset[0], y + offset[1]
        )  # (4, E)
        source = around[0].expand_as(who)
        for place, index in zip(around[1:], seen[1:], strict=True):
            source = torch.where(who == index, place, source)
        source = torch.where(who == seen[0], around[0], source)
        return linear.index_select(0, source.view(-1)).view(*who.shape, 4).mean(0)


def _lines(planes: Tensor) -> Tensor:
    """Return (U, V, W) of all patches in all views, ``(9, B N)``, from ``(B, N, 3, 3)``."""
    lines: Tensor = planes.view(-1, 9).t().contiguous()
    return lines


def _lens(camera: Camera) -> Array:
    """Return ``(4, 4)`` that maps (X, Y, Z, 1) in camera axes to (x z, y z, z, 1)."""
    lens = np.eye(4)
    lens[:3, :3] = camera.matrix
    return lens


def _from_pixels(there: tuple[Tensor, Tensor]) -> Tensor:
    """Return the way ``(B, H, W, 2)`` from each pixel to ``there``."""
    x, y = there
    rows = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)[:, None]
    columns = torch.arange(x.shape[-1], device=x.device, dtype=x.dtype)
    return torch.stack((x - columns, y - rows), -1)


def _moved(matrix: Tensor, inverse_depth: Tensor) -> Tensor:
    """Return ``matrix`` ``(B, 3, 4)`` times (x, y, 1, 1 / z) of each pixel, ``(3, B, H, W)``.

    That is (x, y, 1) of the pixel in the other view, times its depth there over the depth here.
    """
    _, height, width = inverse_depth.shape
    x = torch.arange(width, device=matrix.device, dtype=torch.float64)
    y = torch.arange(height, device=matrix.device, dtype=torch.float64)[:, None]
    moved = torch.empty(3, *inverse_depth.shape, device=matrix.device, dtype=torch.float64)
    for row, out in zip(matrix[..., None, None].unbind(1), moved, strict=True):  # of (B, 4, 1, 1)
        ray = row[:, 0] * x + (row[:, 1] * y + row[:, 2])
        torch.addcmul(ray, row[:, 3], inverse_depth, out=out)
    return moved


def _unravel(pixel: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
    """Return (view, y, x) of flat indices into ``(B, H, W)``."""
    _, height, width = shape
    row = pixel // width
    view = row // height
    return view, row - view * height, pixel - row * width


def _neighbours(shape: torch.Size, view: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Return the flat indices of pixels and of their four neighbours, ``(5, E)``."""
    _, height, width = shape
    top = view * height
    return torch.stack(
        [
            (top + (y + dy).clamp(0, height - 1)) * width + (x + dx).clamp(0, width - 1)
            for dy, dx in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
        ]
    )


def _outline(patch: Tensor) -> Tensor:
    """Return the pixels that differ from one of their four neighbours."""
    edge = torch.zeros_like(patch, dtype=torch.bool)
    across = patch[:, :, 1:] != patch[:, :, :-1]
    down = patch[:, 1:] != patch[:, :-1]
    edge[:, :, 1:] |= across
    edge[:, :, :-1] |= across
    edge[:, 1:] |= down
    edge[:, :-1] |= down
    return edge


def _calm(patch: Tensor) -> Tensor:
    """Return what a pixel, those to its right and below, and the one across see; -2 if they differ.

    Pixels at the right and at the lower border have fewer neighbours.
    """
    calm = torch.ones_like(patch, dtype=torch.bool)
    calm[:, :, :-1] &= patch[:, :, 1:] == patch[:, :, :-1]
    calm[:, :-1] &= (patch[:, 1:] == patch[:, :-1]) & calm[:, 1:]
    return torch.where(calm, patch, -2)


def _encode(linear: Tensor) -> Tensor:
    """Return sRGB bytes of linear light; a soft shoulder keeps bright surfaces from clipping."""
    shoulder = linear * (1 + linear / 4) / (1 + linear)  # Reinhard, white at 2
    return (shoulder[:, :3].clamp(0, 1).pow_(1 / 2.2) * 255 + 0.5).to(torch.uint8)
