"""Strategic merge of a pod template: a part that says less is laid over a whole, lists of named things by their names.

What `kubectl patch --type=strategic` does for pods, in the parts that matter: null takes a field away, `$patch: delete` an item,
`$patch: replace` puts the part in place of the whole.
"""

from __future__ import annotations

from typing import Any, Final

#: The field that names the items of a list. Other lists are replaced as a whole.
_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
#: Their items are "one of": mixing the fields of two gives nonsense.
_WHOLE: Final = frozenset({"env", "volumes"})
_DIRECTIVE: Final = "$patch"


class MergeError(ValueError):
    """The part can't be laid over the whole; the message says where."""


def merged(whole: Any, part: Any, where: str = "podTemplate") -> Any:
    """`whole` with `part` laid over it; neither is changed.

    Raises:
        MergeError: an object where a list is, or an item without its name.
    """
    if isinstance(whole, dict) and isinstance(part, dict):
        if part.get(_DIRECTIVE) == "replace":
            return {name: value for name, value in part.items() if name != _DIRECTIVE}
        result = dict(whole)
        for name, value in part.items():
            if value is None or (isinstance(value, dict) and value.get(_DIRECTIVE) == "delete"):
                result.pop(name, None)
            elif name in result and result[name] is not None:
                result[name] = _items(name, result[name], value, f"{where}.{name}")
            else:
                result[name] = _without_directives(name, value, f"{where}.{name}")
        return result
    if isinstance(whole, dict | list) and type(whole) is not type(part):
        kind = "an object" if isinstance(whole, dict) else "a list"
        raise MergeError(f"{where} must be {kind}, not {part!r}")
    return part


def _items(name: str, whole: Any, part: Any, where: str) -> Any:
    key = _KEYS.get(name)
    if key is None or not isinstance(whole, list) or not isinstance(part, list):
        return merged(whole, part, where)
    result: dict[Any, Any] = {item[key]: item for item in whole}
    for number, item in enumerate(part):
        if not isinstance(item, dict) or key not in item:
            raise MergeError(f"{where}[{number}] needs a {key}, which says which item is meant")
        named = item[key]
        if item.get(_DIRECTIVE) == "delete":
            result.pop(named, None)
        elif named in result and name not in _WHOLE:
            result[named] = merged(result[named], item, f"{where}[{named}]")
        else:
            result[named] = _clean(item)
    return list(result.values())


def _without_directives(name: str, value: Any, where: str) -> Any:
    return _items(name, [], value, where) if name in _KEYS and isinstance(value, list) else _clean(value)


def _clean(value: Any) -> Any:
    """Without nulls and directives, which have nothing to act upon here."""
    if isinstance(value, dict):
        return {name: _clean(inner) for name, inner in value.items() if name != _DIRECTIVE and inner is not None}
    return value
