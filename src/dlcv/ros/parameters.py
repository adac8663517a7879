"""The one way a node reads its parameters: declared from the contract's tables, checked by them."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from dlcv.interface import files
from dlcv.interface.nodes import NODES
from dlcv.interface.parameters import CommonParameters, Parameter, ParameterError, describe

_WHOLE = (RosParameter.Type.INTEGER, RosParameter.Type.INTEGER_ARRAY)
_FOREIGN = ('use_sim_time', 'qos_overrides', 'start_type_description_service')


class Parameters:
    """Parameters of one node as an immutable value that follows what is set.

    A value that was given at start and is refused (type, range, misspelt name) does not kill the
    node: it is kept as `problem`, with which configure fails.
    """

    def __init__(
        self,
        node: Node,
        cls: type[CommonParameters],
        changed: Callable[[CommonParameters], None],
        settled: Callable[[], bool],
    ) -> None:
        """Declare all parameters of ``cls`` on ``node``.

        Args:
            node: Owner of the parameters.
            cls: The contract's dataclass.
            changed: Called with the new values when a dynamic parameter was set.
            settled: Whether the node is configured, so that only dynamic ones may change.
        """
        self._node, self._cls = node, cls
        self._changed, self._settled = changed, settled
        self._table = {p.name: p for p in describe(cls)}
        self._problems: dict[str, str] = {}
        given = node._parameter_overrides  # noqa: SLF001 - rclpy offers no other way
        given |= {p.name: p for p in self._as_declared([*given.values()])}
        for p in self._table.values():
            self._declare(p)
        self._note_unknown()
        self.values = self._build({})
        node.add_pre_set_parameters_callback(self._as_declared)
        node.add_on_set_parameters_callback(self._on_set)

    @property
    def problem(self) -> str:
        """Why the node cannot be configured with what it was given; empty when it can."""
        return '; '.join(self._problems.values())

    def _declare(self, p: Parameter) -> None:
        descriptor = _descriptor(p)
        default = list(p.default) if isinstance(p.default, tuple) else p.default
        try:
            value = self._node.declare_parameter(p.name, default, descriptor).value
            p.check(_plain(value))
        except (InvalidParameterTypeException, InvalidParameterValueException) as err:
            self._problems[p.name] = _reason(p, self._override(p.name), err)
            self._node.declare_parameter(p.name, default, descriptor, ignore_override=True)
        except ParameterError as err:
            self._problems[p.name] = str(err)
            self._node.undeclare_parameter(p.name)
            self._node.declare_parameter(p.name, default, descriptor, ignore_override=True)

    def _override(self, name: str) -> Any:
        given = self._node._parameter_overrides.get(name)  # noqa: SLF001 - rclpy offers no other way
        return None if given is None else given.value

    def _note_unknown(self) -> None:
        known_anywhere = {p.name for spec in NODES.values() for p in describe(spec.parameters)}
        foreign = _strangers(self._node)
        passed_over = []
        for name in self._node._parameter_overrides:  # noqa: SLF001
            if name in known_anywhere or name.split('.')[0] in _FOREIGN:
                continue  # a parameter of a sister node comes in through a shared /** section
            if any(name == one or name.startswith(f'{one}.') for one in foreign):
                passed_over.append(name)
                continue
            close = difflib.get_close_matches(name, self._table, 1)
            hint = f'; did you mean {close[0]!r}?' if close else ''
            key = close[0] if close else name  # setting the one that was meant settles it
            self._problems.setdefault(key, f'unknown parameter {name!r}{hint}')
        if passed_over:
            known = [*self._table]
            self._node.get_logger().warning(
                files.warning(passed_over, self._node.get_name(), known)
            )

    def _build(self, changes: dict[str, Any]) -> CommonParameters:
        current = {name: _plain(self._node.get_parameter(name).value) for name in self._table}
        try:
            return self._cls(**(current | changes))
        except ParameterError as err:
            if not changes:  # a contradiction between two values given at start
                self._problems.setdefault('', str(err))
                return self._cls()
            raise

    def _as_declared(self, parameters: list[RosParameter]) -> list[RosParameter]:
        """Return parameters with doubles where whole numbers were written for them."""
        return [self._declared_type(p) for p in parameters]

    def _declared_type(self, given: RosParameter) -> RosParameter:
        ours = self._table.get(given.name)
        if ours is None or given.type_ not in _WHOLE:
            return given
        taken = ours.taken(_plain(given.value))
        return RosParameter(given.name, value=list(taken) if isinstance(taken, tuple) else taken)

    def _on_set(self, parameters: list[RosParameter]) -> SetParametersResult:
        """Check a whole set at once: all of it is taken, or none."""
        ours = {p.name: _plain(p.value) for p in parameters if p.name in self._table}
        if not ours:
            return SetParametersResult(successful=True)
        frozen = [name for name in ours if not self._table[name].dynamic]
        if frozen and self._settled():
            reason = f'{", ".join(frozen)}: set while unconfigured only; clean up the node first'
            return SetParametersResult(successful=False, reason=reason)
        try:
            values = self._build(ours)
        except ParameterError as err:
            return SetParametersResult(successful=False, reason=str(err))
        for name in (*ours, ''):
            self._problems.pop(name, None)
        self.values = values
        self._changed(values)
        return SetParametersResult(successful=True)


def _strangers(node: Node) -> list[str]:
    """Return what parameter files of the command line give all nodes, and none of ours has."""
    paths = [value for flag, value in pairwise(sys.argv) if flag == '--params-file']
    name = node.get_fully_qualified_name()
    found: list[str] = []
    for path in paths:
        with suppress(ParameterError):  # what ROS reads in another way than we do
            found += files.strangers(files.sections(Path(path)), name)
    return found


def _plain(value: Any) -> Any:
    """Return a value as the contract writes it: numbers in a row are a tuple."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return tuple(value)


def _reason(p: Parameter, given: Any, err: ParameterException) -> str:
    try:
        p.check(_plain(given) if given is not None else None)
    except ParameterError as ours:
        return str(ours)
    return f'{p.name}: {err}'


def _descriptor(p: Parameter) -> ParameterDescriptor:
    unit = f' [{p.unit}]' if p.unit else ''
    when = '' if p.dynamic else 'Set while the node is unconfigured. '
    among = f'One of {", ".join(p.choices)}.' if p.choices else ''
    descriptor = ParameterDescriptor(
        description=p.doc + unit, additional_constraints=(when + among).strip()
    )
    if p.low is not None and p.high is not None:
        if isinstance(p.default, int):
            limits = IntegerRange(from_value=int(p.low), to_value=int(p.high), step=0)
            descriptor.integer_range = [limits]
        elif isinstance(p.default, float):
            limits = FloatingPointRange(from_value=float(p.low), to_value=float(p.high), step=0.0)
            descriptor.floating_point_range = [limits]
    return descriptor
